"""The MIME fields of one header as values (RFC 2045, 2183, 3282, 2557), tolerant as parsing.md says."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.model.body import Parameters

from .header import FieldIndex, strip_comments, unfold
from .params import parameter, parse_parameters

# RFC 2045 5.1: token excludes blanks, controls and tspecials.
_MEDIA_TYPE: Final = re.compile(
    rb"[ \t]*+([!#$%&'*+.^_`{|}~A-Za-z0-9-]++)[ \t]*+/[ \t]*+([!#$%&'*+.^_`{|}~A-Za-z0-9-]++)(?=[ \t;,(]|\Z)"
)
_TOKEN: Final = re.compile(rb'[ \t]*+([^ \t;,"()]*+)')
_KNOWN_ENCODINGS: Final = frozenset({b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable"})
_US_ASCII: Final[Parameters] = ((b"charset", b"us-ascii"),)
_MAX_BOUNDARY: Final = 998  # RFC 2046 5.1.1 allows 70; no line is longer than this (RFC 5322 2.1.1)


@dataclass(frozen=True, slots=True)
class ContentFields:
    """What BODYSTRUCTURE says of one part. `type` and `subtype` are lower case; None is NIL."""

    type: bytes
    subtype: bytes
    parameters: Parameters
    content_id: bytes | None = None
    description: bytes | None = None
    encoding: bytes = b"7bit"
    md5: bytes | None = None
    disposition: tuple[bytes, Parameters] | None = None
    languages: tuple[bytes, ...] = ()
    location: bytes | None = None

    @property
    def boundary(self) -> bytes | None:
        """The boundary of a multipart, None when it has none that can stand on a line."""
        value = parameter(self.parameters, b"boundary")
        if value is None:
            extended = parameter(self.parameters, b"boundary*")  # RFC 2231 4: charset'language'escaped
            if extended is None:
                return None
            value = unquote_to_bytes(extended.split(b"'", 2)[-1])
        value = value.rstrip(b" \t\r")
        return value if value and len(value) <= _MAX_BOUNDARY and b"\n" not in value else None


PLAIN_TEXT: Final = ContentFields(b"text", b"plain", _US_ASCII)
EMBEDDED_MESSAGE: Final = ContentFields(b"message", b"rfc822", ())


def content_fields(index: FieldIndex, *, in_digest: bool = False) -> ContentFields:
    """MIME fields of a header. Of a repeated field the first counts.

    `in_digest`: the part stands in a multipart/digest, where the default is message/rfc822 (RFC 2046 5.1.5).
    """
    media = _first(index, b"content-type")
    default = EMBEDDED_MESSAGE if in_digest else PLAIN_TEXT
    type_, subtype, parameters = _media_type(media) if media else _as_is(default)
    disposition = _first(index, b"content-disposition")
    languages = _first(index, b"content-language")
    encoding = _first(index, b"content-transfer-encoding")
    return ContentFields(
        type=type_,
        subtype=subtype,
        parameters=parameters,
        content_id=_first(index, b"content-id"),
        description=_first(index, b"content-description"),
        encoding=_encoding(encoding) if encoding else b"7bit",
        md5=_first(index, b"content-md5"),
        disposition=_disposition(disposition) if disposition else None,
        languages=_languages(languages) if languages else (),
        location=_first(index, b"content-location"),
    )


def _first(index: FieldIndex, name: bytes) -> bytes | None:
    """None without the field, b"" where it is empty: what is shown of it as text is NIL or "", as in ENVELOPE."""
    values = index.get(name)
    return unfold(values[0]) if values else None


def _as_is(fields: ContentFields) -> tuple[bytes, bytes, Parameters]:
    return fields.type, fields.subtype, fields.parameters


def _media_type(value: bytes) -> tuple[bytes, bytes, Parameters]:
    match = _MEDIA_TYPE.match(value)
    if match is None and b"(" in value:
        value = strip_comments(value)
        match = _MEDIA_TYPE.match(value)
    if match is None:  # RFC 2045 5.2: a syntactically invalid Content-Type is plain us-ascii text
        return _as_is(PLAIN_TEXT)
    type_, subtype = match.group(1).lower(), match.group(2).lower()
    parameters = parse_parameters(value[match.end() :])
    if type_ == b"text" and parameter(parameters, b"charset") is None and not _has_extended_charset(parameters):
        parameters += _US_ASCII
    return type_, subtype, parameters


def _has_extended_charset(parameters: Parameters) -> bool:
    return parameter(parameters, b"charset*") is not None


def _encoding(value: bytes) -> bytes:
    value = strip_comments(value).strip(b' \t";')
    known = value.partition(b";")[0].strip(b' \t"').lower()
    if known in _KNOWN_ENCODINGS:
        return known
    return value or b"7bit"


def _disposition(value: bytes) -> tuple[bytes, Parameters] | None:
    if value.startswith(b'"'):  # `"attachment"; filename=x`
        head, _, rest = value[1:].partition(b'"')
        return head, parse_parameters(rest)
    text = strip_comments(value) if value.startswith(b"(") else value
    match = _TOKEN.match(text)
    kind = match.group(1) if match else b""
    if b"=" in kind:  # the kind is missing: `filename=x`
        return b"", parse_parameters(text)
    parameters = parse_parameters(text[match.end() :] if match else b"")
    return (kind, parameters) if kind or parameters else None


def _languages(value: bytes) -> tuple[bytes, ...]:
    return tuple(tag for tag in (each.strip(b' \t"') for each in strip_comments(value).split(b",")) if tag)
