"""Connectors as people make, find, change and switch them."""

from __future__ import annotations

import pytest

from gateway.model.errors import AlreadyExists, CannotChange, InvalidName, InvalidRequest, NotFound
from gateway.model.ids import PodId
from gateway.store import addresses, inboxes, pods
from gateway.store.addresses import AddressKind
from gateway.store.connectors import accounts, lease, state
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.rows import Ambiguous, Changed, ConnectorId, ConnectorRow, ConnectorState, LeaseLost
from gateway.store.db import Database, Tx, Wake, WakeKind
from tests.store.helpers import DOMAIN, NOW, make_inbox, until

from .kit import ACCOUNT, LIFE, NODE, make_account


async def create(db: Database, pod: PodId, name: str = "work", address: str = ACCOUNT, **facts: object) -> ConnectorRow:
    new = NewConnector(pod, name, address, **facts)  # type: ignore[arg-type]
    return await db.write(lambda tx: accounts.create(tx, new, now=NOW))


async def test_a_connector_gives_its_inbox_the_address_of_the_account(db: Database) -> None:
    woken: list[Wake] = []
    db.subscribe(woken.append)
    inbox = await make_inbox(db)
    row = await create(
        db, inbox.pod_id, " work ", "Anna@Elsewhere.TEST", inbox_id=inbox.id, provider="custom", mode="two-way",
        interval_s=300, options='{"imap": {}}', imap_secret=b"\x00sealed", grant_id=4,
    )  # fmt: skip
    assert (row.name, row.address, row.mode, row.state) == ("work", ACCOUNT, "two-way", ConnectorState.NEW)
    assert (row.imap_secret, row.smtp_secret, row.grant_id, row.options) == (b"\x00sealed", None, 4, '{"imap": {}}')
    assert (row.enabled, row.version, row.interval_s, row.epoch) == (True, 1, 300, 0)
    found = await db.read(lambda rx: addresses.addresses(rx, inbox.id))
    assert [(each.address, each.kind) for each in found] == [
        (inbox.address, AddressKind.PRIMARY), (ACCOUNT, AddressKind.EXTERNAL),
    ]  # fmt: skip
    await until(lambda: Wake(WakeKind.CONNECTOR, inbox.id) in woken)


async def test_an_inbox_is_made_where_none_is_given(db: Database) -> None:
    pod = (await make_inbox(db)).pod_id
    taken = await create(db, pod)  # anna@ is the pod's already
    fresh = await create(db, pod, "two", "bob@elsewhere.test")
    named = await create(db, pod, "three", "c@elsewhere.test", inbox_address=f"carl@{DOMAIN}")

    async def primary(row: ConnectorRow) -> str:
        found = await db.read(lambda rx: inboxes.inbox_by_id(rx, row.inbox_id))
        assert found is not None
        return found.address

    assert await primary(taken) == f"anna.elsewhere.test@{DOMAIN}"
    assert await primary(fresh) == f"bob@{DOMAIN}"
    assert await primary(named) == f"carl@{DOMAIN}"


async def test_a_long_local_part_still_gets_an_inbox(db: Database) -> None:
    pod = (await make_inbox(db)).pod_id
    long = "x" * 64
    await create(db, pod, "one", f"{long}@elsewhere.test")
    again = await create(db, pod, "two", f"{long}@other.test")
    third = await create(db, pod, "three", f"{long}@a.other.test")
    assert len({again.inbox_id, third.inbox_id}) == 2


async def test_a_pod_without_a_domain_makes_no_inbox(db: Database) -> None:
    pod = await db.write(lambda tx: pods.create_pod(tx, "empty", now=NOW))
    with pytest.raises(NotFound):
        await create(db, pod.id)
    with pytest.raises(NotFound):
        await create(db, PodId(pod.id + 1000))
    assert await db.read(lambda rx: inboxes.inboxes(rx, pod.id)) == []


async def test_what_a_connector_cannot_be(db: Database) -> None:
    inbox = await make_inbox(db)
    other = await make_inbox(db, f"bob@{DOMAIN}")
    await create(db, inbox.pod_id, inbox_id=inbox.id)
    with pytest.raises(AlreadyExists):
        await create(db, inbox.pod_id, address="x@elsewhere.test", inbox_id=inbox.id)
    with pytest.raises(AlreadyExists):  # the account is sent from by another inbox
        await create(db, inbox.pod_id, "two", inbox_id=other.id)
    with pytest.raises(CannotChange):
        await create(db, inbox.pod_id, "three", f"nobody@{DOMAIN}", inbox_id=other.id)
    with pytest.raises(InvalidName):
        await create(db, inbox.pod_id, "four", "no address", inbox_id=other.id)
    with pytest.raises(InvalidName):
        await create(db, inbox.pod_id, "a\nb", "y@elsewhere.test", inbox_id=other.id)
    with pytest.raises(InvalidRequest):
        await create(db, inbox.pod_id, "five", "y@elsewhere.test", inbox_id=other.id, mode="push")
    with pytest.raises(NotFound):
        await create(db, PodId(inbox.pod_id + 9), "six", "y@elsewhere.test", inbox_id=other.id)
    assert len(await db.read(accounts.page)) == 1
    assert len(await db.read(lambda rx: addresses.addresses(rx, other.id))) == 1


