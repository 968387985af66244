"""Login mechanisms over real TLS: the standard library's client, and one whose TLS shows its exporter."""

from __future__ import annotations

import hashlib
import imaplib
import secrets
import smtplib
import socket
from base64 import b64decode, b64encode
from typing import Any

import pytest
from OpenSSL import SSL

from gateway.wire import sasl_client
from tests.support.gateway import Gateway, free_port


@pytest.fixture(scope="module")
def account(gateway: Gateway) -> tuple[str, str]:
    return gateway.inbox(f"mechanisms@{gateway.hostname}")


def log_in(gateway: Gateway, mechanism: str, exchange: sasl_client.Exchange) -> bytes:
    """imaplib's AUTHENTICATE by a mechanism of ours; imaplib.IMAP4.error when it is refused."""
    client = imaplib.IMAP4_SSL("localhost", gateway.imaps, ssl_context=gateway.tls())
    begun = False

    def answer(challenge: bytes) -> bytes | None:
        nonlocal begun
        if not begun:
            begun = True
            return next(exchange)
        return exchange.send(challenge)

    try:
        return bytes(client.authenticate(mechanism, answer)[1][0])
    finally:
        client.logout()


def test_bearer_tokens(gateway: Gateway, account: tuple[str, str]) -> None:
    address, key = account
    log_in(gateway, "OAUTHBEARER", sasl_client.oauthbearer(address, key, host="localhost", port=gateway.imaps))
    log_in(gateway, "XOAUTH2", sasl_client.xoauth2(address, key))
    for name, exchange in (
        ("OAUTHBEARER", sasl_client.oauthbearer(address, "gw_wrong")),
        ("XOAUTH2", sasl_client.xoauth2(address, "gw_wrong")),
    ):
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            log_in(gateway, name, exchange)


def scram(user: str, key: str, **more: object) -> sasl_client.Exchange:
    return sasl_client.scram_sha_256(user, key, secrets.token_hex(12).encode(), **more)  # type: ignore[arg-type]


def test_scram(gateway: Gateway, account: tuple[str, str]) -> None:
    address, key = account
    second = gateway.new_key("--inbox", address, "--name", "second")
    for each in (key, second):
        log_in(gateway, "SCRAM-SHA-256", scram(address, each))
    for user, wrong, more in (
        (address, key[:-1], {}), (f"nobody@{gateway.hostname}", key, {}), (address, key, {"can_bind": True}),
    ):
        with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
            log_in(gateway, "SCRAM-SHA-256", scram(user, wrong, **more))
    gateway.run("key", "revoke", second)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        log_in(gateway, "SCRAM-SHA-256", scram(address, second))


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "OAUTHBEARER", "XOAUTH2"])
def test_submission_has_them_too(gateway: Gateway, account: tuple[str, str], mechanism: str) -> None:
    """smtplib's AUTH, over both ports; a wrong key is 535 and may be mended."""
    address, key = account

    def begun(secret: str) -> Any:
        exchange = {"XOAUTH2": sasl_client.xoauth2, "OAUTHBEARER": sasl_client.oauthbearer}.get(mechanism, scram)(
            address, secret
        )

        def answer(challenge: bytes | None = None) -> str:
            response = next(exchange) if challenge is None else exchange.send(challenge)
            assert response is not None
            return response.decode()

        return answer

    with smtplib.SMTP_SSL("localhost", gateway.smtps, context=gateway.tls()) as client:
        client.ehlo()
        assert mechanism in client.esmtp_features["auth"].split()
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            client.auth(mechanism, begun("gw_wrong"))
        assert refused.value.smtp_code == 535
        assert client.auth(mechanism, begun(key))[0] == 235
        assert client.docmd("MAIL", f"FROM:<{address}>")[0] == 250
    with smtplib.SMTP("localhost", gateway.submission) as other:
        other.starttls(context=gateway.tls())
        other.ehlo()
        assert other.auth(mechanism, begun(key))[0] == 235


def test_scram_bound_to_the_certificate(gateway: Gateway, account: tuple[str, str]) -> None:
    address, key = account
    with imaplib.IMAP4_SSL("localhost", gateway.imaps, ssl_context=gateway.tls()) as client:
        certificate = client.sock.getpeercert(binary_form=True)
    digest = hashlib.sha256(certificate).digest()
    log_in(gateway, "SCRAM-SHA-256-PLUS", scram(address, key, binding=("tls-server-end-point", digest)))
    other = hashlib.sha256(b"of somebody in the middle").digest()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        log_in(gateway, "SCRAM-SHA-256-PLUS", scram(address, key, binding=("tls-server-end-point", other)))


@pytest.mark.parametrize("starttls", [False, True])
def test_scram_bound_to_the_connection(make_gateway, starttls: bool) -> None:  # type: ignore[no-untyped-def]
    port = free_port()
    gateway = make_gateway(
        f'[[listener]]\nkind = "imap"\nport = {port}\naddress = "127.0.0.1"\nsecurity = "starttls"\n'
    )
    gateway.start()
    address, key = gateway.inbox(f"bound@{gateway.hostname}")
    for good in (True, False):
        connection = Lines(port if starttls else gateway.imaps, starttls=starttls)
        bound = connection.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        exchange = scram(address, key, binding=("tls-exporter", bound if good else bytes(32)))
        answer = next(exchange)
        assert answer is not None
        connection.send(b"a AUTHENTICATE SCRAM-SHA-256-PLUS " + b64encode(answer))
        line = connection.line()
        while line.startswith(b"+ "):
            answer = exchange.send(b64decode(line[2:]))
            assert answer is not None
            connection.send(b64encode(answer))
            line = connection.line()
        assert line.startswith(b"a OK " if good else b"a NO [AUTHENTICATIONFAILED]")
        connection.close()


class Lines:
    """A client over pyOpenSSL, which shows what the standard library hides; past its greeting."""

    def __init__(self, port: int, *, starttls: bool) -> None:
        self._socket = socket.create_connection(("localhost", port), timeout=20)
        self._buffer = b""
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        self.tls = SSL.Connection(context, None)
        self.tls.set_connect_state()
        if starttls:
            assert self._until(self._socket.recv).startswith(b"* OK")
            self._socket.sendall(b"s STARTTLS\r\n")
            assert self._until(self._socket.recv).startswith(b"s OK")
        for _ in range(10):
            try:
                self.tls.do_handshake()
                break
            except SSL.WantReadError:
                self._flush()
                self.tls.bio_write(self._socket.recv(65536))
        self._flush()
        if not starttls:
            self.line()

    def _flush(self) -> None:
        try:
            self._socket.sendall(self.tls.bio_read(65536))
        except SSL.WantReadError:
            return

    def _until(self, receive) -> bytes:  # type: ignore[no-untyped-def]
        while b"\r\n" not in self._buffer:
            self._buffer += receive(65536)
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _receive(self, most: int) -> bytes:
        while True:
            try:
                return self.tls.recv(most)
            except SSL.WantReadError:
                octets = self._socket.recv(most)
                assert octets, "closed"
                self.tls.bio_write(octets)

    def line(self) -> bytes:
        return self._until(self._receive)

    def send(self, line: bytes) -> None:
        self.tls.send(line + b"\r\n")
        self._flush()

    def close(self) -> None:
        self._socket.close()
