"""mbox files: one file, many messages, divided by `From ` lines (RFC 4155 and the dialects around it).

Choices, for the format has no standard that writers keep:

- A message starts at a line `From ` at the start of the file or after an empty line, and only if that line
  is bare (`From `, `From -`: Thunderbird) or ends with a date: prose that begins with "From " divides nothing.
- Quoting `rd` (the default, what we write): one `>` is taken from `>From `, `>>From ` …; `o` takes it only
  from `>From `; `none` changes nothing. Content-Length is not believed.
- Line ends become CRLF. `Status`, `X-Status`, `X-Keywords`, `X-UID`, `X-IMAP` and `X-IMAPbase` are the mailbox's
  notes, not the message's: they become flags and are taken out. Mozilla's `X-Mozilla-Status` is read too but stays.
- The arrival date is the From_ line's, in UTC unless it names a zone.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO, Final

from gateway.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN

PIECE: Final = 64 * 1024
MAX_HEADER: Final = 256 * 1024  # as much header as is ever parsed; the notes of a longer one stay in it

_MONTHS: Final = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DATE = re.compile(
    rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +([A-Z][a-z]{2}) +(\d{1,2}) +(\d{2}):(\d{2})(?::(\d{2}))?"
    rb"(?: +(?:[A-Z]{1,5}|([+-])(\d{2})(\d{2})))?(?: +(\d{4}))(?: +(?:[A-Z]{1,5}|([+-])(\d{2})(\d{2})))? *$"
)
_BARE = re.compile(rb"From(?: +-?)? *$")
_QUOTED = re.compile(rb">+From ")
_NOTES: Final = frozenset({b"status", b"x-status", b"x-keywords", b"x-uid", b"x-imap", b"x-imapbase"})
_STATUS: Final = {ord("R"): SEEN}
_X_STATUS: Final = {ord("A"): ANSWERED, ord("F"): FLAGGED, ord("D"): DELETED, ord("T"): DRAFT}
_MOZILLA: Final = {0x1: SEEN, 0x2: ANSWERED, 0x4: FLAGGED, 0x8: DELETED}


class Quoting(StrEnum):
    RD = "rd"
    O = "o"  # noqa: E741 - the dialect's name
    NONE = "none"


@dataclass(frozen=True, slots=True)
class MboxEntry:
    """What stands around one message: the offset of its From_ line, the arrival date (Unix seconds) and its flags."""

    offset: int
    date: int | None
    flags: int
    keywords: tuple[str, ...]


class MboxReader:
    """Pulls messages from a file one after another, never holding one whole.

    `next()` moves to the next message, `read()` yields its octets in pieces of about 64 KiB and b"" at its end.
    Blocking: call it in a thread.
    """

    def __init__(self, file: BinaryIO, quoting: Quoting = Quoting.RD) -> None:
        self._file = file
        self._quoting = quoting
        self._from_line: tuple[int, bytes] | None = None
        self._ended = True
        self._header = b""
        self._line_start = True
        self._after_cr = False
        self._blank = b""
        """An empty line not yet given out: before a From_ line it belongs to the file, not to the message."""
        self._find_first()

    @property
    def position(self) -> int:
        """Octets of the file read so far, for a progress bar."""
        return self._file.tell()

    def next(self) -> MboxEntry | None:
        """The next message's notes, or None at the end of the file."""
        while not self._ended:
            self.read()
        if self._from_line is None:
            return None
        offset, line = self._from_line
        self._from_line = None
        self._ended, self._line_start, self._blank = False, True, b""
        self._header, flags, keywords = _split_notes(self._read_header())
        return MboxEntry(offset, from_line_date(line), flags, keywords)

    def read(self) -> bytes:
        if self._header:
            header, self._header = self._header, b""
            return header
        pieces: list[bytes] = []
        size = 0
        while size < PIECE and not self._ended:
            piece = self._piece()
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _find_first(self) -> None:
        """Passes over empty lines before the first From_ line; a file without one holds no message."""
        while line := self._file.readline(PIECE):
            if line.strip(b"\r\n"):
                if is_from_line(line):
                    self._from_line = (self._file.tell() - len(line), line)
                return

    def _piece(self) -> bytes:
        """The next line (or part of a very long one) of the message, CRLF at its end; b"" when it is held or ends."""
        line = self._file.readline(PIECE)
        if not line:
            self._ended = True
            return b""  # the held empty line was the file's end
        at_start, self._line_start = self._line_start, line.endswith(b"\n")
        if at_start:
            if self._blank and is_from_line(line):
                self._from_line = (self._file.tell() - len(line), line)
                self._ended = True
                return b""
            if line in {b"\n", b"\r\n"}:
                blank, self._blank = self._blank, b"\r\n"
                return blank
            line = self._unquote(line)
        after_cr, self._after_cr = self._after_cr, line.endswith(b"\r")
        if line.endswith(b"\n") and not line.endswith(b"\r\n") and not (after_cr and line == b"\n"):
            line = line[:-1] + b"\r\n"
        blank, self._blank = self._blank, b""
        return blank + line

    def _unquote(self, line: bytes) -> bytes:
        if self._quoting is Quoting.RD and _QUOTED.match(line):
            return line[1:]
        if self._quoting is Quoting.O and line.startswith(b">From "):
            return line[1:]
        return line

    def _read_header(self) -> bytes:
        """The header with its empty line, or its first MAX_HEADER octets.

        The empty line is left held (the body may be empty, and a From_ line may follow): `_piece` gives it out.
        """
        lines: list[bytes] = []
        size = 0
        while not self._ended and size < MAX_HEADER and not self._blank:
            piece = self._piece()
            lines.append(piece)
            size += len(piece)
        if self._blank:
            lines.append(self._blank)  # the header's own end is always the message's
            self._blank = b""
            self._body_may_be_empty()
        return b"".join(lines)

    def _body_may_be_empty(self) -> None:
        """A From_ line right after the header's empty line starts the next message: this one has no body."""
        place = self._file.tell()
        line = self._file.readline(PIECE)
        if is_from_line(line):
            self._from_line = (place, line)
            self._ended = True
        else:
            self._file.seek(place)


