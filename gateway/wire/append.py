"""What an APPEND or REPLACE says, step by step (RFC 3501 6.3.11, RFC 3502, RFC 4469, RFC 6855 4, RFC 8508).

Its text comes in pieces, one before each literal and one behind the last; `parse_append.append_steps` turns each piece
into steps, and whoever takes them need not know the grammar.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from .commands import Flags


class Place(Enum):
    """Where in the command the next piece of text begins."""

    MESSAGE = auto()
    """Before the arguments of a message."""
    BEHIND = auto()
    """Behind a whole message: another one or the end."""
    BEHIND_UTF8 = auto()
    """Behind the literal of `UTF8 (~{9}`, which a parenthesis must follow."""
    BEHIND_PART = auto()
    """Behind a part in the list of CATENATE."""


class Use(Enum):
    """What a literal is for."""

    MESSAGE = auto()
    UTF8 = auto()
    """A message with UTF-8 in its header (RFC 6855 4)."""
    TEXT = auto()
    """A part of a message (RFC 4469 3)."""
    URL = auto()
    """The URL of such a part."""


@dataclass(frozen=True, slots=True)
class Begin:
    """A message begins. `date` in Unix seconds, None when the client gave none."""

    flags: Flags
    date: int | None


@dataclass(frozen=True, slots=True)
class Literal:
    """`size` octets follow; `synchronising`: the client waits for `+ ` first; `binary`: a literal8 (RFC 3516 4.4)."""

    size: int
    synchronising: bool
    binary: bool
    use: Use


@dataclass(frozen=True, slots=True)
class Url:
    """The octets that this URL names are the message's next."""

    url: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The message is complete."""


Step = Begin | Literal | Url | End
