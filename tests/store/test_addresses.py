"""Addresses: spellings, owners, where a recipient leads and who may send as what."""

from __future__ import annotations

import pytest

from gateway.model.errors import AlreadyExists, CannotChange, InvalidName, NotFound
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind
from gateway.store import addresses, inboxes, keys, mailboxes, pods, queue_admin
from gateway.store.addresses import AddressKind, Local, Remote, Resolution, UnknownLocal
from gateway.store.db import Database

from .helpers import NOW, make_inbox


async def _resolve(db: Database, address: str) -> Resolution:
    return await db.read(lambda rx: addresses.resolve_recipient(rx, address))


def test_addresses_that_cannot_be_composed() -> None:
    """They are nobody's, but for a catch-all, and take no longer than others."""
    marks = "\u0301\u0316" * 50_000
    assert addresses.spellings(f"a{marks}@x.test") == (f"a{marks}@x.test", "@x.test")
    assert addresses.spellings(f"a@b{marks}.test") == ()
    with pytest.raises(InvalidName):
        addresses.canonical_address(f"a{marks}@x.test")


async def _add(db: Database, inbox_id: InboxId, address: str, kind: str = "alias") -> None:
    await db.write(lambda tx: addresses.add_address(tx, inbox_id, address, kind, now=NOW))


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("Anna@Example.TEST", "anna@example.test"),
        (" anna@example.test. ", "anna@example.test"),
        ("j\u00f6rg@B\u00dcCHER.example", "j\u00f6rg@xn--bcher-kva.example"),
        ("jo\u0308rg@x.test", "j\u00f6rg@x.test"),
        ("a.b+c=d!e@x.test", "a.b+c=d!e@x.test"),
    ],
)
def test_the_stored_form_of_an_address(written: str, stored: str) -> None:
    assert addresses.canonical_address(written) == stored
    assert addresses.canonical_address(stored) == stored


@pytest.mark.parametrize(
    "address",
    ["", "anna", "@example.test", "anna@", "a b@x.test", ".a@x.test", "a..b@x.test", '"a b"@x.test', "a@b@x.test",
     "a@[127.0.0.1]", "a\x00@x.test", "<a@x.test>", "x" * 65 + "@x.test", "a\ud800@x.test"],
)  # fmt: skip
def test_what_is_no_address_of_an_inbox(address: str) -> None:
    with pytest.raises(InvalidName):
        addresses.canonical_address(address)


async def test_a_recipient_leads_to_the_nearest_address(db: Database) -> None:
    anna, ben, rest = [await make_inbox(db, f"{name}@example.test") for name in ("anna", "ben", "rest")]
    await _add(db, ben.id, "Anna+Ben@example.test")
    assert await _resolve(db, "ANNA@EXAMPLE.TEST") == Local(anna.id)
    assert await _resolve(db, "anna+lists@example.test") == Local(anna.id)
    assert await _resolve(db, "anna+a+b@example.test") == Local(anna.id)
    assert await _resolve(db, "anna+ben@example.test") == Local(ben.id)
    assert await _resolve(db, '"anna"@example.test') == Local(anna.id)
    assert await _resolve(db, "typo@example.test") == UnknownLocal()
    assert await _resolve(db, "+anna@example.test") == UnknownLocal()
    await _add(db, rest.id, "@Example.test")
    assert await _resolve(db, "typo@example.test") == Local(rest.id)
    assert await _resolve(db, "typo+x@example.test") == Local(rest.id)
    assert await _resolve(db, "anna@example.test") == Local(anna.id)


@pytest.mark.parametrize(
    "address", ["a@elsewhere.test", "a@sub.example.test", "a@[127.0.0.1]", "postmaster", "", "@", "a@", "@example.test"]
)
async def test_what_is_not_ours_is_remote(db: Database, address: str) -> None:
    await make_inbox(db)
    assert await _resolve(db, address) == Remote()


async def test_external_addresses_are_never_local(db: Database) -> None:
    anna = await make_inbox(db)
    await _add(db, anna.id, "anna@gmail.test", "external")
    assert await _resolve(db, "anna@gmail.test") == Remote()
    with pytest.raises(CannotChange):
        await _add(db, anna.id, "other@example.test", "external")


async def test_mail_for_an_inbox_in_its_grace_period_does_not_fall_to_the_catch_all(db: Database) -> None:
    anna, rest = await make_inbox(db), await make_inbox(db, "rest@example.test")
    await _add(db, rest.id, "@example.test")
    await db.write(lambda tx: inboxes.delete_inbox(tx, anna.id, NOW))
    assert await _resolve(db, "anna@example.test") == UnknownLocal()
    assert await _resolve(db, "nobody@example.test") == Local(rest.id)


async def test_a_domain_that_is_not_local_is_relayed(db: Database) -> None:
    pod = await db.write(lambda tx: pods.create_pod(tx, "pod"))
    await db.write(lambda tx: pods.create_domain(tx, pod.id, "hosted.test", False))
    await make_inbox(db, "anna@hosted.test")
    assert await _resolve(db, "anna@hosted.test") == Remote()


