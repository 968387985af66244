"""SEARCH criteria as a tree of values (RFC 3501 6.4.4).

A chain of ORs is one flat `Or`, however the client nested it; what it juxtaposed or put in parentheses is one flat
`And`. The tree has at most `MAX_KEYS` leaves and, below `MAX_DEPTH` parentheses and NOTs, at most about 100 levels, so
a visitor may recurse. Extensions add leaf classes; whoever visits a tree treats an unknown leaf as a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.model.sequence import SequenceSet

from .fetch import Attribute

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


@dataclass(frozen=True, slots=True)
class Saved:
    """`$`, by itself or behind UID: what the last SEARCH RETURN (SAVE …) found (RFC 5182)."""


@dataclass(frozen=True, slots=True)
class Within:
    """YOUNGER (`younger`) and OLDER (RFC 5032): INTERNALDATE at or after, at or before `seconds` ago."""

    younger: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class ObjectId:
    """EMAILID, or THREADID with `thread` (RFC 8474 5.4). Case counts."""

    thread: bool
    value: str


@dataclass(frozen=True, slots=True)
class Fuzzy:
    """FUZZY `key` (RFC 6203 3)."""

    key: SearchKey


@dataclass(frozen=True, slots=True)
class Filter:
    """FILTER (RFC 5466 3.1): the criteria that are stored under `name`. Replaced before a search begins."""

    name: str


class DateField(Enum):
    INTERNAL = "internal"
    SENT = "sent"
    SAVED = "saved"  # RFC 8514 4.3


class DateOp(Enum):
    BEFORE = "before"  # day <
    ON = "on"  # day ==
    SINCE = "since"  # day >=


@dataclass(frozen=True, slots=True)
class Date:
    """BEFORE, ON, SINCE, SENT… and SAVED…; `day` counts days from 1970-01-01 and may be negative.

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


@dataclass(frozen=True, slots=True)
class ModSeq:
    """A MODSEQ of at least `least` (RFC 7162 3.1.5), which is 0 for all messages."""

    least: int


SearchKey = (
    All | And | Or | Not | Fuzzy | Numbers | Saved | SystemFlag | Recent | Keyword | ModSeq | Date | Within | Size
    | ObjectId | Header | Body | Text | Filter
)  # fmt: skip


class Option(Enum):
    """RETURN options without a value (RFC 4731 3.1, RFC 5182 2, RFC 5267 4, RFC 6203 4)."""

    MIN = "MIN"
    MAX = "MAX"
    ALL = "ALL"
    COUNT = "COUNT"
    SAVE = "SAVE"
    RELEVANCY = "RELEVANCY"
    CONTEXT = "CONTEXT"
    UPDATE = "UPDATE"


@dataclass(frozen=True, slots=True)
class Partial:
    """PARTIAL (RFC 9394 3.1): results `first` to `last`, `first` <= `last`; with `from_end` 1 is the last one.

    `text`: the range as the client wrote it, which the answer repeats.
    """

    first: int
    last: int
    from_end: bool
    text: bytes


class Criterion(Enum):
    """What SORT orders by (RFC 5256 3, RFC 5957 4, RFC 6203 6)."""

    ARRIVAL = "ARRIVAL"
    CC = "CC"
    DATE = "DATE"
    DISPLAYFROM = "DISPLAYFROM"
    DISPLAYTO = "DISPLAYTO"
    FROM = "FROM"
    RELEVANCY = "RELEVANCY"
    SIZE = "SIZE"
    SUBJECT = "SUBJECT"
    TO = "TO"


@dataclass(frozen=True, slots=True)
class SortKey:
    criterion: Criterion
    reverse: bool = False


class Algorithm(Enum):
    """How THREAD builds its trees (RFC 5256 3; REFS: the same references, without a look at subjects)."""

    ORDEREDSUBJECT = "ORDEREDSUBJECT"
    REFERENCES = "REFERENCES"
    REFS = "REFS"


@dataclass(frozen=True, slots=True)
class Returns:
    """What RETURN asks for; `RETURN ()` asks for ALL. `items`: UPDATE's, of new messages (RFC 5465 7)."""

    options: frozenset[Option] = frozenset({Option.ALL})
    partial: Partial | None = None
    items: tuple[Attribute, ...] = ()

    def __contains__(self, option: Option) -> bool:
        return option in self.options


def walk(key: SearchKey) -> Iterator[SearchKey]:
    """`key` and all keys below it, without recursion; order is not the client's."""
    return (found for found, _ in levels(key))


def levels(key: SearchKey) -> Iterator[tuple[SearchKey, int]]:
    """As `walk`, each with how many keys it stands below."""
    waiting = [(key, 0)]
    while waiting:
        key, depth = waiting.pop()
        yield key, depth
        if isinstance(key, And | Or):
            waiting.extend((part, depth + 1) for part in key.keys)
        elif isinstance(key, Not | Fuzzy):
            waiting.append((key.key, depth + 1))


def uses(key: SearchKey, kind: type[SearchKey]) -> bool:
    """Whether a key of `kind` stands anywhere in `key`."""
    return any(isinstance(found, kind) for found in walk(key))


def replaced(key: SearchKey, leaf: Callable[[SearchKey], SearchKey]) -> SearchKey:
    """`key` with `leaf` of each of its leaves; FUZZY keys stand for what they hold, which is looked for exactly."""
    if isinstance(key, Not):
        return Not(replaced(key.key, leaf))
    if isinstance(key, Fuzzy):
        return replaced(key.key, leaf)
    if isinstance(key, And | Or):
        kind = type(key)
        parts: list[SearchKey] = []
        for part in (replaced(each, leaf) for each in key.keys):
            parts += part.keys if isinstance(part, kind) else (part,)
        return kind(tuple(parts))
    return leaf(key)


def uses_sequence_numbers(key: SearchKey) -> bool:
    """Whether a criterion names messages by number: then EXPUNGE is withheld even from UID SEARCH (RFC 3501 7.4.1)."""
    return any(isinstance(found, Numbers) and not found.uid for found in walk(key))
