"""The stream of the live page: events of the key's inboxes as the API tells them, and those of accounts elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import structlog

from gateway.access.caller import Caller
from gateway.access.connectors import connector_of
from gateway.access.events import Event, Wanted
from gateway.model.errors import GatewayError, NotFound
from gateway.store.connectors import accounts
from gateway.store.connectors import events as connector_events
from gateway.store.connectors.events import EventStatus
from gateway.store.connectors.rows import ConnectorId, ConnectorRow
from gateway.store.db import Rx
from gateway.web.event_stream import EventStream, Receive, Send, framed
from gateway.web.services import WebServices

from .event_words import words_of

log = structlog.get_logger(__name__)

MARK: Final = "!"
"""Between the cursor of mail and the number of the last event of accounts elsewhere."""
LOOK_S: Final = 1.0
"""Seconds between two looks at accounts elsewhere: their events wake nobody."""
LOGIN_EVERY: Final = 2
"""Looks between two questions whether the browser is logged in still."""
_MOST: Final = 100


class LiveStream(EventStream):
    """`after`: the last event of accounts elsewhere that was told before; None: from now on. `logged_in`: whether the
    browser is still; with the login ends the stream."""

    def __init__(
        self, services: WebServices, who: Caller, wanted: Wanted, cursors: Sequence[str], after: int | None,
        logged_in: Callable[[], Awaitable[bool]],
    ) -> None:  # fmt: skip
        super().__init__(services, who, None, wanted, cursors)
        self._after = after
        self._logged_in = logged_in
        self._begun = False

    async def run(self, leave: Callable[[], None], receive: Receive, send: Send) -> None:
        looking = asyncio.create_task(self._look())
        try:
            await super().run(leave, receive, send)
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    async def _begin(self) -> None:
        """Then the page knows from where to go on, should nothing happen before the connection ends."""
        await super()._begin()
        if self._after is None:
            self._after = await self._services.db.tiny(connector_events.last)
        self._begun = True
        await self._put(f"id: {self._id(self._told.cursor)}\nevent: here\ndata: {{}}\n\n".encode())

    async def _write(self, told: Sequence[tuple[str | None, Event]]) -> None:
        await self._put("".join([framed(self._id(cursor), event) for cursor, event in told]).encode())

    def _id(self, cursor: str | None) -> str:
        return f"{cursor or ''}{MARK}{'' if self._after is None else self._after}"

    async def _look(self) -> None:
        """Every second: what accounts elsewhere did; now and then: who listens."""
        looks = 0
        try:
            while not self._over:
                await asyncio.sleep(LOOK_S)
                looks += 1
                if looks % LOGIN_EVERY == 0 and not await self._logged_in():
                    await self.end("You are logged out")
                    return
                if self._begun and self._after is not None and self._who.may("connector_read"):
                    await self._tell_of_accounts(self._after)
        except GatewayError:
            await self.end("Listen again from your cursor")
        except Exception as error:
            log.error("live.broken", exc_info=error)
            await self.end("Listen again from your cursor")

    async def _tell_of_accounts(self, after: int) -> None:
        self._after, found = await self._services.db.read(lambda rx: _since(rx, self._who, after))
        for each in found:
            text = json.dumps(each, ensure_ascii=False, separators=(",", ":"))
            await self._put(f"id: {self._id(self._told.cursor)}\nevent: account\ndata: {text}\n\n".encode())


def _since(rx: Rx, who: Caller, after: int) -> tuple[int, list[dict[str, Any]]]:
    """What happened behind a number as far as the key sees, and the number behind it."""
    found = connector_events.since(rx, after, limit=_MOST)
    if not found:
        return after, []
    known = {number: row for number in {each.connector_id for each in found} if (row := _own(rx, who, number))}
    told = [
        {
            "at": each.at, "kind": each.kind.value, "good": each.status is EventStatus.SUCCESS,
            "text": words_of(each.message or each.failure, each.detail),
            "connector": known[each.connector_id].uuid, "name": known[each.connector_id].name,
        }
        for each in found if each.connector_id in known
    ]  # fmt: skip
    return found[-1].id, told


def _own(rx: Rx, who: Caller, number: ConnectorId) -> ConnectorRow | None:
    try:
        return connector_of(rx, who, accounts.get(rx, number).uuid)
    except NotFound:  # removed meanwhile, or another's
        return None
