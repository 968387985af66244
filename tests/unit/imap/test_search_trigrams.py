"""A session that searches with the trigram index: asked when it is there, done without when it breaks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from gateway.imap import search_run
from gateway.maintain.texts import TextBuilder
from gateway.maintain.trigrams import TrigramBuilder, TrigramSettings
from gateway.store import trigrams
from gateway.store.trigrams import Index, IndexDamaged
from tests.transcripts.harness import NOW, Harness, template


@dataclass
class Kept:
    """Who keeps an index."""

    index: Index | None
    reported: list[Index] = field(default_factory=list)

    def damaged(self, index: Index, /) -> None:
        self.reported.append(index)
        self.index = None


def test_an_index_that_breaks_is_reported_and_the_page_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    template()
    monkeypatch.setattr(trigrams, "LEAST", 1)
    monkeypatch.setattr(trigrams, "LEAST_PAGE", 1)
    monkeypatch.setattr(search_run, "SEARCH_TEXT_PAGE", 4)
    asked: list[Index] = []
    broken = False
    to_look_at = trigrams.to_look_at

    def watched(rx: Any, index: Index, *more: Any) -> Any:
        asked.append(index)
        if broken and len(asked) == 2:
            raise IndexDamaged("The trigram index is damaged")
        return to_look_at(rx, index, *more)

    monkeypatch.setattr(trigrams, "to_look_at", watched)

    async def run() -> None:
        nonlocal broken
        async with Harness(tmp_path) as harness:
            for number in range(12):
                await harness.deliver(b"Subject: mail\r\n\r\n%b\r\n" % (b"hay" if number % 3 else b"needle"))
            await TextBuilder(harness.db, lambda: NOW).catch_up()
            builder = TrigramBuilder(harness.db, tmp_path / "search.db", TrigramSettings(reserve=0))
            await builder.catch_up()
            index = builder.index
            assert index is not None
            kept = Kept(index)
            harness.services = replace(harness.services, trigrams=kept)
            client = await harness.logged_in()
            await client.run(b"SELECT INBOX")
            found = [b"* SEARCH 1 4 7 10"]
            assert (await client.run(b"SEARCH BODY needle"))[:-1] == found
            assert asked == [index] * 3
            assert (await client.run(b"SEARCH SUBJECT mail BODY needle"))[:-1] == found
            assert (await client.run(b"SEARCH SUBJECT needle"))[:-1] == [b"* SEARCH"]
            assert asked == [index] * 6  # not about header fields
            asked.clear()
            broken = True
            assert (await client.run(b"SEARCH TEXT needle"))[:-1] == found
            assert kept.reported == [index]
            assert asked == [index] * 2  # the first page had it, the second met the damage, all others go without
            assert (await client.run(b"SEARCH NOT BODY hay"))[:-1] == found
            assert asked == [index] * 2
            await builder.close()

    asyncio.run(run())
