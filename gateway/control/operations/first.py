"""The first inbox of a store with its key: what `init` makes, in whichever process holds the store."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.auth import issue
from gateway.auth.issue import KeySpec
from gateway.control.frames import Json
from gateway.model.permissions import DEFAULT_BUNDLES, ScopeKind, expand
from gateway.store import inboxes, pods
from gateway.store.db import Database, Tx
from gateway.store.quota import NO_LIMITS, Limits

from .accounts import limits_given
from .registry import Context, Stream, operation

DEFAULT_POD: Final = "default"
FIRST_KEY: Final = "first key"


@dataclass(frozen=True, slots=True)
class FirstRun:
    """What the first run made. `key` is None when the store had inboxes already: keys are shown once."""

    address: str
    key: str | None = field(repr=False)


async def first_inbox(db: Database, address: str, now: int, limits: Limits = NO_LIMITS) -> FirstRun:
    """The first inbox with its pod, its domain and one key, all in one unit; nothing when there is an inbox already.

    Then the address is the wanted one if it has an inbox, else some other inbox's.
    """
    drawn = await issue.draw(db)

    def unit(tx: Tx) -> FirstRun:
        there = inboxes.inboxes(tx, include_deleted=True)
        if there:
            known = [inbox.address for inbox in there if inbox.deleted_at is None]
            return FirstRun(address if address in known or not known else known[0], None)
        domain = address.rpartition("@")[2]
        pod = pods.pod_by_name(tx, DEFAULT_POD) or pods.create_pod(tx, DEFAULT_POD, now=now)
        owner = pods.domain_by_name(tx, domain) or pods.create_domain(tx, pod.id, domain, now=now)
        inbox = inboxes.create_inbox(tx, owner.pod_id, address, now=now, limits=limits)
        spec = KeySpec(FIRST_KEY, ScopeKind.INBOX, expand(DEFAULT_BUNDLES), inbox_id=inbox.id)
        issue.insert(tx, spec, drawn, now)
        return FirstRun(inbox.address, drawn.key.text)

    return await db.write(unit)


@operation("inbox.first")
async def inbox_first(
    context: Context, stream: Stream, *, address: str, quota_storage: int = 0, quota_messages: int = 0,
    quota_mailboxes: int = 0,
) -> Json:
    """The first inbox where there is none; `key` is None where there is one."""
    limits = limits_given(NO_LIMITS, quota_storage, quota_messages, quota_mailboxes)
    made = await first_inbox(context.db, address, int(context.now()), limits)
    return {"address": made.address, "key": made.key}
