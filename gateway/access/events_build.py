"""What an event says: rows of the log and what they name, as JSON values."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from gateway.model.flags import names_of
from gateway.model.ids import MailboxId
from gateway.model.mailbox import DRAFTS, SENT
from gateway.store import event_rows
from gateway.store.changes import ChangeKind
from gateway.store.db import Rx
from gateway.store.event_log import Came
from gateway.store.event_rows import LogInbox, LogMailbox, Message, Record
from gateway.store.keywords import keywords_of

from .events_collect import Found, Rank
from .events_place import Place
from .rendered import Heads, NotRendered, Person, heads_of

_MOVES: Final = 20_000  # messages of one unit, at most
_PEOPLE: Final = 20  # addresses of a field that are told
_LONG: Final = 500  # characters of a subject or of a server's words
_TYPES: Final = {Came.COPIED: "message.copied", Came.MOVED: "message.moved"}
_ATTEMPTS: Final = {
    "sent": "message.delivered", "delivered": "message.delivered", "deferred": "message.deferred",
    "delayed": "message.deferred", "bounced": "message.bounced",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Made:
    """An event without its frame. `content`: of a message that has arrived."""

    type: str
    data: dict[str, Any]
    at: int | None = None
    role: str | None = None
    content: int | None = None


class Builder:
    """Of one page."""

    def __init__(self, rx: Rx, inbox: LogInbox, found: Found) -> None:
        self._rx = rx
        self._inbox = inbox
        self._found = found
        self._keywords: dict[int, dict[int, str]] = {}
        self._moved: dict[int, dict[str, tuple[int, int]]] = {}
        self._left: dict[int, dict[str, tuple[int, int]]] = {}

    def build(self) -> list[tuple[Place, Made]] | None:
        """None: the history of sent mail has lost some of it."""
        made: list[tuple[Place, Made]] = []
        for place, row in self._found.items:
            event: Made | None
            match place.rank:
                case Rank.ARRIVED:
                    event = self._arrived(place, row)
                case Rank.FLAGS:
                    event = self._flags(place, row)
                case Rank.DELETED:
                    event = self._deleted(place)
                case Rank.MAILBOX | Rank.MAILBOX_GONE:
                    event = self._mailbox(row)
                case _:
                    event = self._sent(place)
                    if event is None:
                        return None
            if event is not None:
                made.append((place, event))
        return made

    # -- messages ------------------------------------------------------------------------------------------------

    def _arrived(self, place: Place, row: Message) -> Made:
        mailbox = self._found.mailboxes[place.within]
        kind = _TYPES.get(Came(row.came), "message.received")
        if row.came == Came.NEW and mailbox.role in {SENT, DRAFTS}:
            kind = "message.added"  # somebody here has put it there
        data = self._message(mailbox, row) | self._summary(row)
        if row.came == Came.MOVED and (source := self._left_with(place.modseq).get(row.email_id)) is not None:
            data["from_mailbox"] = self._brief(source[0])
            data["from_uid"] = source[1]
        return Made(kind, data, row.save_date, mailbox.role, row.content_id)

    def _flags(self, place: Place, row: Message) -> Made:
        mailbox = self._found.mailboxes[place.within]
        if mailbox.id not in self._keywords:
            self._keywords[mailbox.id] = keywords_of(self._rx, mailbox.id)
        flags = names_of(row.flags, self._keywords[mailbox.id])
        return Made("message.flags", self._message(mailbox, row) | {"flags": flags}, None, mailbox.role)

    def _deleted(self, place: Place) -> Made | None:
        """None for what a move has taken away: that is told where it went."""
        mailbox = self._found.mailboxes.get(place.within)
        if mailbox is None:
            return None  # it went with its mailbox, which is told
        row = self._gone.get((place.within, place.number))
        moved = self._moved_with(place.modseq)
        if moved and (row is None or row.email_id in moved):
            return None
        if row is not None:
            return Made("message.deleted", self._message(mailbox, row), None, mailbox.role)
        data = {"message": None, "thread": None, "mailbox": self._brief(mailbox.id), "uid": place.number}
        return Made("message.deleted", data, None, mailbox.role)

    def _message(self, mailbox: LogMailbox, row: Message) -> dict[str, Any]:
        return {
            "message": row.email_id, "thread": row.thread_id, "mailbox": self._brief(mailbox.id), "uid": row.uid,
            "uidvalidity": mailbox.uidvalidity,
        }  # fmt: skip

    def _brief(self, mailbox_id: int) -> dict[str, Any] | None:
        mailbox = self._found.mailboxes.get(mailbox_id)
        return None if mailbox is None else {"id": mailbox.object_id, "name": mailbox.name, "role": mailbox.role}

    def _summary(self, row: Message) -> dict[str, Any]:
        return {"size": row.size} | summary(self._envelopes.get(row.content_id))

    @cached_property
    def _envelopes(self) -> dict[int, bytes]:
        rows = [row.content_id for place, row in self._found.items if place.rank == Rank.ARRIVED]
        return event_rows.envelopes(self._rx, rows)

    @cached_property
    def _gone(self) -> dict[tuple[int, int], Message]:
        uids: dict[int, list[int]] = {}
        for place, _ in self._found.items:
            if place.rank == Rank.DELETED:
                uids.setdefault(place.within, []).append(place.number)
        return {
            (mailbox, uid): row
            for mailbox, numbers in uids.items()
            for uid, row in event_rows.gone(self._rx, MailboxId(mailbox), numbers).items()
        }

    def _moved_with(self, modseq: int) -> dict[str, tuple[int, int]]:
        """(mailbox, UID) of messages that a move of this MODSEQ put there, by EMAILID."""
        if modseq not in self._moved:
            self._moved[modseq] = {
                row.email_id: (mailbox.id, row.uid)
                for mailbox in self._found.mailboxes.values()
                if mailbox.highest_modseq >= modseq
                for row in event_rows.arrivals(self._rx, mailbox.id, modseq, 0, modseq, _MOVES)
                if row.came == Came.MOVED
            }
        return self._moved[modseq]

    def _left_with(self, modseq: int) -> dict[str, tuple[int, int]]:
        """(mailbox, UID) from where messages were taken away with this MODSEQ, by EMAILID."""
        if modseq not in self._left:
            self._left[modseq] = {
                row.email_id: (record.mailbox_id, uid)
                for record in self._records_with(modseq)
                if record.kind == ChangeKind.EXPUNGED
                for uid, row in event_rows.gone(
                    self._rx, record.mailbox_id, list(event_rows.numbers(record.uids, 0, _MOVES))
                ).items()
            }
        return self._left[modseq]

    def _records_with(self, modseq: int) -> Iterable[Record]:
        return [record for record in self._found.records if record.modseq == modseq]

    # -- mailboxes -----------------------------------------------------------------------------------------------

    def _mailbox(self, record: Record) -> Made | None:
        if record.kind == ChangeKind.DELETED:
            return Made("mailbox.deleted", {"mailbox": json.loads(record.detail or "{}")})
        mailbox = self._found.mailboxes.get(record.mailbox_id)
        if mailbox is None:
            return None  # its end is told
        data: dict[str, Any] = {"mailbox": self._brief(mailbox.id)}
        if record.kind == ChangeKind.CREATED:
            return Made("mailbox.created", data)
        return Made("mailbox.renamed", data | json.loads(record.detail or "{}"))

    # -- sent mail -----------------------------------------------------------------------------------------------

    def _sent(self, place: Place) -> Made | None:
        if place.rank == Rank.ATTEMPTED:
            return self._attempt(place.number)
        row = self._found.submissions.get(place.number if place.rank == Rank.SENT else place.within)
        if row is None:
            return None
        data = _submission(row.uuid, row.message_id, row.mail_from)
        if place.rank == Rank.SENT:
            data |= {"recipients": list(row.recipients), "size": row.size}
            return Made("message.sent", data, row.created_at)
        address = dict(row.here)[place.number]
        return Made("message.delivered", data | {"recipient": address, "here": True}, row.created_at)

    def _attempt(self, number: int) -> Made | None:
        row = self._attempts.get(number)
        if row is None:
            return None
        data = _submission(row.uuid, row.message_id, row.mail_from) | {
            "recipient": row.address, "here": row.here, "code": row.code, "enhanced": row.enhanced,
            "text": None if row.text is None else bytes(row.text).decode("utf-8", "replace")[:_LONG],
            "remote": row.remote,
        }  # fmt: skip
        return Made(_ATTEMPTS[row.state], data, row.at)

    @cached_property
    def _attempts(self) -> dict[int, event_rows.Attempted]:
        numbers = [place.number for place, _ in self._found.items if place.rank == Rank.ATTEMPTED]
        return event_rows.attempted(self._rx, self._inbox.id, numbers)


def summary(envelope: bytes | None) -> dict[str, Any]:
    """Who wrote to whom about what; nothing of a message whose header is of no ordinary length."""
    heads: Heads | None = None
    if envelope is not None:
        try:
            heads = heads_of(envelope)
        except NotRendered:
            heads = None
    if heads is None:
        return {"subject": None, "from": [], "to": [], "cc": [], "date": None}
    return {
        "subject": heads.subject[:_LONG], "from": _people(heads.from_), "to": _people(heads.to),
        "cc": _people(heads.cc), "date": heads.date,
    }  # fmt: skip


def _people(people: Iterable[Person]) -> list[dict[str, str | None]]:
    return [{"name": each.name, "address": each.address} for each in list(people)[:_PEOPLE]]


def _submission(uuid: str, message_id: bytes | None, mail_from: str) -> dict[str, Any]:
    named = None if message_id is None else f"<{bytes(message_id).decode('utf-8', 'replace')}>"
    return {"submission": uuid, "message_id": named, "from": mail_from}
