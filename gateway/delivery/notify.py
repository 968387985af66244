"""Who is told what when an attempt has ended: the rules of RFC 3461 5.2 over recipients and decisions, pure.

Nobody is told of mail with a null reverse-path, or of a report: no notice ever brings about another one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.mime import index_fields
from gateway.model.recipient import Notify
from gateway.store.queue import QueueItem, QueueState

from .dsn import Action, Status
from .policy import Decision
from .telling import Attempted

_REPORT: Final = re.compile(rb"\s*multipart/report\b", re.IGNORECASE)
_BY_A_PERSON: Final = re.compile(rb"\s*no\s*(?:;|\Z)", re.IGNORECASE)  # RFC 3834 5: Auto-Submitted: no


@dataclass(frozen=True, slots=True)
class Ended:
    """One attempt for recipients of one submission, with what becomes of each.

    `remote`: the server that was asked, None where none was. `header`: the message's, empty where it cannot be read.
    `attempted`: where an account was to send it.
    """

    items: Sequence[QueueItem]
    decisions: Sequence[Decision]
    remote: str | None
    header: bytes
    attempted: Attempted | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """One notice, of recipients to which the same has happened: their rows, and what is said of each."""

    rows: frozenset[int]
    statuses: tuple[Status, ...]


def owed(ended: Ended) -> Mapping[Action, Letter]:
    """The notices that the sender gets. Delay is not told of here: it needs no attempt (`debts`)."""
    if not ended.items[0].mail_from or is_report(ended.header):
        return {}
    found: dict[Action, list[tuple[int, Status]]] = {}
    for item, decision in zip(ended.items, ended.decisions, strict=True):
        action = _action(item, decision, ended.remote)
        if action is not None:
            status = Status(item.address, decision.code, decision.enhanced, decision.text, ended.remote, item.orcpt)
            found.setdefault(action, []).append((item.recipient_id, status))
    return {
        action: Letter(frozenset(row for row, _ in told), tuple(status for _, status in told))
        for action, told in found.items()
    }


def is_report(header: bytes) -> bool:
    """Mail about mail, made by a machine (RFC 3834 2): a bounce of it would be a bounce of a bounce."""
    index = index_fields(header)
    if not any(_REPORT.match(value) for value in index.get(b"content-type", ())):
        return False
    return any(not _BY_A_PERSON.match(value) for value in index.get(b"auto-submitted", ()))


def wishes(notify: int | None, wish: Notify) -> bool:
    """Whether a recipient's sender wants to be told of this; who said nothing, of failure and delay (RFC 3461 4.1)."""
    return bool((Notify.FAILURE | Notify.DELAY if notify is None else Notify(notify)) & wish)


def _action(item: QueueItem, decision: Decision, remote: str | None) -> Action | None:
    match decision.state:
        case QueueState.BOUNCED if wishes(item.notify, Notify.FAILURE):
            return "failed"
        case QueueState.SENT if remote is not None and not decision.notifies and wishes(item.notify, Notify.SUCCESS):
            return "relayed"
        case _:
            return None
