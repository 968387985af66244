"""Connectors: accounts elsewhere that inboxes here are kept in sync with, and send through."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gateway.connectors import given as givens
from gateway.connectors.accounts import resolved
from gateway.connectors.advice import Side, advise
from gateway.connectors.desk import BOTH, Desk
from gateway.connectors.given import FIELDS, Given
from gateway.connectors.options import Options
from gateway.connectors.presets import provider_of
from gateway.connectors.probe import Probe, Step
from gateway.connectors.resolve import resolve
from gateway.connectors.service import Found
from gateway.connectors.telling import NEVER
from gateway.control.frames import Json
from gateway.fields.setting import Secret
from gateway.fields.values import Source
from gateway.model.errors import AlreadyExists, GatewayError, InvalidName, InvalidRequest
from gateway.model.ids import InboxId, PodId
from gateway.outbound.failure import Failure
from gateway.store import addresses, inboxes, pods
from gateway.store.connectors import accounts, grants, removal, reset
from gateway.store.connectors.rows import ConnectorId, ConnectorRow, ConnectorState
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox

from .accounts import inbox_named, inbox_names, pod_named, pod_names
from .registry import Context, Stream, operation
from .values import moment

PAGE = 500
SENDS_ONLY = "sends"
_FAILURES = frozenset(failure.value for failure in Failure)
_SOURCE = Source("options", Path(), {}, literal=True)
"""Values come whole: the caller has read the files and variables that a person may name."""


def desk_of(context: Context) -> Desk:
    if context.desk is None:
        raise InvalidRequest("This server knows no connectors")
    return context.desk


async def found(context: Context, name: str, pod: str | None) -> Found:
    """By name, address or UUID. NotFound; Ambiguous."""
    pod_id = None if pod is None else await context.db.read(lambda rx: pod_named(rx, pod).id)
    return await desk_of(context).connectors.find(name, pod_id)


def _given(options: Mapping[str, Json] | None) -> Given:
    return givens.from_tables(options or {}, _SOURCE)


def _state(row: ConnectorRow) -> str:
    """As people read it: one that is never read would be `new` for ever."""
    if not row.enabled:  # an import that has ended is switched off by that
        return row.state.value if row.state is ConnectorState.DONE else "disabled"
    try:
        reads = resolved(row, givens.from_json(row.options)).imap.enabled
    except GatewayError:  # of an older version, and refused today: the state says so
        reads = True
    return row.state.value if reads else SENDS_ONLY


def _remedy(row: ConnectorRow) -> str | None:
    """What to do about what fails now; None when nothing does, or when it is no failure of a server."""
    if not row.enabled or row.failure not in _FAILURES:
        return None
    return advise(Failure(row.failure), "imap", row.provider or provider_of(row.address), row.name)


def _row(row: ConnectorRow, pods: Mapping[PodId, str], boxes: Mapping[InboxId, str]) -> dict[str, Json]:
    return {
        "name": row.name,
        "address": row.address,
        "inbox": boxes.get(row.inbox_id),
        "pod": pods.get(row.pod_id),
        "provider": row.provider,
        "mode": row.mode,
        "enabled": row.enabled,
        "state": _state(row),
        "reason": row.reason,
        "failure": row.failure,
        "advice": _remedy(row),
        "failures": row.failures,
        "state_since": moment(row.state_since),
        "next_try": moment(row.not_before) if 0 < row.not_before < NEVER else None,
        "last_sync_at": moment(row.last_sync_at),
        "last_success_at": moment(row.last_success_at),
        "grant": row.grant_id,
        "created_at": moment(row.created_at),
        "updated_at": moment(row.updated_at),
        "id": row.uuid,
    }


async def _shown(context: Context, found: Found) -> dict[str, Json]:
    def query(rx: Rx) -> dict[str, Json]:
        return _row(found.row, pod_names(rx), inbox_names(rx))

    shown = await context.db.read(query)
    return shown | {"given": json.loads(found.given.to_json()), "options": _options(found.options)}


def _options(options: Options) -> dict[str, Json]:
    """What holds; of a secret, whether there is one."""
    return {
        section: {key: _plain(getattr(getattr(options, section), field.name)) for key, field in fields.items()}
        for section, fields in FIELDS.items()
    }


def _plain(value: Any) -> Json:
    if isinstance(value, Secret):
        return "set" if value else ""
    return list(value) if isinstance(value, tuple) else value


def _fits(rx: Rx, address: str, inbox: str | None) -> None:
    """Errors that name what was typed; the unit that makes the connector sees to the rules."""
    for text in (address, inbox):
        try:
            domain = addresses.canonical_address(text or address).rpartition("@")[2]
        except InvalidName:
            raise InvalidName(f"{text} is no e-mail address") from None
        if text == address and any(each.name == domain and each.local for each in pods.domains(rx)):
            raise InvalidRequest(f"Mail of {domain} is delivered here: a connector is for an account elsewhere")


def _owner(rx: Rx, address: str) -> Inbox | None:
    """Whose address it is, external ones too. All are looked at: this is for what was refused."""
    wanted = addresses.canonical_address(address)
    row = next((each for each in addresses.addresses(rx) if each.address == wanted), None)
    return inboxes.inbox_by_id(rx, row.inbox_id) if row is not None else None


@operation("connector.add")
async def connector_add(
    context: Context, stream: Stream, *, name: str, address: str, options: dict[str, Any] | None = None,
    provider: str | None = None, inbox: str | None = None, pod: str | None = None, enabled: bool = True,
) -> Json:
    """A new connector. `inbox`: an address; one that no inbox has is made, and without it one like the account's."""

    def where(rx: Rx) -> tuple[PodId, InboxId | None]:
        _fits(rx, address, inbox)
        box = inboxes.inbox_by_address(rx, inbox) if inbox is not None else None
        if box is not None and (pod is None or pod_named(rx, pod).id == box.pod_id):
            return box.pod_id, box.id
        return pod_named(rx, pod or "default").id, None

    pod_id, inbox_id = await context.db.read(where)
    try:
        made = await desk_of(context).connectors.add(
            name, address, _given(options), pod_id=pod_id, provider=provider, inbox_id=inbox_id,
            inbox_address=inbox if inbox_id is None else None, enabled=enabled,
        )  # fmt: skip
    except AlreadyExists:
        owner = await context.db.read(lambda rx: _owner(rx, address))
        if owner is None or owner.id == inbox_id:  # it is the name
            raise
        raise AlreadyExists(
            f"{address} is an address of inbox {owner.address} already: name that inbox (--inbox), or remove the"
            " connector or address there"
        ) from None
    return await _shown(context, made)


