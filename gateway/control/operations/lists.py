"""Allow and block lists: whom an inbox may write to, and whose mail it takes."""

from __future__ import annotations

from typing import TypeVar

from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind
from gateway.store import lists
from gateway.store.db import Rx, Tx
from gateway.store.lists import Decision, Direction, ListEntry, Place, Verdict

from .accounts import inbox_named, inbox_names, pod_named, pod_names
from .registry import Context, Stream, operation
from .values import moment

Word = TypeVar("Word", Direction, Verdict)


def _word(kind: type[Word], text: str) -> Word:
    try:
        return kind(text)
    except ValueError:
        raise InvalidRequest(f"{kind.__name__.lower()} is one of {', '.join(kind)}") from None


def _place(rx: Rx, pod: str | None, inbox: str | None) -> Place:
    if pod is not None and inbox is not None:
        raise InvalidRequest("An entry is for a pod or for an inbox")
    if inbox is not None:
        return Place(ScopeKind.INBOX, PodId(0), inbox_named(rx, inbox).id)
    if pod is not None:
        return Place(ScopeKind.POD, pod_named(rx, pod).id, InboxId(0))
    return lists.EVERYWHERE


def _entry(entry: ListEntry, pods: dict[PodId, str], inboxes: dict[InboxId, str]) -> dict[str, Json]:
    return {
        "id": entry.uuid,
        "direction": entry.direction.value,
        "verdict": entry.verdict.value,
        "pattern": entry.pattern,
        "scope": entry.scope.value,
        "pod": pods.get(entry.pod_id) if entry.pod_id else None,
        "inbox": inboxes.get(entry.inbox_id) if entry.inbox_id else None,
        "reason": entry.reason,
        "created_at": moment(entry.created_at),
    }


@operation("list.add")
async def list_add(
    context: Context, stream: Stream, *, direction: str, verdict: str, pattern: str, pod: str | None = None,
    inbox: str | None = None, reason: str | None = None,
) -> Json:
    """An entry for an inbox, a pod or, with neither, everybody; one that is there already takes the new verdict."""
    now = int(context.now())
    way, judged = _word(Direction, direction), _word(Verdict, verdict)

    def unit(tx: Tx) -> Json:
        entry = lists.put(tx, _place(tx, pod, inbox), way, judged, pattern, now=now, reason=reason)
        return _entry(entry, pod_names(tx), inbox_names(tx))

    return await context.db.write(unit)


@operation("list.remove")
async def list_remove(
    context: Context, stream: Stream, *, direction: str, pattern: str, pod: str | None = None, inbox: str | None = None
) -> Json:
    """NotFound when that list has no such entry."""
    way = _word(Direction, direction)
    await context.db.write(lambda tx: lists.remove(tx, _place(tx, pod, inbox), way, pattern))
    return None


@operation("list.list")
async def list_list(
    context: Context, stream: Stream, *, direction: str | None = None, pod: str | None = None, inbox: str | None = None
) -> Json:
    """All entries, or those of a direction, of a pod, of an inbox itself."""
    way = None if direction is None else _word(Direction, direction)

    def query(rx: Rx) -> Json:
        place = _place(rx, pod, inbox)
        pods, inboxes = pod_names(rx), inbox_names(rx)
        found = lists.entries(rx)
        if place != lists.EVERYWHERE:
            found = [entry for entry in found if Place(entry.scope, entry.pod_id, entry.inbox_id) == place]
        return [_entry(entry, pods, inboxes) for entry in found if way is None or entry.direction is way]

    return await context.db.read(query)


@operation("list.check")
async def list_check(
    context: Context, stream: Stream, *, direction: str, address: str, inbox: str
) -> Json:
    """What the lists say about `address` to an inbox, and which entry decides."""
    way = _word(Direction, direction)

    def query(rx: Rx) -> Json:
        inbox_id = inbox_named(rx, inbox).id
        said = lists.excerpt(rx, way, inbox_id, (address,))
        if way is Direction.REPLY:
            decision = lists.decide_reply(said, lists.excerpt(rx, Direction.RECEIVE, inbox_id, (address,)))
        elif way is Direction.SEND:
            decision = lists.may_send(rx, inbox_id, address)
        else:
            decision = lists.decide(said)
        entry = None if decision.entry is None else _entry(decision.entry, pod_names(rx), inbox_names(rx))
        return {"allowed": decision.allowed, "why": _why(decision), "entry": entry}

    return await context.db.read(query)


def _why(decision: Decision) -> str:
    if decision.entry is not None:
        return f"{decision.entry.verdict} {decision.entry.pattern}, scope {decision.scope}"
    if decision.scope is not None:
        return f"scope {decision.scope} allows others only"
    if not decision.allowed:
        return "there are entries, and none can name such an address"
    return "no list says anything"
