"""Commands that search (`commands`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .commands_session import Command
from .search import Algorithm, Returns, SearchKey, SortKey


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
