"""People in a browser: a cookie that stands for a login with a key, and forms that only our own pages can send."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import Response

from gateway.access.caller import Caller, caller
from gateway.model.errors import NoPermission
from gateway.model.ports import Clock
from gateway.store import keys, web_sessions
from gateway.store.db import Database, Rx

COOKIE: Final = "__Host-gateway"
"""Browsers take such a name only over TLS, for this host alone, and from no subdomain."""
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{43}")


class People:
    """Logins in the store."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def begin(self, who: Caller) -> str:
        """Log in: the token for the cookie."""
        token = secrets.token_urlsafe(32)
        now = int(self._clock())
        await self._db.write(lambda tx: web_sessions.begin(tx, token, who.key_id, now))
        return token

    async def find(self, token: str) -> Caller | None:
        """Who is logged in by this token; None when nobody is, or the key behind it is no longer good."""
        now = int(self._clock())

        def query(rx: Rx) -> tuple[Caller, bool] | None:
            found = web_sessions.find(rx, token, now)
            key = None if found is None else keys.key_by_id(rx, found[0])
            return None if found is None or key is None or not key.usable(now) else (caller(key), found[1])

        found = await self._db.tiny(query)
        if found is None:
            return None
        if found[1]:
            await self._db.write(lambda tx: web_sessions.seen(tx, token, now))
        return found[0]

    async def end(self, token: str) -> None:
        await self._db.write(lambda tx: web_sessions.end(tx, token))


def token_of(headers: Headers) -> str:
    """The token of a request's cookie, "" when it has none."""
    text = headers.get("cookie", "")
    if COOKIE not in text:
        return ""
    try:
        found = SimpleCookie(text).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found is not None and _TOKEN.fullmatch(found.value) else ""


def keep(response: Response, token: str) -> None:
    """Have the browser keep a login."""
    response.set_cookie(
        COOKIE, token, max_age=web_sessions.LIFE, path="/", secure=True, httponly=True, samesite="lax"
    )


def drop(response: Response) -> None:
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")


def form_token(token: str) -> str:
    """What a form of this login must bring along: another site can send a form, but not read ours."""
    return hmac.new(token.encode(), b"gateway form", hashlib.sha256).hexdigest()


def check_form(token: str, given: str) -> None:
    """NoPermission: the form is not ours, or of a login before."""
    if not token or not hmac.compare_digest(form_token(token).encode(), given.encode()):
        raise NoPermission("The form is not of this login: load the page again")


def same_site(headers: Headers, base_url: str) -> bool:
    """Whether a form was sent by a page of ours, as far as browsers say: before a login there is no token."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or origin == base_url or origin.partition("://")[2] == headers.get("host", "")
