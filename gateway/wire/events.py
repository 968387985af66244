"""What `framing.Reader` yields, and the limits it keeps."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_TAG: Final = re.compile(rb"[^\x00-\x20(){%*\"\\+\x7f-\xff]+(?= |\Z)")


def tag_of(text: bytes) -> bytes | None:
    """The tag that a command line starts with (RFC 3501 9 `tag`), None when it starts with no legal one."""
    found = _TAG.match(text)
    return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Limits:
    """Octet limits of one connection state; all are checked before octets are kept."""

    line: int
    """One line of a command, without its CRLF; never over `command`."""
    long_line: int
    """The same for ID and AUTHENTICATE, and for raw lines (SASL responses can be tokens of many KiB)."""
    literal: int
    """One literal that is kept in memory."""
    command: int
    """All lines and kept literals of one command."""
    literals: int
    """Kept literals of one command."""
    drain: int
    """What is read and thrown away of one refused command; beyond it the connection ends."""
    append: int
    """APPEND's message literal, which is streamed. Up to twice as much is drained of a non-synchronising one."""
    session: int | None
    """All octets read in this state; None without limit."""


BEFORE_LOGIN: Final = Limits(
    line=1024,  # the peer is unknown
    long_line=65_536,  # ID with any number of pairs, OAuth tokens
    literal=4096,  # the longest credentials
    command=131_072,
    literals=1000,
    drain=65_536,
    append=0,
    session=131_072,
)


def after_login(append: int) -> Limits:
    """Limits of a logged-in connection; `append` is the largest message in octets."""
    return Limits(
        line=65_536,  # sequence sets of clients that list each UID
        long_line=65_536,
        literal=131_072,
        command=1_048_576,
        literals=1000,
        drain=1_048_576,
        append=append,
        session=None,
    )


@dataclass(frozen=True, slots=True)
class Frame:
    """One command, whole: its lines joined, and its literals' octets.

    In `text` each literal's announcement stands as sent (`{5}`, `{5+}`, `~{5}`) followed by one LF, which can stand
    nowhere else; the line end of the command is cut off. The n-th announcement belongs to `literals[n]`. In the frame
    of a `LiteralStart` the last announcement has no octets.
    """

    text: bytes
    literals: tuple[bytes, ...] = ()

    @property
    def tag(self) -> bytes | None:
        return tag_of(self.text)


@dataclass(frozen=True, slots=True)
class NeedContinuation:
    """A synchronising literal inside a command is within the limits: send `+ ` and go on, or answer and `refuse()`.

    `name` is the command's name in capitals (for UID commands `UID`; b"" when there is none), enough to refuse what
    the state does not allow before its literals come.
    """

    tag: bytes | None
    name: bytes


@dataclass(frozen=True, slots=True)
class LiteralStart:
    """APPEND's message literal is announced. `refuse()` it, or go on: then `LiteralData` … `LiteralEnd` follow.

    Whoever goes on sends `+ ` first if `synchronising`. `too_big`: `size` is over the limit: it must be refused.
    `index` counts the message literals of this APPEND (RFC 3502); beyond the first, `frame` holds only what
    stands between the literals.
    """

    frame: Frame
    size: int
    synchronising: bool
    binary: bool
    too_big: bool
    index: int


@dataclass(frozen=True, slots=True)
class LiteralData:
    """The next octets of the message literal, never empty."""

    data: bytes


@dataclass(frozen=True, slots=True)
class LiteralEnd:
    """All octets of the message literal have been given."""


@dataclass(frozen=True, slots=True)
class AppendEnd:
    """The line end after the last message literal: the APPEND is complete.

    `text` is what stands between the literal and the line end, the parenthesis of `UTF8 (~{9}` (RFC 6855 4) or of
    CATENATE (RFC 4469 3) for example; whoever pulls judges it.
    """

    text: bytes = b""


@dataclass(frozen=True, slots=True)
class Line:
    """The line asked for by `expect_line()`, without its line end."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """A command broke a limit; it has been skipped whole. Answer BAD with `text`, untagged when `tag` is None.

    It can also stand in place of `AppendEnd`: then the APPEND failed and its tag is this one.
    """

    tag: bytes | None
    text: str


@dataclass(frozen=True, slots=True)
class Fatal:
    """Nothing more can be read: send BYE with `text` and close. The reader yields nothing after it."""

    text: str


Event = Frame | NeedContinuation | LiteralStart | LiteralData | LiteralEnd | AppendEnd | Line | Rejected | Fatal
