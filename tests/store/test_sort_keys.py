"""Conditions that the database tests, and the keys of SORT and THREAD: found, left behind, gone with their content."""

from __future__ import annotations

from array import array
from itertools import product
from typing import Any

from gateway.imap.sort_page import MADE, make_keys, sort_further, sort_order, thread_tokens
from gateway.ingest.writer import Ingest
from gateway.maintain.janitor import Janitor
from gateway.maintain.settings import DAY, JanitorSettings
from gateway.mime.sort_keys import LONGEST, sort_keys
from gateway.model.ids import MailboxId
from gateway.store import content, find, messages
from gateway.store import sort_keys as stored
from gateway.store.db import Database, Tx
from gateway.store.statements import Stmt
from gateway.wire.search import Algorithm, Criterion, SortKey

from .helpers import NOW, assert_consistent, mailbox_id, make_inbox

_ROWS = Stmt("SELECT count(*) FROM content_sort")
_TO_COME = Stmt("DELETE FROM content_sort WHERE id = (SELECT max(id) FROM content_sort)")


class Place:
    """An inbox, and a way to bring mail there."""

    def __init__(self, db: Database, box: MailboxId, inbox: Any) -> None:
        self.db, self.box, self.inbox = db, box, inbox
        self.ingest = Ingest(db, now=lambda: NOW)

    async def bring(self, octets: bytes, *, date: int = NOW) -> int:
        writer = self.ingest.writer(max_size=1 << 26)
        await writer.write(octets)
        staged = await writer.finish()

        def unit(tx: Tx) -> int:
            content.complete(tx, staged, NOW)
            return messages.append(tx, self.box, self.inbox, staged, internal_date=date, now=NOW + date % 7).uid

        return await self.db.write(unit, inboxes=(self.inbox,))

    async def order(self, uids: list[int], *program: SortKey) -> list[int]:
        return (await self.db.read(lambda rx: sort_order(rx, self.box, program, array("I", uids)))).tolist()


async def place_in(db: Database) -> Place:
    inbox = (await make_inbox(db)).id
    return Place(db, await mailbox_id(db, inbox), inbox)


async def test_conditions_mean_what_they_say(db: Database) -> None:
    place = await place_in(db)
    for size, date in product(range(3), (-5, 0, 5)):
        await place.bring(b"Subject: x\r\n\r\n" + b"y" * size, date=date)
    rows = {
        row[0]: row[1:]
        for row in await place.db.read(
            lambda rx: messages.fetch_rows(
                rx, place.box, range(1, 10), messages.Columns.INTERNAL_DATE | messages.Columns.SIZE
            )
        )
    }
    early, small = find.Between(find.Field.INTERNAL_DATE, None, 0), find.Between(find.Field.SIZE, 14, 16)
    cases = {
        early: lambda date, size: date < 0,
        small: lambda date, size: 14 <= size < 16,
        find.Not(early): lambda date, size: date >= 0,
        find.Every((early, small)): lambda date, size: date < 0 and 14 <= size < 16,
        find.Some((early, find.Not(small))): lambda date, size: date < 0 or not 14 <= size < 16,
        find.Is(find.Field.EMAIL_ID, "Mnone"): lambda date, size: False,
        find.Not(find.Is(find.Field.THREAD_ID, "T' OR 1=1 --")): lambda date, size: True,
        find.Between(find.Field.SIZE, 2**63 - 1, None): lambda date, size: False,
    }
    for condition, holds in cases.items():
        wanted = [uid for uid in range(1, 10) if holds(*rows[uid])]
        for asked in (range(1, 10), [1, 3, 9], [2, 40_000], [9]):
            found = await place.db.read(lambda rx: find.matching(rx, place.box, condition, asked))  # noqa: B023
            assert found.tolist() == [uid for uid in asked if uid in wanted], condition
    parts = tuple(find.Between(find.Field.SIZE, size, size + 1) for size in range(find.MAX_CONDITIONS))
    assert find.size(find.Some(parts)) == find.MAX_CONDITIONS
    assert len(await place.db.read(lambda rx: find.matching(rx, place.box, find.Some(parts), range(1, 10)))) == 9


