"""Who may start now: pure decisions over what waits, what runs, rates and breakers of all next hops.

A next hop has `waiting` recipients (numbers, in lanes by sender), `ready` ones (claimed under our lease, whole jobs)
and `running` attempts. The runner asks what to claim, then what to start, and says how it went.

A slow next hop never delays another: it has places of its own, and when all places are taken one without any still
gets its first. Among those that want more, places are shared.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from gateway.outbound.breaker import Breaker, BreakerState, Rate

from .lanes import Lanes, Pick

Job = TypeVar("Job")

CEILING: Final = 10
"""So many times the places may run in all, each beyond them being the only attempt of its next hop."""
AHEAD: Final = 4
_FORGET: Final = 1_000  # next hops without work that are remembered


@dataclass(frozen=True, slots=True)
class Places:
    """`total`: attempts at the same time; `each`: of one next hop; `ahead`: jobs claimed beyond each that runs.

    `recipients`: of one job. `rows`: recipients claimed by one unit.
    """

    total: int = 20
    each: int = 5
    per_minute: int = 0
    ahead: int = AHEAD
    recipients: int = 50
    rows: int = 500


@dataclass(slots=True)
class NextHop(Generic[Job]):
    """One name that mail goes to. `each` and `per_minute` of its own go before those of `Places`."""

    name: str
    each: int
    rate: Rate
    lanes: Lanes = field(default_factory=Lanes)
    ready: deque[Job] = field(default_factory=deque)
    claiming: int = 0
    running: int = 0
    breaker: Breaker = field(default_factory=Breaker)
    last: str = ""
    """What the server said last."""

    @property
    def busy(self) -> bool:
        return bool(self.lanes.waiting or self.ready or self.running or self.claiming)


class Agenda(Generic[Job]):
    """All next hops of one process. Methods that take `now` expect a clock in seconds."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._hops: dict[str, NextHop[Job]] = {}
        self._own: dict[str, tuple[int | None, int | None]] = {}
        self.running = 0

    @property
    def places(self) -> Places:
        return self._places

    @places.setter
    def places(self, places: Places) -> None:
        self._places = places
        for hop in self._hops.values():
            self._fit(hop)

    def _fit(self, hop: NextHop[Job]) -> None:
        each, per_minute = self._own.get(hop.name, (None, None))
        hop.each = each or self._places.each
        wanted = per_minute if per_minute is not None else self._places.per_minute
        if hop.rate.per_minute != wanted:
            hop.rate = Rate(wanted)

    def tune(self, name: str, each: int | None, per_minute: int | None) -> None:
        """A next hop's own limits; None: those of all."""
        if self._own.get(name, (None, None)) != (each, per_minute):
            self._own[name] = (each, per_minute)
            if (hop := self._hops.get(name)) is not None:
                self._fit(hop)

    def hop(self, name: str) -> NextHop[Job]:
        found = self._hops.get(name)
        if found is None:
            if len(self._hops) >= _FORGET:
                self._forget()
            found = self._hops[name] = NextHop(name, 0, Rate(0))
            self._fit(found)
        return found

    def _forget(self) -> None:
        for name in [name for name, hop in self._hops.items() if not hop.busy and not hop.breaker.failures]:
            del self._hops[name]
            self._own.pop(name, None)  # said again with the next row that goes there

    def hops(self) -> Iterator[NextHop[Job]]:
        """In the order of their turn."""
        yield from list(self._hops.values())

    @property
    def waiting(self) -> int:
        return sum(hop.lanes.waiting for hop in self._hops.values())

    @property
    def ready(self) -> int:
        return sum(len(hop.ready) for hop in self._hops.values())

    # -- what waits

    def adopt(self, found: dict[str, Lanes]) -> None:
        """What a look at the whole queue found, in place of all that was known to wait."""
        for hop in self._hops.values():
            hop.lanes = found.pop(hop.name) if hop.name in found else Lanes()
        for name, lanes in found.items():
            self.hop(name).lanes = lanes

    def move(self, name: str, to: str) -> None:
        """What waits for one next hop waits for another one."""
        hop = self._hops.get(name)
        if hop is not None and hop.lanes.waiting:
            lanes, hop.lanes = hop.lanes, Lanes()
            self.hop(to).lanes.absorb(lanes)

    # -- what to claim

    def to_claim(self, now: float) -> list[Pick]:
        """Transactions whose recipients shall be claimed now; they count as `claiming` until `claimed` is called."""
        picks: list[Pick] = []
        rows = self._places.rows
        for hop in self.hops():
            wanted = self._wanted(hop, now)
            if not wanted:
                continue
            self._to_the_end(hop)
            for pick in hop.lanes.take(hop.name, wanted, self._places.recipients):
                picks.append(pick)
                hop.claiming += 1
                rows -= len(pick.recipients)
                if rows <= 0:
                    return picks
        return picks

    def _wanted(self, hop: NextHop[Job], now: float) -> int:
        """Jobs to have at hand beyond those there are; nothing while half of them are left."""
        if not hop.lanes.waiting or not hop.breaker.admits(now):
            return 0
        have = hop.running + len(hop.ready) + hop.claiming
        if hop.breaker.state(now) is BreakerState.HALF_OPEN:
            return 1 if not hop.ready and not hop.claiming else 0
        most = hop.each * (1 + self._places.ahead)
        if have * 2 > most and have >= hop.each:
            return 0
        allowed = hop.rate.available(now)
        wanted = most - have
        return wanted if allowed is None else max(0, min(wanted, allowed - len(hop.ready) - hop.claiming))

    def claimed(self, pick: Pick) -> None:
        """The claim of a pick has ended; what came of it is `ready` at its next hop, perhaps another one by now."""
        hop = self.hop(pick.hop)
        hop.claiming = max(0, hop.claiming - 1)

    # -- what to start

    def start(self, now: float) -> tuple[NextHop[Job], Job] | None:
        """One more attempt that may run, at the next hop that has the fewest; it counts as running until `ended`."""
        most = self._places.total
        best: NextHop[Job] | None = None
        for hop in self.hops():
            if not hop.ready or (best is not None and hop.running >= best.running):
                continue
            room = self.running < most or (hop.running == 0 and self.running < most * CEILING)
            if room and hop.running < hop.each and self._may_begin(hop, now):
                best = hop
                if not hop.running:
                    break
        if best is None:
            return None
        best.running += 1
        self.running += 1
        self._to_the_end(best)
        return best, self._begin(best, now)

    def next_job(self, hop: NextHop[Job], now: float) -> Job | None:
        """What a running attempt of the hop does next; None: it has to end."""
        if not hop.ready or hop.running > hop.each or not self._may_begin(hop, now) or self._owes_place(hop, now):
            return None
        return self._begin(hop, now)

    def _begin(self, hop: NextHop[Job], now: float) -> Job:
        hop.rate.take(now)
        hop.breaker.begin(now)
        return hop.ready.popleft()

    def ended(self, hop: NextHop[Job]) -> None:
        hop.running -= 1
        self.running -= 1

    def _may_begin(self, hop: NextHop[Job], now: float) -> bool:
        return hop.breaker.admits(now) and hop.rate.available(now) != 0

    def _owes_place(self, hop: NextHop[Job], now: float) -> bool:
        """More than its share runs, while another next hop has something to start and no place."""
        if self.running < self._places.total or hop.running <= 1:
            return False
        busy = [other for other in self._hops.values() if other.running or other.ready]
        share = max(1, self._places.total // max(1, len(busy)))
        if hop.running <= share and self.running <= self._places.total:
            return False
        return any(
            other is not hop and other.ready and other.running < min(share, other.each) and self._may_begin(other, now)
            for other in busy
        )

    def _to_the_end(self, hop: NextHop[Job]) -> None:
        self._hops[hop.name] = self._hops.pop(hop.name)

    # -- when to look again

    def surrender(self, now: float) -> list[Job]:
        """Claimed jobs of next hops that nothing may go to now: somebody gives them back."""
        given: list[Job] = []
        for hop in self._hops.values():
            if hop.ready and hop.breaker.state(now) is BreakerState.OPEN:
                given += hop.ready
                hop.ready.clear()
        return given

    def surrender_all(self) -> list[Job]:
        given = [job for hop in self._hops.values() for job in hop.ready]
        for hop in self._hops.values():
            hop.ready.clear()
        return given

    def wait(self, now: float) -> float | None:
        """Seconds until a breaker or a rate lets something go that is known; None: only an event changes anything."""
        moments = []
        for hop in self._hops.values():
            if not (hop.lanes.waiting or hop.ready) or hop.running >= hop.each or hop.breaker.probing:
                continue
            if hop.breaker.state(now) is BreakerState.OPEN:
                moments.append(hop.breaker.until - now)
            elif (pause := hop.rate.wait(now)) > 0:
                moments.append(pause)
        return min(moments, default=None)
