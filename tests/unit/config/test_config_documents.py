"""Written from the fields: both files in the tree equal the code, secrets are hidden, reloads know their limits."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import pytest

from gateway.config import (
    Config,
    Listener,
    Log,
    NamedRelay,
    Relay,
    RouteRule,
    Secret,
    Server,
    Store,
    as_dict,
    changes,
    load,
    plaintext_login,
    reloaded,
    render_example,
    render_manual,
    show,
)
from gateway.fields.setting import fields_of, settings_of

ROOT = Path(__file__).parents[3]
SECRET = "canary-7f3a"
PRIVATE = Config(
    relay=Relay(host="h", user="u", secret=Secret(SECRET)), store=Store(url=Secret(f"postgresql://me:{SECRET}@db/mail"))
)


@pytest.mark.parametrize(("name", "render"), [
    ("config.example.toml", render_example), ("docs/configuration.md", render_manual),
])
def test_the_file_in_the_tree_equals_the_code(name: str, render) -> None:  # type: ignore[no-untyped-def]
    assert (ROOT / name).read_text() == render(), f"{name} is out of date: run python -m gateway.config"


def test_the_example_loads_to_the_defaults() -> None:
    assert load(ROOT / "config.example.toml", {}).config == Config()


def test_the_example_with_every_line_active_still_loads(tmp_path: Path) -> None:
    text = re.sub(r"^#(\w+ = |\[\[)", r"\1", render_example(), flags=re.MULTILINE)
    # A relay and a rule that say nothing are refused: these have no default.
    for empty, said in ('name = ""', 'name = "n"'), ("hosts = []", 'hosts = ["h"]'), ('via = ""', 'via = "n"'):
        head, table, rest = text.partition("[[relays]]")
        text = head + table + rest.replace(f"\n{empty}", f"\n{said}", 1)
    path = tmp_path / "config.toml"
    path.write_text(text)
    config = load(path, {}).config
    # The default data directory counts from the working directory, one in a file from the file.
    assert config.store.data_dir == tmp_path / "data"
    extra = {"relays": (NamedRelay(name="n", hosts=("h",)),), "route": (RouteRule(via="n"),)}
    assert dataclasses.replace(config, store=Config().store) == dataclasses.replace(Config(), **extra)


def test_every_setting_is_documented_and_in_both_files() -> None:
    for name, section, repeated in settings_of(Config):
        assert section.__doc__
        assert f"## `{'[[' if repeated else '['}{name}" in render_manual()
        for field in fields_of(section):
            assert field.setting.doc.endswith("."), f"{name}.{field.name}"
            assert f"| `{field.key}` |" in render_manual()
            assert re.search(rf"^#?{field.key} = ", render_example(), re.MULTILINE)


def test_a_secret_is_hidden_and_never_in_a_repr() -> None:
    assert SECRET not in repr(PRIVATE) + show(PRIVATE) + str(as_dict(PRIVATE))
    assert as_dict(PRIVATE)["relay"]["secret"] == "***"
    assert as_dict(PRIVATE)["store"]["url"] == "postgresql://me:***@db/mail"
    assert as_dict(Config())["relay"]["secret"] == ""


def test_a_password_in_a_query_is_hidden() -> None:
    config = Config(store=Store(url=Secret(f"postgresql://db/mail?password={SECRET}")))
    assert as_dict(config)["store"]["url"] == "postgresql://db/mail?***"
    plain = Config(store=Store(url=Secret("postgresql:///mail")))
    assert as_dict(plain)["store"]["url"] == "postgresql:///mail"


def test_show_is_toml_of_the_effective_values() -> None:
    shown = tomllib.loads(show(PRIVATE))
    assert shown == {name: _without_none(value) for name, value in as_dict(PRIVATE).items() if value != []}


def _without_none(value):  # type: ignore[no-untyped-def]
    if isinstance(value, list):
        return [_without_none(item) for item in value]
    return {key: "" if item is None else item for key, item in value.items()}


def test_changes_say_what_a_reload_takes() -> None:
    new = Config(log=Log(level="debug"), server=Server(hostname="other"), relay=Relay(host="h", user="u",
                                                                                     secret=Secret(SECRET)))
    found = {change.key: change for change in changes(Config(), new)}
    assert found["log.level"].reloadable
    assert (found["log.level"].old, found["log.level"].new) == ("info", "debug")
    assert not found["server.hostname"].reloadable
    assert found["relay.secret"].new == "***"
    assert set(found) == {"log.level", "server.hostname", "relay.host", "relay.user", "relay.secret"}
    assert changes(new, new) == ()


def test_changes_of_listeners_need_a_restart() -> None:
    one = Config(listener=(Listener(port=1),))
    two = Config(listener=(Listener(port=2),))
    assert [(change.key, change.reloadable) for change in changes(one, two)] == [("listener.0.port", False)]
    assert [(change.key, change.old, change.new) for change in changes(one, Config())] == [("listener", 1, 4)]


def test_routes_come_and_go_by_a_reload() -> None:
    new = Config(
        relays=(NamedRelay(name="n", hosts=("h",), user="u", secret=Secret(SECRET)),),
        route=(RouteRule(from_=("a@b",), via="n"),),
    )
    assert [(change.key, change.old, change.new, change.reloadable) for change in changes(Config(), new)] == [
        ("relays", 0, 1, True), ("route", 0, 1, True),
    ]  # fmt: skip
    assert reloaded(Config(), new) == new
    other = dataclasses.replace(new, route=(RouteRule(from_=("c@d",), via="n"),))
    assert [(change.key, change.new) for change in changes(new, other)] == [("route.0.from", ["c@d"])]
    assert SECRET not in show(new) + str(as_dict(new))
    assert as_dict(new)["route"] == [{"from": ["a@b"], "to": [], "via": "n"}]


def test_reloaded_takes_only_what_may_change() -> None:
    new = Config(log=Log(level="debug"), server=Server(hostname="other", shutdown=1), listener=(Listener(port=1),))
    result = reloaded(Config(), new)
    assert result.log.level == "debug"
    assert result.server == Server(hostname="localhost", shutdown=1)
    assert result.listener == Config().listener
    assert not any(change.reloadable for change in changes(result, new))


def test_plaintext_login() -> None:
    assert not plaintext_login(Listener(security="starttls"))
    assert plaintext_login(Listener(security="starttls", allow_plaintext=True))
    assert plaintext_login(Listener(security="none", address="127.0.0.1"))
    assert not plaintext_login(Listener(security="tls", address="127.0.0.1"))
