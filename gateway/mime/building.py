"""Parts under construction: what the scanner keeps of an open part, and how it becomes a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.model.body import Part, PartKind
from gateway.model.envelope import Envelope

from .structure import PLAIN_TEXT, ContentFields

_OPAQUE: Final = (b"application", b"octet-stream")  # RFC 2046 4.5.1: what is not looked into


@dataclass(slots=True)
class OpenPart:
    """A part whose end is not known yet."""

    kind: PartKind
    fields: ContentFields
    header_start: int
    header_end: int
    counts_lines: bool
    lines_before: int
    boundary: bytes | None = None
    envelope: Envelope | None = None
    children: list[Part] = field(default_factory=list)


def as_opaque(fields: ContentFields) -> ContentFields:
    """The fields of a multipart or message that is not looked into: as its own type it would need children."""
    return ContentFields(
        *_OPAQUE, fields.parameters, fields.content_id, fields.description, fields.encoding,
        fields.md5, fields.disposition, fields.languages, fields.location,
    )  # fmt: skip


def closed(part: OpenPart, end: int, lines: int) -> Part:
    """The finished part; its content ends at offset `end`, after `lines` line ends."""
    children = tuple(part.children)
    if part.kind is PartKind.MULTIPART and not children:
        # RFC 3501's grammar wants one part at least; Dovecot and Cyrus both show an empty text.
        children = (_part(PartKind.LEAF, PLAIN_TEXT, end, end, end, 0, (), None),)
    counted = lines - part.lines_before if part.counts_lines else None
    return _part(part.kind, part.fields, part.header_start, part.header_end, end, counted, children, part.envelope)


def _part(
    kind: PartKind,
    fields: ContentFields,
    header_start: int,
    header_end: int,
    body_end: int,
    lines: int | None,
    children: tuple[Part, ...],
    envelope: Envelope | None,
) -> Part:
    return Part(
        kind, fields.type, fields.subtype, fields.parameters, fields.content_id, fields.description, fields.encoding,
        fields.md5, fields.disposition, fields.languages, fields.location, header_start, header_end, body_end,
        lines, children, envelope,
    )  # fmt: skip
