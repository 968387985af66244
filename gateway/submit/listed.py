"""What allow and block lists (`store.lists`) mean for one message on its way in or out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum, auto

from gateway.model.ids import InboxId, MailboxId
from gateway.model.permissions import WhatIsBlocked
from gateway.model.recipient import Recipient
from gateway.store.lists import Decision

from .directory import View
from .errors import Blocked


class Judged(Enum):
    WELCOME = auto()
    JUNK = auto()
    """It is delivered, to the mailbox for junk."""
    REFUSED = auto()


def require_recipient(view: View, inbox_id: InboxId, address: str) -> None:
    """Blocked: this inbox may not write to `address`."""
    if not view.may_send(inbox_id, address).allowed:
        raise Blocked("A list does not let this inbox write to that address")


def require_recipients(view: View, writers: Iterable[InboxId], recipients: Iterable[Recipient]) -> None:
    """Blocked: one of the inboxes that a message is from may not write to one of its recipients."""
    named = tuple(recipients)
    for inbox_id in set(writers):
        for recipient in named:
            require_recipient(view, inbox_id, recipient.address)


def senders_of(reverse_path: str, authors: Iterable[str]) -> tuple[str, ...]:
    """Who a message is from, each once: whom lists are asked about."""
    return tuple(dict.fromkeys(filter(None, (reverse_path, *authors))))


def judge(
    view: View, inbox_id: InboxId, senders: Sequence[str], answers: Sequence[bytes], blocked: WhatIsBlocked
) -> Judged:
    """Where mail from `senders` goes in this inbox; `answers`: the msg-ids that it names as those before it.

    `blocked`: what becomes of blocked mail where the inbox does not say.
    """
    decision: Decision = view.may_receive(inbox_id, tuple(senders), tuple(answers))
    if decision.allowed:
        return Judged.WELCOME
    return Judged.REFUSED if (view.blocked(inbox_id) or blocked) == "refuse" else Judged.JUNK


def place_for(
    view: View,
    inbox_id: InboxId,
    writers: Iterable[InboxId],
    senders: Sequence[str],
    answers: Sequence[bytes],
    blocked: WhatIsBlocked,
) -> MailboxId | None:
    """The mailbox here for mail that another inbox of ours sends; None: it is being changed. Blocked.

    What somebody writes to himself is welcome whatever lists say.
    """
    if inbox_id in writers:
        return view.inbox_mailbox(inbox_id)
    judged = judge(view, inbox_id, senders, answers, blocked)
    if judged is Judged.WELCOME:
        return view.inbox_mailbox(inbox_id)
    junk = view.junk_mailbox(inbox_id)
    if judged is Judged.REFUSED or junk is None:
        raise Blocked("A recipient here does not take mail from this sender")
    return junk
