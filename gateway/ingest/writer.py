"""ContentWriter: takes a message in chunks from whoever brings it, and yields a content that nothing refers to yet.

A small message stays in memory until the unit that attaches it. Once a message passes STAGE_OCTETS its body goes to
the store in units of that size, each an ordinary small write: a slow sender never holds the writer, and a 10 MB message
costs no more memory than a small one. What attaches it is one final unit of the caller:

    staged = await writer.finish()

    def unit(tx: Tx) -> Appended:
        content.complete(tx, staged, now)
        return messages.append(tx, mailbox, inbox, staged, internal_date=now, now=now)

    await db.write(unit, inboxes=(inbox,), octets=staged.size)
"""

from __future__ import annotations

import asyncio
from collections import deque
from hashlib import sha256
from typing import Final

from gateway import mime
from gateway.model.body import ParsedMessage
from gateway.model.errors import InvalidRequest, TooBig
from gateway.model.ids import BodyId, ContentId
from gateway.model.ports import Clock
from gateway.store import content
from gateway.store.content import CHUNK, ContentMeta, IdBlocks, StagedContent
from gateway.store.db import Database
from gateway.wire import render

STAGE_OCTETS: Final = 8 * CHUNK
"""512 KiB: what one staging unit writes (p99 of small appenders beside a 10 MB message: 9 ms instead of 63)."""
UNDER_WAY: Final = 4
"""Staging units of one message that wait or are written: 2 MB that go on arriving while the writer is busy."""
INLINE_HEADER: Final = 16_384
"""Octets of a header that is read on the loop, as nearly all are; hostile ones of 256 KiB take 0.3 s to read."""
INLINE_MESSAGE: Final = 32_768
"""The same for a whole message: what it renders grows with its parts."""
INLINE_PARTS: Final = 64
"""Lines that may be boundaries in one chunk that is read on the loop: 6,500 tiny parts in 64 KiB take 0.15 s."""
VARIANTS: Final = 7
"""Other headers over one body: without Bcc for what goes out, with Return-Path for local deliveries …"""


class Ingest:
    """Makes writers over one store; keeps the block of content ids they draw from."""

    def __init__(self, db: Database, *, now: Clock) -> None:
        self._db = db
        self._now = now
        self._ids = IdBlocks(db)

    def writer(self, *, max_size: int) -> ContentWriter:
        """A writer for one message of at most `max_size` octets."""
        return ContentWriter(self._db, self._ids, now=self._now, max_size=max_size)


