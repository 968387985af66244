"""Keys as rows: scopes, parents, revocation, last use."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.model.errors import AlreadyExists, InvalidRequest, NoPermission, NotFound
from gateway.model.ids import KeyId
from gateway.model.permissions import ScopeKind, expand
from gateway.store import keys, pods, queue_admin
from gateway.store.db import Database, Wake, WakeKind
from gateway.store.inboxes import Inbox
from gateway.store.keys import KeyRow

from .helpers import NOW, make_inbox
from .queue_kit import send, show

READ = expand(["read"])


async def _key(db: Database, key_id: str = "a" * 10, **values: Any) -> KeyRow:
    given = {"hash": "h", "name": "n", "scope": ScopeKind.ALL, "permissions": READ, "now": NOW} | values
    return await db.write(lambda tx: keys.insert_key(tx, key_id=key_id, **given))


async def test_a_key_is_read_back_as_it_was_made(db: Database) -> None:
    inbox = await make_inbox(db)
    made = await _key(db, scope=ScopeKind.INBOX, inbox_id=inbox.id, expires_at=NOW + 9, sent_copy="never")
    assert (made.scope, made.pod_id, made.inbox_id) == (ScopeKind.INBOX, inbox.pod_id, inbox.id)
    assert (made.permissions, made.expires_at, made.sent_copy) == (READ, NOW + 9, "never")
    assert await db.read(lambda rx: keys.key_by_key_id(rx, "a" * 10)) == made
    assert await db.read(lambda rx: keys.key_by_id(rx, made.id)) == made
    assert await db.read(lambda rx: keys.key_by_key_id(rx, "A" * 10)) is None
    assert made.usable(NOW + 8.9)
    assert not made.usable(NOW + 9)
    with pytest.raises(AlreadyExists):
        await _key(db)


async def test_a_scope_names_exactly_what_it_needs(db: Database) -> None:
    inbox = await make_inbox(db)
    pod, box = inbox.pod_id, inbox.id
    for wrong in (
        {"scope": ScopeKind.ALL, "pod_id": pod},
        {"scope": ScopeKind.POD},
        {"scope": ScopeKind.POD, "pod_id": pod, "inbox_id": box},
        {"scope": ScopeKind.INBOX},
        {"permissions": {"fly"}},
        {"expires_at": NOW},
        {"name": "a\nb"},
    ):
        with pytest.raises(InvalidRequest):
            await _key(db, **wrong)
    for missing in (
        {"scope": ScopeKind.POD, "pod_id": 999},
        {"scope": ScopeKind.INBOX, "inbox_id": 999},
        {"scope": ScopeKind.INBOX, "inbox_id": box, "pod_id": 999},
        {"parent": 999},
    ):
        with pytest.raises(NotFound):
            await _key(db, **missing)
    assert await db.read(keys.keys) == []


async def _scopes(db: Database) -> tuple[dict[str, dict[str, Any]], Inbox]:
    """Values of each scope for two inboxes of a pod and one of another."""
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    other = await db.write(lambda tx: pods.create_pod(tx, "other"))
    return {
        "all": {"scope": ScopeKind.ALL},
        "pod": {"scope": ScopeKind.POD, "pod_id": anna.pod_id},
        "other": {"scope": ScopeKind.POD, "pod_id": other.id},
        "anna": {"scope": ScopeKind.INBOX, "inbox_id": anna.id},
        "ben": {"scope": ScopeKind.INBOX, "inbox_id": ben.id},
    }, anna


async def test_a_child_key_never_reaches_beyond_its_parent(db: Database) -> None:
    scopes, _ = await _scopes(db)
    allowed = {
        "all": {"all", "pod", "other", "anna", "ben"},
        "pod": {"pod", "anna", "ben"},
        "other": {"other"},
        "anna": {"anna"},
        "ben": {"ben"},
    }
    for name, below in allowed.items():
        parent = await _key(db, f"parent-{name}", **scopes[name])
        for child, values in scopes.items():
            if child in below:
                made = await _key(db, f"{name}-{child}", parent=parent.id, **values)
                assert made.parent == parent.id
            else:
                with pytest.raises(NoPermission):
                    await _key(db, f"{name}-{child}", parent=parent.id, **values)


async def test_a_child_key_has_no_more_permissions_or_life(db: Database) -> None:
    parent = await _key(db, "parent", expires_at=NOW + 100)
    await _key(db, "child", parent=parent.id, permissions={"message_read"}, expires_at=NOW + 100)
    for wrong in (
        {"permissions": {"message_send"}, "expires_at": NOW + 9},
        {"expires_at": NOW + 101},
        {"expires_at": None},
    ):
        with pytest.raises(NoPermission):
            await _key(db, "wrong", parent=parent.id, **wrong)
    await db.write(lambda tx: keys.revoke(tx, parent.id, NOW))
    with pytest.raises(NoPermission):
        await _key(db, "late", parent=parent.id, expires_at=NOW + 9)


async def test_revoking_ends_a_key_and_all_that_descend_from_it(db: Database) -> None:
    top = await _key(db, "top")
    child = await _key(db, "child", parent=top.id)
    grandchild = await _key(db, "grandchild", parent=child.id)
    other = await _key(db, "other")
    wakes: list[Wake] = []
    db.subscribe(wakes.append)
    assert set(await db.write(lambda tx: keys.revoke(tx, child.id, NOW + 1))) == {child.id, grandchild.id}
    assert {wake.kind for wake in wakes} == {WakeKind.KEYS}
    left = await db.read(lambda rx: keys.keys(rx, include_revoked=False))
    assert [key.id for key in left] == [top.id, other.id]
    assert await db.write(lambda tx: keys.revoke(tx, child.id, NOW + 2)) == []
    kept = await db.read(lambda rx: keys.key_by_id(rx, child.id))
    assert kept is not None
    assert kept.revoked_at == NOW + 1
    with pytest.raises(NotFound):
        await db.write(lambda tx: keys.revoke(tx, KeyId(999), NOW))


async def test_last_use_only_moves_forward(db: Database) -> None:
    key = await _key(db)
    for at, expected in ((NOW + 5, NOW + 5), (NOW + 2, NOW + 5), (NOW + 8, NOW + 8)):
        await db.write(lambda tx, at=at: keys.touch(tx, {key.id: at, KeyId(999): at}))
        assert await db.read(lambda rx: keys.key_by_id(rx, key.id)) == replace(key, last_used_at=expected)


async def test_keys_are_listed_by_scope(db: Database) -> None:
    scopes, anna = await _scopes(db)
    made = {name: await _key(db, name, **values) for name, values in scopes.items()}
    await db.write(lambda tx: keys.revoke(tx, made["ben"].id, NOW))

    async def listed(**where: Any) -> list[str]:
        return [row.key_id for row in await db.read(lambda rx: keys.keys(rx, **where))]

    assert await listed() == list(made)
    assert await listed(pod_id=anna.pod_id) == ["pod", "anna", "ben"]
    assert await listed(pod_id=anna.pod_id, include_revoked=False) == ["pod", "anna"]
    assert await listed(inbox_id=anna.id) == ["anna"]


async def test_the_verifiers_of_an_inbox(db: Database) -> None:
    inbox = await make_inbox(db)
    other = await make_inbox(db, "other@example.org")
    assert other.pod_id == inbox.pod_id
    assert len(await db.read(keys.scram_salt)) == 16

    async def verifiers(box: Inbox | None, limit: int = 9) -> str:
        pod_id, inbox_id = (None, None) if box is None else (box.pod_id, box.id)
        found = await db.read(lambda rx: keys.scram_verifiers(rx, pod_id, inbox_id, limit))
        assert all(key_id == "a" * 9 + text for key_id, text in found)
        return "".join(text for _, text in found)

    scopes: dict[str, dict[str, Any]] = {
        "1": {"scope": ScopeKind.ALL},
        "2": {"scope": ScopeKind.POD, "pod_id": inbox.pod_id},
        "3": {"scope": ScopeKind.INBOX, "inbox_id": inbox.id},
        "4": {"scope": ScopeKind.INBOX, "inbox_id": other.id},
        "5": {"scope": ScopeKind.INBOX, "inbox_id": inbox.id},
    }
    made = {name: await _key(db, "a" * 9 + name, scram=name, **values) for name, values in scopes.items()}
    await _key(db, "a" * 9 + "6", scope=ScopeKind.INBOX, inbox_id=inbox.id)  # as made before there was SCRAM
    assert await verifiers(inbox) == "5321"
    assert await verifiers(other) == "421"
    assert await verifiers(None) == "1", "no such inbox: the same question, of which the answer fits nobody"
    await db.write(lambda tx: keys.revoke(tx, made["5"].id, NOW))
    assert await verifiers(inbox) == "3215", "a revoked one too: using it is no guess"
    assert await verifiers(inbox, 2) == "32"


async def test_mail_that_a_revoked_key_has_put_off_is_held(db: Database) -> None:
    """What is due, another key's, or held for another reason stays as it is; what is released goes at its time."""
    inbox = await make_inbox(db)
    thief, mine = await _key(db, "thief"), await _key(db, "mine")
    late = {"release_at": NOW + 100}
    put_off = await send(db, inbox, "a@x.test", "b@y.test", key=thief.id, **late)
    others = [
        await send(db, inbox, "c@x.test", key=thief.id),
        await send(db, inbox, "d@x.test", key=mine.id, **late),
        await send(db, inbox, "e@x.test", key=thief.id, held="approval", **late),
    ]
    before = [(await show(db, number)).recipients for number in others]
    await db.write(lambda tx: keys.revoke(tx, thief.id, NOW + 1))
    entry = await show(db, put_off)
    held = [(each.state, each.hold_reason, each.next_attempt) for each in entry.recipients]
    assert held == [("held", "key", None)] * 2
    assert [(event.state, event.text) for event in entry.attempts] == [("held", b"key")] * 2
    assert [(await show(db, number)).recipients for number in others] == before
    rows = [each.id for each in entry.recipients]
    assert await db.write(lambda tx: queue_admin.release(tx, rows, NOW + 2)) == 2
    assert {each.next_attempt for each in (await show(db, put_off)).recipients} == {NOW + 100}
