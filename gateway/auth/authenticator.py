"""Inbox address and API key -> Principal, or one answer for everything that can be wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import structlog

from gateway.model.errors import AuthenticationFailed, Throttled
from gateway.model.permissions import Principal
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store.db import Database, Rx

from .cache import VerifiedSecrets
from .keys import parse
from .last_used import LastUsed
from .lookup import Credentials, Refusal, credentials, principal, refusal
from .pool import HashPool
from .throttle import LoginThrottle, source_of

log = structlog.get_logger(__name__)

Lookup = Callable[[Rx, str, str], Credentials]

MAX_USER: Final = 320  # RFC 5321 4.5.3.1: 64 + @ + 255; longer names no inbox and is not worth a read
FAILED: Final = "Wrong address or key"
# A dead key is no guess: a forgotten device must not close the office's address for everybody behind it.
_NOT_COUNTED: Final = frozenset({Refusal.REVOKED, Refusal.EXPIRED})


class Authenticator:
    """Checks logins for all protocols of a process.

    Whatever is wrong, the answer is the same, and the work is too, as far as it could tell somebody anything: the
    secret is checked before the address, scope, expiry and revocation are looked at, so those cost the same to
    whoever has not proven the secret. Only a malformed key and an unknown key id (60 random bits) skip the hash.

    Nothing is remembered about a key but that its secret matched: each login reads expiry, revocation and scope.
    """

    def __init__(
        self,
        db: Database,
        pool: HashPool,
        throttle: LoginThrottle,
        clock: Clock,
        *,
        cache: VerifiedSecrets | None = None,
        last_used: LastUsed | None = None,
        metrics: Metrics = NULL_METRICS,
        lookup: Lookup = credentials,
    ) -> None:
        self._db = db
        self._pool = pool
        self._throttle = throttle
        self._clock = clock
        self._cache = VerifiedSecrets() if cache is None else cache
        self._last_used = last_used
        self._metrics = metrics
        self._lookup = lookup

    async def authenticate(self, user: str, secret: str, peer_ip: str) -> Principal:
        """Who logs in with inbox address `user` and API key `secret` from `peer_ip`.

        AuthenticationFailed: one of the two is wrong, or the key may not. Throttled: too many failures from this
        address (a key that matched before is let in all the same). Unavailable: our own outage, try again.
        """
        source = source_of(peer_ip)
        # Blanks around a pasted key or address are no part of either.
        user, key = user.strip(), parse(secret.strip())
        if key is None or not user or len(user) > MAX_USER or "\0" in user:
            self._gate(source)
            raise self._failed(Refusal.MALFORMED, source, user, "")
        if not self._cache.knows(key.secret):
            self._gate(source)
        found = await self._read(user, key.key_id)
        if found.key is None:
            self._gate(source)
            raise self._failed(Refusal.UNKNOWN_KEY, source, user, key.key_id)
        stored = found.key.hash
        if not self._cache.matches(key.secret, stored):
            self._gate(source)
            if not await self._pool.verify(stored, key.secret, at_turn=lambda: self._gate(source)):
                raise self._failed(Refusal.WRONG_SECRET, source, user, key.key_id)
            self._cache.add(key.secret, stored)
            # Hashing took a while: the key may have been revoked meanwhile, before anybody watches the session.
            found = await self._read(user, key.key_id)
        now = self._clock()
        reason = refusal(found, now)
        if reason is not None or found.key is None or found.inbox is None:
            raise self._failed(reason or Refusal.UNKNOWN_KEY, source, user, key.key_id)
        if self._last_used is not None:
            self._last_used.note(found.key, now)
        self._metrics.count("auth_logins_total", result="ok")
        return principal(found.key, found.inbox)

    async def _read(self, user: str, key_id: str) -> Credentials:
        return await self._db.tiny(lambda rx: self._lookup(rx, user, key_id))

    def _gate(self, source: str) -> None:
        wait = self._throttle.wait(source, self._clock())
        if wait > 0:
            self._metrics.count("auth_logins_total", result="throttled")
            raise Throttled(f"Too many failed logins from your address; try again in {math.ceil(wait)} seconds")

    def _failed(self, reason: Refusal, source: str, user: str, key_id: str) -> AuthenticationFailed:
        if reason not in _NOT_COUNTED:
            self._throttle.fail(source, self._clock())
        self._metrics.count("auth_logins_total", result="failed")
        # Bounded by the throttle, so nobody can fill the log.
        log.info("auth.failed", reason=reason.value, source=source, user=user[:MAX_USER], key_id=key_id)
        return AuthenticationFailed(FAILED)
