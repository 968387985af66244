"""The table of operations and the one way to call them.

An operation is an async function of a Context, a Stream and keyword parameters; its annotations say what a request
must bring, and are checked before it runs, for a request may come from any program of the server's owner.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.access.audit import AuditLog
from gateway.connectors.askers import SyncResult
from gateway.connectors.desk import Desk
from gateway.connectors.progress import SyncRun
from gateway.connectors.scope import EVERYTHING, Scope
from gateway.control.frames import Frame, Json
from gateway.delivery.accounts import NOBODY, AccountTable
from gateway.delivery.routes import Routes
from gateway.ingest.writer import Ingest
from gateway.model.errors import InvalidRequest
from gateway.model.ids import InboxId
from gateway.model.ports import Clock
from gateway.store.connectors.rows import ConnectorId
from gateway.store.db import Database

from .audited import Asker, run_recorded


class Stream(Protocol):
    """What an operation reads beyond its parameters, and what it tells before its result."""

    async def receive(self) -> Frame | None:
        """The caller's next frame, None at its end."""

    async def send(self, frame: Frame) -> None:
        """An event or octets for the caller; waits while the caller is slow."""


class LiveQueue(Protocol):
    """What only the process that sends knows of the queue."""

    def next_hops(self) -> list[Json]:
        """How each next hop stands: places, breaker, rate."""

    def why(self, inbox_id: InboxId, sender: str, recipient: str) -> str | None:
        """Why due mail between these addresses is not under way; None: it is only not its turn."""


class LiveSync(Protocol):
    """Who syncs connectors, in a process that serves."""

    async def sync(
        self, connector_id: ConnectorId, told: Callable[[SyncRun], None] | None = None, scope: Scope = EVERYTHING
    ) -> SyncResult | None:
        """Sync now what is in `scope`; None: another node has it, or it is switched off."""

    def confirm(self, connector_id: ConnectorId) -> None:
        """What seems to be gone upstream is gone."""


@dataclass(frozen=True, slots=True)
class Context:
    """What operations work on. `reload`, `status` and what is live belong to a running server: None elsewhere."""

    db: Database
    ingest: Ingest
    now: Clock
    max_import_size: int
    reload: Callable[[], Awaitable[Json]] | None = None
    status: Callable[[], Json] | None = None
    routes: Callable[[], Routes] = Routes
    """The ways that mail goes as configured now. ConfigError."""
    accounts: Callable[[], AccountTable] = lambda: NOBODY
    """Accounts that mail goes out through."""
    live_queue: LiveQueue | None = None
    live_sync: LiveSync | None = None
    desk: Desk | None = None
    """What is done with connectors."""
    audit: AuditLog | None = None
    """Takes down who changes what over HTTP."""
    test_mode: bool = False
    """Whether mail here is nobody's, so that all of it may be cleared."""


Operation = Callable[..., Awaitable[Json]]

operations: dict[str, Operation] = {}
"""name -> function; filled by the `operation` decorator when the modules of this package are imported."""


def operation(name: str) -> Callable[[Operation], Operation]:
    """Enter a function into the table under `name` (noun.verb)."""

    def enter(function: Operation) -> Operation:
        if name in operations:
            raise ValueError(f"two operations are called {name}")
        operations[name] = function
        return function

    return enter


async def run(
    context: Context, stream: Stream, name: str, params: Mapping[str, Json], asker: Asker | None = None
) -> Json:
    """Check `params` against the operation's annotations, then run it; what `asker` changes is recorded.

    InvalidRequest for an unknown operation or parameter, a missing or mistyped one; else what the operation raises.
    """
    function = operations.get(name)
    if function is None:
        raise InvalidRequest(f"There is no operation {name!r}; the server may be older than this command")
    checked = _checked(name, function, params)
    if asker is None:
        return await function(context, stream, **checked)
    return await run_recorded(context, asker, name, checked, lambda recorded: function(recorded, stream, **checked))


def _checked(name: str, function: Operation, params: Mapping[str, Json]) -> dict[str, Json]:
    hints = typing.get_type_hints(function)
    known = {
        parameter.name: parameter
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    for given, value in params.items():
        if given not in known:
            raise InvalidRequest(f"{name} has no parameter {given!r}")
        if not _fits(value, hints[given]):
            raise InvalidRequest(f"{name}: {given} has a value of the wrong type")
    for parameter in known.values():
        if parameter.default is inspect.Parameter.empty and parameter.name not in params:
            raise InvalidRequest(f"{name} needs {parameter.name}")
    return dict(params)


def _fits(value: Json, hint: Any) -> bool:
    """Whether a JSON value is one of `hint`: str, int, bool, None, list[...], dict and unions of them."""
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if origin is list:
        (item,) = typing.get_args(hint)
        return isinstance(value, list) and all(_fits(one, item) for one in value)
    if origin is dict:  # its values are the operation's to read
        return isinstance(value, dict)
    if hint is type(None):
        return value is None
    if hint is int:
        return type(value) is int
    return isinstance(value, hint)
