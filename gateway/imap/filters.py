"""FILTER in search criteria (RFC 5466): what is stored under /private/filters/values, put in the place of its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
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

DEEPEST: Final = 2 * keys.MAX_DEPTH + 10
"""Levels of criteria with their filters: somewhat more than one command may have, for visitors recurse."""

Searching = TypeVar("Searching", bound=c.Search | c.Sort | c.Thread | c.MultiSearch)


@dataclass(frozen=True, slots=True)
class _Measured:
    """Criteria without filters: their keys, how many filters in filters they were, and their levels."""

    key: keys.SearchKey
    size: int = 1
    passes: int = 0
    depth: int = 0


_LEAF: Final = _Measured(keys.All())


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
    key = _Expansion(stored).of(key)
    if "UIDONLY" in session.enabled and keys.uses_sequence_numbers(key):
        raise Refused(_UID_REQUIRED)
    return key


class _Expansion:
    """Filters put in their places. Each is read once and measured before it is put anywhere: this runs on the loop."""

    def __init__(self, stored: Mapping[str, bytes]) -> None:
        self._stored = stored
        self._known: dict[str, _Measured] = {}

    def of(self, key: keys.SearchKey) -> keys.SearchKey:
        return self._measured(key, ()).key

    def _measured(self, key: keys.SearchKey, above: tuple[str, ...]) -> _Measured:
        """`above`: the filters in which this criterion stands."""
        size = passes = deepest = 0
        for part, depth in keys.levels(key):
            found = self._filter(part.name, above) if isinstance(part, keys.Filter) else _LEAF
            size += found.size
            passes = max(passes, found.passes)
            deepest = max(deepest, depth + found.depth)
            if size > keys.MAX_KEYS:
                raise Refused(no(f"With its filters the search has more than {keys.MAX_KEYS} keys", b"LIMIT"))
            if deepest > DEEPEST:
                raise Refused(no("With its filters the search is nested too deeply", b"LIMIT"))
        whole = keys.replaced(key, self._in_place)
        return _Measured(whole, size, passes, deepest)

    def _in_place(self, part: keys.SearchKey) -> keys.SearchKey:
        return self._known[part.name.lower()].key if isinstance(part, keys.Filter) else part

    def _filter(self, name: str, above: tuple[str, ...]) -> _Measured:
        folded = name.lower()
        known = self._known.get(folded)
        value = self._stored.get(VALUES + folded)
        passes = len(above) + (known.passes if known is not None else 1)
        if value is None or folded in above or passes > PASSES:
            raise Refused(no("There is no such filter", b"UNDEFINED-FILTER " + name.encode("ascii")))
        if known is None:
            try:
                inner = parsed(value)
            except Malformed:
                raise Refused(no(f"The filter {name} is no search criterion")) from None
            known = self._measured(inner, (*above, folded))
            known = self._known[folded] = replace(known, passes=known.passes + 1)
        return known


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
