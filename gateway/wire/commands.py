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

from .commands_mailboxes import (
    Create,
    Delete,
    Depth,
    Examine,
    GetMetadata,
    GetQuota,
    GetQuotaRoot,
    List,
    Lsub,
    Rename,
    ResetKey,
    Resync,
    Select,
    SetMetadata,
    SetQuota,
    Status,
    Subscribe,
    Unsubscribe,
)
from .commands_searches import (
    CancelUpdate,
    MultiSearch,
    Scope,
    Search,
    Sort,
    Source,
    Thread,
)
from .commands_session import (
    Authenticate,
    Capability,
    Check,
    Close,
    Command,
    Compress,
    Enable,
    Id,
    Idle,
    Language,
    Login,
    Logout,
    Namespace,
    Noop,
    Notify,
    StartTls,
    Unauthenticate,
    Unselect,
)
from .fetch import Attribute
from .search import Partial

if TYPE_CHECKING:
    from .append import Place, Step

__all__ = [
    "Append", "Authenticate", "CancelUpdate", "Capability", "Check", "Close", "Command", "Compress", "Copy",
    "Create", "Delete", "Depth", "Enable", "Examine", "Expunge", "Fetch", "Flags", "GenUrlAuth", "GetMetadata",
    "GetQuota", "GetQuotaRoot", "Id", "Idle", "Language", "List", "Login", "Logout", "Lsub", "Move", "MultiSearch",
    "Namespace", "Noop", "Notify", "Rename", "Replace", "ResetKey", "Resync", "Scope", "Search", "Select",
    "SetMetadata", "SetQuota", "Sort", "Source", "StartTls", "Status", "Store", "StoreAction", "Subscribe",
    "Thread", "Unauthenticate", "Unselect", "Unsubscribe", "UrlFetch",
]  # fmt: skip


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
class UrlFetch(Command):
    """RFC 4467 7 with RFC 5524 3.1: each URL with its parameters in capitals, none for the simple form."""

    urls: tuple[tuple[bytes, frozenset[str]], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Expunge(Command):
    """RFC 3501 6.4.3; with `uids` it is UID EXPUNGE (RFC 4315 2.1)."""

    uids: SequenceSet | None = None


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
