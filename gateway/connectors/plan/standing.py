"""How an account stands: which failures are waited out, and which stop it until somebody does something. Pure.

Only a login that is surely refused counts against the account, and only repeatedly: providers answer a wrong password
to a right one during their outages, and an account that is tried too often is locked by its provider.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.outbound.failure import Failure, refuses_login

from .backoff import HOLD_OFF, NETWORK, REFUSED, Backoff, Waits

AUTH_TRIES: Final = 3
AUTH_SPAN_S: Final = 900.0
"""Refused so often, over at least so long: then it is believed."""
AUTH_WAITS: Final = Waits(300.0, 900.0)
AUTH_AGAIN_S: Final = 86_400.0
"""An account with a password is tried once a day: a provider's outage ends some time."""
REMAPS_IN_A_ROW: Final = 5
PROTOCOL_ERRORS: Final = 8
"""Sessions in a row that ended by what is no IMAP, or by UIDVALIDITYs that never stay: the server misbehaves."""


class Standing(StrEnum):
    """Kept in the connector's row and shown. OK: connected, or about to be."""

    OK = "ok"
    BACKOFF = "backoff"
    THROTTLED = "throttled"
    AUTH_FAILED = "auth_failed"
    QUARANTINED = "quarantined"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`until`: Unix seconds of the next try, None: not by itself. `refresh`: get another access token before it.

    `counts`: says something of the server rather than of this account, for the breaker of its destination.
    """

    standing: Standing
    until: float | None
    refresh: bool = False
    counts: bool = False
    news: bool = False
    """The standing is another one than before: an event for whoever watches."""


_WAITS: Final = {
    Failure.DNS: NETWORK, Failure.REFUSED: NETWORK, Failure.TIMEOUT: NETWORK, Failure.PROXY: NETWORK,
    Failure.LOST: NETWORK, Failure.BYE: REFUSED, Failure.UNAVAILABLE: REFUSED, Failure.LIMIT: REFUSED,
    Failure.MAILBOX_UNREACHABLE: REFUSED, Failure.REFUSED_COMMAND: REFUSED, Failure.FOLDER_MISSING: REFUSED,
    Failure.PROTOCOL: REFUSED, Failure.THROTTLED: REFUSED, Failure.DENIED: HOLD_OFF, Failure.TLS_VERIFY: HOLD_OFF,
    Failure.TLS_VERSION: HOLD_OFF, Failure.NOT_TLS: HOLD_OFF, Failure.NO_STARTTLS: HOLD_OFF,
}  # fmt: skip
_OF_THE_SERVER: Final = frozenset(
    (Failure.DNS, Failure.REFUSED, Failure.TIMEOUT, Failure.LOST, Failure.BYE, Failure.UNAVAILABLE, Failure.NOT_TLS,
     Failure.TLS_VERIFY, Failure.TLS_VERSION)
)  # fmt: skip


def of_the_server(failure: Failure) -> bool:
    """It says more of the server than of this account."""
    return failure in _OF_THE_SERVER


class Account:
    """The standing of one connector's account; `oauth`: it logs in by access tokens, which can be renewed."""

    __slots__ = ("_backoff", "_protocol", "_refused", "_refused_since", "oauth", "standing")

    def __init__(self, *, oauth: bool = False, standing: Standing = Standing.OK) -> None:
        self.oauth = oauth
        self.standing = standing
        self._backoff = Backoff()
        self._refused = 0
        self._refused_since = 0.0
        self._protocol = 0

    def failed(self, failure: Failure, now: float, chance: float, *, hint: float | None = None) -> Verdict:
        """A session ended, or did not come about. `hint`: seconds that the server asks us to stay away."""
        if refuses_login(failure):
            return self._login_refused(failure, now, chance)
        self._protocol = self._protocol + 1 if failure is Failure.PROTOCOL else 0
        if self._protocol >= PROTOCOL_ERRORS:
            return self.quarantine()
        wait = self._backoff.failed(_WAITS.get(failure, REFUSED), chance, hint)
        throttled = failure in (Failure.THROTTLED, Failure.LIMIT) or hint is not None
        return self._now(
            Standing.THROTTLED if throttled else Standing.BACKOFF, now + wait, counts=of_the_server(failure)
        )

    def quarantine(self) -> Verdict:
        """The server misbehaves in a way that does mail no good; somebody has to look."""
        return self._now(Standing.QUARANTINED, None)

    def _login_refused(self, failure: Failure, now: float, chance: float) -> Verdict:
        if not self._refused or now < self._refused_since:
            self._refused_since = now
            self._refused = 0
        self._refused += 1
        if self.standing is Standing.AUTH_FAILED or (
            self._refused >= AUTH_TRIES and now - self._refused_since >= AUTH_SPAN_S
        ):
            again = None if self.oauth else now + AUTH_AGAIN_S * (1 + 0.1 * chance)
            return self._now(Standing.AUTH_FAILED, again)
        wait = self._backoff.failed(AUTH_WAITS, chance)
        if self.oauth and self._refused == 1:
            wait = min(wait, 5.0)  # a token that was about to expire: another one, and straight on
        return self._now(Standing.BACKOFF, now + wait, refresh=self.oauth)

    def logged_in(self) -> bool:
        """The credentials are good. True when that is news."""
        self._refused = 0
        was = self.standing
        self.standing = Standing.OK
        return was is not Standing.OK

    def ended(self, *, synced: bool, lived: float) -> None:
        """A session ended, whatever by; call `failed` too where it failed."""
        if self._backoff.ended(synced=synced, lived=lived):
            self._protocol = 0

    def mended(self) -> None:
        """Somebody changed the settings, or asks to try now."""
        self.standing = Standing.OK
        self._refused = self._protocol = 0
        self._backoff.reset()

    def _now(self, standing: Standing, until: float | None, *, refresh: bool = False, counts: bool = False) -> Verdict:
        news = standing is not self.standing
        self.standing = standing
        return Verdict(standing, until, refresh, counts, news)


class Remaps:
    """UIDVALIDITYs of one folder that change again and again: five in a row without a quiet day between them."""

    __slots__ = ("_last", "count")

    def __init__(self) -> None:
        self.count = 0
        self._last = 0.0

    def happened(self, now: float) -> bool:
        """True when it is too much."""
        self.count = self.count + 1 if self.count and 0 <= now - self._last < 86_400 else 1
        self._last = now
        return self.count >= REMAPS_IN_A_ROW
