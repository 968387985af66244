"""What can be set of a connector, from each source, and what comes of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.connectors import given as givens
from gateway.connectors.given import FIELDS, Given, from_json, from_tables, from_texts
from gateway.connectors.presets import CUSTOM, PRESETS, preset_named, provider_of
from gateway.connectors.resolve import resolve
from gateway.fields.setting import Secret
from gateway.fields.values import Source
from gateway.model.errors import InvalidRequest
from gateway.ops import pki

ADDRESS = "me@corp.example"


def source(tmp_path: Path, *, text: bool = False) -> Source:
    return Source("connector.toml", tmp_path, {"PASSWORD": "hunter2"}, text)


def tables(**sections: dict[str, Any]) -> Given:
    return from_tables(sections, Source("a table", Path(), {}))


def test_every_field_of_every_section_describes_itself() -> None:
    for name, fields in FIELDS.items():
        for key, field in fields.items():
            assert field.setting.doc, (name, key)
            assert field.kind


def test_the_three_sources_say_the_same(tmp_path: Path) -> None:
    table = from_tables(
        {"imap": {"host": "imap.corp.example", "port": 1143, "secret": "env:PASSWORD", "folders": ["INBOX", "Lists/*"]},
         "sync": {"push": False}},
        source(tmp_path),
    )
    text = from_texts(
        {"imap.host": "imap.corp.example", "imap.port": "1143", "imap.secret": "env:PASSWORD",
         "imap.folders": "INBOX, Lists/*", "sync.push": "no"},
        source(tmp_path, text=True),
    )
    assert table == text
    assert from_json(table.to_json(), table.secrets()) == table
    assert table.secrets() == {"imap.secret": Secret("hunter2")}
    assert "hunter2" not in table.to_json()
    assert "hunter2" not in repr(table)


@pytest.mark.parametrize(
    ("said", "means"),
    [
        ("login", ["login"]),
        ("LOGIN", ["login"]),
        ("plain,login, cram-md5", ["plain", "login", "cram-md5"]),
        (["OAUTHBEARER", "xoauth2"], ["oauthbearer", "xoauth2"]),
        (["cram-md5", "auto"], ["cram-md5", "auto"]),
        ([], []),
    ],
)
def test_mechanisms_are_one_or_several_in_the_order_of_preference(tmp_path: Path, said: Any, means: list[str]) -> None:
    given = tables(imap={"host": "a.example", "mechanism": said}, smtp={"mechanism": said})
    made = resolve(given, "custom", ADDRESS)
    assert made.imap.mechanism == made.smtp.mechanism == tuple(means)
    assert resolve(from_json(given.to_json()), "custom", ADDRESS) == made
    if isinstance(said, str):
        assert from_texts({"imap.mechanism": said}, source(tmp_path, text=True)) == tables(imap={"mechanism": said})
        stored = json.dumps({"imap": {"host": "a.example", "mechanism": said}, "smtp": {"mechanism": said}})
        assert resolve(from_json(stored), "custom", ADDRESS) == made


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("kerberos", "'kerberos' is none of auto, plain, "),
        (["plain", "plain"], "names one twice"),
        ("auto,plain", "auto takes whatever is offered: it stands last"),
        (["plain", 1], "must be a list of texts"),
        ("", "is none of"),
        (3, "must be a list of texts"),
    ],
)
def test_mechanisms_that_cannot_be_meant(said: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=r"a table: smtp\.mechanism: ") as caught:
        tables(smtp={"mechanism": said})
    assert reason in str(caught.value)


def test_only_lists_are_named_several_times() -> None:
    assert [path for path in ("imap.mechanism", "imap.folders", "smtp.pins") if givens.takes_several(path)] == [
        "imap.mechanism", "imap.folders", "smtp.pins",
    ]  # fmt: skip
    assert not any(map(givens.takes_several, ("imap.host", "sync.mode", "imap.nothing", "nothing.host", "imap")))


def test_what_a_newer_version_has_written_is_left_alone() -> None:
    stored = json.dumps({"imap": {"host": "a.example", "antigravity": 3}, "pop": {"host": "b.example"}})
    assert from_json(stored) == tables(imap={"host": "a.example"})


def test_certificates_are_read_once_and_kept(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "tls", ["localhost"], datetime.now(UTC))
    pem = made.ca_file.read_text()
    (tmp_path / "ca.pem").write_text(pem)
    read = from_tables({"imap": {"ca": "ca.pem"}}, source(tmp_path))
    assert read.values["imap"]["ca"] == pem
    (tmp_path / "ca.pem").unlink()
    assert from_json(read.to_json()) == read
    with pytest.raises(InvalidRequest, match=r"connector.toml: imap.ca: .*ca.pem cannot be read"):
        from_tables({"imap": {"ca": "ca.pem"}}, source(tmp_path))


def test_a_password_in_the_url_of_a_proxy_is_refused_unseen(tmp_path: Path) -> None:
    for url in ("socks5://u:hunter2@p.test:1080", "u:hunter2@p.test:1080", "http://u:hunter/2@p.test:1080"):
        with pytest.raises(InvalidRequest, match=r"give its password as imap\.proxy_secret") as refused:
            from_tables({"imap": {"proxy": url}}, source(tmp_path))
        assert "hunter" not in str(refused.value)
    for url in ("socks5://p.test:1080", "http://user@p.test:3128"):
        assert from_tables({"imap": {"proxy": url}}, source(tmp_path)).values["imap"]["proxy"] == url


def test_of_a_file_of_certificates_nothing_else_is_kept_or_shown(tmp_path: Path) -> None:
    made = pki.ensure(tmp_path / "tls", ["localhost"], datetime.now(UTC))
    pem = made.ca_file.read_text()
    key = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\n"
    for text in (f"# Főtanúsítvány\n{pem}\n{key}{pem}", f"{key}{pem}{pem}".replace("\n", "\r\n")):
        (tmp_path / "both.pem").write_text(text, encoding="utf-8", newline="")
        kept = from_tables({"imap": {"ca": "both.pem"}}, source(tmp_path)).values["imap"]["ca"]
        assert kept.replace("\r", "") == pem + pem
    assert from_tables({"imap": {"ca": key + pem}}, source(tmp_path)).values["imap"]["ca"] == pem
    (tmp_path / "secret").write_text("hunter2\n")
    (tmp_path / "key.pem").write_text(key)
    for wrong in ("secret", "key.pem", key):
        with pytest.raises(InvalidRequest, match=r"imap.ca: (/.*|this) is no PEM text of certificates") as refused:
            from_tables({"imap": {"ca": wrong}}, source(tmp_path))
        assert "hunter2" not in str(refused.value)
        assert "MC4C" not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "reason"),
    [
        ("imap", "hots", "x", 'unknown key; did you mean "host"'),
        ("imap", "port", 70000, "must be 65535 at most"),
        ("imap", "port", "993", "must be a whole number"),
        ("imap", "security", "ssl", "must be one of"),
        ("imap", "host", "a b", "is no host name"),
        ("imap", "proxy", "ftp://x", "is no proxy"),
        ("imap", "proxy", "socks5://u:p@h:1", "is no proxy"),
        ("imap", "proxy", "socks5://h:0", "is no proxy"),
        ("imap", "proxy", "socks5://h:99999", "is no proxy"),
        ("imap", "pins", ["abc"], "is no SHA-256 digest"),
        ("imap", "proxy", "socks5://h", "is no proxy"),
        ("imap", "ca", "-----BEGIN nothing", "is no PEM text"),
        ("imap", "since", "yesterday", "is no date"),
        ("imap", "folders", [""], "is no name or pattern"),
        ("imap", "min_dh_bits", 100, "must be 512 bits at least"),
        ("smtp", "local_name", "two words", "is no name"),
        ("sync", "mode", "both", "must be one of"),
        ("sync", "on_access", 61, "must be 60 seconds at most"),
        ("pop", "host", "x", "unknown section"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(section: str, key: str, value: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as refused:
        tables(**{section: {key: value}})
    assert str(refused.value).startswith(f"a table: {section}")


@pytest.mark.parametrize("path", ["host", "imap", ".host", "pop.host", "imap.hots"])
def test_a_text_names_section_and_key(path: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"connector\.toml: "):
        from_texts({path: "x"}, source(tmp_path, text=True))


def test_a_secret_never_stands_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        from_tables({"imap": {"secret": ["hunter2"]}}, source(tmp_path))
    assert "hunter2" not in str(refused.value)


# What comes of it.


def test_a_preset_fills_what_nobody_gave() -> None:
    options = resolve(tables(imap={"secret": "pw"}), "google", "me@gmail.com")
    assert (options.imap.host, options.imap.port, options.imap.security) == ("imap.gmail.com", 993, "tls")
    assert (options.smtp.host, options.smtp.port, options.smtp.security) == ("smtp.gmail.com", 465, "tls")
    assert options.imap.user == options.smtp.user == "me@gmail.com"
    assert options.smtp.secret == Secret("pw")
    other = resolve(tables(imap={"user": "login", "secret": "a"}, smtp={"secret": "b"}), "google", "me@gmail.com")
    assert (other.smtp.user, other.smtp.secret) == ("login", Secret("b"))


@pytest.mark.parametrize(
    ("said", "imap", "smtp"),
    [
        ({}, 993, 465),
        ({"security": "starttls"}, 143, 587),
        ({"security": "none"}, 143, 587),
        ({"security": "starttls", "port": 1}, 1, 1),
        ({"port": 2525}, 2525, 2525),
    ],
)
def test_the_port_follows_the_security(said: dict[str, Any], imap: int, smtp: int) -> None:
    for provider in (CUSTOM, "google"):
        host = {"host": "mail.corp.example"}
        options = resolve(tables(imap=host | said, smtp=host | said), provider, ADDRESS)
        assert (options.imap.port, options.smtp.port) == (imap, smtp)


def test_one_side_is_enough() -> None:
    options = resolve(tables(smtp={"host": "smtp.corp.example", "secret": "x"}), CUSTOM, ADDRESS)
    assert not options.imap.enabled
    assert options.smtp.enabled
    only = resolve(tables(imap={"enabled": True}, smtp={"enabled": False}), "google", "me@gmail.com")
    assert only.imap.enabled
    assert not only.smtp.enabled


@pytest.mark.parametrize(
    ("provider", "sections", "path"),
    [
        (CUSTOM, {}, "imap.host"),
        (CUSTOM, {"imap": {"host": "a.example", "tls_min": "1.3", "tls_max": "1.2"}}, "imap.tls_min"),
        (CUSTOM, {"imap": {"host": "a.example", "proxy_secret": "x"}}, "imap.proxy_secret"),
        (CUSTOM, {"imap": {"host": "a.example", "pin_only": True}}, "imap.pin_only"),
        (CUSTOM, {"imap": {"host": "a.example", "after_fetch": "seen"}}, "imap.after_fetch"),
        (CUSTOM, {"imap": {"host": "a.example", "after_fetch": "move"}, "sync": {"mode": "import"}},
         "imap.after_fetch_folder"),
        (CUSTOM, {"imap": {"host": "a.example", "search": "FROM"}}, "imap.search"),
        (CUSTOM, {"imap": {"host": "a.example", "search": "1:5"}}, "imap.search"),
        (CUSTOM, {"imap": {"host": "a.example", "search": "OR SEEN NOT SAVEDBEFORE 1-Jan-2020"}}, "imap.search"),
        ("microsoft", {"imap": {"secret": "x"}}, "imap.secret"),
        ("outlook", {"smtp": {"secret": "x"}}, "smtp.secret"),
    ],
)
def test_rules_between_options(provider: str, sections: dict[str, Any], path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        resolve(tables(**sections), provider, ADDRESS)
    assert str(refused.value).startswith(f"{path}: ")


def test_search_terms_that_any_server_knows() -> None:
    search = 'OR FROM "boss" (SINCE 1-Jan-2026 NOT SEEN) LARGER 1000 KEYWORD $Important HEADER List-Id x'
    assert resolve(tables(imap={"host": "a.example", "search": search}), CUSTOM, ADDRESS).imap.search == search


def test_providers_are_known_by_their_domains_and_names() -> None:
    assert provider_of("Someone@GoogleMail.com") == "google"
    assert provider_of("me@corp.example") == CUSTOM
    assert preset_named("Google") is PRESETS["google"]
    with pytest.raises(InvalidRequest, match="google, microsoft"):
        preset_named("compuserve")


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_whole(name: str) -> None:
    preset = PRESETS[name]
    for section, values in (("imap", preset.imap), ("smtp", preset.smtp)):
        givens.from_tables({section: dict(values)}, Source(name, Path(), {}))
    if name != CUSTOM:
        options = resolve(Given(), name, "me@corp.example")
        assert options.imap.enabled
        assert options.smtp.enabled
        assert preset.help


def test_later_options_win_and_can_be_taken_back() -> None:
    first = tables(imap={"host": "a.example", "port": 1})
    both = first.merged(tables(imap={"port": 2}, sync={"push": False}))
    assert both.values == {"imap": {"host": "a.example", "port": 2}, "sync": {"push": False}}
    gone = {"imap": frozenset({"port"}), "sync": frozenset({"push"})}
    assert both.without(gone) == tables(imap={"host": "a.example"})
