"""NOTIFY (RFC 5465 8), with the rules of its grammar's comments.

The RFC's first example leaves out the parentheses around a group's events, which are taken so too.
"""

from __future__ import annotations

from typing import Final

from gateway.model import names

from .commands import Command, Notify
from .fetch import Attribute
from .notify import EVENTS, MESSAGE_EVENTS, OF_SELECTED, EventGroup, NotifyEvent, Scope
from .parse_fetch import item_list
from .tokens import Cursor, Malformed

MAX_GROUPS: Final = 100  # each is looked at for each mailbox that changes
MAX_NAMES: Final = 1000  # of all groups of a command

_PAIR: Final = frozenset({NotifyEvent.MESSAGE_NEW, NotifyEvent.MESSAGE_EXPUNGE})
_CHANGES: Final = frozenset({NotifyEvent.FLAG_CHANGE, NotifyEvent.ANNOTATION_CHANGE})


def notify(cursor: Cursor, tag: bytes) -> Command:
    """NOTIFY NONE and NOTIFY SET. An event nobody knows is no error of the grammar (`Notify.unknown`)."""
    cursor.space()
    word = cursor.keyword("SET or NONE")
    if word == "NONE":
        return Notify(tag)
    if word != "SET":
        raise Malformed("Expected SET or NONE")
    cursor.space()
    status = cursor.peek() != b"("
    if status:
        if cursor.keyword("STATUS or a group of events") != "STATUS":
            raise Malformed("Expected STATUS or a group of events")
        cursor.space()
    groups: list[EventGroup] = []
    unknown = False
    while True:
        group, strange = _group(cursor)
        groups.append(group)
        unknown |= strange
        if cursor.at_end:
            break
        if len(groups) == MAX_GROUPS:
            raise Malformed(f"More than {MAX_GROUPS} groups of events")
        cursor.space()
    if sum(group.scope in OF_SELECTED for group in groups) > 1:
        raise Malformed("SELECTED or SELECTED-DELAYED can be given once only")  # RFC 5465 6.1
    if sum(len(group.names) for group in groups) > MAX_NAMES:
        raise Malformed(f"More than {MAX_NAMES} mailbox names")
    return Notify(tag, status, tuple(groups), unknown)


def _group(cursor: Cursor) -> tuple[EventGroup, bool]:
    """`event-group`, and whether it names an event that nobody knows."""
    cursor.need(b"(")
    word = cursor.keyword("which mailboxes")
    try:
        scope = Scope(word)
    except ValueError:
        raise Malformed("Unknown kind of mailboxes") from None
    found: tuple[str, ...] = ()
    if scope in (Scope.SUBTREE, Scope.MAILBOXES):
        cursor.space()
        found = _names(cursor)
    cursor.space()
    events, items, strange = _events(cursor, of_selected=scope in OF_SELECTED)
    cursor.need(b")")
    return EventGroup(scope, events, found, items), strange


def _names(cursor: Cursor) -> tuple[str, ...]:
    """`one-or-more-mailbox`."""
    if cursor.peek() != b"(":
        return (names.canonical(cursor.mailbox()),)
    return tuple(cursor.listed(lambda: names.canonical(cursor.mailbox())))


def _events(
    cursor: Cursor, *, of_selected: bool
) -> tuple[frozenset[NotifyEvent], tuple[Attribute, ...], bool]:
    listed = cursor.skip(b"(")
    events: set[NotifyEvent] = set()
    items: tuple[Attribute, ...] = ()
    strange = False
    first = True
    while True:
        name = cursor.keyword("an event" if listed else "events or NONE")
        if name == "NONE" and first and not listed:
            return frozenset(), (), False
        first = False
        event = EVENTS.get(name)
        if event is None and not listed:
            raise Malformed("Expected a list of events")
        strange |= event is None
        if event is not None:
            if event in events:
                raise Malformed("An event is given twice")
            if of_selected and event not in MESSAGE_EVENTS:
                raise Malformed("Only events of messages can be had of the selected mailbox")  # RFC 5465 6.1
            events.add(event)
        if event is NotifyEvent.MESSAGE_NEW and cursor.text.startswith(b" (", cursor.at):
            cursor.space()
            if not of_selected:
                raise Malformed("What to fetch can be given for the selected mailbox only")
            items = item_list(cursor)
        if cursor.peek() == b")":
            break
        cursor.space()
    if listed:
        cursor.need(b")")
    # RFC 5465 5: MUST BAD
    if (events & _PAIR and not events >= _PAIR) or (events & _CHANGES and not events >= _PAIR):
        raise Malformed("MessageNew and MessageExpunge go together, and FlagChange needs both")
    return frozenset(events), items, strange
