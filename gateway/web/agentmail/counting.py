"""Series of counts for `metrics`: which times are asked for, and what is reckoned of them. Jobs of a reader process.

Nothing is counted while it happens: all is reckoned from what is kept (`store.metric_series`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import InvalidRequest
from gateway.model.ids import InboxId
from gateway.store import metric_series as series
from gateway.store.db import Rx
from gateway.store.metric_series import MOST, Buckets, Slice

DAY: Final = 86_400
BACK: Final = 90 * DAY
"""Seconds: how far back may be asked."""
_END: Final = 1 << 62
_READ: Final[Mapping[str, Callable[[Rx, Slice], Buckets]]] = {
    "message.received": series.received, "message.received.spam": series.junk, "message.sent": series.sent,
    "message.delivered": series.delivered, "message.bounced": series.bounced,
}  # fmt: skip
VERIFIED: Final = "domain.verified"


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` on, up to `until`, which may be now: Unix seconds."""

    since: int
    until: int
    period: int

    def grid(self) -> range:
        """Multiples of the period within it, its end included."""
        return range(-(-self.since // self.period) * self.period, self.until + 1, self.period)


@dataclass(frozen=True, slots=True)
class Asked:
    """Of which inboxes; how much there is in them; when the inboxes, pods and domains that count were made."""

    inboxes: tuple[InboxId, ...]
    totals: Mapping[str, int]
    made: Mapping[str, tuple[int, ...]]


def span(now: int, start: int | None, end: int | None, period: int, ahead: int = 0) -> Span:
    """The last day unless said. InvalidRequest: it is too long for MOST points, with `ahead` seconds before it."""
    until = now if end is None else min(end, now)
    since = until - DAY if start is None else start
    if since < now - BACK:
        raise InvalidRequest("start must be within the last 90 days")
    if since >= until:
        raise InvalidRequest("start must be before end")
    if (until - since + ahead) // period > MOST:
        raise InvalidRequest(f"period: the time asked for has more than {MOST} of it")
    return Span(since, until, period)


def events_counted(rx: Rx, asked: Asked, names: frozenset[str], over: Slice) -> dict[str, Buckets]:
    """Bucket -> how many, for each name: none of what never happens here."""
    found: dict[str, Buckets] = {name: _READ[name](rx, over) if name in _READ else {} for name in names}
    if VERIFIED in names:
        times = (at for at in asked.made["domain_count"] if over.since <= at < over.until)
        found[VERIFIED] = _counted(times, over.period)
    return found


def usage_counted(
    rx: Rx, asked: Asked, names: frozenset[str], over: Span, now: int
) -> dict[str, list[tuple[int, int]]]:
    """(time, how much there was) for each name."""
    first = over.grid().start
    ever = Slice(asked.inboxes, first, _END, over.period, most=_END)
    totals, since = dict(asked.totals), dict[str, Buckets]()
    if names & {"message_count", "storage_bytes"}:
        since["message_count"], since["storage_bytes"] = series.kept(rx, ever)
    if "thread_count" in names:
        totals["thread_count"] = series.threads(rx, asked.inboxes)
        since["thread_count"] = series.new_threads(rx, ever)
    for name, times in asked.made.items():
        totals[name], since[name] = len(times), _counted((at for at in times if at >= first), over.period)
    return {name: running(totals[name], since[name], over, now) for name in names}


def rates_counted(rx: Rx, asked: Asked, over: Span, window: int) -> dict[str, list[tuple[int, int, int]]]:
    """(time, sent, came back) for each name; nobody complains here."""
    grid = over.grid()
    where = Slice(asked.inboxes, grid.start - window, over.until, over.period, most=_END)
    sent, bounced = series.sent_to(rx, where), series.bounced(rx, where)
    return {
        name: [(at, _within(sent, at, window, over.period), _within(back, at, window, over.period)) for at in grid]
        for name, back in (("bounce", bounced), ("complaint", Buckets()))
    }


def running(total: int, since: Buckets, over: Span, now: int) -> list[tuple[int, int]]:
    """What there was at each point of the grid: all that there is, less what came from then on. Pure."""
    found: list[tuple[int, int]] = []
    buckets, left = sorted(since), total
    for at in reversed(over.grid()):
        while buckets and buckets[-1] * over.period >= at:
            left -= since[buckets.pop()]
        found.append((at, left))
    if over.until == now:
        found = [(now, total), *(point for point in found if point[0] != now)]
    return found[::-1]


def _within(counts: Buckets, end: int, window: int, period: int) -> int:
    return sum(counts.get(bucket, 0) for bucket in range((end - window) // period, end // period))


def _counted(times: Iterable[int], period: int) -> Buckets:
    found: Buckets = {}
    for at in times:
        found[at // period] = found.get(at // period, 0) + 1
    return found


