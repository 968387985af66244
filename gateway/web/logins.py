"""Logins at a provider that are begun and finished over HTTP, for a connector, by one and the same key.

Whoever is sent a link to the provider by somebody else would give that person access to their own mail. So a login is
finished by the key that began it: the program's, or that of the person who is logged in here. Who comes back without
one is told to hand the address to the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gateway.access.caller import Caller
from gateway.model.errors import InvalidRequest, NotFound
from gateway.store.connectors import oauth_owners
from gateway.store.connectors.oauth_owners import LoginOwner

from . import connecting
from .connecting import Known
from .services import Json, WebServices

CALLBACK: Final = "/oauth/callback"
NO_LOGIN: Final = "No login of this key is under way there: it has expired, was finished, or is another one's"
MAX_PASTED: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class Begun:
    """Send a browser to `url`, which comes back to `redirect` until `expires_at` (Unix seconds)."""

    url: str
    state: str
    redirect: str
    expires_at: int


def callback(services: WebServices) -> str:
    """The redirect address of this server, to be registered at providers."""
    return services.settings.base_url + CALLBACK


async def application(services: WebServices, provider: str | None, wanted: str | None) -> str:
    """The application to log in with: the one that was named, or the only one of the provider."""
    if wanted is not None:
        return wanted
    found = [row["name"] for row in await services.operate("oauth.app.list", {}) if row["provider"] == provider]
    if len(found) != 1:
        raise InvalidRequest(f"app is needed: there are {len(found)} applications for provider {provider}")
    return str(found[0])


async def begin(
    services: WebServices, who: Caller, one: Known, *, app: str, legs: list[str] | None = None,
    shared: list[str] | None = None, redirect: str | None = None,
) -> Begun:
    """A login for the connector's account. InvalidRequest, NotFound as the provider and application are."""
    row = await connecting.row_of(services, one)
    params: dict[str, Json] = {
        "app": app, "account": row.address, "legs": legs, "shared": shared, "grant": row.grant_id,
        "redirect": redirect,
    }  # fmt: skip
    begun = Begun(**await services.operate("oauth.login.begin", params))
    owner, now = LoginOwner(who.key_id, row.uuid), int(services.clock())
    await services.db.write(
        lambda tx: oauth_owners.keep(tx, begun.state, owner, expires=begun.expires_at, now=now)
    )
    return begun


async def finish(services: WebServices, who: Caller, pasted: str, state: str | None = None) -> Known:
    """The connector that has the grant now. NotFound for a login of another key; OAuthError, InvalidRequest."""
    told = state or _state(pasted)
    now = services.clock()
    owner = None if told is None else await services.db.read(lambda rx: oauth_owners.find(rx, told, now))
    if told is None or owner is None or owner.key_id != who.key_id:
        raise NotFound(NO_LOGIN)
    one = await connecting.known(services, who, owner.connector)
    done = await services.operate("oauth.login.finish", {"pasted": pasted, "state": told})
    if "grant" not in done:
        raise InvalidRequest(str(done["again"]))
    await connecting.ask(services, one, "connector.set", {"grant": done["grant"]["id"]})
    await services.db.write(lambda tx: oauth_owners.drop(tx, told))
    return one


def _state(address: str) -> str | None:
    """The `state` in an address that a browser came back to."""
    if len(address) > MAX_PASTED:
        return None
    try:
        found = parse_qs(urlsplit(address.strip()).query, max_num_fields=40).get("state", [])
    except ValueError:
        return None
    return found[0] if len(found) == 1 else None
