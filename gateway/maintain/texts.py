"""Makes the text that SEARCH looks through (`store.search_text`), when mail has come in and the store is quiet again.

Reader processes decode and fold, a small write unit stores what they made; whatever is not stored yet is still noted
as due, so the work may end anywhere and goes on at the next start. A database of before, or one that an import filled,
is caught up with in the same way.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from gateway.ingest.search_text import folded_fields, folded_text
from gateway.model.errors import GatewayError, NotFound, TookTooLong
from gateway.model.ids import BodyId, ContentId
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store import content, search_text
from gateway.store.content import CHUNK, IdBlocks
from gateway.store.db import Database, Rx, Tx
from gateway.store.search_text import INLINE, SearchText

from .pace import Pace

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 60
"""A node that makes the texts says so anew each half of this; when it dies, another takes over after it."""
TELL_SECONDS: Final = 15.0
"""Between two looks at how many are left, as often as Prometheus usually asks: it walks what waits."""
PIECES: Final = INLINE // CHUNK
"""Pieces of a large text that one unit stages."""


@dataclass(frozen=True, slots=True)
class TextSettings:
    """How the work is cut and when it is done. Times in seconds."""

    contents: int = 64
    """Contents of one piece: some 25 ms of a reader process, 3 ms of the writer …"""
    octets: int = 512 * 1024
    """… unless they hold so much text before."""
    quiet: float = 0.5
    """The work begins once no mail has come for so long …"""
    longest_wait: float = 5.0
    """… or some has come ever since, for so long; then only half of the time is worked."""
    interval: float = 60.0
    """The store is asked so often also when nobody told of mail: by another node, or an import beside."""


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a piece: `texts`; `gone` need none any more; `failed`, a defect each: content and error."""

    texts: list[SearchText]
    gone: list[ContentId]
    failed: list[tuple[ContentId, str]]
    last: int
    """The highest content id looked at; 0: nothing is due above where the piece began."""


def make(rx: Rx, after: int, contents: int, octets: int, skip: Sequence[ContentId]) -> Made:
    """Make the texts of some contents that are due above id `after`; runs in a reader process."""
    made = Made([], [], [], 0)
    total = last = 0
    for content_id, done in search_text.due(rx, after, contents):
        if total >= octets:
            break
        last = content_id
        if content_id in skip:
            continue
        if done:
            made.gone.append(content_id)
            continue
        try:
            fields = folded_fields(content.read_header(rx, content_id))
            text = folded_text(rx, content_id)
        except NotFound:  # collected meanwhile
            made.gone.append(content_id)
        except Exception as error:  # a defect: told by the builder, and no reason to leave the others without
            made.failed.append((content_id, repr(error)))
        else:
            made.texts.append(SearchText(content_id, fields, text))
            total += len(fields) + len(text)
    return Made(made.texts, made.gone, made.failed, last)


class TextBuilder:
    """One a process. `run` works until it is cancelled."""

    def __init__(
        self,
        db: Database,
        now: Clock,
        settings: TextSettings | None = None,
        *,
        owner: str = "",
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        """`now` gives Unix seconds; `owner` names this node among others, by itself without a name."""
        self._db = db
        self._clock = now
        self._settings = settings or TextSettings()
        self._metrics = metrics
        self._ids = IdBlocks(db)
        self._owner = owner or uuid.uuid4().hex
        self._leads_until = 0.0
        self._failed: set[ContentId] = set()
        self._pace = Pace(db, self._settings.quiet)
        self._told_at = 0.0

    async def run(self) -> None:
        """Catch up, then wait for mail, and so on."""
        unsubscribe = self._pace.listen()
        try:
            while True:
                self._pace.begin()
                await self._try()
                await self._pace.wait(self._settings.interval)
                await self._pace.settle(self._settings.longest_wait)
        finally:
            unsubscribe()

    async def catch_up(self) -> int:
        """Make all texts that are due now; how many were made. 0 also while another node makes them."""
        after = count = 0
        contents = self._settings.contents
        while await self._leads():
            began = _now()
            skip = sorted(self._failed)
            try:
                made = await self._db.offload_bulk(make, after, contents, self._settings.octets, skip)
            except TookTooLong:
                if contents == 1:
                    await self._give_up(after)
                contents = 1  # to find out which of them it was
                continue
            contents = min(2 * contents, self._settings.contents)
            if not made.last:
                break
            after = made.last
            await self._store(made)
            count += len(made.texts)
            self._metrics.count("search_texts_total", len(made.texts))
            await self._tell(TELL_SECONDS)
            await self._pace.share(began)
        await self._tell(0)
        return count

    async def _give_up(self, after: int) -> None:
        """Leave out the first content above `after`, until the next start: searches read it as it is."""
        skip = self._failed
        due = await self._db.read(lambda rx: search_text.due(rx, after, len(skip) + 1))
        for content_id, _ in due:
            if content_id not in skip:
                log.warning("texts.took_too_long", content_id=content_id)
                skip.add(content_id)
                break

    async def _tell(self, seconds: float) -> None:
        """The metrics of how many wait, if they were last told so long ago."""
        if _now() - self._told_at >= seconds:
            self._told_at = _now()
            self._metrics.gauge("search_texts_waiting", await self._db.read(search_text.count_due))

    async def _try(self) -> None:
        try:
            count = await self.catch_up()
        except GatewayError as error:  # the disk is full, or the database away: later
            log.warning("texts.deferred", reason=str(error))
        else:
            if count:
                log.info("texts.made", contents=count)

    async def _store(self, made: Made) -> None:
        for content_id, error in made.failed:
            log.error("texts.failed", content_id=content_id, error=error)
            self._failed.add(content_id)
        small = [each for each in made.texts if len(each.text) <= INLINE]

        def unit(tx: Tx) -> None:
            search_text.settle(tx, made.gone)
            search_text.put(tx, small)

        await self._db.write(unit, octets=sum(len(each.fields) + len(each.text) for each in small))
        for each in made.texts:
            if len(each.text) > INLINE:
                await self._store_large(each)

    async def _store_large(self, each: SearchText) -> None:
        """In units that each are short; what is half there when the process ends, the janitor collects."""
        body_id = BodyId(await self._ids.take())
        now = int(self._clock())
        pieces = [each.text[start : start + CHUNK] for start in range(0, len(each.text), CHUNK)]
        for first in range(0, len(pieces), PIECES):
            stage = partial(
                content.stage_chunks, body_id=body_id, first_index=first, chunks=pieces[first : first + PIECES], now=now
            )
            await self._db.write(stage, octets=INLINE)
        await self._db.write(
            lambda tx: search_text.put_large(tx, each.content_id, each.fields, len(each.text), body_id),
            octets=len(each.fields),
        )

    async def _leads(self) -> bool:
        if self._db.dialect == "sqlite":  # one server holds the store
            return True
        now = _now()
        if now >= self._leads_until - LEASE_SECONDS / 2:
            mine = await self._db.write(lambda tx: search_text.lead(tx, self._owner, LEASE_SECONDS))
            self._leads_until = now + LEASE_SECONDS if mine else 0.0
        return self._leads_until > 0


def _now() -> float:
    return asyncio.get_running_loop().time()

