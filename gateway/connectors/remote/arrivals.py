"""What is new in a folder for a poller, whose cursor is in the store (`store.connectors.cursors`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import InvalidRequest
from gateway.model.sequence import Ranges, count, intersect, numbers_of
from gateway.outbound.failure import Failure
from gateway.store.connectors import cursors
from gateway.store.connectors.cursors import PollCursor
from gateway.store.connectors.rows import ConnectorId
from gateway.store.db import Database
from gateway.upstream.errors import Refused
from gateway.upstream.numbers import MAX_UID
from gateway.upstream.values import ListedMailbox, Selected
from gateway.upstream.wants import SearchWants

from .actions import RemoteActions
from .errors import shown
from .polling import Position
from .reading import lowest
from .values import MessageFacts

PAGE: Final = 50
"""Messages that are handed on before the account is asked again."""


@dataclass(frozen=True, slots=True)
class Arrivals:
    """New messages of a folder, which is selected. `began`: nothing was asked for before; `reset`: the UIDVALIDITY
    before, where it is another one now. `silent`: the server lists this UID and gives nothing of it.
    """

    mailbox: str
    position: Position
    messages: tuple[MessageFacts, ...]
    more: bool
    began: bool = False
    reset: int | None = None
    silent: int | None = None


@dataclass(frozen=True, slots=True)
class Poller:
    """A poller of a connector: whose cursor it is."""

    db: Database
    connector: ConnectorId
    name: str

    async def look(
        self, actions: RemoteActions, mailbox: str, *, from_start: bool, now: int, after: int | None = None,
        limit: int = PAGE,
    ) -> Arrivals:  # fmt: skip
        """What came since the cursor, the oldest first.

        A poller that never ran, or whose folder has a new UIDVALIDITY, begins now, or with `from_start` at the first
        message; its cursor is there from then on. `after` puts the cursor there. InvalidRequest: it polls another
        folder, or its UIDs do not last.
        """
        folder = await actions.folder(mailbox)
        before = await self.db.read(lambda rx: cursors.get(rx, self.connector, self.name))
        if before is not None and before.raw != folder.raw:
            raise InvalidRequest(f"Poller {self.name} polls another folder; take another name, or forget it")
        selected = await actions.select(folder)
        if not selected.uidvalidity or selected.uid_not_sticky:
            raise InvalidRequest(f"The server gives {shown(folder.name)} no UIDs that last: what is new is not known")
        reset = before.uidvalidity if before is not None and before.uidvalidity != selected.uidvalidity else None
        cursor = before
        if before is None or reset is not None or after is not None:
            start = after if after is not None else 0 if from_start else await _last(actions, selected)
            cursor = await self._moved(_place(folder, selected, start, before), now)
        assert cursor is not None
        position = Position(folder.raw, selected.uidvalidity, cursor.uid, cursor.version)
        found = await _above(actions, cursor.uid)
        page = lowest(found, limit)
        messages, silent = await _told(actions, page)
        return Arrivals(
            folder.name, position, messages, count(found) > count(page) and silent is None, before is None, reset,
            silent,
        )  # fmt: skip

    async def delivered(self, position: Position, uid: int, now: int) -> Position:
        """Everything up to `uid` is safe. rows.Changed: another one of this name has moved the cursor."""
        moved = await self._moved(Position(position.raw, position.uidvalidity, uid, position.version), now)
        return Position(moved.raw, moved.uidvalidity, moved.uid, moved.version)

    async def _moved(self, to: Position, now: int) -> PollCursor:
        return await self.db.write(
            lambda tx: cursors.advance(
                tx, self.connector, self.name, to.raw, to.uidvalidity, to.uid, version=to.version, now=now
            )
        )


def _place(folder: ListedMailbox, selected: Selected, uid: int, before: PollCursor | None) -> Position:
    return Position(folder.raw, selected.uidvalidity, uid, before.version if before is not None else 0)


async def _last(actions: RemoteActions, selected: Selected) -> int:
    """The highest UID that a message has had, as far as the server tells."""
    if selected.uidnext is not None and 0 < selected.uidnext <= MAX_UID + 1:
        return selected.uidnext - 1
    there = await actions.search_uids()
    return there[-1][1] if there else 0


async def _above(actions: RemoteActions, uid: int) -> Ranges:
    if uid >= MAX_UID:
        return ()
    above = ((uid + 1, MAX_UID),)
    return intersect(await actions.search_uids(SearchWants(uids=above)), above)


async def _told(actions: RemoteActions, page: Ranges) -> tuple[tuple[MessageFacts, ...], int | None]:
    """(what the server tells of them, up to one that it is silent about, that one).

    What is gone meanwhile is left out.
    """
    facts = {one.uid: one async for one in actions.facts(page)}
    missing = [uid for uid in numbers_of(page) if uid not in facts]
    silent = None
    if missing:
        listed = await actions.search_uids(SearchWants(uids=page))
        silent = next((uid for uid in missing if _within(listed, uid)), None)
    rising = [facts[uid] for uid in sorted(facts) if silent is None or uid < silent]
    return tuple(rising), silent


def _within(uids: Sequence[tuple[int, int]], uid: int) -> bool:
    return any(low <= uid <= high for low, high in uids)


def silence(uid: int) -> Refused:
    """What is said of a message that is listed and cannot be had."""
    return Refused(
        Failure.REFUSED_COMMAND, f"The server lists message {uid} and gives nothing of it; --after {uid} leaves it out"
    )
