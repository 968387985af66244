"""ENVELOPE as values (RFC 3501 7.4.2): octets as they stand in the message, encoded words stay encoded."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Address:
    """One address structure; None is NIL.

    Group start: mailbox is the group's name and host is None; group end: all four are None.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A field that the message lacks is None; an empty one is b"" (RFC 3501: NIL and "" differ).

    Address lists: None when the field is missing or holds no address. `sender` and `reply_to`
    already have From's value where the message lacks them (RFC 3501 7.4.2).
    """

    date: bytes | None
    subject: bytes | None
    from_: tuple[Address, ...] | None
    sender: tuple[Address, ...] | None
    reply_to: tuple[Address, ...] | None
    to: tuple[Address, ...] | None
    cc: tuple[Address, ...] | None
    bcc: tuple[Address, ...] | None
    in_reply_to: bytes | None
    message_id: bytes | None
