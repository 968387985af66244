"""What waits for one next hop, by sender: numbers only, 16 octets a recipient, taken round robin. Pure.

An inbox that has 50,000 recipients in the queue gets one transaction each time the turn comes round, and so does the
one that has a single mail.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST: Final = 100_000
"""Recipients of one inbox for one next hop that are kept in mind; those behind them are found by a later look."""
_COMPACT: Final = 4_096


@dataclass(frozen=True, slots=True)
class Pick:
    """Recipients of one submission that shall go in one transaction."""

    hop: str
    inbox_id: int
    submission_id: int
    recipients: tuple[int, ...]


class Lane:
    """First in, first out. Recipients of one submission that follow each other are taken together."""

    __slots__ = ("_head", "_recipients", "_submissions")

    def __init__(self) -> None:
        self._recipients = array("q")
        self._submissions = array("q")
        self._head = 0

    def __len__(self) -> int:
        return len(self._recipients) - self._head

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """(submission, recipient), the first first."""
        return zip(self._submissions[self._head :], self._recipients[self._head :], strict=True)

    def add(self, submission: int, recipient: int) -> bool:
        """False when the lane is full."""
        if len(self) >= MOST:
            return False
        self._recipients.append(recipient)
        self._submissions.append(submission)
        return True

    def take(self, most: int) -> tuple[int, tuple[int, ...]]:
        """The submission at the head and up to `most` of its recipients. The lane is not empty."""
        first = self._head
        submission = self._submissions[first]
        end = first + 1
        last = min(len(self._submissions), first + most)
        while end < last and self._submissions[end] == submission:
            end += 1
        taken = tuple(self._recipients[first:end])
        self._head = end
        if end == len(self._recipients):
            del self._recipients[:], self._submissions[:]
            self._head = 0
        elif end >= _COMPACT and end * 2 >= len(self._recipients):
            del self._recipients[:end], self._submissions[:end]
            self._head = 0
        return submission, taken


class Lanes:
    """The lanes of one next hop, one an inbox, in the order in which their turn comes."""

    __slots__ = ("_lanes", "full", "waiting")

    def __init__(self) -> None:
        self._lanes: dict[int, Lane] = {}
        self.waiting = 0
        self.full = False
        """Something was left out: look again before you believe that nothing waits."""

    def add(self, inbox: int, submission: int, recipient: int) -> None:
        lane = self._lanes.get(inbox)
        if lane is None:
            lane = self._lanes[inbox] = Lane()
        if lane.add(submission, recipient):
            self.waiting += 1
        else:
            self.full = True

    def absorb(self, other: Lanes) -> None:
        """All that waits in `other`, which is of no more use, behind what waits here."""
        for inbox, lane in other._lanes.items():
            for submission, recipient in lane:
                self.add(inbox, submission, recipient)
        self.full = self.full or other.full

    def take(self, hop: str, picks: int, most: int) -> Iterator[Pick]:
        """Up to `picks` transactions of `most` recipients at the utmost, an inbox after the other."""
        for _ in range(picks):
            if not self._lanes:
                return
            inbox = next(iter(self._lanes))
            lane = self._lanes.pop(inbox)
            submission, recipients = lane.take(most)
            if lane:
                self._lanes[inbox] = lane  # to the end: all others come first
            self.waiting -= len(recipients)
            yield Pick(hop, inbox, submission, recipients)
