"""The row of webhooks: a thousand events of twenty inboxes to one receiver over TLS on this machine."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import ssl
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from gateway.model.permissions import BUNDLES
from tests.servers.process import free_port, port_open, wait_for
from tests.support.authority import Authority

from .corpus import fresh
from .gateway import Running, start_gateway
from .lmtp import Lmtp
from .measure import Row, Sample, Side, in_threads, timed
from .web_client import Http

EVENTS = 1_000
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


@dataclass
class Hooks:
    """One webhook of all inboxes, switched off between the rounds; `taken` counts what its receiver has taken."""

    running: Running
    secret: str
    """Of a key that opens everything."""
    webhook: str
    taken: Synchronized[int]

    def switch(self, *, on: bool) -> None:
        client = Http(self.running.web, self.secret)
        client.post(f"/api/v1/webhooks/{self.webhook}", {"enabled": on}, "PATCH")
        client.close()


def side(root: Path, stack: ExitStack) -> Side:
    directory = root / "hooks"
    directory.mkdir()
    authority = Authority(directory)
    port, context = free_port(), multiprocessing.get_context("fork")
    taken: Any = context.Value("l", 0)
    process = context.Process(target=_receive, args=(port, authority.leaf().server(), taken), daemon=True)
    process.start()
    stack.callback(process.join)
    stack.callback(process.terminate)
    wait_for(lambda: port_open(port), "the receiver of webhooks")
    running = start_gateway(
        directory / "gateway", GATEWAY_WEB__WEBHOOK_PRIVATE="true", GATEWAY_WEB__WEBHOOK_CA=str(authority.file)
    )
    stack.callback(running.stop)
    secret = running.gateway.operate("key.create", everything=True, name="hooks", permissions=list(BUNDLES))["key"]
    client = Http(running.web, secret)
    new = {"url": f"https://localhost:{port}/hook", "types": ["message.received"]}
    webhook = json.loads(client.post("/api/v1/webhooks", new))["id"]
    client.close()
    hooks = Hooks(running, secret, webhook, taken)
    hooks.switch(on=False)
    return Side("gateway", running.process.pid, lmtp=running.lmtp, hooks=hooks)


def _receive(port: int, tls: ssl.SSLContext, taken: Synchronized[int]) -> None:
    """Reads a request whole and says 200, as a receiver does that puts events into a queue."""

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
            writer.write(_ANSWER)
            await writer.drain()
            with taken.get_lock():
                taken.value += 1
        except (OSError, asyncio.IncompleteReadError):
            pass  # who only looked whether the port is open
        finally:
            writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(one, "127.0.0.1", port, ssl=tls)
        await server.serve_forever()

    asyncio.run(serve())


def deliveries(side: Side) -> Sample:
    """Mail comes first and its events wait, so what is measured is telling them."""
    hooks, place = side.hooks, side.lmtp
    assert hooks is not None
    assert place is not None
    inboxes = len(place.recipients)

    def some(number: int) -> None:
        connection = Lmtp(place.port)
        for _ in range(EVENTS // inboxes):
            connection.deliver(place.recipients[number], fresh(_MAIL))
        connection.quit()

    in_threads(inboxes, some)
    hooks.running.settle()
    until = hooks.taken.value + EVENTS

    def work() -> None:
        hooks.switch(on=True)
        wait_for(lambda: hooks.taken.value >= until, "the last event", 120, 0.005)

    sample = timed(side, EVENTS, work)
    hooks.switch(on=False)
    return sample


_MAIL = (
    b"From: a@example.net\r\nMessage-ID: <event@example.net>\r\nTo: b@example.org\r\nSubject: an event\r\n\r\n"
    b"A short text.\r\n"
)
ROWS: Iterable[Row] = (
    Row("HTTP webhooks over TLS, 20 inboxes to one receiver", "/s", True, deliveries, "hooks", once=True),
)
