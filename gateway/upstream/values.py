"""What an IMAP server tells, as values: parsed once, whole or absent, never octets that somebody parses again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model.sequence import Ranges


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """STATUS (RFC 3501 6.3.10). None: the server did not say; never trusted to be there."""

    messages: int | None = None
    uidnext: int | None = None
    uidvalidity: int | None = None
    unseen: int | None = None
    highest_modseq: int | None = None
    size: int | None = None
    mailbox_id: str | None = None


@dataclass(frozen=True, slots=True)
class ListedMailbox:
    """A line of LIST. `raw`: the name's octets as the server spells it, and the only thing that is sent back to it.

    `name`: decoded for people (modified UTF-7 or UTF-8; octets that are neither are kept as Latin-1, never lost).
    `attributes` in small letters with their backslash. `delimiter` None: the server has no hierarchy.
    """

    raw: bytes
    name: str
    delimiter: str | None
    attributes: frozenset[str]
    status: MailboxStatus | None = None

    @property
    def selectable(self) -> bool:
        return not self.attributes & {"\\noselect", "\\nonexistent"}


@dataclass(frozen=True, slots=True)
class Selected:
    """What SELECT or EXAMINE told. `highest_modseq` None: not said, or NOMODSEQ."""

    raw: bytes
    read_only: bool
    uidvalidity: int
    exists: int
    uidnext: int | None
    highest_modseq: int | None
    flags: frozenset[str]
    permanent_flags: frozenset[str] | None
    """None: not said, so all flags are permanent (RFC 3501 6.3.1); `\\*` says that new keywords may be made."""
    mailbox_id: str | None = None
    uid_not_sticky: bool = False


@dataclass(frozen=True, slots=True)
class FetchedMessage:
    """The attributes of one message that a FETCH told; what the server left out is None.

    `flags`: as the server spells them, `\\Recent` left out. `labels`: Gmail's X-GM-LABELS, decoded.
    `header`: the octets of BODY[HEADER.FIELDS …] where they were asked for.
    """

    uid: int
    flags: frozenset[str] | None = None
    internal_date: int | None = None
    size: int | None = None
    modseq: int | None = None
    email_id: str | None = None
    thread_id: str | None = None
    gmail_id: int | None = None
    gmail_thread: int | None = None
    labels: frozenset[str] | None = None
    header: bytes | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """The answer to FETCH (CHANGEDSINCE …) [VANISHED]. `vanished` None: it was not asked for."""

    messages: tuple[FetchedMessage, ...]
    vanished: Ranges | None = None


@dataclass(frozen=True, slots=True)
class Bodies:
    """What became of bodies that were asked for. UIDs in none of the three were not mentioned by the server at all."""

    finished: frozenset[int]
    missing: tuple[FetchedMessage, ...] = ()
    """The server told of them, and of their bodies only NIL or nothing."""
    too_big: tuple[FetchedMessage, ...] = ()
    """Over `ImapLimits.message`; their octets were thrown away."""


@dataclass(frozen=True, slots=True)
class Copied:
    """COPYUID (RFC 4315): what a COPY or MOVE made. Pairs are as the server paired them, which is not always right."""

    uidvalidity: int
    uids: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Appended:
    """APPENDUID (RFC 4315)."""

    uidvalidity: int
    uid: int


@dataclass(slots=True)
class News:
    """What the server told of the selected mailbox without being asked, since somebody last took it.

    `exists` None: unchanged. `expunged`: how many EXPUNGE came (sequence numbers are of no use to whoever works by
    UID); `vanished`: UIDs, where the server names them. `fetched`: messages whose flags it told.
    """

    exists: int | None = None
    expunged: int = 0
    vanished: list[tuple[int, int]] = field(default_factory=list)
    fetched: list[FetchedMessage] = field(default_factory=list)
    alerts: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.exists is not None or self.expunged or self.vanished or self.fetched or self.alerts)
