"""What an inbox, a pod or a webhook had beside mail goes with it: rows that nobody would find again are nowhere."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from gateway.model.ids import InboxId, KeyId, PodId
from gateway.model.permissions import ScopeKind
from gateway.store import (
    draft_names,
    inboxes,
    keys,
    passkeys,
    pods,
    resource_notes,
    setup_links,
    webhook_cursors,
    webhooks,
)
from gateway.store.db import Database, Tx
from gateway.store.draft_names import DraftName
from gateway.store.resource_notes import Note
from gateway.store.setup_links import SetupLink
from gateway.store.statements import Stmt
from gateway.store.webhooks import Tried, Webhook, WebhookNew

from .helpers import NOW, make_inbox, opened, somebody_waits

TABLES = (
    "api_key", "draft_name", "passkey", "resource_note", "setup_link", "webhook", "webhook_attempt", "webhook_cursor",
    "webhook_once",
)


async def counts(db: Database) -> dict[str, int]:
    found = await db.read(lambda rx: {table: rx.scalar(Stmt(f"SELECT count(*) FROM {table}")) for table in TABLES})
    return {table: count for table, count in found.items() if count}


def hook(tx: Tx, scope: str, pod: PodId | None = None, inbox: InboxId | None = None) -> Webhook:
    """With an attempt and an event that waits, and a program's note about it."""
    made = webhooks.create(tx, WebhookNew(scope, pod, inbox, "", "https://h.test/", (), frozenset()), b"s", None, NOW)
    of = inbox or InboxId(0)
    webhooks.note(tx, Tried(made.id, of, "e", "t", NOW, 1, True, 200, None, 1, None))
    webhooks.once(tx, made.id, of, "e", "t", "{}", NOW)
    resource_notes.put(tx, "webhook", 0, Note(made.uuid, made.uuid))
    return made


def key(tx: Tx, name: str, scope: ScopeKind, **of: Any) -> KeyId:
    """With a passkey that logs in as it."""
    made = keys.insert_key(tx, key_id=name, hash="h", name="", scope=scope, permissions=(), now=NOW, **of).id
    passkeys.add(tx, made, name.encode(), b"p", 0, "", NOW)
    return made


async def purge(db: Database, inbox: InboxId) -> None:
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox, NOW))
    while not await db.write(lambda tx: inboxes.purge_inbox(tx, inbox, 100)):
        pass


async def test_an_inbox(db: Database) -> None:
    inbox, other = await make_inbox(db), await make_inbox(db, "ben@example.test")

    def unit(tx: Tx) -> Webhook:
        for number, of in enumerate((inbox, other)):
            made = key(tx, f"k{number}", ScopeKind.INBOX, inbox_id=of.id)
            setup_links.put(tx, f"token{number}", SetupLink(of.id, made, False, ""), now=NOW, expires_at=NOW + 9)
            draft_names.keep(tx, of.id, DraftName("M1", "M1"))
            resource_notes.put(tx, "inbox", 0, Note(of.uuid, of.uuid))
            hook(tx, "inbox", inbox=of.id)
        return hook(tx, "pod", inbox.pod_id)

    wide = await db.write(unit)
    await db.write(lambda tx: webhooks.once(tx, wide.id, inbox.id, "f", "t", "{}", NOW))
    await purge(db, inbox.id)
    assert await counts(db) == {
        "api_key": 1, "draft_name": 1, "passkey": 1, "resource_note": 3, "setup_link": 1, "webhook": 2,
        "webhook_attempt": 2, "webhook_cursor": 2, "webhook_once": 2,
    }
    await purge(db, other.id)
    await db.write(lambda tx: webhooks.delete(tx, wide.id))
    assert await counts(db) == {}


