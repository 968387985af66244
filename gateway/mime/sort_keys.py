"""What SORT and THREAD compare of a message (RFC 5256 2 and 3, RFC 5957 3), from its header."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from gateway.model.envelope import Address
from gateway.model.sorting import SortKeys

from .address import parse_addresses
from .collation import fold
from .date import parse_date
from .envelope import own_message_id, references_of
from .header import FieldIndex, index_fields, unfold
from .subject import base_subject, is_reply_or_forward
from .text import decode_text

LONGEST: Final = 1000
"""Octets of a key that are kept; of longer ones a digest stands for the rest, so that equal ones stay equal."""
_SUBJECT: Final = 16_384  # octets of a subject that are read
_ADDRESSES: Final = 4096  # octets of an address field that are read for its first address


def sort_keys(header: bytes) -> SortKeys:
    """The keys of a message with this header. Never raises; time is linear in the header, memory bounded."""
    index = index_fields(header)
    subject = decode_text(_last(index, b"subject")[:_SUBJECT])
    from_, to, cc = (_first_address(index, name) for name in (b"from", b"to", b"cc"))
    date = _last(index, b"date")
    in_reply_to, references = references_of(index)
    own = own_message_id(unfold(_last(index, b"message-id")))
    # RFC 5256 3: In-Reply-To counts only where References has no valid id, and only its first one.
    ancestors = references or in_reply_to[:1]
    return SortKeys(
        sent_date=parse_date(date) if date else None,
        reply=is_reply_or_forward(subject),
        subject=_key(base_subject(subject)),
        from_=_mailbox(from_),
        to=_mailbox(to),
        cc=_mailbox(cc),
        display_from=_display(from_),
        display_to=_display(to),
        message_id=None if own is None else _normal(own),
        ancestors=tuple(_normal(each) for each in ancestors),
    )


def _last(index: FieldIndex, name: bytes) -> bytes:
    values = index.get(name)
    return values[-1] if values else b""


def _first_address(index: FieldIndex, name: bytes) -> Address | None:
    """As in ENVELOPE; a list of thousands is not read to its end."""
    for value in index.get(name, ()):
        if len(value) > _ADDRESSES:
            value = value[: value.rfind(b",", 0, _ADDRESSES) + 1] or value[:_ADDRESSES]
        found = parse_addresses(value)
        if found:
            return found[0]
    return None


def _mailbox(address: Address | None) -> bytes:
    """addr-mailbox: of a group its name (parsing.md)."""
    return _key((address.mailbox or b"").decode("utf-8", "replace")) if address is not None else b""


def _display(address: Address | None) -> bytes:
    if address is None:
        return b""
    name = decode_text(address.name) if address.name else ""
    if not name and address.mailbox is not None:
        octets = address.mailbox if address.host is None else address.mailbox + b"@" + address.host
        name = octets.decode("utf-8", "replace")
    return _key(name)


def _key(text: str) -> bytes:
    folded = fold(text)
    if len(folded) <= LONGEST:
        return folded
    return folded[:LONGEST] + blake2b(folded, digest_size=16).digest()


def _normal(message_id: bytes) -> bytes:
    """RFC 5256 3: `<"a"@b>` is the same Message-ID as `<a@b>`."""
    if not message_id.startswith(b'"'):
        return message_id
    local, quote, rest = message_id[1:].rpartition(b'"')
    if not quote or not rest.startswith(b"@"):
        return message_id
    return _unquoted(local) + rest


def _unquoted(local: bytes) -> bytes:
    pieces = local.split(b"\\\\")
    return b"\\".join(piece.replace(b"\\", b"") for piece in pieces)
