"""Ids and metadata of programs: what was made under an id is found by it, once for each owner."""

from __future__ import annotations

import pytest

from gateway.model.errors import CannotChange
from gateway.store import inboxes, pods, resource_notes
from gateway.store.db import Database
from gateway.store.resource_notes import Note


async def test_by_the_id_of_its_maker(db: Database) -> None:
    note = Note("uuid-1", "mine", {"plan": "pro", "seats": 3.5, "paid": True})
    await db.write(lambda tx: resource_notes.put(tx, "inbox", 7, note))
    assert await db.read(lambda rx: resource_notes.by_client(rx, "inbox", 7, "mine")) == note
    assert await db.read(lambda rx: resource_notes.by_client(rx, "inbox", 8, "mine")) is None
    assert await db.read(lambda rx: resource_notes.by_client(rx, "pod", 7, "mine")) is None
    assert await db.read(lambda rx: resource_notes.by_client(rx, "inbox", 7, "a\0b")) is None
    assert await db.read(lambda rx: resource_notes.notes(rx, "inbox", ["uuid-1", "uuid-2"])) == {"uuid-1": note}
    with pytest.raises(CannotChange):
        await db.write(lambda tx: resource_notes.put(tx, "inbox", 7, Note("uuid-2", "mine")))


async def test_metadata_without_an_id_and_without_end(db: Database) -> None:
    for ref in ("a", "b"):
        await db.write(lambda tx, ref=ref: resource_notes.put(tx, "inbox", 0, Note(ref)))
    await db.write(lambda tx: resource_notes.set_metadata(tx, "inbox", 0, "a", {"x": "y"}))
    await db.write(lambda tx: resource_notes.set_metadata(tx, "inbox", 0, "c", {"x": "z"}))
    await db.write(lambda tx: resource_notes.set_metadata(tx, "inbox", 0, "c", {}))
    assert await db.read(lambda rx: resource_notes.notes(rx, "inbox", ["a", "b", "c"])) == {
        "a": Note("a", None, {"x": "y"}), "b": Note("b"), "c": Note("c"),
    }  # fmt: skip


async def test_it_goes_with_what_it_is_about(db: Database) -> None:
    pod = await db.write(lambda tx: pods.create_pod(tx, "tenant"))
    await db.write(lambda tx: pods.create_domain(tx, pod.id, "tenant.test"))
    inbox = await db.write(lambda tx: inboxes.create_inbox(tx, pod.id, "a@tenant.test", now=1))
    await db.write(lambda tx: resource_notes.put(tx, "inbox", 0, Note(inbox.uuid, "i")))
    await db.write(lambda tx: resource_notes.put(tx, "pod", 0, Note(pod.uuid, "p")))
    await db.write(lambda tx: inboxes.delete_inbox(tx, inbox.id, 2))
    while not await db.write(lambda tx: inboxes.purge_inbox(tx, inbox.id, 100)):
        pass
    assert await db.read(lambda rx: resource_notes.by_client(rx, "inbox", 0, "i")) is None
    await db.write(lambda tx: pods.delete_domain(tx, "tenant.test"))
    await db.write(lambda tx: pods.delete_pod(tx, pod.id))
    assert await db.read(lambda rx: resource_notes.by_client(rx, "pod", 0, "p")) is None
