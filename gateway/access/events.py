"""What happened in an inbox, as events in the order of its change log, from any place on that the log still reaches.

Events are made of the log and of the rows it speaks of whenever somebody asks, so that who listens, who comes back with
a cursor and a webhook all get the same events under the same ids. Of a message whose flags changed several times the
last change is told, and of one that is gone for more than an hour only that. Where the log does not reach back (pruned
records, another epoch) one `reset` says so: look at the inbox anew, and go on from there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from gateway.model.errors import NotFound
from gateway.model.ids import InboxId
from gateway.model.rights import Action, allowed
from gateway.store import event_rows
from gateway.store.db import Rx
from gateway.store.event_rows import LogInbox

from .events_build import Builder
from .events_collect import collect
from .events_place import Place, place_of, shown, whole

RECEIVED: Final = "message.received"
TYPES: Final = (
    RECEIVED, "message.added", "message.copied", "message.moved", "message.flags", "message.deleted",
    "message.sent", "message.delivered", "message.deferred", "message.bounced",
    "mailbox.created", "mailbox.renamed", "mailbox.deleted",
)  # fmt: skip
RESET: Final = "reset"
PAGE: Final = 500


@dataclass(frozen=True)
class Event:
    """`data` is JSON. `role`: of the mailbox it is about, which a key may not be allowed to read."""

    place: Place
    id: str
    type: str
    data: dict[str, Any]
    inbox: dict[str, str]
    at: int | None = None
    role: str | None = None
    content_id: int | None = field(default=None, repr=False)

    @property
    def document(self) -> dict[str, Any]:
        """As it is shown everywhere."""
        return {"id": self.id, "type": self.type, "at": self.at, "inbox": self.inbox, "data": self.data}

    @cached_property
    def text(self) -> str:
        """The document as JSON; made once for all who are told."""
        return json.dumps(self.document, ensure_ascii=False, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Page:
    """Events behind `start`, up to `end`; `more`: the log goes on."""

    start: Place
    events: Sequence[Event]
    end: Place
    more: bool


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events somebody is told of: with these permissions, of these types; none: all."""

    permissions: frozenset[str]
    types: frozenset[str] = frozenset()

    def takes(self, event: Event) -> bool:
        if event.type == RESET:
            return True
        return (not self.types or event.type in self.types) and allowed(self.permissions, Action.READ, event.role)

    def among(self, events: Iterable[Event]) -> list[Event]:
        return [event for event in events if self.takes(event)]


def events_after(rx: Rx, inbox_id: InboxId, after: Place, most: int = PAGE) -> Page:
    """The next events, about `most`. NotFound when the inbox is gone."""
    inbox = _inbox(rx, inbox_id)
    if after.modseq > inbox.modseq:
        return _reset(inbox, after, "The cursor is ahead of the inbox")
    if after.first > inbox.modseq:
        return Page(after, (), after, more=False)
    found = collect(rx, inbox, after, most)
    if found is None:
        return _reset(inbox, after, "The log does not reach back so far")
    made = Builder(rx, inbox, found).build()
    if made is None:
        return _reset(inbox, after, "The history of sent mail does not reach back so far")
    events = [
        Event(place, shown(inbox.epoch, place), each.type, each.data, _named(inbox), each.at, each.role, each.content)
        for place, each in made
    ]
    return Page(after, events, found.end, found.more)


def event_of(rx: Rx, inbox_id: InboxId, event_id: str) -> Event:
    """One event by its id. NotFound: it is none of the inbox, or the log has lost it."""
    epoch, place = place_of(event_id)
    if place.number > 0 and _inbox(rx, inbox_id).epoch == epoch:
        before = place._replace(number=place.number - 1)
        for event in events_after(rx, inbox_id, before, 1).events:
            if event.place == place:
                return event
    raise NotFound("No such event")


FOREIGN: Final = Place((1 << 63) - 1, 0, 0, 0)
"""The place of a cursor that this inbox has not given: ahead of all, so that a reset follows."""


@dataclass(frozen=True, slots=True)
class Start:
    """`place`: from where to tell; `now`: where the inbox is."""

    epoch: str
    place: Place
    now: Place


def start_at(rx: Rx, inbox_id: InboxId, cursors: Sequence[str] = ()) -> Start:
    """From the cursor among `cursors` that is of this inbox; without any, from now on.

    InvalidRequest, NotFound.
    """
    inbox = _inbox(rx, inbox_id)
    now = whole(inbox.modseq)
    places = dict(place_of(cursor) for cursor in cursors)
    place = places.get(inbox.epoch, FOREIGN) if places else now
    return Start(inbox.epoch, place if place <= now else FOREIGN, now)


def _reset(inbox: LogInbox, after: Place, reason: str) -> Page:
    end = whole(inbox.modseq)
    told = Event(end, shown(inbox.epoch, end), RESET, {"reason": reason}, _named(inbox))
    return Page(after, (told,), end, more=False)


def _inbox(rx: Rx, inbox_id: InboxId) -> LogInbox:
    found = event_rows.inbox(rx, inbox_id)
    if found is None:
        raise NotFound("No such inbox")
    return found


def _named(inbox: LogInbox) -> dict[str, str]:
    return {"id": inbox.uuid, "address": inbox.address}
