"""A message made of values: what HTTP is given becomes the octets that any mail program would have sent. Pure.

multipart/mixed of the attachments > multipart/related of what html shows > multipart/alternative of text and html, each
only where there is something for it. All of it is seven-bit but for messages that are attached as they are (RFC 2046
5.2.1 forbids to encode those). No value can add a field or a part: see `header_fields`, and boundaries are drawn.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.mime.encoders import Base64Encoder, QuotedPrintableEncoder
from gateway.model import moments
from gateway.model.errors import InvalidRequest

from . import header_fields as fields
from .header_fields import Mailbox, checked

MAX_HEADERS: Final = 50
"""Fields of the caller's own."""
MAX_ATTACHMENTS: Final = 500
OCTET_STREAM: Final = "application/octet-stream"
MESSAGE: Final = "message/rfc822"

_PIECE: Final = 57 * 4096  # octets encoded at once: whole lines of base64
_LONG_LINE: Final = re.compile(rb"[^\n]{991}")
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_WORD: Final = r"[A-Za-z0-9!#$&^_.+-]{1,100}"
_TYPE: Final = re.compile(rf"({_WORD})/({_WORD})((?:[ \t]*;[ \t]*{_WORD}=(?:{_WORD}|\"[ !#-\[\]-~]{{0,200}}\"))*)")
_PARAMETER: Final = re.compile(rf"({_WORD})=(?:\"([^\"]*)\"|({_WORD}))")
_CONTENT_ID: Final = re.compile(r"[!-;=?-~]{1,250}")
# Who wrote it, to whom, when, and which way it came is said by values of their own, or by servers alone.
_RESERVED: Final = frozenset(
    {"from", "sender", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "in-reply-to", "references",
     "received", "return-path", "delivered-to", "mime-version", "dkim-signature", "authentication-results",
     "received-spf", "x-send-at"}
)  # fmt: skip
_RESERVED_PREFIXES: Final = ("content-", "resent-", "arc-")
_TYPES: Final = mimetypes.MimeTypes(filenames=())


@dataclass(frozen=True, slots=True)
class Attachment:
    """`content_type` None: told from the file's name. `inline`: html shows it by `cid:` and its `content_id`."""

    octets: bytes
    filename: str | None = None
    content_type: str | None = None
    content_id: str | None = None
    inline: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be said. `in_reply_to`, `references`: ids in angle brackets. `send_at`: Unix seconds, of a draft."""

    sender: Mailbox
    to: tuple[Mailbox, ...] = ()
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    reply_to: tuple[Mailbox, ...] = ()
    subject: str = ""
    text: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    send_at: int | None = None

    @property
    def recipients(self) -> tuple[str, ...]:
        """Addresses of To, Cc and Bcc, each once."""
        return tuple(dict.fromkeys(each.address for each in (*self.to, *self.cc, *self.bcc)))


@dataclass(frozen=True, slots=True)
class Composed:
    """`header` with its blank line; the body in pieces, whose octets are the same however they are cut.

    `smtputf8`: an address is not ASCII, so the header is not either.
    """

    header: bytes
    body: tuple[bytes, ...]
    message_id: str
    smtputf8: bool = False

    @property
    def size(self) -> int:
        return len(self.header) + sum(map(len, self.body))

    @property
    def octets(self) -> bytes:
        return self.header + b"".join(self.body)


@dataclass(frozen=True, slots=True)
class _Part:
    """Its Content-* fields, and its octets without the line end that belongs to a boundary."""

    fields: bytes
    body: tuple[bytes, ...]


def compose(letter: Letter, *, now: int, message_id: str, boundary: str) -> Composed:
    """InvalidRequest names what cannot be said so. `boundary`: random, of letters and digits; ids without brackets.

    Takes time with the octets of attachments: not for the event loop where they are many.
    """
    part = _body(letter, boundary)
    head = [fields.addresses("From", [letter.sender])]
    for name, them in (("To", letter.to), ("Cc", letter.cc), ("Bcc", letter.bcc), ("Reply-To", letter.reply_to)):
        if them:
            head.append(fields.addresses(name, them))
    if letter.subject:
        head.append(fields.unstructured("Subject", letter.subject))
    head.append(f"Date: {moments.rfc5322(now)}\r\n".encode())
    head.append(fields.msg_ids("Message-ID", [f"<{message_id}>"]))
    if letter.in_reply_to:
        head.append(fields.msg_ids("In-Reply-To", [letter.in_reply_to]))
    if letter.references:
        head.append(fields.msg_ids("References", letter.references))
    if letter.send_at is not None:
        head.append(f"X-Send-At: {moments.rfc5322(letter.send_at)}\r\n".encode())
    head += _own_fields(letter.headers)
    head += [b"MIME-Version: 1.0\r\n", part.fields, b"\r\n"]
    everybody = (letter.sender, *letter.to, *letter.cc, *letter.bcc, *letter.reply_to)
    return Composed(b"".join(head), part.body, message_id, not all(each.is_ascii for each in everybody))


def content_type(value: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A media type and its parameters. InvalidRequest: it is none, or one that only a whole message may have."""
    found = _TYPE.fullmatch(value.strip())
    if found is None or found.group(1).lower() == "multipart":
        raise InvalidRequest("content_type is none that an attachment may have")
    parameters = tuple((key, quoted or word) for key, quoted, word in _PARAMETER.findall(found.group(3)))
    return f"{found.group(1)}/{found.group(2)}".lower(), parameters


