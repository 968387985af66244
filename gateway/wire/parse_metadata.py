"""GETMETADATA and SETMETADATA (RFC 5464 5), and the entries of LIST's METADATA option (RFC 9590)."""

from __future__ import annotations

import re
from typing import Final

from gateway.model import names

from .commands import Command, Depth, GetMetadata, SetMetadata
from .tokens import MAX_NUMBER64, Cursor, Malformed

MAX_ENTRIES: Final = 100  # each is looked for among all entries of a mailbox
MAX_ENTRY: Final = 255  # characters of an entry's name

# RFC 5464 3.2: levels after a slash each, none empty; no wildcards, controls or 8-bit octets.
_ENTRY: Final = re.compile(rb"(?:/[\x20-\x24\x26-\x29\x2b-\x2e\x30-\x7e]++)++\Z")
_SCOPE: Final = re.compile(r"/(?:private|shared)(?:/|\Z)", re.IGNORECASE)
_VENDOR: Final = re.compile(r"/[^/]+/vendor(?:/[^/]+)?\Z", re.IGNORECASE)
_OPTIONS: Final = re.compile(rb"\((?=[A-Za-z])")  # entries begin with a slash, a quote or a literal
_DEPTHS: Final = {"0": Depth.SELF, "1": Depth.CHILDREN, "INFINITY": Depth.ALL}


def entry(cursor: Cursor) -> str:
    """RFC 5464 5 `entry` as the client spelled it; its names compare without case."""
    octets = cursor.astring("an entry name")
    if not _ENTRY.match(octets):
        raise Malformed(f"The entry name before octet {cursor.at + 1} is not valid")
    name = octets.decode("ascii")
    if len(name) > MAX_ENTRY:
        raise Malformed(f"An entry name may have {MAX_ENTRY} characters at most")
    if not _SCOPE.match(name):
        raise Malformed("An entry name begins with /private or /shared")
    return name


def entries(cursor: Cursor) -> tuple[str, ...]:
    """RFC 5464 5 `entries`, also without parentheses, as the examples of 4.4.1 have them at a command's end."""
    found = cursor.listed(lambda: entry(cursor)) if cursor.peek() == b"(" else [entry(cursor)]
    _check_count(found)
    return tuple(found)


def _check_count(found: list[str]) -> None:
    if len(found) > MAX_ENTRIES:
        raise Malformed(f"A command may name {MAX_ENTRIES} entries at most")


def getmetadata(cursor: Cursor, tag: bytes) -> Command:
    """RFC 5464 5 `getmetadata`. The options stand before the mailbox by the grammar, behind it in the examples."""
    maxsize: int | None = None
    depth = Depth.SELF

    def option() -> None:
        nonlocal maxsize, depth
        name = cursor.keyword("an option")
        if name not in {"MAXSIZE", "DEPTH"}:
            raise Malformed("Unknown option")
        cursor.space()
        if name == "MAXSIZE":
            maxsize = cursor.number(limit=MAX_NUMBER64)
            return
        found = _DEPTHS.get(cursor.keyword("0, 1 or infinity"))
        if found is None:
            raise Malformed("DEPTH is 0, 1 or infinity")
        depth = found

    cursor.space()
    if cursor.peek() == b"(":
        cursor.listed(option)
        cursor.space()
    mailbox = names.canonical(cursor.mailbox())
    cursor.space()
    at = cursor.at
    if cursor.match(_OPTIONS) is not None:
        cursor.at = at
        cursor.listed(option)
        cursor.space()
    wanted = list(entries(cursor))
    while not cursor.at_end:
        cursor.space()
        wanted.append(entry(cursor))
    _check_count(wanted)
    return GetMetadata(tag, mailbox, tuple(wanted), maxsize, depth)


def setmetadata(cursor: Cursor, tag: bytes) -> Command:
    """RFC 5464 5 `setmetadata`; NIL takes an entry away. An entry named twice gets its last value."""
    cursor.space()
    mailbox = names.canonical(cursor.mailbox())
    cursor.space()

    def pair() -> tuple[str, bytes | None]:
        name = entry(cursor)
        # RFC 5464 3.2: two components at least, four below vendor.
        if name.count("/") < 2 or _VENDOR.match(name):
            raise Malformed("The entry name has too few components")
        cursor.space()
        return name.lower(), _value(cursor)

    found = dict(cursor.listed(pair))
    _check_count(list(found))
    return SetMetadata(tag, mailbox, tuple(found.items()))


def _value(cursor: Cursor) -> bytes | None:
    """RFC 5464 5 `value`: nstring or literal8."""
    if cursor.nil():
        return None
    if cursor.peek() == b'"':
        return cursor.string()
    return cursor.literal("a string, a literal or NIL", binary=True)
