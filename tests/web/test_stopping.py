"""Who waits or listens over HTTP when the server stops, or the key ends, is told so at once."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from http.client import HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest

from gateway.model.permissions import BUNDLES
from tests.servers.process import free_port
from tests.support.api import Api
from tests.support.gateway import HOST, Gateway, running

from .conftest import admin_key
from .sse import Listener
from .test_event_socket import Client
from .test_events import events_of

NDJSON = "application/x-ndjson"


@pytest.fixture
def silent() -> Iterator[int]:
    """Port of a server that takes connections and says nothing."""
    with socket.create_server((HOST, 0)) as server:
        yield server.getsockname()[1]


def account(client: Api, inbox: str, port: int) -> str:
    """A connector of that server; the path of a sync, which ends when its patience does."""
    made = client.post("/api/v1/connectors", {
        "name": inbox, "address": "anna@elsewhere.test", "inbox": inbox,
        "options": {"imap": {
            "host": HOST, "port": port, "security": "none", "allow_private": True, "secret": "x",
        }},
    })  # fmt: skip
    return f"/api/v1/connectors/{made['id']}/sync"


class Asked:
    """A request that is sent, and answered whenever it is."""

    def __init__(self, gateway: Gateway, key: str, path: str, body: Any, accept: str = "*/*") -> None:
        self._connection = HTTPSConnection(HOST, gateway.web, context=gateway.tls(), timeout=60)
        fields = {"Authorization": f"Bearer {key}", "Content-Type": "application/json", "Accept": accept}
        self._connection.request("POST", path, json.dumps(body), fields)

    def answer(self) -> HTTPResponse:
        return self._connection.getresponse()

    def problem(self) -> tuple[int, str]:
        answer = self.answer()
        return answer.status, json.loads(answer.read())["code"]

    def close(self) -> None:
        self._connection.close()


def last_of(answer: HTTPResponse) -> Any:
    return json.loads(answer.read().splitlines()[-1])


def test_the_server_stops(tmp_path: Path, silent: int) -> None:
    with running(Gateway(tmp_path, readers=0, web=free_port())) as gateway, ExitStack() as stack:
        address, key = gateway.address, admin_key(gateway)

        def ask(path: str, body: Any, accept: str = "*/*") -> Asked:
            asked = Asked(gateway, key, path, body, accept)
            stack.callback(asked.close)
            return asked

        with Api(gateway, key) as client:
            sync = account(client, address, silent)
        listener = stack.enter_context(Listener(gateway, events_of(address), key))
        connection = Client(gateway, key)
        stack.callback(connection.close)
        assert connection.next()["type"] == "ready"
        wait = ask(f"/api/v1/inboxes/{address}/wait-for", {"subject": "never", "timeout": 300})
        plain, told = ask(sync, {}), ask(sync, {}, NDJSON)
        telling = told.answer()  # its head waits for a refusal, so that all are served by now
        assert telling.status == 200
        assert gateway.stop() == 0
        assert listener.one().type == "end"
        assert listener.next() is None
        assert connection.next() == {"type": "end", "reason": "The server stops"}
        assert [wait.problem(), plain.problem()] == [(503, "unavailable")] * 2
        assert last_of(telling)["error"]["detail"] == "The server stops"


def test_the_key_ends(gateway: Gateway, api: Callable[..., Api], silent: int) -> None:
    address, _ = gateway.inbox("sync@mail.test")
    admin = api()
    made = admin.post("/api/v1/keys", {"name": "ends", "inbox": address, "permissions": list(BUNDLES)})
    sync = account(admin, address, silent)
    with (
        closing(Asked(gateway, made["key"], sync, {})) as plain,
        closing(Asked(gateway, made["key"], sync, {}, NDJSON)) as told,
    ):
        telling = told.answer()
        admin.delete(f"/api/v1/keys/{made['id']}")
        assert plain.problem() == (401, "unauthorized")
        assert last_of(telling)["error"]["code"] == "unauthorized"
