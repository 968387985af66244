"""OAuth: the applications that providers know us as, what accounts have granted them, and logging in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest
from gateway.oauth.apps import AppSpec, google_service_account
from gateway.oauth.errors import LoginRefused, Pending, Transient
from gateway.oauth.logins import Wanted
from gateway.oauth.parts import OAuth
from gateway.oauth.providers import ALLOWED, BOTH, Leg, Way
from gateway.outbound.tls import certificates
from gateway.store.connectors import grants, oauth_apps
from gateway.store.connectors.grants import GrantRow
from gateway.store.connectors.oauth_apps import AppRow
from gateway.store.db import Rx, Tx

from .connectors import desk_of
from .registry import Context, Stream, operation
from .values import moment

_NETWORK: Final = ("allow_private", "ca")  # of `endpoints`: they are no URLs


def _oauth(context: Context) -> OAuth:
    return desk_of(context).oauth


def _app(row: AppRow) -> dict[str, Json]:
    return {
        "name": row.name,
        "provider": row.provider,
        "tenant": row.tenant or None,
        "client_id": row.client_id,
        "has_secret": row.secret_sealed is not None,
        "has_key": row.key_sealed is not None,
        "endpoints": _without_network(row.endpoints),
        "allow_private": row.endpoints.get("allow_private") == ALLOWED,
        "has_ca": "ca" in row.endpoints,
        "redirect": row.redirect,
        "status": row.status,
        "last_error": row.last_error,
        "retry_at": moment(row.retry_at),
        "created_at": moment(row.created_at),
    }


def _grant(row: GrantRow, apps: Mapping[int, str]) -> dict[str, Json]:
    return {
        "id": row.id,
        "uuid": row.uuid,
        "app": apps.get(row.app_id),
        "kind": row.kind,
        "account": row.account,
        "subject": row.subject or None,
        "scopes": row.scopes.split(),
        "status": row.status,
        "access_expires": moment(row.access_expires or None),
        "last_error": row.last_error,
        "last_error_at": moment(row.last_error_at),
        "created_at": moment(row.created_at),
    }


async def _shown(context: Context, row: GrantRow) -> dict[str, Json]:
    app = await context.db.read(lambda rx: oauth_apps.get(rx, row.app_id))
    return _grant(row, {app.id: app.name})


def _without_network(endpoints: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in endpoints.items() if name not in _NETWORK}


def _network(allow_private: bool | None, ca: str | None, before: Mapping[str, str] | None = None) -> dict[str, str]:
    """`allow_private` and `ca` as endpoints keep them; None: as `before`, "": the system's. InvalidRequest."""
    wanted = {name: (before or {}).get(name, "") for name in _NETWORK}
    if allow_private is not None:
        wanted["allow_private"] = ALLOWED if allow_private else ""
    if ca is not None:
        wanted["ca"] = certificates(ca)
        if ca and not wanted["ca"]:
            raise InvalidRequest("The CA is no PEM text of certificates")
    return {name: value for name, value in wanted.items() if value}


def _spec(
    provider: str, client_id: str, service_account: str | None, endpoints: Mapping[str, str], values: Mapping[str, Any]
) -> AppSpec:
    if service_account is not None:
        if client_id:
            raise InvalidRequest("The key file of a service account names its client itself")
        network = {name: endpoints[name] for name in _NETWORK if name in endpoints}
        return replace(google_service_account(service_account), endpoints=network)
    given = {name: value for name, value in endpoints.items() if value}
    return AppSpec(provider=provider, client_id=client_id, endpoints=given, **values)


@operation("oauth.app.create")
async def app_create(
    context: Context, stream: Stream, *, name: str, provider: str = "", client_id: str = "", tenant: str = "",
    secret: str = "", key: str = "", certificate: str = "", key_name: str = "", redirect: str | None = None,
    service_account: str | None = None, token_url: str = "", authorize_url: str = "", device_url: str = "",
    imap_scope: str = "", smtp_scope: str = "", scopes: str = "", issuer: str = "",
    allow_private: bool = False, ca: str = "",
) -> Json:  # fmt: skip
    """A client that is registered at a provider. `service_account`: the text of Google's key file, instead of others.

    The URLs and scopes are for the provider `custom`. `allow_private`: it may be in a private network or on this
    machine; `ca`: certificates in PEM of the CAs that it is trusted by instead of the system's.
    """
    spec = _spec(
        provider, client_id, service_account,
        {"token_url": token_url, "authorize_url": authorize_url, "device_url": device_url, "imap_scope": imap_scope,
         "smtp_scope": smtp_scope, "scopes": scopes, "issuer": issuer, **_network(allow_private, ca)},
        {"tenant": tenant, "secret": secret, "key": key, "certificate": certificate, "key_name": key_name,
         "redirect": redirect},
    )  # fmt: skip
    return _app(await _oauth(context).apps.create(name, spec))


@operation("oauth.app.list")
async def app_list(context: Context, stream: Stream) -> Json:
    """All of them, without secrets."""
    return [_app(row) for row in await context.db.read(oauth_apps.everything)]


