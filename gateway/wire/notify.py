"""NOTIFY's arguments as values (RFC 5465 8)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from .fetch import Attribute


class NotifyEvent(Enum):
    """The events there are, in the RFC's spelling."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    ANNOTATION_CHANGE = "AnnotationChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


EVENTS: Final = {event.value.upper(): event for event in NotifyEvent}
"""Name in capitals -> event."""

MESSAGE_EVENTS: Final = frozenset(
    {
        NotifyEvent.MESSAGE_NEW,
        NotifyEvent.MESSAGE_EXPUNGE,
        NotifyEvent.FLAG_CHANGE,
        NotifyEvent.ANNOTATION_CHANGE,
    }
)
SUPPORTED: Final = tuple(event for event in NotifyEvent if event is not NotifyEvent.ANNOTATION_CHANGE)
"""What BADEVENT lists: there are no annotations of messages (RFC 5257)."""


class Scope(Enum):
    """RFC 5465 6: which mailboxes a group of events is about."""

    SELECTED = "SELECTED"
    SELECTED_DELAYED = "SELECTED-DELAYED"
    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"
    MAILBOXES = "MAILBOXES"


OF_SELECTED: Final = frozenset({Scope.SELECTED, Scope.SELECTED_DELAYED})


@dataclass(frozen=True, slots=True)
class EventGroup:
    """Events of the mailboxes of a scope. No events: NONE.

    `names`: of SUBTREE and MAILBOXES, canonical. `items`: what MessageNew is to fetch, in the selected mailbox only.
    """

    scope: Scope
    events: frozenset[NotifyEvent]
    names: tuple[str, ...] = ()
    items: tuple[Attribute, ...] = ()
