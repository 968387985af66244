"""The store as a whole, and the server that holds it."""

from __future__ import annotations

from gateway.control.frames import Json
from gateway.maintain.store_check import repair, run_check
from gateway.model.errors import InvalidRequest

from .registry import Context, Stream, operation


@operation("server.status")
async def server_status(context: Context, stream: Stream) -> Json:
    """Ports, connections and start of the running server; None when none runs."""
    return context.status() if context.status is not None else None


@operation("server.reload")
async def server_reload(context: Context, stream: Stream) -> Json:
    """As SIGHUP, with the answer. ConfigError: nothing has changed."""
    if context.reload is None:
        raise InvalidRequest("No server is running")
    return await context.reload()


@operation("store.check")
async def store_check(context: Context, stream: Stream, *, deep: bool = False, mend: bool = False) -> Json:
    """What the store breaks of its own promises. `deep` hashes every message; `mend` repairs what can be computed."""
    found = await run_check(context.db, deep=deep)
    if mend and found:
        found = await repair(context.db, found)
    return [{"code": finding.code, "text": finding.text, "remedy": finding.remedy} for finding in found]
