"""The consistency check finds what it promises to: each rule is broken once by hand, in a store of its own."""

from __future__ import annotations

import asyncio

import pytest

from gateway.store import content, messages, submissions
from gateway.store.check import RULES, check
from gateway.store.connectors import rules
from gateway.store.db import Database, Tx, open_database
from gateway.store.findings import Finding
from gateway.store.statements import Stmt

from .helpers import DOMAIN, NOW, fill, mailbox_id, make_inbox, put, staged, submission

BREAKAGES = {
    "mailbox.counters": "UPDATE mailbox SET unseen = unseen + 1 WHERE name = 'INBOX'",
    "inbox.counters": "UPDATE inbox SET mailboxes = mailboxes + 1",
    "annotation.place": "INSERT INTO annotation VALUES (1, 77, '/shared/comment', NULL, 1)",
    "mailbox.uidnext": "UPDATE mailbox SET uidnext = 2 WHERE name = 'INBOX'",
    "mailbox.modseq": "UPDATE mailbox SET highest_modseq = 1 WHERE name = 'INBOX'",
    "inbox.modseq": "UPDATE mailbox SET highest_modseq = 1000 WHERE name = 'Sent'",
    "change.modseq": "UPDATE change SET modseq = 1000 WHERE kind = 'created'",
    "change.pruned": "UPDATE mailbox SET pruned_modseq = highest_modseq WHERE name = 'INBOX'",
    "message.place": "UPDATE message SET inbox_id = 77 WHERE uid = 3",
    "message.flags": "DELETE FROM message_flags WHERE uid = 3",
    "flags.message": "INSERT INTO message_flags SELECT mailbox_id, 1, flags, modseq FROM message_flags WHERE uid = 3",
    "flags.record": "UPDATE mailbox SET flag_record = '7000=1:4' WHERE name = 'INBOX'",
    "flags.unrecorded": "UPDATE message_flags SET modseq = modseq + 2 WHERE uid = 3",
    "message.values": "UPDATE message SET thread_id = 'x' WHERE uid = 3",
    "inbox.uidvalidity": "UPDATE mailbox SET uidvalidity = 7",
    "inbox.last_uidvalidity": "UPDATE inbox SET last_uidvalidity = 7",
    "inbox.roles": "UPDATE mailbox SET role = '\\Sent'",
    "inbox.complete": "UPDATE address SET kind = 'alias'",
    "content.missing": "DELETE FROM content_fetch",
    "content.header": "UPDATE content_header SET octets = x'41'",
    "content.body": "DELETE FROM content_chunk WHERE id & 65535 = 1",
    "content.dangling": "INSERT INTO content_chunk (id, octets) VALUES (6553600, x'41')",
    "content.halves": "INSERT INTO content_fetch (id, envelope, bodystructure) VALUES (5, x'', x'')",
    "text.size": "INSERT INTO content_text (id, size, octets) SELECT id, 5, x'' FROM text_due",
    "text.missing": "DELETE FROM text_due",
    "content.unreferenced": "DELETE FROM message WHERE uid = 3",
    "expunged.place": "UPDATE expunged SET uid = 3",
    "expunged.content": "UPDATE expunged SET content_id = 5",
    "queue.content": "UPDATE submission SET content_id = 5",
    "queue.finished": "UPDATE submission SET finished_at = 1",
    "queue.recipient": "UPDATE queue_recipient SET next_attempt = NULL",
    "queue.draft": "UPDATE submission SET draft = 'M-x'",
    "list.place": "INSERT INTO list_entry (uuid, scope, pod_id, inbox_id, direction, verdict, pattern, created_at)"
    " VALUES ('u', 'inbox', 0, 77, 'send', 'allow', 'x.test', 1)",
    "address.inbox": "UPDATE address SET kind = 'strange'",
    "address.domain": "UPDATE domain SET name = 'le.test'",
    "key.scope": "INSERT INTO api_key (uuid, key_id, hash, name, scope, permissions, created_at)"
    " VALUES ('u', 'k', 'h', 'n', 'pod', '', 1)",
    "keyword.mailbox": "UPDATE keyword SET bit = 63",
    "mailbox.tree": "UPDATE mailbox SET name = 'a/b/c' WHERE name = 'Spam'",
    "message.keywords": "DELETE FROM keyword",
    "change.uids": "UPDATE change SET uids = '2:3' WHERE kind = 'expunged'",
    "event.arrival": "UPDATE message SET arrived = arrived - 2 WHERE uid = (SELECT max(uid) FROM message)",
    "event.ahead": "UPDATE message SET arrived = 1000 WHERE uid = (SELECT max(uid) FROM message)",
    "webhook.cursor": "INSERT INTO webhook_cursor (webhook_id, inbox_id, modseq, position) VALUES (1, 1, 1000, 'x')",
    "webhook.gone": "INSERT INTO webhook_once (webhook_id, event_id, type, payload, created_at) VALUES (5, '', '', '',"
    " 1)",
    "content.hash": "UPDATE content_chunk SET octets = x'42' WHERE length(octets) = 1",
}


def test_each_rule_is_tried() -> None:
    elsewhere = {code for code, *_ in rules.RULES}  # tests/store/connectors/test_rules.py
    assert {rule.code for rule in RULES} - elsewhere <= set(BREAKAGES)


MORE = (
    ("event.arrival", "INSERT INTO expunged (mailbox_id, uid, content_id, at, arrived)"
     " SELECT mailbox_id, uid - 1, 5, 1, 900 FROM expunged"),
    ("event.ahead", "UPDATE expunged SET arrived = 1000"),
    ("webhook.gone", "INSERT INTO webhook_cursor (webhook_id, inbox_id, modseq, position) VALUES (5, 1, 1, 'x')"),
)  # fmt: skip


@pytest.mark.parametrize(("code", "statement"), [*BREAKAGES.items(), *MORE])
def test_the_check_finds(code: str, statement: str, sqlite_url: str) -> None:
    found = asyncio.run(_broken(sqlite_url, statement))
    assert code in {finding.code for finding in found}
    assert all(finding.text and "{" not in finding.text and finding.remedy for finding in found)


async def _broken(url: str, statement: str) -> list[Finding]:
    db = open_database(url)
    await db.start()
    try:
        await _populate(db)
        assert await db.read(lambda rx: check(rx, deep=True)) == []
        assert await db.write(lambda tx: tx.run(Stmt(statement))) > 0
        return await db.read(lambda rx: check(rx, deep=True))
    finally:
        await db.close()


async def _populate(db: Database) -> None:
    """Something of everything: messages large and small, keywords, an expunge, an open submission."""
    inbox = await make_inbox(db, f"anna@{DOMAIN}")
    box = await mailbox_id(db, inbox.id)
    await fill(db, inbox.id, box, 3)
    await db.write(lambda tx: put(tx, inbox.id, box, b"a: b\r\n\r\n" + bytes(200_000), keywords=["$Work"]))
    await db.write(lambda tx: put(tx, inbox.id, box, b"a: b\r\n\r\nA"))
    await db.write(lambda tx: messages.expunge(tx, inbox.id, box, [1], only_deleted=False, now=NOW))
    made = staged(b"a: b\r\n\r\n")
    new = submission(inbox.id, inbox.address, made, ["x@y.test"])

    def unit(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        submissions.enqueue(tx, new, NOW)

    await db.write(unit)


async def test_a_sound_store_has_no_findings_on_either_database(db: Database) -> None:
    await _populate(db)
    assert await db.read(lambda rx: check(rx, deep=True)) == []
