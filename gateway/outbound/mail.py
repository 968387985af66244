"""What goes out: a message, its envelope, and what its sender asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.model.recipient import Recipient


class MailSource(Protocol):
    """A stored message. Any of these may raise what its store raises."""

    @property
    def header(self) -> bytes:
        """With the blank line."""

    @property
    def size(self) -> int:
        """Octets of header and body."""

    def chunks(self) -> AsyncIterator[bytes]:
        """A new pass over all octets."""

    async def parts(self) -> bytes:
        """The table of its parts (`mime.decode_parts`)."""

    async def read(self, start: int, stop: int) -> bytes:
        """Octets of the body, counted from the end of the header."""


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """One transaction. `mail_from` "" is the null reverse-path.

    `body_8bit`: octets above 127 may be there. `binary`: it came as BINARYMIME (RFC 3030), DATA cannot carry it as it
    is. `header_utf8`: the header holds UTF-8 as RFC 6531 has it. `ret` and `envelope_id`: DSN's RET and ENVID, decoded.
    """

    mail_from: str
    recipients: Sequence[Recipient]
    source: MailSource
    body_8bit: bool = False
    binary: bool = False
    header_utf8: bool = False
    ret: str | None = None
    envelope_id: str | None = None
