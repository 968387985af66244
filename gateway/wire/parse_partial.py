"""PARTIAL's range (RFC 9394 4), which FETCH and RETURN have in common."""

from __future__ import annotations

import re
from typing import Final

from .search import Partial
from .tokens import Cursor

_PARTIAL: Final = re.compile(
    rb"(?:([1-9][0-9]{0,9}+):([1-9][0-9]{0,9}+)|-([1-9][0-9]{0,9}+):-([1-9][0-9]{0,9}+))(?=[ )])"
)


def partial_range(cursor: Cursor) -> Partial:
    """`partial-range`: `500:400` is the same as `400:500`. Malformed."""
    found = cursor.match(_PARTIAL)
    if found is None:
        raise cursor.expected("a range like 1:100 or -1:-100")
    from_end = found[1] is None
    first, last = sorted((int(found[3]), int(found[4])) if from_end else (int(found[1]), int(found[2])))
    return Partial(first, last, from_end, found[0])
