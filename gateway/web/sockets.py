"""A WebSocket (RFC 6455) of somebody who listens: who it is, its messages one after the other, its end.

What is said there is a matter of each API; that a key is watched, that all end with the process, and that nothing is
left behind by a peer that goes, is the same for all.
"""

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from gateway.access.caller import Caller
from gateway.access.events_told import Told
from gateway.model.errors import GatewayError
from gateway.store.inboxes import Inbox

from .listening import STOPS
from .services import WebServices

LOGIN_S: Final = 10.0
POLICY: Final = 1008
_GOING: Final = 1001


class ListeningSocket(ABC):
    """One connection, from its handshake to its end."""

    greeting: Mapping[str, Any] | None = None
    """Said before all else."""

    def __init__(self, socket: WebSocket, services: WebServices) -> None:
        self.socket = socket
        self.services = services
        self.who: Caller | None = None
        self.over = False
        self._since = int(services.clock())
        self.order = asyncio.Lock()
        """Held while something is said that later things build on."""

    @abstractmethod
    async def opened(self) -> Caller:
        """Accept it, and find out who it is. GatewayError, WebSocketDisconnect."""

    @abstractmethod
    async def refuse(self, error: GatewayError | None) -> None:
        """Say why nobody is listened to; None: nobody came."""

    @abstractmethod
    async def answer(self, who: Caller, text: str) -> None:
        """A message of the peer."""

    @abstractmethod
    async def farewell(self, reason: str) -> None:
        """Say why it ends."""

    @abstractmethod
    async def refresh(self) -> None:
        """Inboxes came or went."""

    @abstractmethod
    def listeners(self) -> Iterable[Told]: ...

    async def run(self) -> None:
        try:
            async with asyncio.timeout(LOGIN_S):
                who = self.who = await self.opened()
            leave = self.services.listening.enter(who, None, self)
        except (GatewayError, TimeoutError, WebSocketDisconnect) as error:
            await self.refuse(error if isinstance(error, GatewayError) else None)
            return
        try:
            if self.greeting is not None:
                await self.say(self.greeting)
            while True:
                await self.answer(who, await self.socket.receive_text())
        except (WebSocketDisconnect, KeyError):  # KeyError: octets instead of text
            await self.close(POLICY, "Text is expected")
        finally:
            self.over = True
            leave()
            self._silence()

    async def end(self, reason: str) -> None:
        if not self.over:
            self.over = True
            self._silence()
            await self.farewell(reason)
            await self.close(_GOING if reason == STOPS else POLICY, reason)

    def began_later(self, inbox: Inbox) -> bool:
        """Whether an inbox that is met afterwards is new, so that it is listened to from its beginning on."""
        return inbox.created_at >= self._since

    def _silence(self) -> None:
        for told in tuple(self.listeners()):
            told.close()

    async def say(self, message: Mapping[str, Any]) -> None:
        await self.send(json.dumps(dict(message)))

    async def send(self, text: str) -> None:
        if self.socket.application_state is WebSocketState.CONNECTED:
            try:
                await self.socket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                self.over = True  # its peer has gone, which `receive` says too

    async def close(self, code: int, reason: str) -> None:
        if self.socket.application_state is WebSocketState.CONNECTED:
            try:
                await self.socket.close(code, reason[:100])
            except (WebSocketDisconnect, RuntimeError):
                self.over = True
