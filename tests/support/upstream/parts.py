"""Sections of a message (RFC 9051 6.4.5.1), ENVELOPE and BODYSTRUCTURE, read by the standard library."""

from __future__ import annotations

import email
import email.policy
import email.utils
import re
from email.message import Message

from tests.support.upstream.grammar import Wrong, nstring

_FIELDS = re.compile(r"HEADER\.FIELDS(\.NOT)? \((.*)\)\Z", re.IGNORECASE)


def split(octets: bytes) -> tuple[bytes, bytes]:
    """(header with its empty line, body)."""
    if octets.startswith(b"\r\n"):
        return b"\r\n", octets[2:]
    header, found, body = octets.partition(b"\r\n\r\n")
    return (header + b"\r\n\r\n", body) if found else (octets, b"")


def section(octets: bytes, name: str) -> bytes | None:
    """The octets of BODY[name]; None where there is no such part."""
    if not name:
        return octets
    header, body = split(octets)
    if name == "HEADER":
        return header
    if name == "TEXT":
        return body
    fields = _FIELDS.match(name)
    if fields:
        return _fields(header, {word.strip('"').lower() for word in fields[2].split()}, others=bool(fields[1]))
    numbered = re.match(r"([1-9]\d*(?:\.[1-9]\d*)*)(?:\.(MIME|HEADER|TEXT|HEADER\.FIELDS.*))?\Z", name)
    if not numbered:
        raise Wrong(f"no such section: {name}")
    part: bytes | None = octets
    for number in numbered[1].split("."):
        part = _child(part, int(number)) if part is not None else None
    if part is None:
        return None
    if numbered[2] == "MIME":
        return split(part)[0]
    inner = split(part)[1]
    return section(inner, numbered[2]) if numbered[2] else inner


def _fields(header: bytes, names: set[str], *, others: bool) -> bytes:
    lines = re.findall(rb"[^\r\n]+\r\n(?:[ \t][^\r\n]*\r\n)*", header)
    return b"".join(one for one in lines if (one.split(b":")[0].decode("latin-1").lower() in names) != others) + b"\r\n"


def _child(octets: bytes, number: int) -> bytes | None:
    """Part `number` of an entity, header and body; of what is no multipart the first is itself."""
    header, body = split(octets)
    parsed = _parsed(header)
    if parsed.get_content_type() == "message/rfc822":
        return _child(body, number)
    if parsed.get_content_maintype() != "multipart":
        return octets if number == 1 else None
    boundary = str(parsed.get_boundary() or "").encode()
    pieces = re.split(rb"(?:\A|\r\n)--" + re.escape(boundary) + rb"(?:--)?[ \t]*(?:\r\n|\Z)", body)
    return pieces[number] if 0 < number < len(pieces) - 1 else None


def _parsed(octets: bytes) -> Message:
    return email.message_from_bytes(octets, policy=email.policy.compat32)


def _text(value: object) -> bytes:
    return nstring(None if value is None else str(value).replace("\r\n", "").encode("utf-8", "replace"))


def envelope(octets: bytes) -> bytes:
    found = _parsed(split(octets)[0])

    def addresses(name: str) -> bytes:
        pairs = email.utils.getaddresses([str(value) for value in found.get_all(name, [])])
        shown = [
            b"(" + b" ".join([_text(person or None), b"NIL", _text(local), _text(domain)]) + b")"
            for person, (local, _, domain) in ((person, address.partition("@")) for person, address in pairs)
        ]
        return b"(" + b"".join(shown) + b")" if shown else b"NIL"

    sender = addresses("From")
    people = [sender, *(addresses(name) if found[name] else sender for name in ("Sender", "Reply-To")),
              *(addresses(name) for name in ("To", "Cc", "Bcc"))]
    ends = [_text(found["In-Reply-To"]), _text(found["Message-ID"])]
    return b"(" + b" ".join([_text(found["Date"]), _text(found["Subject"]), *people, *ends]) + b")"


def body_structure(octets: bytes) -> bytes:
    """Without extension data; message/rfc822 as a plain part would be wrong, so it has its envelope and structure."""
    header, body = split(octets)
    found = _parsed(header)
    if found.get_content_maintype() == "multipart":
        children, number = [], 1
        while (child := _child(octets, number)) is not None:
            children.append(body_structure(child))
            number += 1
        if children:
            return b"(" + b"".join(children) + b" " + _text(found.get_content_subtype()) + b")"
    parameters = [_text(word) for pair in (found.get_params() or [])[1:] for word in pair]
    fields = [_text(found.get_content_maintype()), _text(found.get_content_subtype()),
              b"(" + b" ".join(parameters) + b")" if parameters else b"NIL", _text(found["Content-ID"]),
              _text(found["Content-Description"]), _text(found["Content-Transfer-Encoding"] or "7bit"),
              b"%d" % len(body)]
    if found.get_content_type() == "message/rfc822":
        fields += [envelope(body), body_structure(body)]
    if found.get_content_maintype() == "text" or found.get_content_type() == "message/rfc822":
        fields.append(b"%d" % body.count(b"\n"))
    return b"(" + b" ".join(fields) + b")"
