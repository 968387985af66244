"""HTTP on the wire, octet by octet: what is no request, what would be two, what never ends, and what comes too late."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.support.api import Api
from tests.support.gateway import HOST, Gateway

from .conftest import admin_key
from .mail import letter

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""
Make = Callable[..., Api]


@pytest.fixture
def wire(gateway: Gateway) -> Iterator[ssl.SSLSocket]:
    plain = socket.create_connection((HOST, gateway.web), timeout=60)
    with gateway.tls().wrap_socket(plain, server_hostname=HOST) as opened:
        yield opened


def all_of(wire: ssl.SSLSocket) -> bytes:
    """What comes until the end; a connection that is cut has one too."""
    found = b""
    with suppress(OSError):
        while octets := wire.recv(65_536):
            found += octets
    return found


def send(wire: ssl.SSLSocket, octets: bytes) -> None:
    """Piece by piece, until the other side has enough."""
    with suppress(OSError):
        for at in range(0, len(octets), 16_384):
            wire.sendall(octets[at : at + 16_384])


def head(gateway: Gateway, line: str, *fields: str) -> bytes:
    return "\r\n".join([line, "Host: x", f"Authorization: Bearer {admin_key(gateway)}", *fields, "", ""]).encode()


def made(address: str) -> bytes:
    return json.dumps({"address": address}).encode()


def inboxes(api: Make) -> set[str]:
    return {each["address"] for each in api().get("/api/v1/inboxes")["items"]}


BODY = made("smuggled@mail.test")
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)


@pytest.mark.parametrize("fields", [
    (f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"),
    ("Transfer-Encoding: chunked", f"Content-Length: {len(CHUNKED)}"),
    (f"Content-Length: {len(BODY)}", "Content-Length: 5"),
    ("Transfer-Encoding: chunked, identity",),
    ("Transfer-Encoding: xchunked",),
    ("Transfer-Encoding : chunked",),
    ("Content-Length: +5",),
    ("Content-Length: -1",),
    ("Content-Length: 99999999999999999999999",),
    ("X-Folded: a", " Transfer-Encoding: chunked"),
    ("X-Null: a\0b",),
], ids=lambda fields: fields[0])  # fmt: skip
def test_what_two_servers_would_read_differently_is_refused(
    gateway: Gateway, api: Make, wire: ssl.SSLSocket, fields: tuple[str, ...]
) -> None:
    wire.sendall(head(gateway, "POST /api/v1/inboxes HTTP/1.1", "Content-Type: application/json", *fields) + CHUNKED)
    answered = all_of(wire)
    assert answered.startswith(b"HTTP/1.1 400 "), answered
    assert b"application/problem+json" in answered
    assert answered.count(b"HTTP/1.1 ") == 1
    assert "smuggled@mail.test" not in inboxes(api)


def test_what_comes_behind_the_last_answer_is_not_carried_out(
    gateway: Gateway, api: Make, wire: ssl.SSLSocket
) -> None:
    """RFC 9112 9.6, however late or early it comes."""
    later = made("later@mail.test")
    second = head(gateway, "POST /api/v1/inboxes HTTP/1.1", f"Content-Length: {len(later)}") + later
    wire.sendall(head(gateway, "GET /api/v1/me HTTP/1.1", "Connection: close") + second)
    first = http.client.HTTPResponse(wire)
    first.begin()
    assert (first.status, first.getheader("connection")) == (200, "close")
    first.read()
    send(wire, second)
    assert all_of(wire) == b""
    assert "later@mail.test" not in inboxes(api)


def test_what_is_no_http_is_told_so(wire: ssl.SSLSocket) -> None:
    wire.sendall(b"\x00\x01\x02\r\n\r\n")
    assert all_of(wire).startswith(b"HTTP/1.1 400 ")


def test_requests_in_a_row_are_answered_in_order(gateway: Gateway, wire: ssl.SSLSocket) -> None:
    names = ["me", "inboxes", "keys", "queue"] * 10
    wire.sendall(b"".join(head(gateway, f"GET /api/v1/{name} HTTP/1.1") for name in names))
    reader = wire.makefile("rb")
    for name in names:
        status = reader.readline()
        assert status.startswith(b"HTTP/1.1 200 ")
        fields = http.client.parse_headers(reader)
        answer = json.loads(reader.read(int(fields["content-length"])))
        assert ("items" in answer) == (name != "me")


@pytest.mark.parametrize("endless", [
    b"GET /" + b"x" * 200_000, b"GET / HTTP/1.1\r\nX-A: " + b"y" * 200_000, b"\r\n" * 100_000,
    b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 40_000,
], ids=["path", "field", "blank lines", "fields"])  # fmt: skip
def test_a_head_without_end_is_told_so(gateway: Gateway, wire: ssl.SSLSocket, endless: bytes) -> None:
    send(wire, endless)
    answered = all_of(wire)
    assert answered.startswith(b"HTTP/1.1 431 "), answered
    assert json.loads(answered.partition(b"\r\n\r\n")[2])["code"] == "head_too_large"


@pytest.mark.parametrize(
    ("begin", "more"), [(b"0\r\n", b"A: b\r\n"), (b"0\r\nA: ", b"x"), (b"1;", b"x")],
    ids=["trailers", "one trailer", "chunk extension"],
)
def test_what_stands_behind_a_body_has_an_end(
    gateway: Gateway, wire: ssl.SSLSocket, begin: bytes, more: bytes
) -> None:
    """Nobody keeps it in memory, and it does not count as a body."""
    wire.sendall(head(gateway, "POST /api/v1/inboxes HTTP/1.1", "Transfer-Encoding: chunked") + begin)
    send(wire, more * (1_000_000 // len(more)))
    assert all_of(wire).startswith(b"HTTP/1.1 431 ")


def test_a_stream_holds_events_only(gateway: Gateway, api: Make, wire: ssl.SSLSocket) -> None:
    """What is no request, while one is answered, ends the connection; no other answer stands in its midst."""
    address, _ = gateway.inbox("streamed@mail.test")
    wire.sendall(head(gateway, f"GET /api/v1/inboxes/{address}/events HTTP/1.1"))
    begun = wire.recv(65_536)
    assert begun.startswith(b"HTTP/1.1 200 ")
    api().ask("POST", f"/api/v1/inboxes/{address}/messages", octets=letter(), content_type="message/rfc822")
    while b"event: message." not in begun:
        begun += wire.recv(65_536)
    wire.sendall(b"\0\1\2 no request\r\n\r\n")
    assert (begun + all_of(wire)).count(b"HTTP/1.1 ") == 1
