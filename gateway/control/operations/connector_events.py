"""What connectors did: each sync and each mail sent through an account."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest
from gateway.store.connectors import accounts, events
from gateway.store.connectors.events import Event, EventKind, EventStatus, Filter
from gateway.store.connectors.rows import ConnectorId
from gateway.store.db import Rx

from .accounts import pod_named
from .registry import Context, Stream, operation
from .values import moment

MOST = 1_000
LONGEST_WAIT_S = 60
LOOK_S = 1.0
"""Events of other processes of the store are seen so late."""
PAGE = 500


def _event(event: Event, names: Mapping[int, str]) -> dict[str, Json]:
    return {
        "id": event.id,
        "connector": names.get(event.connector_id),
        "kind": event.kind.value,
        "status": event.status.value,
        "at": moment(event.at),
        "failure": event.failure,
        "size": event.size,
        "message": event.message,
        "detail": dict(event.detail),
        "run": event.run,
        "seen": event.seen,
    }


def _names(rx: Rx, found: list[Event]) -> dict[int, str]:
    """Of the connectors that events are of; one that was removed has none."""
    wanted = {event.connector_id for event in found}
    names: dict[int, str] = {}
    after = 0
    while wanted and (page := accounts.page(rx, after=after, limit=PAGE)):
        names |= {row.id: row.name for row in page if row.id in wanted}
        after = page[-1].id
        if wanted <= names.keys() or after >= max(wanted):
            break
    return names


@operation("connector.events")
async def connector_events(
    context: Context, stream: Stream, *, name: str | None = None, pod: str | None = None, kind: str | None = None,
    failed: bool = False, unseen: bool = False, limit: int = 50, after: int | None = None, wait: int = 0,
) -> Json:
    """The last `limit` events, the oldest first; with `after` those above that number, for which it waits so long."""
    if not 0 < limit <= MOST or not 0 <= wait <= LONGEST_WAIT_S:
        raise InvalidRequest(f"limit is from 1 to {MOST}, wait from 0 to {LONGEST_WAIT_S}")
    if kind is not None and kind.upper() not in EventKind.__members__:
        raise InvalidRequest("kind is send or sync")

    def wanted(rx: Rx) -> Filter:
        pod_id = None if pod is None else pod_named(rx, pod).id
        number: ConnectorId | None = None if name is None else accounts.find(rx, name, pod_id).id
        return Filter(
            number, None if kind is None else EventKind(kind.upper()), EventStatus.FAILED if failed else None, unseen
        )

    def query(rx: Rx) -> tuple[list[dict[str, Json]], int]:
        what = wanted(rx)
        if after is None:
            found = events.newest(rx, what, limit=limit)[::-1]
        else:
            found = events.since(rx, after, what, limit=limit)
        names = _names(rx, found)
        return [_event(event, names) for event in found], events.last(rx)

    rows, last = await context.db.read(query)
    until = asyncio.get_running_loop().time() + wait
    while not rows and after is not None and asyncio.get_running_loop().time() < until:
        await asyncio.sleep(LOOK_S)
        rows, last = await context.db.read(query)
    return {"events": rows, "last": last}


@operation("connector.event")
async def connector_event(context: Context, stream: Stream, *, number: int) -> Json:
    """One event with its log. NotFound."""

    def query(rx: Rx) -> Json:
        event = events.get(rx, number)
        return _event(event, _names(rx, [event])) | {"log": (events.log_of(rx, number) or "").splitlines()}

    return await context.db.read(query)


@operation("connector.seen")
async def connector_seen(context: Context, stream: Stream, *, numbers: list[int]) -> Json:
    """Somebody has seen these events; how many that changes."""
    return {"events": await context.db.write(lambda tx: events.mark_seen(tx, numbers[:MOST]))}
