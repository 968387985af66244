"""Where an administrator's operation runs: in the server that holds the store, or here when none does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from gateway.config import Config
from gateway.control.client import Caller, SocketCaller
from gateway.model.errors import ConfigError

from .datadir import CONTROL_SOCKET, Busy

WAIT_FOR_LOCK_S: Final = 10.0  # another command may hold the store for a moment, or a server is just starting
_RETRY_S: Final = 0.05


@asynccontextmanager
async def open_caller(config: Config, *, before_local: Callable[[], None] | None = None) -> AsyncIterator[Caller]:
    """Runs operations on the configured store; `before_local` is called before that is begun in this process.

    With a server on the data directory: over its control socket. Without one: in this process, under the directory's
    lock (a PostgreSQL store may be served by other nodes; they notice through the database). ConfigError when there
    is no store yet, Busy when another process keeps the directory without serving.
    """
    socket = config.store.data_dir / CONTROL_SOCKET
    if await is_serving(socket):
        yield SocketCaller(socket)
        return
    if before_local is not None:
        before_local()
    async with AsyncExitStack() as stack:
        deadline = time.monotonic() + WAIT_FOR_LOCK_S
        while True:
            try:
                caller = await stack.enter_async_context(_local(config))
                break
            except Busy:
                if await is_serving(socket):
                    caller = SocketCaller(socket)
                    break
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(_RETRY_S)
        yield caller


async def is_serving(socket: Path) -> bool:
    """Whether somebody listens there; a socket file left by a crash does not."""
    try:
        await SocketCaller(socket).probe()
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        return False
    return True


@asynccontextmanager
async def _local(config: Config) -> AsyncIterator[Caller]:
    # Only now, for these imports take longer than most commands beside a running server.
    from gateway.connectors.desk import Desk
    from gateway.control.local import LocalCaller
    from gateway.control.operations import Context
    from gateway.ingest.writer import Ingest

    from .settings import master_key, reach, routes_without_logins
    from .storage import held_data_dir, opened_store, store_is_missing

    if store_is_missing(config):
        raise ConfigError(f"There is no store in {config.store.data_dir} yet; make one with: gateway init")
    async with held_data_dir(config), opened_store(config) as db:
        desk = Desk.open(db, master_key(config), reach(config), clock=time.time)
        try:
            yield LocalCaller(Context(
                db=db,
                ingest=Ingest(db, now=time.time),
                now=time.time,
                max_import_size=config.limits.max_import_size,
                routes=lambda: routes_without_logins(config),
                desk=desk,
            ))
        finally:
            await desk.close()
