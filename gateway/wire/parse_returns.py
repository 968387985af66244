"""RETURN (…) of SEARCH, SORT and ESEARCH (RFC 4466 2.6, RFC 5267 4, RFC 9394 4; UPDATE's items: RFC 5465 8)."""

from __future__ import annotations

import re
from typing import Final

from .fetch import Attribute
from .parse_fetch import item_list
from .parse_partial import partial_range
from .search import Option, Partial, Returns
from .tokens import Cursor, Malformed

_RETURN: Final = re.compile(rb"RETURN (?=\()", re.IGNORECASE)
_BEFORE_ITEMS: Final = re.compile(rb" ?(?=\()")  # RFC 5465 has no space in its grammar, and one in its example
_OPTIONS: Final = {option.value: option for option in Option}


def return_options(cursor: Cursor) -> Returns | None:
    """`RETURN (…)` and the space behind it, if it stands here."""
    if not cursor.match(_RETURN):
        return None
    options: set[Option] = set()
    partial: Partial | None = None
    items: tuple[Attribute, ...] = ()

    def option() -> None:
        nonlocal partial, items
        name = cursor.keyword("a search return option")
        if name == "PARTIAL":
            if partial is not None:
                raise Malformed("PARTIAL stands twice")
            cursor.space()
            partial = partial_range(cursor)
        elif name in _OPTIONS:
            options.add(_OPTIONS[name])
            if _OPTIONS[name] is Option.UPDATE and cursor.match(_BEFORE_ITEMS):
                if items:
                    raise Malformed("What to fetch stands twice")
                items = item_list(cursor)
        else:
            raise Malformed("Unknown search return option")

    cursor.listed(option, empty=True)
    cursor.space()
    if partial is not None and Option.ALL in options:
        raise Malformed("PARTIAL and ALL exclude each other")  # RFC 9394 3.1
    if not options and partial is None:
        options.add(Option.ALL)  # RFC 4731 3.1
    return Returns(frozenset(options), partial, items)