async def test_keys_are_the_same_stored_or_not(db: Database) -> None:
    place = await place_in(db)
    subjects = ["pears", "Re: apples", "", "apples", "x" * 5000, "x" * 5000, "grün"]
    uids = [
        await place.bring(
            f"From: {name}@example.net\r\nSubject: {subject}\r\nDate: {day} Mar 2000 1:2:3 +0000\r\n\r\n".encode(),
            date=day,
        )
        for day, (subject, name) in enumerate(zip(subjects, "gfedcba", strict=True), 1)
    ]
    undated = await place.bring(b"Subject: y\r\n\r\n", date=5)
    program = [SortKey(Criterion.SUBJECT), SortKey(Criterion.DATE, True)]
    by_date = [SortKey(Criterion.DATE)]
    asked = [*uids, undated]
    orders = [await place.order(asked, *each) for each in (program, by_date)]
    assert orders == [[3, 4, 2, 7, 1, 6, 5, 8], [8, 1, 2, 3, 4, 5, 6, 7]]
    tokens = await place.db.read(lambda rx: thread_tokens(rx, place.box, Algorithm.REFERENCES, array("I", asked)))
    made = await place.db.read(lambda rx: make_keys(rx, place.box, array("I", asked)))
    assert len(made) == len(asked) < MADE
    for _ in range(2):  # the second time they are there
        await place.db.write(lambda tx: stored.put(tx, made))
    assert await place.db.read(lambda rx: rx.scalar(_ROWS)) == len(asked)
    assert not await place.db.read(lambda rx: make_keys(rx, place.box, array("I", asked)))
    await place.db.write(lambda tx: tx.run(_TO_COME))  # some are there, some are not
    for _ in range(2):
        assert [await place.order(asked, *each) for each in (program, by_date)] == orders
        again = await place.db.read(lambda rx: thread_tokens(rx, place.box, Algorithm.REFERENCES, array("I", asked)))
        assert again == tokens
        missing = await place.db.read(lambda rx: make_keys(rx, place.box, array("I", asked)))
        await place.db.write(lambda tx: stored.put(tx, missing))  # noqa: B023
    assert await place.order([1, 5, 4000], *program) == [1, 5]


async def test_what_comes_later_is_put_where_it_belongs(db: Database) -> None:
    place = await place_in(db)
    program = (SortKey(Criterion.SUBJECT), SortKey(Criterion.SIZE, True))
    for subject in ("m", "c", "m", "t"):
        await place.bring(f"Subject: {subject}\r\n\r\n".encode())
    known = array("I", await place.order([1, 2, 3, 4], *program))
    for subject, body in (("a", ""), ("m", "longer"), ("m", ""), ("z", "")):
        await place.bring(f"Subject: {subject}\r\n\r\n{body}".encode())
    fresh = array("I", [5, 6, 7, 8])
    whole = await place.order(list(range(1, 9)), *program)
    assert (await place.db.read(lambda rx: sort_further(rx, place.box, program, known, fresh))).tolist() == whole
    # one of them has gone, and nothing can be compared with it
    await place.db.write(
        lambda tx: messages.expunge(tx, place.inbox, place.box, [3], only_deleted=False, now=NOW),
        inboxes=(place.inbox,),
    )
    further = await place.db.read(lambda rx: sort_further(rx, place.box, program, known, fresh))
    assert [uid for uid in further if uid != 3] == [uid for uid in whole if uid != 3]


async def test_keys_go_with_their_content(db: Database) -> None:
    place = await place_in(db)
    await place.bring(b"Subject: a\r\n\r\n")
    made = await place.db.read(lambda rx: make_keys(rx, place.box, array("I", [1])))
    await place.db.write(lambda tx: stored.put(tx, made))
    await place.db.write(
        lambda tx: messages.expunge(tx, place.inbox, place.box, [1], only_deleted=False, now=NOW),
        inboxes=(place.inbox,),
    )
    janitor = Janitor(place.db, JanitorSettings(), now=lambda: NOW + 2 * DAY)
    await janitor.run_once()
    assert await place.db.read(lambda rx: rx.scalar(_ROWS)) == 0
    await place.db.write(lambda tx: stored.put(tx, made))  # who sorted meanwhile comes too late
    assert await place.db.read(lambda rx: rx.scalar(_ROWS)) == 0
    await assert_consistent(place.db)


def test_keys_of_hostile_headers_are_bounded() -> None:
    header = b"".join(b"%b: %b\r\n" % (name, b"a@b.c, " * 30_000) for name in (b"From", b"To", b"Cc"))
    header += b"Subject: " + b"Re: [x] " * 30_000 + b"\r\nReferences: " + b"<a@b> " * 30_000 + b"\r\n\r\n"
    keys = sort_keys(header)
    assert max(len(each) for each in (keys.subject, keys.from_, keys.to, keys.cc, keys.display_from)) <= LONGEST + 16
    assert len(stored.links(keys)) <= 8 * 101
    long = b"Subject: " + b"x" * 9000
    assert sort_keys(long + b"1\r\n").subject != sort_keys(long + b"2\r\n").subject
    for header in (b"", b"\xff\xfe", b"Message-ID: <>\r\nReferences: <<>>\r\nDate: x\r\nFrom: ;:,\r\n\r\n"):
        assert sort_keys(header).message_id is None


def test_ids_in_quotes_are_the_same() -> None:
    """RFC 5256 3."""
    plain, quoted = (
        sort_keys(b"Message-ID: <%b@xxx.yyy.com>\r\n" % local)
        for local in (b"01KF8JCEOCBS0045PS", b'"01KF8JCEOCBS0045PS"')
    )
    assert plain.message_id == quoted.message_id == b"01KF8JCEOCBS0045PS@xxx.yyy.com"
    assert sort_keys(b'Message-ID: <"a\\"b"@c>\r\n').message_id == b'a"b@c'
    assert sort_keys(b"In-Reply-To: <a@b> <c@d>\r\n").ancestors == (b"a@b",)
    assert sort_keys(b"In-Reply-To: <a@b>\r\nReferences: <x@y> <z@y>\r\n").ancestors == (b"x@y", b"z@y")
