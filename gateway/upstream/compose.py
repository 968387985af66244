"""Commands as octets. What comes from outside goes through `atom`, `string` or `flag_list`: no line end passes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.sequence import Ranges, render
from gateway.outbound.failure import Failure

from .errors import Refused

MAX_QUOTED: Final = 1_000  # octets; servers limit a line, Exchange to 10,240
MAX_SET: Final = 4_000  # octets of a sequence set in one command
_MINUS: Final = 4_096  # RFC 7888 5: LITERAL- without waiting

_ATOM: Final = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+\Z')
_FLAG: Final = re.compile(rb'\\?[^\x00-\x20(){%*"\\\x7f-\xff]+\Z')
_QUOTABLE: Final = re.compile(rb"[\x20-\x7e]*\Z")
_NEVER: Final = re.compile(rb"[\x00\r\n]")


@dataclass(frozen=True, slots=True)
class Literal:
    octets: bytes


@dataclass(frozen=True, slots=True)
class Upload:
    """A literal whose octets come later, in pieces (APPEND)."""

    size: int


Part = bytes | Literal | Upload


def _refused(what: str) -> Refused:
    return Refused(Failure.REFUSED_COMMAND, f"{what} holds signs that cannot be sent", bad=True)


def atom(text: str | bytes) -> bytes:
    """A bare word. Refused for what is none."""
    octets = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if _ATOM.match(octets) is None:
        raise _refused("A word")
    return octets


def string(text: str | bytes) -> Part:
    """A quoted string, or a literal where quotes will not do. Refused for line ends and NUL."""
    octets = text.encode("utf-8", "replace") if isinstance(text, str) else text
    if _NEVER.search(octets) is not None:
        raise _refused("A text")
    if len(octets) > MAX_QUOTED or _QUOTABLE.match(octets) is None:
        return Literal(octets)
    return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def flag_list(flags: Iterable[str]) -> bytes:
    """Refused for what is no flag; Gmail's keywords with `]` are."""
    found = []
    for flag in sorted(flags):
        octets = flag.encode("utf-8", "replace")
        if _FLAG.match(octets) is None:
            raise _refused("A flag")
        found.append(octets)
    return b"(%b)" % b" ".join(found)


def sets(uids: Ranges, limit: int = MAX_SET) -> Iterator[tuple[Ranges, bytes]]:
    """`uids` in pieces whose text fits into a line, each with that text; none for no UIDs."""
    start, length = 0, 0
    texts: list[str] = []
    for place, pair in enumerate(uids):
        text = render((pair,))
        if texts and length + len(text) + 1 > limit:
            yield uids[start:place], ",".join(texts).encode("ascii")
            start, length, texts = place, 0, []
        texts.append(text)
        length += len(text) + 1
    if texts:
        yield uids[start:], ",".join(texts).encode("ascii")


def spaced(parts: Sequence[Part]) -> list[Part]:
    """`parts` with a space between each two."""
    found: list[Part] = []
    for part in parts:
        if found:
            found.append(b" ")
        found.append(part)
    return found


def needs_no_permission(part: Literal | Upload, *, plus: bool, minus: bool) -> bool:
    """Whether the server takes it unasked (RFC 7888).

    A large message waits for its `+`: else the server that finds it too large has to read all of it, or hangs up.
    """
    if isinstance(part, Upload):
        return (plus or minus) and part.size <= _MINUS
    return plus or (minus and len(part.octets) <= _MINUS)


def compose(tag: bytes, parts: Sequence[Part], *, plus: bool, minus: bool) -> list[bytes]:
    """The octets, in pieces: after each but the last the server's `+` is waited for. An Upload ends its piece."""
    pieces: list[bytes] = []
    out = [tag, b" "]
    for part in parts:
        if isinstance(part, bytes):
            if _NEVER.search(part) is not None:
                raise _refused("A command")
            out.append(part)
            continue
        size = part.size if isinstance(part, Upload) else len(part.octets)
        at_once = needs_no_permission(part, plus=plus, minus=minus)
        out.append(b"{%d+}\r\n" % size if at_once else b"{%d}\r\n" % size)
        if not at_once or isinstance(part, Upload):
            pieces.append(b"".join(out))
            out = []
        if isinstance(part, Literal):
            out.append(part.octets)
    out.append(b"\r\n")
    pieces.append(b"".join(out))
    return pieces
