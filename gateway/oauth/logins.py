"""Logging in: authorisation code with PKCE, device code, and what a company grants for all of its mailboxes.

`begin` and `finish` are two calls, perhaps of two processes: between them a browser is at the provider. What is needed
at the end is in the store, under the hash of `state`, and taken once. Nothing is stored of a login that was refused,
belongs to somebody else or lacks a scope.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ports import Clock
from gateway.store.connectors import grants, oauth_apps, oauth_logins
from gateway.store.connectors.grants import Granted, GrantRow, Tokens
from gateway.store.connectors.oauth_apps import AppRow
from gateway.store.connectors.oauth_logins import LoginRow
from gateway.store.db import Database, Tx
from gateway.store.sealing import Sealer
from gateway.store.vault import Vault

from . import answers, jwt
from .apps import check_redirect
from .endpoint import Client, Endpoint, open_client, provider_of
from .errors import LoginRefused, ReauthRequired, ScopesMissing, WrongIdentity
from .providers import BOTH, Leg, Provider, Way
from .refreshing import REFRESH
from .tokens import TokenAnswer

LOGIN_S: Final = 900
"""How long a login may take, from `begin` to `finish`."""
MAX_PASTED: Final = 16 * 1024
_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class Wanted:
    """For which mailbox, by which application, for which protocols.

    `shared`: others who may open that mailbox, for consent is given by a person and a shared mailbox is none.
    `grant_id`: which grant is given anew; None: there is none yet.
    """

    app: str
    account: str
    legs: frozenset[Leg] = BOTH
    shared: tuple[str, ...] = ()
    grant_id: int | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """Send a browser to `url`. `state` proves to `finish` that a pasted code is of this login."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    redirect: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class DeviceBegun:
    """Somebody opens `uri` and types `user_code`; `handle` is for `device_finish`, every `interval` seconds."""

    uri: str
    complete_uri: str | None
    user_code: str
    handle: str = field(repr=False)
    interval: int
    expires_at: int


