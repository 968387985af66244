"""What an account of the scripted upstream holds: mail, the places it stands at, mailboxes. No protocol, no I/O."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

EPOCH = 1_760_000_000
"""The first message's INTERNALDATE, seconds since 1970; each further one is a minute later."""

_numbers = itertools.count(1)


def example(number: int = 0, *, subject: str = "", body: str = "Hello.\r\n", message_id: str = "") -> bytes:
    """A small message; `number` 0 takes the next one, and each number is another message."""
    number = number or next(_numbers)
    return (
        f"From: Ann <ann@sender.test>\r\nTo: user@upstream.test\r\nSubject: {subject or f'Message {number}'}\r\n"
        f"Message-ID: {message_id or f'<m{number}@sender.test>'}\r\nDate: Thu, 09 Oct 2025 08:53:20 +0000\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{body}"
    ).encode()


def digest(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()


@dataclass(eq=False)
class Mail:
    """One message, wherever it stands. Flags belong to it, which is seen only in Gmail, where it stands at many places.

    `labels` are Gmail's, as it spells them (`\\Inbox`, `Work`). `fetchable` False: it is listed, and FETCH says
    nothing of it (Exchange does that). `size`: what RFC822.SIZE claims, where that is not the truth.
    """

    octets: bytes
    internal_date: int
    number: int
    flags: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    thread: int = 0
    content: int = 0
    """The number of the mail that this is a copy of: OBJECTID's EMAILID is that of the content."""
    fetchable: bool = True
    size: int | None = None
    places: list[Place] = field(default_factory=list)

    @property
    def email_id(self) -> str:
        return f"E{self.content or self.number:08d}"

    @property
    def thread_id(self) -> str:
        return f"T{self.thread or self.number:08d}"

    @property
    def gm_msgid(self) -> int:
        return 1_300_000_000_000_000_000 + self.number

    @property
    def gm_thrid(self) -> int:
        return 1_300_000_000_000_000_000 + (self.thread or self.number)


@dataclass(eq=False)
class Place:
    """Mail in a mailbox. `tick` is the model's own clock, which runs even where MODSEQ is frozen."""

    mailbox: Mailbox
    uid: int
    mail: Mail
    modseq: int
    tick: int


@dataclass(eq=False)
class Mailbox:
    """`raw`: the name as on the wire, modified UTF-7, held as text. `attributes`: as LIST shows them, `\\Sent`.

    Messages have no order but that of UIDs. `frozen`: HIGHESTMODSEQ and MODSEQs no longer grow.
    """

    raw: str
    uidvalidity: int
    attributes: tuple[str, ...] = ()
    uidnext: int = 1
    highest_modseq: int = 1
    number: int = 0
    subscribed: bool = True
    frozen: bool = False
    places: dict[int, Place] = field(default_factory=dict)
    expunged: list[tuple[int, int]] = field(default_factory=list)
    """(MODSEQ, UID) of what went, oldest first."""
    tick: int = 0
    refuses_select: str = ""
    """The text of the NO that SELECT and EXAMINE give, "" when they are granted."""
    _uids: tuple[int, tuple[int, ...]] = (-1, ())

    @property
    def mailbox_id(self) -> str:
        return f"F{self.number:06d}"

    @property
    def selectable(self) -> bool:
        return "\\Noselect" not in self.attributes and "\\NonExistent" not in self.attributes

    @property
    def uids(self) -> tuple[int, ...]:
        """In ascending order; one tuple for all who look, as long as nothing changes."""
        if self._uids[0] != self.tick:
            self._uids = self.tick, tuple(self.places)
        return self._uids[1]

    def touch(self) -> int:
        """Something changed: the next MODSEQ, which is the old one where it is frozen."""
        self.tick += 1
        if not self.frozen:
            self.highest_modseq += 1
        return self.highest_modseq

    def place(self, mail: Mail) -> Place:
        """Puts mail in, at the next UID."""
        modseq = self.touch()
        placed = Place(self, self.uidnext, mail, modseq, self.tick)
        self.places[self.uidnext] = placed
        self.uidnext += 1
        mail.places.append(placed)
        return placed

    def take(self, uid: int) -> Place:
        """Takes mail out, as EXPUNGE does."""
        placed = self.places.pop(uid)
        placed.mail.places.remove(placed)
        self.expunged.append((self.touch(), uid))
        return placed

    def changed(self, placed: Place) -> None:
        placed.modseq, placed.tick = self.touch(), self.tick

    def vanished_since(self, modseq: int) -> list[int]:
        return sorted(uid for at, uid in self.expunged if at > modseq)

    def snapshot(self) -> dict[int, tuple[frozenset[str], str]]:
        return {
            uid: (frozenset(placed.mail.flags), digest(placed.mail.octets)) for uid, placed in self.places.items()
        }


def ranges(numbers: Iterable[int]) -> str:
    """A sequence set: 1:3,7. "" for none."""
    return ",".join(str(low) if low == high else f"{low}:{high}" for low, high in _runs(numbers))


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    low = high = -1
    for number in sorted(numbers):
        if number == high + 1 and low >= 0:
            high = number
            continue
        if low >= 0:
            yield low, high
        low = high = number
    if low >= 0:
        yield low, high
