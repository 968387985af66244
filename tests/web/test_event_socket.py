"""Events over a WebSocket, with a client of the websockets library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.support.api import Api
from tests.support.gateway import HOST, Gateway

from .test_events import put

Make = Callable[..., Api]
Connect = Callable[[str | None], "Client"]


class Client:
    """On a loop of its own: the library's client with threads reads and writes one TLS connection in two of them, and
    that may lose octets of either before Python 3.13."""

    def __init__(self, gateway: Gateway, key: str | None = None, query: str = "") -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        url = f"wss://{HOST}:{gateway.web}/api/v1/ws{query}"
        self._runner = asyncio.Runner()

        async def opened() -> Any:
            return await connect(
                url, ssl=gateway.tls(), additional_headers=headers, open_timeout=20, close_timeout=1
            )

        self._connection = self._runner.run(opened())

    def say(self, **message: Any) -> None:
        self._runner.run(self._connection.send(json.dumps(message)))

    def next(self) -> Any:
        return json.loads(self._runner.run(asyncio.wait_for(self._connection.recv(), 20)))

    def ask(self, **message: Any) -> Any:
        self.say(**message)
        return self.next()

    def close(self) -> None:
        self._runner.run(self._connection.close())
        self._runner.close()


@pytest.fixture
def client(gateway: Gateway) -> Iterator[Connect]:
    """With this key as a bearer, or none."""
    with ExitStack() as stack:

        def make(key: str | None) -> Client:
            return stack.enter_context(closing(Client(gateway, key)))

        yield make


def test_subscribe_and_unsubscribe(gateway: Gateway, client: Connect) -> None:
    address, key = gateway.inbox("ws@mail.test")
    here = client(key)
    assert here.next() == {"type": "ready"}
    assert here.ask(type="subscribe", inbox=address) == {"type": "subscribed", "inbox": address}
    put(gateway, address, key)
    told = here.next()
    assert (told["type"], told["subscription"], told["event"]["type"]) == ("event", address, "message.received")
    assert told["cursor"] == told["event"]["id"]
    assert here.ask(type="unsubscribe", inbox=address) == {"type": "unsubscribed", "inbox": address}
    put(gateway, address, key)
    assert here.ask(type="ping") == {"type": "pong"}
    again = here.ask(type="subscribe", inbox="*", cursor=told["cursor"], types=["message.received"])
    assert again["type"] == "subscribed"
    assert here.next()["event"]["data"]["uid"] == 2


def test_the_first_message_logs_in(gateway: Gateway, client: Connect) -> None:
    here = client(None)
    assert here.ask(type="login", key=gateway.key) == {"type": "ready"}
    for wrong in ({"type": "login", "key": "gw_x"}, {"type": "ping"}, {"type": "login"}):
        there = client(None)
        there.say(**wrong)
        with pytest.raises(ConnectionClosed) as closed:
            there.next()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def test_a_key_in_the_url_is_none(gateway: Gateway) -> None:
    with closing(Client(gateway, query=f"?key={gateway.key}")) as here:
        here.say(type="subscribe", inbox=gateway.address)
        with pytest.raises(ConnectionClosed):
            here.next()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "subscribe"}, "invalid"), ({"type": "sing"}, "invalid"), ({}, "invalid"),
        ({"type": "subscribe", "inbox": "nobody@mail.test"}, "not_found"),
        ({"type": "subscribe", "inbox": "*", "cursor": "x"}, "invalid"),
        ({"type": "subscribe", "inbox": "*", "types": ["x"]}, "invalid"),
        ({"type": "subscribe", "inbox": "*", "colour": "red"}, "invalid"),
    ],
)  # fmt: skip
def test_what_is_no_message(gateway: Gateway, client: Connect, message: dict[str, Any], code: str) -> None:
    here = client(gateway.key)
    assert here.next()["type"] == "ready"
    answer = here.ask(**message)
    assert (answer["type"], answer["code"]) == ("error", code)
    assert here.ask(type="ping") == {"type": "pong"}


def test_another_tenants_inbox_is_not_found(gateway: Gateway, client: Connect) -> None:
    gateway.operate("pod.add", name="ws")
    gateway.operate("domain.add", name="ws.test", pod="ws")
    other, _ = gateway.inbox("anna@ws.test")
    here = client(gateway.key)
    assert here.next()["type"] == "ready"
    assert here.ask(type="subscribe", inbox=other)["code"] == "not_found"


def test_a_revoked_key_and_a_deleted_inbox(gateway: Gateway, client: Connect, api: Make) -> None:
    address, key = gateway.inbox("wsends@mail.test")
    admin = api()
    here, over = client(key), client(admin.key)
    for each in (here, over):
        assert each.next()["type"] == "ready"
        assert each.ask(type="subscribe", inbox=address)["type"] == "subscribed"
    gateway.run("key", "revoke", key)
    assert here.next() == {"type": "end", "reason": "The key was revoked"}
    with pytest.raises(ConnectionClosed):
        here.next()
    admin.delete(f"/api/v1/inboxes/{address}")
    assert over.next() == {"type": "unsubscribed", "inbox": address, "reason": "The inbox was deleted"}
    assert over.ask(type="ping") == {"type": "pong"}


def test_a_stop_ends_sockets(gateway: Gateway, request: pytest.FixtureRequest) -> None:
    """The module's gateway is stopped with this one open, and must stop by itself."""
    kept = Client(gateway, gateway.key)
    request.config.add_cleanup(kept.close)
    assert kept.next() == {"type": "ready"}
