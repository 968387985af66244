"""API keys: made once and shown once, listed without secrets, revoked at once."""

from __future__ import annotations

from dataclasses import replace

from gateway.auth import issue
from gateway.auth.issue import KeySpec
from gateway.auth.keys import parse
from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import DEFAULT_BUNDLES, ScopeKind, bundles_in, expand
from gateway.model.rates import UNSAID
from gateway.store import keys
from gateway.store.db import Rx, Tx
from gateway.store.keys import KeyRow

from .accounts import inbox_named, inbox_names, pod_named, pod_names, rates_given, sent_copy_named
from .registry import Context, Stream, operation
from .values import moment


def _key(row: KeyRow, pods: dict[PodId, str], inboxes: dict[InboxId, str], now: float) -> dict[str, Json]:
    return {
        "id": row.key_id,
        "name": row.name,
        "opens": _opens(row, pods, inboxes),
        "scope": str(row.scope),
        "permissions": bundles_in(row.permissions),
        "sent_copy": row.sent_copy,
        "per_hour": row.rates.per_hour,
        "per_day": row.rates.per_day,
        "state": _state(row, now),
        "created_at": moment(row.created_at),
        "expires_at": moment(row.expires_at),
        "revoked_at": moment(row.revoked_at),
        "last_used_at": moment(row.last_used_at),
    }


def _opens(row: KeyRow, pods: dict[PodId, str], inboxes: dict[InboxId, str]) -> str:
    if row.inbox_id is not None:
        return inboxes.get(row.inbox_id, "an inbox that is gone")
    if row.pod_id is not None:
        return f"pod {pods.get(row.pod_id, 'that is gone')}"
    return "everything"


def _state(row: KeyRow, now: float) -> str:
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= now else "active"


@operation("key.create")
async def key_create(
    context: Context,
    stream: Stream,
    *,
    inbox: str | None = None,
    pod: str | None = None,
    everything: bool = False,
    name: str = "",
    expires: int | None = None,
    permissions: list[str] | None = None,
    sent_copy: str | None = None,
    per_hour: int | None = None,
    per_day: int | None = None,
) -> Json:
    """The new key's row and, in `key`, its text. `expires`: Unix seconds. `permissions`: bundles or single names.

    `sent_copy`: auto, always or never for what this key sends; None: as the inbox has it. `per_hour`, `per_day`:
    recipients that it may send to; 0: any; None: as is configured for all keys.
    """
    if sum((inbox is not None, pod is not None, everything)) != 1:
        raise InvalidRequest("A key opens an inbox, a pod or everything: name exactly one")
    try:
        allowed = expand(DEFAULT_BUNDLES if permissions is None else permissions)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    copies = sent_copy_named(sent_copy)
    rates = rates_given(UNSAID, per_hour, per_day)
    now = int(context.now())
    label = name.strip() or "unnamed"
    drawn = await issue.draw(context.db)

    def unit(tx: Tx) -> dict[str, Json]:
        if inbox is not None:
            spec = KeySpec(label, ScopeKind.INBOX, allowed, inbox_id=inbox_named(tx, inbox).id)
        elif pod is not None:
            spec = KeySpec(label, ScopeKind.POD, allowed, pod_id=pod_named(tx, pod).id)
        else:
            spec = KeySpec(label, ScopeKind.ALL, allowed)
        spec = replace(spec, expires_at=expires, sent_copy=copies, rates=rates)
        return _key(issue.insert(tx, spec, drawn, now).row, pod_names(tx), inbox_names(tx), now)

    return {"key": drawn.key.text} | await context.db.write(unit)


@operation("key.list")
async def key_list(
    context: Context, stream: Stream, *, inbox: str | None = None, pod: str | None = None, revoked: bool = False
) -> Json:
    """All keys, those of one inbox, or those of one pod and its inboxes; with `revoked` the revoked ones too."""
    now = context.now()

    def query(rx: Rx) -> Json:
        inbox_id = inbox_named(rx, inbox).id if inbox is not None else None
        pod_id = pod_named(rx, pod).id if pod is not None else None
        pods, inboxes = pod_names(rx), inbox_names(rx)
        found = keys.keys(rx, pod_id=pod_id, inbox_id=inbox_id, include_revoked=revoked)
        return [_key(row, pods, inboxes, now) for row in found]

    return await context.db.read(query)


@operation("key.revoke")
async def key_revoke(context: Context, stream: Stream, *, key_id: str) -> Json:
    """End a key by its id or its whole text; sessions that logged in with it end within a second."""
    whole = parse(key_id)
    wanted = whole.key_id if whole is not None else key_id
    now = int(context.now())

    def unit(tx: Tx) -> None:
        row = keys.key_by_key_id(tx, wanted)
        if row is None:
            raise NotFound(f"There is no key with the id {wanted[:16]}")
        keys.revoke(tx, row.id, now)

    await context.db.write(unit)
    return None
