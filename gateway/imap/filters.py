"""FILTER in search criteria (RFC 5466): what is stored under /private/filters/values, put in the place of its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Final, TypeVar

from gateway.model.errors import CannotChange
from gateway.store import entries
from gateway.store.entries import SERVER
from gateway.wire import commands as c
from gateway.wire import search as keys
from gateway.wire.parse_search import criteria
from gateway.wire.tokens import Cursor, Malformed

from .replies import Reply, bad, no

if TYPE_CHECKING:
    from .session import Session

VALUES: Final = "/private/filters/values/"
PASSES: Final = 5
"""Filters within filters; RFC 5466 3.1 asks for three."""

_CHARSETS: Final = frozenset({None, "UTF-8", "US-ASCII"})
_BAD_CHARSET: Final = bad("FILTER means UTF-8", b"BADCHARSET (UTF-8)")
_UID_REQUIRED: Final = bad("A filter names message numbers, and UIDONLY is enabled", b"UIDREQUIRED")

Searching = TypeVar("Searching", bound=c.Search | c.Sort | c.Thread | c.MultiSearch)


class Refused(Exception):
    """The answer to a command that cannot be carried out because of a filter."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


def refusing(
    handler: Callable[[Session, Searching], Awaitable[Reply]],
) -> Callable[[Session, Searching], Awaitable[Reply]]:
    """A handler of criteria that answers `Refused`, and refuses another charset beside FILTER (RFC 5466 3.1)."""

    @wraps(handler)
    async def answering(session: Session, command: Searching) -> Reply:
        if command.charset not in _CHARSETS and keys.uses(command.key, keys.Filter):
            return _BAD_CHARSET
        try:
            return await handler(session, command)
        except Refused as refused:
            return refused.reply

    return answering


async def expanded(session: Session, key: keys.SearchKey) -> keys.SearchKey:
    """`key` with all filters in it replaced; Refused where one is not there, is no criterion, or names itself."""
    inbox_id = session.require_principal().inbox_id
    stored = await session.services.db.tiny(lambda rx: entries.of_mailbox(rx, inbox_id, SERVER))
    key = _replaced(key, stored, ())
    if sum(1 for _ in keys.walk(key)) > keys.MAX_KEYS:
        raise Refused(no(f"With its filters the search has more than {keys.MAX_KEYS} keys", b"LIMIT"))
    if "UIDONLY" in session.enabled and keys.uses_sequence_numbers(key):
        raise Refused(_UID_REQUIRED)
    return key


def _replaced(key: keys.SearchKey, stored: Mapping[str, bytes], above: tuple[str, ...]) -> keys.SearchKey:
    """`above`: the filters in which this criterion stands."""
    count = 0

    def leaf(part: keys.SearchKey) -> keys.SearchKey:
        nonlocal count
        count += 1
        if not isinstance(part, keys.Filter):
            return part
        name = part.name.lower()
        value = stored.get(VALUES + name)
        if value is None or name in above or len(above) >= PASSES:
            raise Refused(no("There is no such filter", b"UNDEFINED-FILTER " + part.name.encode("ascii")))
        if count > keys.MAX_KEYS:
            raise Refused(no("The filters are too large", b"LIMIT"))
        try:
            inner = parsed(value)
        except Malformed:
            raise Refused(no(f"The filter {part.name} is no search criterion")) from None
        found = _replaced(inner, stored, (*above, name))
        if sum(1 for _ in keys.walk(found)) > keys.MAX_KEYS:  # before it is put in place a thousand times
            raise Refused(no("The filters are too large", b"LIMIT"))
        return found

    return keys.replaced(key, leaf)


def parsed(value: bytes) -> keys.SearchKey:
    """A filter's value as criteria in UTF-8 (RFC 5466 3.2). Malformed."""
    return criteria(Cursor(value), "utf-8")


def check(values: Mapping[str, bytes | None]) -> None:
    """Refuse to store what is no search criterion (RFC 5466 3.2). CannotChange."""
    for entry, value in values.items():
        if value is not None and entry.startswith(VALUES):
            try:
                parsed(value)
            except Malformed as error:
                raise CannotChange(f"The filter is no search criterion: {error}") from None
