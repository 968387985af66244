"""The store as a whole, and the server that holds it."""

from __future__ import annotations

from gateway.control.frames import Json
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
