"""gateway queue route: the way of two addresses beside a running server, without one, and after a reload."""

from __future__ import annotations

import json
import smtplib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.clients.test_command_line import wait_for_log
from tests.support.gateway import HOST, Gateway, running

SETTINGS = """
[relay]
host = "127.0.0.1"
port = 9
security = "none"
allow_private = true
[[relays]]
name = "inside"
hosts = ["127.0.0.1:9", "[::1]:9"]
security = "none"
allow_private = true
user = "me"
secret = "hidden-7f3a"
[[route]]
to = ["inside.test", ".inside.test"]
via = "inside"
[[route]]
from = ["hold@mail.test"]
via = "hold"
[[route]]
to = ["away.test"]
via = "discard"
[[route]]
to = ["nobody.test"]
via = "local"
[[route]]
to = ["account.test"]
via = "connector"
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(Gateway(tmp_path_factory.mktemp("routes"), SETTINGS, readers=0)) as one:
        one.inbox("ann@mail.test")
        one.run("address", "add", "alias@mail.test", "--inbox", "ann@mail.test")
        one.inbox("all@catch.test")
        one.run("address", "add", "@catch.test", "--inbox", "all@catch.test")
        yield one


def way(gateway: Gateway, sender: str, recipient: str) -> dict[str, Any]:
    found: dict[str, Any] = gateway.json("queue", "route", sender, recipient)
    return found


CASES = [
    ("ann@mail.test", "eve@elsewhere.test", {"way": "relay", "relay": "relay", "hosts": ["127.0.0.1:9 (none)"],
                                             "why": "No rule is for it: the relay of section relay"}),
    ("ann@mail.test", "eve@a.Inside.test", {"way": "relay", "relay": "inside", "rule": 1, "to": ".inside.test",
                                            "hosts": ["127.0.0.1:9 (none)", "[::1]:9 (none)"]}),
    ("hold@mail.test", "eve@elsewhere.test", {"way": "hold", "rule": 2, "from": "hold@mail.test", "to": "*"}),
    ("<>", "eve@away.test", {"sender": "<>", "way": "discard", "rule": 3}),
    ("ann@mail.test", "eve@nobody.test", {"way": "refused", "reply": "550 5.1.1", "rule": 4}),
    ("ann@mail.test", "eve@account.test", {"way": "connector", "rule": 5}),
    ("eve@x.test", "Ann+tag@mail.test", {"way": "inbox", "inbox": "ann@mail.test",
                                         "why": "ann@mail.test is the inbox's own address"}),
    ("eve@x.test", "alias@mail.test", {"way": "inbox", "inbox": "ann@mail.test", "why": "alias@mail.test is an alias"}),
    ("eve@x.test", "any@catch.test", {"way": "inbox", "inbox": "all@catch.test",
                                      "why": "@catch.test is the catch-all of the domain"}),
    ("eve@x.test", "no@mail.test", {"way": "refused", "reply": "550 5.1.1",
                                    "why": "mail.test is delivered here, and no inbox has this address"}),
]  # fmt: skip


@pytest.mark.parametrize(("sender", "recipient", "expected"), CASES)
def test_the_way_of_two_addresses(house: Gateway, sender: str, recipient: str, expected: dict[str, Any]) -> None:
    found = way(house, sender, recipient)
    assert {key: found.get(key) for key in expected} == expected
    shown = house.run("queue", "route", sender, recipient)
    assert found["way"] in shown
    assert found["why"] in shown
    assert "hidden" not in shown


@pytest.mark.parametrize(("sender", "recipient"), [("ann", "eve@x.test"), ("ann@mail.test", "eve"), ("", "@x")])
def test_what_is_no_address(house: Gateway, sender: str, recipient: str) -> None:
    done = house.cli("queue", "route", sender, recipient)
    assert done.returncode == 1
    assert "is no e-mail address" in done.stderr


def test_acceptance_says_the_same(house: Gateway) -> None:
    """Refused, or taken to be held and thrown away: at RCPT, as the rule says. Nothing is relayed for strangers."""
    address, key = house.inbox("sender@mail.test")
    with house.smtp(address, key) as client:
        client.mail(address)
        assert client.rcpt("eve@nobody.test") == (550, b"5.1.1 No such mailbox here")
        assert client.rcpt("eve@account.test") == (550, b"5.7.1 This inbox has no connector")
        assert client.rcpt("eve@away.test")[0] == 250
        assert client.rcpt("eve@elsewhere.test")[0] == 250


def test_a_reload_changes_the_way(make_gateway: Callable[..., Gateway]) -> None:
    gateway = make_gateway("")
    gateway.start()
    gateway.inbox("ann@mail.test")
    pair = ("ann@mail.test", "eve@elsewhere.test")
    assert way(gateway, *pair)["reply"] == "550 5.7.1"
    gateway.settings = '[[route]]\nto = ["elsewhere.test"]\nvia = "discard"\n'
    gateway.configure()
    wait_for_log(gateway, "app.reloaded")
    assert way(gateway, *pair)["way"] == "discard"
    gateway.stop()
    assert way(gateway, *pair)["way"] == "discard", "without a server too"


def test_an_open_relay_it_is_not(house: Gateway) -> None:
    """RFC 6409: nobody sends without a login, whatever the addresses, and nobody as somebody else."""
    for sender, recipient in (
        ("eve@elsewhere.test", "bob@elsewhere.test"), ("ann@mail.test", "bob@elsewhere.test"),
        ("", "bob@elsewhere.test"), ("ann@mail.test", "ann@mail.test"),
        ("ann@mail.test", "bob%elsewhere.test@mail.test"), ("ann@mail.test", "@mail.test:bob@elsewhere.test"),
    ):  # fmt: skip
        with smtplib.SMTP_SSL(HOST, house.smtps, context=house.tls(), timeout=30) as client:
            client.ehlo()
            assert client.docmd("MAIL", f"FROM:<{sender}>")[0] == 530
            assert client.docmd("RCPT", f"TO:<{recipient}>")[0] in (503, 530)
            assert client.docmd("DATA")[0] in (503, 530)
    address, key = house.inbox("relay-test@mail.test")
    with house.smtp(address, key) as client:
        for sender in ("eve@elsewhere.test", "ann@mail.test", "bob%elsewhere.test@mail.test"):
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail(sender, ["bob@elsewhere.test"], "From: x@y\r\n\r\nx")
        for recipient in ("b%elsewhere.test@mail.test", '"b@elsewhere.test"@mail.test', "elsewhere.test!b@mail.test"):
            client.mail(address)
            assert client.rcpt(recipient)[0] in (550, 553, 501), "a path through us is no address here"
            client.rset()


def test_doctor_looks_at_every_host(house: Gateway) -> None:
    """One host of several that is down is a warning, for mail goes on; the only one is a problem."""
    done = house.cli("doctor", "--json")
    rows = [row for row in json.loads(done.stdout) if row["area"].startswith("relay ")]
    found = sorted((row["area"], row["level"]) for row in rows)
    assert found == [
        ("relay 127.0.0.1", "problem"), ("relay 127.0.0.1", "warning"), ("relay ::1", "warning"),
    ]  # fmt: skip
    assert all('section [[relays]] "inside"' in row["remedy"] for row in rows if row["level"] == "warning")
    assert "hidden" not in done.stdout + done.stderr
