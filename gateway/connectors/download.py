"""A window of messages: fetched, streamed into the store, and taken in; each message once, whatever happens.

Octets go straight from the connection into the store's writer; what is whole is taken in by units of their own while
the rest of the window still comes. The cursor moves in the last one. Cut off anywhere, the window is asked for again,
and what was taken in already is known by its row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from gateway.mime import may_be_report
from gateway.model.sequence import Ranges, contains, count, from_numbers, intersect, numbers_of, without
from gateway.store.connectors import known, poison, window
from gateway.store.connectors.rows import FolderId, RemoteFolder
from gateway.store.connectors.window import Arrival, Cursor, Target
from gateway.store.content import StagedContent
from gateway.store.db import Tx
from gateway.upstream.errors import Closed
from gateway.upstream.values import FetchedMessage
from gateway.upstream.wants import FetchWants, SearchWants

from . import after_fetch as after
from .labelling import targets_of
from .moved import forget_moved
from .plan.flags import flags_of
from .plan.windows import POISON_TRIES, Taken, poison_is_reported, poison_next
from .work import Work

BATCH_MESSAGES: Final = 50
BATCH_OCTETS: Final = 1024 * 1024
"""What waits in memory for a unit; longer messages are staged as they come."""


class Download:
    """One window of one folder, which is selected."""

    def __init__(self, work: Work, folder: RemoteFolder) -> None:
        assert folder.uidvalidity is not None  # a snapshot was taken
        self._work = work
        self._folder_id: FolderId = folder.id
        self._validity: int = folder.uidvalidity
        self._folder = folder
        self._ready: list[Arrival] = []
        self._ready_octets = 0
        self._storing: asyncio.Task[None] | None = None
        self._octets = 0
        self._empty: list[int] = []

    async def run(self, uids: Ranges, cursor: Cursor | None = None) -> Taken:
        """Take in those of `uids` that are not known, and put the cursor forward. What it cannot get becomes poison.

        UpstreamError (what had come whole is kept), StoreErrors of `import_window`.
        """
        work, loop = self._work, asyncio.get_running_loop()
        began = loop.time()
        wanted = await self._wanted(uids)
        try:
            await self._fetch(wanted)
        except BaseException:
            await self._keep_what_came()
            raise
        await self._stored()
        if after.applies(work) and uids:
            await self._store(self._take_ready())
            have = await self._known(uids)
            await after.after_fetch(work, self._folder, intersect(uids, have.live))
        if cursor is not None or self._ready:
            await self._store(self._take_ready(), cursor)
        taken = count(wanted)
        work.octets.used(self._octets, work.clock())
        return Taken(taken, self._octets, loop.time() - began)

    async def _wanted(self, uids: Ranges) -> Ranges:
        """What is to be fetched: neither known nor put off."""
        work = self._work
        if not uids:
            return ()
        have = await self._known(uids)
        waiting = await work.db.read(lambda rx: known.poison(rx, self._folder_id, self._validity))
        put_off = [uid for uid, at in waiting.items() if at > work.now]
        wanted = without(without(uids, have.live), from_numbers(put_off))
        memory = work.memory(self._folder)
        for uid in [uid for uid, times in memory.failed.items() if times >= POISON_TRIES and contains(wanted, uid)]:
            await self._poison(uid, "the connection ends whenever it is fetched", tries=POISON_TRIES)
            del memory.failed[uid]
            wanted = without(wanted, ((uid, uid),))
        return wanted

    async def _known(self, uids: Ranges) -> known.Known:
        low, high = uids[0][0], uids[-1][1]
        return await self._work.db.read(lambda rx: known.known(rx, self._folder_id, self._validity, low, high))

    async def _fetch(self, wanted: Ranges) -> None:
        work = self._work
        if not wanted:
            return
        gmail = work.client.has("X-GM-EXT-1")
        wants = FetchWants(flags=True, internal_date=True, size=True, modseq=True, ids=True, labels=gmail)
        memory = work.memory(self._folder)
        first = wanted[0][0]
        try:
            found = await work.client.fetch_bodies(wanted, wants, self._open)
        except Closed:
            # Whatever it was, the next window is smaller; a message that ends the connection three times is left out.
            if count(wanted) == 1:
                memory.failed[first] = memory.failed.get(first, 0) + 1
            memory.most = max(1, count(wanted) // 4)
            raise
        memory.most = None
        told = {message.uid for message in found.missing} | {message.uid for message in found.too_big}
        for message in found.too_big:
            await self._poison(message.uid, f"it is larger than {work.settings.max_message} octets", tries=POISON_TRIES)
        here = found.finished - set(self._empty)
        without_body = [uid for uid in numbers_of(wanted) if uid not in here and uid not in told]
        without_body += [message.uid for message in found.missing]
        if without_body:  # gone meanwhile, or really without
            listed = await work.search(SearchWants(uids=from_numbers(without_body)))
            for uid in numbers_of(intersect(listed, from_numbers(without_body))):
                await self._poison(uid, "the server gives no body for it")

    async def _open(self, uid: int, message: FetchedMessage) -> _Sink | None:
        return _Sink(self)

    async def took(self, message: FetchedMessage, staged: StagedContent) -> None:
        """A message came whole."""
        if staged.size == 0:
            self._empty.append(message.uid)
            return
        self._octets += staged.size
        work = self._work
        self._ready.append(
            Arrival(
                uid=message.uid,
                flags=flags_of(message.flags or ()),
                internal_date=message.internal_date if message.internal_date is not None else work.now,
                content=staged,
                targets=await self._targets(message),
                source_key=source_key(message) or f"sha256:{staged.sha256.hex()}",
                size=message.size,
                modseq=message.modseq,
                labels=tuple(sorted(message.labels or ())),
                may_be_report=may_be_report(staged.header),
            )
        )
        self._ready_octets += len(staged.header) + sum(len(piece) for piece in staged.tail)
        if len(self._ready) >= BATCH_MESSAGES or self._ready_octets >= BATCH_OCTETS:
            await self._stored()
            self._storing = asyncio.ensure_future(self._store(self._take_ready()))

    async def _targets(self, message: FetchedMessage) -> Sequence[Target]:
        if self._folder.labels:
            return await targets_of(self._work, message.labels or frozenset())
        return [] if self._folder.mailbox_id is None else [Target(self._folder.mailbox_id)]

    def _take_ready(self) -> list[Arrival]:
        ready, self._ready, self._ready_octets = self._ready, [], 0
        return ready

    async def _stored(self) -> None:
        """Wait for the unit that is under way."""
        storing, self._storing = self._storing, None
        if storing is not None:
            await storing

    async def _keep_what_came(self) -> None:
        """The connection is gone, or we are stopped: what came whole needs not come again."""
        try:
            await self._stored()
            if self._ready:
                await self._store(self._take_ready())
        except Exception as error:
            self._work.run.note(f"kept nothing of a window that was cut off: {type(error).__name__}")

    async def _store(self, arrivals: list[Arrival], cursor: Cursor | None = None) -> None:
        work = self._work
        octets = sum(len(one.content.header) + one.content.size for one in arrivals if one.content is not None)

        def unit(tx: Tx) -> window.Imported:
            return window.import_window(
                tx, work.claim, self._folder_id, self._validity, arrivals, cursor, now=work.now
            )

        made = await work.unit(unit, octets=octets)
        work.run.brought(made.email_ids, octets)
        await forget_moved(work, made.email_ids)
        for word in sorted(made.keywords_dropped):
            work.run.note(f"{self._folder.name}: no room for the keyword {word}")

    async def _poison(self, uid: int, reason: str, *, tries: int = 1) -> None:
        work = self._work

        def unit(tx: Tx) -> int:
            before = known.poison_tries(tx, self._folder_id, self._validity, uid)
            count_ = max(before + 1, tries)
            at = int(poison_next(count_, work.now))
            return poison.note(
                tx, work.claim, self._folder_id, self._validity, uid, reason, next_try=at, now=work.now
            )

        times = await work.unit(unit)
        work.run.poisoned += 1
        if poison_is_reported(max(times, tries)):
            work.run.note(f"{self._folder.name}: message {uid} cannot be fetched: {reason}")


class _Sink:
    """One message on its way into the store."""

    def __init__(self, download: Download) -> None:
        self._download = download
        work = download._work
        self._writer = work.ingest.writer(max_size=work.settings.max_message + 1)

    async def write(self, octets: bytes) -> None:
        await self._writer.write(octets)

    async def finish(self, message: FetchedMessage) -> None:
        await self._download.took(message, await self._writer.finish())

    async def abort(self) -> None:
        await self._writer.abort()


def source_key(message: FetchedMessage) -> str | None:
    """What the server calls a message, wherever it is; None: it has no name for it."""
    if message.gmail_id is not None:
        return f"gm:{message.gmail_id}"
    return f"oid:{message.email_id}" if message.email_id else None
