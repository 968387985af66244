"""Access tokens: one refresh at a time, stored before it is used, and no error that ends a grant which lives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.model.errors import Unavailable
from gateway.oauth.apps import AppSpec
from gateway.oauth.errors import AppMisconfigured, OAuthError, ReauthRequired, Transient
from gateway.oauth.refreshing import TokenSettings
from gateway.outbound.failure import Failure, refuses_login
from gateway.outbound.http import HttpSettings
from gateway.outbound.tls import TlsPolicy
from gateway.store.connectors import grants, oauth_apps
from gateway.store.db import Database, StoreSettings, open_database
from gateway.store.statements import Stmt
from tests.support.oauth import Answer, FakeProvider
from tests.support.oauth.world import SCOPES, SETTINGS, Node, node

World = Callable[..., AbstractAsyncContextManager[Node]]


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    @asynccontextmanager
    async def make(**how: Any) -> AsyncIterator[Node]:
        key = tmp_path / "master.key"
        async with FakeProvider(tmp_path / "tls") as provider, node(db, provider, key, **how) as made:
            await made.app()
            yield made

    return make


@asynccontextmanager
async def another(made: Node, url: str, tmp_path: Path) -> AsyncIterator[Node]:
    """Another process on the same store: an engine of its own on PostgreSQL; SQLite has one writer only."""
    if made.db.dialect == "sqlite":
        async with node(made.db, made.provider, tmp_path / "master.key", clock=made.clock) as found:
            yield found
        return
    database = open_database(url, StoreSettings())
    await database.start()
    try:
        async with node(database, made.provider, tmp_path / "master.key", clock=made.clock) as found:
            yield found
    finally:
        await database.close()


async def test_a_token_is_kept_until_four_fifths_of_its_life(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        first = await made.token(row)
        made.clock.now += 0.79 * 3600
        assert await made.token(row) == first
        made.clock.now += 0.01 * 3600 + 1
        assert await made.token(row) == first, "it still lasts; the next one is asked for beside"
        await made.oauth.tokens.close()
        assert made.provider.refreshes == 1
        again = await made.row(row)
        assert again.refresh_at is not None
        assert 0.75 * 3600 - 1 <= again.refresh_at - made.clock.now <= 0.85 * 3600


async def test_one_refresh_for_many_tasks(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        made.clock.now += 3600
        made.provider.gate.clear()
        waiting = [asyncio.ensure_future(made.token(row)) for _ in range(50)]
        await made.provider.arrived.wait()
        waiting[0].cancel()  # who gives up ends nobody's refresh
        made.provider.gate.set()
        tokens = await asyncio.gather(*waiting[1:])
        assert {token.text for token in tokens} == {made.provider.issued[-1]}
        assert made.provider.refreshes == 1
        assert await made.refresh_token(row) in made.provider.refresh, "the rotated one is kept"


async def test_one_refresh_for_two_processes(
    world: World, url: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    async with world() as one, another(one, url, tmp_path) as two:
        rows = [await one.log_in() for _ in range(5)]
        one.clock.now += 3600
        one.provider.seen.clear()
        tokens = await asyncio.gather(*(made.token(row) for row in rows for made in (one, two)))
        assert one.provider.refreshes == 5
        assert {token.text for token in tokens} == set(one.provider.issued[-5:])
        for row in rows:
            assert await two.refresh_token(row) in one.provider.refresh


async def test_who_waits_uses_the_old_token_while_it_lasts(
    world: World, url: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    async with world() as one, another(one, url, tmp_path) as two:
        row = await one.log_in()
        first = await one.token(row)
        one.clock.now += 0.9 * 3600
        one.provider.gate.clear()
        one.provider.arrived.clear()
        refreshing = asyncio.ensure_future(one.oauth.tokens.token(row.id, lasting=3600))
        await one.provider.arrived.wait()
        assert await two.token(row) == first
        one.provider.gate.set()
        assert await refreshing != first
        one.clock.now += 2
        assert await two.oauth.tokens.token(row.id, lasting=3600) == await refreshing
        assert one.provider.refreshes == 1


async def test_a_process_that_died_while_it_asked(
    world: World, url: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    """Its claim ends by itself. The provider rotated: that login is lost, and the reason says why."""
    async with world() as one, another(one, url, tmp_path) as two:
        row = await one.log_in()
        one.clock.now += 3600
        one.provider.script.append(Answer(stall=True, after=True))  # rotated, and nobody hears of it
        one.provider.arrived.clear()
        dead = asyncio.ensure_future(one.oauth.tokens._refresher.obtain(row.id))
        await one.provider.arrived.wait()
        dead.cancel()
        waiting = asyncio.ensure_future(two.token(row))
        await asyncio.sleep(0.3)
        assert not waiting.done(), "somebody else asks, as far as anybody knows"
        one.clock.now += SETTINGS.lease + 1
        with pytest.raises(ReauthRequired):
            await waiting
        told = await one.row(row)
        assert told.status == grants.REAUTH_REQUIRED
        assert "cut off between the provider's answer and our storing it" in (told.last_error or "")
        assert told.refresh_sealed == row.refresh_sealed, "no error deletes a token"


async def test_a_provider_with_a_grace_period_survives_that_death(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        made.provider.rotates = False
        row = await made.log_in()
        made.clock.now += 3600
        made.provider.script.append(Answer(stall=True, after=True))
        made.provider.arrived.clear()
        dead = asyncio.ensure_future(made.oauth.tokens._refresher.obtain(row.id))
        await made.provider.arrived.wait()
        dead.cancel()
        made.clock.now += SETTINGS.lease + 1
        assert (await made.token(row)).text == made.provider.issued[-1]


class Sick:
    """A store that is away for some writes."""

    def __init__(self, db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times = 0
        self.failed = asyncio.Event()
        write = db.write

        async def failing(unit: Any, **how: Any) -> Any:
            if self.times:
                self.times -= 1
                self.failed.set()
                raise Unavailable("The disk is full")
            return await write(unit, **how)

        monkeypatch.setattr(db, "write", failing)


async def test_a_rotated_token_is_kept_while_the_store_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> None:
    async with world() as made:
        row = await made.log_in()
        sick = Sick(made.db, monkeypatch)
        made.oauth.tokens._refresher._sleep = lambda seconds: asyncio.sleep(0)
        made.clock.now += 3600
        made.provider.gate.clear()
        made.provider.arrived.clear()
        waiting = asyncio.ensure_future(made.token(row))
        await made.provider.arrived.wait()
        sick.times = 3
        made.provider.gate.set()
        await sick.failed.wait()
        assert not waiting.done(), "nobody uses what is not stored"
        assert (await waiting).text == made.provider.issued[-1]
        assert await made.refresh_token(row) in made.provider.refresh
        assert made.provider.refreshes == 1


async def test_a_store_that_is_away_before_keeps_the_token_from_rotating(
    world: World, monkeypatch: pytest.MonkeyPatch, runner: asyncio.Runner
) -> None:
    async with world() as made:
        row = await made.log_in()
        made.clock.now += 3600
        Sick(made.db, monkeypatch).times = 1
        with pytest.raises(Unavailable):
            await made.token(row)
        assert made.provider.refreshes == 0
        await made.token(row)


async def test_a_login_while_the_provider_answers_wins(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        made.clock.now += 3600
        hold = asyncio.Event()
        made.provider.script.append(Answer(400, {"error": "invalid_grant"}, hold=hold))
        made.provider.arrived.clear()
        waiting = asyncio.ensure_future(made.token(row))
        await made.provider.arrived.wait()
        again = await made.log_in(grant_id=row.id)
        hold.set()
        assert (await waiting).text == made.provider.issued[-1]
        told = await made.row(row)
        assert (told.status, told.last_error, told.version) == (grants.ACTIVE, None, again.version)
        assert made.provider.refreshes == 1, "the refusal was about tokens that are not there any more"


async def test_the_mail_server_refuses_a_token(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        refused = await made.token(row)
        await made.oauth.tokens.invalidate(row.id, refused)
        fresh = await made.token(row)
        assert fresh.text != refused.text
        await made.oauth.tokens.invalidate(row.id, refused)  # told late, of one that is not used any more
        assert await made.token(row) == fresh
        assert made.provider.refreshes == 1


REAUTH = [
    ("custom", 400, {"error": "invalid_grant"}, "log in again"),
    ("custom", 400, {"error": "consent_required"}, "log in again"),
    ("google", 400, {"error": "invalid_grant", "error_description": "Bad Request"}, '"Testing"'),
    ("microsoft", 400, {"error": "invalid_grant", "error_description": "AADSTS70043: …"}, "sign-in frequency"),
    ("microsoft", 400, {"error": "invalid_grant", "error_description": "AADSTS50076: …"}, "multi-factor"),
    ("microsoft", 400, {"error": "invalid_grant", "error_description": "AADSTS65001: …"}, "consent"),
    ("microsoft", 400, {"error": "invalid_grant", "error_description": "AADSTS700082: …"}, "90 days"),
    ("microsoft", 400, {"error": "interaction_required", "error_description": "AADSTS50999: …"}, "AADSTS50999"),
]  # fmt: skip
APP = [
    ("custom", 401, {"error": "invalid_client"}, "client id or its secret"),
    ("google", 401, {"error": "unauthorized_client"}, "Domain-wide delegation"),
    ("google", 400, {"error": "invalid_scope"}, "scopes"),
    ("microsoft", 401, {"error": "invalid_client", "error_description": "AADSTS7000222: …"}, "has expired"),
    ("microsoft", 400, {"error": "unauthorized_client", "error_description": "AADSTS700016: …"}, "and tenant"),
]  # fmt: skip
PASSING = [
    (Answer(429, b"slow down", {"Retry-After": "120"}), Failure.THROTTLED),
    (Answer(503, b"<html>outage</html>"), Failure.UNAVAILABLE),
    (Answer(500, {"error": "invalid_grant"}), Failure.UNAVAILABLE),
    (Answer(400, {"error": "temporarily_unavailable"}), Failure.UNAVAILABLE),
    (Answer(400, b"<html>a proxy's page</html>"), Failure.PROTOCOL),
    (Answer(400, {"error": "something_new"}), Failure.UNAVAILABLE),
    (Answer(400, {}), Failure.UNAVAILABLE),
    (Answer(403, []), Failure.PROTOCOL),
    (Answer(200, {"token_type": "Bearer"}), Failure.PROTOCOL),
    (Answer(200, {"access_token": "with blank", "token_type": "Bearer"}), Failure.PROTOCOL),
    (Answer(200, {"access_token": "x", "token_type": "mac"}), Failure.PROTOCOL),
    (Answer(200, b"[" * 200_000), Failure.PROTOCOL),
    (Answer(302, b"", {"Location": "http://169.254.169.254/latest/meta-data/"}), Failure.PROTOCOL),
    (Answer(307, b"", {"Location": "https://localhost/"}), Failure.PROTOCOL),
    (Answer(200, b"", chunks=100), Failure.PROTOCOL),
    (Answer(200, b"\x1f\x8b" + b"x" * 100, {"Content-Encoding": "gzip"}), Failure.PROTOCOL),
    (Answer(raw=b""), Failure.LOST),
    (Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"), Failure.LOST),
    (Answer(raw=b"220 mail.test ESMTP\r\n"), Failure.PROTOCOL),
    (Answer(raw=b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000), Failure.PROTOCOL),
    (Answer(stall=True), Failure.TIMEOUT),
]  # fmt: skip


async def as_provider(made: Node, name: str) -> None:
    """The application says from now on that it is of this provider, with our endpoints."""
    text = json.dumps(made.provider.endpoints if name != "custom" else {**made.provider.endpoints, **SCOPES})
    statement = "UPDATE oauth_app SET provider = :name, endpoints = :endpoints"
    await made.db.write(lambda tx: tx.run(Stmt(statement), name=name, endpoints=text))


@pytest.mark.parametrize(("name", "status", "body", "words"), REAUTH)
async def test_a_grant_that_is_over(
    world: World, runner: asyncio.Runner, name: str, status: int, body: Any, words: str
) -> None:
    async with world() as made:
        row = await made.log_in()
        await as_provider(made, name)
        made.clock.now += 3600
        made.provider.script.append(Answer(status, body))
        with pytest.raises(ReauthRequired, match=words) as caught:
            await made.token(row)
        assert refuses_login(caught.value.failure)
        with pytest.raises(ReauthRequired, match=words):
            await made.token(row)
        assert made.provider.refreshes == 1, "it is not asked again"
        told = await made.row(row)
        assert (told.status, told.refresh_sealed) == (grants.REAUTH_REQUIRED, row.refresh_sealed)
        made.clock.now += 86_400
        assert (await made.token(row)).text == made.provider.issued[-1], "once a day, for providers err too"
        assert (await made.row(row)).status == grants.ACTIVE


@pytest.mark.parametrize(("name", "status", "body", "words"), APP)
async def test_an_application_that_is_refused(
    world: World, runner: asyncio.Runner, name: str, status: int, body: Any, words: str
) -> None:
    async with world() as made:
        row, other = await made.log_in(), await made.log_in()
        await as_provider(made, name)
        made.clock.now += 3600
        made.provider.script.append(Answer(status, body))
        with pytest.raises(AppMisconfigured, match=words):
            await made.token(row)
        with pytest.raises(AppMisconfigured, match=words):
            await made.token(other)
        assert made.provider.refreshes == 1, "all its grants wait"
        for grant in (row, other):
            assert (await made.row(grant)).status == grants.ACTIVE, "and none of them has to be mended"
        made.clock.now += 301
        await asyncio.gather(made.token(row), made.token(other), return_exceptions=True)
        assert (await made.token(row)).text in made.provider.issued
        assert (await made.token(other)).text in made.provider.issued
        assert (await made.db.read(lambda rx: oauth_apps.named(rx, "app"))).status == "ok"


async def test_a_mended_application_works_at_once(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        made.provider.clients["client"] = "another-secret"
        made.clock.now += 3600
        with pytest.raises(AppMisconfigured) as caught:
            await made.token(row)
        assert "the-client-secret" not in str(caught.value), "the provider had echoed it"
        endpoints = {**made.provider.endpoints, **SCOPES}
        await made.oauth.apps.change("app", AppSpec("custom", "client", secret="another-secret", endpoints=endpoints))
        assert (await made.token(row)).text == made.provider.issued[-1]


@pytest.mark.parametrize(("answer", "failure"), PASSING)
async def test_what_passes(
    world: World, runner: asyncio.Runner, answer: Answer, failure: Failure
) -> None:
    settings = replace(SETTINGS, request=1.0) if answer.stall else SETTINGS
    async with world(settings=settings) as made:
        row = await made.log_in()
        made.clock.now += 3600
        made.provider.script.append(answer)
        with pytest.raises(Transient) as caught:
            await made.token(row)
        assert caught.value.failure == failure
        assert not refuses_login(failure)
        with pytest.raises(Transient) as caught:
            await made.token(row)
        wait = caught.value.retry_after
        assert wait is not None
        assert (wait > 100) == (answer.status == 429)
        assert made.provider.refreshes == 1, "not before it makes sense"
        assert [seen.path for seen in made.provider.seen] == ["/token", "/token"], "no redirect was followed"
        made.clock.now += wait + 1
        assert (await made.token(row)).text == made.provider.issued[-1]
        told = await made.row(row)
        assert (told.status, told.failures, told.last_error) == (grants.ACTIVE, 0, None)


async def test_an_outage_is_asked_about_less_and_less(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        made.clock.now += 3600
        waits = []
        for _ in range(12):
            made.provider.script.append(Answer(503, b""))
            with pytest.raises(Transient):
                await made.token(row)
            again = await made.row(row)
            waits.append(again.not_before - made.clock.now)
            made.clock.now = again.not_before + 1
        assert waits[0] <= 2
        assert all(150 <= wait <= 300 for wait in waits[-4:])
        await made.token(row)


@pytest.mark.parametrize("allow_private", [False, True])
async def test_a_token_endpoint_in_a_private_network(
    world: World, runner: asyncio.Runner, allow_private: bool
) -> None:
    async with world() as made:
        row = await made.log_in()
        made.clock.now += 3600
        closed = HttpSettings(allow_private=allow_private, tls=TlsPolicy(), total=5.0)  # the system's CAs only
        made.http._settings = closed
        with pytest.raises(Transient) as caught:
            await made.token(row)
        assert caught.value.failure == (Failure.TLS_VERIFY if allow_private else Failure.DENIED)
        assert made.provider.refreshes == 0


async def test_no_log_line_holds_a_secret(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        with structlog.testing.capture_logs() as lines:
            row = await made.log_in()
            secrets = ["the-client-secret", await made.refresh_token(row), *made.provider.issued]
            made.clock.now += 3600
            # This provider repeats the refresh token in its description.
            made.provider.revoke()
            with pytest.raises(ReauthRequired) as caught:
                await made.token(row)
        shown = json.dumps(lines, default=str) + str(caught.value) + str((await made.row(row)).last_error)
        assert "oauth.refresh_failed" in shown
        assert not [secret for secret in secrets if secret in shown]


async def test_thousands_come_back_one_after_the_other(world: World, runner: asyncio.Runner) -> None:
    async with world(settings=replace(TokenSettings(), pace=0.5)) as made:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        rows = [await made.log_in() for _ in range(4)]
        made.oauth.tokens._refresher._pace._sleep = sleep
        made.clock.now += 3600
        await asyncio.gather(*(made.token(row) for row in rows))
        assert [round(wait * 2) for wait in sorted(waits)] == [1, 2, 3], "half a second apart"


async def test_stopping_waits_for_what_must_be_stored(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        made.clock.now += 3600
        made.provider.gate.clear()
        made.provider.arrived.clear()
        waiting = asyncio.ensure_future(made.token(row))
        await made.provider.arrived.wait()
        closing = asyncio.ensure_future(made.oauth.tokens.close())
        await asyncio.sleep(0)
        made.provider.gate.set()
        await closing
        await waiting
        assert await made.refresh_token(row) in made.provider.refresh
        made.clock.now += 3600
        with pytest.raises(OAuthError, match="stopping"):
            await made.token(row)
