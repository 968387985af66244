"""APPEND's and REPLACE's text -> `append` steps, a piece at a time."""

from __future__ import annotations

import re
from typing import Final

from gateway.model.flags import MAX_KEYWORD_LENGTH, SYSTEM_BY_FOLDED

from .append import Begin, End, Literal, Place, Step, Url, Use
from .commands import Flags
from .tokens import Cursor, Malformed

MAX_URL: Final = 8192  # octets; a name of 1,000 characters, each as `%` and two digits, and a section
_LITERAL: Final = re.compile(rb"(~?)\{([0-9]++)(\+?)\}\n\Z")
_UTF8: Final = re.compile(rb"UTF8 \((?=~)", re.IGNORECASE)
_CATENATE: Final = re.compile(rb"CATENATE \(", re.IGNORECASE)
_PART: Final = re.compile(rb"(TEXT|URL) ", re.IGNORECASE)


def append_steps(cursor: Cursor, place: Place) -> tuple[tuple[Step, ...], Place]:
    """The steps of the rest of `cursor`'s text, which ends with a literal's announcement or with the command.

    With the place at which the next piece begins. Malformed.
    """
    steps: list[Step] = []
    while True:
        if place is Place.BEHIND_UTF8:
            cursor.need(b")")
            place = Place.BEHIND
        if place is Place.BEHIND_PART:
            if cursor.skip(b")"):
                place = Place.BEHIND
            else:
                cursor.space()
                place = _part(cursor, steps)
                if isinstance(steps[-1], Literal):
                    return tuple(steps), place
                continue
        if place is Place.BEHIND:
            steps.append(End())
            if cursor.at_end:
                return tuple(steps), place
        place = _message(cursor, steps)
        if isinstance(steps[-1], Literal):
            return tuple(steps), place


def _message(cursor: Cursor, steps: list[Step]) -> Place:
    cursor.space()
    flags = Flags()
    date = None
    if cursor.peek() == b"(":
        flags = flag_list(cursor.listed(cursor.flag, empty=True))
        cursor.space()
    if cursor.peek() == b'"':
        date = cursor.date_time()
        cursor.space()
    steps.append(Begin(flags, date))
    if cursor.match(_CATENATE) is not None:
        return _part(cursor, steps)
    use = Use.UTF8 if cursor.match(_UTF8) is not None else Use.MESSAGE
    steps.append(_literal(cursor, use, "a message literal"))
    return Place.BEHIND_UTF8 if use is Use.UTF8 else Place.BEHIND


def _part(cursor: Cursor, steps: list[Step]) -> Place:
    found = cursor.match(_PART)
    if found is None:
        raise cursor.expected("TEXT or URL")
    if found[1].upper() == b"TEXT":
        steps.append(_literal(cursor, Use.TEXT, "a literal"))
    elif cursor.peek() in (b"{", b"~"):
        literal = _literal(cursor, Use.URL, "a URL")
        if literal.binary or literal.size > MAX_URL:
            raise Malformed("The URL is too long")
        steps.append(literal)
    else:
        url = cursor.astring("a URL")
        if len(url) > MAX_URL:
            raise Malformed("The URL is too long")
        steps.append(Url(url))
    return Place.BEHIND_PART


def _literal(cursor: Cursor, use: Use, what: str) -> Literal:
    found = cursor.match(_LITERAL)
    if found is None:
        raise cursor.expected(what)
    digits = found[2].lstrip(b"0")
    if len(digits) > 18:
        raise Malformed("The message is too long")
    return Literal(int(digits or b"0"), not found[3], bool(found[1]), use)


def flag_list(found: list[bytes]) -> Flags:
    """Flags as a client sent them. Malformed for a system flag that there is not, or a keyword too long."""
    system = 0
    keywords: dict[str, str] = {}
    for flag in found:
        name = flag.decode("ascii")
        folded = name.lower()
        if not name.startswith("\\"):
            if len(name) > MAX_KEYWORD_LENGTH:
                raise Malformed(f"A keyword may have {MAX_KEYWORD_LENGTH} characters at most")
            keywords.setdefault(folded, name)
        elif folded in SYSTEM_BY_FOLDED:
            system |= SYSTEM_BY_FOLDED[folded]
        elif folded != "\\recent":
            raise Malformed("Unknown system flag")
    return Flags(system, tuple(keywords.values()))