def is_from_line(line: bytes) -> bool:
    if not line.startswith(b"From"):
        return False
    line = line.rstrip(b"\r\n")
    return _BARE.match(line) is not None or (line.startswith(b"From ") and _DATE.search(line) is not None)


def from_line_date(line: bytes) -> int | None:
    """Unix seconds of a From_ line's date (RFC 4155: UTC), None where it has none or no true one."""
    found = _DATE.search(line.rstrip(b"\r\n"))
    if found is None:
        return None
    month, day, hour, minute, second, sign_a, hh_a, mm_a, year, sign_b, hh_b, mm_b = found.groups()
    number = _MONTHS.get(month.decode("ascii").lower())
    if number is None or not 1 <= int(day) <= calendar.monthrange(max(int(year), 1), number)[1] or int(hour) > 23:
        return None
    value = calendar.timegm((int(year), number, int(day), int(hour), int(minute), int(second or 0)))
    sign, hh, mm = (sign_a, hh_a, mm_a) if sign_a else (sign_b, hh_b, mm_b)
    if sign:
        offset = int(hh) * 3600 + int(mm) * 60
        value += offset if sign == b"-" else -offset
    return value if value >= 0 else None


def _split_notes(header: bytes) -> tuple[bytes, int, tuple[str, ...]]:
    """The header without the mailbox's notes, and the flags and keywords they held."""
    kept: list[bytes] = []
    flags = 0
    keywords: list[str] = []
    for field in _fields(header):
        name, colon, value = field.partition(b":")
        name = name.strip().lower()
        if name in {b"status", b"x-status"}:
            table = _STATUS if name == b"status" else _X_STATUS
            for octet in value:
                flags |= table.get(octet, 0)
        elif name == b"x-keywords":
            keywords.extend(word.decode("ascii") for word in value.split() if _is_keyword(word))
        elif name == b"x-mozilla-status" and re.fullmatch(rb"[0-9A-Fa-f]{4}", value.strip()):
            bits = int(value, 16)
            flags |= sum(flag for bit, flag in _MOZILLA.items() if bits & bit)
        if not (colon and name in _NOTES):
            kept.append(field)
    return b"".join(kept), flags, tuple(dict.fromkeys(keywords))


