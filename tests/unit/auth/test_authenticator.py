"""Logging in: who may, one answer for all that is wrong, the same work, the throttle, and races with revocation."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.auth import keys
from gateway.auth.authenticator import FAILED, Authenticator
from gateway.auth.cache import VerifiedSecrets
from gateway.auth.pool import HashPool
from gateway.auth.throttle import LoginThrottle, ThrottlePolicy
from gateway.model.errors import AuthenticationFailed, GatewayError, Throttled, Unavailable
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import Principal, ScopeKind
from tests.unit.auth.auth_fakes import ADDRESS, HASH, INBOX, KEY, OTHER, FakeClock, FakeDatabase, Rows

PEER = "192.0.2.1"
BAD_CHECKSUM = KEY.text[:-1] + ("0" if KEY.text[-1] != "0" else "1")
UNKNOWN_ID = keys.ApiKey("Zyxwvu9876", KEY.secret).text


class World:
    """An authenticator with everything around it countable."""

    def __init__(self, policy: ThrottlePolicy | None = None, threads: int = 2, waiting: int = 100) -> None:
        self.hashed: list[tuple[str, str]] = []
        self.rows = Rows()
        self.db = FakeDatabase()
        self.clock = FakeClock()
        self.cache = VerifiedSecrets()
        self.pool = HashPool(threads, waiting, verify=self.verify)
        self.throttle = LoginThrottle(policy)
        self.during_hash: Any = None
        self.authenticator = Authenticator(
            self.db, self.pool, self.throttle, self.clock, cache=self.cache, lookup=self.rows  # type: ignore[arg-type]
        )

    def verify(self, stored: str, secret: str) -> bool:
        self.hashed.append((stored, secret))
        if self.during_hash is not None:
            self.during_hash()
        return keys.verify_secret(stored, secret)

    async def login(self, user: str = ADDRESS, secret: str = KEY.text, peer: str = PEER) -> Principal:
        return await self.authenticator.authenticate(user, secret, peer)

    def refused(self, kind: type[GatewayError] = AuthenticationFailed, **login: str) -> GatewayError:
        with pytest.raises(kind) as caught:
            asyncio.run(self.login(**login))
        return caught.value


@pytest.fixture
def world():  # type: ignore[no-untyped-def]
    made = World()
    yield made
    made.pool.close()


def test_a_login(world: World) -> None:
    principal = asyncio.run(world.login())
    assert (principal.inbox_id, principal.inbox_address, principal.key_name) == (InboxId(7), ADDRESS, "laptop")
    assert (principal.scope, principal.pod_id) == (ScopeKind.INBOX, PodId(3))
    assert principal.may_send
    assert world.hashed == [(HASH, KEY.secret)]


def test_a_second_login_hashes_nothing_but_reads_the_state(world: World) -> None:
    asyncio.run(world.login())
    reads = world.db.reads
    asyncio.run(world.login())
    assert len(world.hashed) == 1
    assert world.db.reads == reads + 1


def test_blanks_around_pasted_credentials_are_ignored(world: World) -> None:
    assert asyncio.run(world.login(user=f" {ADDRESS} ", secret=f"{KEY.text}\r\n")).inbox_id == InboxId(7)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("scope", "pod", "inbox", "allowed"), [
    (ScopeKind.ALL, None, None, True),
    (ScopeKind.POD, 3, None, True),
    (ScopeKind.POD, 4, None, False),
    (ScopeKind.INBOX, 3, 7, True),
    (ScopeKind.INBOX, 3, 8, False),
])
def test_scope(world: World, scope: ScopeKind, pod: int | None, inbox: int | None, allowed: bool, cached: bool) -> None:
    world.rows.set_key(scope=scope, pod_id=pod, inbox_id=inbox)
    if cached:
        world.cache.add(KEY.secret, HASH)
    if allowed:
        assert asyncio.run(world.login()).pod_id == (None if scope is ScopeKind.ALL else 3)
    else:
        world.refused()


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize(("changes", "ahead", "allowed"), [
    ({"expires_at": 1_000_010}, 9, True),
    ({"expires_at": 1_000_010}, 10, False),
    ({"revoked_at": 1}, 0, False),
    ({"revoked_at": 2_000_000}, 0, False),
])
def test_expiry_and_revocation_are_read_each_time(
    world: World, changes: dict[str, int], ahead: int, allowed: bool, cached: bool
) -> None:
    if cached:
        asyncio.run(world.login())
    world.rows.set_key(**changes)
    world.clock.now += ahead
    if allowed:
        asyncio.run(world.login())
    else:
        world.refused()
        assert len(world.throttle) == 0, "a dead key is no guess"


def wrong_ways(world: World) -> dict[str, dict[str, str]]:
    return {
        "no key at all": {"secret": "password"},
        "bad checksum": {"secret": BAD_CHECKSUM},
        "unknown key": {"secret": UNKNOWN_ID},
        "wrong secret": {"secret": OTHER.text},
        "unknown address": {"user": "nobody@example.org"},
        "empty address": {"user": ""},
        "long address": {"user": "a" * 400 + "@example.org"},
        "NUL": {"user": "a\0b"},
        "both wrong": {"user": "nobody@example.org", "secret": OTHER.text},
    }


def test_one_answer_whatever_is_wrong(world: World) -> None:
    answers = {str(world.refused(**login)) for login in wrong_ways(world).values()}
    world.rows.set_key(revoked_at=1)
    answers.add(str(world.refused()))
    assert answers == {FAILED}
    assert len(wrong_ways(world)) + 1 == 10


def test_the_same_work_whether_or_not_the_address_exists(world: World) -> None:
    """Without the right secret, one hash is computed before address, scope, expiry or revocation matter."""
    work = {}
    for name, login, changes in [
        ("wrong secret", {}, {}),
        ("wrong secret, unknown address", {"user": "nobody@example.org"}, {}),
        ("wrong secret, revoked", {}, {"revoked_at": 1}),
        ("wrong secret, expired", {}, {"expires_at": 1}),
        ("wrong secret, other inbox", {}, {"inbox_id": 99}),
    ]:
        fresh = World()
        fresh.rows.set_key(**changes)
        fresh.refused(secret=OTHER.text, **login)
        work[name] = (len(fresh.hashed), fresh.db.reads)
        fresh.pool.close()
    assert set(work.values()) == {(1, 1)}


def test_nothing_is_hashed_for_a_bad_checksum_or_an_unknown_id(world: World) -> None:
    world.refused(secret=BAD_CHECKSUM)
    assert (world.hashed, world.db.reads) == ([], 0)
    world.refused(secret=UNKNOWN_ID)
    assert (world.hashed, world.db.reads) == ([], 1)


def test_a_key_made_again_under_the_same_id_is_hashed_again(world: World) -> None:
    asyncio.run(world.login())
    world.rows.set_key(hash=keys.hash_secret(OTHER.secret))
    world.refused()
    assert len(world.hashed) == 2


def test_failures_close_the_source_and_only_it(world: World) -> None:
    for _ in range(10):
        world.refused(secret=OTHER.text)
    hashed = len(world.hashed)
    error = world.refused(Throttled, secret=OTHER.text)
    assert "try again in 60 seconds" in str(error)
    world.refused(Throttled)
    assert len(world.hashed) == hashed, "a closed source costs no hashing"
    assert asyncio.run(world.login(peer="192.0.2.2")).inbox_id == InboxId(7), "the key's owner elsewhere is let in"
    world.clock.now += 61
    assert asyncio.run(world.login()).inbox_id == InboxId(7)


def test_a_cached_good_key_is_never_delayed(world: World) -> None:
    asyncio.run(world.login())
    for _ in range(10):
        world.refused(secret=OTHER.text)
    world.refused(Throttled, secret=OTHER.text)
    assert asyncio.run(world.login()).inbox_id == InboxId(7)


def test_every_kind_of_guess_counts(world: World) -> None:
    for login in wrong_ways(world).values():
        before = world.throttle._sources.get(PEER)
        count = before.day_count if before else 0
        world.refused(**login)
        assert world.throttle._sources[PEER].day_count == count + 1, login


def test_a_burst_is_throttled_within_itself() -> None:
    world = World(ThrottlePolicy(per_minute=3), threads=1)

    async def burst() -> list[Any]:
        return await asyncio.gather(*(world.login(secret=OTHER.text) for _ in range(20)), return_exceptions=True)

    kinds = [type(result) for result in asyncio.run(burst())]
    world.pool.close()
    assert kinds.count(AuthenticationFailed) == 3
    assert kinds.count(Throttled) == 17
    assert len(world.hashed) == 3


def test_a_full_queue_is_our_outage() -> None:
    world = World(threads=1, waiting=2)

    async def burst() -> list[Any]:
        return await asyncio.gather(*(world.login() for _ in range(10)), return_exceptions=True)

    results = asyncio.run(burst())
    world.pool.close()
    assert sum(isinstance(result, Principal) for result in results) >= 2
    assert sum(isinstance(result, Unavailable) for result in results) >= 1
    assert not any(isinstance(result, AuthenticationFailed) for result in results)
    assert world.pool.waiting == 0


def test_a_cancelled_login_gives_its_place_back() -> None:
    world = World(threads=1, waiting=3)

    async def run() -> Principal:
        tasks = [asyncio.create_task(world.login()) for _ in range(3)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert world.pool.waiting == 0
        return await world.login()

    assert asyncio.run(run()).inbox_id == InboxId(7)
    world.pool.close()


def test_a_key_revoked_while_it_is_hashed_is_refused(world: World) -> None:
    world.during_hash = lambda: world.rows.set_key(revoked_at=1)
    world.refused()


def test_an_inbox_deleted_while_a_key_is_hashed_is_refused(world: World) -> None:
    def delete() -> None:
        world.rows.inbox = None

    world.during_hash = delete
    world.refused()
    world.rows.inbox = INBOX
    world.during_hash = None
    assert asyncio.run(world.login()).inbox_id == INBOX.id


def test_an_outage_of_the_store_is_no_refusal(world: World) -> None:
    world.db.failure = Unavailable("The database is away")
    world.refused(Unavailable)
    assert len(world.throttle) == 0


def test_the_log_of_a_failure_holds_no_secret(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.refused(secret=OTHER.text)
    world.refused(secret="hunter2-canary")
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert "wrong_secret" in text
    assert OTHER.secret not in text
    assert "canary" not in text
