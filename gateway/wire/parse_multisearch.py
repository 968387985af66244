"""ESEARCH (RFC 7377 4): which mailboxes, what to return, and the criteria."""

from __future__ import annotations

import re
from typing import Final

from gateway.model import names

from .commands import Command, MultiSearch, Scope, Source
from .parse_returns import return_options
from .parse_sort import program
from .tokens import Cursor, Malformed

MAX_NAMES: Final = 1000
"""Mailboxes and trees that one command may name."""

_IN: Final = re.compile(rb"IN (?=\()", re.IGNORECASE)
_SCOPES: Final = {scope.value: scope for scope in Scope}
_NAMING: Final = frozenset({Scope.SUBTREE, Scope.SUBTREE_ONE, Scope.MAILBOXES})


def esearch(cursor: Cursor, tag: bytes) -> Command:
    cursor.space()
    sources: tuple[Source, ...] = (Source(Scope.SELECTED),)
    if cursor.match(_IN):
        sources = tuple(cursor.listed(lambda: _source(cursor)))
        if sum(len(source.names) for source in sources) > MAX_NAMES:
            raise Malformed(f"More than {MAX_NAMES} mailboxes are named")
        cursor.space()
    returns = return_options(cursor)
    return MultiSearch(tag, sources, *program(cursor, returns), returns)


def _source(cursor: Cursor) -> Source:
    """RFC 5465 8 `filter-mailboxes`, with RFC 7377's subtree-one, without selected-delayed; no scope-options exist."""
    scope = _SCOPES.get(cursor.keyword("which mailboxes"))
    if scope is None:
        raise Malformed("Unknown source of mailboxes")
    if scope not in _NAMING:
        return Source(scope)
    cursor.space()
    if cursor.peek() == b"(":
        return Source(scope, tuple(cursor.listed(lambda: names.canonical(cursor.mailbox()))))
    return Source(scope, (names.canonical(cursor.mailbox()),))
