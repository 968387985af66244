"""Whether mail may be a report about other mail: decided by its header alone, for each message that comes in.

Generous on purpose: whoever reads it later (`delivery.reports`) finds out. A report comes with a null reverse-path (RFC
3464 2, RFC 5321 4.5.5), which final delivery writes down in Return-Path; systems that know no better are told by their
From or by their fields.
"""

from __future__ import annotations

import re
from typing import Final

from .header import index_fields, unfold

# One of these stands in every header that the look at its fields could agree to.
_HINTS: Final = (
    b"multipart/report", b"mailer-daemon", b"postmaster", b"x-failed-recipients", b"mail delivery",
    b"delivery subsystem",
)  # fmt: skip
_NULL_PATH: Final = re.compile(rb"return-path:\s*<\s*>")
_SENDERS: Final = re.compile(rb"mailer-daemon|postmaster|mail delivery|delivery subsystem", re.IGNORECASE)
_REPORT: Final = re.compile(rb"\s*multipart/report\b", re.IGNORECASE)
_NULL: Final = re.compile(rb"<\s*>")


def may_be_report(header: bytes) -> bool:
    """From the header as final delivery leaves it. A few microseconds for mail that is none."""
    small = header.lower()
    if not any(hint in small for hint in _HINTS) and _NULL_PATH.search(small) is None:
        return False
    index = index_fields(header)
    if b"x-failed-recipients" in index or any(_REPORT.match(value) for value in index.get(b"content-type", ())):
        return True
    path = index.get(b"return-path", [])
    if path and _NULL.fullmatch(unfold(path[0])):
        return True
    return any(_SENDERS.search(value) for value in index.get(b"from", ()))
