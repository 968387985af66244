"""Changes of messages: flags, moves, copies, removal. Functions of a write unit, so that a request is one of them.

`taken` comes first: it locks the inbox and finds the messages, so that nothing changes between the look and the change.
Wake-ups are the store's, so IMAP sessions are told as of any other change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.errors import CannotChange, InvalidRequest, LimitReached, NotFound
from gateway.model.flags import MAX_KEYWORD_LENGTH, SYSTEM_BY_FOLDED
from gateway.model.ids import MailboxId
from gateway.model.mailbox import TRASH
from gateway.model.rights import Action
from gateway.store import counters, drafts, messages, uses
from gateway.store.db import Tx
from gateway.store.listing import Listed
from gateway.store.uidsets import CUT

from .caller import Caller, inbox_of
from .listing import Place, Placed, find
from .messages import NO_MESSAGE
from .sight import Sight, sight

MOST: Final = CUT
"""Places that one unit changes: about 10 ms of the writer."""
# RFC 3501 9: flag-keyword = atom; `]` stands in keywords of real mailboxes.
_KEYWORD: Final = re.compile(r'[^\x00-\x20(){%*"\\\x7f-\U0010ffff]+')


@dataclass(frozen=True, slots=True)
class Marks:
    """Names of flags (`\\Seen`) and keywords. `become`: all they shall have, before anything is added or removed."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    become: tuple[str, ...] | None = None

    def check(self) -> None:
        """InvalidRequest names the first that is no flag."""
        for name in (*self.add, *self.remove, *(self.become or ())):
            if name.lower() in SYSTEM_BY_FOLDED:
                continue
            if len(name) > MAX_KEYWORD_LENGTH or _KEYWORD.fullmatch(name) is None:
                raise InvalidRequest(f"{name[:50]!r} is no flag: \\Seen and its like, or a keyword without blanks")


@dataclass(frozen=True, slots=True)
class Taken:
    """Messages that a unit changes, in the order asked for; `missing`: ids of which there is none."""

    seen: Sight
    found: list[Placed]
    missing: list[str]


def taken(
    tx: Tx, who: Caller, inbox: str, ids: Sequence[str], unchanged_since: int | None = None, *, every: bool = False
) -> Taken:
    """NotFound: no such inbox, or with `every` one message of them is missing. CannotChange: one has changed since."""
    counters.lock(tx, inbox_of(tx, who, inbox).id)
    seen = sight(tx, who, inbox)
    known = find(tx, seen, ids)
    asked = list(dict.fromkeys(ids))
    found, missing = [known[each] for each in asked if each in known], [each for each in asked if each not in known]
    if missing and every:
        raise NotFound(NO_MESSAGE)
    checked(found, unchanged_since)
    return Taken(seen, found, missing)


def checked(found: Iterable[Placed], unchanged_since: int | None = None) -> None:
    """CannotChange: one has changed since. LimitReached: too many for a unit."""
    places = 0
    for message in found:
        places += len(message.places)
        if unchanged_since is not None and message.modseq > unchanged_since:
            raise CannotChange(f"Message {message.id} has changed since: its modseq is {message.modseq}")
    if places > MOST:
        raise LimitReached(f"One request changes {MOST} places of messages at most")


def mark(tx: Tx, seen: Sight, found: Iterable[Placed], marks: Marks) -> None:
    """In all places. NoPermission, InvalidRequest, LimitReached (keywords of a mailbox)."""
    marks.check()
    for mailbox, uids in _grouped(seen, found, Action.FLAG).items():
        for operation, names in (("set", marks.become), ("add", marks.add), ("remove", marks.remove)):
            if names is None or (not names and operation != "set"):
                continue
            system = [SYSTEM_BY_FOLDED[name.lower()] for name in names if name.lower() in SYSTEM_BY_FOLDED]
            keywords = [name for name in names if name.lower() not in SYSTEM_BY_FOLDED]
            mask = 0
            for bit in system:
                mask |= bit
            messages.store_flags(tx, seen.inbox_id, mailbox, uids, operation, mask, keywords)  # type: ignore[arg-type]