def travels_as_message(octets: bytes) -> bool:
    """Whether octets may be attached as message/rfc822: lines that end in CRLF, none too long, no NUL."""
    pairs = octets.count(b"\r\n")
    broken = octets.count(b"\n") != pairs or octets.count(b"\r") != pairs or b"\0" in octets
    return bool(octets) and not broken and _LONG_LINE.search(octets) is None


def is_reserved(name: str) -> bool:
    """Whether a field says who wrote the message, to whom, when, how it is laid out, or which way it came."""
    lower = name.lower()
    return lower in _RESERVED or lower.startswith(_RESERVED_PREFIXES)


def _own_fields(headers: Sequence[tuple[str, str]]) -> list[bytes]:
    if len(headers) > MAX_HEADERS:
        raise InvalidRequest(f"A message may have {MAX_HEADERS} headers of its own")
    made = []
    for name, value in headers:
        if is_reserved(fields.field_name(name)):
            raise InvalidRequest(f"The header {name} cannot be set so")
        if value:
            made.append(fields.unstructured(name, value))
    return made


def _body(letter: Letter, boundary: str) -> _Part:
    if len(letter.attachments) > MAX_ATTACHMENTS:
        raise InvalidRequest(f"A message may have {MAX_ATTACHMENTS} attachments")
    part = _alternatives(letter.text, letter.html, f"{boundary}a")
    shown = [one for one in letter.attachments if one.inline and one.content_id and letter.html is not None]
    if shown:
        kind = "multipart/alternative" if letter.text is not None else "text/html"
        part = _multipart("related", [part, *map(_attached, shown)], f"{boundary}r", (("type", kind),))
    rest = [one for one in letter.attachments if one not in shown]
    if rest:
        part = _multipart("mixed", [part, *map(_attached, rest)], f"{boundary}m")
    if not part.fields.startswith(b"Content-Type: multipart/") and not part.body[-1].endswith(b"\r\n"):
        part = _Part(part.fields, (*part.body, b"\r\n"))
    return part


def _alternatives(text: str | None, html: str | None, boundary: str) -> _Part:
    if html is None:
        return _text("plain", text or "")
    if text is None:
        return _text("html", html)
    return _multipart("alternative", [_text("plain", text), _text("html", html)], boundary)


def _multipart(
    subtype: str, parts: Sequence[_Part], boundary: str, parameters: Sequence[tuple[str, str]] = ()
) -> _Part:
    # "=_" stands in neither quoted-printable nor base64.
    name = f"=_{boundary}"
    body: list[bytes] = []
    for number, part in enumerate(parts):
        before = b"\r\n" if number else b""
        body += [b"%b--%b\r\n%b\r\n" % (before, name.encode(), part.fields), *part.body]
    body.append(b"\r\n--%b--\r\n" % name.encode())
    head = fields.with_parameters("Content-Type", f"multipart/{subtype}", [*parameters, ("boundary", name)])
    if not all(piece.isascii() for piece in body):  # RFC 2045 6.4: what is in it has eight bits
        head += b"Content-Transfer-Encoding: 8bit\r\n"
    return _Part(head, tuple(body))


def _text(subtype: str, text: str) -> _Part:
    if "\0" in text:
        raise InvalidRequest(f"The {'html' if subtype == 'html' else 'text'} holds a NUL")
    try:
        octets = _LINE_END.sub("\r\n", text).encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"The {'html' if subtype == 'html' else 'text'} holds half a character") from None
    encoding = "7bit"
    if not octets.isascii() or _LONG_LINE.search(octets):
        high = len(octets.translate(None, bytes(range(128))))
        encoding = "base64" if high * 6 > len(octets) else "quoted-printable"
    body = octets
    if encoding == "base64":
        body = b"".join(_base64(octets))
    elif encoding == "quoted-printable":
        encoder = QuotedPrintableEncoder()
        body = encoder.feed(octets) + encoder.finish()
    head = fields.with_parameters("Content-Type", f"text/{subtype}", [("charset", "utf-8")])
    return _Part(head + f"Content-Transfer-Encoding: {encoding}\r\n".encode(), (body,))


def _attached(one: Attachment) -> _Part:
    name = None if one.filename is None else checked("filename", one.filename, most=255)
    guessed = _TYPES.guess_type(name.replace("/", "_"), strict=True)[0] if name else None
    kind, parameters = content_type(one.content_type or guessed or OCTET_STREAM)
    whole = kind == MESSAGE and travels_as_message(one.octets)
    if kind.startswith("message/") and not whole:
        kind, parameters = OCTET_STREAM, ()
    head = [
        fields.with_parameters("Content-Type", kind, parameters),
        fields.with_parameters(
            "Content-Disposition", "inline" if one.inline else "attachment", [("filename", name)] if name else []
        ),
    ]
    if one.content_id is not None:
        if not _CONTENT_ID.fullmatch(one.content_id):
            raise InvalidRequest("content_id holds what no id may hold")
        head.append(f"Content-ID: <{one.content_id}>\r\n".encode())
    if whole:
        head.append(b"Content-Transfer-Encoding: %b\r\n" % (b"7bit" if one.octets.isascii() else b"8bit"))
        return _Part(b"".join(head), (one.octets,))
    head.append(b"Content-Transfer-Encoding: base64\r\n")
    return _Part(b"".join(head), _base64(one.octets))


def _base64(octets: bytes) -> tuple[bytes, ...]:
    """In pieces, so that no call into C keeps other threads waiting for long."""
    if not octets:
        return (b"",)
    encoder = Base64Encoder()
    pieces = [encoder.feed(octets[at : at + _PIECE]) for at in range(0, len(octets), _PIECE)]
    return (*pieces, encoder.finish())
