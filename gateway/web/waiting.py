"""Work that a request waits for: it ends with the key, the inbox, the process, or whoever asked."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import Request

from gateway.access.caller import Caller
from gateway.model.errors import GatewayError, Unavailable
from gateway.model.ids import InboxId

from .listening import fault
from .services import WebServices

T = TypeVar("T")


class _Held:
    """What `listening` knows of the work."""

    def __init__(self, work: asyncio.Task[Any]) -> None:
        self._work = work
        self.reason: GatewayError | None = None

    async def end(self, reason: str) -> None:
        self.reason = fault(reason)
        self._work.cancel()

    async def refresh(self) -> None:
        """Inboxes that come or go mean nothing to it."""


async def held(
    request: Request, services: WebServices, who: Caller, inbox_id: InboxId | None, work: Coroutine[Any, Any, T]
) -> T:
    """The result of `work`, which is about this inbox or about none. It is cancelled when it ends before: Unavailable,
    AuthenticationFailed. LimitReached."""
    task = asyncio.ensure_future(work)
    one = _Held(task)
    peer = asyncio.ensure_future(_gone(request))
    try:
        leave = services.listening.enter(who, inbox_id, one)
        try:
            await asyncio.wait({task, peer}, return_when=asyncio.FIRST_COMPLETED)
            task.cancel()  # unless it is done
            return await task
        except asyncio.CancelledError:
            if one.reason is not None:
                raise one.reason from None
            if peer.done():
                raise Unavailable("Nobody waits any more") from None
            raise
        finally:
            leave()
    finally:
        for each in (task, peer):
            each.cancel()


async def _gone(request: Request) -> None:
    """The body was read: what comes now is the end."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