def move(
    tx: Tx, seen: Sight, found: Iterable[Placed], target: Listed, *, source: Listed | None = None, now: int
) -> None:
    """They lie in `target` afterwards and nowhere else; with `source` only that place is given up.

    One that does not lie in `source` stays as it is. NoPermission, CannotChange, LimitReached.
    """
    takes_mail(target)
    seen.need(Action.ADD, target)
    _relocate(tx, seen, found, MailboxId(target.id), None if source is None else MailboxId(source.id), now)


def trash(tx: Tx, seen: Sight, found: Sequence[Placed], *, now: int) -> None:
    """Into the mailbox for what is deleted, which is made where there is none; what lies there already stays.

    NoPermission, OverQuota and LimitReached where there is no room for the mailbox.
    """
    target = uses.find(tx, seen.inbox_id, TRASH) or uses.make(tx, seen.inbox_id, TRASH, now)
    _relocate(tx, seen, found, target.id, None, now)


def delete(tx: Tx, seen: Sight, found: Iterable[Placed], *, now: int) -> None:
    """For good, from all places. NoPermission."""
    for mailbox, uids in _grouped(seen, found, Action.REMOVE).items():
        messages.expunge(tx, seen.inbox_id, mailbox, uids, only_deleted=False, now=now)


def copy(tx: Tx, seen: Sight, found: Iterable[Placed], target: Listed, *, now: int) -> None:
    """They lie in `target` too; one that does already stays as it is. NoPermission, CannotChange, OverQuota."""
    takes_mail(target)
    seen.need(Action.ADD, target)
    sources: dict[MailboxId, list[int]] = {}
    for message in found:
        if all(place.row.mailbox_id != target.id for place in message.places):
            row = message.places[0].row
            sources.setdefault(row.mailbox_id, []).append(row.uid)
    for mailbox, uids in sources.items():
        messages.copy(tx, seen.inbox_id, mailbox, uids, MailboxId(target.id), now=now)


def takes_mail(target: Listed) -> None:
    if target.name == drafts.OUTBOX:
        raise CannotChange("Nothing is put into Outbox: send the draft")


def _relocate(
    tx: Tx, seen: Sight, found: Iterable[Placed], target: MailboxId, source: MailboxId | None, now: int
) -> None:
    moved: dict[MailboxId, list[int]] = {}
    removed: dict[MailboxId, list[int]] = {}
    for message in found:
        there = any(place.row.mailbox_id == target for place in message.places)
        for place in message.places:
            row = place.row
            if row.mailbox_id == target or source not in (None, row.mailbox_id):
                continue
            seen.need(Action.REMOVE, seen.boxes[row.mailbox_id])
            (removed if there else moved).setdefault(row.mailbox_id, []).append(row.uid)
            there = True
    for mailbox, uids in moved.items():
        messages.move(tx, seen.inbox_id, mailbox, sorted(uids), target, now=now)
    for mailbox, uids in removed.items():
        messages.expunge(tx, seen.inbox_id, mailbox, sorted(uids), only_deleted=False, now=now)


def _grouped(seen: Sight, found: Iterable[Placed], action: Action) -> Mapping[MailboxId, list[int]]:
    """Mailbox -> UIDs, rising. NoPermission."""
    groups: dict[MailboxId, list[int]] = {}
    for message in found:
        for place in message.places:
            groups.setdefault(_allowed(seen, place, action), []).append(place.row.uid)
    return {mailbox: sorted(uids) for mailbox, uids in groups.items()}


def _allowed(seen: Sight, place: Place, action: Action) -> MailboxId:
    seen.need(action, seen.boxes[place.row.mailbox_id])
    return place.row.mailbox_id
