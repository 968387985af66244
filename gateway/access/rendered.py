"""The stored ENVELOPE and BODYSTRUCTURE of a message read back to values: what a list shows without its octets.

They are of our own making (`wire.render`), so nothing here is lenient; what is longer than LONGEST is not read at all.
Nothing recurses: mail nests as deep as it likes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from gateway.mime import decode_text, to_text

LONGEST: Final = 512 * 1024
"""Octets of a rendering: some 20,000 addresses or 4,000 parts."""
MAX_ADDRESSES: Final = 1000
"""Of one field that are told."""
MAX_NAME: Final = 500
"""Characters of a name, an address or a Content-ID."""
MAX_WORD: Final = 127
"""Of a type or subtype (RFC 6838 4.2)."""
MAX_PARTS: Final = 1000
MAX_DEPTH: Final = 20
"""Multiparts around a part that are told."""

# An opening, a closing parenthesis, a quoted string, a literal's size, NIL or a number.
_TOKEN: Final = re.compile(rb' *+(?:(\()|(\))|"((?:[^"\\]|\\.)*+)"|\{([0-9]++)\}\r\n|(NIL)|([0-9]++))', re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\u2028\u2029]+")

Value = Any
"""bytes, int, None (NIL), or a list of these."""


class NotRendered(ValueError):
    """Octets that our own rendering does not make."""


def read(octets: bytes) -> Value:
    """The one value that `octets` are; NotRendered."""
    if len(octets) > LONGEST:
        raise NotRendered("too long")
    stack: list[list[Value]] = [[]]
    at, end = 0, len(octets)
    while at < end:
        match = _TOKEN.match(octets, at)
        if match is None:
            raise NotRendered("no token")
        at = match.end()
        kind = match.lastindex
        if kind == 1:
            stack.append([])
            continue
        if kind == 2:
            if len(stack) == 1:
                raise NotRendered("closed too often")
            value: Value = stack.pop()
        elif kind == 3:
            value = match[3]
            if b"\\" in value:
                value = _ESCAPED.sub(rb"\1", value)
        elif kind == 4:
            start, at = at, at + int(match[4])
            value = octets[start:at]
        elif kind == 5:
            value = None
        else:
            value = int(match[6])
        stack[-1].append(value)
    if len(stack) != 1 or len(stack[0]) != 1:
        raise NotRendered("not one value")
    return stack[0][0]


@dataclass(frozen=True, slots=True)
class Person:
    """An address as people see it. `address` may be no valid one: it is what the message says."""

    name: str | None
    address: str


@dataclass(frozen=True, slots=True)
class Heads:
    """What an ENVELOPE says, decoded. `reply_to` is empty where it is From's value, as it is for most mail."""

    date: str | None
    subject: str
    from_: tuple[Person, ...]
    sender: tuple[Person, ...]
    reply_to: tuple[Person, ...]
    to: tuple[Person, ...]
    cc: tuple[Person, ...]
    bcc: tuple[Person, ...]


def heads_of(envelope: bytes) -> Heads:
    """NotRendered."""
    value = read(envelope)
    if not isinstance(value, list) or len(value) != 10:
        raise NotRendered("no envelope")
    date, subject, from_, sender, reply_to, to, cc, bcc = value[:8]
    return Heads(
        date=None if date is None else shown(date), subject=shown(subject or b""), from_=_people(from_),
        sender=() if sender == from_ else _people(sender), reply_to=() if reply_to == from_ else _people(reply_to),
        to=_people(to), cc=_people(cc), bcc=_people(bcc),
    )  # fmt: skip


def shown(value: bytes) -> str:
    """A header value as text on one line."""
    return _CONTROL.sub(" ", decode_text(value)).strip()


def _people(addresses: Value) -> tuple[Person, ...]:
    """Addresses without the names of groups."""
    found: list[Person] = []
    for name, _route, mailbox, host in addresses or ():
        if host is None:
            continue
        box = shown(mailbox or b"")
        words = shown(name)[:MAX_NAME] if name else ""
        found.append(Person(words or None, (f"{box}@{shown(host)}" if host else box)[:MAX_NAME]))
        if len(found) == MAX_ADDRESSES:
            break
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A part that holds no others, or a message as a whole. `number`: as IMAP counts (RFC 3501 6.4.5).

    `size`: octets before decoding. `within`: subtypes of the multiparts around it, outermost first.
    """

    number: str
    type: str
    subtype: str
    encoding: bytes
    content_id: str | None
    file_name: str | None
    disposition: str | None
    size: int
    within: tuple[str, ...]


def leaves_of(bodystructure: bytes) -> list[Leaf]:
    """In message order, MAX_PARTS at most. What lies inside an attached message is not told apart. NotRendered."""
    found: list[Leaf] = []
    waiting: list[tuple[Value, str, tuple[str, ...]]] = [(read(bodystructure), "", ())]
    while waiting and len(found) < MAX_PARTS:
        part, number, within = waiting.pop()
        if not isinstance(part, list) or not part:
            raise NotRendered("no part")
        count = next((at for at, value in enumerate(part) if not isinstance(value, list)), len(part))
        if not count:
            found.append(_leaf(part, number or "1", within))
            continue
        if count == len(part):
            raise NotRendered("no subtype")
        inside = (*within[:MAX_DEPTH], _word(part[count]))
        prefix = f"{number}." if number else ""
        waiting += [(part[at], f"{prefix}{at + 1}", inside) for at in range(count - 1, -1, -1)]
    return found


def _leaf(part: list[Value], number: str, within: tuple[str, ...]) -> Leaf:
    if len(part) < 11:
        raise NotRendered("no part")
    type_, subtype, parameters, content_id, _description, encoding, size = part[:7]
    disposition, disposed = None, None
    if part[-3] is not None:
        disposition, disposed = part[-3]
    typed = _pairs(parameters)
    name = _file_name(_pairs(disposed), b"filename") or _file_name(typed, b"name")
    return Leaf(
        number=number, type=_word(type_), subtype=_word(subtype), encoding=encoding,
        content_id=(shown(content_id).strip("<>")[:MAX_NAME] or None) if content_id else None, file_name=name,
        disposition=_word(disposition) if disposition else None, size=size, within=within,
    )  # fmt: skip


def _word(value: bytes) -> str:
    return _CONTROL.sub(" ", value.decode("ascii", "replace")).lower()[:MAX_WORD]


def _pairs(values: list[bytes] | None) -> dict[bytes, bytes]:
    """Parameters by their names in small letters; the first of a name counts."""
    found: dict[bytes, bytes] = {}
    flat: Iterator[bytes] = iter(values or ())
    for name, value in zip(flat, flat, strict=True):
        found.setdefault(name.lower(), value)
    return found


def _file_name(parameters: dict[bytes, bytes], name: bytes) -> str | None:
    """RFC 2231 4, else as most programs write it: plain, 8-bit, or in encoded words. Without signs that end lines."""
    extended = parameters.get(name + b"*")
    if extended is not None:
        charset, _, rest = extended.partition(b"'")
        value = rest.partition(b"'")[2] if b"'" in rest else extended
        text = to_text(unquote_to_bytes(value), charset if b"'" in rest else None)
    elif name in parameters:
        text = decode_text(parameters[name])
    else:
        return None
    return _CONTROL.sub(" ", text).strip()[:1000] or None
