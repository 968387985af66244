"""gateway connector: accounts beside a running server, and without one; tests of an account that is really asked."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.ops import pki
from tests.support.gateway import Gateway
from tests.support.upstream import DOVECOT, FakeUpstream

SECRET = "correct horse"


@contextmanager
def upstream() -> Iterator[FakeUpstream]:
    """A scripted server on a loop of its own, for commands block this one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    server = FakeUpstream(DOVECOT, mailboxes={"INBOX": 2})
    server.account.password = SECRET
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@pytest.fixture
def password(tmp_path: Path) -> str:
    """As it is named on the command line."""
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    return f"file:{file}"


def failed(gateway: Gateway, *arguments: str) -> str:
    """What a command says that ends with a status other than 0."""
    done = gateway.cli("connector", *arguments)
    assert done.returncode != 0, done.stdout
    return done.stdout + done.stderr


def test_an_account_from_its_first_day_to_its_last(
    make_gateway: Callable[..., Gateway], password: str, tmp_path: Path
) -> None:
    gateway = make_gateway()
    gateway.start()
    with upstream() as server:
        file = tmp_path / "account.toml"
        file.write_text(
            f'[imap]\nhost = "127.0.0.1"\nport = {server.port}\nsecurity = "none"\nallow_private = true\n'
            f'user = "{server.account.user}"\n[sync]\ninterval = 7\n'
        )
        said = gateway.run(
            "connector", "add", "work", "--email", "me@elsewhere.test", "--file", str(file), "--secret", password,
            "--disabled", "--inbox", gateway.address,
        )  # fmt: skip
        assert "me@elsewhere.test with inbox" in said
        assert "Next: gateway connector test work" in said
        shown = gateway.json("connector", "show", "work")
        assert (shown["state"], shown["mode"], shown["inbox"]) == ("disabled", "pull", gateway.address)
        assert shown["given"]["imap"]["port"] == server.port
        assert (shown["options"]["imap"]["secret"], shown["options"]["sync"]["interval"]) == ("set", 7)
        assert SECRET not in json.dumps(shown)
        assert SECRET not in gateway.run("connector", "show", "work")

        [probe] = gateway.json("connector", "test", "work")
        assert probe["success"], probe
        assert [step["name"] for step in probe["steps"]][-3:] == ["list", "select", "push"]
        assert SECRET not in json.dumps(probe)
        assert "ok     login" in gateway.run("connector", "test", "work")

        refused = failed(gateway, "test", "work", "--set", "imap.secret=wrong")
        assert "auth_rejected: Check user name and password" in refused
        assert gateway.json("connector", "test", "work")[0]["success"], "what a test was given is not stored"

        gateway.run(
            "connector", "set", "work", "--rename", "office", "--set", "sync.push=no", "--unset", "sync.interval"
        )
        changed = gateway.json("connector", "show", "ME@elsewhere.test")
        assert (changed["name"], changed["options"]["sync"]["push"]) == ("office", False)
        assert changed["options"]["sync"]["interval"] == 5
        gateway.run("connector", "enable", "office")
        assert gateway.json("connector", "list")[0]["enabled"] is True
        gateway.run("connector", "disable", "office")
    assert "refused" in failed(gateway, "test", "office")
    gateway.stop()
    assert gateway.json("connector", "list", "--inbox", gateway.address)[0]["name"] == "office", "without a server too"
    gateway.run("connector", "remove", "office", "--yes")
    assert gateway.json("connector", "list") == []


def test_the_file_of_the_documents_works_word_for_word(gateway: Gateway, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "connectors.md").read_text()
    text = page.split("```toml\n")[1].split("```")[0]
    command = next(line.split() for line in page.splitlines() if "connector add work" in line and "work.toml" in line)
    (tmp_path / "work.toml").write_text(text)
    (tmp_path / "work-password").write_text(SECRET + "\n")
    made = pki.ensure(tmp_path / "tls", ["localhost"], datetime.now(UTC))
    (tmp_path / "corp-ca.pem").write_bytes(made.ca_file.read_bytes())
    assert command[:3] == ["$", "gateway", "connector"]
    file = [str(tmp_path / word) if word == "work.toml" else word for word in command[3:]]
    gateway.run("connector", *file, "--disabled")
    shown = gateway.json("connector", "show", "work")
    imap, smtp, sync = (shown["options"][name] for name in ("imap", "smtp", "sync"))
    assert (imap["host"], imap["port"], imap["secret"]) == ("imap.corp.example", 143, "set")
    assert (imap["folders"], imap["exclude"], imap["since"]) == (["INBOX", "Lists/*"], ["\\Junk"], "90d")
    assert "BEGIN CERTIFICATE" in imap["ca"]
    assert (smtp["host"], smtp["port"], smtp["user"], smtp["enabled"]) == (
        "smtp.corp.example", 587, "me@corp.example", True,
    )  # fmt: skip
    assert sync["interval"] == 10
    gateway.run("connector", "remove", "work", "--yes")


