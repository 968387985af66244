"""Responses of commands that search: SEARCH, SORT, THREAD and ESEARCH (RFC 3501 7.2.5, RFC 5256 4, RFC 4731 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from .render import CRLF, mailbox, sequence_set, string

OPEN: Final = -1
CLOSE: Final = -2


_PIECE: Final = 20_000  # numbers written by one call: 3 ms for which no other thread runs


def numbers(name: bytes, found: Sequence[int], modseq: int | None = None) -> bytes:
    """`* SEARCH` or `* SORT` with numbers (RFC 7162 3.1.6: and MODSEQ); the bare line without any."""
    words = [name.decode("ascii"), *_words(found)]
    if modseq is not None:
        words.append(f"(MODSEQ {modseq})")
    return b"* " + " ".join(words).encode("ascii") + CRLF


def _words(found: Sequence[int]) -> list[str]:
    """The numbers with spaces between them, in pieces."""
    return [" ".join(map(str, found[at : at + _PIECE])) for at in range(0, len(found), _PIECE)]


def threads(tokens: Iterable[int]) -> bytes:
    """`* THREAD` from numbers, OPEN and CLOSE in the order of its parentheses (RFC 5256 5 `thread-data`)."""
    pieces: list[str] = []
    space = False
    for token in tokens:
        if token == OPEN:
            # `thread-members [SP thread-nested]`: a space before what nests in a thread, none between its siblings
            pieces.append(" (" if space else "(")
            space = False
        elif token == CLOSE:
            pieces.append(")")
            space = False
        else:
            pieces.append(f" {token}" if space else str(token))
            space = True
    if not pieces:
        return b"* THREAD" + CRLF
    return b"* THREAD " + "".join(pieces).encode("ascii") + CRLF


def esearch(
    tag: bytes, uid: bool, items: Sequence[bytes], *, source: tuple[str, int] | None = None, utf8: bool = False
) -> bytes:
    """ESEARCH with its return data; `source`: mailbox and UIDVALIDITY (RFC 7377 2.1)."""
    correlator = b"TAG %b" % string(tag)
    if source is not None:
        correlator += b" MAILBOX %b UIDVALIDITY %d" % (mailbox(source[0], utf8=utf8), source[1])
    return b" ".join([b"* ESEARCH (%b)" % correlator, *([b"UID"] if uid else []), *items]) + CRLF


def minimum(number: int) -> bytes:
    return b"MIN %d" % number


def maximum(number: int) -> bytes:
    return b"MAX %d" % number


def all_(found: Iterable[tuple[int, int]]) -> bytes:
    """Ranges in the order of the results; at least one."""
    return b"ALL " + sequence_set(found)


def partial(text: bytes, found: Sequence[tuple[int, int]]) -> bytes:
    """RFC 9394 4: the range as asked for, and the results in it."""
    return b"PARTIAL (%b %b)" % (text, sequence_set(found) if found else b"NIL")


def count(number: int) -> bytes:
    return b"COUNT %d" % number


def modseq(number: int) -> bytes:
    """RFC 4731 3.2."""
    return b"MODSEQ %d" % number


def relevancy(scores: Sequence[int]) -> bytes:
    """RFC 6203 4: a score a result, in the order of the results."""
    return b"RELEVANCY (%b)" % " ".join(_words(scores)).encode("ascii")


def added(changes: Iterable[tuple[int, Iterable[tuple[int, int]]]]) -> bytes:
    """RFC 5267 4.3.3: pairs of a position, 0 for the order of the mailbox, and what comes to stand there."""
    return b"ADDTO (%b)" % _placed(changes)


def removed(changes: Iterable[tuple[int, Iterable[tuple[int, int]]]]) -> bytes:
    """RFC 5267 4.3.4: the same of what stood there."""
    return b"REMOVEFROM (%b)" % _placed(changes)


def _placed(changes: Iterable[tuple[int, Iterable[tuple[int, int]]]]) -> bytes:
    return b" ".join([b"%d %b" % (position, sequence_set(found)) for position, found in changes])
