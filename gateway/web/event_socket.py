"""The same events over a WebSocket (RFC 6455): one connection listens to any inboxes of its key, as it asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from types import MappingProxyType
from typing import Final

from pydantic import Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocket

from gateway.access.caller import Caller, caller, inbox_of, inboxes_of
from gateway.access.events import Event, Wanted
from gateway.access.events_told import Told
from gateway.model.errors import AuthenticationFailed, GatewayError, InvalidRequest, LimitReached
from gateway.model.ids import InboxId

from . import problems
from .api.events import cursors_in, types_in
from .api.parts import Strict
from .listening import need_to_read
from .services import WebServices
from .sockets import POLICY, ListeningSocket

MOST: Final = 100
"""Subscriptions of one connection."""
ALL: Final = "*"


class Login(Strict):
    type: str = Field(pattern="^login$")
    key: str = Field(max_length=500)


class Subscribe(Strict):
    """`inbox`: an address or id, or `*` for all of the key."""

    type: str = Field(pattern="^subscribe$")
    inbox: str = Field(max_length=400)
    cursor: str | None = Field(None, max_length=16_384)
    types: list[str] = Field(default_factory=list, max_length=50)


class Unsubscribe(Strict):
    type: str = Field(pattern="^unsubscribe$")
    inbox: str = Field(max_length=400)


class Ping(Strict):
    type: str = Field(pattern="^ping$")


_MESSAGE: Final[TypeAdapter[Subscribe | Unsubscribe | Ping]] = TypeAdapter(Subscribe | Unsubscribe | Ping)
_LOGIN: Final = TypeAdapter(Login)


class EventSocket(ListeningSocket):
    """It logs in by a header field or its first message, and subscribes to inboxes by name."""

    greeting = MappingProxyType({"type": "ready"})

    def __init__(self, socket: WebSocket, services: WebServices) -> None:
        super().__init__(socket, services)
        self._told: dict[str, Told] = {}

    def listeners(self) -> Iterable[Told]:
        return self._told.values()

    async def opened(self) -> Caller:
        await self.socket.accept()
        return await self._login()

    async def refuse(self, error: GatewayError | None) -> None:
        await self.close(POLICY, "Not logged in" if error is None else str(error))

    async def farewell(self, reason: str) -> None:
        await self.say({"type": "end", "reason": reason})

    async def refresh(self) -> None:
        told = self._told.get(ALL)
        if told is not None and self.who is not None and not self.over:
            who = self.who
            for inbox in await self.services.db.read(lambda rx: inboxes_of(rx, who)):
                await told.add(inbox.id, whole_log=self.began_later(inbox))

    async def _login(self) -> Caller:
        """By its header, else by its first message: a key in a URL would be in logs."""
        known: Caller | None = self.socket.scope["state"].get("caller")
        if known is None:
            client = self.socket.client
            try:
                login = _LOGIN.validate_json(await self.socket.receive_text())
            except (ValidationError, KeyError):
                raise AuthenticationFailed("The first message must be a login") from None
            row = await self.services.authenticator.open(login.key, client.host if client else "")
            known = caller(row)
        need_to_read(known)
        return known

    async def answer(self, who: Caller, text: str) -> None:
        try:
            message = _MESSAGE.validate_json(text)
            match message:
                case Subscribe():
                    await self._subscribe(who, message)
                case Unsubscribe():
                    told = self._told.pop(message.inbox, None)
                    if told is not None:
                        told.close()
                    await self.say({"type": "unsubscribed", "inbox": message.inbox})
                case Ping():
                    await self.say({"type": "pong"})
        except ValidationError as error:
            found = error.errors()[-1]
            detail = f"{'.'.join(str(step) for step in found['loc'][1:]) or 'message'}: {found['msg']}"
            await self.say({"type": "error", "code": "invalid", "detail": detail})
        except GatewayError as error:
            await self.say({"type": "error", "code": problems.kind_of(error).code, "detail": str(error)})

    async def _subscribe(self, who: Caller, message: Subscribe) -> None:
        if message.inbox in self._told:
            raise InvalidRequest("inbox: it is subscribed already")
        if len(self._told) >= MOST:
            raise LimitReached(f"A connection may have {MOST} subscriptions")
        wanted = Wanted(who.permissions, types_in(",".join(message.types)))
        cursors, name = cursors_in(message.cursor), message.inbox
        ids = await self.services.db.read(
            lambda rx: [inbox.id for inbox in inboxes_of(rx, who)] if name == ALL else [inbox_of(rx, who, name).id]
        )
        told = Told(
            self.services.listening.followers, wanted, self._writer(name), self._ender(name), single=name != ALL
        )
        self._told[name] = told
        async with self.order:  # whoever reads that it listens misses nothing from then on
            try:
                await self._add(told, ids, cursors)
            except BaseException:
                self._told.pop(name, None)
                told.close()
                raise
            await self.say({"type": "subscribed", "inbox": name})

    async def _add(self, told: Told, ids: Sequence[InboxId], cursors: Sequence[str]) -> None:
        for number, inbox_id in enumerate(ids, 1):
            await told.add(inbox_id, cursors)
            if number % 20 == 0:
                await asyncio.sleep(0)

    def _writer(self, name: str) -> Callable[[Sequence[tuple[str | None, Event]]], Awaitable[None]]:
        async def write(told: Sequence[tuple[str | None, Event]]) -> None:
            async with self.order:
                for cursor, event in told:
                    frame = json.dumps({"type": "event", "subscription": name, "cursor": cursor})
                    await self.send(f'{frame[:-1]}, "event": {event.text}}}')

        return write

    def _ender(self, name: str) -> Callable[[str], None]:
        def ended(reason: str) -> None:
            if self._told.pop(name, None) is not None:
                self.services.listening.soon(self.say({"type": "unsubscribed", "inbox": name, "reason": reason}))

        return ended
