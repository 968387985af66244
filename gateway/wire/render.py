"""Values -> the octets of responses (RFC 3501 7 and 9 `response`).

Strings: short 7-bit text is quoted, all else is a literal, which is 8-bit clean. NUL cannot be sent outside a literal8
(RFC 3501 9 CHAR8): it goes out as 0x80, one octet for one, as in bodies. Nothing here recurses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.model import sequence
from gateway.model.body import Parameters, Part, PartKind
from gateway.model.envelope import Address, Envelope

from . import mutf7

NIL: Final = b"NIL"
CRLF: Final = b"\r\n"
_MAX_QUOTED: Final = 4096  # longer strings are literals: clients have limits on lines
_PLAIN: Final = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x21\x23-\x5b\x5d-\x7f]*\Z")
_QUOTABLE: Final = re.compile(rb"[\x01-\x09\x0b\x0c\x0e-\x7f]*\Z")
_ONE_LINE: Final = re.compile(rb"[^\x00\r\n]*\Z")
_SPECIALS: Final = re.compile(rb'(["\\])')
_ATOM: Final = re.compile(rb'[^\x00-\x20(){%*"\\\x7f-\xff]+\Z')


# Strings.


def string(octets: bytes) -> bytes:
    """RFC 3501 `string`: quoted where that is possible, else a literal."""
    if len(octets) <= _MAX_QUOTED:
        if _PLAIN.match(octets):
            return b'"%s"' % octets
        if _QUOTABLE.match(octets):
            return b'"%s"' % _SPECIALS.sub(rb"\\\1", octets)
    return literal(octets)


def quoted(octets: bytes) -> bytes:
    """A quoted string; ValueError for octets that cannot stand in one."""
    if not _QUOTABLE.match(octets):
        raise ValueError("not quotable")
    return b'"%s"' % _SPECIALS.sub(rb"\\\1", octets)


def literal(octets: bytes) -> bytes:
    return b"{%d}\r\n%s" % (len(octets), octets.replace(b"\x00", b"\x80"))


def nstring(octets: bytes | None) -> bytes:
    return NIL if octets is None else string(octets)


def nstring8(octets: bytes | None) -> bytes:
    """RFC 5464 5 `value`: as `nstring`, but NUL stays NUL, in a literal8."""
    if octets is not None and b"\x00" in octets:
        return b"~{%d}\r\n%s" % (len(octets), octets)
    return nstring(octets)


def astring(octets: bytes) -> bytes:
    """An atom where one can stand for `octets`; the word NIL is quoted, for some readers take it for nothing."""
    return octets if _ATOM.match(octets) and octets.upper() != NIL else string(octets)


def mailbox(name: str, *, utf8: bool = False) -> bytes:
    """A mailbox name: modified UTF-7, or with `utf8` (after ENABLE UTF8=ACCEPT) a quoted UTF-8 string."""
    if not utf8:
        return astring(mutf7.encode(name))
    octets = name.encode("utf-8")
    if octets.isascii() or not _ONE_LINE.match(octets):
        return astring(octets)
    return b'"%s"' % _SPECIALS.sub(rb"\\\1", octets)


def listed(items: Iterable[bytes]) -> bytes:
    return b"(%s)" % b" ".join(items)


# Message data.


def _address(address: Address) -> bytes:
    return b"(%s %s %s %s)" % (
        nstring(address.name), nstring(address.route), nstring(address.mailbox), nstring(address.host)
    )  # fmt: skip


def _addresses(addresses: tuple[Address, ...] | None) -> bytes:
    # RFC 3501 9: no empty list; between addresses no space.
    return b"(%s)" % b"".join(map(_address, addresses)) if addresses else NIL


def envelope(value: Envelope) -> bytes:
    """RFC 3501 7.4.2 ENVELOPE."""
    return b"(%s %s %s %s %s %s %s %s %s %s)" % (
        nstring(value.date),
        nstring(value.subject),
        _addresses(value.from_),
        _addresses(value.sender),
        _addresses(value.reply_to),
        _addresses(value.to),
        _addresses(value.cc),
        _addresses(value.bcc),
        nstring(value.in_reply_to),
        nstring(value.message_id),
    )


def _parameters(parameters: Parameters) -> bytes:
    if not parameters:
        return NIL
    return listed(string(item) for pair in parameters for item in pair)


def _extension(part: Part, first: bytes) -> bytes:
    """The extension data; `first` is the MD5, or the parameters of a multipart."""
    disposition = NIL
    if part.disposition is not None:
        disposition = b"(%s %s)" % (string(part.disposition[0]), _parameters(part.disposition[1]))
    languages = listed(map(string, part.languages)) if part.languages else NIL
    return b" %s %s %s %s" % (first, disposition, languages, nstring(part.location))


def body(root: Part, extended: bool) -> bytes:
    """RFC 3501 7.4.2 BODYSTRUCTURE (`extended`) or BODY."""
    return bodies(root)[extended]


def bodies(root: Part) -> tuple[bytes, bytes]:
    """BODY and BODYSTRUCTURE, which differ in what ends a part. Depth costs no stack: pieces are put out in order."""
    short: list[bytes] = []
    long: list[bytes] = []
    waiting: list[Part | tuple[bytes, bytes]] = [root]
    while waiting:
        part = waiting.pop()
        if isinstance(part, tuple):
            short.append(part[0])
            long.append(part[1])
            continue
        children: tuple[Part, ...] = ()
        if part.kind is PartKind.MULTIPART and part.children:
            children = part.children
            begin = b"("
            tail = b" " + string(part.subtype)
            extension = _extension(part, _parameters(part.parameters))
        else:
            begin = b"(%s %s %s %s %s %s %d" % (
                string(part.type), string(part.subtype), _parameters(part.parameters), nstring(part.content_id),
                nstring(part.description), string(part.encoding), part.size,
            )  # fmt: skip
            tail = b"" if part.lines is None else b" %d" % part.lines
            extension = _extension(part, nstring(part.md5))
            if part.kind is PartKind.MESSAGE and part.envelope is not None:
                children = part.children
                begin += b" %s " % envelope(part.envelope)
        short.append(begin)
        long.append(begin)
        waiting.append((tail + b")", tail + extension + b")"))
        waiting.extend(reversed(children))
    return b"".join(short), b"".join(long)


def sequence_set(ranges: Iterable[tuple[int, int]]) -> bytes:
    """`1:4,7`; as a uid-set in COPYUID and APPENDUID (RFC 4315 3) the order given is kept."""
    return sequence.render(ranges).encode("ascii")


def in_order(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Rising runs of `numbers` as ranges, in the order given: COPYUID pairs both sets by position (RFC 4315 3)."""
    runs: list[tuple[int, int]] = []
    low = high = 0
    for number in numbers:
        if low and number == high + 1:
            high = number
            continue
        if low:
            runs.append((low, high))
        low = high = number
    if low:
        runs.append((low, high))
    return runs


# Response codes, without brackets.


def append_uid(uidvalidity: int, uids: Iterable[tuple[int, int]]) -> bytes:
    """RFC 4315 3 APPENDUID."""
    return b"APPENDUID %d %s" % (uidvalidity, sequence_set(uids))


def copy_uid(uidvalidity: int, source: Iterable[int], target: Iterable[int]) -> bytes:
    """RFC 4315 3 COPYUID; the n-th of `target` is the copy of the n-th of `source`.

    ValueError when they differ in length or are empty: nothing copied, no code.
    """
    pairs = list(zip(source, target, strict=True))
    if not pairs:
        raise ValueError("COPYUID of nothing")
    return b"COPYUID %d %s %s" % (
        uidvalidity, sequence_set(in_order(a for a, _ in pairs)), sequence_set(in_order(b for _, b in pairs))
    )  # fmt: skip
