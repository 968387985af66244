"""SCRAM logins: which key a proof belongs to, the same work for all that is wrong, and the throttle."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.auth import exchange, proofs
from gateway.auth.authenticator import FAILED, Authenticator
from gateway.auth.keys import ApiKey
from gateway.auth.pool import HashPool
from gateway.auth.throttle import LoginThrottle
from gateway.model.errors import AuthenticationFailed, GatewayError, Throttled, Unavailable
from gateway.model.ids import InboxId
from gateway.model.permissions import Principal
from gateway.store import keys
from gateway.wire import sasl_client
from gateway.wire.scram import ITERATIONS, Parameters, Proof, derive
from tests.unit.auth.auth_fakes import ADDRESS, KEY, OTHER, PRINCIPAL, FakeClock, FakeDatabase, Rows

PEER = "192.0.2.1"
PARAMETERS = Parameters(b"sixteen octets!!", ITERATIONS)
VERIFIER = derive(KEY.text, PARAMETERS).text
SECOND = ApiKey("Second0123", "0123456789abcdefghijABCDEFGH")


class World:
    """An authenticator with the verifiers of some inboxes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keys, "scram_salt", lambda rx: PARAMETERS.salt)
        self.rows = Rows()
        self.db = FakeDatabase()
        self.clock = FakeClock()
        self.pool = HashPool(1, 10)
        self.throttle = LoginThrottle()
        self.verifiers: dict[str, list[tuple[str, str]]] = {ADDRESS: [(KEY.key_id, VERIFIER)]}
        self.authenticator = Authenticator(
            self.db, self.pool, self.throttle, self.clock, lookup=self.rows,  # type: ignore[arg-type]
            verifiers=lambda rx, user: self.verifiers.get(user.lower(), []),
        )

    @property
    def failures(self) -> int:
        found = self.throttle._sources.get(PEER)
        return found.day_count if found is not None else 0

    async def login(
        self, user: str = ADDRESS, secret: str = KEY.text, peer: str = PEER, mechanism: str = "SCRAM-SHA-256",
        channel: NoTls | None = None, **more: Any,
    ) -> Principal | None:
        """A whole exchange; the client has checked what the server proves."""
        client = sasl_client.scram_sha_256(user, secret, b"nonce", **more)
        initial = next(client)

        async def ask(challenge: bytes) -> bytes | None:
            return client.send(challenge)

        return await exchange.log_in(mechanism, initial, ask, self.authenticator, peer, channel or NoTls())

    def refused(self, kind: type[GatewayError] = AuthenticationFailed, **login: Any) -> GatewayError:
        with pytest.raises(kind) as caught:
            asyncio.run(self.login(**login))
        return caught.value


class NoTls:
    can_bind = False

    def channel_binding(self, kind: str) -> bytes | None:
        return None


class Tls(NoTls):
    can_bind = True

    def channel_binding(self, kind: str) -> bytes | None:
        return b"bound" if kind == "tls-exporter" else None


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch)
    yield made
    made.pool.close()


def test_a_login(world: World) -> None:
    assert asyncio.run(world.login()) == PRINCIPAL
    assert asyncio.run(world.login(user=ADDRESS.upper())) == PRINCIPAL
    assert world.failures == 0


def test_the_proof_finds_its_key_among_many(world: World) -> None:
    quick = replace(PARAMETERS, iterations=1)
    others = [(f"other{number:05}", derive(str(number), quick).text) for number in range(70)]
    foreign = (SECOND.key_id, derive(KEY.text, replace(PARAMETERS, salt=b"another")).text)
    damaged = [("damaged000", "?"), ("damaged001", VERIFIER[:-50]), ("damaged002", PARAMETERS.text + "\xe9" * 89)]
    world.verifiers[ADDRESS] = [*others, *damaged, foreign, (KEY.key_id, VERIFIER)]
    assert asyncio.run(world.login()) == PRINCIPAL
    world.verifiers[ADDRESS].pop()
    world.refused()


def test_a_key_of_before_scram_has_no_verifier(world: World) -> None:
    world.verifiers[ADDRESS] = []
    world.refused()
    assert world.failures == 1


def wrong_ways() -> dict[str, dict[str, Any]]:
    return {
        "wrong secret": {"secret": OTHER.text},
        "unknown address": {"user": "nobody@example.org"},
        "long address": {"user": "a" * 400 + "@example.org"},
        "other identity": {"identity": "nobody@example.org"},
        "binding that is not there": {"binding": ("tls-exporter", b"bound")},
        "binding of another connection": {
            "mechanism": "SCRAM-SHA-256-PLUS", "channel": Tls(), "binding": ("tls-exporter", b"other"),
        },
        "downgraded": {"can_bind": True, "channel": Tls()},
    }


