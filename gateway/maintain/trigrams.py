"""Keeps the trigram index (`store.trigrams`) behind the texts for SEARCH, in the background and in small pieces.

Nothing tells it what changed: block by block it compares the contents that messages have with those that have a mark,
indexes what is missing and takes away what is gone. So the work may end anywhere, the file may vanish, and a store that
was put back, moved or written by another node is caught up with in the same way.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.model.ids import ContentId
from gateway.model.ports import NULL_METRICS, Metrics
from gateway.store import trigrams
from gateway.store.db import Database, Rx
from gateway.store.trigram_file import TrigramFile, remove
from gateway.store.trigrams import BLOCK, Index, IndexDamaged

from .pace import Pace

log = structlog.get_logger(__name__)

NAME: Final = "search.db"
"""In the data directory."""
TEXT_MOST: Final = 1 << 20
"""Octets of a text up to which it is indexed; the few that are longer are looked through each time."""


@dataclass(frozen=True, slots=True)
class TrigramSettings:
    """How the work is cut and when it is done. Times in seconds."""

    contents: int = 50
    """Contents of one piece, some 30 ms of a core …"""
    octets: int = 512 * 1024
    """… unless they hold so much text before."""
    interval: float = 5.0
    """So often it looks for new texts while mail comes or texts are still to be made …"""
    longest: float = 60.0
    """… and so often also when nobody told of mail: by another node, or an import beside."""
    quiet: float = 0.5
    """While mail has come within this time, only half of the time is worked."""
    sweep: float = 3600.0
    """So often all blocks are compared, also those that were whole."""
    reserve: int = 1 << 30
    """Octets that stay free on the file's disk: mail needs them more."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What is to be done for a part of a block. Texts rise by id."""

    texts: list[tuple[ContentId, bytes]]
    gone: list[ContentId]
    late: bool
    """Some have no text yet: the block is to be looked at again soon."""
    after: ContentId | None
    """Where the next piece goes on; None: the block is done."""


def compare(rx: Rx, block: int, marks: bytes, after: int, contents: int, octets: int) -> Piece:
    """What a block's marks lack above id `after`, and have too many; runs in a reader process."""
    first = block * BLOCK
    bits = int.from_bytes(marks, "little")
    marked = {ContentId(first + at) for at in range(BLOCK) if bits >> at & 1} if bits else set()
    there = trigrams.contents(rx, block)
    gone = sorted(marked.difference(there)) if after < first else []
    missing = [content_id for content_id in there if content_id > after and content_id not in marked]
    wanted: list[ContentId] = []
    late = False
    total = at = 0
    while at < len(missing) and len(wanted) < contents and total < octets:
        asked = missing[at : at + contents - len(wanted)]
        sizes = trigrams.sizes(rx, asked)
        for content_id in asked:
            at += 1
            size = sizes.get(content_id)
            late = late or size is None
            if size is not None and size <= TEXT_MOST:
                wanted.append(content_id)
                total += size
                if total >= octets:
                    break
    return Piece(trigrams.texts(rx, wanted), gone, late, missing[at - 1] if at < len(missing) else None)


