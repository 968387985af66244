"""Commands about mailboxes, their annotations and quotas (`commands`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from gateway.model.sequence import SequenceSet

from .commands_session import Command


@dataclass(frozen=True, slots=True)
class Resync:
    """SELECT's QRESYNC (RFC 7162 3.2.5): what the client knew. `known` UIDs, None: all; none of the sets has a `*`.

    `matched`: message numbers and, in the same order and as many, their UIDs, both rising.
    """

    uidvalidity: int
    modseq: int
    known: SequenceSet | None = None
    matched: tuple[SequenceSet, SequenceSet] | None = None


@dataclass(frozen=True, slots=True)
class Select(Command):
    """RFC 3501 6.3.1 with RFC 7162 3.1.8 and 3.2.5.

    `given`: the name as the client spelled it, where it is not stored so.
    """

    mailbox: str
    condstore: bool = False
    resync: Resync | None = None
    given: str = ""


@dataclass(frozen=True, slots=True)
class Examine(Command):
    """RFC 3501 6.3.2, with the same."""

    mailbox: str
    condstore: bool = False
    resync: Resync | None = None
    given: str = ""


@dataclass(frozen=True, slots=True)
class Create(Command):
    """RFC 3501 6.3.3 with RFC 6154 3. A trailing delimiter of the name is kept.

    `special_use`: attributes of `(USE (\\Sent …))`, known ones in their RFC spelling, unknown ones as sent
    (the answer to those is NO [USEATTR], not BAD). `given` as in Select.
    """

    mailbox: str
    special_use: tuple[str, ...] = ()
    given: str = ""


@dataclass(frozen=True, slots=True)
class Delete(Command):
    """RFC 3501 6.3.4. `given` as in Select."""

    mailbox: str
    given: str = ""


@dataclass(frozen=True, slots=True)
class Rename(Command):
    """RFC 3501 6.3.5. `given`: the old name as the client spelled it, where either name is not stored as spelled."""

    old: str
    new: str
    given: str = ""


@dataclass(frozen=True, slots=True)
class Subscribe(Command):
    """RFC 3501 6.3.6."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe(Command):
    """RFC 3501 6.3.7."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class List(Command):
    """RFC 3501 6.3.8, extended by RFC 5258, 5819 (STATUS), 6154 (SPECIAL-USE) and 9590 (METADATA).

    `patterns`: decoded, at least one; `pattern.Matcher` takes them. `selection` holds SUBSCRIBED, REMOTE,
    RECURSIVEMATCH, SPECIAL-USE; `returns` holds SUBSCRIBED, CHILDREN, SPECIAL-USE, STATUS, METADATA; `status` the items
    asked for with STATUS, in order, `metadata` the entries. `extended`: the client used the extended syntax, so
    `LIST "" ("")` is no question for the delimiter (RFC 5258 3).
    """

    reference: str
    patterns: tuple[str, ...]
    selection: frozenset[str] = frozenset()
    returns: frozenset[str] = frozenset()
    status: tuple[str, ...] = ()
    extended: bool = False
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lsub(Command):
    """RFC 3501 6.3.9."""

    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Status(Command):
    """RFC 3501 6.3.10. `items` in capitals, in the client's order, all of `STATUS_ITEMS`."""

    mailbox: str
    items: tuple[str, ...]


class Depth(Enum):
    """RFC 5464 4.2.2: the entry alone, its children too, or all below it."""

    SELF = "0"
    CHILDREN = "1"
    ALL = "infinity"


@dataclass(frozen=True, slots=True)
class GetMetadata(Command):
    """RFC 5464 4.2. `mailbox` "" means the server; `entries` as spelled."""

    mailbox: str
    entries: tuple[str, ...]
    maxsize: int | None = None
    depth: Depth = Depth.SELF


@dataclass(frozen=True, slots=True)
class SetMetadata(Command):
    """RFC 5464 4.3. `values`: entry in small letters -> octets, or None to remove it."""

    mailbox: str
    values: tuple[tuple[str, bytes | None], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetQuota(Command):
    """RFC 9208 4.1.1."""

    root: bytes


@dataclass(frozen=True, slots=True)
class GetQuotaRoot(Command):
    """RFC 9208 4.1.2. The mailbox need not exist."""

    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota(Command):
    """RFC 9208 4.1.3. `limits`: (resource in capitals, limit), none twice."""

    root: bytes
    limits: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ResetKey(Command):
    """RFC 4467 7. `mailbox` None: the keys of all mailboxes; mechanisms in capitals."""

    mailbox: str | None = None
    mechanisms: tuple[str, ...] = ()