async def test_who_may_send_as_what(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    other_pod = await db.write(lambda tx: pods.create_pod(tx, "other"))
    await db.write(lambda tx: pods.create_domain(tx, other_pod.id, "other.test"))
    carl = await db.write(lambda tx: inboxes.create_inbox(tx, other_pod.id, "carl@other.test", now=NOW))
    await _add(db, anna.id, "info@example.test")
    await _add(db, anna.id, "anna@gmail.test", "external")
    await _add(db, ben.id, "@example.test")

    async def may(scope: ScopeKind, address: str, *, inbox: InboxId = anna.id, pod: PodId = anna.pod_id) -> object:
        return await db.read(lambda rx: addresses.may_send_as(rx, scope, pod, inbox, address))

    for own in ("anna@example.test", "Info@Example.Test", "anna@gmail.test", "anna+tag@example.test"):
        assert await may(ScopeKind.INBOX, own) == anna.id
    assert await may(ScopeKind.INBOX, "ben@example.test") is None
    assert await may(ScopeKind.INBOX, "anything@example.test") is None
    assert await may(ScopeKind.INBOX, "anything@example.test", inbox=ben.id) == ben.id
    assert await may(ScopeKind.INBOX, "anna@example.test", inbox=ben.id) is None
    assert await may(ScopeKind.POD, "ben@example.test") == ben.id
    assert await may(ScopeKind.POD, "carl@other.test") is None
    assert await may(ScopeKind.ALL, "carl@other.test") == carl.id
    assert await may(ScopeKind.ALL, "nobody@elsewhere.test") is None
    assert await may(ScopeKind.ALL, "") is None
    await db.write(lambda tx: inboxes.delete_inbox(tx, carl.id, NOW))
    assert await may(ScopeKind.ALL, "carl@other.test") is None


async def test_addresses_are_unique_and_listed_with_the_primary_one_first(db: Database) -> None:
    anna, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    await _add(db, anna.id, "a@example.test")
    await _add(db, anna.id, "@example.test")
    with pytest.raises(AlreadyExists):
        await _add(db, ben.id, "A@EXAMPLE.test")
    with pytest.raises(AlreadyExists):
        await _add(db, ben.id, "anna@example.test")
    with pytest.raises(AlreadyExists):
        await _add(db, ben.id, "@example.test")
    found = await db.read(lambda rx: addresses.addresses(rx, anna.id))
    assert [(row.address, row.kind) for row in found] == [
        ("anna@example.test", AddressKind.PRIMARY),
        ("@example.test", AddressKind.ALIAS),
        ("a@example.test", AddressKind.ALIAS),
    ]
    assert len(await db.read(addresses.addresses)) == 4


async def test_an_alias_lies_in_a_domain_of_the_inboxs_pod(db: Database) -> None:
    anna = await make_inbox(db)
    other = await db.write(lambda tx: pods.create_pod(tx, "other"))
    await db.write(lambda tx: pods.create_domain(tx, other.id, "other.test"))
    for address in ("a@other.test", "a@nowhere.test", "@other.test"):
        with pytest.raises(NotFound):
            await _add(db, anna.id, address)
    with pytest.raises(InvalidName):
        await _add(db, anna.id, "@gmail.test", "external")
    with pytest.raises(NotFound):
        await _add(db, InboxId(999), "a@example.test")


async def test_a_primary_address_stays_with_its_inbox(db: Database) -> None:
    anna = await make_inbox(db)
    await _add(db, anna.id, "a@example.test")
    await _add(db, anna.id, "@example.test")
    for address in ("A@example.test", "@EXAMPLE.test"):
        await db.write(lambda tx, address=address: addresses.delete_address(tx, address))
    with pytest.raises(NotFound):
        await db.write(lambda tx: addresses.delete_address(tx, "a@example.test"))
    with pytest.raises(CannotChange):
        await db.write(lambda tx: addresses.delete_address(tx, "anna@example.test"))


async def test_octets_that_no_database_holds_find_nothing_and_break_nothing(db: Database) -> None:
    anna = await make_inbox(db)
    for junk in ("a\udc80", "a\x00b", "\ud800"):
        assert await _resolve(db, f"{junk}@example.test") == UnknownLocal()
        assert await _resolve(db, f"anna@{junk}") == Remote()
        assert await db.read(lambda rx, junk=junk: inboxes.inbox_by_address(rx, f"{junk}@example.test")) is None
        assert await db.read(lambda rx, junk=junk: pods.pod_by_name(rx, junk)) is None
        assert await db.read(lambda rx, junk=junk: keys.key_by_key_id(rx, junk)) is None
        assert await db.read(lambda rx, junk=junk: queue_admin.submission_by_uuid(rx, junk)) is None
        assert await db.read(lambda rx, junk=junk: mailboxes.by_name(rx, anna.id, junk)) is None
        assert not await db.write(lambda tx, junk=junk: mailboxes.unsubscribe(tx, anna.id, junk))


async def test_the_row_by_which_mail_is_delivered(db: Database) -> None:
    """What people are shown agrees with where mail goes, also for an inbox that is being deleted."""
    anna, rest = [await make_inbox(db, f"{name}@example.test") for name in ("anna", "rest")]
    await _add(db, rest.id, "other@example.test")
    await _add(db, rest.id, "@example.test")
    await _add(db, rest.id, "out@elsewhere.test", "external")

    async def row(address: str) -> tuple[str, str] | None:
        found = await db.read(lambda rx: addresses.deliverable(rx, address))
        leads = await _resolve(db, address)
        assert (found is None) is not isinstance(leads, Local)
        assert found is None or leads == Local(found.inbox_id)
        return None if found is None else (found.address, found.kind.value)

    assert await row("Anna+tag@example.test") == ("anna@example.test", "primary")
    assert await row("other@example.test") == ("other@example.test", "alias")
    assert await row("any@example.test") == ("@example.test", "alias")
    assert await row("out@elsewhere.test") is None
    await db.write(lambda tx: inboxes.delete_inbox(tx, anna.id, NOW))
    assert await row("anna@example.test") is None
