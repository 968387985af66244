"""What RFC 7162 adds to the grammar: SELECT's parameters, the modifier of STORE, SEARCH's MODSEQ."""

from __future__ import annotations

import re
from typing import Final

from gateway.model.sequence import SequenceSet, count

from .commands import Resync
from .tokens import MAX_NUMBER64, Cursor, Malformed

MAX_MODSEQ: Final = MAX_NUMBER64
"""RFC 7162 7 mod-sequence-value: 63 bits."""

_ENTRY: Final = re.compile(rb'(?i:/flags/)\\?[^\x00-\x20(){%*"\\\x7f-\xff]+\Z')
_ENTRY_TYPES: Final = frozenset({"PRIV", "SHARED", "ALL"})


def select_parameters(cursor: Cursor) -> tuple[bool, Resync | None]:
    """(CONDSTORE is wanted, QRESYNC's arguments) after the mailbox name of SELECT and EXAMINE (RFC 4466 2.1)."""
    if cursor.at_end:
        return False, None
    cursor.space()
    names: set[str] = set()
    resync: Resync | None = None

    def parameter() -> None:
        nonlocal resync
        name = cursor.keyword("a parameter")
        if name not in {"CONDSTORE", "QRESYNC"}:
            raise Malformed("Unknown parameter")
        once(names, name)
        if name == "QRESYNC":
            cursor.space()
            resync = _resync(cursor)

    cursor.listed(parameter)
    return "CONDSTORE" in names, resync


def _resync(cursor: Cursor) -> Resync:
    """RFC 7162 7 `select-param`: (uidvalidity modseq [known-uids] [(numbers uids)])."""
    cursor.need(b"(")
    uidvalidity = cursor.nz_number("a UIDVALIDITY")
    cursor.space()
    modseq = modseq_value(cursor)
    known: SequenceSet | None = None
    matched: tuple[SequenceSet, SequenceSet] | None = None
    if cursor.skip(b" "):
        if cursor.peek() != b"(":
            known = _without_star(cursor)
            if cursor.skip(b" "):
                matched = _matched(cursor)
        else:
            matched = _matched(cursor)
    cursor.need(b")")
    return Resync(uidvalidity, modseq, known, matched)


def _matched(cursor: Cursor) -> tuple[SequenceSet, SequenceSet]:
    cursor.need(b"(")
    numbers = _without_star(cursor)
    cursor.space()
    uids = _without_star(cursor)
    cursor.need(b")")
    if not _rises(numbers) or not _rises(uids) or count(numbers.pairs) != count(uids.pairs):
        raise Malformed("Known message numbers and their UIDs rise, and are as many")
    return numbers, uids


def _without_star(cursor: Cursor) -> SequenceSet:
    found = cursor.sequence_set()
    if found.uses_star:
        raise Malformed('"*" is not allowed in what is known')
    return found


def _rises(found: SequenceSet) -> bool:
    last = 0
    for low, high in found.pairs:
        if not last < low <= high:
            return False
        last = high
    return True


def modseq_value(cursor: Cursor, *, zero: bool = False) -> int:
    """RFC 7162 7 `mod-sequence-value`, with `zero` `mod-sequence-valzer`."""
    at = cursor.at
    value = cursor.number("a mod-sequence", limit=MAX_MODSEQ)
    if value == 0 and not zero:
        cursor.at = at
        raise cursor.expected("a mod-sequence above 0")
    return value


def store_modifiers(cursor: Cursor) -> int:
    """STORE's list of modifiers, of which there is UNCHANGEDSINCE only (RFC 7162 3.1.3)."""
    names: set[str] = set()

    def modifier() -> int:
        name = cursor.keyword("a STORE modifier")
        if name != "UNCHANGEDSINCE":
            raise Malformed("Unknown STORE modifier")
        once(names, name)
        cursor.space()
        return modseq_value(cursor, zero=True)

    return cursor.listed(modifier)[0]


def search_modseq(cursor: Cursor) -> int:
    """The arguments of SEARCH's MODSEQ. An entry name is checked and means nothing: a message has one mod-sequence
    for all its flags (RFC 7162 3.1.5)."""
    if cursor.peek() == b'"':
        if _ENTRY.match(cursor.string("an entry name")) is None:
            raise Malformed("An entry name is that of a flag")
        cursor.space()
        if cursor.keyword("PRIV, SHARED or ALL") not in _ENTRY_TYPES:
            raise Malformed("The type of an entry is PRIV, SHARED or ALL")
        cursor.space()
    return modseq_value(cursor, zero=True)


def once(names: set[str], name: str) -> None:
    """Malformed when `name` is among `names` already."""
    if name in names:
        raise Malformed(f"{name} stands twice")
    names.add(name)
