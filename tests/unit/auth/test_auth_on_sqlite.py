"""The whole of `auth` on a real SQLite store: issue, log in, last use, revoke, delete."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.auth import exchange
from gateway.auth.authenticator import Authenticator
from gateway.auth.issue import IssuedKey, KeySpec, draw, insert
from gateway.auth.last_used import LastUsed
from gateway.auth.lookup import Refusal
from gateway.auth.pool import HashPool
from gateway.auth.sessions import REASONS, LiveSessions
from gateway.auth.throttle import LoginThrottle
from gateway.model.errors import AuthenticationFailed, InvalidRequest, NoPermission, NotFound, Unavailable
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind, expand
from gateway.store import inboxes, keys, pods
from gateway.store.db import Database, open_database
from gateway.store.migrate import migrate
from gateway.wire import sasl_client

NOW = int(time.time())


async def create_key(db: Database, spec: KeySpec, now: int) -> IssuedKey:
    drawn = await draw(db)
    return await db.write(lambda tx: insert(tx, spec, drawn, now))


class Gateway:
    def __init__(self, db: Database) -> None:
        self.db = db
        self.pool = HashPool()
        self.last_used = LastUsed(db)
        self.authenticator = Authenticator(db, self.pool, LoginThrottle(), time.time, last_used=self.last_used)
        self.sessions = LiveSessions(db, time.time)
        self.sessions.start()
        self.ended: list[str] = []
        self.one_more = asyncio.Semaphore(0)

    def end(self, reason: str) -> None:
        self.ended.append(reason)
        self.one_more.release()

    async def fill(self) -> tuple[PodId, InboxId, InboxId]:
        def unit(tx):  # type: ignore[no-untyped-def]
            pod = pods.create_pod(tx, "one")
            pods.create_domain(tx, pod.id, "example.org")
            first = inboxes.create_inbox(tx, pod.id, "a@example.org", now=NOW)
            return pod.id, first.id, inboxes.create_inbox(tx, pod.id, "b@example.org", now=NOW).id

        return await self.db.write(unit)

    async def refused(self, user: str, text: str) -> bool:
        try:
            await self.authenticator.authenticate(user, text, "192.0.2.1")
        except AuthenticationFailed:
            return True
        return False

    async def ends(self, count: int) -> None:
        async with asyncio.timeout(10):
            for _ in range(count):
                await self.one_more.acquire()


def on_store(tmp_path: Path, test: Callable[[Gateway], Awaitable[None]]) -> None:
    async def run() -> None:
        url = f"sqlite:///{tmp_path}/gateway.db"
        await migrate(url)
        db = open_database(url)
        await db.start()
        gateway = Gateway(db)
        try:
            await test(gateway)
        finally:
            await gateway.sessions.close()
            gateway.pool.close()
            await db.close()

    asyncio.run(run())


def spec(scope: ScopeKind, **more):  # type: ignore[no-untyped-def]
    return KeySpec("test", scope, expand(("read", "send")), **more)


def test_keys_of_each_scope_open_what_they_should(tmp_path: Path) -> None:
    async def test(gateway: Gateway) -> None:
        pod, first, _second = await gateway.fill()
        everything = await create_key(gateway.db, spec(ScopeKind.ALL), NOW)
        of_pod = await create_key(gateway.db, spec(ScopeKind.POD, pod_id=pod), NOW)
        of_inbox = await create_key(gateway.db, spec(ScopeKind.INBOX, inbox_id=first), NOW)
        for issued in (everything, of_pod, of_inbox):
            principal = await gateway.authenticator.authenticate("A@Example.org", issued.text, "192.0.2.1")
            assert principal.inbox_id == first
            assert principal.permissions == expand(("read", "send"))
            assert issued.text not in repr(issued)
            assert issued.text[13:41] not in issued.row.hash
        assert not await gateway.refused("b@example.org", everything.text)
        assert not await gateway.refused("b@example.org", of_pod.text)
        assert await gateway.refused("b@example.org", of_inbox.text)
        assert await gateway.refused("c@example.org", everything.text)
        assert await gateway.refused("no address", everything.text)

    on_store(tmp_path, test)


def test_a_proof_finds_the_key_among_those_that_open_the_inbox(tmp_path: Path) -> None:
    async def test(gateway: Gateway) -> None:
        pod, first, _second = await gateway.fill()
        issued = {
            name: await create_key(gateway.db, replace(wanted, name=name), NOW)
            for name, wanted in {
                "everything": spec(ScopeKind.ALL),
                "pod": spec(ScopeKind.POD, pod_id=pod),
                "inbox": spec(ScopeKind.INBOX, inbox_id=first),
                "second of the inbox": spec(ScopeKind.INBOX, inbox_id=first),
            }.items()
        }

        async def name_of(user: str, secret: str) -> str:
            client = sasl_client.scram_sha_256(user, secret, b"nonce")

            async def ask(challenge: bytes) -> bytes | None:
                return client.send(challenge)

            principal = await exchange.log_in(
                "SCRAM-SHA-256", next(client), ask, gateway.authenticator, "192.0.2.1", Unbound()
            )
            return principal.key_name if principal is not None else ""

        for name, key in issued.items():
            assert await name_of("A@Example.org", key.text) == name
        assert await name_of("b@example.org", issued["pod"].text) == "pod"
        for user in ("b@example.org", "c@example.org", "no address"):
            with pytest.raises(AuthenticationFailed):
                await name_of(user, issued["inbox"].text)
        await gateway.db.write(lambda tx: keys.revoke(tx, issued["inbox"].row.id, NOW))
        with pytest.raises(AuthenticationFailed):
            await name_of("a@example.org", issued["inbox"].text)
        assert await name_of("a@example.org", issued["second of the inbox"].text) == "second of the inbox"

    on_store(tmp_path, test)


class Unbound:
    can_bind = False

    def channel_binding(self, kind: str) -> bytes | None:
        return None


def test_last_use_is_written_in_batches(tmp_path: Path) -> None:
    async def test(gateway: Gateway) -> None:
        _, first, _ = await gateway.fill()
        issued = await create_key(gateway.db, spec(ScopeKind.INBOX, inbox_id=first), NOW)
        for _ in range(3):
            await gateway.authenticator.authenticate("a@example.org", issued.text, "192.0.2.1")
        row = await gateway.db.read(lambda rx: keys.key_by_id(rx, issued.row.id))
        assert row is not None
        assert row.last_used_at is None
        await gateway.last_used.flush()
        row = await gateway.db.read(lambda rx: keys.key_by_id(rx, issued.row.id))
        assert row is not None
        assert row.last_used_at is not None
        assert row.last_used_at >= NOW
        await gateway.authenticator.authenticate("a@example.org", issued.text, "192.0.2.1")
        assert gateway.last_used._uses == {}, "once a minute is enough"

    on_store(tmp_path, test)


def test_an_outage_keeps_the_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(gateway: Gateway) -> None:
        _, first, _ = await gateway.fill()
        issued = await create_key(gateway.db, spec(ScopeKind.INBOX, inbox_id=first), NOW)
        gateway.last_used.note(issued.row, NOW + 5)

        async def away(*_args: object, **_more: object) -> None:
            raise Unavailable("The disk is full")

        with monkeypatch.context() as patched:
            patched.setattr(gateway.db, "write", away)
            await gateway.last_used.flush()
        assert gateway.last_used._uses == {issued.row.id: NOW + 5}
        await gateway.last_used.flush()
        row = await gateway.db.read(lambda rx: keys.key_by_id(rx, issued.row.id))
        assert row is not None
        assert row.last_used_at == NOW + 5

    on_store(tmp_path, test)


def test_revoking_and_deleting_end_live_sessions(tmp_path: Path) -> None:
    async def test(gateway: Gateway) -> None:
        pod, first, second = await gateway.fill()
        parent = await create_key(gateway.db, spec(ScopeKind.POD, pod_id=pod), NOW)
        child = await create_key(gateway.db, spec(ScopeKind.INBOX, inbox_id=first, parent=parent.row.id), NOW)
        other = await create_key(gateway.db, spec(ScopeKind.ALL), NOW)
        for user, issued in (("a@example.org", child), ("b@example.org", parent), ("b@example.org", other)):
            principal = await gateway.authenticator.authenticate(user, issued.text, "192.0.2.1")
            gateway.sessions.add(principal, gateway.end)
        await gateway.db.write(lambda tx: keys.revoke(tx, parent.row.id, NOW))
        await gateway.ends(2)
        assert gateway.ended == [REASONS[Refusal.REVOKED]] * 2, "a child's sessions end with its parent's"
        assert await gateway.refused("a@example.org", child.text)
        await gateway.db.write(lambda tx: inboxes.delete_inbox(tx, second, NOW), inboxes=(second,))
        await gateway.ends(1)
        assert gateway.ended[2] == REASONS[Refusal.UNKNOWN_INBOX]
        assert await gateway.refused("b@example.org", other.text)
        assert len(gateway.sessions) == 0

    on_store(tmp_path, test)


def test_a_key_cannot_exceed_its_parent(tmp_path: Path) -> None:
    async def test(gateway: Gateway) -> None:
        pod, first, second = await gateway.fill()
        parent = await create_key(gateway.db, spec(ScopeKind.INBOX, inbox_id=first, expires_at=NOW + 100), NOW)
        inside = {"inbox_id": first, "parent": parent.row.id, "expires_at": NOW + 100}
        await create_key(gateway.db, spec(ScopeKind.INBOX, **inside), NOW)
        for scope, changes in [
            (ScopeKind.INBOX, {"inbox_id": second}),
            (ScopeKind.INBOX, {"expires_at": NOW + 101}),
            (ScopeKind.INBOX, {"expires_at": None}),
            (ScopeKind.POD, {"inbox_id": None, "pod_id": pod}),
            (ScopeKind.ALL, {"inbox_id": None}),
        ]:
            with pytest.raises(NoPermission):
                await create_key(gateway.db, spec(scope, **(inside | changes)), NOW)
        with pytest.raises(NoPermission):
            await create_key(gateway.db, KeySpec("x", ScopeKind.INBOX, expand(["write"]), **inside), NOW)
        with pytest.raises(InvalidRequest):
            await create_key(gateway.db, KeySpec("x", ScopeKind.ALL, frozenset()), NOW)
        with pytest.raises(NotFound):
            await create_key(gateway.db, spec(ScopeKind.INBOX, inbox_id=InboxId(99)), NOW)

    on_store(tmp_path, test)
