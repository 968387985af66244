"""What the header of a draft says about its being sent: pure.

`X-Send-At` is an RFC 5322 date-time (3.3): when the draft is to be sent. Its recipients are those of To, Cc and Bcc.
Neither that field nor Bcc leaves the house.
"""

from __future__ import annotations

import re
from typing import Final

from gateway.mime import index_fields, parse_addresses, parse_date, select_fields
from gateway.mime.header import unfold
from gateway.model.recipient import Recipient

from .errors import BadMessage

FIELD: Final = b"x-send-at"
_RECIPIENTS: Final = (b"to", b"cc", b"bcc")
# Strict, for a guess would send mail at another time: RFC 5322 3.3, with the two names of UTC that are in use.
_DATE_TIME: Final = re.compile(
    rb"(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),[ \t]*)?[0-9]{1,2}[ \t]+"
    rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[ \t]+[0-9]{4}[ \t]+"
    rb"(?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9])?[ \t]+(?:[+-](?:[01][0-9]|2[0-3])[0-5][0-9]|GMT|UTC)\Z",
    re.IGNORECASE,
)


def is_scheduled(header: bytes) -> bool:
    """Whether the draft is to be sent by itself, however its date reads."""
    return FIELD in header.lower() and FIELD in index_fields(header)


def send_at(header: bytes, now: int, longest: int) -> int:
    """Unix seconds. BadMessage for what is no date-time, is past, or is more than `longest` seconds ahead."""
    values = [unfold(value) for value in index_fields(header).get(FIELD, [])]
    if len(values) != 1 or not _DATE_TIME.match(values[0]):
        raise BadMessage("X-Send-At must be one date and time like Sun, 31 Jan 2027 12:00:00 +0000")
    at = parse_date(values[0])
    if at is None:
        raise BadMessage("X-Send-At names a day that is in no calendar")
    if at <= now:
        raise BadMessage("X-Send-At is past")
    if at > now + longest:
        raise BadMessage(f"X-Send-At is more than {longest} seconds ahead")
    return at


def recipients(header: bytes, most: int) -> tuple[Recipient, ...]:
    """Each address of To, Cc and Bcc once. BadMessage for none, too many, or what is no address."""
    index = index_fields(header)
    found: dict[str, Recipient] = {}
    for name in _RECIPIENTS:
        for value in index.get(name, []):
            for address in parse_addresses(value):
                if address.host is None:  # the start or end of a group
                    continue
                text = _address(address.mailbox, address.host)
                if text is None:
                    raise BadMessage(f"The {name.decode().title()} field holds something that is no address")
                found.setdefault(text, Recipient(text))
    if not found:
        raise BadMessage("The draft has no recipient")
    if len(found) > most:
        raise BadMessage(f"A draft may have {most} recipients at most")
    return tuple(found.values())


def outward(header: bytes) -> bytes:
    """The header without its date of sending."""
    return select_fields(header, (FIELD,), exclude=True)


class LineEnds:
    """Finds what no message may hold on its way: bare CR, bare LF, NUL. Feeds on any chunking."""

    __slots__ = ("_held", "broken")

    def __init__(self) -> None:
        self._held = b""
        self.broken = False

    def feed(self, octets: bytes) -> None:
        octets = self._held + octets
        self._held = b"\r" if octets.endswith(b"\r") else b""
        if self._held:
            octets = octets[:-1]
        pairs = octets.count(b"\r\n")
        if octets.count(b"\n") != pairs or octets.count(b"\r") != pairs or b"\0" in octets:
            self.broken = True

    def end(self) -> bool:
        """Whether all of it was well."""
        return not self.broken and not self._held


def _address(mailbox: bytes | None, host: bytes | None) -> str | None:
    if not mailbox or not host:
        return None
    try:
        text = f"{mailbox.decode()}@{host.decode()}"
    except UnicodeDecodeError:
        return None
    unsafe = any(char <= " " or char in "<>\x7f" for char in text)
    return None if unsafe or len(text.encode()) > 320 else text