async def test_the_inboxs_own_address_may_be_an_account_too(db: Database) -> None:
    inbox = await make_inbox(db)
    row = await create(db, inbox.pod_id, address=inbox.address, inbox_id=inbox.id, mode="import")
    assert len(await db.read(lambda rx: addresses.addresses(rx, inbox.id))) == 1
    assert await db.read(lambda rx: accounts.page(rx, inbox_id=inbox.id)) == [row]


async def test_finding_one(db: Database) -> None:
    inbox = await make_inbox(db)
    row = await create(db, inbox.pod_id, inbox_id=inbox.id)
    pod = await db.write(lambda tx: pods.create_pod(tx, "second", now=NOW))
    await db.write(lambda tx: pods.create_domain(tx, pod.id, "second.test", now=NOW))
    other = await create(db, pod.id, "work", "else@elsewhere.test")
    for word in (row.uuid, row.uuid.upper(), ACCOUNT, ACCOUNT.upper()):
        assert await db.read(lambda rx, word=word: accounts.find(rx, word)) == row
    with pytest.raises(Ambiguous):
        await db.read(lambda rx: accounts.find(rx, "work"))
    assert await db.read(lambda rx: accounts.find(rx, "work", pod.id)) == other
    for word in ("nothing", "\x00", row.uuid, ACCOUNT):
        with pytest.raises(NotFound):
            await db.read(lambda rx, word=word: accounts.find(rx, word, pod.id))


async def test_an_address_of_two_connectors_is_ambiguous(db: Database) -> None:
    inbox = await make_inbox(db)
    await create(db, inbox.pod_id, "one", inbox_id=inbox.id)
    await create(db, inbox.pod_id, "two", inbox_id=inbox.id)
    with pytest.raises(Ambiguous):
        await db.read(lambda rx: accounts.find(rx, ACCOUNT))


async def test_pages(db: Database) -> None:
    inbox = await make_inbox(db)
    other = await make_inbox(db, f"bob@{DOMAIN}")
    rows = [await create(db, inbox.pod_id, f"c{n}", f"c{n}@elsewhere.test", inbox_id=inbox.id) for n in range(3)]
    rows.append(await create(db, inbox.pod_id, "last", "last@elsewhere.test", inbox_id=other.id))
    first = await db.read(lambda rx: accounts.page(rx, limit=2))
    rest = await db.read(lambda rx: accounts.page(rx, pod_id=inbox.pod_id, after=first[-1].id))
    assert [*first, *rest] == rows
    assert await db.read(lambda rx: accounts.page(rx, inbox_id=other.id)) == rows[3:]
    assert await db.read(lambda rx: accounts.page(rx, pod_id=PodId(77))) == []


async def test_a_change_names_the_version_it_saw_and_ends_the_lease(db: Database) -> None:
    account = await make_account(db)
    row = account.row
    await account.write(
        lambda tx: state.failed(
            tx, account.claim, ConnectorState.AUTH_FAILED, "auth_rejected", "no", not_before=NOW + 999, now=NOW
        )
    )
    changed = await db.write(
        lambda tx: accounts.change(tx, row.id, row.version, {"name": "home", "imap_secret": b"new"}, now=NOW + 1)
    )
    assert (changed.name, changed.imap_secret, changed.version) == ("home", b"new", 2)
    assert (changed.state, changed.failures, changed.not_before, changed.failure, changed.reason) == (
        ConnectorState.NEW, 0, 0, None, None,
    )  # fmt: skip
    assert (changed.provider, changed.mode, changed.options) == (row.provider, row.mode, row.options)
    with pytest.raises(Changed):
        await db.write(lambda tx: accounts.change(tx, row.id, row.version, {"name": "x"}, now=NOW))
    with pytest.raises(InvalidRequest):
        await db.write(lambda tx: accounts.change(tx, row.id, 2, {"uuid": "x"}, now=NOW))
    with pytest.raises(NotFound):
        await db.write(lambda tx: accounts.change(tx, ConnectorId(row.id + 9), 2, {}, now=NOW))
    with pytest.raises(LeaseLost):
        await account.write(lambda tx: lease.fence(tx, account.claim, NOW))


