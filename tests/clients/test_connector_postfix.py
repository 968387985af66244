"""An account of a real server for both ways: Debian's Postfix takes what it sends, Dovecot has its mailboxes."""

from __future__ import annotations

import email
import email.policy
import imaplib
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_connector_sync import at
from tests.servers.dovecot import Dovecot, running_dovecot
from tests.servers.postfix import Postfix, start_postfix
from tests.servers.process import PeerMissing, free_port, wait_for
from tests.support.gateway import Gateway

_POSTFIX = """
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{auth}
smtpd_sasl_authenticated_header = yes
smtpd_tls_auth_only = yes
smtpd_tls_received_header = yes
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
smtpd_relay_restrictions = permit_sasl_authenticated, reject
lmtp_tls_security_level = none
transport_maps = inline:{{ {{ gone.test = local: }}, {{ * = lmtp:inet:127.0.0.1:{lmtp} }} }}
"""
"""Only who logs in may send, and only over TLS; all mail ends in Dovecot, but for a domain where nobody is."""


@dataclass
class Provider:
    """`smtp.elsewhere.test` and `imap.elsewhere.test`, as it were."""

    dovecot: Dovecot
    postfix: Postfix


@pytest.fixture(scope="module")
def provider(missing: Callable[[str], None]) -> Iterator[Provider]:
    try:
        auth = free_port()
        listener = f"service auth {{\n  inet_listener {{\n    address = 127.0.0.1\n    port = {auth}\n  }}\n}}\n"
        with (
            running_dovecot(f"auth_mechanisms = plain login\n{listener}") as dovecot,
            tempfile.TemporaryDirectory(prefix="postfix-", ignore_cleanup_errors=True) as queue,
        ):
            postfix = start_postfix(Path(queue), _POSTFIX.format(auth=auth, lmtp=dovecot.lmtp))
            try:
                yield Provider(dovecot, postfix)
            finally:
                postfix.stop()
    except PeerMissing as absent:
        missing(str(absent))


@pytest.fixture
def account() -> str:
    return f"{uuid.uuid4().hex[:8]}@elsewhere.test"


def connect(gateway: Gateway, provider: Provider, account: str, *more: str) -> None:
    dovecot, postfix = provider.dovecot, provider.postfix
    gateway.run(
        "connector", "add", "work", "--email", account, "--inbox", gateway.address, "--imap-host", "localhost",
        "--smtp-host", "localhost", "--secret", dovecot.password,
        "--set", f"imap.port={dovecot.imaps}", "--set", f"imap.ca={dovecot.ca}", "--set", "imap.allow_private=yes",
        "--set", f"smtp.ca={postfix.ca}", "--set", "smtp.allow_private=yes", *more,
    )  # fmt: skip


TLS = ("--set", "smtp.security=tls", "--set", "smtp.port={0.postfix.smtps}")
STARTTLS = ("--set", "smtp.security=starttls", "--set", "smtp.port={0.postfix.smtp}")


def send(gateway: Gateway, sender: str, to: str, subject: str) -> None:
    with gateway.smtp() as smtp:
        text = f"From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\nMessage-ID: <{uuid.uuid4()}@test>\r\n\r\nbody\r\n"
        smtp.sendmail(sender, [to], text)


def routed(gateway: Gateway, account: str) -> None:
    wait_for(lambda: gateway.json("queue", "route", account, "you@third.test")["way"] == "connector", "the route")


def only_message(imap: imaplib.IMAP4, *search: str) -> Any:
    """The one message of INBOX that is found, once it is there."""
    imap.select("INBOX", readonly=True)
    wait_for(lambda: imap.noop()[0] == "OK" and imap.search(None, *search)[1] != [b""], " ".join(search))
    [number] = imap.search(None, *search)[1][0].split()
    octets: Any = imap.fetch(number, "(BODY.PEEK[])")[1][0]
    return email.message_from_bytes(octets[1], policy=email.policy.default)


@pytest.mark.parametrize("security", [TLS, STARTTLS], ids=["tls", "starttls"])
def test_mail_goes_through_it_with_tls_and_a_login(
    make_gateway: Callable[..., Gateway], provider: Provider, account: str, security: tuple[str, ...]
) -> None:
    gateway, receiver = make_gateway(), f"{uuid.uuid4().hex[:8]}@third.test"
    gateway.start()
    connect(gateway, provider, account, *(one.format(provider) for one in security))
    routed(gateway, account)
    send(gateway, account, receiver, "one")
    with at(provider.dovecot, receiver) as there:
        message = only_message(there, "SUBJECT", "one")
    received = [line for line in message.get_all("Received") if "peer.test" in line]
    assert any(f"Authenticated sender: {account}" in line and "using TLSv1." in line for line in received), received
    assert message["Return-Path"] == f"<{account}>"
    wait_for(lambda: gateway.json("connector", "events", "work", "--kind", "send"), "the event")
    [event] = gateway.json("connector", "events", "work", "--kind", "send")
    assert (event["status"], event["failure"]) == ("SUCCESS", None)
    gateway.stop()


def test_what_bounces_there_comes_back_to_the_inbox(
    make_gateway: Callable[..., Gateway], provider: Provider, account: str
) -> None:
    """Taken by the account's server and refused behind it: its report is mail of the account like any other."""
    gateway = make_gateway()
    gateway.start()
    connect(gateway, provider, account, *(one.format(provider) for one in TLS))
    routed(gateway, account)
    wait_for(lambda: gateway.json("connector", "show", "work")["state"] == "live", "the push")
    send(gateway, account, "nobody-is-here@gone.test", "two")
    with gateway.imap() as here:
        report = only_message(here, "FROM", "MAILER-DAEMON@peer.test")
    assert report.get_content_type() == "multipart/report"
    status = next(part for part in report.walk() if part.get_content_type() == "message/delivery-status")
    assert "nobody-is-here@gone.test" in status.as_string()
    assert "5.1.1" in status.as_string()
    gateway.stop()


def test_a_login_that_is_refused_sends_nothing(
    make_gateway: Callable[..., Gateway], provider: Provider, account: str
) -> None:
    gateway, receiver = make_gateway(), f"{uuid.uuid4().hex[:8]}@third.test"
    gateway.start()
    connect(gateway, provider, account, *(one.format(provider) for one in TLS), "--set", "smtp.secret=wrong")
    routed(gateway, account)
    send(gateway, account, receiver, "three")
    wait_for(lambda: gateway.json("connector", "events", "work", "--kind", "send"), "the event")
    event = gateway.json("connector", "events", "work", "--kind", "send")[0]
    assert (event["status"], event["failure"]) == ("FAILED", "auth_rejected")
    gateway.stop()
