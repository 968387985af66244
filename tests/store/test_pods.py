"""Pods and domains."""

from __future__ import annotations

import pytest

from gateway.model.errors import AlreadyExists, CannotChange, InvalidName, NotFound
from gateway.model.ids import PodId
from gateway.model.permissions import ScopeKind
from gateway.store import addresses, inboxes, keys, pods
from gateway.store.addresses import Remote, UnknownLocal
from gateway.store.db import Database

from .helpers import NOW, make_inbox


async def test_pods_have_unique_names(db: Database) -> None:
    made = await db.write(lambda tx: pods.create_pod(tx, " acme ", now=NOW))
    assert made.name == "acme"
    assert await db.read(pods.pods) == [made]
    assert await db.read(lambda rx: pods.pod_by_name(rx, "acme")) == made
    with pytest.raises(AlreadyExists):
        await db.write(lambda tx: pods.create_pod(tx, "acme"))


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 201])
async def test_pod_names_are_printable(db: Database, name: str) -> None:
    with pytest.raises(InvalidName):
        await db.write(lambda tx: pods.create_pod(tx, name))


async def test_a_pod_is_deleted_when_nothing_is_in_it(db: Database) -> None:
    pod = await db.write(lambda tx: pods.create_pod(tx, "acme"))
    await db.write(lambda tx: pods.create_domain(tx, pod.id, "acme.test"))
    with pytest.raises(CannotChange):
        await db.write(lambda tx: pods.delete_pod(tx, pod.id))
    await db.write(lambda tx: pods.delete_domain(tx, "acme.test"))
    await db.write(
        lambda tx: keys.insert_key(
            tx, key_id="k" * 10, hash="h", name="n", scope=ScopeKind.POD, permissions=(), now=NOW, pod_id=pod.id
        )
    )
    await db.write(lambda tx: pods.delete_pod(tx, pod.id))
    assert await db.read(pods.pods) == []
    with pytest.raises(NotFound):
        await db.write(lambda tx: pods.delete_pod(tx, pod.id))


async def test_a_domain_belongs_to_one_pod(db: Database) -> None:
    one = await db.write(lambda tx: pods.create_pod(tx, "one"))
    two = await db.write(lambda tx: pods.create_pod(tx, "two"))
    made = await db.write(lambda tx: pods.create_domain(tx, one.id, "B\u00fccher.Example.", now=NOW))
    assert (made.name, made.pod_name, made.local) == ("xn--bcher-kva.example", "one", True)
    assert await db.read(pods.domains) == [made]
    with pytest.raises(AlreadyExists):
        await db.write(lambda tx: pods.create_domain(tx, two.id, "b\u00fccher.example"))
    with pytest.raises(NotFound):
        await db.write(lambda tx: pods.create_domain(tx, PodId(999), "c.example"))


@pytest.mark.parametrize("name", ["", "a..b", "-a.b", "a b.c", "x" * 64 + ".test", "a@b", "[127.0.0.1]"])
async def test_a_domain_is_a_domain_name(db: Database, name: str) -> None:
    pod = await db.write(lambda tx: pods.create_pod(tx, "one"))
    with pytest.raises(InvalidName):
        await db.write(lambda tx: pods.create_domain(tx, pod.id, name))


async def test_local_domains_are_found_in_any_spelling_and_only_they(db: Database) -> None:
    pod = await db.write(lambda tx: pods.create_pod(tx, "one"))
    await db.write(lambda tx: pods.create_domain(tx, pod.id, "b\u00fccher.example"))
    await db.write(lambda tx: pods.create_domain(tx, pod.id, "elsewhere.example", False))
    wanted = ["B\u00dcCHER.example", "XN--BCHER-KVA.example.", "elsewhere.example", "x.b\u00fccher.example", "a b"]
    found = await db.read(lambda rx: [addresses.resolve_recipient(rx, f"x@{name}") for name in wanted])
    assert found == [UnknownLocal(), UnknownLocal(), Remote(), Remote(), Remote()]


async def test_a_domain_in_use_stays(db: Database) -> None:
    inbox = await make_inbox(db, "anna@a_b.test")
    pod = await db.read(lambda rx: pods.pod_by_name(rx, "pod"))
    assert pod is not None
    await db.write(lambda tx: pods.create_domain(tx, pod.id, "axb.test"))
    with pytest.raises(CannotChange):
        await db.write(lambda tx: pods.delete_domain(tx, "a_b.test"))
    await db.write(lambda tx: pods.delete_domain(tx, "axb.test"))
    with pytest.raises(NotFound):
        await db.write(lambda tx: pods.delete_domain(tx, "axb.test"))
    assert await db.read(lambda rx: inboxes.inbox_by_address(rx, "ANNA@a_b.test")) == inbox
