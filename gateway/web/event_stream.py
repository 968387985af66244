"""Server-Sent Events (HTML Living Standard 9.2) as a response: with an idle listener only one `receive` waits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from typing import Any, Final

from starlette.responses import Response

from gateway.access.caller import Caller, inboxes_of
from gateway.access.events import Event, Wanted
from gateway.access.events_told import Told
from gateway.model.errors import GatewayError
from gateway.model.ids import InboxId

from .listening import Listening
from .services import WebServices

KEEP_ALIVE_S: Final = 25.0
BETWEEN: Final = 20  # inboxes that a listener to all of them is given in one turn of the loop
LATER: Final = "later"
"""Of a request's state: what is left to do, once nothing of the framework waits for it."""
_HELLO: Final = b"retry: 2000\n\n"
_STILL_HERE: Final = b": still here\n\n"

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]


def framed(cursor: str | None, event: Event) -> str:
    """One event: its JSON has no line ends."""
    name = "" if cursor is None else f"id: {cursor}\n"
    return f"{name}event: {event.type}\ndata: {event.text}\n\n"


class EventStream(Response):
    """`inbox_id` None: all inboxes of the key, also those that are made later."""

    media_type = "text/event-stream"

    def __init__(
        self, services: WebServices, who: Caller, inbox_id: InboxId | None, wanted: Wanted, cursors: Sequence[str]
    ) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no", "Connection": "close"})
        del self.headers["content-length"]
        self._services = services
        self._listening: Listening = services.listening
        self._who = who
        self._inbox_id = inbox_id
        self._cursors = cursors
        self._told = Told(
            self._listening.followers, wanted, self._write, self._nothing_more, single=inbox_id is not None
        )
        self._send: Send | None = None
        self._over = False
        self._started = False
        self._since = int(services.clock())
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        """Leaves it to the guard to run the stream once the framework has returned: what that holds while it waits for
        an answer's end is a third of what a listener takes."""
        leave = self._listening.enter(self._who, self._inbox_id, self)
        scope["state"][LATER] = partial(self.run, leave)

    async def run(self, leave: Callable[[], None], receive: Receive, send: Send) -> None:
        """Until one side closes; `leave` is called at its end."""
        try:
            self._send = send
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await self._put(_HELLO)
            await self._begin()
            self._wait()
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._over = True
            leave()
            self._told.close()
            if self._timer is not None:
                self._timer.cancel()

    async def end(self, reason: str) -> None:
        """`receive` says that the peer has gone once the answer is whole."""
        if self._over or self._send is None:
            return
        self._over = True
        self._told.close()
        said = f"event: end\ndata: {reason}\n\n".encode()
        await self._send({"type": "http.response.body", "body": said, "more_body": False})

    async def refresh(self) -> None:
        if self._inbox_id is None and not self._over:
            await self._begin()

    async def _begin(self) -> None:
        """Listen to what it does not listen to yet; of an inbox that is new, from its beginning on."""
        try:
            if self._inbox_id is not None:
                await self._told.add(self._inbox_id, self._cursors)
                return
            there = await self._services.db.read(lambda rx: inboxes_of(rx, self._who))
            for number, inbox in enumerate(there, 1):
                if self._over:
                    return
                if inbox.id in self._told.inboxes:
                    continue
                new = self._started and inbox.created_at >= self._since
                await self._told.add(inbox.id, self._cursors if not self._started else (), whole_log=new)
                if number % BETWEEN == 0:
                    await asyncio.sleep(0)
            self._started = True
        except GatewayError:
            await self.end("Listen again from your cursor")

    async def _write(self, told: Sequence[tuple[str | None, Event]]) -> None:
        await self._put("".join([framed(cursor, event) for cursor, event in told]).encode())

    async def _put(self, octets: bytes) -> None:
        if self._send is not None and not self._over:
            await self._send({"type": "http.response.body", "body": octets, "more_body": True})

    def _nothing_more(self, reason: str) -> None:
        self._listening.soon(self.end(reason))

    def _wait(self) -> None:
        if not self._over:
            self._timer = asyncio.get_running_loop().call_later(KEEP_ALIVE_S, self._still_here)

    def _still_here(self) -> None:
        self._told.keep_alive(lambda: self._put(_STILL_HERE))
        self._wait()