class TrigramBuilder:
    """One a process. `run` works until it is cancelled; `index` is what searches may ask meanwhile."""

    def __init__(
        self, db: Database, path: Path, settings: TrigramSettings | None = None, *, metrics: Metrics = NULL_METRICS
    ) -> None:
        self._db = db
        self._path = path
        self._settings = settings or TrigramSettings()
        self._metrics = metrics
        self._file: TrigramFile | None = None
        self._store: tuple[str, int] | None = None
        """The store's token and where its ids ended when it was opened."""
        self._from = 0
        """The lowest block that may lack something since the last look."""
        self._swept_at = float("-inf")
        self._short = False
        self._again = True
        """Something was left at the last look."""
        self._pace = Pace(db, self._settings.quiet)
        self.index: Index | None = None

    async def prepare(self) -> None:
        """Before any mail can come: how far the store's ids go tells whether a file is newer than it."""
        fresh = uuid.uuid4().hex
        store = await self._db.write(lambda tx: trigrams.store_token(tx, fresh))
        self._store = store, await self._db.read(trigrams.last_id)

    async def run(self) -> None:
        """Catch up, wait, and so on; the file is closed at the end."""
        unsubscribe = self._pace.listen()
        try:
            while True:
                self._pace.begin()
                self._again = True
                try:
                    await self.catch_up()
                except IndexDamaged:
                    await self._restart()
                except GatewayError as error:  # no space for it, or the store is away: later
                    log.warning("trigrams.deferred", reason=str(error))
                await asyncio.sleep(self._settings.interval)
                if not self._again:
                    await self._pace.wait(self._settings.longest - self._settings.interval)
        finally:
            unsubscribe()
            await self.close()

    async def close(self) -> None:
        self.index = None
        file, self._file = self._file, None
        if file is not None:
            await asyncio.to_thread(file.close)

    def damaged(self, index: Index) -> None:
        """A search could not read `index`: it is not asked any more, and made anew."""
        if self.index == index:
            self.index = None
            self._pace.wake()

    async def catch_up(self) -> int:
        """Index all texts that are made; how many. Unavailable, IndexDamaged."""
        if self._file is not None and self.index is None:  # a search found it damaged
            raise IndexDamaged("The trigram index is damaged")
        file = await self._opened()
        now = asyncio.get_running_loop().time()
        if now - self._swept_at >= self._settings.sweep:
            self._from, self._swept_at = 0, now
        block, lowest, count = self._from, -1, 0
        while (found := await self._next(file, block)) is not None:
            block = found
            done, late = await self._block(file, block)
            count += done
            if late and lowest < 0:
                lowest = block
            if not await self._room():
                lowest = block if lowest < 0 else lowest
                break
            block += 1
        # The last block fills further.
        self._from = lowest if lowest >= 0 else max(block - 1, 0)
        self._again = lowest >= 0
        if count:
            log.info("trigrams.indexed", contents=count)
        return count

    async def _opened(self) -> TrigramFile:
        if self._file is None:
            if self._store is None:
                await self.prepare()
            assert self._store is not None
            store, last = self._store
            self._file = file = await asyncio.to_thread(TrigramFile, self._path, store, last_id=last)
            self.index = file.index
            self._from, self._swept_at = 0, float("-inf")
            log.info("trigrams.opened", fresh=file.fresh)
        return self._file

    async def _restart(self) -> None:
        """Away with a damaged file; the next round makes another."""
        log.warning("trigrams.damaged", remedy="it is made anew")
        await self.close()
        await asyncio.to_thread(remove, self._path)

    async def _next(self, file: TrigramFile, block: int) -> int | None:
        """The first block from `block` on in which there is anything to compare."""
        marked = await asyncio.to_thread(file.next_block, block)
        held = await self._db.read(lambda rx: trigrams.next_content(rx, block * BLOCK))
        found = [] if marked is None else [marked]
        if held is not None:
            found.append(held // BLOCK)
        return min(found, default=None)

    async def _block(self, file: TrigramFile, block: int) -> tuple[int, bool]:
        """(how many were indexed, whether some have no text yet)"""
        count = 0
        some_late = False
        after: ContentId | None = ContentId(block * BLOCK - 1)
        marks = await asyncio.to_thread(file.marks, block)
        while after is not None:
            if not await self._room():
                return count, True
            began = asyncio.get_running_loop().time()
            piece = await self._db.offload_bulk(
                compare, block, marks, after, self._settings.contents, self._settings.octets
            )
            if piece.texts or piece.gone:
                await asyncio.to_thread(file.put, piece.texts, piece.gone)
                count += len(piece.texts)
                self._metrics.count("search_trigrams_total", len(piece.texts))
            some_late = some_late or piece.late
            after = piece.after
            await self._pace.share(began)
        return count, some_late

    async def _room(self) -> bool:
        """Whether the disk has more than the reserve left; told once each time it has not."""
        free = await asyncio.to_thread(_free, self._path.parent)
        short = free < self._settings.reserve
        if short and not self._short:
            log.warning("trigrams.no_room", free=free, needed=self._settings.reserve)
        self._short = short
        return not short


def _free(directory: Path) -> int:
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize
