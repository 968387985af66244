"""What messages are sorted and threaded by (RFC 5256)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SortKeys:
    """One message's keys, in the form in which octets compare as i;unicode-casemap asks (RFC 5051).

    `sent_date` is Unix seconds, None without a valid Date; `subject` the base subject; `reply` whether there were marks
    of a reply or forward (RFC 5256 3). Ids have no brackets and no needless quotes; `ancestors` begin with the oldest.
    """

    sent_date: int | None
    reply: bool
    subject: bytes
    from_: bytes
    to: bytes
    cc: bytes
    display_from: bytes
    display_to: bytes
    message_id: bytes | None
    ancestors: tuple[bytes, ...]