class Logins:
    """One a process. `changed` is called with the id of each grant that was given (the token service's `forget`)."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        endpoint: Endpoint,
        *,
        clock: Clock,
        changed: Callable[[int], None] = lambda grant_id: None,
        draw: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._db = db
        self._vault = vault
        self._endpoint = endpoint
        self._clock = clock
        self._changed = changed
        self._draw = draw

    async def loopback_host(self, app: str) -> str:
        """Where this application's provider lets a browser come back to this machine: 127.0.0.1 or localhost."""
        return provider_of(await self._app(app)).loopback

    async def begin(self, wanted: Wanted, *, redirect: str | None = None) -> Begun:
        """The address to send a browser to. `redirect`: the application's own, or a loopback one where it has none.

        NotFound, InvalidRequest where the provider has no such login.
        """
        app = await self._app(wanted.app)
        where = provider_of(app)
        where.way(Way.CODE)
        target = app.redirect or redirect or f"http://{where.loopback}/"
        check_redirect(target)
        state, verifier, nonce = self._draw(), self._draw(), self._draw()
        login = await self._keep(app, where, wanted, state, verifier, nonce, target, LOGIN_S)
        query = {
            "response_type": "code",
            "client_id": app.client_id,
            "redirect_uri": target,
            "scope": " ".join(where.asks(wanted.legs)),
            "state": state,
            "code_challenge": jwt.challenge(verifier),
            "code_challenge_method": "S256",
            "login_hint": wanted.account,
            **({"nonce": nonce} if where.identifies else {}),
            **where.parameters,
        }
        joint = "&" if urlsplit(where.authorize_url).query else "?"
        return Begun(f"{where.authorize_url}{joint}{urlencode(query)}", state, target, login.expires_at)

    async def finish(self, pasted: str, *, state: str | None = None) -> GrantRow:
        """The grant, from the address that the browser was sent back to.

        With `state`, as `begin` gave it, the code alone will do. LoginRefused (forged, expired, declined, used
        already), WrongIdentity, ScopesMissing and the endpoint's errors; nothing is stored, and a new login must begin.
        """
        found = _pasted(pasted, state)
        now = self._clock()
        login = await self._db.read(lambda rx: oauth_logins.peek(rx, found.state, now))
        if login is None or not login.redirect:
            raise LoginRefused(
                "This address belongs to no login that is under way: it has expired (after 15 minutes), was used "
                "already, or is of another login. Begin again", code="state",
            )  # fmt: skip
        if found.place is not None and found.place != _place(login.redirect):
            raise LoginRefused("This address is not the one that the browser was to come back to", code="redirect")
        # From here on nobody else can end this login, whatever becomes of it.
        login = await self._db.write(lambda tx: oauth_logins.take(tx, found.state, now))
        if login is None:
            raise LoginRefused("This login was finished by somebody else meanwhile", code="state")
        app_id = login.app_id
        app = await self._db.read(lambda rx: oauth_apps.get(rx, app_id))
        where = provider_of(app)
        if found.error:
            raise answers.redirect_error(where, found.error, found.described)
        if found.issuer and where.identifies and not jwt.is_issuer(where, found.issuer):
            raise LoginRefused("The answer came from another provider than the login was begun at", code="iss")
        verifier = await self._vault.open(login.verifier_sealed, oauth_logins.verifier_place(login.hash))
        client = await open_client(self._vault, app)
        answer = await self._endpoint.exchange(client, found.code, verifier, login.redirect)
        return await self._granted(client, login, answer)

    async def device_begin(self, wanted: Wanted) -> DeviceBegun:
        """A code to type at another device. NotFound, InvalidRequest with the reason where there is none."""
        app = await self._app(wanted.app)
        client = await open_client(self._vault, app)
        device = await self._endpoint.device(client, wanted.legs)
        handle = self._draw()
        login = await self._keep(
            app, client.provider, wanted, handle, device.device_code, "", "", device.lasts
        )
        return DeviceBegun(
            device.uri, device.complete_uri, device.user_code, handle, device.interval, login.expires_at
        )

    async def device_finish(self, handle: str) -> GrantRow:
        """Ask once whether its owner has logged in: the grant, `Pending`, or why it came to nothing."""
        now = self._clock()
        login = await self._db.read(lambda rx: oauth_logins.peek(rx, handle, now))
        if login is None or login.redirect:
            raise LoginRefused("The code has expired before the login was finished: begin again", code="expired_token")
        app_id = login.app_id
        app = await self._db.read(lambda rx: oauth_apps.get(rx, app_id))
        code = await self._vault.open(login.verifier_sealed, oauth_logins.verifier_place(login.hash))
        client = await open_client(self._vault, app)
        answer = await self._endpoint.device_tokens(client, code)
        if await self._db.write(lambda tx: oauth_logins.take(tx, handle, now)) is None:
            raise LoginRefused("This login was finished by somebody else meanwhile", code="state")
        return await self._granted(client, login, answer)

    async def own(self, wanted: Wanted, way: Way) -> GrantRow:
        """What needs nobody's login: client credentials, or a service account that acts as the account.

        A token is asked for at once, so that what is wrong shows now. NotFound, InvalidRequest, OAuthError.
        """
        app = await self._app(wanted.app)
        client = await open_client(self._vault, app)
        if way is Way.SERVICE_ACCOUNT:
            answer = await self._endpoint.service_account(client, wanted.account)
        elif way is Way.CLIENT_CREDENTIALS:
            answer = await self._endpoint.client_credentials(client)
        else:
            raise InvalidRequest(f"{way.replace('_', ' ')} needs somebody who logs in")
        granted = Granted(app.id, way.value, wanted.account, "")
        return await self._store(wanted.grant_id, granted, answer, client.provider.own_scopes)

    async def _app(self, name: str) -> AppRow:
        return await self._db.read(lambda rx: oauth_apps.named(rx, name))

    async def _keep(
        self, app: AppRow, where: Provider, wanted: Wanted, state: str, secret: str, nonce: str, redirect: str,
        lasts: int,
    ) -> LoginRow:  # fmt: skip
        now = int(self._clock())
        hash = oauth_logins.state_hash(state)

        def unit(tx: Tx, sealer: Sealer) -> LoginRow:
            if wanted.grant_id is not None:
                grants.get(tx, wanted.grant_id)
            login = LoginRow(
                hash, app.id, wanted.grant_id, wanted.account, (wanted.account, *wanted.shared),
                " ".join(where.needs(wanted.legs)), redirect,
                sealer.seal(secret, oauth_logins.verifier_place(hash)), nonce, now, now + lasts,
            )  # fmt: skip
            oauth_logins.begin(tx, login)
            return login

        return await self._vault.write(unit)

    async def _granted(self, client: Client, login: LoginRow, answer: TokenAnswer) -> GrantRow:
        where, app = client.provider, client.app
        missing = where.missing(tuple(login.scopes.split()), answer.scope)
        if missing:
            raise ScopesMissing(
                f"{where.title}: consent was not given to {', '.join(missing)}: log in again and accept all of it",
                missing,
            )
        who = jwt.identity(where, answer.id_token, app.client_id, login.nonce, self._clock())
        if who is not None and not {name.lower() for name in login.identities} & set(who.addresses):
            raise WrongIdentity(
                f"{who.name or 'Somebody else'} has logged in, but the account is {login.account}: log in as that "
                f"user, or allow {who.name or 'them'} to open it as a shared mailbox"
            )
        if answer.refresh is None:
            raise ReauthRequired(
                f"{where.title} gave a token for an hour and no lasting login: remove the application's access at the "
                "provider, then log in again", code="no_refresh_token",
            )  # fmt: skip
        granted = Granted(app.id, REFRESH, login.account, who.name if who is not None else "")
        return await self._store(login.grant_id, granted, answer, login.scopes)

    async def _store(self, grant_id: int | None, granted: Granted, answer: TokenAnswer, scopes: str) -> GrantRow:
        now = int(self._clock())
        fresh = str(uuid.uuid4())

        def unit(tx: Tx, sealer: Sealer) -> GrantRow:
            row_uuid = fresh if grant_id is None else grants.get(tx, grant_id).uuid
            tokens = Tokens(
                refresh=sealer.seal(answer.refresh, grants.refresh_place(row_uuid)) if answer.refresh else None,
                access=sealer.seal(answer.access, grants.access_place(row_uuid)),
                expires=now + answer.lasts,
                refresh_at=now + int(answer.lasts * _SHARE),
                scopes=answer.scope or scopes,
            )
            oauth_apps.accepted(tx, granted.app_id, now)
            if grant_id is None:
                return grants.create(tx, row_uuid, granted, tokens, now)
            return grants.renew(tx, grant_id, granted, tokens, now)

        try:
            row = await self._vault.write(unit)
        except NotFound:
            raise LoginRefused("The grant that was to be given anew was removed meanwhile", code="removed") from None
        self._changed(row.id)
        return row


