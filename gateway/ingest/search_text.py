"""What SEARCH compares of one content: its header fields and text parts, decoded and folded (RFC 3501 6.4.4).

The same octets whether they are made ahead and stored (`maintain.texts`) or while somebody searches: substrings of
them are the substrings that SEARCH means, under i;unicode-casemap (RFC 5051).
"""

from __future__ import annotations

import re
from typing import Final

from gateway.mime import decode_body, decode_parts, decode_text, fields, fold, searched_parts, text_of
from gateway.model.ids import ContentId
from gateway.store import content
from gateway.store.db import Rx
from gateway.store.search_text import SEPARATOR

_FIELD_NAME: Final = re.compile(r"[!-9;-~]+")  # RFC 5322 3.6.8
_NOWHERE: Final = SEPARATOR * 2
"""No fields hold it: two separators never follow each other there."""
TEXT_LIMIT: Final = 32 * 1024 * 1024
"""Octets of one body that are decoded; text behind them is not searched."""


def folded_fields(header: bytes) -> bytes:
    """`NAME: value` of each field, its encoded words decoded, between separators."""
    folded = [fold(f"{field.name.decode('ascii')}: {decode_text(field.value)}") for field in fields(header)]
    return SEPARATOR.join((b"", *folded, b""))


def label_of(name: str) -> bytes:
    """What a field of that name begins with. `name` is in capitals; one that no field can have is nowhere."""
    return SEPARATOR + name.encode("ascii") + b": " if _FIELD_NAME.fullmatch(name) else _NOWHERE


def field_holds(fields: bytes, label: bytes, needle: bytes) -> bool:
    """Whether a folded field that begins with `label` holds the folded `needle` behind it."""
    at = fields.find(label)
    while at >= 0:
        start = at + len(label)
        end = fields.index(SEPARATOR, start)
        if fields.find(needle, start, end) >= 0:
            return True
        at = fields.find(label, end)
    return False


def folded_text(rx: Rx, content_id: ContentId) -> bytes:
    """Text parts and reports with a separator between them; of HTML what a reader sees (parsing.md).

    NotFound once collected.
    """
    row = content.content_row(rx, content_id)
    found: list[bytes] = []
    budget = TEXT_LIMIT
    for part in searched_parts(decode_parts(row.parts)):
        size = min(part.size, budget)
        if size <= 0:
            continue
        budget -= size
        octets = content.read_body(rx, content_id, part.header_end, part.header_end + size)
        found.append(fold(text_of(decode_body(octets, part.encoding), part.charset, part.subtype)))
    return SEPARATOR.join(found)
