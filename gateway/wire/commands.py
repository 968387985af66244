"""IMAP commands as values: what `parser.parse` yields and the session's handlers take.

One frozen dataclass a command; `tag` is the client's tag as sent. Mailbox names are decoded `str` in their canonical
spelling (`model.names.canonical`: NFC, INBOX in capitals); a name that cannot exist is still a name here. Numbers of
messages stay `SequenceSet`s and are never expanded. `uid` tells `UID FETCH` from `FETCH`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING

from gateway.model.sequence import SequenceSet

from .fetch import Attribute
from .notify import EventGroup
from .search import Algorithm, Partial, Returns, SearchKey, SortKey

if TYPE_CHECKING:
    from .append import Place, Step


@dataclass(frozen=True, slots=True)
class Command:
    """Base of all commands."""

    tag: bytes


class Capability(Command):
    """RFC 3501 6.1.1."""

    __slots__ = ()


class Noop(Command):
    """RFC 3501 6.1.2."""

    __slots__ = ()


class Logout(Command):
    """RFC 3501 6.1.3."""

    __slots__ = ()


class StartTls(Command):
    """RFC 3501 6.2.1. Call `Reader.discard()` before the handshake."""

    __slots__ = ()


class Check(Command):
    """RFC 3501 6.4.1."""

    __slots__ = ()


class Close(Command):
    """RFC 3501 6.4.2."""

    __slots__ = ()


class Unselect(Command):
    """RFC 3691."""

    __slots__ = ()


class Unauthenticate(Command):
    """RFC 8437."""

    __slots__ = ()


class Idle(Command):
    """RFC 2177. Then `Reader.expect_line()`: the next line is DONE."""

    __slots__ = ()


class Namespace(Command):
    """RFC 2342."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Authenticate(Command):
    """RFC 3501 6.2.2 with RFC 4959. `mechanism` in capitals; `initial_response` decoded from base64.

    None: the client sent none and waits for `+ `; b"": it sent `=`, an empty response.
    """

    mechanism: str
    initial_response: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Compress(Command):
    """RFC 4978. `algorithm` in capitals."""

    algorithm: str


@dataclass(frozen=True, slots=True)
class Language(Command):
    """RFC 5255 3.2. Language ranges in order of preference; none asks for a list."""

    ranges: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Login(Command):
    """RFC 3501 6.2.3. Octets as sent; the password is kept out of `repr`."""

    user: bytes
    password: bytes = field(repr=False)


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
class Flags:
    """A flag list: `system` is a mask of `model.flags` bits, `keywords` as the client spelled them, without repeats.

    `\\Recent` in a client's list is left out: no client can set it (RFC 3501 2.3.2), and sync tools send it.
    """

    system: int = 0
    keywords: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Append(Command):
    """RFC 3501 6.3.11 and 3502, up to and with the first literal, which the reader streams (`framing.LiteralStart`).

    `first`: the steps up to there; `place` is where the text behind that literal begins: see `append`.
    """

    mailbox: str
    first: tuple[Step, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class Replace(Command):
    """RFC 8508: APPEND to `mailbox` in place of one message of the selected one. `message`: one number, or `*`."""

    uid: bool
    message: SequenceSet
    mailbox: str
    first: tuple[Step, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class GenUrlAuth(Command):
    """RFC 4467 7: URLs to sign, each with its mechanism in capitals."""

    urls: tuple[tuple[bytes, str], ...]


@dataclass(frozen=True, slots=True)
class ResetKey(Command):
    """RFC 4467 7. `mailbox` None: the keys of all mailboxes; mechanisms in capitals."""

    mailbox: str | None = None
    mechanisms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UrlFetch(Command):
    """RFC 4467 7 with RFC 5524 3.1: each URL with its parameters in capitals, none for the simple form."""

    urls: tuple[tuple[bytes, frozenset[str]], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expunge(Command):
    """RFC 3501 6.4.3; with `uids` it is UID EXPUNGE (RFC 4315 2.1)."""

    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Search(Command):
    """RFC 3501 6.4.4 with RFC 4466's RETURN.

    `charset` in capitals or None; the strings in `key` are decoded already. `returns` is None without RETURN.
    """

    uid: bool
    charset: str | None
    key: SearchKey
    returns: Returns | None = None


@dataclass(frozen=True, slots=True)
class Sort(Command):
    """RFC 5256 3, with RETURN RFC 5267 3.1. `order`: at least one key."""

    uid: bool
    order: tuple[SortKey, ...]
    charset: str | None
    key: SearchKey
    returns: Returns | None = None


@dataclass(frozen=True, slots=True)
class Thread(Command):
    """RFC 5256 3."""

    uid: bool
    algorithm: Algorithm
    charset: str | None
    key: SearchKey


class Scope(Enum):
    """Which mailboxes an ESEARCH means (RFC 5465 6, RFC 7377 2.2)."""

    SELECTED = "SELECTED"
    INBOXES = "INBOXES"
    PERSONAL = "PERSONAL"
    SUBSCRIBED = "SUBSCRIBED"
    SUBTREE = "SUBTREE"
    SUBTREE_ONE = "SUBTREE-ONE"
    MAILBOXES = "MAILBOXES"


@dataclass(frozen=True, slots=True)
class Source:
    """`names` for the last three scopes, in their canonical spelling."""

    scope: Scope
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MultiSearch(Command):
    """ESEARCH (RFC 7377 2): `sources` is what IN names, or the selected mailbox."""

    sources: tuple[Source, ...]
    charset: str | None
    key: SearchKey
    returns: Returns | None = None


@dataclass(frozen=True, slots=True)
class CancelUpdate(Command):
    """RFC 5267 4.3.5."""

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Fetch(Command):
    """RFC 3501 6.4.5. Macros are expanded; repeated items stay repeated.

    `changed_since` and `vanished`: modifiers of RFC 7162 3.1.4.1 and 3.2.6; VANISHED only in a UID FETCH that has both.
    `partial`: that of RFC 9394 3.3, in a UID FETCH only.
    """

    uid: bool
    messages: SequenceSet
    items: tuple[Attribute, ...]
    changed_since: int | None = None
    vanished: bool = False
    partial: Partial | None = None


class StoreAction(Enum):
    SET = "set"
    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Store(Command):
    """RFC 3501 6.4.6; `unchanged_since` is RFC 7162 3.1.3's UNCHANGEDSINCE."""

    uid: bool
    messages: SequenceSet
    action: StoreAction
    silent: bool
    flags: Flags
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy(Command):
    """RFC 3501 6.4.7."""

    uid: bool
    messages: SequenceSet
    mailbox: str


@dataclass(frozen=True, slots=True)
class Move(Command):
    """RFC 6851."""

    uid: bool
    messages: SequenceSet
    mailbox: str


@dataclass(frozen=True, slots=True)
class Id(Command):
    """RFC 2971. `parameters` is None for NIL, else (field, value or None) pairs in order, any number of them."""

    parameters: tuple[tuple[bytes, bytes | None], ...] | None


@dataclass(frozen=True, slots=True)
class Enable(Command):
    """RFC 5161. Capability names in capitals; unknown ones are the session's to ignore."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Notify(Command):
    """RFC 5465. No groups: NONE. `unknown`: an event was named that nobody knows, so SET is refused by BADEVENT."""

    status: bool = False
    groups: tuple[EventGroup, ...] = ()
    unknown: bool = False
