"""What a server offers, from its answer to EHLO, as values that decide what is said to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_NUMBER: Final = re.compile("[0-9]{1,20}")  # RFC 1870 3: a longer number is none, and int() refuses thousands
_LIMIT: Final = re.compile(r"(MAILMAX|RCPTMAX|RCPTDOMAINMAX)=([0-9]{1,6})", re.IGNORECASE)  # RFC 9422 4


@dataclass(frozen=True, slots=True)
class Offer:
    """`size`: the largest message, None when SIZE is not offered, 0 when it is without a limit.

    `mail_max`: transactions of a connection; `rcpt_max`: recipients of one; `domain_max`: domains of those (RFC 9422).
    """

    size: int | None = None
    eight_bit: bool = False
    smtputf8: bool = False
    dsn: bool = False
    pipelining: bool = False
    binary: bool = False
    mail_max: int | None = None
    rcpt_max: int | None = None
    domain_max: int | None = None

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> Offer:
        """From keywords in lower case and what stands behind each."""
        limits = {
            match[1].upper(): int(match[2])
            for word in extensions.get("limits", "").split()
            if (match := _LIMIT.fullmatch(word)) and int(match[2]) > 0
        }
        size = extensions.get("size")
        return cls(
            size=None if size is None else int(size) if _NUMBER.fullmatch(size) else 0,
            eight_bit="8bitmime" in extensions,
            smtputf8="smtputf8" in extensions,
            dsn="dsn" in extensions,
            pipelining="pipelining" in extensions,
            binary="binarymime" in extensions and "chunking" in extensions,  # RFC 3030 3: the one needs the other
            mail_max=limits.get("MAILMAX"),
            rcpt_max=limits.get("RCPTMAX"),
            domain_max=limits.get("RCPTDOMAINMAX"),
        )