def test_one_answer_and_one_count_whatever_is_wrong(world: World) -> None:
    for number, login in enumerate(wrong_ways().values(), 1):
        assert str(world.refused(**login)) == FAILED
        assert world.failures == number


def test_the_same_work_whether_or_not_the_address_has_keys(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    fits = Proof.fits

    def counted(proof: Proof, stored_key: bytes) -> bool:
        tried.append(stored_key)
        return fits(proof, stored_key)

    monkeypatch.setattr(Proof, "fits", counted)
    world.verifiers["many@example.org"] = [("x" * 10, VERIFIER)] * (proofs.ROUND - 1)
    work = set()
    asyncio.run(world.authenticator.scram_parameters())
    for login in (*wrong_ways().values(), {"user": "many@example.org", "secret": OTHER.text}):
        before, reads = len(tried), world.db.reads
        world.clock.now += 61
        world.refused(**login)
        work.add((len(tried) - before, world.db.reads - reads))
    assert work == {(proofs.ROUND, 1)}


def test_everybody_is_told_the_same_salt(world: World) -> None:
    async def told(user: str) -> bytes:
        seen: list[bytes] = []

        async def ask(challenge: bytes) -> bytes | None:
            seen.append(challenge)
            return None

        first = next(sasl_client.scram_sha_256(user, "x", b"nonce"))
        none = await exchange.log_in("SCRAM-SHA-256", first, ask, world.authenticator, PEER, NoTls())
        assert none is None, "cancelled"
        return seen[0].partition(b",")[2]

    assert asyncio.run(told(ADDRESS)) == asyncio.run(told("nobody@example.org"))
    assert world.failures == 0


def test_a_dead_key_is_no_guess(world: World) -> None:
    world.rows.set_key(revoked_at=1)
    assert str(world.refused()) == FAILED
    assert world.failures == 0


def test_failures_close_the_source_for_all_but_proven_keys(world: World) -> None:
    for _ in range(10):
        world.refused(secret=OTHER.text)
    world.refused(Throttled)
    world.refused(Throttled, secret=OTHER.text)
    assert world.failures == 10, "what is not looked at is not counted"
    assert asyncio.run(world.login(peer="192.0.2.2")) == PRINCIPAL
    assert asyncio.run(world.login()) == PRINCIPAL, "proven elsewhere"
    world.refused(Throttled, secret=OTHER.text)


def test_a_burst_is_throttled_within_itself(world: World) -> None:
    async def burst() -> list[Any]:
        return await asyncio.gather(*(world.login(secret=OTHER.text) for _ in range(20)), return_exceptions=True)

    kinds = [type(result) for result in asyncio.run(burst())]
    assert kinds.count(AuthenticationFailed) == 10
    assert kinds.count(Throttled) == 10


def test_binding(world: World) -> None:
    plus = {"mechanism": "SCRAM-SHA-256-PLUS", "binding": ("tls-exporter", b"bound")}
    assert asyncio.run(world.login(channel=Tls(), **plus)) == PRINCIPAL
    with pytest.raises(exchange.UnknownMechanism):
        asyncio.run(world.login(**plus))


def test_our_outage_is_no_refusal(world: World) -> None:
    world.db.failure = Unavailable("away")
    world.refused(Unavailable)
    assert world.failures == 0


def test_who_cancels_after_the_error_has_failed(world: World) -> None:
    async def cancel(challenge: bytes) -> bytes | None:
        return None

    async def run(message: bytes) -> Principal | None:
        return await exchange.log_in("OAUTHBEARER", message, cancel, world.authenticator, PEER, NoTls())

    with pytest.raises(AuthenticationFailed):
        asyncio.run(run(b"n,a=%b,\x01auth=Bearer x\x01\x01" % ADDRESS.encode()))
    good = asyncio.run(run(b"n,a=%b,\x01auth=Bearer %b\x01\x01" % (ADDRESS.encode(), KEY.text.encode())))
    assert good is not None
    assert good.inbox_id == InboxId(7)


def test_who_cancels_instead_of_believing_the_server_is_not_logged_in(world: World) -> None:
    client = sasl_client.scram_sha_256(ADDRESS, KEY.text, b"nonce")
    initial = next(client)
    seen: list[bytes] = []

    async def ask(challenge: bytes) -> bytes | None:
        seen.append(challenge)
        return None if challenge.startswith(b"v=") else client.send(challenge)

    found = asyncio.run(exchange.log_in("SCRAM-SHA-256", initial, ask, world.authenticator, PEER, NoTls()))
    assert found is None
    assert len(seen) == 2
