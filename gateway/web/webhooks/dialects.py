"""In whose words a webhook is told: ours, or those of a vendor's API, for receivers that were written for that.

A dialect has names of events of its own, which a webhook's `types` are then, and bodies; what is told, in which order
and how often, is the same for all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from gateway.access.digest import Digests
from gateway.access.events import RECEIVED, TYPES, Event, Wanted
from gateway.store.db import Database
from gateway.store.webhooks import NATIVE, Webhook

AGENTMAIL: Final = "agentmail"
SIGNED_AS: Final = {NATIVE: "webhook", AGENTMAIL: "svix"}
"""Dialect -> how the names of the fields with its signature begin."""
JUNKED: Final = ("message.received.spam", "message.received.blocked", "message.received.unauthenticated")
"""Of AgentMail's: told to who names them, and to nobody else."""
AGENTMAIL_TYPES: Final[Mapping[str, str | None]] = {
    RECEIVED: RECEIVED, "message.received.spam": RECEIVED, "message.received.blocked": RECEIVED,
    "message.sent": "message.sent", "message.delivered": "message.delivered", "message.bounced": "message.bounced",
    "domain.verified": None, "message.received.unauthenticated": None, "message.complained": None,
    "message.rejected": None, "message.opened": None,
}  # fmt: skip
"""AgentMail's name of an event -> ours, of which it is made; None: of no event of an inbox, or it never happens."""
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {NATIVE: TYPES, AGENTMAIL: tuple(AGENTMAIL_TYPES)}
"""Dialect -> types that a webhook may ask for."""


KEPT: Final = 1024
"""Weight of the digests that are kept for AgentMail's events (`access.digest`)."""


class Dialect(Protocol):
    async def body(self, hook: Webhook, event: Event, now: float) -> str | None:
        """JSON; None: it has no word for this event, or the webhook does not want it."""


def wanted(hook: Webhook) -> Wanted:
    """The events of which something is to be told."""
    if hook.dialect == NATIVE:
        return Wanted(hook.reads, frozenset(hook.types))
    return Wanted(hook.reads, ours(hook.types or tuple(AGENTMAIL_TYPES)) or frozenset({""}))  # no types would be all


def ours(types: tuple[str, ...]) -> frozenset[str]:
    """Types of our events, of which these of AgentMail's are made."""
    return frozenset(own for name in types if (own := AGENTMAIL_TYPES[name]) is not None)


def takes(types: tuple[str, ...], name: str) -> bool:
    """Whether AgentMail's event of this name is wanted."""
    return name in types if types else name not in JUNKED


def payload(event: Event, now: float) -> str:
    """In our words: the event as everywhere, and when it happened, or was first told, as text."""
    at = datetime.fromtimestamp(now if event.at is None else event.at, UTC)
    document = event.document | {"timestamp": at.isoformat(timespec="seconds").replace("+00:00", "Z")}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


class Native:
    async def body(self, hook: Webhook, event: Event, now: float) -> str | None:
        return payload(event, now)


class AgentMail:
    """Its models are imported when they are first needed: most servers have no such webhook."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._digests = Digests(KEPT)

    async def body(self, hook: Webhook, event: Event, now: float) -> str | None:
        from gateway.web.agentmail.events import told

        document = await told(self._db, self._digests, hook.reads, hook.types, event)
        return None if document is None else json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def dialects(db: Database) -> Mapping[str, Dialect]:
    return {NATIVE: Native(), AGENTMAIL: AgentMail(db)}
