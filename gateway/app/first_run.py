"""The first run: a certificate, the first inbox and its key. Repeating it changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from gateway.auth import issue
from gateway.auth.issue import KeySpec
from gateway.config import Config
from gateway.control.client import SocketCaller
from gateway.model.permissions import DEFAULT_BUNDLES, ScopeKind, expand
from gateway.store import inboxes, pods
from gateway.store.db import Database, Tx

from .admin import is_serving
from .datadir import CONTROL_SOCKET
from .settings import first_address, tls_files
from .storage import held_data_dir, opened_store

DEFAULT_POD = "default"
FIRST_KEY = "first key"


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What the first run made. `key` is None when the store had inboxes already: keys are shown once."""

    address: str
    key: str | None = field(repr=False)


async def initialise(config: Config) -> FirstRun:
    """Make what is missing: data directory, certificate, schema, first inbox and key.

    Busy when a server holds the store, ConfigError when directory, certificate or database cannot be used.
    """
    async with held_data_dir(config):
        tls_files(config)
        async with opened_store(config) as db:
            return await first_inbox(db, config)


async def initialised(config: Config) -> FirstRun:
    """As `initialise`; beside a running server what that has made already: its first inbox, and no key."""
    socket = config.store.data_dir / CONTROL_SOCKET
    if not await is_serving(socket):
        return await initialise(config)
    known = await SocketCaller(socket).call("inbox.list", {})
    return _known([row["address"] for row in known], first_address(config))


def _known(addresses: list[str], wanted: str) -> FirstRun:
    """What is there already: the inbox of that address if it still is, else some other one."""
    return FirstRun(wanted if wanted in addresses or not addresses else addresses[0], None)


async def first_inbox(db: Database, config: Config) -> FirstRun:
    """The first inbox with its pod, its domain and one key, all in one unit; nothing when there is an inbox already."""
    address = first_address(config)
    now = int(time.time())
    drawn = issue.draw()

    def unit(tx: Tx) -> FirstRun:
        there = inboxes.inboxes(tx, include_deleted=True)
        if there:
            return _known([inbox.address for inbox in there if inbox.deleted_at is None], address)
        domain = address.rpartition("@")[2]
        pod = pods.pod_by_name(tx, DEFAULT_POD) or pods.create_pod(tx, DEFAULT_POD, now=now)
        owner = pods.domain_by_name(tx, domain) or pods.create_domain(tx, pod.id, domain, now=now)
        inbox = inboxes.create_inbox(tx, owner.pod_id, address, now=now)
        spec = KeySpec(FIRST_KEY, ScopeKind.INBOX, expand(DEFAULT_BUNDLES), inbox_id=inbox.id)
        issue.insert(tx, spec, drawn, now)
        return FirstRun(inbox.address, drawn.key.text)

    return await db.write(unit)
