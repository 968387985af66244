"""A real login and a real message through the ports, with a key that lives a few minutes."""

from __future__ import annotations

import imaplib
import re
import smtplib
import ssl
import time
import uuid
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from typing import Any, Final

from gateway.app.settings import ca_file
from gateway.config import Config, Listener

from .checks import reach
from .findings import Finding, problem, well

Call = Callable[..., Any]
"""Runs an operation: name, then keyword parameters."""

TIMEOUT_S: Final = 10.0
ARRIVAL_S: Final = 10.0
KEY_LIFE_S: Final = 600

_LISTED: Final = re.compile(rb'\((?P<attributes>[^)]*)\) (?:NIL|"(?:[^"\\]|\\.)*") (?P<name>.*)')


def check_mail(config: Config, call: Call, address: str, now: float) -> Iterator[Finding]:
    """Log in on each port as `address`, send a message to it, see it arrive, take it away again.

    The key is revoked at the end, and expires by itself should we die in between.
    """
    made = call(
        "key.create", inbox=address, name="gateway doctor", expires=int(now) + KEY_LIFE_S,
        permissions=["read", "write", "send"],
    )
    try:
        yield from _with_key(config, address, made["key"])
    finally:
        call("key.revoke", key_id=made["id"])


def _with_key(config: Config, address: str, key: str) -> Iterator[Finding]:
    trust = _trust(config)
    token = f"gateway-doctor-{uuid.uuid4()}"
    sent = False
    for listener in config.listener:
        if listener.kind != "submission" or not _open_to_us(listener):
            continue
        area = f"port {listener.port}"
        try:
            with _smtp(config, listener, trust) as smtp:
                smtp.login(address, key)
                first = not sent
                if first:
                    smtp.send_message(_message(address, token))
                    sent = True
            yield well(area, f"{address} logs in" + (" and sends a message" if first else ""))
        except (OSError, smtplib.SMTPException) as error:
            yield problem(area, f"submission as {address} failed: {_said(error)}", _remedy(error, config))
    for listener in config.listener:
        if listener.kind != "imap" or not _open_to_us(listener):
            continue
        area = f"port {listener.port}"
        try:
            client = _imap(config, listener, trust)
            try:
                client.login(address, key)
                yield well(area, f"{address} logs in")
                if sent:
                    yield _arrival(client, token, area)
                    sent = False
            finally:
                client.shutdown()
        except (OSError, imaplib.IMAP4.error) as error:
            yield problem(area, f"IMAP as {address} failed: {_said(error)}", _remedy(error, config))


def _open_to_us(listener: Listener) -> bool:
    """A port behind proxies takes nobody else, and one without TLS no key of ours."""
    return listener.security != "none" and not listener.proxy_networks


def _trust(config: Config) -> ssl.SSLContext:
    """As a mail program that was told of our CA: certificate and name are checked."""
    ca = ca_file(config)
    return ssl.create_default_context(cafile=str(ca) if ca is not None else None)


class _Imap(imaplib.IMAP4):
    """Connects to this machine, and checks the certificate for the name that clients use."""

    def __init__(self, config: Config, listener: Listener, trust: ssl.SSLContext) -> None:
        self._trust = trust
        self._name = config.server.hostname
        self._implicit = listener.security == "tls"
        super().__init__(reach(listener), listener.port, TIMEOUT_S)

    def _create_socket(self, timeout: float | None) -> Any:
        sock = super()._create_socket(timeout)  # type: ignore[misc]
        return self._trust.wrap_socket(sock, server_hostname=self._name) if self._implicit else sock


def _imap(config: Config, listener: Listener, trust: ssl.SSLContext) -> imaplib.IMAP4:
    client = _Imap(config, listener, trust)
    if listener.security == "starttls":
        client.host = config.server.hostname  # the name that starttls checks
        client.starttls(trust)
    return client


class _ImplicitSmtp(smtplib.SMTP):
    """As `_Imap`."""

    def __init__(self, config: Config, listener: Listener, trust: ssl.SSLContext) -> None:
        self._trust = trust
        self._name = config.server.hostname
        super().__init__(reach(listener), listener.port, timeout=TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> Any:
        sock = super()._get_socket(host, port, timeout)  # type: ignore[misc]
        return self._trust.wrap_socket(sock, server_hostname=self._name)


def _smtp(config: Config, listener: Listener, trust: ssl.SSLContext) -> smtplib.SMTP:
    if listener.security == "tls":
        return _ImplicitSmtp(config, listener, trust)
    client = smtplib.SMTP(reach(listener), listener.port, timeout=TIMEOUT_S)
    client._host = config.server.hostname  # type: ignore[attr-defined]  # the name that starttls checks
    client.starttls(context=trust)
    return client


def _message(address: str, token: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = message["To"] = address
    message["Subject"] = "gateway doctor"
    message["Message-ID"] = f"<{token}@doctor.invalid>"
    message.set_content("A check of the mail gateway. It is removed by itself.\n")
    return message


def _arrival(client: imaplib.IMAP4, token: str, area: str) -> Finding:
    """Wait until the message is in INBOX; take it out of there and of the sent mail."""
    end = time.monotonic() + ARRIVAL_S
    arrived = False
    client.select("INBOX")
    while not arrived and time.monotonic() < end:
        arrived = _remove(client, token)
        if not arrived:
            time.sleep(0.2)  # polling a server: NOOP is all that this client has
            client.noop()
    sent = _with_role(client, b"\\Sent")
    if sent is not None and client.select(sent)[0] == "OK":  # type: ignore[arg-type]  # octets go as they are
        _remove(client, token)
    if arrived:
        return well(area, "the message arrived, and was removed again")
    return problem(area, f"the message did not arrive within {ARRIVAL_S:g} s", "look into the server's log")


def _with_role(client: imaplib.IMAP4, role: bytes) -> bytes | None:
    """The mailbox with this special use (RFC 6154), whatever its name, as a command takes it."""
    for row in client.list()[1]:
        line, literal = row if isinstance(row, tuple) else (row, None)
        found = _LISTED.fullmatch(line or b"")
        if found is not None and role in found["attributes"].split():
            return found["name"] if literal is None else b'"%b"' % re.sub(rb'(["\\])', rb"\\\1", literal)
    return None


def _remove(client: imaplib.IMAP4, token: str) -> bool:
    """Remove the message with this Message-ID from the selected mailbox; whether it was there."""
    uids = b" ".join(part for part in client.uid("SEARCH", "HEADER", "Message-ID", token)[1] if part).split()
    for uid in uids:
        client.uid("STORE", uid.decode(), "+FLAGS.SILENT", r"(\Deleted)")
        client.uid("EXPUNGE", uid.decode())
    return bool(uids)


def _said(error: Exception) -> str:
    """What the server answered, or what the network did, on one line."""
    text = str(error)
    if isinstance(error, smtplib.SMTPResponseException):
        answer = error.smtp_error
        text = f"{error.smtp_code} {answer.decode('utf-8', 'replace') if isinstance(answer, bytes) else answer}"
    return " ".join(text.split())[:300]


def _remedy(error: Exception, config: Config) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        if config.tls.certificate is not None and config.tls.ca is None:
            return "the certificate must be signed by a public CA and have its chain; or name your CA in tls.ca"
        return "see the findings about the certificate"
    if isinstance(error, ConnectionRefusedError | TimeoutError):
        return "start the server; if it runs, look into its log"
    return "look into the server's log"
