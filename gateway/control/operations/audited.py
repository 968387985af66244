"""Which operations change something, and what the record says of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from gateway.access.audit import OK, Record, named, recorded, write_down
from gateway.control.frames import Json
from gateway.store.audit import NewEntry

if TYPE_CHECKING:
    from .registry import Context

READS: Final = frozenset({
    "address.list", "audit.list", "connector.event", "connector.events", "connector.fields", "connector.list",
    "connector.providers", "connector.seen", "connector.show", "connector.some", "connector.test", "domain.list",
    "inbox.list", "inbox.show", "key.list", "list.check", "list.list", "mailbox.list", "message.list",
    "oauth.app.list", "oauth.grant.list", "oauth.login.host", "oauth.login.poll", "pod.list", "queue.list",
    "queue.route", "queue.show", "queue.stats", "remote.delivered", "remote.download", "remote.list", "remote.new",
    "remote.pollers", "remote.search", "remote.status", "server.status", "test.clear", "test.messages",
})
"""Change nothing that somebody would ask about later; every other operation is recorded, so also one of tomorrow.

A cursor of a poller, what was seen, and test mode's mail are no such thing."""
TARGETS: Final = (
    "inbox", "pod", "name", "rename", "address", "key_id", "everything", "permissions", "submission", "sender",
    "direction", "verdict", "pattern", "account", "app", "grant", "poller", "mailbox", "to", "messages", "uids", "deep",
    "mend", "provider", "enabled",
)
"""Parameters that say on which thing; no secret is ever among them."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who speaks to us on this machine: the user id that the kernel vouches for."""

    uid: int

    def entry(self, now: float, op: str, params: Mapping[str, Json], outcome: str = OK) -> NewEntry:
        target = named((name, params[name]) for name in TARGETS if params.get(name) not in (None, [], ""))
        return NewEntry(int(now), f"uid {self.uid}", "control", op, target, outcome)


async def run_recorded(
    context: Context, asker: Asker, op: str, params: Mapping[str, Json], work: Callable[[Context], Awaitable[Json]]
) -> Json:
    """`work` on a context whose first durable unit takes the record along; what comes to nothing is written after."""
    if op in READS:
        return await work(context)
    record = Record(lambda: asker.entry(context.now(), op, params))
    try:
        answer = await work(replace(context, db=recorded(context.db, record)))
    except Exception as error:
        await write_down(context.db, asker.entry(context.now(), op, params, type(error).__name__))
        raise
    if not record.written:
        await write_down(context.db, record.entry())
    return answer
