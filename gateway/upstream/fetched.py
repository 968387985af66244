"""FETCH responses: the hot path of a first sync, some ten microseconds a message.

Items come in any order; what nobody asked for is stepped over, and what is in no grammar ends the reading of its
response: the items before it stay told.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from gateway.wire import date
from gateway.wire.events import Frame

from . import names
from .events import Row
from .numbers import MAX_UID
from .scanning import Odd, Scanner, strings, text_of
from .values import FetchedMessage

_ITEM: Final = re.compile(rb" *+([A-Za-z0-9._-]++)(\[[^\]]*+\](?:<[0-9]++>)?+)?+ *+")
_LIST: Final = re.compile(rb"\(([^()\"{]*+)\)")
_QUOTED: Final = re.compile(rb'"([^"\\]*+)"')
_SMALL: Final = 256  # octets of a flag list that is worth remembering


def _flags(octets: bytes) -> frozenset[str]:
    found = {item.decode("latin-1") for item in octets.split()}
    return frozenset(flag for flag in found if flag.lower() != "\\recent")


_known_flags = lru_cache(maxsize=2048)(_flags)


def flags_of(octets: bytes) -> frozenset[str]:
    """The inside of a flag list. The same few lists come over and over: one object each saves time and memory."""
    return _known_flags(octets) if len(octets) <= _SMALL else _flags(octets)


@lru_cache(maxsize=1024)
def _label(octets: bytes) -> str:
    return names.decode(octets)


def _read_flags(scanner: Scanner) -> frozenset[str] | None:
    if (found := scanner.match(_LIST)) is not None:
        return flags_of(found[1])
    value = scanner.value()
    return None if value is None else flags_of(b" ".join(strings(value)))


def _read_date(scanner: Scanner) -> int | None:
    found = scanner.match(_QUOTED)
    text = found[1] if found is not None else scanner.string()
    try:
        return date.parse_date_time(text)
    except ValueError:
        return None


def _read_number(scanner: Scanner) -> int | None:
    number = scanner.number()
    if number is None:
        scanner.value()
    return number


def _read_one(scanner: Scanner) -> bytes | None:
    """`(x)`, or x where the parentheses were forgotten."""
    value = strings(scanner.value())
    return value[0] if value else None


def _read_modseq(scanner: Scanner) -> int | None:
    value = _read_one(scanner)
    return int(value) if value is not None and value.isdigit() and len(value) < 20 else None


def _read_id(scanner: Scanner) -> str | None:
    value = _read_one(scanner)
    return text_of(value[:255]) if value else None


def _read_labels(scanner: Scanner) -> frozenset[str]:
    found = strings(scanner.value())
    return frozenset(_label(item) if len(item) < _SMALL else names.decode(item) for item in found)


_READ: Final[dict[bytes, tuple[str, Callable[[Scanner], Any]]]] = {
    b"UID": ("uid", _read_number),
    b"FLAGS": ("flags", _read_flags),
    b"INTERNALDATE": ("internal_date", _read_date),
    b"RFC822.SIZE": ("size", _read_number),
    b"MODSEQ": ("modseq", _read_modseq),
    b"EMAILID": ("email_id", _read_id),
    b"THREADID": ("thread_id", _read_id),
    b"X-GM-MSGID": ("gmail_id", _read_number),
    b"X-GM-THRID": ("gmail_thread", _read_number),
    b"X-GM-LABELS": ("labels", _read_labels),
}


def read_row(scanner: Scanner, *, uid: int | None) -> Row:
    """The response behind `FETCH `. `uid`: what UIDFETCH named in front. Never fails."""
    told: dict[str, Any] = {}
    row = Row(_NOTHING)
    try:
        if not scanner.skip(b"("):
            raise Odd
        while not scanner.skip(b")"):
            found = scanner.match(_ITEM)
            if found is None:
                raise Odd
            name = found[1].upper()
            known = _READ.get(name)
            if known is not None:
                told[known[0]] = known[1](scanner)
            elif found[2] is not None and b"FIELDS" in found[2].upper():
                told["header"] = _octets(scanner)
            elif name == b"BODY" and found[2] is None:
                scanner.value()  # a structure
            elif name in (b"BODY", b"BINARY", b"RFC822"):
                row.body = _octets(scanner)
            else:
                scanner.value()
    except Odd:
        pass  # what was told so far stands
    if uid is not None:
        told["uid"] = uid
    number = told.get("uid")
    told["uid"] = number if number is not None and 0 < number <= MAX_UID else 0
    row.message = FetchedMessage(**told)
    return row


_HEAD: Final = re.compile(rb"\* ++([0-9]{1,10}+) ++(UID)?FETCH ++", re.IGNORECASE)


def read_row_of(head: Frame) -> Row:
    """What the beginning of a FETCH response tells, up to a literal that has not come yet."""
    found = _HEAD.match(head.text)
    if found is None:
        return Row(_NOTHING)
    return read_row(Scanner(head, found.end()), uid=int(found[1]) if found[2] else None)


def _octets(scanner: Scanner) -> bytes | None:
    value = scanner.value()
    if isinstance(value, tuple):
        raise Odd
    return value


_NOTHING: Final = FetchedMessage(0)
