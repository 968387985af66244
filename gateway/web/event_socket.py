"""The same events over a WebSocket (RFC 6455): one connection listens to any inboxes of its key, as it asks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from pydantic import Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.access.caller import Caller, caller, inbox_of, inboxes_of
from gateway.access.events import Event, Wanted
from gateway.access.events_told import Told
from gateway.model.errors import AuthenticationFailed, GatewayError, InvalidRequest, LimitReached
from gateway.model.ids import InboxId

from . import problems
from .api.events import cursors_in, types_in
from .api.parts import Strict
from .listening import STOPS, need_to_read
from .services import WebServices

LOGIN_S: Final = 10.0
MOST: Final = 100
"""Subscriptions of one connection."""
ALL: Final = "*"
_POLICY: Final = 1008
_GOING: Final = 1001


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


class EventSocket:
    """One connection, from its acceptance to its end."""

    def __init__(self, socket: WebSocket, services: WebServices) -> None:
        self._socket = socket
        self._services = services
        self._who: Caller | None = None
        self._told: dict[str, Told] = {}
        self._over = False

    async def run(self) -> None:
        await self._socket.accept()
        try:
            async with asyncio.timeout(LOGIN_S):
                who = self._who = await self._login()
            leave = self._services.listening.enter(who, None, self)
        except (GatewayError, TimeoutError, WebSocketDisconnect) as error:
            await self._close(_POLICY, str(error) if isinstance(error, GatewayError) else "Not logged in")
            return
        try:
            await self._say({"type": "ready"})
            while True:
                await self._answer(who, await self._socket.receive_text())
        except (WebSocketDisconnect, KeyError):  # KeyError: octets instead of text
            await self._close(_POLICY, "Text is expected")
        finally:
            self._over = True
            leave()
            for told in self._told.values():
                told.close()

    async def end(self, reason: str) -> None:
        if not self._over:
            self._over = True
            for told in self._told.values():
                told.close()
            await self._say({"type": "end", "reason": reason})
            await self._close(_GOING if reason == STOPS else _POLICY, reason)

    async def refresh(self) -> None:
        told = self._told.get(ALL)
        if told is not None and self._who is not None and not self._over:
            who = self._who
            for inbox in await self._services.db.read(lambda rx: inboxes_of(rx, who)):
                await told.add(inbox.id)

    async def _login(self) -> Caller:
        """By its header, else by its first message: a key in a URL would be in logs."""
        known: Caller | None = self._socket.scope["state"].get("caller")
        if known is None:
            client = self._socket.client
            try:
                login = _LOGIN.validate_json(await self._socket.receive_text())
            except (ValidationError, KeyError):
                raise AuthenticationFailed("The first message must be a login") from None
            row = await self._services.authenticator.open(login.key, client.host if client else "")
            known = caller(row)
        need_to_read(known)
        return known

    async def _answer(self, who: Caller, text: str) -> None:
        try:
            message = _MESSAGE.validate_json(text)
            match message:
                case Subscribe():
                    await self._subscribe(who, message)
                case Unsubscribe():
                    told = self._told.pop(message.inbox, None)
                    if told is not None:
                        told.close()
                    await self._say({"type": "unsubscribed", "inbox": message.inbox})
                case Ping():
                    await self._say({"type": "pong"})
        except ValidationError as error:
            found = error.errors()[-1]
            detail = f"{'.'.join(str(step) for step in found['loc'][1:]) or 'message'}: {found['msg']}"
            await self._say({"type": "error", "code": "invalid", "detail": detail})
        except GatewayError as error:
            await self._say({"type": "error", "code": problems.kind_of(error).code, "detail": str(error)})

    async def _subscribe(self, who: Caller, message: Subscribe) -> None:
        if message.inbox in self._told:
            raise InvalidRequest("inbox: it is subscribed already")
        if len(self._told) >= MOST:
            raise LimitReached(f"A connection may have {MOST} subscriptions")
        wanted = Wanted(who.permissions, types_in(",".join(message.types)))
        cursors, name = cursors_in(message.cursor), message.inbox
        ids = await self._services.db.read(
            lambda rx: [inbox.id for inbox in inboxes_of(rx, who)] if name == ALL else [inbox_of(rx, who, name).id]
        )
        told = Told(
            self._services.listening.followers, wanted, self._writer(name), self._ender(name), single=name != ALL
        )
        self._told[name] = told
        await self._say({"type": "subscribed", "inbox": name})
        await self._add(told, ids, cursors)

    async def _add(self, told: Told, ids: Sequence[InboxId], cursors: Sequence[str]) -> None:
        for number, inbox_id in enumerate(ids, 1):
            await told.add(inbox_id, cursors)
            if number % 20 == 0:
                await asyncio.sleep(0)

    def _writer(self, name: str) -> Callable[[Sequence[tuple[str | None, Event]]], Awaitable[None]]:
        async def write(told: Sequence[tuple[str | None, Event]]) -> None:
            for cursor, event in told:
                frame = json.dumps({"type": "event", "subscription": name, "cursor": cursor})
                await self._send(f'{frame[:-1]}, "event": {event.text}}}')

        return write

    def _ender(self, name: str) -> Callable[[str], None]:
        def ended(reason: str) -> None:
            if self._told.pop(name, None) is not None:
                self._services.listening.soon(self._say({"type": "unsubscribed", "inbox": name, "reason": reason}))

        return ended

    async def _say(self, message: dict[str, Any]) -> None:
        await self._send(json.dumps(message))

    async def _send(self, text: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                await self._socket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                self._over = True  # its peer has gone, which `receive` says too

    async def _close(self, code: int, reason: str) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            try:
                await self._socket.close(code, reason[:100])
            except (WebSocketDisconnect, RuntimeError):
                self._over = True