async def test_a_pod(db: Database) -> None:
    pod, other = [await db.write(lambda tx, n=name: pods.create_pod(tx, n)) for name in ("one", "two")]  # type: ignore[misc]

    def unit(tx: Tx) -> None:
        for number, of in enumerate((pod, other)):
            key(tx, f"k{number}", ScopeKind.POD, pod_id=of.id)
            hook(tx, "pod", of.id)
            resource_notes.put(tx, "pod", 0, Note(of.uuid, of.uuid))

    await db.write(unit)
    await db.write(lambda tx: pods.delete_pod(tx, pod.id))
    assert await counts(db) == {
        "api_key": 1, "passkey": 1, "resource_note": 2, "webhook": 1, "webhook_attempt": 1, "webhook_once": 1,
    }
    await db.write(lambda tx: pods.delete_pod(tx, other.id))
    assert await counts(db) == {}


async def test_keys_that_are_forgotten(db: Database) -> None:
    inbox = await make_inbox(db)
    gone, kept = [
        await db.write(lambda tx, n=name: key(tx, n, ScopeKind.INBOX, inbox_id=inbox.id))  # type: ignore[misc]
        for name in ("gone", "kept")
    ]
    assert await db.write(lambda tx: keys.forget(tx, [gone])) == 1
    assert [one.key_id for one in await db.read(lambda rx: passkeys.of_key(rx, kept))] == [kept]
    assert await counts(db) == {"api_key": 1, "passkey": 1}


async def test_nobody_adds_to_what_is_gone(db: Database) -> None:
    inbox = await make_inbox(db)
    made = await db.write(lambda tx: hook(tx, "inbox", inbox=inbox.id))

    def claim(tx: Tx, inbox_id: InboxId = inbox.id) -> webhook_cursors.Claimed | None:
        return webhook_cursors.claim(tx, made.id, inbox_id, "me", NOW, NOW + 60)

    assert await db.write(lambda tx: claim(tx, InboxId(999))) is None
    assert await db.write(claim) is not None
    await db.write(lambda tx: webhooks.delete(tx, made.id))
    assert await db.write(claim) is None
    await db.write(lambda tx: webhook_cursors.set_cursor(tx, made.id, inbox.id, 1, "1-99-0-0"))
    await db.write(lambda tx: webhooks.once(tx, made.id, inbox.id, "e", "t", "{}", NOW))
    assert await counts(db) == {}


async def test_an_inbox_in_its_grace_period_is_told_of_later(db: Database) -> None:
    inbox = await make_inbox(db)
    made = await db.write(lambda tx: hook(tx, "pod", inbox.pod_id))
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, NOW))
    assert await db.write(lambda tx: webhook_cursors.claim(tx, made.id, inbox.id, "me", NOW, NOW + 60)) is None
    await db.write(lambda tx: inboxes.undelete_inbox(tx, inbox.id))
    assert await db.write(lambda tx: webhook_cursors.claim(tx, made.id, inbox.id, "me", NOW, NOW + 60)) is not None


async def test_a_claim_beside_the_deletion_waits_for_it(postgresql_url: str, runner: asyncio.Runner) -> None:
    """Two nodes: the second looks when the first has deleted the rows, and has not committed."""
    deleted, waited = threading.Event(), threading.Event()
    async with opened(postgresql_url) as one, opened(postgresql_url) as two:
        inbox = await make_inbox(one)
        made = await one.write(lambda tx: hook(tx, "inbox", inbox=inbox.id))

        def delete(tx: Tx) -> None:
            webhooks.delete(tx, made.id)
            deleted.set()
            assert waited.wait(10)

        deleting = asyncio.ensure_future(one.write(delete))
        await asyncio.to_thread(deleted.wait, 10)
        claiming = asyncio.ensure_future(
            two.write(lambda tx: webhook_cursors.claim(tx, made.id, inbox.id, "two", NOW, NOW + 60))
        )
        try:
            assert await asyncio.to_thread(somebody_waits, postgresql_url)
        finally:
            waited.set()
        await deleting
        assert await claiming is None
        assert await counts(one) == {}
