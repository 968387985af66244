"""MailSlurp's ids are UUIDs: what bears none here gets one that is made of its own id, and read back from it. Pure.

A message: a UUID of version 8 (RFC 9562 5.8), whose 122 bits are the inbox's number (43 bits) and the first 13 of the
22 digits of its EMAILID (78 bits). So no table maps one to the other, the UUID is the same for ever and after a move,
and it is found by one look into the index of EMAILIDs, in one inbox, whatever the key's scope. Thirteen digits are 77
bits: two messages of an inbox of a million share them with a probability of 10^-12.
"""

from __future__ import annotations

import string
import uuid
from typing import Final

DIGITS: Final = 13
"""Of an EMAILID that its UUID holds."""
MOST_INBOXES: Final = 2**43 - 1
"""The last number stands for what belongs to no inbox by its id."""
_ALPHABET: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_VALUE: Final = {sign: value for value, sign in enumerate(_ALPHABET)}
_PART: Final = 78  # bits of the digits
_NAMESPACE: Final = uuid.UUID("3c1f2d64-52a7-5f0e-9d2b-8a6b3b0c7e11")


def message_uuid(inbox: int, email_id: str) -> str:
    """Of an EMAILID or THREADID in the inbox of that number; a draft of a key that only proposes has a mark in it."""
    marked = email_id[1:2] == "-"
    return str(_made(inbox, marked, _number(email_id[2 if marked else 1 :][:DIGITS])))


def message_key(text: str) -> tuple[int, str] | None:
    """(number of the inbox, how its EMAILID begins); None for a UUID that is of no message."""
    found = _read(text)
    if found is None or found[0] == MOST_INBOXES:
        return None
    inbox, marked, number = found
    return inbox, ("M-" if marked else "M") + _text(number)


def event_uuid(number: int) -> str:
    return str(_made(MOST_INBOXES, False, number))


def event_number(text: str) -> int | None:
    """None for a UUID that is of no event."""
    found = _read(text)
    return found[2] if found is not None and found[0] == MOST_INBOXES and found[2] < 2**62 else None


def part_uuid(owner: str, part: str) -> str:
    """Of what has no id because it is a part of something that has one: a connector's IMAP side. Not read back."""
    return str(uuid.uuid5(_NAMESPACE, f"{owner}/{part}"))


def _made(inbox: int, marked: bool, number: int) -> uuid.UUID:
    if not 0 <= inbox <= MOST_INBOXES or not 0 <= number < 2**_PART:
        raise ValueError("does not fit into a UUID")
    bits = (inbox << (_PART + 1)) | (int(marked) << _PART) | number
    high, middle, low = bits >> 74, (bits >> 62) & 0xFFF, bits & (2**62 - 1)
    return uuid.UUID(int=(high << 80) | (8 << 76) | (middle << 64) | (2 << 62) | low)


def _read(text: str) -> tuple[int, bool, int] | None:
    try:
        whole = uuid.UUID(text)
    except ValueError:
        return None
    if whole.version != 8 or whole.variant != uuid.RFC_4122:
        return None
    bits = ((whole.int >> 80) << 74) | (((whole.int >> 64) & 0xFFF) << 62) | (whole.int & (2**62 - 1))
    return bits >> (_PART + 1), bool((bits >> _PART) & 1), bits & (2**_PART - 1)


def _number(digits: str) -> int:
    number = 0
    for sign in digits.ljust(DIGITS, "0"):
        number = number * 62 + _VALUE[sign]
    return number


def _text(number: int) -> str:
    signs = []
    for _ in range(DIGITS):
        number, digit = divmod(number, 62)
        signs.append(_ALPHABET[digit])
    return "".join(reversed(signs))