@dataclass(frozen=True, slots=True)
class _Pasted:
    state: str = field(repr=False)
    code: str = field(repr=False)
    error: str = ""
    described: str = ""
    issuer: str = ""
    place: tuple[str, ...] | None = None


def _pasted(text: str, state: str | None) -> _Pasted:
    """An address that a browser came back to, or a bare code. LoginRefused."""
    text = text.strip()
    if not text or len(text) > MAX_PASTED or not text.isprintable() or " " in text:
        raise LoginRefused("Paste the whole address that the browser shows at the end", code="pasted")
    if "?" not in text:
        if state is None or text.startswith(("http:", "https:")):
            raise _no_code()
        return _Pasted(state, text)
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query, max_num_fields=40)
        place = _place(text)
    except ValueError:
        raise LoginRefused("This is no address", code="pasted") from None
    # A parameter that stands there twice means two things to two readers (RFC 6749 3.1).
    values = {name: found[0] for name, found in query.items() if len(found) == 1}
    given = values.get("state", "")
    if not given or (state is not None and not secrets.compare_digest(given.encode(), state.encode())):
        raise LoginRefused("This address is of another login: begin again", code="state")
    if not values.get("code") and not values.get("error"):
        raise _no_code()
    return _Pasted(
        given, values.get("code", ""), values.get("error", ""), values.get("error_description", ""),
        values.get("iss", ""), place,
    )  # fmt: skip


def _no_code() -> LoginRefused:
    return LoginRefused("This address holds no code: paste the one that the browser shows at the end", code="pasted")


def _place(url: str) -> tuple[str, ...]:
    """Where a redirect leads, without its query: two that are one are written alike."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), str(parts.port or ""), parts.path or "/"
