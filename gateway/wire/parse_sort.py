"""Commands that search: SEARCH, SORT, THREAD (RFC 4466 2.6, RFC 5256 5), CANCELUPDATE (RFC 5267 5)."""

from __future__ import annotations

import re
from typing import Final

from gateway.model.charsets import codec_for

from .commands import CancelUpdate, Command, Search, Sort, Thread
from .parse_returns import return_options
from .parse_search import criteria
from .search import Algorithm, Criterion, Fuzzy, Option, Returns, SearchKey, SortKey, uses
from .tokens import Cursor, Malformed

MAX_SORT_KEYS: Final = 20
"""Of one program: there are nine criteria, and one that stands twice decides nothing more."""

MAX_TAGS: Final = 100
"""Named by one CANCELUPDATE: more than a session may have."""

_CHARSET: Final = re.compile(rb"CHARSET ", re.IGNORECASE)
_CRITERIA: Final = {criterion.value: criterion for criterion in Criterion}
_ALGORITHMS: Final = {algorithm.value: algorithm for algorithm in Algorithm}


class UnknownCharset(Malformed):
    """A charset that Python does not know. `saves`: the result was to be saved, so nothing is now."""

    def __init__(self, text: str, *, saves: bool = False) -> None:
        super().__init__(text)
        self.saves = saves


def search(cursor: Cursor, tag: bytes, uid: bool) -> Command:
    """What follows SEARCH. Malformed, UnknownCharset."""
    cursor.space()
    returns = return_options(cursor)
    return Search(tag, uid, *program(cursor, returns), returns)


def sort(cursor: Cursor, tag: bytes, uid: bool) -> Command:
    cursor.space()
    returns = return_options(cursor)
    order = _order(cursor)
    cursor.space()
    charset, key = _criteria(cursor, _charset(cursor, returns), returns)
    if any(each.criterion is Criterion.RELEVANCY for each in order) and not uses(key, Fuzzy):
        raise Malformed("RELEVANCY needs a FUZZY key")  # RFC 6203 6
    return Sort(tag, uid, order, charset, key, returns)


def thread(cursor: Cursor, tag: bytes, uid: bool) -> Command:
    cursor.space()
    algorithm = _ALGORITHMS.get(cursor.keyword("a threading algorithm"))
    if algorithm is None:
        raise Malformed("Unknown threading algorithm")
    cursor.space()
    charset, key = _criteria(cursor, _charset(cursor, None), None)
    return Thread(tag, uid, algorithm, charset, key)


def cancel_update(cursor: Cursor, tag: bytes) -> Command:
    """RFC 5267 4.3.5: tags of commands."""
    tags: list[bytes] = []
    while not tags or not cursor.at_end:
        cursor.space()
        tags.append(cursor.string("a quoted tag"))
        if len(tags) > MAX_TAGS:
            raise Malformed(f"More than {MAX_TAGS} tags")
    return CancelUpdate(tag, tuple(tags))


def program(cursor: Cursor, returns: Returns | None) -> tuple[str | None, SearchKey]:
    """RFC 4466 2.6 `search-program`: the charset's name in capitals, and the criteria."""
    charset: str | None = None
    if cursor.match(_CHARSET):
        charset = _charset(cursor, returns)
    return _criteria(cursor, charset, returns)


def _charset(cursor: Cursor, returns: Returns | None) -> str:
    charset = cursor.astring("a charset").decode("ascii", "replace").upper()
    cursor.space()
    if codec_for(charset) is None:
        raise UnknownCharset("Unknown charset", saves=returns is not None and Option.SAVE in returns)
    return charset


def _criteria(cursor: Cursor, charset: str | None, returns: Returns | None) -> tuple[str | None, SearchKey]:
    # Without CHARSET strings are US-ASCII (RFC 3501 6.4.4); UTF-8 contains it, and clients send it unannounced.
    key = criteria(cursor, "ascii" if charset == "US-ASCII" else codec_for(charset) or "utf-8")
    if returns is not None and Option.RELEVANCY in returns and not uses(key, Fuzzy):
        raise Malformed("RELEVANCY needs a FUZZY key")  # RFC 6203 4
    return charset, key


def _order(cursor: Cursor) -> tuple[SortKey, ...]:
    """RFC 5256 5 `sort-criteria`."""

    def one() -> SortKey:
        name = cursor.keyword("a sort criterion")
        reverse = name == "REVERSE"
        if reverse:
            cursor.space()
            name = cursor.keyword("a sort criterion")
        criterion = _CRITERIA.get(name)
        if criterion is None:
            raise Malformed("Unknown sort criterion")
        return SortKey(criterion, reverse)

    keys = cursor.listed(one)
    if len(keys) > MAX_SORT_KEYS:
        raise Malformed(f"More than {MAX_SORT_KEYS} sort criteria")
    return tuple(keys)