def _fields(header: bytes) -> Iterator[bytes]:
    """Header fields with their continuation lines, and the empty line as the last one."""
    field: list[bytes] = []
    for line in _lines(header):
        if field and not line.startswith((b" ", b"\t")):
            yield b"".join(field)
            field = []
        field.append(line)
    if field:
        yield b"".join(field)


def _lines(octets: bytes) -> Iterator[bytes]:
    """Lines that end with LF only: `splitlines` also ends them at a lone CR."""
    start = 0
    while (end := octets.find(b"\n", start)) >= 0:
        yield octets[start : end + 1]
        start = end + 1
    if start < len(octets):
        yield octets[start:]


def _is_keyword(word: bytes) -> bool:
    """An IMAP flag-keyword is an atom (RFC 3501 9)."""
    return re.fullmatch(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]+", word) is not None


class MboxWriter:
    """Pieces of one message -> its octets in an mbox: From_ line, notes as header fields, `rd` quoting, LF."""

    def __init__(self, *, sender: bytes, date: int, flags: int, keywords: Sequence[str]) -> None:
        moment = time.strftime("%a %b %e %H:%M:%S %Y", time.gmtime(date)).encode("ascii")
        self._head = b"From " + (sender or b"MAILER-DAEMON") + b" " + moment + b"\n"
        self._notes = _notes(flags, keywords)
        self._rest = b""
        self._inside = False  # the last octets given out were no whole line

    def header(self, header: bytes) -> bytes:
        """The message's header with its blank line. Notes come first, so a header without an end keeps them."""
        return self._head + self._notes + self.feed(header)

    def feed(self, chunk: bytes) -> bytes:
        """Octets of the message in any pieces; a line is held until it is whole, or 64 KiB."""
        octets = self._rest + chunk
        cut = octets.rfind(b"\n") + 1
        if cut == 0 and len(octets) < PIECE:
            self._rest = octets
            return b""
        if cut == 0:
            cut = len(octets) - 1 if octets.endswith(b"\r") else len(octets)
            whole, self._rest = octets[:cut], octets[cut:]
            return self._quoted(whole, ends=False)
        whole, self._rest = octets[:cut], octets[cut:]
        return self._quoted(whole, ends=True)

    def finish(self) -> bytes:
        """The end of the message: a line end if it lacks one, and the empty line that divides."""
        rest, self._rest = self._rest, b""
        return (self._quoted(rest, ends=False) + b"\n" if rest or self._inside else b"") + b"\n"

    def _quoted(self, octets: bytes, *, ends: bool) -> bytes:
        octets = octets.replace(b"\r\n", b"\n")
        if not self._inside and re.match(rb">*From ", octets):
            octets = b">" + octets
        self._inside = not ends
        return re.sub(rb"\n(>*From )", rb"\n>\1", octets)


def _notes(flags: int, keywords: Sequence[str]) -> bytes:
    status = b"Status: " + (b"RO" if flags & SEEN else b"O") + b"\n"
    letters = bytes(letter for letter, flag in _X_STATUS.items() if flags & flag)
    if letters:
        status += b"X-Status: " + letters + b"\n"
    if keywords:
        status += b"X-Keywords: " + " ".join(keywords).encode("ascii", "replace") + b"\n"
    return status
