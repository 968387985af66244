"""What the record of who did what says of an HTTP request: all that may change something, by whoever has a key.

Who has none changes nothing and is not recorded, so that nobody fills the record; logins in a browser are, good and
bad: bad ones are few, for they are throttled.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from typing import Any, Final

from gateway.access.audit import OK, Record, failed, named, recorded
from gateway.access.caller import Caller
from gateway.store.audit import NewEntry

from .services import WebServices

Scope = MutableMapping[str, Any]

SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
LOGIN: Final = "/login"
NOBODY: Final = "nobody known"
_TRIED: Final = 401
_SECRET: Final = frozenset({"token"})


def begin(services: WebServices, scope: Scope) -> None:
    """Before the application is called."""
    if scope["type"] == "http" and scope["method"] not in SAFE:
        scope["state"]["record"] = Record(lambda: _entry(services, scope, OK))


def end(services: WebServices, scope: Scope, status: int) -> None:
    """After it has answered; `status` 0: it has not."""
    record: Record | None = scope["state"].get("record")
    if record is None or services.audit is None or "route" not in scope:
        return
    known = scope["state"].get("caller") is not None
    if not known and not (scope["path"] == LOGIN and status == _TRIED):
        return
    if 200 <= status < 400:
        if not record.written:
            services.audit.note(record.entry())
    else:
        services.audit.note(failed(record.entry(), str(status) if status else "broken off"))


def within(services: WebServices, scope: Scope) -> WebServices:
    """The services for one request: the unit of its change takes the record along."""
    record: Record | None = scope["state"].get("record")
    if record is None or services.audit is None or scope["state"].get("caller") is None:
        return services
    return replace(services, db=recorded(services.db, record))


def _route(scope: Scope) -> str:
    """The path with the names of its parts, also of an application below ours."""
    return f"{scope.get('root_path', '')}{scope['route'].path}"


def _entry(services: WebServices, scope: Scope, outcome: str) -> NewEntry:
    who: Caller | None = scope["state"].get("caller")
    client = scope.get("client")
    given = {name: value for name, value in scope.get("path_params", {}).items() if name not in _SECRET}
    return NewEntry(
        at=int(services.clock()), who=NOBODY if who is None else f"key {who.name}",
        via="login" if scope["path"].startswith(LOGIN) else "http", what=f"{scope['method']} {_route(scope)}",
        target=named(given.items()), outcome=outcome, source=client[0] if client else "",
        key_id=0 if who is None else who.key_id, pod_id=0 if who is None else who.pod_id or 0,
    )  # fmt: skip
