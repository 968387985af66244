"""What allow and block lists (`store.lists`) mean for one message on its way in or out."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from gateway.model.ids import InboxId
from gateway.store.lists import Decision

from .directory import View
from .errors import Blocked
from .settings import WhatIsBlocked


class Judged(Enum):
    WELCOME = auto()
    JUNK = auto()
    """It is delivered, to the mailbox for junk."""
    REFUSED = auto()


def require_recipient(view: View, inbox_id: InboxId, address: str) -> None:
    """Blocked: this inbox may not write to `address`."""
    if not view.may_send(inbox_id, address).allowed:
        raise Blocked("A list does not let this inbox write to that address")


def judge(
    view: View, inbox_id: InboxId, senders: Sequence[str], answers: Sequence[bytes], blocked: WhatIsBlocked
) -> Judged:
    """Where mail from `senders` goes in this inbox; `answers`: the msg-ids that it names as those before it."""
    decision: Decision = view.may_receive(inbox_id, tuple(senders), tuple(answers))
    if decision.allowed:
        return Judged.WELCOME
    return Judged.REFUSED if blocked == "refuse" else Judged.JUNK
