"""FETCH items as values (RFC 3501 6.4.5 and 9 `fetch-att`).

Three kinds: `Item`, a fixed name, `BodySection`, a window on the message's octets, and `BinarySection`, one on the
decoded octets of a part. Each carries `echo`, the exact
label that stands before its value in the response, so that rendering needs no knowledge of the request.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class ItemName(Enum):
    """Items without a section. RFC822, RFC822.HEADER and RFC822.TEXT keep their names, for the response bears them."""

    FLAGS = b"FLAGS"
    INTERNALDATE = b"INTERNALDATE"
    RFC822_SIZE = b"RFC822.SIZE"
    RFC822 = b"RFC822"
    RFC822_HEADER = b"RFC822.HEADER"
    RFC822_TEXT = b"RFC822.TEXT"
    ENVELOPE = b"ENVELOPE"
    BODY = b"BODY"
    BODYSTRUCTURE = b"BODYSTRUCTURE"
    UID = b"UID"
    MODSEQ = b"MODSEQ"
    """RFC 7162 3.1.4.2."""
    EMAILID = b"EMAILID"
    """RFC 8474 5.1."""
    THREADID = b"THREADID"
    """RFC 8474 5.2."""
    SAVEDATE = b"SAVEDATE"
    """RFC 8514 4.2."""
    PREVIEW = b"PREVIEW"
    """RFC 8970, with and without LAZY: a preview never takes long."""


@dataclass(frozen=True, slots=True)
class Item:
    """A fixed item; `echo` is its name in capitals.

    `sets_seen`: RFC822 and RFC822.TEXT set \\Seen, RFC822.HEADER does not (RFC 3501 6.4.5).
    """

    name: ItemName
    echo: bytes
    sets_seen: bool = False


class SectionText(Enum):
    """What of the addressed part is meant (RFC 3501 9 `section-text`)."""

    ALL = b""
    HEADER = b"HEADER"
    HEADER_FIELDS = b"HEADER.FIELDS"
    HEADER_FIELDS_NOT = b"HEADER.FIELDS.NOT"
    TEXT = b"TEXT"
    MIME = b"MIME"


@dataclass(frozen=True, slots=True)
class BodySection:
    """`BODY[section]<offset.count>`.

    `path` holds the part numbers (empty: the whole message), `fields` the header names as sent (not folded) for the two
    HEADER.FIELDS kinds. `partial` is (offset, count) in octets, count at least 1, or None. MIME never stands without
    a path. `echo` is e.g. `BODY[1.HEADER.FIELDS (Subject "To")]<0>`: keywords in capitals, field list as the client
    sent it, only the offset of the window (RFC 3501 7.4.2), never PEEK.
    """

    echo: bytes
    path: tuple[int, ...]
    text: SectionText
    fields: tuple[bytes, ...] = ()
    peek: bool = False
    partial: tuple[int, int] | None = None

    @property
    def sets_seen(self) -> bool:
        return not self.peek


@dataclass(frozen=True, slots=True)
class BinarySection:
    """`BINARY[1.2]<offset.count>` (RFC 3516 4.2): a part with its transfer encoding undone.

    `path` as in `BodySection`; `partial` counts decoded octets. `size`: BINARY.SIZE, which answers their number.
    """

    echo: bytes
    path: tuple[int, ...]
    peek: bool = False
    partial: tuple[int, int] | None = None
    size: bool = False

    @property
    def sets_seen(self) -> bool:
        return not self.peek and not self.size


Attribute = Item | BodySection | BinarySection

ITEMS: Final = {
    name.value: Item(name, name.value, name in {ItemName.RFC822, ItemName.RFC822_TEXT}) for name in ItemName
}
"""Name in capitals -> the one shared `Item`, so that handlers may compare by identity."""

_FAST: Final = (ITEMS[b"FLAGS"], ITEMS[b"INTERNALDATE"], ITEMS[b"RFC822.SIZE"])
MACROS: Final[dict[bytes, tuple[Item, ...]]] = {
    b"FAST": _FAST,
    b"ALL": (*_FAST, ITEMS[b"ENVELOPE"]),
    b"FULL": (*_FAST, ITEMS[b"ENVELOPE"], ITEMS[b"BODY"]),
}
"""RFC 3501 6.4.5: only alone, never inside a list."""