@operation("connector.list")
async def connector_list(
    context: Context, stream: Stream, *, pod: str | None = None, inbox: str | None = None
) -> Json:
    """All, or those of a pod or an inbox."""

    def page(rx: Rx, after: int) -> tuple[list[dict[str, Json]], int]:
        pod_id = None if pod is None else pod_named(rx, pod).id
        inbox_id = None if inbox is None else inbox_named(rx, inbox).id
        rows = accounts.page(rx, pod_id=pod_id, inbox_id=inbox_id, after=after, limit=PAGE)
        pods, boxes = pod_names(rx), inbox_names(rx)
        return [_row(row, pods, boxes) for row in rows], rows[-1].id if len(rows) == PAGE else 0

    found, after = await context.db.read(lambda rx: page(rx, 0))
    while after:
        more, after = await context.db.read(lambda rx, last=after: page(rx, last))  # type: ignore[misc]
        found += more
    return found


@operation("connector.some")
async def connector_some(context: Context, stream: Stream, *, numbers: list[int]) -> Json:
    """Those of these numbers of rows that are there, by number: a page of whoever lists them by another rule."""

    def query(rx: Rx) -> list[dict[str, Json]]:
        pods, boxes = pod_names(rx), inbox_names(rx)
        rows = sorted(accounts.some(rx, [ConnectorId(number) for number in numbers[:PAGE]]), key=lambda row: row.id)
        return [_row(row, pods, boxes) for row in rows]

    return await context.db.read(query)


@operation("connector.show")
async def connector_show(context: Context, stream: Stream, *, name: str, pod: str | None = None) -> Json:
    """`given`: what somebody said; `options`: what holds."""
    return await _shown(context, await found(context, name, pod))


@operation("connector.set")
async def connector_set(
    context: Context, stream: Stream, *, name: str, pod: str | None = None, options: dict[str, Any] | None = None,
    unset: list[str] | None = None, rename: str | None = None, provider: str | None = None, grant: int | None = None,
) -> Json:
    """`unset`: `section.key` each, the provider's again; `grant`: of OAuth, which it logs in with from now on.

    Whoever works on it begins anew with what holds then.
    """
    before = await found(context, name, pod)
    keys: dict[str, set[str]] = {}
    for path in unset or ():
        section, _, key = path.partition(".")
        if key not in FIELDS.get(section, {}):
            raise InvalidRequest(f"There is no option {path}")
        keys.setdefault(section, set()).add(key)
    if grant is not None:
        await context.db.read(lambda rx: grants.get(rx, grant))
    after = await desk_of(context).connectors.change(
        before, _given(options), unset={section: frozenset(names) for section, names in keys.items()}, name=rename,
        provider=provider, grant_id=grant,
    )  # fmt: skip
    return await _shown(context, after)


