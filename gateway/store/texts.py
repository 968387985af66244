"""Which texts a database can hold at all: a look-up by any other finds nothing, whatever a peer sent."""

from __future__ import annotations

import re

from gateway.model.errors import InvalidName

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> bool:
    """No NUL (PostgreSQL refuses it) and no lone surrogate (octets that a parser could not decode: it has no UTF-8)."""
    return _UNSTORABLE.search(text) is None


def made_storable(text: str) -> str:
    """`text` with U+FFFD in place of what no database holds; it equals nothing that is stored."""
    return _UNSTORABLE.sub("\ufffd", text)


def checked_name(name: str | None) -> None:
    """Of what somebody calls a thing of theirs. InvalidName."""
    if name is not None and not storable(name):
        raise InvalidName("name holds a character that no database takes")
