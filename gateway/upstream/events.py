"""What a server's responses say, as typed events: `responses` makes them, the mailbox model and commands read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from .values import FetchedMessage, ListedMailbox, MailboxStatus


@dataclass(frozen=True, slots=True)
class Code:
    """A response code: its name in capitals, and what stands behind it."""

    name: str
    arguments: bytes = b""


@dataclass(frozen=True, slots=True)
class Tagged:
    tag: bytes
    status: str
    """OK, NO or BAD."""
    code: Code | None
    text: str


@dataclass(frozen=True, slots=True)
class Status:
    """Untagged OK, NO, BAD, BYE, PREAUTH."""

    kind: str
    code: Code | None
    text: str


@dataclass(frozen=True, slots=True)
class Continuation:
    octets: bytes


@dataclass(frozen=True, slots=True)
class Capability:
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Enabled:
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exists:
    count: int


@dataclass(frozen=True, slots=True)
class Expunge:
    number: int


@dataclass(frozen=True, slots=True)
class Vanished:
    """RFC 7162 3.2.10. `uids` is read by `numbers.ranges_of`: it may be megabytes."""

    earlier: bool
    uids: bytes


@dataclass(frozen=True, slots=True)
class Flags:
    names: frozenset[str]


class _Absent(Enum):
    ABSENT = "not told"


ABSENT: Final = _Absent.ABSENT


@dataclass(slots=True)
class Row:
    """FETCH or UIDFETCH. `body`: of the item that was asked for, None for NIL, ABSENT where it is not in the response.

    `message.uid` is 0 where the server told none.
    """

    message: FetchedMessage
    body: bytes | _Absent | None = ABSENT


@dataclass(frozen=True, slots=True)
class Listed:
    """LIST, LSUB or XLIST."""

    mailbox: ListedMailbox
    kind: str


@dataclass(frozen=True, slots=True)
class StatusOf:
    raw: bytes
    status: MailboxStatus


@dataclass(frozen=True, slots=True)
class Found:
    """SEARCH: numbers that `numbers.numbers_of` reads."""

    numbers: bytes


@dataclass(frozen=True, slots=True)
class FoundSet:
    """ESEARCH (RFC 4731, RFC 9394). `uids` is read by `numbers.ranges_of`; None where there was no ALL or PARTIAL."""

    tag: bytes
    uids: bytes | None
    lowest: int | None = None
    highest: int | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Namespaces:
    """RFC 2342: (prefix, delimiter) each."""

    personal: tuple[tuple[bytes, str | None], ...] = ()
    others: tuple[tuple[bytes, str | None], ...] = ()
    shared: tuple[tuple[bytes, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Identity:
    """ID (RFC 2971), names in small letters."""

    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unknown:
    """A response that nobody here knows, or whose inside is in no grammar."""

    name: str


Response = (
    Tagged | Status | Continuation | Capability | Enabled | Exists | Expunge | Vanished | Flags | Row | Listed
    | StatusOf | Found | FoundSet | Namespaces | Identity | Unknown
)  # fmt: skip
