"""What the server says it can do; a capability stands here only when its transcripts exist."""

from __future__ import annotations

from typing import Final

_ALWAYS: Final = b" ".join(
    (
        b"IMAP4rev1",
        b"LITERAL+",  # RFC 7888; never LITERAL- beside it
        b"ID",  # RFC 2971
        b"ENABLE",  # RFC 5161
        b"IDLE",  # RFC 2177
        b"NAMESPACE",  # RFC 2342
        b"UIDPLUS",  # RFC 4315
        b"MOVE",  # RFC 6851
        b"UNSELECT",  # RFC 3691
        b"CHILDREN",  # RFC 3348
        b"SPECIAL-USE",  # RFC 6154
    )
)
_LOGIN: Final = b" SASL-IR AUTH=PLAIN AUTH=LOGIN"

ENABLES: Final[dict[str, frozenset[str]]] = {}
"""What ENABLE knows: each name in capitals, with what it switches on (itself, and what it implies)."""


def listed(*, secure: bool, can_start_tls: bool, logged_in: bool) -> bytes:
    """The capability list for a moment of the session. Before login it is whole: many clients never ask again."""
    if logged_in:
        return _ALWAYS
    if secure:
        return _ALWAYS + _LOGIN
    # RFC 3501 6.2.3 and 11.1: no mechanism that shows a password is offered in the clear.
    return _ALWAYS + b" SASL-IR" + (b" STARTTLS" if can_start_tls else b"") + b" LOGINDISABLED"
