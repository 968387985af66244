"""OAuth and the master key as an administrator has them: operations, and the terminal on top of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.cli.logging_in import _Calls
from gateway.connectors.accounts import ConnectorAccounts, Reach
from gateway.connectors.desk import Desk
from gateway.connectors.service import Connectors
from gateway.control.local import LocalCaller
from gateway.control.operations import Context
from gateway.ingest.writer import Ingest
from gateway.model.errors import AlreadyExists, CannotChange, InvalidRequest, NotFound
from gateway.oauth.errors import AppMisconfigured, LoginRefused, ReauthRequired, Transient
from gateway.oauth.login import Dialogue, Login
from gateway.oauth.logins import Wanted
from gateway.oauth.providers import Way
from gateway.outbound.failure import Failure
from gateway.outbound.http import HttpSettings
from gateway.store.connectors import oauth_apps
from gateway.store.db import Database
from tests.support.oauth import Answer, FakeProvider
from tests.support.oauth.provider import rsa_key
from tests.support.oauth.world import ACCOUNT, SCOPES, Node, node

Given = tuple[Node, LocalCaller]
World = Callable[[], AbstractAsyncContextManager[Given]]


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    @asynccontextmanager
    async def make() -> AsyncIterator[Given]:
        async with FakeProvider(tmp_path / "tls") as provider, node(db, provider, tmp_path / "master.key") as made:
            accounts = ConnectorAccounts(made.vault, made.oauth.tokens, Reach("mail.test", 1_000_000))
            connectors = Connectors(db, made.vault, clock=made.clock)
            desk = Desk(made.vault, made.oauth, accounts, connectors, made.http)
            context = Context(db, Ingest(db, now=made.clock), made.clock, 1_000_000, desk=desk)
            yield made, LocalCaller(context)

    return make


async def enter(made: Node, caller: LocalCaller, name: str = "app", **changed: Any) -> Any:
    values = {
        "name": name, "provider": "custom", "client_id": "client", "secret": "the-client-secret",
        **made.provider.endpoints, **SCOPES, **changed,
    }  # fmt: skip
    return await caller.call("oauth.app.create", values)


def answers(made: Node, shown: list[str]) -> Dialogue:
    """Somebody who pastes where the browser ends."""

    async def ask() -> str:
        return made.provider.browse(shown[0])

    return Dialogue(shown.append, lambda *code: made.provider.type_code(code[1]), ask, lambda text: None)


async def test_applications(world: World, runner: asyncio.Runner) -> None:
    async with world() as (made, caller):
        shown = [await enter(made, caller), *await caller.call("oauth.app.list", {})]
        assert (shown[0]["has_secret"], shown[0]["has_key"], shown[0]["status"]) == (True, False, "ok")
        assert "the-client-secret" not in json.dumps(shown)
        with pytest.raises(AlreadyExists):
            await enter(made, caller)
        for bad in ({"provider": "nobody"}, {"token_url": "http://x.test/"}, {"client_id": ""}):
            with pytest.raises(InvalidRequest):
                await enter(made, caller, "bad", **bad)
        changed = await caller.call("oauth.app.set", {"name": "app", "redirect": "http://localhost:7/x"})
        assert (changed["redirect"], changed["has_secret"]) == ("http://localhost:7/x", True)
        assert (await caller.call("oauth.app.set", {"name": "app", "redirect": ""}))["redirect"] is None
        await caller.call("oauth.app.remove", {"name": "app"})
        with pytest.raises(NotFound):
            await caller.call("oauth.app.remove", {"name": "app"})


async def test_a_provider_in_a_private_network_is_asked_only_where_its_application_says_so(
    world: World, runner: asyncio.Runner
) -> None:
    async with world() as (made, caller):
        made.http._settings = HttpSettings(total=5.0, patience=5.0)  # as the server's own is: nothing private, no CA
        ca = made.provider.ca_file.read_text()
        shown = await enter(made, caller)
        assert (shown["allow_private"], shown["has_ca"]) == (False, False)
        await enter(made, caller, "other")
        own = {"app": "app", "account": ACCOUNT, "way": "client_credentials"}

        async def failure(**changed: Any) -> tuple[Failure, str]:
            await caller.call("oauth.app.set", {"name": "app", **changed})
            with pytest.raises(Transient) as caught:
                await caller.call("oauth.login.own", own)
            return caught.value.failure, str(caught.value)

        kind, text = await failure(tenant="")
        assert kind is Failure.DENIED
        assert "gateway oauth set APP --allow-private" in text
        assert (await failure(ca=ca))[0] is Failure.DENIED
        assert (await failure(ca="", allow_private=True))[0] is Failure.TLS_VERIFY
        with pytest.raises(InvalidRequest, match="no PEM text"):
            await caller.call("oauth.app.set", {"name": "app", "ca": "x"})
        assert made.provider.seen == []

        key = "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n"
        changed = await caller.call("oauth.app.set", {"name": "app", "ca": key + ca})
        assert (changed["allow_private"], changed["has_ca"]) == (True, True)
        assert changed["endpoints"] == shown["endpoints"]
        assert (await caller.call("oauth.login.own", own))["grant"]["status"] == "active"
        row = await made.db.read(lambda rx: oauth_apps.named(rx, "app"))
        assert row.endpoints["ca"] == ca, "and nothing else of the file"
        with pytest.raises(Transient) as caught:
            await caller.call("oauth.login.own", {**own, "app": "other"})
        assert caught.value.failure is Failure.DENIED, "it is of that application alone"
        assert (await failure(allow_private=False))[0] is Failure.DENIED
        whole = await enter(made, caller, "third", allow_private=True, ca=ca)
        assert (whole["allow_private"], whole["has_ca"]) == (True, True)
        assert (await caller.call("oauth.login.own", {**own, "app": "third"}))["grant"]["status"] == "active"


async def test_a_service_account_by_its_key_file(world: World, runner: asyncio.Runner) -> None:
    async with world() as (made, caller):
        pem, made.provider.keys["robot@p.test"] = rsa_key()
        text = json.dumps(
            {"type": "service_account", "client_email": "robot@p.test", "private_key": pem, "private_key_id": "k"}
        )
        shown = await caller.call("oauth.app.create", {"name": "robots", "service_account": text})
        assert (shown["provider"], shown["client_id"], shown["has_key"]) == ("google", "robot@p.test", True)
        with pytest.raises(InvalidRequest):
            await caller.call("oauth.app.create", {"name": "x", "service_account": text, "client_id": "y"})
        with pytest.raises(InvalidRequest):
            await caller.call("oauth.login.own", {"app": "robots", "account": ACCOUNT, "way": "code"})


@pytest.mark.parametrize("way", [Way.CODE, Way.DEVICE, Way.CLIENT_CREDENTIALS])
async def test_a_terminal_over_the_operations(world: World, runner: asyncio.Runner, way: Way) -> None:
    async with world() as (made, caller):
        await enter(made, caller)
        waited: list[float] = []

        async def sleep(seconds: float) -> None:
            waited.append(seconds)
            if way is Way.DEVICE and len(waited) == 1:
                made.provider.script.append(Answer(503, b"", {"Retry-After": "33"}))
            elif len(waited) == 2:
                made.provider.script.append(Answer(400, {"error": "slow_down"}))

        login: Login[Any] = Login(_Calls(caller), answers(made, []), sleep=sleep)
        grant = await login.run(Wanted("app", ACCOUNT), way, listen=False)
        assert (grant["app"], grant["account"], grant["status"]) == ("app", ACCOUNT, "active")
        assert grant["subject"] == (None if way is Way.CLIENT_CREDENTIALS else ACCOUNT)
        assert await caller.call("oauth.grant.list", {"app": "app"}) == [grant]
        assert waited == ([5.0, 33.0, 38.0] if way is Way.DEVICE else [])
        assert not [token for token in (*made.provider.issued, *made.provider.refresh) if token in json.dumps(grant)]


async def test_what_is_no_address_is_asked_for_again(world: World, runner: asyncio.Runner) -> None:
    async with world() as (made, caller):
        await enter(made, caller)
        begun = await caller.call("oauth.login.begin", {"app": "app", "account": ACCOUNT, "legs": ["imap"]})
        told = await caller.call("oauth.login.finish", {"pasted": "two words", "state": begun["state"]})
        assert "Paste the whole address" in told["again"]
        with pytest.raises(LoginRefused):
            await caller.call("oauth.login.finish", {"pasted": "code", "state": "of nobody"})
        with pytest.raises(InvalidRequest):
            await caller.call("oauth.login.begin", {"app": "app", "account": ACCOUNT, "legs": ["pop"]})
        with pytest.raises(NotFound):
            await caller.call("oauth.login.begin", {"app": "other", "account": ACCOUNT})
        assert await caller.call("oauth.login.host", {"app": "app"}) == "127.0.0.1"


async def test_a_grant_that_is_over_and_asked_for_again(world: World, runner: asyncio.Runner) -> None:
    async with world() as (made, caller):
        await enter(made, caller)
        row = await made.log_in()
        made.clock.now += 3600
        made.provider.script.append(Answer(400, {"error": "invalid_grant"}))
        with pytest.raises(ReauthRequired):
            await made.token(row)
        (shown,) = await caller.call("oauth.grant.list", {})
        assert shown["status"] == "reauth_required"
        assert "log in again" in shown["last_error"]
        assert (await caller.call("oauth.grant.retry", {"grant": row.id}))["status"] == "active"
        with pytest.raises(CannotChange):
            await caller.call("oauth.app.remove", {"name": "app"})
        await caller.call("oauth.grant.remove", {"grant": row.id})
        with pytest.raises(ReauthRequired, match="no such login"):
            await made.token(row)
        with pytest.raises(NotFound):
            await caller.call("oauth.grant.retry", {"grant": row.id})


async def test_the_master_key(world: World, tmp_path: Path, runner: asyncio.Runner) -> None:
    async with world() as (made, caller):
        await enter(made, caller)
        row = await made.log_in()
        done = await caller.call("secrets.rotate", {"forget": True})
        assert (done["resealed"], done["damaged"], done["forgotten"]) == (3, [], True)
        made.clock.now += 3600
        await made.token(row)
        with pytest.raises(InvalidRequest, match="key is there"):
            await caller.call("secrets.abandon", {})
        (tmp_path / "master.key").unlink()
        made.vault.forget()
        assert await caller.call("secrets.abandon", {}) == {"removed": 3}
        made.oauth.tokens.forget(row.id)
        made.clock.now += 3600
        with pytest.raises((ReauthRequired, AppMisconfigured)):
            await made.token(row)
        await caller.call("oauth.app.set", {"name": "app", "secret": "the-client-secret"})
        again = await made.log_in(grant_id=row.id)
        assert (await made.token(again)).text == made.provider.issued[-1]
