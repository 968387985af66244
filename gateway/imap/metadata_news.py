"""Untagged METADATA for what others changed (RFC 5464 4.4.2), for a session that asked by ENABLE or by NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING, Final

import structlog

from gateway.model.errors import Unavailable
from gateway.model.ids import ModSeq
from gateway.store import entries, inboxes
from gateway.store.db import Rx, Wake, WakeKind
from gateway.store.entries import Changed
from gateway.wire import render

from . import access
from .access import Action
from .channel import Closed
from .mailbox_names import encoded

if TYPE_CHECKING:
    from .session import Session

log = structlog.get_logger(__name__)

ENABLED_BY: Final = frozenset({"METADATA", "METADATA-SERVER"})
_PAGE: Final = 200  # entries a look at the store on the loop


class MetadataNews:
    """Knows up to which MODSEQ this session was told. A wake-up of the inbox makes it look again, at once in IDLE."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._inbox_id = session.require_principal().inbox_id
        self._since: int | None = None
        self._own: set[ModSeq] = set()
        self._task: asyncio.Task[None] | None = None
        self.stale = True
        """There may be something to tell. The first `tell`, before the OK of ENABLE, only notes where to begin."""
        self._unsubscribe = session.services.db.subscribe(self._woken)

    def close(self) -> None:
        self._unsubscribe()
        if self._task is not None:
            self._task.cancel()

    def made(self, modseqs: Iterable[ModSeq]) -> None:
        """The session's own changes are no news to it."""
        self._own.update(modseqs)

    async def tell(self) -> None:
        """Send what is new. In an outage the news waits: the command it comes with is done all the same."""
        try:
            await self._tell()
        except Unavailable:
            self.stale = True

    async def _tell(self) -> None:
        session, db = self._session, self._session.services.db
        while self.stale:
            self.stale = False
            if self._since is None:
                inbox = await db.tiny(lambda rx: inboxes.inbox_by_id(rx, self._inbox_id))
                self._since = inbox.modseq if inbox is not None else 0
                continue
            found = await db.tiny(self._look)
            if not found:
                continue
            self.stale = True  # until a look finds nothing
            last = found[-1].modseq
            news = [change for change in found if change.modseq not in self._own]
            if len(found) == _PAGE and found[0].modseq < last:
                # What one unit did is told whole: the last one's may go on with the next page.
                news = [change for change in news if change.modseq < last]
                last = ModSeq(last - 1)
            self._since = last
            self._own = {modseq for modseq in self._own if modseq > last}
            # Only of what GETMETADATA would show this key.
            principal = session.require_principal()
            news = [change for change in news if access.allowed(principal, Action.READ, change.role)]
            news = [change for change in news if session.wants_entries(change.mailbox)]
            for mailbox, changes in groupby(news, key=lambda change: change.mailbox):
                names = b" ".join(render.astring(change.entry.encode("ascii")) for change in changes)
                session.channel.send(b"* METADATA %b %b\r\n" % (encoded(session, mailbox), names))

    def _look(self, rx: Rx) -> list[Changed]:
        return entries.changed_since(rx, self._inbox_id, self._since or 0, most=_PAGE)

    def _woken(self, wake: Wake) -> None:
        if wake.kind is WakeKind.MAIL and wake.inbox_id in {None, self._inbox_id}:
            self.stale = True
            if self._session.notify is not None:
                self._session.teller.news()
            else:
                self.tell_idling()

    def tell_idling(self) -> None:
        """In IDLE nobody else asks, unless NOTIFY has set a `Teller` to it."""
        session = self._session
        if session.notify is not None or not session.idling:
            return
        if self.stale and self._task is None and not session.channel.congested:
            self._task = asyncio.get_running_loop().create_task(self._in_idle())

    async def _in_idle(self) -> None:
        try:
            if self._session.idling:
                await self.tell()
                self._session.channel.flush()
        except Closed:
            pass
        except Exception:
            log.exception("imap.metadata.broken")
        finally:
            self._task = None
