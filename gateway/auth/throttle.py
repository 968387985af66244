"""Failed logins slow the address they come from, and nothing else; connections have a ceiling. All pure.

A key cannot be guessed, so throttling protects our CPU and the logs rather than the keys. That is why it never
locks a key or an inbox: whoever knows an address could shut its owner out.
"""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final

from gateway.model.errors import LimitReached
from gateway.model.ids import InboxId

MINUTE: Final = 60.0
DAY: Final = 86400.0


def source_of(peer: str) -> str:
    """The unit that is throttled: an IPv4 address, or an IPv6 /64 (one customer owns that many addresses).

    An IPv4 address written as IPv6 counts as IPv4. A peer without an IP address (a Unix socket) is itself.
    """
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return peer
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


@dataclass(frozen=True, slots=True)
class ThrottlePolicy:
    """Failures and times in seconds (security.md "Limits"). `sources` bounds the memory: about 500 octets each."""

    per_minute: int = 10
    per_day: int = 50
    first_delay: float = 30.0
    longest_delay: float = 3600.0
    sources: int = 100_000


@dataclass(slots=True)
class _Failures:
    """One source. `recent` holds the times of at most `per_minute` failures; the day begins with its first one."""

    recent: deque[float]
    day_start: float
    day_count: int = 0
    last: float = field(default=0.0)


class LoginThrottle:
    """Counts failures by source. Ten within a minute close the source until the oldest is a minute old; beyond fifty
    within a day each further one doubles the time until the next attempt is looked at, up to an hour.

    Good logins neither count nor forgive: else one valid key would buy unlimited attempts.
    """

    def __init__(self, policy: ThrottlePolicy | None = None) -> None:
        self.policy = policy or ThrottlePolicy()
        self._sources: OrderedDict[str, _Failures] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sources)

    def wait(self, source: str, now: float) -> float:
        """Seconds until an attempt of `source` (as `source_of` gives it) is looked at; 0: at once."""
        known = self._sources.get(source)
        if known is None:
            return 0.0
        policy = self.policy
        until = now
        if len(known.recent) >= policy.per_minute:
            until = known.recent[-policy.per_minute] + MINUTE
        if now < known.day_start + DAY and known.day_count >= policy.per_day:
            until = max(until, known.last + self._delay(known.day_count - policy.per_day))
        # A clock set back must not close a source for longer than the policy ever would.
        return min(max(until - now, 0.0), max(policy.longest_delay, MINUTE))

    def _delay(self, beyond: int) -> float:
        # 2**40 seconds is beyond any setting; it keeps the number small.
        return min(self.policy.first_delay * 2.0 ** min(beyond, 40), self.policy.longest_delay)

    def fail(self, source: str, now: float) -> None:
        """Count one failed login. The source that has been quiet longest is forgotten when there are too many."""
        known = self._sources.get(source)
        if known is None:
            known = self._sources[source] = _Failures(deque(maxlen=max(self.policy.per_minute, 1)), now)
            if len(self._sources) > self.policy.sources:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(source)
            if not known.day_start <= now < known.day_start + DAY:
                known.day_start, known.day_count = now, 0
            if known.recent.maxlen != self.policy.per_minute:
                known.recent = deque(known.recent, maxlen=self.policy.per_minute)  # the policy was reloaded
        known.recent.append(now)
        known.day_count += 1
        known.last = now


class ConnectionLimits:
    """Open connections by source, and logged-in sessions by inbox. Whoever opens must close, once."""

    def __init__(self, per_source: int = 2000, per_inbox: int = 100) -> None:
        self.per_source = per_source
        self.per_inbox = per_inbox
        self._sources: Counter[str] = Counter()
        self._inboxes: Counter[InboxId] = Counter()

    @property
    def connections(self) -> int:
        return self._sources.total()

    @property
    def sessions(self) -> int:
        return self._inboxes.total()

    def open(self, source: str) -> None:
        """Count a connection from `source`; LimitReached (and nothing counted) when it has too many."""
        if self._sources[source] >= self.per_source:
            raise LimitReached("Too many connections from your address")
        self._sources[source] += 1

    def close(self, source: str) -> None:
        self._sources[source] -= 1
        if self._sources[source] <= 0:
            del self._sources[source]

    def enter(self, inbox_id: InboxId) -> None:
        """Count a session of the inbox; LimitReached (and nothing counted) when it has too many."""
        if self._inboxes[inbox_id] >= self.per_inbox:
            raise LimitReached("Too many connections for this inbox")
        self._inboxes[inbox_id] += 1

    def leave(self, inbox_id: InboxId) -> None:
        self._inboxes[inbox_id] -= 1
        if self._inboxes[inbox_id] <= 0:
            del self._inboxes[inbox_id]
