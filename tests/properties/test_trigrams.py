"""SEARCH with the trigram index finds what it finds without, and what a plain reading of the mail finds.

Nothing indexed, a part, all; whole pages and pages that end at once; texts in one row and in pieces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.imap import search_text
from gateway.maintain import texts
from gateway.maintain.texts import TextBuilder
from gateway.maintain.trigrams import TrigramBuilder, TrigramSettings
from gateway.mime import fold
from gateway.model.ids import ContentId
from gateway.store import mailboxes, trigrams
from gateway.store.trigram_file import TrigramFile
from gateway.wire import search as keys
from tests.properties.test_search_text import FILES, MAIL, WORDS, Reading, answers, keys_of, needles
from tests.transcripts.harness import NOW, Harness, template
from tests.transcripts.messages import ALL


async def compare(harness: Harness, path: Path, mail: Sequence[bytes], asked: Sequence[keys.SearchKey]) -> int:
    """Deliver `mail`, search while the index grows; how many looks at texts it spared in the end."""
    readings = [Reading(octets) for octets in mail]
    inbox = await harness.db.read(lambda rx: mailboxes.by_name(rx, harness.inbox, "INBOX"))
    assert inbox is not None
    builder = TrigramBuilder(harness.db, path, TrigramSettings(contents=2, octets=3000, reserve=0))
    uids: list[int] = []
    try:
        for some in (mail[: len(mail) // 2], mail[len(mail) // 2 :], ()):
            uids += [await harness.deliver(octets) for octets in some]
            await builder.catch_up()  # texts of those before, and none of these
            known = dict(zip(uids, readings, strict=False))
            if uids:
                search = partial(answers, mailbox=inbox.id, uids=uids, asked=asked, index=builder.index)
                for key, answer in zip(asked, await harness.db.read(search), strict=True):
                    assert answer == [uid for uid in uids if known[uid].passes(key)], key
            await TextBuilder(harness.db, lambda: NOW).catch_up()
        index = builder.index
        assert index is not None
        spared = 0
        for key in asked:
            if isinstance(key, keys.Text):
                job = partial(trigrams.to_look_at, index=index, mailbox_id=inbox.id, uids=uids, needle=fold(key.value))
                spared += len(uids) - len(await harness.db.read(job))
        return spared
    finally:
        await builder.close()


@pytest.fixture(autouse=True, scope="module")
def store() -> Iterator[None]:
    """The empty store that each harness copies, made outside of any loop; the index is asked about any page."""
    template()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trigrams, "LEAST", 1)
        patch.setattr(trigrams, "LEAST_PAGE", 1)
        yield


async def corpus(directory: Path, url: str, step: int) -> None:
    mail = [path.read_bytes() for path in FILES] + list(ALL.values())
    words = [word for octets in mail for word in needles(Reading(octets))]
    async with Harness(directory, url=url) as harness:
        asked = keys_of(["grüße", "GRÜSSE", "ß", "\u0130", "i", *words[::step]])
        assert await compare(harness, directory / "search.db", mail, asked) > len(mail)


@pytest.mark.skipif(not FILES, reason="the standard library's test_email data is not installed")
@pytest.mark.parametrize("how", ["whole pages", "short pages", "large texts"])
def test_the_messages_of_the_email_package(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "short pages":
        monkeypatch.setattr(search_text, "SEARCH_SECONDS", -1)
        monkeypatch.setattr(search_text, "SEARCH_SLICE", 3)
    if how == "large texts":
        monkeypatch.setattr(texts, "INLINE", 40)
    asyncio.run(corpus(tmp_path, "", 101 if how == "short pages" else 23))


@pytest.mark.skipif(not FILES, reason="the standard library's test_email data is not installed")
def test_the_messages_of_the_email_package_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    asyncio.run(corpus(tmp_path, postgresql_url, 401))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(MAIL, min_size=1, max_size=6),
    st.lists(st.one_of(WORDS, st.text(min_size=3, max_size=8)), min_size=1, max_size=4),
    st.data(),
)
def test_any_mail(mail: list[bytes], words: list[str], data: st.DataObject) -> None:
    there = [word for octets in mail for word in needles(Reading(octets))]
    if there:
        words = words + data.draw(st.lists(st.sampled_from(there), max_size=4))

    async def run(directory: Path) -> None:
        async with Harness(directory) as harness:
            await compare(harness, directory / "search.db", mail, keys_of(words))

    with TemporaryDirectory() as name:
        asyncio.run(run(Path(name)))


ANY = st.text(st.one_of(st.characters(), st.sampled_from("\0\"'aA \ud7ff\uffff\U0010ffff")), max_size=20)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(ANY, ANY), min_size=1, max_size=8), st.text(min_size=3, max_size=30))
def test_the_file_finds_all_that_hold_a_needle(around: list[tuple[str, str]], needle: str) -> None:
    """Whatever characters a text and a needle are of, and wherever the needle stands."""
    held = [(ContentId(4000 + 50 * at), fold(before + needle + after)) for at, (before, after) in enumerate(around)]
    wanted = fold(needle)
    right = {content_id for content_id, octets in held if wanted in octets}
    expression = trigrams.match(wanted)
    assert expression is not None
    with TemporaryDirectory() as name:
        file = TrigramFile(Path(name) / "search.db", "store", last_id=1 << 40)
        try:
            file.put(held, [])
            answer = trigrams._asked(file.index, expression, [(0, 1)])
        finally:
            trigrams.close_reader()
            file.close()
    assert answer is not None
    assert right <= answer[1]
