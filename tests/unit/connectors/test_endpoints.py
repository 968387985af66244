"""Options become the servers they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.connectors.endpoints import imap_endpoint, smtp_endpoint
from gateway.connectors.given import from_tables
from gateway.connectors.options import Options
from gateway.connectors.presets import PRESETS
from gateway.connectors.resolve import resolve
from gateway.fields.values import Source
from gateway.outbound.login import Mechanism
from gateway.outbound.proxy import ProxyKind
from gateway.outbound.tls import Security

SIZE = 64 * 1024 * 1024


def options(provider: str = "custom", **sections: dict[str, Any]) -> Options:
    return resolve(from_tables(sections, Source("a table", Path(), {})), provider, "me@corp.example")


def test_everything_that_is_said_of_a_server_arrives() -> None:
    pin = "AB:" * 31 + "AB"
    said = {
        "host": "mail.corp.example", "port": 1000, "security": "starttls", "user": "me", "mechanism": "login",
        "tls_min": "1.1", "tls_max": "1.2", "min_dh_bits": 1024, "pins": [pin], "pin_only": True,
        "allow_private": True, "proxy": "socks5h://who@proxy.example:1080", "proxy_secret": "open", "local_name": "us",
    }  # fmt: skip
    made = options(imap=said, smtp=said)
    ends = imap_endpoint(made.imap, "pw", token=False, max_message=SIZE), smtp_endpoint(
        made.smtp, "pw", token=False, hostname="gateway.example"
    )
    for end in ends:
        assert (end.host, end.port, end.allow_private) == ("mail.corp.example", 1000, True)
        assert end.tls.security is Security.STARTTLS
        assert (end.tls.min_version, end.tls.max_version, end.tls.min_dh_bits) == ("1.1", "1.2", 1024)
        assert (end.tls.pins, end.tls.pin_only) == (("ab" * 32,), True)
        assert end.login is not None
        assert (end.login.user, end.login.secret, end.login.mechanism) == ("me", "pw", Mechanism.LOGIN)
        assert end.proxy is not None
        assert (end.proxy.kind, end.proxy.host, end.proxy.port) == (ProxyKind.SOCKS5, "proxy.example", 1080)
        assert (end.proxy.user, end.proxy.secret, end.proxy.remote_names) == ("who", "open", True)
    assert ends[0].limits.message == SIZE
    assert ends[1].helo == "us"


def test_further_mechanisms_follow_the_first() -> None:
    made = options(imap={"host": "a.example", "mechanism": ["cram-md5", "plain", "auto"]}, smtp={"mechanism": []})
    login = imap_endpoint(made.imap, "pw", token=False, max_message=SIZE).login
    assert (login.mechanism, login.others) == (Mechanism.CRAM_MD5, (Mechanism.PLAIN, Mechanism.AUTO))
    other = smtp_endpoint(made.smtp, "pw", token=False, hostname="gateway.example").login
    assert other is not None
    assert (other.mechanism, other.others) == (Mechanism.AUTO, ())


def test_a_sender_without_a_secret_does_not_log_in() -> None:
    made = options(smtp={"host": "smtp.corp.example"})
    end = smtp_endpoint(made.smtp, "", token=False, hostname="gateway.example")
    assert end.login is None
    assert end.helo == "gateway.example"


def test_a_token_is_said_to_be_one() -> None:
    made = options("google")
    assert imap_endpoint(made.imap, "ya29", token=True, max_message=SIZE).login.is_token


@pytest.mark.parametrize("provider", PRESETS)
def test_every_preset_makes_servers(provider: str) -> None:
    made = options(provider, imap={"host": "a.example"}, smtp={"host": "b.example"})
    assert imap_endpoint(made.imap, "x", token=False, max_message=SIZE).tls.context()
    assert smtp_endpoint(made.smtp, "x", token=False, hostname="us").tls.context()
