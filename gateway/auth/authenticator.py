"""Inbox address and API key, or a proof of having it -> Principal, or one answer for everything that can be wrong."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import structlog

from gateway.model.errors import AuthenticationFailed, Throttled
from gateway.model.permissions import Principal
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store import inboxes, keys
from gateway.store.db import Database, Rx
from gateway.store.keys import KeyRow
from gateway.wire import scram

from . import proofs
from .cache import ProvenKeys, VerifiedSecrets
from .keys import parse as parse_key
from .last_used import LastUsed
from .lookup import Credentials, Refusal, credentials, key_refusal, principal, refusal
from .pool import HashPool
from .throttle import LoginThrottle, source_of

log = structlog.get_logger(__name__)

Lookup = Callable[[Rx, str, str], Credentials]
Verifiers = Callable[[Rx, str], list[tuple[str, str]]]

MAX_USER: Final = 320  # RFC 5321 4.5.3.1: 64 + @ + 255; longer names no inbox and is not worth a read
FAILED: Final = "Wrong address or key"
# A dead key is no guess: a forgotten device must not close the office's address for everybody behind it.
_NOT_COUNTED: Final = frozenset({Refusal.REVOKED, Refusal.EXPIRED})


def _verifiers(rx: Rx, user: str) -> list[tuple[str, str]]:
    """(key id, verifier) of the keys that open the inbox of address `user`."""
    inbox = inboxes.inbox_by_address(rx, user)
    pod_id, inbox_id = (None, None) if inbox is None else (inbox.pod_id, inbox.id)
    return keys.scram_verifiers(rx, pod_id, inbox_id, proofs.MOST)


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
        verifiers: Verifiers = _verifiers,
    ) -> None:
        self._db = db
        self._pool = pool
        self._throttle = throttle
        self._clock = clock
        self._cache = VerifiedSecrets() if cache is None else cache
        self._last_used = last_used
        self._metrics = metrics
        self._lookup = lookup
        self._verifiers = verifiers
        self._proven = ProvenKeys()
        self._parameters: scram.Parameters | None = None

    async def authenticate(self, user: str, secret: str, peer_ip: str) -> Principal:
        """Who logs in with inbox address `user` and API key `secret` from `peer_ip`.

        AuthenticationFailed: one of the two is wrong, or the key may not. Throttled: too many failures from this
        address (a key that matched before is let in all the same). Unavailable: our own outage, try again.
        """
        source = source_of(peer_ip)
        # Blanks around a pasted key or address are no part of either.
        user, key = user.strip(), parse_key(secret.strip())
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
        return self._admitted(found, source, user, key.key_id)

    async def open(self, secret: str, peer_ip: str) -> KeyRow:
        """The key of this text, whatever it opens: for programs and people that name no inbox (HTTP).

        Errors as of `authenticate`: a key that is revoked or expired is as wrong as one that never was.
        """
        source = source_of(peer_ip)
        key = parse_key(secret.strip())
        if key is None:
            self._gate(source)
            raise self._failed(Refusal.MALFORMED, source, "", "")
        if not self._cache.knows(key.secret):
            self._gate(source)
        found = await self._key(key.key_id)
        if found is None:
            self._gate(source)
            raise self._failed(Refusal.UNKNOWN_KEY, source, "", key.key_id)
        if not self._cache.matches(key.secret, found.hash):
            self._gate(source)
            if not await self._pool.verify(found.hash, key.secret, at_turn=lambda: self._gate(source)):
                raise self._failed(Refusal.WRONG_SECRET, source, "", key.key_id)
            self._cache.add(key.secret, found.hash)
            found = await self._key(key.key_id)  # hashing took a while: it may have been revoked meanwhile
        now = self._clock()
        reason = key_refusal(found, now)
        if reason is not None or found is None:
            raise self._failed(reason or Refusal.UNKNOWN_KEY, source, "", key.key_id)
        if self._last_used is not None:
            self._last_used.note(found, now)
        return found

    def gate(self, peer_ip: str) -> None:
        """Before a login that is checked elsewhere (a passkey). Throttled."""
        self._gate(source_of(peer_ip))

    def failed(self, peer_ip: str, key_id: str = "") -> AuthenticationFailed:
        """Such a login failed: it counts as any other, and this is what to raise."""
        return self._failed(Refusal.WRONG_SECRET, source_of(peer_ip), "", key_id)

    async def _key(self, key_id: str) -> KeyRow | None:
        return await self._db.tiny(lambda rx: keys.key_by_key_id(rx, key_id))

    async def scram_parameters(self) -> scram.Parameters:
        """What every client of SCRAM is told, whoever it says it is. Unavailable."""
        if self._parameters is None:
            salt = await self._db.tiny(keys.scram_salt)
            self._parameters = scram.Parameters(salt, scram.ITERATIONS)
        return self._parameters

    async def prove(self, user: str, proof: scram.Proof | None, peer_ip: str) -> tuple[Principal, bytes]:
        """Who has proven by SCRAM to have a key of the inbox `user`, and what proves the server to the client.

        Errors as of `authenticate`. `proof` None fits nothing. While the source is closed, only keys that were proven
        before are tried, as `authenticate` knows verified secrets; a failure tells nothing then.
        """
        source = source_of(peer_ip)
        user = user.strip()
        parameters = await self.scram_parameters()
        named = user if len(user) <= MAX_USER and "\0" not in user else ""
        verifiers = await self._db.tiny(lambda rx: self._verifiers(rx, named))
        # From here to the count of a failure nothing waits, so a burst is throttled within itself.
        closed = self._throttle.wait(source, self._clock()) > 0
        if closed:
            verifiers = [(key_id, text) for key_id, text in verifiers if key_id in self._proven]
        found = proofs.fitting(verifiers, proof, parameters)
        if found is None:
            self._gate(source)
            raise self._failed(Refusal.WRONG_SECRET, source, user, "")
        key_id, signature = found
        self._proven.add(key_id)
        return self._admitted(await self._read(named, key_id), source, user, key_id), signature

    def _admitted(self, found: Credentials, source: str, user: str, key_id: str) -> Principal:
        """The end of a login whose secret is proven. AuthenticationFailed."""
        now = self._clock()
        reason = refusal(found, now)
        if reason is not None or found.key is None or found.inbox is None:
            raise self._failed(reason or Refusal.UNKNOWN_KEY, source, user, key_id)
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
