"""Mailbox names: what a client may call a mailbox, and INBOX's special spelling (RFC 3501 5.1)."""

from __future__ import annotations

import unicodedata

from .composed import composable, composed
from .errors import InvalidName
from .mailbox import DELIMITER, INBOX, MAX_DEPTH, MAX_NAME_OCTETS


def canonical(name: str) -> str:
    """The stored form of a name: INBOX folded in its first level only when it stands alone or as a parent.

    RFC 3501 5.1: INBOX is case-insensitive; RFC 9051 6.3.4 leaves children of INBOX to us: `inbox/x` is `INBOX/x`.
    Never fails: a name that `validate` would refuse simply names nothing.
    """
    form = composed(name)
    name = name if form is None else form
    head, slash, rest = name.partition(DELIMITER)
    if head.upper() == INBOX and head.isascii():
        return INBOX + slash + rest
    return name


def validate(name: str) -> str:
    """The canonical name of a mailbox to be created; InvalidName with the reason otherwise.

    One trailing delimiter is allowed and dropped (RFC 3501 6.3.3: it announces children).
    """
    name = canonical(name)
    if name.endswith(DELIMITER):
        name = name[: -len(DELIMITER)]
    if not name:
        raise InvalidName("A mailbox name may not be empty")
    if len(name.encode("utf-8", "surrogatepass")) > MAX_NAME_OCTETS:
        raise InvalidName(f"A mailbox name may have {MAX_NAME_OCTETS} octets at most")
    if not composable(name):
        raise InvalidName("A mailbox name may not pile up combining characters")
    levels = name.split(DELIMITER)
    if len(levels) > MAX_DEPTH:
        raise InvalidName(f"A mailbox name may have {MAX_DEPTH} levels at most")
    if not all(levels):
        raise InvalidName("A mailbox name may not have an empty level")
    for char in name:
        category = unicodedata.category(char)
        if category in {"Cc", "Cs", "Zl", "Zp"}:
            raise InvalidName("A mailbox name may not hold control characters")
        if char in "*%":
            raise InvalidName("A mailbox name may not hold the wildcards * and %")
    return name


def parents(name: str) -> list[str]:
    """All proper ancestors, outermost first: a/b/c -> [a, a/b]."""
    levels = name.split(DELIMITER)
    return [DELIMITER.join(levels[:n]) for n in range(1, len(levels))]
