"""The search terms of a connector: which messages are wanted (RFC 3501 6.4.4, without what needs a session).

Read once by the grammar of our own server: what is refused here names its place, rather than a BAD in a log at night.
"""

from __future__ import annotations

from typing import Final

from gateway.wire.parse_search import criteria
from gateway.wire.search import (
    All,
    And,
    Body,
    Date,
    DateField,
    Header,
    Keyword,
    Not,
    Or,
    SearchKey,
    Size,
    SystemFlag,
    Text,
)
from gateway.wire.tokens import Cursor, Malformed

_LEAVES: Final = (All, SystemFlag, Keyword, Size, Header, Body, Text)
MAX_OCTETS: Final = 4_096


def terms(text: str) -> SearchKey:
    """The parsed terms; none is all messages. ValueError with the reason."""
    octets = text.strip().encode("utf-8")
    if not octets:
        return All()
    if len(octets) > MAX_OCTETS:
        raise ValueError(f"has more than {MAX_OCTETS} octets")
    try:
        tree = criteria(Cursor(octets, utf8=True), "utf-8")
    except Malformed as error:
        raise ValueError(f"is no IMAP search: {error}") from None
    _check(tree)
    return tree


def is_search(text: str) -> str | None:
    """A reason against the text, or None."""
    try:
        terms(text)
    except ValueError as reason:
        return str(reason)
    return None


def _check(tree: SearchKey) -> None:
    waiting = [tree]
    while waiting:
        key = waiting.pop()
        if isinstance(key, And | Or):
            waiting += key.keys
        elif isinstance(key, Not):
            waiting.append(key.key)
        elif isinstance(key, Date):
            if key.field is DateField.SAVED:
                raise ValueError("names a date that only this server knows")
        elif not isinstance(key, _LEAVES):
            raise ValueError("may not name messages by number, nor what only some servers know")
