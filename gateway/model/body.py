"""Body structure and part offsets of one message.

Offsets are counted from the *end of the message's own header* (the first octet of its body is 0),
so that two variants of a message that differ only in their header (with and without Bcc, with and
without Return-Path) share one body and one table of parts. Header and body are stored apart;
`BODY[]` is header + body.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from .envelope import Envelope

Parameters = tuple[tuple[bytes, bytes], ...]
"""(name, value) in message order, duplicates kept."""


class PartKind(IntEnum):
    LEAF = 0
    MULTIPART = 1
    MESSAGE = 2


@dataclass(frozen=True, slots=True)
class Part:
    """One MIME part with its BODYSTRUCTURE fields (RFC 3501 7.4.2) and its place in the octets.

    The root part is the message itself: `header_start` = `header_end` = 0 there (its header is stored apart).
    For a part inside a multipart, [header_start, header_end) is its MIME header with the blank line,
    [header_end, body_end) its content without the CRLF that belongs to the next boundary.
    For kind MESSAGE, `children` holds exactly one Part: the encapsulated message, whose header_start is this
    part's header_end and whose [header_start, header_end) is the encapsulated message's header; `envelope` is
    that message's. `lines` counts lines of text and message leaves, None for others.
    """

    kind: PartKind
    type: bytes
    subtype: bytes
    parameters: Parameters
    content_id: bytes | None
    description: bytes | None
    encoding: bytes
    md5: bytes | None
    disposition: tuple[bytes, Parameters] | None
    languages: tuple[bytes, ...]
    location: bytes | None
    header_start: int
    header_end: int
    body_end: int
    lines: int | None
    children: tuple[Part, ...] = ()
    envelope: Envelope | None = None

    @property
    def size(self) -> int:
        """Octets of the part's content as transferred (before decoding)."""
        return self.body_end - self.header_end


@dataclass(frozen=True, slots=True)
class ParsedMessage:
    """All that one pass over a message's octets yields. Made by `mime`, rendered by `wire`, joined by `ingest`.

    `header` are the octets of the header with the blank line (or, when the message has no blank line, all its
    octets); `body_size` counts what follows. `message_id`, `in_reply_to`, `references` are msg-ids without angle
    brackets, in order, at most 100 each. `sent_date` is Unix seconds UTC or None without a valid Date.
    `has_nul`: a NUL octet stands somewhere (it is sent as 0x80 outside BINARY).
    """

    header: bytes
    body_size: int
    root: Part
    envelope: Envelope
    message_id: bytes | None
    in_reply_to: tuple[bytes, ...]
    references: tuple[bytes, ...]
    sent_date: int | None
    has_nul: bool
