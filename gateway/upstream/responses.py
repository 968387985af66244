"""One response, whole, to a typed event (RFC 3501 7 and what extends it). What is in no grammar is Unknown."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from gateway.wire.events import Frame

from . import names
from .events import (
    Capability,
    Code,
    Continuation,
    Enabled,
    Exists,
    Expunge,
    Flags,
    Found,
    FoundSet,
    Identity,
    Listed,
    Namespaces,
    Response,
    Status,
    StatusOf,
    Tagged,
    Unknown,
    Vanished,
)
from .fetched import flags_of, read_row
from .numbers import MAX_UID
from .scanning import Odd, Scanner, Value, strings, text_of
from .values import ListedMailbox, MailboxStatus

MAX_TEXT: Final = 1_000  # of the server's own words that are kept
MAX_NAME: Final = 4_096  # octets of a mailbox name
MAX_PARSED: Final = 65_536  # octets of a response, but for those that hold long sets

_STATUS: Final = re.compile(rb"([^ ]++) ++(OK|NO|BAD|BYE|PREAUTH)(?: ++|\Z)", re.IGNORECASE)
_COUNTED: Final = re.compile(rb"\* ++([0-9]{1,10}+) ++(EXISTS|EXPUNGE|FETCH|UIDFETCH|RECENT)\b *+", re.IGNORECASE)
_NAMED: Final = re.compile(rb"\* ++([A-Za-z][A-Za-z0-9._-]*+) *+")
_CODE: Final = re.compile(rb"\[([^ \]]++) *+")
_VANISHED: Final = re.compile(rb"(\( *+EARLIER *+\))?+ *+", re.IGNORECASE)
_CORRELATOR: Final = re.compile(rb'\( *+TAG ++(?:"([^"\\]*+)"|([^ )"]++)) *+\)', re.IGNORECASE)
_TRAILER: Final = 64  # octets in which SEARCH's (MODSEQ n) stands
_LONG: Final = frozenset({b"SEARCH", b"ESEARCH", b"VANISHED"})


def parse(frame: Frame) -> Response:
    """What a response says; never fails."""
    text = frame.text
    counted = _COUNTED.match(text)
    if counted is not None:
        number, name = int(counted[1]), counted[2].upper()
        if name == b"FETCH" or name == b"UIDFETCH":
            if len(text) > MAX_PARSED:
                return Unknown("FETCH")
            return read_row(Scanner(frame, counted.end()), uid=number if name == b"UIDFETCH" else None)
        if name == b"EXISTS":
            return Exists(min(number, MAX_UID))
        return Expunge(number) if name == b"EXPUNGE" else Unknown("RECENT")
    if text[:1] == b"+":
        return Continuation(text[1:].lstrip(b" "))
    status = _STATUS.match(text)
    if status is not None:
        return _status(text, status)
    named = _NAMED.match(text)
    if named is None:
        return Unknown("")
    name = named[1].upper()
    read = _READ.get(name)
    if read is None or (len(text) > MAX_PARSED and name not in _LONG):
        return Unknown(name.decode("ascii"))
    try:
        return read(Scanner(frame, named.end()), name.decode("ascii"))
    except Odd:
        return Unknown(name.decode("ascii"))


def _status(text: bytes, found: re.Match[bytes]) -> Response:
    word = found[2].decode("ascii").upper()
    code, said = _code_of(text[found.end() : found.end() + MAX_PARSED])
    words = text_of(said[:MAX_TEXT])
    if found[1] == b"*":
        return Status(word, code, words)
    if word in ("BYE", "PREAUTH"):
        return Unknown(word)
    return Tagged(found[1], word, code, words)


def _code_of(text: bytes) -> tuple[Code | None, bytes]:
    """`[CODE arguments] words`. A list among the arguments may hold flags with `]`, so it ends with its parenthesis."""
    found = _CODE.match(text)
    if found is None:
        return None, text
    end = -1
    if text[found.end() : found.end() + 1] == b"(":
        end = text.find(b")]", found.end()) + 1
    if end <= 0:
        end = text.find(b"]", found.end())
    if end < 0:
        return None, text
    name = found[1].decode("ascii", "replace").upper()
    return Code(name, text[found.end() : end].strip()), text[end + 1 :].lstrip(b" ")


def words_of(octets: bytes) -> frozenset[str]:
    """A list of capabilities, in capitals. iCloud puts more than one space between them."""
    return _words_of(octets) if len(octets) < 2_048 else _words_of.__wrapped__(octets)


@lru_cache(32)  # a thousand accounts of one server have one list: 4 KB
def _words_of(octets: bytes) -> frozenset[str]:
    return frozenset(item.decode("ascii", "replace").upper() for item in octets.split()[:1000])


def _capability(scanner: Scanner, _name: str) -> Response:
    return Capability(words_of(scanner.rest()))


def _enabled(scanner: Scanner, _name: str) -> Response:
    return Enabled(words_of(scanner.rest()))


def _flags(scanner: Scanner, _name: str) -> Response:
    return Flags(flags_of(b" ".join(strings(scanner.value()))))


def _vanished(scanner: Scanner, _name: str) -> Response:
    found = scanner.match(_VANISHED)
    return Vanished(found is not None and found[1] is not None, scanner.rest().strip())


def _search(scanner: Scanner, _name: str) -> Response:
    rest = scanner.rest()
    if rest.endswith(b")"):  # RFC 7162 3.1.5: (MODSEQ n)
        rest = rest[: max(rest.rfind(b"(", -_TRAILER), 0)]
    return Found(rest)


def _esearch(scanner: Scanner, _name: str) -> Response:
    found = scanner.match(_CORRELATOR)
    tag = b"" if found is None else (found[1] or found[2])
    items: dict[bytes, bytes] = {}
    words = scanner.rest().translate(None, b"()").split(None, 63)
    place = 1 if words and words[0].upper() == b"UID" else 0
    while place + 1 < len(words):
        name = words[place].upper()
        place += 1
        if name == b"PARTIAL":
            place += 1  # the range that was asked for
        if place < len(words):
            items[name] = words[place]
        place += 1
    uids = items.get(b"ALL", items.get(b"PARTIAL"))
    if uids is not None and uids.upper() == b"NIL":
        uids = b""
    return FoundSet(tag, uids, _number(items, b"MIN"), _number(items, b"MAX"), _number(items, b"COUNT"))


def _number(items: dict[bytes, bytes], name: bytes) -> int | None:
    value = items.get(name, b"")
    return int(value) if value.isdigit() and len(value) < 20 else None


def _delimiter(value: Value) -> str | None:
    return text_of(value[:1]) or None if isinstance(value, bytes) else None


def _list(scanner: Scanner, name: str) -> Response:
    value = scanner.value()
    attributes = frozenset(item.decode("latin-1").lower() for item in strings(value))
    delimiter = _delimiter(scanner.value())
    raw = bytes(scanner.string())
    if not raw or len(raw) > MAX_NAME:
        raise Odd
    return Listed(ListedMailbox(raw, names.decode(raw), delimiter, attributes), name)


_STATUS_FIELDS: Final = {
    b"MESSAGES": "messages", b"UIDNEXT": "uidnext", b"UIDVALIDITY": "uidvalidity", b"UNSEEN": "unseen",
    b"HIGHESTMODSEQ": "highest_modseq", b"SIZE": "size",
}  # fmt: skip


def _status_of(scanner: Scanner, _name: str) -> Response:
    raw = bytes(scanner.string())
    items = scanner.value()
    if not isinstance(items, tuple):
        raise Odd
    told: dict[str, int] = {}
    mailbox_id: str | None = None
    for name, value in zip(items[::2], items[1::2], strict=False):
        key = name.upper() if isinstance(name, bytes) else b""
        if key == b"MAILBOXID" and strings(value):
            mailbox_id = text_of(strings(value)[0][:255])
        elif key in _STATUS_FIELDS and isinstance(value, bytes) and value.isdigit() and len(value) < 20:
            told[_STATUS_FIELDS[key]] = int(value)
    return StatusOf(raw, MailboxStatus(mailbox_id=mailbox_id, **told))


def _namespace(scanner: Scanner, _name: str) -> Response:
    found = []
    for _ in range(3):
        value = scanner.value()
        spaces = []
        for item in value if isinstance(value, tuple) else ():
            if isinstance(item, tuple) and len(item) >= 2 and isinstance(item[0], bytes):
                spaces.append((bytes(item[0]), _delimiter(item[1])))
        found.append(tuple(spaces))
    return Namespaces(*found)


def _identity(scanner: Scanner, _name: str) -> Response:
    value = scanner.value()
    items = value if isinstance(value, tuple) else ()
    fields = {
        text_of(name[:64]).lower(): text_of(said[:MAX_TEXT])
        for name, said in zip(items[:60:2], items[1:60:2], strict=False)
        if isinstance(name, bytes) and isinstance(said, bytes)
    }
    return Identity(fields)


_READ: Final[dict[bytes, Callable[[Scanner, str], Response]]] = {
    b"CAPABILITY": _capability, b"ENABLED": _enabled, b"FLAGS": _flags, b"VANISHED": _vanished, b"SEARCH": _search,
    b"ESEARCH": _esearch, b"LIST": _list, b"LSUB": _list, b"XLIST": _list, b"STATUS": _status_of,
    b"NAMESPACE": _namespace, b"ID": _identity,
}  # fmt: skip
