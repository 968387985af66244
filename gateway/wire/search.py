"""SEARCH criteria as a tree of values (RFC 3501 6.4.4).

A chain of ORs is one flat `Or`, however the client nested it; what it juxtaposed or put in parentheses is one flat
`And`. The tree has at most `MAX_KEYS` leaves and, below `MAX_DEPTH` parentheses and NOTs, at most about 100 levels, so
a visitor may recurse. Extensions add leaf classes; whoever visits a tree treats an unknown leaf as a defect.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.model.sequence import SequenceSet

MAX_KEYS: Final = 1000  # security.md: one command may not cost more than a thousand tests a message
MAX_DEPTH: Final = 50  # security.md: visitors recurse


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class And:
    """All of `keys` hold; two or more, none of them an `And`."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of `keys` holds; two or more, none of them an `Or`."""

    keys: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Not:
    key: SearchKey


@dataclass(frozen=True, slots=True)
class Numbers:
    """Messages by sequence number, or by UID with `uid`."""

    messages: SequenceSet
    uid: bool


@dataclass(frozen=True, slots=True)
class SystemFlag:
    """`flag` is one `model.flags` bit; `present` False for UNSEEN, UNDELETED …"""

    flag: int
    present: bool


@dataclass(frozen=True, slots=True)
class Recent:
    """RECENT (`present`) and OLD. NEW comes as And((Recent(True), SystemFlag(SEEN, False)))."""

    present: bool


@dataclass(frozen=True, slots=True)
class Keyword:
    """KEYWORD and UNKEYWORD; `name` as sent, compared without case."""

    name: str
    present: bool


class DateField(Enum):
    INTERNAL = "internal"
    SENT = "sent"


class DateOp(Enum):
    BEFORE = "before"  # day <
    ON = "on"  # day ==
    SINCE = "since"  # day >=


@dataclass(frozen=True, slots=True)
class Date:
    """BEFORE, ON, SINCE and SENT…; `day` counts days from 1970-01-01 and may be negative.

    RFC 3501 disregards time and zone: compare with Unix seconds // 86400.
    """

    field: DateField
    op: DateOp
    day: int


@dataclass(frozen=True, slots=True)
class Size:
    """LARGER: size > octets (`larger`); SMALLER: size < octets."""

    larger: bool
    octets: int


@dataclass(frozen=True, slots=True)
class Header:
    """FROM, TO, CC, BCC, SUBJECT and HEADER: field `name` in capitals; an empty `value` asks only that it exists."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Body:
    """Substring of the decoded text parts."""

    value: str


@dataclass(frozen=True, slots=True)
class Text:
    """Substring of headers or decoded text parts."""

    value: str


SearchKey = All | And | Or | Not | Numbers | SystemFlag | Recent | Keyword | Date | Size | Header | Body | Text


def walk(key: SearchKey) -> Iterator[SearchKey]:
    """`key` and all keys below it, without recursion; order is not the client's."""
    waiting = [key]
    while waiting:
        key = waiting.pop()
        yield key
        if isinstance(key, And | Or):
            waiting.extend(key.keys)
        elif isinstance(key, Not):
            waiting.append(key.key)


def uses_sequence_numbers(key: SearchKey) -> bool:
    """Whether a criterion names messages by number: then EXPUNGE is withheld even from UID SEARCH (RFC 3501 7.4.1)."""
    return any(isinstance(found, Numbers) and not found.uid for found in walk(key))
