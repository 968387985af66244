"""Named relays and routes in the file: what they may say, and one clear line for what cannot work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, Secret, host_port, load
from gateway.fields.checks import are_host_ports

ROOT = Path(__file__).parents[3]
RELAYS = """
[relay]
host = "relay.example"
[[relays]]
name = "inside"
hosts = ["a.example", "b.example:2525", "[::1]:26"]
security = "none"
allow_private = true
"""


def loaded(directory: Path, text: str, **environ: str) -> Config:
    path = directory / "config.toml"
    path.write_text(text)
    return load(path, environ).config


def test_the_keys_are_from_to_via(tmp_path: Path) -> None:
    config = loaded(tmp_path, RELAYS + """
[[route]]
from = ["ann@example.org", "<>", ".example.org"]
to = ["*"]
via = "inside"
[[route]]
to = ["example.net"]
via = "hold"
""")
    assert [(rule.from_, rule.to, rule.via) for rule in config.route] == [
        (("ann@example.org", "<>", ".example.org"), ("*",), "inside"), ((), ("example.net",), "hold"),
    ]  # fmt: skip
    assert config.relays[0].hosts == ("a.example", "b.example:2525", "[::1]:26")


def test_the_environment_changes_a_relay_of_the_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, RELAYS.replace('"none"', '"tls"'), GATEWAY_RELAYS__0__USER="me",
                    GATEWAY_RELAYS__0__SECRET="hidden")
    assert (config.relays[0].user, config.relays[0].secret) == ("me", Secret("hidden"))
    with pytest.raises(ConfigError, match="there is no relays in the file"):
        loaded(tmp_path, "", GATEWAY_RELAYS__0__USER="me")


@pytest.mark.parametrize(("text", "reason"), [
    ('[[route]]\nvia = "insde"', 'route.0.via: there is no relay "insde"; it may be one of "inside", "relay", "local", '
     '"connector", "hold", "discard"'),
    ('[[route]]\nto = ["x.example"]', "route.0.via: is missing; a rule without a way says nothing"),
    ('[[route]]\nto = ["<>"]\nvia = "hold"', 'route.0.to: "<>" is no recipient'),
    ('[[route]]\nto = ["X.example"]\nvia = "hold"\n[[route]]\nto = ["x.example"]\nvia = "discard"',
     "route.1: route.0 is already for mail from * to x.example"),
    ('[[route]]\nto = ["x example"]\nvia = "hold"', "is no address, no domain, no .domain"),
    ('[[route]]\nto = ["@x.example"]\nvia = "hold"', "is no address, no domain, no .domain"),
    ('[[route]]\nto = ["*.x.example"]\nvia = "hold"', "is no address, no domain, no .domain"),
    ('[[route]]\nfrom = ["a@.x.example"]\nvia = "hold"', "is no address, no domain, no .domain"),
    ('[[route]]\nto = "x.example"\nvia = "hold"', "route.0.to: must be a list of texts"),
    ('[[route]]\nwhom = ["x"]\nvia = "hold"', "route.0.whom: unknown key"),
    ('[[relays]]\nname = "inside"\nhosts = ["h"]', 'relays.1.name: "inside" is already the name of another relay'),
    ('[[relays]]\nname = "hold"\nhosts = ["h"]', 'relays.1.name: "hold" has a meaning of its own in routes'),
    ('[[relays]]\nname = "a b"\nhosts = ["h"]', "is no name of letters, digits, - and _"),
    ('[[relays]]\nhosts = ["h"]', "relays.1.name: is missing"),
    ('[[relays]]\nname = "n"', "relays.1.hosts: needs at least one host"),
    ('[[relays]]\nname = "n"\nhosts = ["h:0"]', "is no host name, and no host:port"),
    ('[[relays]]\nname = "n"\nhosts = ["h:99999999999999999999"]', "is no host name, and no host:port"),
    ('[[relays]]\nname = "n"\nhosts = ["[::1"]', "is no host name, and no host:port"),
    ('[[relays]]\nname = "n"\nhosts = [""]', "is no host name, and no host:port"),
    ('[[relays]]\nname = "n"\nhosts = ["h"]\nuser = "u"', "relays.1.secret: is missing; relays.1.user needs it"),
    ('[[relays]]\nname = "n"\nhosts = ["h"]\nuser = "u"\nsecret = "s"\nsecurity = "none"',
     "relays.1.security: none would send the relay's password readable"),
])  # fmt: skip
def test_what_cannot_work_is_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, RELAYS + text)
    assert reason in str(caught.value)
    assert str(tmp_path / "config.toml") in str(caught.value)


def test_a_rule_for_a_default_relay_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"section .relay. has no host"):
        loaded(tmp_path, '[[route]]\nvia = "relay"')


def test_a_password_in_the_clear_is_for_this_machine_only(tmp_path: Path) -> None:
    login = 'security = "none"\nuser = "u"\nsecret = "s"\n'
    loaded(tmp_path, '[[relays]]\nname = "n"\nhosts = ["127.0.0.1:25", "localhost", "[::1]:25"]\n' + login)
    with pytest.raises(ConfigError, match="readable over the network"):
        loaded(tmp_path, '[[relays]]\nname = "n"\nhosts = ["127.0.0.1:25", "other"]\n' + login)


def test_hosts_with_and_without_ports() -> None:
    assert host_port("a.example", 25) == ("a.example", 25)
    assert host_port("a.example:26", 25) == ("a.example", 26)
    assert host_port("[::1]", 25) == ("::1", 25)
    assert host_port("[::1]:26", 25) == ("::1", 26)
    assert host_port("::1", 25) == ("::1", 25)
    for wrong in ("a:", "a:b", "[::1]26", "1:2:x", "a:٣"):
        assert are_host_ports((wrong,)) == f"{wrong!r} is no host name, and no host:port"


def test_the_examples_of_the_manual_load(tmp_path: Path) -> None:
    """Each on its own, and all of it is meant: a rule that names a relay finds it."""
    blocks = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs" / "sending.md").read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 5
    for block in blocks:
        loaded(tmp_path, re.sub(r'^secret = ".*"', 'secret = "x"', block, flags=re.MULTILINE))
