"""The master key, which seals stored passwords and tokens."""

from __future__ import annotations

from gateway.control.frames import Json
from gateway.store import resealing

from .connectors import desk_of
from .registry import Context, Stream, operation


@operation("secrets.rotate")
async def secrets_rotate(context: Context, stream: Stream, *, forget: bool = False) -> Json:
    """A new master key, and everything sealed anew. `forget`: the old keys go; older backups need them. ConfigError."""
    done = await resealing.rotate(context.db, desk_of(context).vault, forget=forget)
    return {
        "key_id": done.key_id, "resealed": done.resealed, "damaged": list(done.damaged), "forgotten": done.forgotten,
    }  # fmt: skip


@operation("secrets.abandon")
async def secrets_abandon(context: Context, stream: Stream) -> Json:
    """Remove all sealed secrets, for their key is lost. InvalidRequest while it is not. How many there were."""
    return {"removed": await resealing.abandon(context.db, desk_of(context).vault)}
