"""Pages of messages and threads, against a plain model: each message once, in order, whatever its places."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import pytest

from gateway.access import changing, listing, threads
from gateway.access.caller import Caller
from gateway.access.digest import Digests
from gateway.access.listing import Cursor
from gateway.access.messages import list_messages
from gateway.access.query import Query
from gateway.access.sight import sight
from gateway.ingest.writer import Ingest
from gateway.model.errors import CannotChange, LimitReached, NoPermission, NotFound
from gateway.model.flags import FLAGGED, SEEN
from gateway.model.ids import KeyId, MailboxId
from gateway.model.permissions import BUNDLES, ScopeKind, expand
from gateway.store import by_date, content, mailboxes, messages
from gateway.store.db import Database, Tx
from gateway.store.inboxes import Inbox

from .helpers import NOW, make_inbox

ALL = expand(BUNDLES)


def who(permissions: frozenset[str] = ALL) -> Caller:
    return Caller(KeyId(1), "public", "uuid", "key", ScopeKind.ALL, None, None, permissions, None)


@dataclass
class Model:
    """id -> (date, mailbox names, flags, thread)"""

    dates: dict[str, int] = field(default_factory=dict)
    places: dict[str, set[str]] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)
    threads: dict[str, str] = field(default_factory=dict)

    def clear(self) -> None:
        for kept in (self.dates, self.places, self.flags, self.threads):
            kept.clear()

    def asked(self, box: str | None = None, flags: int | None = None) -> set[str]:
        return {
            each for each, places in self.places.items()
            if (box is None or box in places) and (flags is None or self.flags[each] & flags)
        }  # fmt: skip


async def filled(db: Database, count: int, boxes: int, chance: random.Random) -> tuple[Inbox, list[str], Model]:
    """Messages in several mailboxes, many of them in the same second."""
    inbox = await make_inbox(db)
    ingest = Ingest(db, now=lambda: NOW)
    names = ["INBOX", "Sent", *(f"box{at}" for at in range(boxes - 2))]
    model = Model()
    octets = []
    for at in range(count):
        writer = ingest.writer(max_size=10_000)
        answers = f"In-Reply-To: <{at - chance.randrange(1, 4)}@x>\r\n" if at % 3 else ""
        head = f"Message-ID: <{at}@x>\r\n{answers}Subject: word{at % 5} of {at}\r\nFrom: a{at % 2}@x\r\n\r\n"
        await writer.write(head.encode() + b"text\r\n")
        octets.append(await writer.finish())

    def unit(tx: Tx) -> None:
        model.clear()  # it may be a second time
        ids: dict[str, MailboxId] = {}
        for name in names:
            found = mailboxes.by_name(tx, inbox.id, name) or mailboxes.create(tx, inbox.id, name, now=NOW)
            ids[name] = found.id
        for staged in octets:
            content.complete(tx, staged, NOW)
            flags = chance.choice([0, SEEN, FLAGGED])
            date = NOW + chance.randrange(max(count // 3, 1))
            first, *others = chance.sample(names, min(chance.choice([1, 1, 1, 2, 3]), len(names)))
            made = messages.append(tx, ids[first], inbox.id, staged, internal_date=date, flags=flags, now=NOW)
            for other in others:
                messages.copy(tx, inbox.id, ids[first], [made.uid], ids[other], now=NOW)
            model.dates[made.email_id], model.flags[made.email_id] = date, flags
            model.places[made.email_id], model.threads[made.email_id] = {first, *others}, made.thread_id

    await db.write(unit)
    return inbox, names, model


async def pages(db: Database, inbox: Inbox, query: Query, limit: int, caller: Caller | None = None) -> list[str]:
    found: list[str] = []
    cursor: Cursor | None = None
    while True:
        page = await db.read(
            lambda rx, cursor=cursor: listing.page(rx, caller or who(), inbox.address, query, cursor, limit)
        )
        found += [message.id for message in page.messages]
        assert len(page.messages) <= limit
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("boxes", [2, 5, 14])
async def test_each_message_once_and_in_order(db: Database, runner: asyncio.Runner, boxes: int) -> None:
    inbox, names, model = await filled(db, 60, boxes, random.Random(boxes))
    for limit in (1, 7, 100):
        for rising in (False, True):
            found = await pages(db, inbox, Query(rising=rising), limit)
            assert sorted(found) == sorted(model.places)
            dates = [model.dates[each] for each in found]
            assert dates == sorted(dates, reverse=not rising)
    for name in names[:4]:
        assert set(await pages(db, inbox, Query(mailbox=name), 3)) == model.asked(name)
    assert set(await pages(db, inbox, Query(flagged=True), 2)) == model.asked(flags=FLAGGED)
    assert set(await pages(db, inbox, Query(unread=True), 2)) == model.asked() - model.asked(flags=SEEN)
    assert set(await pages(db, inbox, Query(mailbox="Sent", unread=False), 2)) == model.asked("Sent", SEEN)
    low, high = NOW + 5, NOW + 12
    within = {each for each, date in model.dates.items() if low <= date < high}
    for rising in (False, True):
        assert set(await pages(db, inbox, Query(since=low, before=high, rising=rising), 2)) == within


async def test_texts_are_found_as_they_come(db: Database, runner: asyncio.Runner) -> None:
    inbox, _, _ = await filled(db, 30, 3, random.Random(3))
    assert len(await pages(db, inbox, Query(subject="WORD3"), 2)) == 6
    assert len(await pages(db, inbox, Query(subject="word3", from_="a1@"), 2)) == 3
    assert len(await pages(db, inbox, Query(text="Word3 of"), 4)) == 6
    assert len(await pages(db, inbox, Query(text="text"), 4)) == 30
    assert await pages(db, inbox, Query(text="nothing"), 4) == []
    assert await pages(db, inbox, Query(from_="word3"), 4) == []


async def test_threads_once_and_in_order_of_their_latest(db: Database, runner: asyncio.Runner) -> None:
    inbox, _, model = await filled(db, 60, 5, random.Random(9))
    latest: dict[str, int] = {}
    for each, thread in model.threads.items():
        latest[thread] = max(latest.get(thread, 0), model.dates[each])
    for rising in (False, True):
        found: list[str] = []
        cursor: Cursor | None = None
        while True:
            some, cursor = await db.read(
                lambda rx, cursor=cursor, rising=rising: threads.thread_page(
                    rx, who(), inbox.address, Query(rising=rising), cursor, 3
                )
            )
            found += [group[0].thread_id for group in some]
            for group in some:
                assert {each.id for each in group} == {
                    each for each, thread in model.threads.items() if thread == group[0].thread_id
                }
            if cursor is None:
                break
        assert sorted(found) == sorted(latest)
        dates = [latest[thread] for thread in found]
        assert dates == sorted(dates, reverse=not rising)


async def test_many_copies_in_one_mailbox_are_one_message(db: Database, runner: asyncio.Runner) -> None:
    inbox, _, model = await filled(db, 3, 2, random.Random(1))

    def unit(tx: Tx) -> None:
        box = mailboxes.by_name(tx, inbox.id, "INBOX") or pytest.fail("no INBOX")
        sent = mailboxes.by_name(tx, inbox.id, "Sent") or pytest.fail("no Sent")
        for source in (box, sent):
            uids = [row[0] for row in messages.load(tx, source.id)]
            for _ in range(60):
                messages.copy(tx, inbox.id, source.id, uids, box.id, now=NOW)

    await db.write(unit)
    for rising in (False, True):
        assert sorted(await pages(db, inbox, Query(rising=rising), 1)) == sorted(model.places)


async def test_a_scan_that_finds_nothing_ends_and_goes_on(
    db: Database, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox, _, model = await filled(db, 50, 3, random.Random(5))
    monkeypatch.setattr(listing, "LOOKED", 10)
    short = await db.read(lambda rx: listing.page(rx, who(), inbox.address, Query(flagged=True), None, 2))
    assert set(await pages(db, inbox, Query(flagged=True), 40)) == model.asked(flags=FLAGGED)
    assert set(await pages(db, inbox, Query(flagged=True, rising=True), 40)) == model.asked(flags=FLAGGED)
    assert short.next is not None
    late = iter(range(1000))
    page = await db.read(
        lambda rx: listing.page(rx, who(), inbox.address, Query(text="nothing"), None, 5, lambda: float(next(late)))
    )
    assert (page.messages, page.next is not None) == ([], True)


async def test_a_key_without_permission_for_a_mailbox_sees_nothing_of_it(db: Database, runner: asyncio.Runner) -> None:
    inbox, _, model = await filled(db, 20, 2, random.Random(2))

    def unit(tx: Tx) -> str:
        seen = sight(tx, who(), inbox.address)
        taken = changing.taken(tx, who(), inbox.address, sorted(model.places)[:2])
        changing.trash(tx, seen, taken.found[:1], now=NOW)
        changing.copy(tx, seen, taken.found[1:], seen.mailbox("Spam"), now=NOW)
        return taken.found[0].id

    trashed = await db.write(unit)
    blind = who(ALL - {"label_trash_read", "label_spam_read"})
    assert set(await pages(db, inbox, Query(), 4, blind)) == model.places.keys() - {trashed}
    with pytest.raises(NotFound):
        await pages(db, inbox, Query(mailbox="Trash"), 4, blind)
    with pytest.raises(NoPermission):
        await pages(db, inbox, Query(), 4, who(ALL - {"message_read", "draft_read"}))


async def test_changes_are_whole_or_none(db: Database, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox, _, model = await filled(db, 10, 3, random.Random(4))
    ids = sorted(model.places)
    with pytest.raises(NotFound):
        await db.write(lambda tx: changing.taken(tx, who(), inbox.address, [ids[0], "Mx"], every=True))
    with pytest.raises(CannotChange):
        await db.write(lambda tx: changing.taken(tx, who(), inbox.address, ids, 1))
    monkeypatch.setattr(changing, "MOST", 5)
    with pytest.raises(LimitReached):
        await db.write(lambda tx: changing.taken(tx, who(), inbox.address, ids))


async def test_no_more_mailboxes_are_read_than_can_have_a_row(db: Database, runner: asyncio.Runner) -> None:
    inbox, _, _ = await filled(db, 40, 14, random.Random(6))
    boxes = await db.read(lambda rx: list(sight(rx, who(), inbox.address).boxes))
    for rising, first, last in ((False, by_date.NEWEST, 0), (True, by_date.OLDEST, by_date.NEWEST[0])):
        stretch = by_date.Stretch(first, last, rising)
        some = await db.read(lambda rx, stretch=stretch: by_date.walk(rx, boxes, stretch, 6))
        everything = await db.read(lambda rx, stretch=stretch: by_date.walk(rx, boxes, stretch, 1000))
        assert [row.point for row in some] == [row.point for row in everything[:6]]


@pytest.mark.parametrize("at_first", [1, 2, 5])
async def test_rows_of_several_mailboxes_are_read_as_they_are_asked_for(
    db: Database, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, at_first: int
) -> None:
    """Each once and in order, though many stand at one place: copies in their own mailbox."""
    inbox, _, _ = await filled(db, 20, 4, random.Random(7))
    boxes = await db.read(lambda rx: list(sight(rx, who(), inbox.address).boxes))

    def copies(tx: Tx) -> None:
        row = by_date.walk(tx, boxes, by_date.Stretch(by_date.NEWEST, 0), 9)[8]
        for _ in range(11):
            messages.copy(tx, inbox.id, row.mailbox_id, [row.uid], row.mailbox_id, now=NOW)

    await db.write(copies)
    for rising, first, last in ((False, by_date.NEWEST, 0), (True, by_date.OLDEST, by_date.NEWEST[0])):
        stretch = by_date.Stretch(first, last, rising)
        monkeypatch.setattr(by_date, "AT_FIRST", 1000)
        everything = await db.read(lambda rx, stretch=stretch: by_date.walk(rx, boxes, stretch, 1000))
        assert [row.point for row in everything] == sorted((row.point for row in everything), reverse=not rising)
        monkeypatch.setattr(by_date, "AT_FIRST", at_first)
        for most in (1, 7, 13, 1000):
            some = await db.read(lambda rx, stretch=stretch, most=most: by_date.walk(rx, boxes, stretch, most))
            assert [row.point for row in some] == [row.point for row in everything[:most]]
            assert len({(row.mailbox_id, row.uid) for row in some}) == len(some)


async def test_digests_are_kept_within_bounds(db: Database, runner: asyncio.Runner) -> None:
    inbox, _, model = await filled(db, 12, 2, random.Random(8))
    kept = Digests(most=5)
    for _ in range(2):
        found = await list_messages(db, kept, who(), inbox.address, Query(), None, 50)
        assert {message.id for message in found.messages} == model.places.keys()
        assert {message.digest.subject for message in found.messages} == {f"word{at % 5} of {at}" for at in range(12)}
        assert sum(digest.weight for digest in kept.kept) <= 5
