"""How much happened when, how much there was, and how much of what was sent came back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, TypeVar, get_args

from fastapi import APIRouter, Query
from pydantic import BeforeValidator

from gateway.access.caller import Caller, inboxes_of
from gateway.model.errors import InvalidRequest
from gateway.store import pods
from gateway.store.db import Rx
from gateway.store.metric_series import MOST, Slice
from gateway.web.api.domains import domains_of
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from .counting import BACK, DAY, Asked, events_counted, rates_counted, span, usage_counted
from .parts import Area, Flag, In, Moment, Theirs, listed, moment, new_router, unix

T = TypeVar("T")
router: APIRouter = new_router()
HOUR: Final = 3_600
EVERYWHERE: Final = ("", "/pods/{pod_id}", "/inboxes/{inbox_id}")
EventName = Literal[
    "message.received", "message.received.spam", "message.received.blocked", "message.received.unauthenticated",
    "message.sent", "message.delivered", "message.bounced", "message.complained", "message.rejected",
    "domain.verified",
]  # fmt: skip
Usage = Literal["storage_bytes", "message_count", "thread_count", "inbox_count", "pod_count", "domain_count"]
RateName = Literal["bounce", "complaint"]
EventNames = Annotated[list[EventName] | None, BeforeValidator(listed), Query(max_length=20)]
Usages = Annotated[list[Usage] | None, BeforeValidator(listed), Query(max_length=20)]
RateNames = Annotated[list[RateName] | None, BeforeValidator(listed), Query(max_length=20)]
Seconds = Annotated[int | None, Query(ge=1, le=BACK, description="Seconds")]
Most = Annotated[int, Query(ge=1, description=f"Points of a series, {MOST} at most")]


class Bucket(Theirs):
    """`timestamp`: when it begins."""

    timestamp: datetime
    count: int


class Point(Theirs):
    timestamp: datetime
    value: int


class Rate(Theirs):
    """Of the `window` seconds before `timestamp`; without a `rate` where nothing was sent in them."""

    timestamp: datetime
    rate: float | None = None
    sent: int


async def _asked(services: WebServices, who: Caller, area: Area) -> Asked:
    who.need("metrics_read")

    def query(rx: Rx) -> Asked:
        inner = area.of(rx, who)
        found = inboxes_of(rx, inner)
        own = {inbox.pod_id for inbox in found} | {inner.pod_id}
        return Asked(
            tuple(inbox.id for inbox in found),
            {
                "storage_bytes": sum(inbox.octets for inbox in found),
                "message_count": sum(inbox.messages for inbox in found),
            },
            {
                "inbox_count": tuple(inbox.created_at for inbox in found),
                "pod_count": tuple(pod.created_at for pod in pods.pods(rx) if inner.may_all or pod.id in own),
                "domain_count": tuple(domain.created_at for domain in domains_of(rx, inner)),
            },
        )

    return await services.db.read(query)


def _cut(points: list[T], limit: int, descending: bool) -> list[T]:
    return (points[::-1] if descending else points)[: min(limit, MOST)]


def _paths(path: str) -> None:
    @router.get(f"{path}/metrics/events")
    async def query_events(
        services: Services, who: Who, area: In, event_types: EventNames = None, start: Moment = None,
        end: Moment = None, period: Seconds = None, limit: Most = MOST, descending: Flag = False,
    ) -> dict[str, list[Bucket]]:  # fmt: skip
        """How often something happened in each `period`, without one in each second; where nothing did is left out."""
        asked = await _asked(services, who, area)
        over = span(int(services.clock()), unix(start), unix(end), period or BACK)
        each, most = period or 1, min(limit, MOST)
        found = await services.db.offload_bulk(
            events_counted, asked, frozenset(event_types or get_args(EventName)),
            Slice(asked.inboxes, over.since, over.until + 1, each, most, descending),
        )  # fmt: skip
        return {
            name: _cut([
                Bucket(timestamp=moment(bucket * each), count=count) for bucket, count in sorted(counts.items())
            ], most, descending)
            for name, counts in sorted(found.items())
        }  # fmt: skip

    @router.get(f"{path}/metrics/usage")
    async def query_usage(
        services: Services, who: Who, area: In, usage_types: Usages = None, start: Moment = None,
        end: Moment = None, period: Seconds = None, limit: Most = MOST, descending: Flag = False,
    ) -> dict[str, list[Point]]:  # fmt: skip
        """How much there was at each multiple of `period` (an hour), and is now, of what is there still."""
        asked, now = await _asked(services, who, area), int(services.clock())
        over = span(now, unix(start), unix(end), period or HOUR)
        wanted = frozenset(usage_types or get_args(Usage))
        found = await services.db.offload_bulk(usage_counted, asked, wanted, over, now)
        return {
            name: _cut([Point(timestamp=moment(at), value=value) for at, value in points], limit, descending)
            for name, points in sorted(found.items())
        }

    @router.get(f"{path}/metrics/rates")
    async def query_rates(
        services: Services, who: Who, area: In, rate_types: RateNames = None, start: Moment = None,
        end: Moment = None, period: Seconds = None, window: Seconds = None, limit: Most = MOST,
        descending: Flag = False,
    ) -> dict[str, list[Rate]]:  # fmt: skip
        """Which part of what was sent within `window` (a day) came back, at each multiple of `period` (an hour)."""
        asked = await _asked(services, who, area)
        step, behind = period or HOUR, window or DAY
        if behind % step:
            raise InvalidRequest("window must be a multiple of period")
        over = span(int(services.clock()), unix(start), unix(end), step, behind)
        found = await services.db.offload_bulk(rates_counted, asked, over, behind)
        return {
            name: _cut([
                Rate(timestamp=moment(at), rate=back / sent if sent else None, sent=sent)
                for at, sent, back in found[name]
            ], limit, descending)
            for name in rate_types or get_args(RateName)
        }  # fmt: skip


for _path in EVERYWHERE:
    _paths(_path)