@operation("connector.remove")
async def connector_remove(context: Context, stream: Stream, *, name: str, pod: str | None = None) -> Json:
    """The mail stays here; what the account has is not touched. `waiting`: recipients of mail that it was to send.

    With `fallback` these go by the default relay, where there is one; else they are returned.
    """
    known = await found(context, name, pod)
    row, leg, now = known.row, known.options.smtp, int(context.now())
    waiting = await context.db.write(
        lambda tx: removal.remove(tx, row.id, now=now, sends=leg.enabled, fallback=leg.fallback)
    )
    return {"name": row.name, "address": row.address, "waiting": waiting, "fallback": leg.fallback}


@operation("connector.reset")
async def connector_reset(context: Context, stream: Stream, *, name: str, pod: str | None = None) -> Json:
    """All of each folder is compared again from the next sync on; nothing is fetched twice. How many folders."""
    row = (await found(context, name, pod)).row
    now, count, after = int(context.now()), 0, 0
    while (folder := await context.db.write(lambda tx, last=after: reset.reset(tx, row.id, last, now=now))) is not None:  # type: ignore[misc]
        count, after = count + 1, folder
    return {"folders": count}


@operation("connector.enable")
async def connector_enable(context: Context, stream: Stream, *, name: str, pod: str | None = None) -> Json:
    return await _switched(context, name, pod, enabled=True)


@operation("connector.disable")
async def connector_disable(context: Context, stream: Stream, *, name: str, pod: str | None = None) -> Json:
    """It stops at once: nothing is synced, and nothing sent through it."""
    return await _switched(context, name, pod, enabled=False)


async def _switched(context: Context, name: str, pod: str | None, *, enabled: bool) -> Json:
    number: ConnectorId = (await found(context, name, pod)).row.id
    now = int(context.now())

    def unit(tx: Tx) -> Json:
        return _row(accounts.set_enabled(tx, number, enabled, now=now), pod_names(tx), inbox_names(tx))

    return await context.db.write(unit)


@operation("connector.test")
async def connector_test(
    context: Context, stream: Stream, *, name: str | None = None, pod: str | None = None, side: str | None = None,
    address: str | None = None, provider: str | None = None, options: dict[str, Any] | None = None,
) -> Json:
    """Test a stored connector (`name`), with `options` instead of what it has; or options of an `address` alone.

    Steps come as events while it goes on.
    """
    desk = desk_of(context)
    if side is not None and side not in BOTH:
        raise InvalidRequest("side is imap or smtp")
    sides: tuple[Side, ...] = BOTH if side is None else ("imap",) if side == "imap" else ("smtp",)
    if name is not None:
        known = await found(context, name, pod)
        kind = provider or known.row.provider or ""
        wanted = known.given.merged(_given(options))
        known = Found(known.row, wanted, resolve(wanted, kind, known.row.address))
        return await _told(stream, partial(desk.test, known, sides))
    if address is None:
        raise InvalidRequest("A test needs the name of a connector, or an address")
    kind = provider or provider_of(address)
    unsaved = resolve(_given(options), kind, address)
    return await _told(stream, partial(desk.test_options, unsaved, address=address, provider=kind, sides=sides))


async def _told(stream: Stream, test: Callable[..., Awaitable[list[Probe]]]) -> list[Json]:
    """Each step as it is done, then what was found."""
    steps: asyncio.Queue[Json] = asyncio.Queue()
    testing = asyncio.ensure_future(test(tell=lambda side, step: steps.put_nowait({"side": side, **_step(step)})))
    testing.add_done_callback(lambda done: steps.put_nowait(None))
    try:
        while (step := await steps.get()) is not None:
            await stream.send({"progress": step})
    finally:
        testing.cancel()
    return [_probe(probe) for probe in await testing]


def _step(step: Step) -> dict[str, Json]:
    return {"name": step.name, "ok": step.ok, "ms": step.ms, "text": step.text}


def _probe(probe: Probe) -> Json:
    return {
        "side": probe.side,
        "success": probe.success,
        "message": probe.message,
        "failure": probe.failure.value if probe.failure is not None else None,
        "advice": probe.advice,
        "said": probe.said,
        "steps": [_step(step) for step in probe.steps],
        "logs": probe.logs,
    }
