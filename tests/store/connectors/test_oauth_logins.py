"""Logging in: PKCE, state, identity and scopes, against a provider that checks them by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest

from gateway.model.errors import AlreadyExists, CannotChange, InvalidRequest, NotFound
from gateway.oauth.apps import AppSpec, google_service_account
from gateway.oauth.errors import (
    AppMisconfigured,
    LoginRefused,
    OAuthError,
    Pending,
    ReauthRequired,
    ScopesMissing,
    WrongIdentity,
)
from gateway.oauth.login import Dialogue, Login
from gateway.oauth.logins import Wanted
from gateway.oauth.providers import Leg, Way
from gateway.store.connectors import grants, oauth_apps
from gateway.store.db import Database
from gateway.store.vault import Vault
from tests.support.oauth import Answer, FakeProvider
from tests.support.oauth.provider import rsa_key
from tests.support.oauth.world import ACCOUNT, SCOPES, Node, node

World = Callable[[], AbstractAsyncContextManager[Node]]
WANTED = Wanted("app", ACCOUNT)


@pytest.fixture
def world(db: Database, tmp_path: Path) -> World:
    @asynccontextmanager
    async def make() -> AsyncIterator[Node]:
        async with FakeProvider(tmp_path / "tls") as provider, node(db, provider, tmp_path / "master.key") as made:
            await made.app()
            yield made

    return make


async def all_grants(made: Node) -> list[grants.GrantRow]:
    return await made.db.read(grants.everything)


async def test_a_login_by_code(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        begun = await made.oauth.logins.begin(WANTED)
        query = dict(parse_qsl(urlsplit(begun.url).query))
        assert query["scope"] == "mail.imap mail.smtp offline openid email"
        assert query["login_hint"] == ACCOUNT
        assert query["redirect_uri"] == "http://127.0.0.1/"
        row = await made.oauth.logins.finish(made.provider.browse(begun.url))
        assert (row.kind, row.account, row.subject, row.status) == ("refresh", ACCOUNT, ACCOUNT, "active")
        assert row.scopes.split() == ["mail.imap", "mail.smtp", "offline", "openid", "email"]
        seen = made.provider.seen[-1]
        assert seen.form["client_secret"] == "the-client-secret"
        assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
        token = await made.token(row)
        assert (token.text, token.expires_at) == (made.provider.issued[-1], made.clock.now + 3600)
        assert len(made.provider.seen) == 1, "the login's own token lasts"


async def test_what_is_stored_is_sealed(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        begun = await made.oauth.logins.begin(WANTED)
        row = await made.oauth.logins.finish(made.provider.browse(begun.url))
        app = await made.db.read(lambda rx: oauth_apps.named(rx, "app"))
        sealed = [app.secret_sealed, row.refresh_sealed, row.access_sealed]
        texts = ["the-client-secret", await made.refresh_token(row), made.provider.issued[-1]]
        assert all(octets is not None and text.encode() not in octets for octets in sealed for text in texts)
        for text in (*texts, begun.state):
            assert text not in repr((row, app, begun, await made.token(row), made.provider))
            assert text not in str(await made.token(row))


async def test_a_login_comes_back_to_another_process(
    world: World, db: Database, tmp_path: Path, runner: asyncio.Runner
) -> None:
    async with world() as first, node(db, first.provider, tmp_path / "master.key", clock=first.clock) as second:
        begun = await first.oauth.logins.begin(WANTED)
        row = await second.oauth.logins.finish(first.provider.browse(begun.url))
        assert (await first.token(row)).text == (await second.token(row)).text


async def test_state_opens_one_login_once(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        finish = made.oauth.logins.finish
        one, two = await made.oauth.logins.begin(WANTED), await made.oauth.logins.begin(WANTED)
        back = made.provider.browse(one.url)
        code = dict(parse_qsl(urlsplit(back).query))["code"]
        forged = [
            f"{one.redirect}?{urlencode({'code': code, 'state': 'x' * 43})}",  # nobody's
            f"{one.redirect}?{urlencode({'code': code})}",
            f"{one.redirect}?{urlencode([('code', code), ('state', one.state), ('state', two.state)])}",
            back.replace("http://127.0.0.1/", "http://evil.test/"),
            back.replace("http://127.0.0.1/", "https://127.0.0.1/"),
            back.replace("/?", "/other?"),
            code,  # no state at all
            "http://127.0.0.1/", "", "   ", "http://[/?state=x&code=y", "a" * 20_000, f"{back}\n{back}",
        ]  # fmt: skip
        for text in forged:
            with pytest.raises(LoginRefused) as caught:
                await finish(text)
            assert code not in str(caught.value)
        with pytest.raises(LoginRefused, match="another login"):
            await finish(back, state=two.state)
        assert made.provider.seen == [], "nothing forged reached the provider"
        await finish(back)
        with pytest.raises(LoginRefused, match="used already"):
            await finish(back)
        assert len(await all_grants(made)) == 1


async def test_a_code_of_another_login_is_worth_nothing(world: World, runner: asyncio.Runner) -> None:
    """Injection: the attacker's code with the victim's state. PKCE's verifier is the victim's."""
    async with world() as made:
        victim, attacker = await made.oauth.logins.begin(WANTED), await made.oauth.logins.begin(WANTED)
        stolen = dict(parse_qsl(urlsplit(made.provider.browse(attacker.url)).query))["code"]
        with pytest.raises(ReauthRequired):
            await made.oauth.logins.finish(f"{victim.redirect}?{urlencode({'code': stolen, 'state': victim.state})}")
        assert await all_grants(made) == []
        assert made.provider.seen[-1].form["code_verifier"] != ""


async def test_a_bare_code_needs_the_state_of_its_login(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        begun = await made.oauth.logins.begin(WANTED)
        code = dict(parse_qsl(urlsplit(made.provider.browse(begun.url)).query))["code"]
        row = await made.oauth.logins.finish(f"  {code}\n", state=begun.state)
        assert row.subject == ACCOUNT


async def test_a_login_that_takes_too_long(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        begun = await made.oauth.logins.begin(WANTED)
        made.clock.now = begun.expires_at
        with pytest.raises(LoginRefused, match="expired"):
            await made.oauth.logins.finish(made.provider.browse(begun.url))
        assert made.provider.seen == []


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ("access_denied", LoginRefused, "declined"),
        ("server_error", OAuthError, "outage"),
        ("unauthorized_client", AppMisconfigured, "client id"),
        ("<script>", OAuthError, "not known"),
    ],
)
async def test_the_login_page_says_no(
    world: World, runner: asyncio.Runner, error: str, kind: type[OAuthError], words: str
) -> None:
    async with world() as made:
        begun = await made.oauth.logins.begin(WANTED)
        query = urlencode({"error": error, "error_description": "x" * 300, "state": begun.state})
        with pytest.raises(kind, match=words) as caught:
            await made.oauth.logins.finish(f"{begun.redirect}?{query}")
        assert "xxx" not in str(caught.value)
        assert "<" not in str(caught.value)
        assert made.provider.seen == []


async def test_who_logs_in_must_be_the_account_or_allowed_to_open_it(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        made.provider.email = "Bob@Example.test"
        with pytest.raises(WrongIdentity, match=r"bob@example\.test has logged in, but the account is anna@"):
            await made.log_in()
        assert await all_grants(made) == []
        row = await made.log_in(shared=("bob@example.test",))
        assert (row.account, row.subject) == (ACCOUNT, "bob@example.test")


async def test_consent_to_less_than_is_needed(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        made.provider.granted = "mail.imap openid email"
        with pytest.raises(ScopesMissing, match=r"mail\.smtp") as caught:
            await made.log_in()
        assert caught.value.missing == ("mail.smtp",)
        assert await all_grants(made) == []
        row = await made.log_in(legs=frozenset({Leg.IMAP}))
        assert row.scopes == "mail.imap openid email"


async def test_a_login_without_a_refresh_token_is_none(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        made.provider.offline = False
        with pytest.raises(ReauthRequired, match="no lasting login"):
            await made.log_in()
        assert await all_grants(made) == []


async def test_logging_in_again_keeps_the_grant(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        made.provider.revoke()
        made.clock.now += 3600
        with pytest.raises(ReauthRequired):
            await made.token(row)
        again = await made.log_in(grant_id=row.id)
        assert (again.id, again.uuid, again.status, again.last_error) == (row.id, row.uuid, "active", None)
        assert again.version > row.version
        assert (await made.token(again)).text == made.provider.issued[-1]
        with pytest.raises(NotFound):
            await made.oauth.logins.begin(replace(WANTED, grant_id=row.id + 1))


async def test_a_login_by_device_code(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        begun = await made.oauth.logins.device_begin(WANTED)
        assert (begun.uri, begun.interval) == (made.provider.url("/login"), 5)
        assert begun.handle not in repr(begun)
        finish = made.oauth.logins.device_finish
        with pytest.raises(Pending):
            await finish(begun.handle)
        made.provider.script.append(Answer(400, {"error": "slow_down"}))
        with pytest.raises(Pending) as caught:
            await finish(begun.handle)
        assert caught.value.slower
        made.provider.type_code(begun.user_code)
        assert (await finish(begun.handle)).subject == ACCOUNT
        with pytest.raises(LoginRefused):
            await finish(begun.handle)
        late = await made.oauth.logins.device_begin(WANTED)
        with pytest.raises(LoginRefused, match="no login"):
            await made.oauth.logins.finish("somecode", state=late.handle)
        made.clock.now = late.expires_at
        with pytest.raises(LoginRefused, match="expired"):
            await finish(late.handle)


async def test_google_has_no_device_codes_for_mail(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        await made.app("google", provider="google", endpoints=made.provider.endpoints)
        with pytest.raises(InvalidRequest, match="no mail scope to device codes"):
            await made.oauth.logins.device_begin(Wanted("google", ACCOUNT))
        with pytest.raises(InvalidRequest, match="service accounts"):
            await made.oauth.logins.own(Wanted("google", ACCOUNT), Way.CLIENT_CREDENTIALS)


async def test_what_a_company_grants(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        pem, made.provider.keys["robot@project.test"] = rsa_key()
        await made.app(
            "robots", provider="google", client_id="robot@project.test", key=pem, key_name="k1", secret="",
            endpoints={"token_url": made.provider.url("/token")},
        )  # fmt: skip
        row = await made.oauth.logins.own(Wanted("robots", ACCOUNT), Way.SERVICE_ACCOUNT)
        assert (row.kind, row.refresh_sealed, row.scopes) == ("service_account", None, "https://mail.google.com/")
        made.clock.now += 3600
        assert (await made.token(row)).text == made.provider.issued[-1]
        with pytest.raises(ReauthRequired, match="no such user"):
            await made.oauth.logins.own(Wanted("robots", "nobody@example.test"), Way.SERVICE_ACCOUNT)
        row = await made.oauth.logins.own(WANTED, Way.CLIENT_CREDENTIALS)
        assert made.provider.seen[-1].form["scope"] == "mail.imap mail.smtp"
        made.clock.now += 3600
        assert (await made.token(row)).text == made.provider.issued[-1]


async def test_a_certificate_instead_of_a_secret(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        pem, made.provider.keys["certified"] = rsa_key()
        await made.app("certified", client_id="certified", secret="", key=pem, key_name="thumb")
        await made.oauth.logins.own(Wanted("certified", ACCOUNT), Way.CLIENT_CREDENTIALS)
        form = made.provider.seen[-1].form
        assert "client_secret" not in form
        made.provider.keys["certified"] = rsa_key()[1]
        made.provider.keys.pop("certified")
        with pytest.raises(AppMisconfigured):
            await made.oauth.logins.own(Wanted("certified", ACCOUNT), Way.CLIENT_CREDENTIALS)


async def test_applications_as_people_enter_them(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        apps, endpoints = made.oauth.apps, {**made.provider.endpoints, **SCOPES}
        spec = AppSpec("custom", "client", secret="first", endpoints=endpoints)
        assert "first" not in repr(spec)
        with pytest.raises(AlreadyExists):
            await apps.create("app", spec)
        for bad in (
            replace(spec, provider="nobody"),
            replace(spec, client_id=""),
            replace(spec, secret="two\nlines"),
            replace(spec, key="no key"),
            replace(spec, redirect="http://example.test/"),
            replace(spec, redirect="https://user@example.test/"),
            replace(spec, endpoints={"token_url": "http://plain.test/"}),
            replace(spec, endpoints={}),
            replace(spec, provider="microsoft", tenant="../evil"),
        ):
            with pytest.raises(InvalidRequest) as caught:
                await apps.create("bad", bad)
            assert "two" not in str(caught.value)
        with pytest.raises(InvalidRequest):
            await apps.create("", spec)
        before = await made.db.read(lambda rx: oauth_apps.named(rx, "app"))
        changed = await apps.change("app", replace(spec, secret="", tenant="t"))
        assert (changed.tenant, changed.secret_sealed) == ("t", before.secret_sealed), "no secret: it stays"
        changed = await apps.change("app", replace(spec, secret="second"))
        assert changed.secret_sealed is not None
        assert await made.vault.open(changed.secret_sealed, oauth_apps.secret_place(changed.uuid)) == "second"
        with pytest.raises(InvalidRequest, match="cannot be changed"):
            await apps.change("app", replace(spec, provider="google"))
        await apps.change("app", replace(spec, secret="the-client-secret"))
        row = await made.log_in()
        with pytest.raises(CannotChange):
            await made.db.write(lambda tx: oauth_apps.remove(tx, before.id))
        await made.db.write(lambda tx: grants.remove(tx, row.id))
        await made.db.write(lambda tx: oauth_apps.remove(tx, before.id))
        with pytest.raises(NotFound):
            await made.oauth.logins.begin(WANTED)


def test_the_key_file_of_a_service_account() -> None:
    text = (
        '{"type": "service_account", "client_email": "robot@p.test", "private_key": "PEM", "private_key_id": "k",'
        ' "token_uri": "https://evil.test/"}'
    )
    spec = google_service_account(text)
    assert (spec.provider, spec.client_id, spec.key, spec.key_name) == ("google", "robot@p.test", "PEM", "k")
    assert spec.endpoints == {}, "whoever hands in a file does not say where assertions go"
    for bad in ("", "[]", "{}", '{"type": "service_account", "private_key": "SECRET"}', "[" * 100_000):
        with pytest.raises(InvalidRequest) as caught:
            google_service_account(bad)
        assert "SECRET" not in str(caught.value)


async def test_a_login_at_a_terminal(world: World, runner: asyncio.Runner) -> None:
    """The browser comes back to a loopback port; strangers who connect there meanwhile get nothing."""
    async with world() as made:
        shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        async def never() -> str:
            return await asyncio.get_running_loop().create_future()

        dialogue = Dialogue(shown.set_result, lambda *code: None, never, lambda text: None)
        task = asyncio.ensure_future(Login(made.oauth.logins, dialogue).run(WANTED))
        back = made.provider.browse(await shown)
        parts = urlsplit(back)
        assert await _get(parts.port, f"/?{parts.query}", "evil.test") == 400, "DNS rebinding"
        assert await _get(parts.port, "/?code=x&state=y", parts.netloc) == 404
        assert await _get(parts.port, f"/other?{parts.query}", parts.netloc) == 404
        assert await _get(parts.port, f"/?{parts.query}", parts.netloc, method="POST") == 405
        assert not task.done()
        _, silent = await asyncio.open_connection("127.0.0.1", parts.port)
        _, endless = await asyncio.open_connection("127.0.0.1", parts.port)
        endless.write(b"GET /" + b"x" * 100_000)
        assert await _get(parts.port, f"/?{parts.query}", parts.netloc) == 200
        assert (await task).subject == ACCOUNT
        for writer in (silent, endless):
            writer.close()


async def _get(port: int | None, target: str, host: str, method: str = "GET") -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    answer = (await reader.read()).decode()
    writer.close()
    assert "code=" not in answer
    return int(answer.split(" ")[1])


async def test_a_login_at_a_terminal_by_pasting(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        told: list[str] = []
        pasted: list[str] = ["nonsense here", "https://example.test/"]
        shown: list[str] = []

        async def ask() -> str:
            return pasted.pop(0) if pasted else made.provider.browse(shown[0])

        dialogue = Dialogue(shown.append, lambda *code: None, ask, told.append)
        row = await Login(made.oauth.logins, dialogue).run(WANTED, listen=False)
        assert row.subject == ACCOUNT
        assert sum("Paste the whole address" in text or "holds no code" in text for text in told) == 2


async def test_a_device_login_at_a_terminal(world: World, runner: asyncio.Runner) -> None:
    async with world() as made:
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)
            if len(waits) == 2:
                made.provider.script.append(Answer(400, {"error": "slow_down"}))
            if len(waits) == 3:
                made.provider.script.append(Answer(503, b"", {"Retry-After": "77"}))
            if len(waits) == 5:
                made.provider.type_code(codes[0][1])

        codes: list[tuple[str, str, int]] = []
        dialogue = Dialogue(lambda url: None, lambda *code: codes.append(code), None, lambda text: None)
        row = await Login(made.oauth.logins, dialogue, sleep=sleep).run(WANTED, Way.DEVICE)
        assert row.subject == ACCOUNT
        assert waits == [5.0, 5.0, 10.0, 77.0, 77.0]


async def test_secrets_that_cannot_be_opened_any_more(world: World, tmp_path: Path, runner: asyncio.Runner) -> None:
    async with world() as made:
        row = await made.log_in()
        sealed = row.refresh_sealed
        assert sealed is not None
        elsewhere = grants.refresh_place("another row")
        with pytest.raises(Exception, match="copied from another row"):
            await Vault(made.db, made.vault.source).open(sealed, elsewhere)
