"""ENVELOPE and the identity of a message from its header fields (RFC 3501 7.4.2, parsing.md)."""

from __future__ import annotations

import re
from typing import Final

from gateway.model.envelope import Address, Envelope

from .address import parse_addresses
from .header import FieldIndex, unfold

MAX_REFERENCES: Final = 100  # ids kept of In-Reply-To and References: the root and the latest ones
_MSG_ID: Final = re.compile(rb"<([^<>]++)>")
_BLANK: Final = re.compile(rb"\s+")


def envelope_of(index: FieldIndex) -> Envelope:
    """The envelope: addresses of repeated fields are all listed, of other repeated fields the last counts."""
    from_ = _addresses(index, b"from")
    return Envelope(
        date=_text(index, b"date"),
        subject=_text(index, b"subject"),
        from_=from_,
        # RFC 3501 7.4.2: absent or empty Sender and Reply-To are From's value
        sender=_addresses(index, b"sender") or from_,
        reply_to=_addresses(index, b"reply-to") or from_,
        to=_addresses(index, b"to"),
        cc=_addresses(index, b"cc"),
        bcc=_addresses(index, b"bcc"),
        in_reply_to=_text(index, b"in-reply-to"),
        message_id=_text(index, b"message-id"),
    )


def message_ids(value: bytes | None) -> tuple[bytes, ...]:
    """The msg-ids of a value without brackets and without blanks inside, in order, `MAX_REFERENCES` at most.

    Longer lists keep their first id (the thread's root) and the latest ones (the nearest parents).
    """
    if value is None:
        return ()
    if len(value) < 1000 and value.count(b"<") == 1:
        inner = value[value.index(b"<") + 1 :].partition(b">")
        return (_BLANK.sub(b"", inner[0]),) if inner[1] and inner[0].strip() else ()
    found = [clean for clean in (_BLANK.sub(b"", each) for each in _MSG_ID.findall(value)) if clean]
    if len(found) > MAX_REFERENCES:
        found = found[:1] + found[1 - MAX_REFERENCES :]
    return tuple(found)


def own_message_id(value: bytes | None) -> bytes | None:
    """The first msg-id of a Message-ID field; one written without brackets counts if it is a single word."""
    found = message_ids(value)
    if found:
        return found[0]
    words = (value or b"").strip(b"<> \t").split()
    return words[0] if len(words) == 1 else None


def references_of(index: FieldIndex) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The ids of In-Reply-To and of References; of a repeated field all, for none may hide a parent."""
    return _ids(index, b"in-reply-to"), _ids(index, b"references")


def _ids(index: FieldIndex, name: bytes) -> tuple[bytes, ...]:
    values = index.get(name)
    return message_ids(unfold(b" ".join(values))) if values else ()


def _text(index: FieldIndex, name: bytes) -> bytes | None:
    values = index.get(name)
    return unfold(values[-1]) if values else None


def _addresses(index: FieldIndex, name: bytes) -> tuple[Address, ...] | None:
    values = index.get(name)
    if not values:
        return None
    if len(values) == 1:
        return parse_addresses(values[0]) or None
    return tuple(address for value in values for address in parse_addresses(value)) or None
