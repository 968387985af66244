"""Distinct types for the numbers and names that identify things, and the random ids shown outside.

Row ids (`InboxId` …) are integers that never leave the process; what people and programs see are
UUIDs and the object ids of RFC 8474.
"""

from __future__ import annotations

import os
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


# Octets 0-247 fall on the 62 digits equally often; the rest are dropped, so no digit is likelier than another.
_FAIR: Final = 4 * len(_BASE62)
_DIGIT_OF_OCTET: Final = bytes(ord(_BASE62[octet % 62]) for octet in range(256))
_UNFAIR_OCTETS: Final = bytes(range(_FAIR, 256))


def base62(length: int) -> str:
    """A random text of `length` base62 digits from the system's secure source; cheap, for each arrival draws two."""
    digits = b""
    while len(digits) < length:
        digits += os.urandom(length + 8).translate(_DIGIT_OF_OCTET, _UNFAIR_OCTETS)
    return digits[:length].decode("ascii")


def object_id(kind: str) -> str:
    """A new RFC 8474 object id: `kind` is F (MAILBOXID), M (EMAILID) or T (THREADID)."""
    return kind + base62(_OBJECT_ID_DIGITS)
