"""What the server says it can do; a capability stands here only when its transcripts exist."""

from __future__ import annotations

from typing import Final

_ALWAYS: Final = (
    b"IMAP4rev1 LITERAL+ ID ENABLE IDLE NAMESPACE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE"  # RFC 3501 and the rest
)
_LOGIN: Final = b" SASL-IR AUTH=PLAIN AUTH=LOGIN"


def listed(*, secure: bool, can_start_tls: bool, logged_in: bool) -> bytes:
    """The capability list for a moment of the session. Before login it is whole: many clients never ask again."""
    if logged_in:
        return _ALWAYS
    if secure:
        return _ALWAYS + _LOGIN
    # RFC 3501 6.2.3 and 11.1: no mechanism that shows a password is offered in the clear.
    return _ALWAYS + b" SASL-IR" + (b" STARTTLS" if can_start_tls else b"") + b" LOGINDISABLED"
