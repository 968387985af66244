"""What is known of a message of an account, as JSON. Apart, so that who only shows it need not load the operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.model import moments

from .frames import Json

if TYPE_CHECKING:
    from gateway.connectors.remote.values import MessageFacts


def facts_json(facts: MessageFacts) -> dict[str, Json]:
    return {
        "uid": facts.uid,
        "date": moments.rfc3339(facts.date) if facts.date is not None else None,
        "from": facts.sender,
        "to": facts.recipient,
        "subject": facts.subject,
        "message_id": facts.message_id,
        "flags": list(facts.flags),
        "size": facts.size,
    }