async def test_a_name_that_is_taken_is_refused(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await create(db, inbox.pod_id, "one", inbox_id=inbox.id)
    await create(db, inbox.pod_id, "two", inbox_id=inbox.id)
    with pytest.raises(AlreadyExists):
        await db.write(lambda tx: accounts.change(tx, one.id, 1, {"name": "two"}, now=NOW))


async def test_off_and_on(db: Database) -> None:
    account = await make_account(db)

    def switch(enabled: bool) -> object:
        return account.write(lambda tx: accounts.set_enabled(tx, account.row.id, enabled, now=NOW))

    off = await switch(False)  # type: ignore[misc]
    assert (off.enabled, off.version, off.node_id) == (False, 2, None)
    with pytest.raises(LeaseLost):
        await account.write(lambda tx: lease.fence(tx, account.claim, NOW))
    assert await db.write(lambda tx: lease.claim(tx, NODE, LIFE, 9, NOW)) == []
    assert await switch(False) == off  # type: ignore[misc]
    on = await switch(True)  # type: ignore[misc]
    assert (on.enabled, on.version) == (True, 3)
    taken = await db.write(lambda tx: lease.claim(tx, NODE, LIFE, 9, NOW))
    assert [each.connector_id for each in taken] == [account.row.id]


async def test_asking_for_a_sync_makes_it_due(db: Database) -> None:
    account = await make_account(db)
    await account.write(
        lambda tx: state.failed(tx, account.claim, ConnectorState.BACKOFF, "timeout", "x", not_before=NOW + 60, now=NOW)
    )
    await account.write(lambda tx: lease.release(tx, account.claim, not_before=NOW + 60))
    assert await db.read(lambda rx: lease.next_due(rx, NOW)) == NOW + 60
    assert await db.write(lambda tx: lease.claim(tx, NODE, LIFE, 9, NOW)) == []
    await db.write(lambda tx: accounts.ask_sync(tx, account.row.id, now=NOW + 5))
    assert (await db.read(lambda rx: accounts.get(rx, account.row.id))).sync_asked_at == NOW + 5
    assert len(await db.write(lambda tx: lease.claim(tx, NODE, LIFE, 9, NOW + 5))) == 1


async def test_states_are_what_the_worker_says(db: Database) -> None:
    account = await make_account(db)

    async def now_is() -> ConnectorRow:
        return await db.read(lambda rx: accounts.get(rx, account.row.id))

    def fail(tx: Tx, now: int) -> int:
        return state.failed(
            tx, account.claim, ConnectorState.BACKOFF, "refused", "x\x00" + "y" * 900, not_before=now + 9, now=now
        )

    await account.write(lambda tx: state.began(tx, account.claim, now=NOW + 1))
    row = await now_is()
    assert (row.state, row.last_sync_at, row.state_since) == (ConnectorState.SYNCING, NOW + 1, NOW + 1)
    assert await account.write(lambda tx: fail(tx, NOW + 2)) == 1
    assert await account.write(lambda tx: fail(tx, NOW + 3)) == 2
    row = await now_is()
    assert (row.state_since, row.failure, row.not_before) == (NOW + 2, "refused", NOW + 12)
    assert row.reason is not None
    assert len(row.reason) == state.MAX_REASON
    await account.write(
        lambda tx: state.said(tx, account.claim, ConnectorState.CONFIRM, reason="900 of 1000 vanished", now=NOW + 4)
    )
    assert (await now_is()).failures == 2
    await account.write(lambda tx: state.succeeded(tx, account.claim, ConnectorState.LIVE, now=NOW + 5))
    row = await now_is()
    assert (row.state, row.failures, row.failure, row.reason, row.last_success_at, row.not_before) == (
        ConnectorState.LIVE, 0, None, None, NOW + 5, 0,
    )  # fmt: skip
    assert row.enabled


async def test_an_import_that_is_done_switches_itself_off(db: Database) -> None:
    account = await make_account(db, mode="import")
    await account.write(lambda tx: state.succeeded(tx, account.claim, ConnectorState.DONE, now=NOW))
    row = await db.read(lambda rx: accounts.get(rx, account.row.id))
    assert (row.enabled, row.state) == (False, ConnectorState.DONE)


async def test_versions_tell_what_to_read_anew(db: Database) -> None:
    inbox = await make_inbox(db)
    one, two, off = [
        await create(db, inbox.pod_id, name, f"{name}@elsewhere.test", inbox_id=inbox.id, enabled=name != "off")
        for name in ("one", "two", "off")
    ]
    before = await db.read(accounts.versions)
    assert before.keys() == {one.id, two.id, off.id}
    rows = await db.read(lambda rx: accounts.some(rx, [two.id, off.id, ConnectorId(99)]))
    assert {row.name for row in rows} == {"two", "off"}
    await db.write(lambda tx: accounts.set_enabled(tx, off.id, True, now=NOW))
    await db.write(lambda tx: accounts.change(tx, two.id, two.version, {"options": '{"imap": {}}'}, now=NOW))
    after = await db.read(accounts.versions)
    assert after.keys() == before.keys()
    assert [number for number in before if after[number] != before[number]] == [two.id, off.id]