@operation("oauth.app.set")
async def app_set(
    context: Context, stream: Stream, *, name: str, client_id: str | None = None, tenant: str | None = None,
    secret: str = "", key: str = "", certificate: str = "", key_name: str = "", redirect: str | None = None,
    allow_private: bool | None = None, ca: str | None = None,
) -> Json:  # fmt: skip
    """Other values; what is not given stays. All grants of the application are tried again at once.

    `redirect` "": a loopback address; `ca` "": the system's.
    """
    row = await context.db.read(lambda rx: oauth_apps.named(rx, name))
    spec = AppSpec(
        provider=row.provider,
        client_id=row.client_id if client_id is None else client_id,
        tenant=row.tenant if tenant is None else tenant,
        secret=secret,
        key=key,
        certificate=certificate,
        key_name=key_name,
        endpoints=_without_network(row.endpoints) | _network(allow_private, ca, row.endpoints),
        redirect=row.redirect if redirect is None else redirect or None,
    )
    return _app(await _oauth(context).apps.change(name, spec))


@operation("oauth.app.remove")
async def app_remove(context: Context, stream: Stream, *, name: str) -> Json:
    """NotFound; CannotChange while a grant is left."""

    def unit(tx: Tx) -> None:
        oauth_apps.remove(tx, oauth_apps.named(tx, name).id)

    await context.db.write(unit)
    return None


@operation("oauth.grant.list")
async def grant_list(context: Context, stream: Stream, *, app: str | None = None) -> Json:
    """What accounts have granted, all or to one application; no token."""

    def query(rx: Rx) -> Json:
        apps = {row.id: row.name for row in oauth_apps.everything(rx)}
        app_id = None if app is None else oauth_apps.named(rx, app).id
        return [_grant(row, apps) for row in grants.everything(rx, app_id)]

    return await context.db.read(query)


@operation("oauth.grant.retry")
async def grant_retry(context: Context, stream: Stream, *, grant: int) -> Json:
    """Ask the provider at once whether there is a token, whatever it said before. OAuthError."""
    oauth = _oauth(context)
    await context.db.write(lambda tx: grants.retry(tx, grant, int(context.now())))
    oauth.tokens.forget(grant)
    await oauth.tokens.token(grant)
    return await _shown(context, await context.db.read(lambda rx: grants.get(rx, grant)))


@operation("oauth.grant.remove")
async def grant_remove(context: Context, stream: Stream, *, grant: int) -> Json:
    """Forget it here; at the provider it is withdrawn by its owner. CannotChange while a connector uses it."""
    await context.db.write(lambda tx: grants.remove(tx, grant))
    _oauth(context).tokens.forget(grant)
    return None


@operation("oauth.login.host")
async def login_host(context: Context, stream: Stream, *, app: str) -> Json:
    """The name of this machine in a redirect to it."""
    return await _oauth(context).logins.loopback_host(app)


@operation("oauth.login.begin")
async def login_begin(
    context: Context, stream: Stream, *, app: str, account: str, legs: list[str] | None = None,
    shared: list[str] | None = None, grant: int | None = None, redirect: str | None = None,
) -> Json:  # fmt: skip
    """Where to send a browser, and the `state` that proves that an address is the answer."""
    begun = await _oauth(context).logins.begin(_wanted(app, account, legs, shared, grant), redirect=redirect)
    return {"url": begun.url, "state": begun.state, "redirect": begun.redirect, "expires_at": begun.expires_at}


@operation("oauth.login.finish")
async def login_finish(context: Context, stream: Stream, *, pasted: str, state: str | None = None) -> Json:
    """`grant`; or `again`, why what was pasted is no such address: another one may be. OAuthError."""
    try:
        return {"grant": await _shown(context, await _oauth(context).logins.finish(pasted, state=state))}
    except LoginRefused as error:
        if error.code != "pasted":
            raise
        return {"again": str(error)}


@operation("oauth.login.device")
async def login_device(
    context: Context, stream: Stream, *, app: str, account: str, legs: list[str] | None = None,
    shared: list[str] | None = None, grant: int | None = None,
) -> Json:  # fmt: skip
    """A code to type at `uri`, and the `handle` that asks whether it was."""
    begun = await _oauth(context).logins.device_begin(_wanted(app, account, legs, shared, grant))
    return {
        "uri": begun.uri, "complete_uri": begun.complete_uri, "user_code": begun.user_code, "handle": begun.handle,
        "interval": begun.interval, "expires_at": begun.expires_at,
    }  # fmt: skip


@operation("oauth.login.poll")
async def login_poll(context: Context, stream: Stream, *, handle: str) -> Json:
    """`grant`; or `pending`, whether to ask less often; or `trouble` that passes. OAuthError."""
    try:
        return {"grant": await _shown(context, await _oauth(context).logins.device_finish(handle))}
    except Pending as error:
        return {"pending": True, "slower": error.slower}
    except Transient as error:
        return {"trouble": str(error), "failure": str(error.failure), "retry_after": error.retry_after}


@operation("oauth.login.own")
async def login_own(
    context: Context, stream: Stream, *, app: str, account: str, way: str, grant: int | None = None
) -> Json:
    """`grant` by client credentials or a service account. OAuthError."""
    if way not in {Way.CLIENT_CREDENTIALS, Way.SERVICE_ACCOUNT}:
        raise InvalidRequest(f"{Way.CLIENT_CREDENTIALS} and {Way.SERVICE_ACCOUNT} need nobody's login")
    row = await _oauth(context).logins.own(_wanted(app, account, None, None, grant), Way(way))
    return {"grant": await _shown(context, row)}


def _wanted(
    app: str, account: str, legs: list[str] | None, shared: list[str] | None, grant: int | None
) -> Wanted:
    if unknown := set(legs or ()) - set(BOTH):
        raise InvalidRequest(f"There is no side {min(unknown)}: imap, smtp")
    return Wanted(
        app, account, BOTH if legs is None else frozenset(Leg(leg) for leg in legs), tuple(shared or ()), grant
    )