def test_the_file_that_help_shows_works_word_for_word(gateway: Gateway, tmp_path: Path) -> None:
    said = gateway.run("connector", "add", "--help")
    lines = said.split("Where old.toml is")[1].split("\n\n")[0].splitlines()[1:]
    (tmp_path / "old.toml").write_text("\n".join(line.strip() for line in lines))
    (tmp_path / "old-password").write_text(SECRET)
    line = next(line.split() for line in said.splitlines() if "--file old.toml" in line)
    gateway.run(*[str(tmp_path / word) if word == "old.toml" else word for word in line[1:]], "--disabled")
    shown = gateway.json("connector", "show", "old")
    assert (shown["mode"], shown["options"]["imap"]["host"]) == ("import", "imap.old.example")
    assert (shown["options"]["imap"]["secret"], shown["options"]["imap"]["since"]) == ("set", "365d")
    assert shown["options"]["smtp"]["enabled"] is False
    gateway.run("connector", "remove", "old", "--yes")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["show", "nobody"], "There is no connector nobody"),
        (["add", "x", "--email", "me@corp.example"], "imap.host: is needed"),
        (["add", "x", "--email", "me@corp.example", "--set", "imap.hots=a"], 'did you mean "host"'),
        (["add", "x", "--email", "me@corp.example", "--set", "imap.host"], "is not SECTION.KEY=VALUE"),
        (["add", "x", "--email", "me@corp.example", "--file", "nowhere.toml"], "nowhere.toml cannot be read"),
        (["add", "x", "--email", "me@corp.example", "--secret", "file:nowhere"], "nowhere cannot be read"),
        (["add", "x", "--email", "me@corp.example", "--provider", "aol2"], "There is no provider aol2"),
        (["add", "x", "--email", "me@outlook.com", "--secret", "abc"], "gateway connector login"),
        (["add", "x", "--email", "me@gmail.com", "--inbox", "a@nowhere.test"], "The pod has no domain nowhere.test"),
        (["test"], "Name a connector"),
        (["set", "nobody"], "Say what to change"),
        (["set", "nobody", "--secret", "abc"], "There is no connector nobody"),
    ],
)
def test_mistakes_are_one_line_that_helps(gateway: Gateway, arguments: list[str], reason: str) -> None:
    said = failed(gateway, *arguments)
    assert reason in said
    assert "Traceback" not in said
    assert "unexpected error" not in said


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["add", "app", "--provider", "google"], "--client-id ID"),
        (["add", "app"], "--provider NAME"),
        (["set", "app"], "Say what to change"),
        (["set", "app", "--redirect", ""], "No OAuth application app"),
        (["login", "app", "nobody"], "nobody is no e-mail address"),
    ],
)
def test_mistakes_with_applications_help_too(gateway: Gateway, arguments: list[str], reason: str) -> None:
    done = gateway.cli("oauth", *arguments)
    assert done.returncode != 0
    assert reason in done.stderr


def test_what_was_typed_is_named_in_what_is_refused(gateway: Gateway) -> None:
    host = ("--imap-host", "imap.b.test", "--disabled")
    said = failed(gateway, "add", "x", "--email", "me@corp.example", *host, "--inbox", "not-there")
    assert "not-there is no e-mail address" in said
    assert "here it is is no e-mail address" in failed(gateway, "add", "x", "--email", "here it is", *host)
    assert "is delivered here" in failed(gateway, "add", "x", "--email", gateway.address, *host)
    said = gateway.run("connector", "add", "one", "--email", "me@corp.example", *host, "--inbox", gateway.address)
    assert "Next: gateway connector set one --secret -" in said, "nobody gave a password"
    said = failed(gateway, "add", "two", "--email", "me@corp.example", *host)
    assert f"me@corp.example is an address of inbox {gateway.address} already" in said
    gateway.run("connector", "add", "two", "--email", "me@corp.example", *host, "--inbox", gateway.address)


def test_a_secret_can_come_from_a_pipe(gateway: Gateway) -> None:
    arguments = (
        "connector", "test", "--email", "me@corp.example", "--imap-host", "127.0.0.1", "--no-smtp", "--set",
        "imap.security=none", "--set", "imap.allow_private=yes", "--secret", "-",
    )  # fmt: skip
    with upstream() as server:
        more = ("--set", f"imap.port={server.port}", "--user", server.account.user)
        done = gateway.cli(*arguments, *more, stdin=SECRET.encode() + b"\n")
        assert (done.returncode, done.stderr) == (0, "")
        assert SECRET not in done.stdout
        done = gateway.cli(*arguments, *more)
        assert done.returncode == 2
        assert "there is none on standard input" in done.stderr


def test_one_that_only_sends_is_shown_among_the_others(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway()
    gateway.start()
    gateway.run("connector", "add", "relay", "--email", "app@elsewhere.test", "--no-imap", "--smtp-host", "127.0.0.1")
    assert "for sending only" in failed(gateway, "sync", "relay")
    [row] = gateway.json("connector", "list")
    assert (row["name"], row["state"], row["next_try"]) == ("relay", "sends", None)
    assert "relay" in gateway.run("connector", "list")


def test_options_and_providers_are_listed(gateway: Gateway) -> None:
    rows = {row["option"]: row for row in gateway.json("connector", "options")}
    assert rows["sync.interval"]["default"] == 5
    assert "minutes" in rows["sync.interval"]["kind"]
    assert {"google", "microsoft", "custom"} <= {row["name"] for row in gateway.json("connector", "providers")}
