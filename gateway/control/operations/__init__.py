"""What an administrator can do to a store: one function an operation, one table of all of them."""

from . import (
    accounts,
    audit,
    connector_events,
    connector_kinds,
    connector_sync,
    connectors,
    first,
    keys,
    lists,
    mail,
    oauth,
    queue,
    remote,
    remote_new,
    routes,
    secrets,
    testing,
    upkeep,
)
from .audited import Asker
from .registry import Context, Operation, Stream, operations, run

__all__ = [
    "Asker", "Context", "Operation", "Stream", "accounts", "audit", "connector_events", "connector_kinds",
    "connector_sync", "connectors", "first", "keys", "lists", "mail", "oauth", "operations", "queue", "remote",
    "remote_new", "routes", "run", "secrets", "testing", "upkeep",
]