class ContentWriter:
    """Takes one message. Use `write` for its chunks, then `finish`; or `abort` when it ends early."""

    def __init__(self, db: Database, ids: IdBlocks, *, now: Clock, max_size: int) -> None:
        self._db = db
        self._ids = ids
        self._now = now
        self._max_size = max_size
        self._scanner = mime.Scanner()
        self._size = 0
        self._head: list[bytes] | None = []  # all chunks so far; None once the header is known
        self._body: list[bytes | memoryview] = []  # octets of the body not staged yet
        self._body_octets = 0
        self._hash = sha256()
        self._first_id: ContentId | None = None
        self._staged_chunks = 0
        self._staging: deque[asyncio.Future[None]] = deque()  # units being written while octets go on arriving
        self._variants = 0

    @property
    def size(self) -> int:
        """Octets taken so far."""
        return self._size

    async def write(self, chunk: bytes) -> None:
        """The next octets. Raises TooBig past the limit, Unavailable when earlier ones could not be staged: `abort`."""
        self._size += len(chunk)
        if self._size > self._max_size:
            raise TooBig(f"The message is larger than {self._max_size} octets")
        # One octet is looked for first: base64 has no hyphen, and to count what is not there costs more than the hash.
        parts = chunk.count(b"\n--") if b"-" in chunk else 0
        if (self._head is not None and self._size > INLINE_HEADER) or parts > INLINE_PARTS:
            await asyncio.to_thread(self._scanner.feed, chunk)
        else:
            self._scanner.feed(chunk)
        if self._head is None:
            self._take_body(chunk)
        else:
            self._head.append(chunk)
            if not self._scanner.header_complete:
                return
            self._end_header()
        while self._body_octets >= STAGE_OCTETS:
            await self._stage()

    async def finish(self, *, keep: bool = True) -> StagedContent:
        """The whole message, parsed and rendered. Unavailable when the store cannot give it an id.

        `keep`: its last octets wait in memory for the unit that attaches it, else they go to the store too.
        """
        large = self._size > INLINE_MESSAGE or len(self._scanner.header) > INLINE_HEADER
        parsed, meta = await asyncio.to_thread(self._parsed) if large else self._parsed()
        if self._head is not None:
            self._end_header()
        first = await self._id()
        digest = self._hash.copy()
        digest.update(parsed.header)
        if not keep and self._body_octets:
            await self._stage()
        octets = b"".join(self._body)
        await self._staged()
        return StagedContent(
            content_id=first,
            body_id=BodyId(first),
            header=parsed.header,
            size=self._size,
            sha256=digest.digest(),
            tail=tuple(octets[start : start + CHUNK] for start in range(0, len(octets), CHUNK)),
            tail_index=self._staged_chunks,
            meta=meta,
        )

    def _parsed(self) -> tuple[ParsedMessage, ContentMeta]:
        parsed = self._scanner.finish()
        return parsed, _meta(parsed)

    async def abort(self) -> None:
        """Forget the message and what was staged of it. Not after the content was attached."""
        self._body, self._body_octets, self._head = [], 0, None
        # Whatever becomes of them: nobody wants these octets any more.
        await asyncio.gather(*self._staging, return_exceptions=True)
        self._staging.clear()
        if self._staged_chunks and self._first_id is not None:
            body_id, pieces = BodyId(self._first_id), self._staged_chunks
            self._staged_chunks = 0
            await self._db.write(lambda tx: content.discard(tx, body_id, pieces))

    def variant(self, staged: StagedContent, header: bytes) -> StagedContent:
        """The finished message under another header (with its blank line): same body, a content of its own.

        The fields that describe the body (MIME-Version, Content-*) must be those of the original: body structure
        and part table are taken over.
        """
        if self._variants == VARIANTS:
            raise InvalidRequest("Too many variants of one message")
        self._variants += 1
        digest = self._hash.copy()
        digest.update(header)
        scanner = mime.Scanner()
        scanner.feed(header)
        parsed = scanner.finish()
        return StagedContent(
            content_id=ContentId(staged.body_id + self._variants),
            body_id=staged.body_id,
            header=header,
            size=staged.size - len(staged.header) + len(header),
            sha256=digest.digest(),
            tail=staged.tail,
            tail_index=staged.tail_index,
            meta=ContentMeta(
                envelope=render.envelope(parsed.envelope),
                body=staged.meta.body,
                bodystructure=staged.meta.bodystructure,
                parts=staged.meta.parts,
                message_id=parsed.message_id,
                in_reply_to=parsed.in_reply_to,
                references=parsed.references,
                sent_date=parsed.sent_date,
                has_nul=staged.meta.has_nul,
                parser_version=staged.meta.parser_version,
            ),
        )

    def digest_under(self, header: bytes) -> bytes:
        """SHA-256 of the body followed by `header`: what `StagedContent.sha256` would be under that one."""
        digest = self._hash.copy()
        digest.update(header)
        return digest.digest()

    def _end_header(self) -> None:
        """The header's length is known: what came behind it is body."""
        assert self._head is not None  # called once
        rest = b"".join(self._head)[len(self._scanner.header) :]
        self._head = None
        self._take_body(rest)

    def _take_body(self, octets: bytes) -> None:
        if octets:
            self._hash.update(octets)
            self._body.append(octets)
            self._body_octets += len(octets)

    async def _stage(self) -> None:
        """Begin to write a unit's worth. Few are under way at once: that bounds the memory a message takes."""
        octets = memoryview(b"".join(self._body))  # from here on nothing is copied again before the store does
        pieces = [octets[start : start + CHUNK] for start in range(0, min(len(octets), STAGE_OCTETS), CHUNK)]
        rest = octets[STAGE_OCTETS:]
        self._body, self._body_octets = [rest] if rest else [], len(rest)
        await self._staged(UNDER_WAY - 1)
        body_id = BodyId(await self._id())
        first, now = self._staged_chunks, int(self._now())
        self._staged_chunks += len(pieces)  # also when the write fails: `abort` then looks for them all
        unit = self._db.write(
            lambda tx: content.stage_chunks(tx, body_id, first, pieces, now=now), octets=STAGE_OCTETS, staged=True
        )
        self._staging.append(asyncio.ensure_future(unit))

    async def _staged(self, under_way: int = 0) -> None:
        """Wait until no more than so many units are under way. Unavailable when one failed."""
        while len(self._staging) > under_way:
            await self._staging[0]
            self._staging.popleft()

    async def _id(self) -> ContentId:
        if self._first_id is None:
            self._first_id = await self._ids.take(1 + VARIANTS)
        return self._first_id


def _meta(parsed: ParsedMessage) -> ContentMeta:
    body, bodystructure = render.bodies(parsed.root)
    return ContentMeta(
        envelope=render.envelope(parsed.envelope),
        body=body,
        bodystructure=bodystructure,
        parts=mime.encode_parts(parsed.root),
        message_id=parsed.message_id,
        in_reply_to=parsed.in_reply_to,
        references=parsed.references,
        sent_date=parsed.sent_date,
        has_nul=parsed.has_nul,
        parser_version=mime.PARSER_VERSION,
    )
