"""The door of the HTTP side on the real process: logins, limits, headers, and what goes wrong before any endpoint."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

import pytest

from tests.support.api import Api
from tests.support.gateway import HOST, Gateway

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
[limits]
handshake_timeout = 2
max_message_size = 100000
"""
Make = Callable[..., Api]


def raw(gateway: Gateway) -> ssl.SSLSocket:
    return gateway.tls().wrap_socket(socket.create_connection((HOST, gateway.web), timeout=60), server_hostname=HOST)


def test_who_asks(api: Make) -> None:
    me = api().get("/api/v1/me")
    assert (me["scope"], me["name"]) == ("all", "admin")
    assert "api_key_create" in me["permissions"]


def test_nothing_without_a_key(api: Make) -> None:
    for path in ("/api/v1/me", "/api/v1/nothing", "/agentmail/x", "/mailslurp/x"):
        answer = api("").ask("GET", path)
        assert (answer.status, answer.code) == (401, "unauthorized")
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_a_wrong_key_is_told_nothing_more(gateway: Gateway, api: Make) -> None:
    revoked = gateway.new_key("--inbox", gateway.address)
    gateway.run("key", "revoke", revoked)
    shapes = ("gw_x", revoked, revoked[:-1] + ("a" if revoked[-1] != "a" else "b"))
    answers = {api(key).ask("GET", "/api/v1/me").body for key in shapes}
    assert len(answers) == 1


def test_the_key_may_come_as_x_api_key(gateway: Gateway, api: Make) -> None:
    answer = api("").ask("GET", "/api/v1/me", x_api_key=gateway.key)
    assert answer.json["scope"] == "inbox"


def test_every_answer_is_safe_in_a_browser(api: Make) -> None:
    for answer in (api().ask("GET", "/api/v1/me"), api("").ask("GET", "/api/v1/me"), api().ask("GET", "/nothing")):
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["cache-control"] == "no-store"
        assert "strict-transport-security" in answer.headers  # mail.test is a name of its own
        assert "server" not in answer.headers


def test_unknown_paths_and_methods(api: Make) -> None:
    assert api().ask("GET", "/api/v1/nothing").code == "not_found"
    assert api().ask("PUT", "/api/v1/me").code == "method_not_allowed"


def test_what_an_error_links_to_is_there(api: Make) -> None:
    problem = api().ask("GET", "/api/v1/nothing").json
    path, _, code = problem["docs"].partition("#")
    page = api("").ask("GET", path)
    assert page.status == 200
    assert f'id="{code}"'.encode() in page.body
    assert problem["fix"].encode() in page.body


@pytest.mark.parametrize(
    "body", [b"{", b"[]", b"null", b"\xff\xfe", b'{"address": 1}', b'{"address": "a@b.c", "x": 1}']
)
def test_bodies_that_are_none(api: Make, body: bytes) -> None:
    answer = api().ask("POST", "/api/v1/inboxes", octets=body, content_type="application/json")
    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.json["errors"][0]["field"].startswith("body")


def test_a_body_that_says_it_is_too_large_is_not_read(api: Make) -> None:
    answer = api().ask("POST", "/api/v1/inboxes", octets=b"x" * 300_000)
    assert answer.code == "too_large"


def test_a_body_that_does_not_say_it_is_cut(gateway: Gateway, api: Make) -> None:
    key = api().key
    with raw(gateway) as client:
        head = f"POST /api/v1/inboxes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        client.sendall((b"10000\r\n" + b" " * 0x10000 + b"\r\n") * 3 + b"0\r\n\r\n")
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 413


def test_a_body_without_a_key_is_not_awaited(gateway: Gateway) -> None:
    with raw(gateway) as client:
        client.sendall(b"POST /api/v1/inboxes HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == 401


def test_a_silent_peer_is_dropped(gateway: Gateway) -> None:
    """Before its TLS is up."""
    with socket.create_connection((HOST, gateway.web), timeout=60) as client, suppress(ConnectionResetError):
        assert client.recv(1) == b""


def test_a_stop_ends_idle_connections(gateway: Gateway, api: Make) -> None:
    """The module's gateway is stopped with this one open, and must stop by itself."""
    assert api().get("/api/v1/health") == {"status": "ok"}
    kept = raw(gateway)
    kept.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert kept.recv(65536).startswith(b"HTTP/1.1 200 ")
    _KEPT.append(kept)


_KEPT: list[ssl.SSLSocket] = []
