"""A folder upstream as an operation needs it: open for writing, its UIDNEXT, and what landed in it since."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.connectors.download import source_key
from gateway.connectors.work import Work
from gateway.mime import envelope_of, index_fields
from gateway.mime.envelope import own_message_id
from gateway.model.sequence import Ranges, intersect
from gateway.outbound.failure import Failure
from gateway.store.connectors.rows import RemoteFolder
from gateway.store.threads import id_hash
from gateway.upstream.errors import Refused
from gateway.upstream.values import FetchedMessage, Selected
from gateway.upstream.wants import FetchWants, SearchWants

LAST: Final = 2**32 - 1
_STRONG: Final = ("gm:", "oid:")
_WANTS: Final = FetchWants(flags=False, internal_date=True, size=True, ids=True, header=("Message-ID",))


@dataclass(frozen=True, slots=True)
class Sought:
    """By what a message is known again: an id of the server, the hash of its Message-ID, INTERNALDATE and size."""

    key: str | None
    id_hash: int | None
    date: int | None
    size: int | None


async def opened(work: Work, row: RemoteFolder, *, anew: bool = False) -> Selected | None:
    """SELECT, unless it is selected; None when it cannot be changed now, or is numbered otherwise than we know."""
    selected = work.client.selected
    if anew or selected is None or selected.raw != row.raw or selected.read_only:
        try:
            selected = await work.client.select(row.raw)
        except Refused as error:
            if error.failure not in (Failure.FOLDER_MISSING, Failure.REFUSED_COMMAND):
                raise
            return None
    return None if selected.read_only or selected.uidvalidity != row.uidvalidity else selected


async def uidnext(work: Work, row: RemoteFolder) -> int | None:
    """Of a folder as it is now; None when it cannot be told, or its UIDVALIDITY is another one. May select it."""
    selected = work.client.selected
    if selected is None or selected.raw != row.raw:
        try:
            status = await work.client.status(row.raw)
        except Refused as error:
            if error.failure not in (Failure.FOLDER_MISSING, Failure.REFUSED_COMMAND):
                raise
            return None
        if status.uidnext is not None and status.uidvalidity is not None:
            return status.uidnext if status.uidvalidity == row.uidvalidity else None
    selected = await opened(work, row, anew=True)
    if selected is None:
        return None
    if selected.uidnext is not None:
        return selected.uidnext
    listed = await work.search()
    return listed[-1][1] + 1 if listed else 1


async def present(work: Work, uids: Ranges) -> Ranges:
    """Those of `uids` that the selected folder has."""
    return intersect(await work.search(SearchWants(uids=uids)), uids)


async def landed(work: Work, row: RemoteFolder, since: int, sought: Sequence[Sought]) -> list[int | None] | None:
    """UIDs, from `since` on, of messages that came into a folder; each UID once. None: the folder cannot be opened.

    Opened anew, for some servers show an APPEND only then. By id, else by Message-ID, else by date and size.
    """
    if await opened(work, row, anew=True) is None:
        return None
    some = await came(work, since)
    found: list[int | None] = [None] * len(sought)
    taken: set[int] = set()
    for rule in (_by_key, _by_id, _by_looks):
        for index, one in enumerate(sought):
            if found[index] is None:
                uid = next((message.uid for message in some if message.uid not in taken and rule(one, message)), None)
                if uid is not None:
                    found[index] = uid
                    taken.add(uid)
    return found


async def came(work: Work, since: int) -> list[FetchedMessage]:
    """What the selected folder has from UID `since` on, with all that a `Sought` is compared with."""
    listed = await work.search(SearchWants(uids=((since, LAST),)))
    there = intersect(listed, ((since, LAST),))
    some = [one async for one in work.client.fetch(there, _WANTS)] if there else []
    return sorted(some, key=lambda one: one.uid)


def _by_key(sought: Sought, message: FetchedMessage) -> bool:
    return sought.key is not None and sought.key == source_key(message)


def _by_id(sought: Sought, message: FetchedMessage) -> bool:
    return sought.id_hash is not None and sought.id_hash == hash_of(message)


def _by_looks(sought: Sought, message: FetchedMessage) -> bool:
    """Only what has no better name: the server keeps INTERNALDATE, and nothing else of that time has that size."""
    if sought.key is not None or sought.id_hash is not None or sought.date is None:
        return False
    return sought.date == message.internal_date and sought.size in (None, message.size)


def hash_of(message: FetchedMessage) -> int | None:
    own = own_message_id(envelope_of(index_fields(message.header or b"")).message_id)
    return None if own is None else id_hash(own)


def strong(key: str | None) -> str | None:
    return key if key is not None and key.startswith(_STRONG) else None
