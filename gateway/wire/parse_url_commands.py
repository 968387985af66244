"""GENURLAUTH, RESETKEY and URLFETCH (RFC 4467 9, RFC 5524 5)."""

from __future__ import annotations

from typing import Final

from gateway.model import names

from .commands import Command, GenUrlAuth, ResetKey, UrlFetch
from .tokens import Cursor, Malformed

MAX_URLS: Final = 100  # of one command: each is a look-up and what it names
_PARAMETERS: Final = frozenset({"BODY", "BINARY", "BODYPARTSTRUCTURE"})


def genurlauth(cursor: Cursor, tag: bytes) -> Command:
    found: list[tuple[bytes, str]] = []
    while not found or not cursor.at_end:
        cursor.space()
        url = cursor.astring("a URL")
        cursor.space()
        found.append((url, cursor.keyword("a mechanism")))
        _limit(len(found))
    return GenUrlAuth(tag, tuple(found))


def resetkey(cursor: Cursor, tag: bytes) -> Command:
    if cursor.at_end:
        return ResetKey(tag)
    cursor.space()
    mailbox = names.canonical(cursor.mailbox())
    mechanisms: list[str] = []
    while cursor.skip(b" "):
        mechanisms.append(cursor.keyword("a mechanism"))
    return ResetKey(tag, mailbox, tuple(mechanisms))


def urlfetch(cursor: Cursor, tag: bytes) -> Command:
    found: list[tuple[bytes, frozenset[str]]] = []
    while not found or not cursor.at_end:
        cursor.space()
        found.append(_extended(cursor) if cursor.skip(b"(") else (cursor.astring("a URL"), frozenset()))
        _limit(len(found))
    return UrlFetch(tag, tuple(found))


def _extended(cursor: Cursor) -> tuple[bytes, frozenset[str]]:
    url = cursor.astring("a URL")
    wanted: set[str] = set()
    while not cursor.skip(b")"):
        cursor.space()
        name = cursor.keyword("BODY, BINARY or BODYPARTSTRUCTURE")
        if name not in _PARAMETERS:
            raise Malformed("Unknown parameter of a URL")
        if name in wanted:
            raise Malformed(f"{name} stands twice")
        wanted.add(name)
    if {"BODY", "BINARY"} <= wanted:
        raise Malformed("BODY and BINARY exclude each other")  # RFC 5524 3.1
    return url, frozenset(wanted)


def _limit(count: int) -> None:
    if count > MAX_URLS:
        raise Malformed(f"More than {MAX_URLS} URLs")
