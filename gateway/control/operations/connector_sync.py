"""Syncing a connector now, with whoever asked looking on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from gateway.connectors.askers import SyncResult
from gateway.connectors.checks import are_folder_patterns, is_since
from gateway.connectors.progress import SyncRun
from gateway.connectors.scope import Scope
from gateway.connectors.work import day_of
from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest
from gateway.store.connectors import accounts

from .connectors import found
from .registry import Context, Stream, operation

TELL_S = 0.2
"""Between two words about progress."""


@operation("connector.sync")
async def connector_sync(
    context: Context, stream: Stream, *, name: str, pod: str | None = None, logs: bool = False, confirm: bool = False,
    folder: str = "", since: str = "",
) -> Json:  # fmt: skip
    """Sync a connector and wait for the end; progress comes as events.

    `folder`: only this one, by its name there, role or pattern. `since`: older mail, by date or age in days, is left
    for later. `confirm`: messages that are gone from the account in large numbers are really gone. Where another
    process of the store has the connector, that one is asked for all and nothing is waited for: `waited` is false.
    """
    live = context.live_sync
    if live is None:
        raise InvalidRequest("A sync needs the running server: gateway serve")
    known = await found(context, name, pod)
    row = known.row
    if not row.enabled:
        raise InvalidRequest(f"Connector {row.name} is disabled: gateway connector enable {row.name}")
    if not known.options.imap.enabled:
        raise InvalidRequest(f"Connector {row.name} is for sending only, there is nothing to sync")
    if (wrong := is_since(since)) is not None:
        raise InvalidRequest(f"{since!r} {wrong}")
    if folder and (wrong := are_folder_patterns((folder,))) is not None:
        raise InvalidRequest(wrong)
    scope = Scope(folder, day_of(since, int(context.now())))
    if confirm:
        live.confirm(row.id)
    last: list[SyncRun] = []
    asked = asyncio.ensure_future(live.sync(row.id, lambda run: last.__setitem__(slice(None), [run]), scope))
    try:
        while not asked.done():
            await asyncio.wait([asked], timeout=TELL_S)
            if last:
                await stream.send({"progress": _counts(last.pop())})
    finally:
        asked.cancel()
    result = await asked
    if result is None:
        now = int(context.now())
        await context.db.write(lambda tx: accounts.ask_sync(tx, row.id, now=now))
        return {"waited": False}
    return _result(result, logs=logs)


def _counts(run: SyncRun) -> dict[str, Json]:
    return {
        "run": run.run,
        "folder": run.folder,
        "folders": run.folders,
        "imported": run.imported,
        "expected": run.expected,
        "octets": run.octets,
        "flags": run.flags,
        "vanished": run.vanished,
        "remapped": run.remapped,
        "poisoned": run.poisoned,
        "pushed": run.pushed,
    }


def _result(result: SyncResult, *, logs: bool) -> Json:
    return {
        "waited": True,
        "success": result.failure is None,
        "failure": result.failure,
        "message": result.message,
        **_counts(result.run),
        "email_ids": result.run.email_ids,
        "notes": result.run.notes,
        "logs": [f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} {line}" for at, line in result.log] if logs else [],
    }
