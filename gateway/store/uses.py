"""Mailboxes by what they are for (RFC 6154): the one with the special use, else the one of the usual name."""

from __future__ import annotations

from gateway.model.ids import InboxId
from gateway.model.mailbox import USUAL_NAMES, Mailbox

from . import mailboxes
from .db import Rx, Tx


def find(rx: Rx, inbox_id: InboxId, use: str) -> Mailbox | None:
    """None: the inbox has none that can hold messages."""
    found = mailboxes.by_role(rx, inbox_id, use) or mailboxes.by_name(rx, inbox_id, USUAL_NAMES[use])
    return None if found is None or found.noselect else found


def make(tx: Tx, inbox_id: InboxId, use: str, now: int) -> Mailbox:
    """Where `find` found none. OverQuota, LimitReached."""
    return mailboxes.create(tx, inbox_id, USUAL_NAMES[use], now=now, role=use)
