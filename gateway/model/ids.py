"""Distinct types for the numbers and names that identify things, and the random ids shown outside.

Row ids (`InboxId` …) are integers that never leave the process; what people and programs see are
UUIDs and the object ids of RFC 8474.
"""

from __future__ import annotations

import secrets
import string
from typing import Final, NewType

PodId = NewType("PodId", int)
DomainId = NewType("DomainId", int)
InboxId = NewType("InboxId", int)
MailboxId = NewType("MailboxId", int)
ContentId = NewType("ContentId", int)
BodyId = NewType("BodyId", int)
KeyId = NewType("KeyId", int)
SubmissionId = NewType("SubmissionId", int)

Uid = NewType("Uid", int)
"""RFC 3501 2.3.1.1: 1 to 2**32-1, rising, never reused while the UIDVALIDITY stays."""
UidValidity = NewType("UidValidity", int)
ModSeq = NewType("ModSeq", int)
"""RFC 7162: 1 to 2**63-1. Drawn from one counter an inbox; one value a unit of work."""

MAX_UID: Final = 2**32 - 1

_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_OBJECT_ID_DIGITS: Final = 22  # 62**22 > 2**130: nobody guesses one (RFC 8474 4 and 8)


def base62(length: int) -> str:
    """A random text of `length` base62 digits from the system's secure source."""
    return "".join(secrets.choice(_BASE62) for _ in range(length))


def object_id(kind: str) -> str:
    """A new RFC 8474 object id: `kind` is F (MAILBOXID), M (EMAILID) or T (THREADID)."""
    number = secrets.randbits(131)
    digits = []
    for _ in range(_OBJECT_ID_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return kind + "".join(digits)
