"""What NOTIFY asks for (RFC 5465 6), compiled: of which mailbox a client wants to hear what. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.model.mailbox import DELIMITER, INBOX
from gateway.wire.fetch import Attribute
from gateway.wire.notify import OF_SELECTED, EventGroup, NotifyEvent, Scope

Matches = Callable[[str, bool, bool], bool]
"""Whether a group is about (name, it is a mailbox, it is subscribed)."""

Events = frozenset[NotifyEvent]
NO_EVENTS: Final[Events] = frozenset()


class Wishes:
    """`of_selected`: events of the selected mailbox, `delayed` its expunges only with commands, `items` to fetch of new
    messages. Without groups nothing is asked for: NONE.

    Groups that are about the same mailbox add up (RFC 5465 6); in one of them NONE takes nothing away.
    """

    def __init__(self, groups: Sequence[EventGroup] = ()) -> None:
        self.of_selected: Events = NO_EVENTS
        self.items: tuple[Attribute, ...] = ()
        self.delayed = False
        self._others: list[tuple[Matches, Events]] = []
        for group in groups:
            if group.scope in OF_SELECTED:
                self.of_selected, self.items = group.events, group.items
                self.delayed = group.scope is Scope.SELECTED_DELAYED
            elif group.events:
                self._others.append((_matcher(group), group.events))
        self.of_others: Events = NO_EVENTS.union(*(events for _, events in self._others))
        """All events that any mailbox but the selected one is asked for."""

    def of(self, name: str, *, selectable: bool, subscribed: bool) -> Events:
        """Events of a mailbox that is not selected; of the selected one those that are not about messages."""
        found = [events for matches, events in self._others if matches(name, selectable, subscribed)]
        return found[0] if len(found) == 1 else NO_EVENTS.union(*found)


def _matcher(group: EventGroup) -> Matches:
    if group.scope is Scope.INBOXES:  # the one mailbox into which mail is delivered
        return lambda name, selectable, subscribed: name == INBOX
    if group.scope is Scope.PERSONAL:
        return lambda name, selectable, subscribed: selectable
    if group.scope is Scope.SUBSCRIBED:
        return lambda name, selectable, subscribed: subscribed
    names = frozenset(group.names)
    if group.scope is Scope.MAILBOXES:
        return lambda name, selectable, subscribed: name in names
    below = tuple(name + DELIMITER for name in group.names)
    return lambda name, selectable, subscribed: name in names or name.startswith(below)
