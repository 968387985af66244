"""The first run: a certificate, the first inbox and its key. Repeating it changes nothing."""

from __future__ import annotations

import time

from gateway.config import Config
from gateway.control.client import SocketCaller
from gateway.control.operations.first import FirstRun, first_inbox

from .admin import is_serving
from .datadir import CONTROL_SOCKET
from .settings import first_address, inbox_limits, quotas, tls_files
from .storage import held_data_dir, opened_store


async def initialise(config: Config) -> FirstRun:
    """Make what is missing: data directory, certificate, schema, first inbox and key.

    Beside a running server it makes what that has not: the first inbox, where `serve` was started before any `init`.
    Busy when another command holds the store, ConfigError when directory, certificate or database cannot be used.
    """
    socket = config.store.data_dir / CONTROL_SOCKET
    if await is_serving(socket):
        made = await SocketCaller(socket).call("inbox.first", {"address": first_address(config), **quotas(config)})
        return FirstRun(made["address"], made["key"])
    async with held_data_dir(config):
        tls_files(config)
        async with opened_store(config) as db:
            return await first_inbox(db, first_address(config), int(time.time()), inbox_limits(config))
