"""The header of a message that is being sent: what is read from it, and the few changes that it gets.

Nothing is ever re-serialised. Fields are cut out whole or added at the two ends of the header; every other octet stays
as the client sent it, or signatures and odd but valid headers would break.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.mime import index_fields, parse_addresses, select_fields
from gateway.model import moments
from gateway.model.envelope import Address

from .errors import BadMessage
from .once import folded

MAX_HEADER: Final = 262_144  # octets: what the parser reads of a header; real ones are below 64 KiB
MAX_AUTHORS: Final = 50
"""Addresses that a message may be from: each is looked up, and a header has room for ten thousand of one inbox."""
MAX_ADDED: Final = 2_048  # octets that the fields added here have at most
END: Final = b"\r\n\r\n"

# RFC 5322 3.6.3: nobody else may learn of Bcc. RFC 5321 4.4: only the last server writes Return-Path.
_PRIVATE: Final = (b"bcc", b"resent-bcc", b"return-path")
_UNSAFE: Final = re.compile(r"[\r\n\0]")


@dataclass(frozen=True, slots=True)
class HeaderFacts:
    """`authors`: every mailbox of From, Sender and the Resent fields, as `local@domain`, From's first one first."""

    authors: tuple[str, ...]
    has_date: bool
    has_message_id: bool
    has_private: bool


@dataclass(frozen=True, slots=True)
class Trace:
    """What the gateway adds: who took the message, how, when (Unix seconds), under which id. `protocol` may be ""."""

    hostname: str
    protocol: str
    trace_id: str
    now: int


def header_end(octets: bytes | bytearray, start: int = 0) -> int | None:
    """The index behind the blank line, looked for from `start`; None when it has not come yet.

    Bare CR and LF never get here (submission refuses them), so that no other reader can see another end.
    """
    if octets.startswith(b"\r\n"):
        return 2
    found = octets.find(END, max(start - 3, 0))
    return None if found < 0 else found + len(END)


def examine(header: bytes) -> HeaderFacts:
    """BadMessage: not exactly one From field, one without an address, an author that is no address (RFC 6409 8.1), too
    many of them."""
    index = index_fields(header)
    senders = index.get(b"from", [])
    if len(senders) != 1:
        raise BadMessage("A message needs exactly one From field")
    authors = _mailboxes(parse_addresses(senders[0]), "From")
    if not authors:
        raise BadMessage("The From field holds no address")
    for name in (b"sender", b"resent-from", b"resent-sender"):
        for value in index.get(name, []):
            authors += _mailboxes(parse_addresses(value), name.decode().title())
    authors = list(dict.fromkeys(authors))
    if len(authors) > MAX_AUTHORS:
        raise BadMessage(f"A message may be from {MAX_AUTHORS} addresses at most")
    return HeaderFacts(
        authors=tuple(authors),
        has_date=b"date" in index,
        has_message_id=b"message-id" in index,
        has_private=any(name in index for name in _PRIVATE),
    )


def complete(header: bytes, facts: HeaderFacts, trace: Trace, message_id: str) -> bytes:
    """The header with its trace field on top and, where they are missing, Date and Message-ID at its end."""
    added = b""
    if not facts.has_date:
        added += field("Date", moments.rfc5322(trace.now))
    if not facts.has_message_id:
        added += field("Message-ID", f"<{message_id}>")
    if added:
        blank = b"\r\n" if header.endswith(END) or header == b"\r\n" else b""
        header = header.removesuffix(b"\r\n") + added if blank else header + added
        header += blank
    return received(trace) + header


def message_id(facts: HeaderFacts, trace: Trace, token: str) -> str:
    """What a message is called that has no Message-ID: under its author's domain, where that is ASCII."""
    domain = facts.authors[0].rpartition("@")[2]
    return f"{token}@{domain if domain.isascii() else trace.hostname}"


def without_private(header: bytes, facts: HeaderFacts) -> bytes:
    """What others get: no Bcc, and no Return-Path but the one that delivery writes."""
    return select_fields(header, _PRIVATE, exclude=True) if facts.has_private else header


def naming(header: bytes, recipients: Iterable[str]) -> bytes:
    """The header as somebody must see it who decides whether the mail goes: to whom it goes is the envelope's business,
    so who gets it and stands in neither To nor Cc is its Bcc, whatever that said. Of fields that may stand once only
    the first counts, for programs show no other.
    """
    index = index_fields(header)
    shown = {folded(each) for name in (b"to", b"cc") for each in addresses_in(index.get(name, [])[:1])}
    hidden = [address for address in recipients if folded(address) not in shown]
    if not hidden:
        return header
    blind = b"Bcc: " + b",\r\n ".join(address.encode() for address in hidden) + b"\r\n"
    return select_fields(header, (b"bcc",), exclude=True).removesuffix(b"\r\n") + blind + b"\r\n"


def addresses_in(values: Iterable[bytes]) -> Iterator[str]:
    """The addresses in field values of others, whatever else is there; what is no UTF-8 matches nothing."""
    for value in values:
        for address in parse_addresses(value):
            if address.mailbox and address.host:
                yield f"{address.mailbox.decode('utf-8', 'replace')}@{address.host.decode('utf-8', 'replace')}"


def with_return_path(header: bytes, reverse_path: str) -> bytes:
    """RFC 5321 4.4: final delivery notes the reverse-path on top."""
    return field("Return-Path", f"<{reverse_path}>") + header


def received(trace: Trace) -> bytes:
    """RFC 5321 4.4, without a `from` clause: the address of somebody's home is nobody's business down the line."""
    way = f" with {trace.protocol}" if trace.protocol else ""
    value = f"by {trace.hostname}{way} id {trace.trace_id};"
    return field("Received", value).removesuffix(b"\r\n") + b"\r\n\t" + moments.rfc5322(trace.now).encode() + b"\r\n"


def field(name: str, value: str) -> bytes:
    """One header field. ValueError when the value would break out of its line: that is a defect of the caller."""
    if _UNSAFE.search(value):
        raise ValueError(f"a line end in the value of {name}")
    return f"{name}: {value}\r\n".encode()


def _mailboxes(addresses: tuple[Address, ...], name: str) -> list[str]:
    found = []
    for address in addresses:
        if address.host is None:  # the start or end of a group (RFC 6854)
            continue
        if not address.mailbox or not address.host:
            raise BadMessage(f"The {name} field holds something that is no address")
        try:
            found.append(f"{address.mailbox.decode()}@{address.host.decode()}")
        except UnicodeDecodeError:
            raise BadMessage(f"The {name} field holds an address that is not UTF-8") from None
    return found
