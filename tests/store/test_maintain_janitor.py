"""The janitor: what it takes, what it leaves, and that it does so in small pieces."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.maintain.janitor import Janitor
from gateway.maintain.settings import DAY, HOUR, JanitorSettings
from gateway.maintain.store_check import repair, run_check
from gateway.model.ids import InboxId, MailboxId
from gateway.model.permissions import ScopeKind, expand
from gateway.model.ports import NULL_METRICS
from gateway.ops.metrics import PrometheusMetrics
from gateway.store import (
    changes,
    content,
    draft_names,
    idempotency,
    inboxes,
    keys,
    mailboxes,
    messages,
    queue,
    submissions,
    vacuum,
    webhooks,
)
from gateway.store.db import Database, Tx, open_database
from gateway.store.draft_names import DraftName
from gateway.store.idempotency import Done
from gateway.store.statements import Stmt
from gateway.store.webhooks import Tried
from tests.support.queue import entries

from .helpers import NOW, fill, mailbox_id, make_inbox, put, staged, submission
from .queue_kit import send

QUICK = JanitorSettings(pause_seconds=0, piece_rows=7, piece_chunks=2)
_CONTENTS = Stmt("SELECT count(*) FROM content_meta")
_CHUNKS = Stmt("SELECT count(*) FROM content_chunk")
_CHANGES = Stmt("SELECT kind FROM change WHERE inbox_id = :inbox ORDER BY modseq, kind")
_END_KEY = Stmt("UPDATE api_key SET revoked_at = :at WHERE id = :key")


class Time:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


async def _round(db: Database, at: float, settings: JanitorSettings = QUICK) -> dict[str, int]:
    return await Janitor(db, settings, lambda: at).run_once()


async def _counts(db: Database) -> tuple[int, int]:
    return await db.read(lambda rx: (rx.scalar(_CONTENTS), rx.scalar(_CHUNKS)))


async def _place(db: Database, name: str = "INBOX") -> tuple[InboxId, MailboxId]:
    inbox = await make_inbox(db)
    return inbox.id, await mailbox_id(db, inbox.id, name)


async def test_octets_of_expunged_messages_go_after_an_hour_and_not_before(db: Database) -> None:
    inbox, box = await _place(db)
    await fill(db, inbox, box, 20)
    await db.write(lambda tx: messages.expunge(tx, inbox, box, [(1, 15)], only_deleted=False, now=NOW))
    assert not any((await _round(db, NOW + HOUR - 1)).values())
    assert await db.read(lambda rx: messages.expunged_rows(rx, box, [3], messages.Columns.CONTENT_ID)) != []
    done = await _round(db, NOW + HOUR)
    assert (done["expunge_records"], done["contents"]) == (15, 15)
    assert await _counts(db) == (5, 5)
    assert await db.read(lambda rx: messages.expunged_rows(rx, box, [3], messages.Columns.CONTENT_ID)) == []
    assert not any((await _round(db, NOW + 2 * HOUR)).values())


async def test_octets_that_a_copy_or_the_queue_still_needs_stay(db: Database) -> None:
    inbox, box = await _place(db)
    other = await mailbox_id(db, inbox, "Drafts")
    made = staged(b"a: b\r\n\r\nqueued")
    new = submission(inbox, "anna@example.test", made, ["x@y.test"])

    def send(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        messages.append(tx, box, inbox, made, internal_date=NOW, now=NOW)
        submissions.enqueue(tx, new, NOW)

    await db.write(send)
    await fill(db, inbox, box, 1)
    await db.write(lambda tx: messages.copy(tx, inbox, box, [2], other, now=NOW))
    await db.write(lambda tx: messages.expunge(tx, inbox, box, [(1, 2)], only_deleted=False, now=NOW))
    await _round(db, NOW + 2 * HOUR)
    assert await _counts(db) == (2, 2)
    [entry] = await db.read(entries)
    await db.write(lambda tx: queue.cancel_rows(tx, queue.recipients_of(tx, entry.submission.id), NOW))
    await _round(db, NOW + 2 * HOUR)
    assert await _counts(db) == (1, 1)


async def test_a_body_that_two_contents_share_goes_with_the_last_of_them(db: Database) -> None:
    inbox, box = await _place(db)
    first = staged(b"Bcc: x\r\n\r\n" + b"b" * 100_000)
    plain = staged(b"To: y\r\n\r\n" + b"b" * 100_000)
    second = replace(plain, body_id=first.body_id)

    def unit(tx: Tx) -> None:
        for made in (first, second):
            content.complete(tx, made, NOW)
            messages.append(tx, box, inbox, made, internal_date=NOW, now=NOW)

    await db.write(unit)
    await db.write(lambda tx: messages.expunge(tx, inbox, box, [1], only_deleted=False, now=NOW))
    await _round(db, NOW + HOUR)
    assert await _counts(db) == (1, 2)
    assert await db.read(lambda rx: content.read_body(rx, second.content_id, 99_999, 100_000)) == b"b"
    await db.write(lambda tx: messages.expunge(tx, inbox, box, [2], only_deleted=False, now=NOW))
    await _round(db, NOW + HOUR)
    assert await _counts(db) == (0, 0)


async def test_bodies_that_never_arrived_go_after_the_longest_session(db: Database) -> None:
    made = staged(b"a: b\r\n\r\n" + b"x" * 400_000)
    await db.write(lambda tx: content.stage_chunks(tx, made.body_id, 0, made.tail, now=NOW))
    await _round(db, NOW + QUICK.staging_seconds - 1)
    assert await _counts(db) == (0, 7)
    assert (await _round(db, NOW + QUICK.staging_seconds))["bodies"] > 0
    assert await _counts(db) == (0, 0)


async def test_trash_and_spam_are_kept_as_long_as_set(db: Database) -> None:
    inbox, box = await _place(db)
    trash, spam = await mailbox_id(db, inbox, "Trash"), await mailbox_id(db, inbox, "Spam")
    await fill(db, inbox, box, 20)
    await fill(db, inbox, spam, 3)
    await db.write(lambda tx: messages.move(tx, inbox, box, range(1, 11), trash, now=NOW + 5 * DAY))
    kept = await _round(db, NOW + 100 * DAY)
    assert kept["expired_trash"] == kept["expired_spam"] == 0
    settings = replace(QUICK, trash_days=30, spam_days=7)
    early = await _round(db, NOW + 35 * DAY - 1, settings)
    assert (early["expired_trash"], early["expired_spam"]) == (0, 3)
    late = await _round(db, NOW + 35 * DAY, settings)
    assert late["expired_trash"] == 10
    left = {row.name: row.messages for row in await db.read(lambda rx: mailboxes.list_mailboxes(rx, inbox))}
    assert (left["INBOX"], left["Trash"], left["Spam"]) == (10, 0, 0)


async def test_a_deleted_inbox_is_purged_after_its_grace_period(db: Database) -> None:
    inbox, box = await _place(db)
    await fill(db, inbox, box, 20)
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox, NOW))
    await _round(db, NOW + QUICK.grace_seconds - 1)
    assert (await _counts(db))[0] == 20
    assert (await _round(db, NOW + QUICK.grace_seconds))["purged_inboxes"] > 3
    assert await db.read(lambda rx: inboxes.inboxes(rx, include_deleted=True)) == []
    assert await _counts(db) == (0, 0)


async def test_finished_submissions_are_forgotten_after_their_time(db: Database) -> None:
    inbox, _ = await _place(db)
    made = staged(b"a: b\r\n\r\n")
    new = submission(inbox, "anna@example.test", made, ["x@y.test"])
    number = await db.write(lambda tx: (content.complete(tx, made, NOW), submissions.enqueue(tx, new, NOW))[1])
    await db.write(lambda tx: queue.cancel_rows(tx, queue.recipients_of(tx, number), NOW))
    assert (await _round(db, NOW + QUICK.queue_history_seconds - 1))["queue_history"] == 0
    assert (await _round(db, NOW + QUICK.queue_history_seconds))["queue_history"] == 1


async def test_dead_keys_are_forgotten_after_their_time_children_first(db: Database) -> None:
    async def made(name: str, **values: Any) -> keys.KeyRow:
        given = {"hash": "h", "name": name, "scope": ScopeKind.ALL, "permissions": expand(["read"]), "now": NOW}
        return await db.write(lambda tx: keys.insert_key(tx, key_id=name, **(given | values)))

    async def left() -> list[str]:
        return [row.name for row in await db.read(keys.keys)]

    for number in range(10):  # more than a piece
        row = await made(f"revoked {number}")
        await db.write(lambda tx, row=row: keys.revoke(tx, row.id, NOW))
    parent = await made("parent")
    await made("child", parent=parent.id)
    await db.write(lambda tx: keys.revoke(tx, parent.id, NOW))
    await made("expired", expires_at=NOW + 1)
    await made("expired later", expires_at=NOW + 2)
    await made("living", expires_at=NOW + 90 * DAY)
    await made("for ever")
    assert (await _round(db, NOW + 30 * DAY - 1))["revoked_keys"] == 0
    assert (await _round(db, NOW + 31 * DAY, replace(QUICK, revoked_key_days=None)))["revoked_keys"] == 0
    assert (await _round(db, NOW + 30 * DAY + 1))["revoked_keys"] == 13
    assert await left() == ["expired later", "living", "for ever"]


async def test_a_dead_key_stays_while_a_child_lives(db: Database) -> None:
    given = {"hash": "h", "name": "", "scope": ScopeKind.ALL, "permissions": expand(["read"]), "now": NOW}
    parent = await db.write(lambda tx: keys.insert_key(tx, key_id="parent", **given))
    child = await db.write(lambda tx: keys.insert_key(tx, key_id="child", parent=parent.id, **given))
    # By hand: revoking ends the whole line.
    await db.write(lambda tx: tx.run(_END_KEY, key=parent.id, at=NOW))
    assert (await _round(db, NOW + 31 * DAY))["revoked_keys"] == 0
    await db.write(lambda tx: keys.revoke(tx, child.id, NOW))
    assert (await _round(db, NOW + 31 * DAY))["revoked_keys"] == 2


async def test_long_expunge_records_are_pruned_and_say_so(db: Database) -> None:
    inbox, box = await _place(db)
    await fill(db, inbox, box, 30)
    for uid in range(1, 21):
        await db.write(lambda tx, u=uid: messages.expunge(tx, inbox, box, [u], only_deleted=False, now=NOW))
    before = await db.read(lambda rx: changes.changes_since(rx, inbox, box, 2))
    assert before.complete
    assert (await _round(db, NOW, replace(QUICK, expunge_records=5)))["change_records"] == 15
    old = await db.read(lambda rx: changes.changes_since(rx, inbox, box, 2))
    assert not old.complete
    assert old.expunged == ((16, 20),)
    recent = await db.read(lambda rx: changes.changes_since(rx, inbox, box, old.highest_modseq - 5))
    assert recent.complete
    assert recent.expunged == ((16, 20),)


async def test_only_the_last_change_of_each_kind_of_a_name_is_kept(db: Database) -> None:
    inbox, _ = await _place(db)
    await db.write(lambda tx: mailboxes.create(tx, inbox, "a", now=NOW))
    for old, new in (("a", "b"), ("b", "c"), ("c", "d")):
        await db.write(lambda tx, o=old, n=new: mailboxes.rename(tx, inbox, o, n, now=NOW))
    assert (await _round(db, NOW))["superseded_changes"] == 2
    kinds = [row[0] for row in await db.read(lambda rx: rx.all(_CHANGES, inbox=inbox))]
    assert kinds.count("renamed") == 1
    assert kinds.count("created") == 6


async def test_free_pages_go_back_to_the_file_system_but_for_a_spare(db: Database) -> None:
    inbox, box = await _place(db)
    body = b"a: b\r\n\r\n" + b"x" * 1_000_000
    await db.write(lambda tx: [put(tx, inbox, box, body) for _ in range(6)])
    await db.write(lambda tx: messages.expunge(tx, inbox, box, [(1, 4)], only_deleted=False, now=NOW))
    sizes = []
    for spare in (10**6, 300, 44):
        metrics = PrometheusMetrics(strict=True, process=False)
        settings = replace(QUICK, spare_pages=spare)
        done = await Janitor(db, settings, lambda: NOW + HOUR, metrics=metrics).run_once()
        pages = await db.read(vacuum.pages)
        sizes.append((done["free_pages"], pages.all, pages.free))
        text = metrics.page().decode()
        assert f"gateway_store_pages {float(pages.all)}" in text
        assert f"gateway_store_free_pages {float(pages.free)}" in text
    if db.dialect == "postgresql":
        assert sizes == [(0, 0, 0)] * 3
        return
    (none, whole, free), (first, smaller, left), (second, _, spare) = sizes
    assert (none, first) == (0, (free - 300) // vacuum.PIECE_PAGES * vacuum.PIECE_PAGES)
    assert first >= 2 * vacuum.PIECE_PAGES
    assert left == free - first
    assert whole - first - 2 <= smaller <= whole - first  # the file's own lists of pages shrink too
    assert (second, spare) == (vacuum.PIECE_PAGES, left - vacuum.PIECE_PAGES)
    assert spare >= smaller // 10 > 44, "a tenth of the file stays"
    assert await _counts(db) == (2, 32)


async def test_a_round_that_runs_out_of_time_goes_on_in_the_next(db: Database) -> None:
    inbox, box = await _place(db)
    await fill(db, inbox, box, 20)
    await db.write(lambda tx: messages.expunge(tx, inbox, box, [(1, 20)], only_deleted=False, now=NOW))
    janitor = Janitor(db, replace(QUICK, task_seconds=0), lambda: NOW + HOUR)
    seen = [(await janitor.run_once())["expunge_records"] for _ in range(4)]
    assert seen == [7, 7, 6, 0]


async def test_slow_tasks_wait_their_time(db: Database) -> None:
    clock = Time()
    janitor = Janitor(db, QUICK, clock)
    assert "change_records" in await janitor.run_once()
    assert "change_records" not in await janitor.run_once()
    clock.now += QUICK.slow_seconds
    assert "change_records" in await janitor.run_once()


async def test_it_runs_until_it_is_stopped(db: Database) -> None:
    inbox, box = await _place(db)
    await fill(db, inbox, box, 20)
    await db.write(lambda tx: messages.expunge(tx, inbox, box, [(1, 20)], only_deleted=False, now=NOW))
    stop = asyncio.Event()

    class UntilBodies(type(NULL_METRICS)):  # type: ignore[misc]
        def count(self, name: str, value: float = 1, **labels: str) -> None:
            if labels["task"] == "bodies":
                stop.set()

    async with asyncio.timeout(30):
        await Janitor(db, QUICK, lambda: NOW + HOUR, metrics=UntilBodies()).run(stop)
    assert await _counts(db) == (0, 0)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE mailbox SET messages = messages + 5, unseen = 0",
        "UPDATE inbox SET octets = 1",
        "INSERT INTO content_chunk (id, octets) VALUES (6553600, x'41')",
        "INSERT INTO content_fetch (id, envelope, bodystructure) VALUES (5, x'', x'')",
        "INSERT INTO text_due (id) VALUES (5)",
        "DELETE FROM text_due",
        "DELETE FROM garbage",
        "UPDATE mailbox SET flag_record = 'x' WHERE name = 'INBOX'",
    ],
)
def test_repair_mends_what_can_be_mended(sqlite_url: str, statement: str) -> None:
    async def work() -> None:
        db = open_database(sqlite_url)
        await db.start()
        try:
            inbox, box = await _place(db)
            await db.write(lambda tx: put(tx, inbox, box, b"a: b\r\n\r\n" + b"x" * 70_000))
            gone = await db.write(lambda tx: mailboxes.create(tx, inbox, "gone", now=NOW))
            await fill(db, inbox, gone.id, 2)
            await db.write(lambda tx: mailboxes.delete(tx, inbox, "gone", now=NOW))
            assert await db.write(lambda tx: tx.run(Stmt(statement))) > 0
            steps: list[int] = []
            found = await run_check(db, deep=True, progress=steps.append)
            assert found
            assert steps == list(range(1, len(steps) + 1))
            assert await repair(db, found) == []
            await _round(db, NOW + DAY)
            assert await run_check(db, deep=True) == []
            assert await _counts(db) == (1, 2)
        finally:
            await db.close()

    asyncio.run(work())


async def test_a_record_of_flags_that_lacks_a_change_is_begun_anew(db: Database) -> None:
    inbox, box = await _place(db)
    await fill(db, inbox, box, 3)
    before = (await db.read(lambda rx: changes.changes_since(rx, inbox, box, 0))).highest_modseq
    stored = await db.write(lambda tx: messages.store_flags(tx, inbox, box, [1], "add", 1))
    await db.write(lambda tx: tx.run(Stmt("UPDATE mailbox SET flag_record = ''")))
    assert (await db.read(lambda rx: changes.changes_since(rx, inbox, box, before))).flags == [], "a change is missed"
    found = await run_check(db)
    assert [finding.code for finding in found] == ["flags.unrecorded"]
    assert await repair(db, found) == []
    assert (await db.read(lambda rx: changes.changes_since(rx, inbox, box, before))).flags == [(1, 1, stored.modseq)]


async def test_flags_without_a_message_go_and_whoever_counts_it_is_told(db: Database) -> None:
    """They were counted as unseen by the repair and not by the check, which never came to an end."""
    inbox, box = await _place(db)
    await fill(db, inbox, box, 3)
    before = await db.read(lambda rx: changes.changes_since(rx, inbox, box, 0))
    stray = "INSERT INTO message_flags (mailbox_id, uid, flags, modseq) SELECT mailbox_id, 77, 0, modseq"
    await db.write(lambda tx: tx.run(Stmt(f"{stray} FROM message_flags WHERE uid = 2")))
    await db.write(lambda tx: tx.run(Stmt("UPDATE mailbox SET uidnext = 78 WHERE name = 'INBOX'")))
    found = await run_check(db)
    assert [finding.code for finding in found] == ["flags.message"]
    assert await repair(db, found) == []
    since = await db.read(lambda rx: changes.changes_since(rx, inbox, box, before.highest_modseq))
    assert (since.flags, since.expunged) == ([], ((77, 77),))


async def test_long_records_of_sent_mail_are_cut(db: Database) -> None:
    inbox = await make_inbox(db)
    for _ in range(8):
        await send(db, inbox, "one@far.test")
    assert (await _round(db, NOW, replace(QUICK, expunge_records=5)))["sent_records"] == 3
    assert (await _round(db, NOW, replace(QUICK, expunge_records=5)))["sent_records"] == 0


async def test_what_programs_leave_goes_in_its_time(db: Database) -> None:
    inbox, box = await _place(db, "Drafts")
    made = [await db.write(lambda tx: put(tx, inbox, box)) for _ in range(10)]
    names = [each.email_id for each in made]

    def unit(tx: Tx) -> None:
        for name in names:
            draft_names.keep(tx, inbox, DraftName(name, name))
        idempotency.take(tx, b"k", Done(b"b", 200, b"a"), NOW)
        webhooks.note(tx, Tried(1, inbox, "e", "t", NOW, 1, True, 200, None, 1, None))
        messages.expunge(tx, inbox, box, [(1, 9)], only_deleted=False, now=NOW)

    await db.write(unit)
    done = await _round(db, NOW + DAY - 1)
    assert (done["draft_names"], done["idempotency_keys"]) == (9, 0)
    kept = await db.read(lambda rx: draft_names.of_emails(rx, inbox, names))
    assert list(kept) == names[9:]
    done = await _round(db, NOW + DAY)
    assert (done["idempotency_keys"], done["webhook_attempts"]) == (1, 0)
    assert (await _round(db, NOW + 7 * DAY))["webhook_attempts"] == 1
