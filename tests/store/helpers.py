"""What store tests share: a pod with an inbox, messages without MIME, and the consistency check."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from gateway.model.ids import BodyId, ContentId, InboxId, MailboxId
from gateway.model.recipient import Recipient
from gateway.store import content, inboxes, mailboxes, messages, pods
from gateway.store.append import Appended
from gateway.store.check import check
from gateway.store.content import CHUNK, ContentMeta, StagedContent
from gateway.store.db import Database, StoreSettings, Tx, open_database
from gateway.store.inboxes import Inbox
from gateway.store.submissions import SubmissionNew

NOW = 1_700_000_000
DOMAIN = "example.test"

_numbers = itertools.count(1_000_000_000)
"""Content ids far above those that `IdBlocks` reserves."""


async def assert_consistent(db: Database) -> None:
    """The store keeps all that `store.check` proves, hashes included. The `db` fixture ends with it too."""
    findings = await db.read(lambda rx: check(rx, deep=True))
    assert findings == []


async def changed_by(db: Database, mailbox: MailboxId, stored: messages.FlagsStored) -> list[tuple[int, int]]:
    """(UID, mask) of what an operation has changed: as many as it said, all with its MODSEQ."""
    rows = await db.read(lambda rx: messages.load(rx, mailbox))
    changed = [(uid, mask) for uid, mask, modseq in rows if modseq == stored.modseq]
    assert len(changed) == stored.count
    return changed


async def make_inbox(db: Database, address: str = f"anna@{DOMAIN}", *, now: int = NOW) -> Inbox:
    """An inbox; its pod `pod` and the domain are made when they are missing."""

    def unit(tx: Tx) -> Inbox:
        pod = pods.pod_by_name(tx, "pod") or pods.create_pod(tx, "pod", now=now)
        domain = address.rpartition("@")[2]
        if pods.domain_by_name(tx, domain) is None:
            pods.create_domain(tx, pod.id, domain, now=now)
        return inboxes.create_inbox(tx, pod.id, address, now=now)

    return await db.write(unit)


async def mailbox_id(db: Database, inbox_id: InboxId, name: str = "INBOX") -> MailboxId:
    found = await db.read(lambda rx: mailboxes.by_name(rx, inbox_id, name))
    assert found is not None
    return found.id


def staged(octets: bytes, *, message_id: bytes | None = None) -> StagedContent:
    """A content of `octets`, whose header ends at the first empty line, described by nothing but its size."""
    at = octets.find(b"\r\n\r\n")
    header, body = (octets, b"") if at < 0 else (octets[: at + 4], octets[at + 4 :])
    number = next(_numbers)
    meta = ContentMeta(
        envelope=b"(envelope)",
        body=b"(body)",
        bodystructure=b"(bodystructure)",
        parts=b"",
        message_id=message_id,
        in_reply_to=(),
        references=(),
        sent_date=None,
        has_nul=False,
        parser_version=1,
    )
    tail = tuple(body[start : start + CHUNK] for start in range(0, len(body), CHUNK))
    digest = hashlib.sha256(body + header).digest()
    return StagedContent(ContentId(number), BodyId(number), header, len(octets), digest, tail, 0, meta)


def put(
    tx: Tx,
    inbox_id: InboxId,
    mailbox: MailboxId,
    octets: bytes = b"Subject: x\r\n\r\nbody\r\n",
    *,
    now: int = NOW,
    flags: int = 0,
    keywords: Sequence[str] = (),
    beyond_quota: bool = False,
) -> Appended:
    """One message, inside a unit."""
    made = staged(octets)
    content.complete(tx, made, now)
    return messages.append(
        tx, mailbox, inbox_id, made, internal_date=now, flags=flags, keywords=keywords, now=now,
        beyond_quota=beyond_quota,
    )


async def fill(db: Database, inbox_id: InboxId, mailbox: MailboxId, count: int, *, flags: int = 0) -> list[int]:
    """`count` small messages in one unit; their UIDs."""
    return await db.write(lambda tx: [put(tx, inbox_id, mailbox, flags=flags).uid for _ in range(count)])


def submission(
    inbox: InboxId, sender: str, made: StagedContent, recipients: Sequence[str], *, key: int | None = None, **facts: Any
) -> SubmissionNew:
    """What acceptance writes down, for mail that goes elsewhere."""
    return SubmissionNew(
        inbox_id=inbox, key_id=key, mail_from=sender, content_id=made.content_id,
        recipients=[Recipient(address) for address in recipients], **facts,
    )


@asynccontextmanager
async def opened(url: str, **settings: Any) -> AsyncIterator[Database]:
    """A store that is started, and closed at the end."""
    database = open_database(url, StoreSettings(**settings))
    await database.start()
    try:
        yield database
    finally:
        await database.close()


def somebody_waits(url: str) -> bool:
    """Whether a backend of that PostgreSQL database waits for a lock; looks until one does."""
    with psycopg.connect(url, autocommit=True) as other:
        for _ in range(2000):
            row = other.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone()
            if row is not None and row[0]:
                return True
    return False


async def until(true: Callable[[], bool]) -> None:
    """What threads and other processes bring about, and signal to nobody."""
    for _ in range(6_000):
        if true():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within half a minute")
