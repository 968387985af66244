"""What an administrator can do to a store: one function an operation, one table of all of them."""

from . import accounts, connectors, first, keys, lists, mail, queue, routes, upkeep
from .registry import Context, Operation, Stream, operations, run

__all__ = [
    "Context", "Operation", "Stream", "accounts", "connectors", "first", "keys", "lists", "mail", "operations", "queue",
    "routes", "run", "upkeep",
]
