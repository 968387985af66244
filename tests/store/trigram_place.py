"""What tests of the trigram index share: an inbox, mail for it, and the builders of texts and of the index."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from gateway.imap.search_keys import Criteria
from gateway.imap.search_page import search_page
from gateway.ingest.writer import Ingest
from gateway.maintain.texts import TextBuilder
from gateway.maintain.trigrams import NAME, TrigramBuilder, TrigramSettings
from gateway.mime import fold
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.store import content, messages, trigrams
from gateway.store.content import StagedContent
from gateway.store.db import Database, Tx
from gateway.store.statements import Stmt
from gateway.store.trigrams import Index
from gateway.wire import search as keys

from .helpers import NOW, mailbox_id, make_inbox

BRISK = TrigramSettings(contents=3, interval=0.01, reserve=0)
_CONTENT = Stmt("SELECT uid, content_id FROM message WHERE mailbox_id = :mailbox ORDER BY uid")


class Place:
    """An inbox, mail for it, and the builders of texts and of the index."""

    def __init__(self, db: Database, path: Path, inbox: InboxId, box: MailboxId) -> None:
        self.db, self.path, self.inbox, self.box = db, path, inbox, box
        self.ingest = Ingest(db, now=lambda: NOW)
        self.builder = TrigramBuilder(db, path, BRISK)

    async def stage(self, text: str) -> StagedContent:
        writer = self.ingest.writer(max_size=1 << 26)
        await writer.write(f"Subject: mail\r\n\r\n{text}\r\n".encode())
        return await writer.finish()

    async def bring(self, *texts: str) -> list[int]:
        """A message each; their UIDs."""
        found = []
        for text in texts:
            staged = await self.stage(text)

            def unit(tx: Tx, staged: StagedContent = staged) -> int:
                content.complete(tx, staged, NOW)
                return messages.append(tx, self.box, self.inbox, staged, internal_date=NOW, now=NOW).uid

            found.append(await self.db.write(unit, octets=staged.size))
        return found

    async def texts(self) -> int:
        return await TextBuilder(self.db, lambda: NOW, owner="here").catch_up()

    async def caught_up(self) -> int:
        """All texts made and indexed; how many were indexed."""
        await self.texts()
        return await self.builder.catch_up()

    async def look_at(self, needle: str, uids: Sequence[int]) -> list[int]:
        """Which of `uids` are left for a look at their texts."""
        index = self.builder.index
        assert index is not None

        found = await self.db.read(lambda rx: trigrams.to_look_at(rx, index, self.box, uids, fold(needle)))
        return list(found)

    async def search(self, needle: str, uids: Sequence[int], *, index: Index | None) -> list[int]:
        """Page after page, as a session does: one ends early where its time is over."""
        criteria = Criteria(keys.Text(needle), len(uids), uids[-1], {}, now=NOW)
        found: list[int] = []
        at = 0
        while at < len(uids):
            rest = array("I", uids[at:])
            job = partial(search_page, mailbox_id=self.box, criteria=criteria, uids=rest, marks=None, index=index)
            passed, consumed = await self.db.read(job)
            found += passed
            at += consumed
        return found

    async def content_of(self, uid: int) -> ContentId:
        rows = await self.db.read(lambda rx: rx.all(_CONTENT, mailbox=self.box))
        return ContentId(dict(rows)[uid])


@pytest.fixture(autouse=True)
def always_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index is asked about any number of messages."""
    monkeypatch.setattr(trigrams, "LEAST", 1)
    monkeypatch.setattr(trigrams, "LEAST_PAGE", 1)


@pytest.fixture
def place(db: Database, runner: asyncio.Runner, tmp_path: Path) -> Iterator[Place]:
    async def made() -> Place:
        inbox = await make_inbox(db)
        return Place(db, tmp_path / NAME, inbox.id, await mailbox_id(db, inbox.id))

    one = runner.run(made())
    try:
        yield one
    finally:
        runner.run(one.builder.close())


@asynccontextmanager
async def running(builder: TrigramBuilder) -> AsyncIterator[None]:
    task = asyncio.create_task(builder.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(place: Place, needle: str, uids: Sequence[int], right: Sequence[int]) -> None:
    async with asyncio.timeout(30):
        while place.builder.index is None or await place.look_at(needle, uids) != list(right):
            await place.texts()
