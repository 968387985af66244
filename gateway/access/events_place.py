"""Places in the change log of an inbox, as cursors and ids of events show them. Pure.

`epoch.modseq` is a cursor: all up to that MODSEQ. `epoch-modseq-rank-place-number` is the id of an event, and a cursor
too: all up to that event. After a restore an inbox has another epoch, so that what was shown before is known as such.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.model.errors import InvalidRequest

END: Final = 99
"""The rank behind all events of a MODSEQ."""
_MOST: Final = (1 << 63) - 1
_CURSOR: Final = re.compile(r"([0-9A-Za-z]{1,64})\.([0-9]{1,19})")
_EVENT: Final = re.compile(r"([0-9A-Za-z]{1,64})-([0-9]{1,19})-([0-9]{1,2})-([0-9]{1,19})-([0-9]{1,19})")


class Place(NamedTuple):
    """Events are in this order. `within`: of a mailbox's events its number; `number`: mostly a UID."""

    modseq: int
    rank: int
    within: int
    number: int

    @property
    def first(self) -> int:
        """The MODSEQ of what comes next, at least."""
        return self.modseq + 1 if self.rank >= END else self.modseq


def whole(modseq: int) -> Place:
    """Behind everything up to this MODSEQ."""
    return Place(modseq, END, 0, 0)


def shown(epoch: str, place: Place) -> str:
    if place.rank >= END:
        return f"{epoch}.{place.modseq}"
    return f"{epoch}-{place.modseq}-{place.rank}-{place.within}-{place.number}"


def place_of(text: str) -> tuple[str, Place]:
    """(epoch, place) of a cursor or an event's id. InvalidRequest."""
    if (cursor := _CURSOR.fullmatch(text)) is not None:
        epoch, place = cursor[1], whole(int(cursor[2]))
    elif (event := _EVENT.fullmatch(text)) is not None:
        epoch, place = event[1], Place(*map(int, event.groups()[1:]))
    else:
        raise InvalidRequest("cursor is neither one of an inbox nor the id of an event")
    if max(place) > _MOST or place.rank > END:
        raise InvalidRequest("cursor is neither one of an inbox nor the id of an event")
    return epoch, place
