"""What one process knows of an inbox's mailboxes, and what of it changed when. Pure: `inbox_watch` reads the store.

Each look that finds something new has a *stamp*; a session knows up to which one it has been told. Counters are told as
they are now, so of them only the last change is kept; changes of names are kept in order, a limited number of them.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import Final

from gateway.model.mailbox import DELIMITER, INBOX
from gateway.store.listing import Listed

from . import settings


class Aspect(Flag):
    """What of a mailbox changed."""

    NUMBERS = auto()
    """MESSAGES, UIDNEXT or UIDVALIDITY."""
    UNSEEN = auto()
    MODSEQ = auto()


NOTHING: Final = Aspect(0)
_FOLLOWED: Final = 50  # mailboxes renamed at once: for more, each name is told once more


@dataclass(slots=True)
class Known:
    """A mailbox, and the stamps at which its aspects changed last."""

    row: Listed
    numbers: int
    unseen: int
    modseq: int

    def changed(self, since: int) -> Aspect:
        found = NOTHING
        if self.numbers > since:
            found |= Aspect.NUMBERS
        if self.unseen > since:
            found |= Aspect.UNSEEN
        if self.modseq > since:
            found |= Aspect.MODSEQ
        return found


@dataclass(frozen=True, slots=True)
class Named:
    """A name that was affected (RFC 5465 5.4), or a change of its subscription (5.5).

    `old_name`: that of a renamed mailbox, else "". `was_selectable`, `was_subscribed`: before it.
    """

    stamp: int
    name: str
    old_name: str = ""
    subscription: bool = False
    was_selectable: bool = False
    was_subscribed: bool = False


class InboxState:
    """The mailboxes of an inbox by id and by name."""

    def __init__(self) -> None:
        self.stamp = 0
        self.forgotten = 0
        """Changes of names up to this stamp are no longer all known."""
        self.known: dict[int, Known] = {}
        self.by_name: dict[str, Listed] = {}
        self.subscribed: set[str] = set()
        """Names, also of mailboxes that are gone."""
        self._children: Counter[str] = Counter()
        self._recent: OrderedDict[int, int] = OrderedDict()  # id -> stamp of its last change, rising
        self._named: deque[Named] = deque()

    def load(self, rows: Iterable[Listed], subscribed: Iterable[str]) -> None:
        """The first look: nothing of it is news."""
        self.subscribed = set(subscribed)
        for row in rows:
            self._add(row)

    def has_children(self, name: str) -> bool:
        return self._children[name] > 0

    def selectable(self, name: str) -> bool:
        row = self.by_name.get(name)
        return row is not None and not row.noselect

    def changed_after(self, stamp: int) -> Iterator[int]:
        """Ids of mailboxes whose counters changed after `stamp`, the latest first."""
        for mailbox_id, at in reversed(self._recent.items()):
            if at <= stamp:
                return
            yield mailbox_id

    def named_after(self, stamp: int) -> Iterator[Named]:
        """What happened to names after `stamp`, in order."""
        return (named for named in tuple(self._named) if named.stamp > stamp)

    # -- looks -----------------------------------------------------------------------------------------------------

    def apply(
        self,
        rows: Collection[Listed],
        gone: Iterable[int],
        *,
        subscribed: Collection[str] | None = None,
        from_inbox: Collection[int] = (),
    ) -> bool:
        """Take over mailboxes as they are now, and ids that are `gone`. Whether there is anything new.

        `subscribed`: all subscribed names, when the look asked for them; else the rows tell. `from_inbox`: those of the
        rows that are new and hold what INBOX held before a RENAME.
        """
        stamp = self.stamp + 1
        gone = [mailbox_id for mailbox_id in gone if mailbox_id in self.known]
        if not gone and subscribed is None and not any(map(self._renews, rows)):
            for row in rows:
                self._count(stamp, self.known[row.id], row)
            if next(reversed(self._recent.values()), 0) != stamp:
                return False
            self.stamp = stamp
            return True
        before, was_subscribed = dict(self.by_name), set(self.subscribed)
        deleted, renamed, created = self._take(stamp, rows, gone)
        if subscribed is not None:
            self.subscribed = set(subscribed)
        else:
            for row in rows:
                (self.subscribed.add if row.subscribed else self.subscribed.discard)(row.name)
        moved = {self.known[mailbox_id].row.name: INBOX for mailbox_id in from_inbox if mailbox_id in self.known}
        told = self._told(before, deleted, renamed, created, moved)
        changes = [Named(stamp, name, old, *_before(origin, before, was_subscribed)) for name, old, origin in told]
        changes += [
            Named(stamp, name, "", True, *_before(name, before, was_subscribed)[1:])
            for name in sorted(self.subscribed ^ was_subscribed)
        ]
        if changes:
            self._log(changes)
        if not changes and next(reversed(self._recent.values()), 0) != stamp:
            return False
        self.stamp = stamp
        return True

    def _renews(self, row: Listed) -> bool:
        """More than its counters is new, so names have to be compared."""
        known = self.known.get(row.id)
        if known is None or known.row.name != row.name or known.row.noselect != row.noselect:
            return True
        return (row.subscribed != 0) != (row.name in self.subscribed)

    def _take(
        self, stamp: int, rows: Iterable[Listed], gone: Iterable[int]
    ) -> tuple[list[str], list[tuple[str, str]], list[str]]:
        """Names of mailboxes deleted, (old, new) of those renamed, names of those created."""
        deleted = [self._remove(mailbox_id).name for mailbox_id in gone]
        renamed: list[tuple[str, str]] = []
        created: list[str] = []
        arrived: list[Listed] = []
        for row in rows:
            known = self.known.get(row.id)
            if known is None:
                created.append(row.name)
                arrived.append(row)
                continue
            old = known.row
            if old.name != row.name:
                renamed.append((old.name, row.name))
                self._unname(old)
                arrived.append(row)
            elif old.noselect != row.noselect:
                created.append(row.name)
            self._count(stamp, known, row)
        for row in arrived:
            if row.id in self.known:
                self._name(row)
            else:
                self._add(row, stamp)
        return deleted, renamed, created

    def _told(
        self,
        before: Mapping[str, Listed],
        deleted: list[str],
        renamed: list[tuple[str, str]],
        created: list[str],
        moved: Mapping[str, str],
    ) -> list[tuple[str, str, str]]:
        """(name, old name, the mailbox's name before) of what is told, in an order that a client can follow."""
        told = [(name, "") for name in sorted(deleted)]
        trees = dict(renamed)
        roots = [pair for pair in renamed if not _follows(pair, trees)]
        told += [(new, old) for old, new in _in_order(roots)]
        told += [(name, moved.get(name, "")) for name in sorted(created)]
        again: list[tuple[str, str]] = []
        if renamed:
            again = self._misled(before, told, renamed)
            for name, _ in again:
                if name in self.by_name:
                    self._bump(self.by_name[name].id)
        named = {name for name, _ in (*told, *again)}
        parents = {name.rpartition(DELIMITER)[0] for name in (*deleted, *created)} - {"", *named}
        return [
            *((name, old, old or name) for name, old in told),
            *((name, "", origin) for name, origin in again),
            *((name, "", name) for name in sorted(parents)),
        ]

    def _misled(
        self, before: Mapping[str, Listed], told: list[tuple[str, str]], renamed: list[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """Names of which a client that follows `told` would think of another mailbox, or of one too many or too few.

        Where names were exchanged within one look no order is right. With each name the one that the mailbox had, of
        which the client thinks there: it hears of the one if it hears of the other.
        """
        if len(renamed) > _FOLLOWED:
            return [(name, name) for name in sorted({name for pair in renamed for name in pair})]
        believed = {name: row.id for name, row in before.items()}
        for name, old in told:
            if old and old != INBOX:
                below = old + DELIMITER
                for each in [each for each in believed if each == old or each.startswith(below)]:
                    believed[name + each[len(old) :]] = believed.pop(each)
            elif name in self.by_name:
                believed.setdefault(name, self.by_name[name].id)
            else:
                believed.pop(name, None)
        true = {name: row.id for name, row in self.by_name.items()}
        origins = {row.id: name for name, row in before.items()}
        wrong = sorted({name for name, _ in believed.items() ^ true.items()})
        return [(name, origins.get(believed.get(name, 0), name)) for name in wrong]

    def _bump(self, mailbox_id: int) -> None:
        """Its counters are told again."""
        known = self.known[mailbox_id]
        known.numbers = known.unseen = known.modseq = self.stamp + 1
        self._touch(mailbox_id, self.stamp + 1)

    def _count(self, stamp: int, known: Known, row: Listed) -> None:
        old = known.row
        known.row = row
        if self.by_name.get(row.name) is old:
            self.by_name[row.name] = row
        if (old.messages, old.uidnext, old.uidvalidity) != (row.messages, row.uidnext, row.uidvalidity):
            known.numbers = stamp
        if old.unseen != row.unseen:
            known.unseen = stamp
        if old.highest_modseq != row.highest_modseq:
            known.modseq = stamp
        if known.changed(stamp - 1):
            self._touch(row.id, stamp)

    def _add(self, row: Listed, stamp: int = 0) -> None:
        self.known[row.id] = Known(row, stamp, stamp, stamp)
        self._name(row)
        if stamp:
            self._touch(row.id, stamp)

    def _remove(self, mailbox_id: int) -> Listed:
        row = self.known.pop(mailbox_id).row
        self._recent.pop(mailbox_id, None)
        self._unname(row)
        return row

    def _name(self, row: Listed) -> None:
        self.by_name[row.name] = row
        self._children[row.name.rpartition(DELIMITER)[0]] += 1

    def _unname(self, row: Listed) -> None:
        if self.by_name.get(row.name, row).id == row.id:
            self.by_name.pop(row.name, None)
        parent = row.name.rpartition(DELIMITER)[0]
        self._children[parent] -= 1
        if not self._children[parent]:
            del self._children[parent]

    def _touch(self, mailbox_id: int, stamp: int) -> None:
        self._recent[mailbox_id] = stamp
        self._recent.move_to_end(mailbox_id)

    def _log(self, changes: Iterable[Named]) -> None:
        self._named.extend(changes)
        while len(self._named) > settings.NEWS_KEPT:
            self.forgotten = self._named.popleft().stamp


def _before(name: str, by_name: Mapping[str, Listed], subscribed: Collection[str]) -> tuple[bool, bool, bool]:
    """(no change of a subscription, it could be selected, it was subscribed)"""
    row = by_name.get(name)
    return False, row is not None and not row.noselect, name in subscribed


def _follows(pair: tuple[str, str], trees: Mapping[str, str]) -> bool:
    """Whether a renamed mailbox only went with one above it (RFC 5465 5.4: no events for children)."""
    old, new = pair
    head, slash, _ = old.rpartition(DELIMITER)
    while slash:
        if head in trees:
            return new == trees[head] + old[len(head) :]
        head, slash, _ = head.rpartition(DELIMITER)
    return False


def _in_order(renamed: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """(old, new) so that each old name still means that mailbox, and each new name is free, as far as can be.

    The deepest first: a child that went elsewhere is still found below its parent's old name. Before that, who leaves
    a name that another one takes, or the place it is below.
    """
    left = sorted(renamed, key=lambda pair: -pair[0].count(DELIMITER))
    if len(left) > _FOLLOWED:
        return left
    waits = {pair: {each for each in left if each != pair and _comes_first(each, pair)} for pair in left}
    ordered: list[tuple[str, str]] = []
    while waits:
        pair = next((pair for pair, others in waits.items() if not others), next(iter(waits)))  # or they go in circles
        ordered.append(pair)
        del waits[pair]
        for others in waits.values():
            others.discard(pair)
    return ordered


def _comes_first(pair: tuple[str, str], other: tuple[str, str]) -> bool:
    old, leaves, takes = pair[0] + DELIMITER, other[0] + DELIMITER, other[1] + DELIMITER
    return old.startswith((leaves, takes)) or takes.startswith(old)
