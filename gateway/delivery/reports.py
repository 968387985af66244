"""What a report that came in says: of which submission, and of which recipient what. Pure; never raises.

Reports in the form of RFC 3464 (and RFC 6533) are read here; for all others `foreign` asks those who know their forms.
Nothing in a report is trusted: whoever uses it looks for rows that it may mean, and finds none or its inbox's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.mime import PartNode, decode_body, index_fields, message_ids, node_of, parse, unfold
from gateway.mime.header import FieldIndex
from gateway.model import xtext
from gateway.outbound.verdict import clean
from gateway.store.addresses import spellings
from gateway.store.reports import Event

MAX_OCTETS: Final = 262_144
"""Of a message that are read: what matters stands before the message that is returned."""
MAX_RECIPIENTS: Final = 200
MAX_IDS: Final = 20

_BLANK_LINE: Final = re.compile(rb"\n[ \t\r]*\n")
_STATUS: Final = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}")
_REPLY: Final = re.compile(r"\s*([245]\d\d)(?:[ -]+|\Z)(?:#?([245]\.\d{1,3}\.\d{1,3})(?:\s+|\Z))?")
_EVENTS: Final[dict[bytes, Event]] = {
    b"failed": "bounced", b"fail": "bounced", b"failure": "bounced", b"error": "bounced",  # OpenSMTPD
    b"delayed": "delayed", b"delivered": "delivered", b"relayed": "relayed", b"expanded": "expanded",
}  # fmt: skip
_STATUS_PARTS: Final = frozenset({b"delivery-status", b"global-delivery-status"})
_RETURNED: Final = frozenset({b"rfc822", b"global", b"rfc822-headers", b"global-headers"})


@dataclass(frozen=True, slots=True)
class Said:
    """Of one recipient. `addresses`: as its sender named it, then as it was in the end; `remote`: who reports."""

    addresses: tuple[str, ...]
    event: Event
    code: int | None
    enhanced: str | None
    text: str
    remote: str | None


@dataclass(frozen=True, slots=True)
class IncomingReport:
    """`message_ids`: of the messages that it returns, without brackets; then those that it answers."""

    envelope_id: str | None
    message_ids: tuple[bytes, ...]
    said: tuple[Said, ...]


def read_report(octets: bytes) -> IncomingReport | None:
    """The report in a message's first octets; None when it has no delivery-status with a recipient in it."""
    message = parse(octets)
    body = octets[len(message.header) :]
    envelope_id: str | None = None
    said: list[Said] = []
    for node in walk(node_of(message.root)):
        if node.type == b"message" and node.subtype in _STATUS_PARTS:
            status = decode_body(body[node.header_end : node.body_end], node.encoding)
            about, recipients = _blocks(status)
            envelope_id = envelope_id or _text(about, b"original-envelope-id")
            reporter = _name(about, b"reporting-mta")
            said += [each for block in recipients if (each := _said(block, reporter)) is not None]
    if not said:
        return None
    return IncomingReport(envelope_id, returned_ids(octets), tuple(said[:MAX_RECIPIENTS]))


def returned_ids(octets: bytes) -> tuple[bytes, ...]:
    """Message-IDs in the headers of the messages that a report returns, whole or cut.

    Then those in its own In-Reply-To and References: some return nothing of the message, and tell of it so.
    """
    message = parse(octets)
    body = octets[len(message.header) :]
    found: list[bytes] = []
    for node in walk(node_of(message.root)):
        if node.type not in (b"message", b"text") or node.subtype not in _RETURNED:
            continue
        inner = decode_body(body[node.header_end : node.body_end], node.encoding)
        end = _BLANK_LINE.search(inner)
        header = inner if end is None else inner[: end.start() + 1]
        found += message_ids(b"".join(index_fields(header).get(b"message-id", [])[:1]))
    index = index_fields(message.header)
    for name in (b"in-reply-to", b"references"):
        found += message_ids(b"".join(index.get(name, [])[:1]))
    return tuple(dict.fromkeys(found))[:MAX_IDS]


def walk(root: PartNode) -> Iterator[PartNode]:
    """The parts of a message in their order, without those of messages in it."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        if node.type == b"multipart":
            stack.extend(reversed(node.children))


def address_key(address: str) -> str:
    """Addresses that are one mailbox by this have the same key, whatever each system made of their case."""
    found = spellings(address)
    return found[0] if found else address.strip().lower()


def _blocks(status: bytes) -> tuple[FieldIndex, list[FieldIndex]]:
    """The fields about the message, and those of each recipient (RFC 3464 2.1)."""
    blocks = [index_fields(block) for block in _BLANK_LINE.split(status, MAX_RECIPIENTS + 1)[: MAX_RECIPIENTS + 1]]
    blocks = [block for block in blocks if block]
    if not blocks:
        return {}, []
    if b"final-recipient" in blocks[0] or b"original-recipient" in blocks[0]:  # fields of both kinds in one block
        return blocks[0], blocks
    return blocks[0], blocks[1:]


def _said(block: FieldIndex, reporter: str | None) -> Said | None:
    words = _first(block, b"action").lower().split()
    event = _EVENTS.get(words[0].rstrip(b";,("), None) if words else None
    addresses: list[str] = []
    for name in (b"original-recipient", b"final-recipient", b"x-actual-recipient"):
        addresses += _addresses(_first(block, name))
    if event is None or not addresses:
        return None
    status = _STATUS.search(_first(block, b"status"))
    diagnostic = _typed(_first(block, b"diagnostic-code"))
    code, enhanced, text = reply_of(diagnostic)
    asked = _name(block, b"remote-mta")
    if asked is not None and text and asked != reporter:
        text = f"{asked} said: {text}"
    return Said(
        tuple(dict.fromkeys(addresses)), event, code, status[0].decode() if status else enhanced,
        text or diagnostic, reporter,
    )  # fmt: skip


def reply_of(text: str) -> tuple[int | None, str | None, str]:
    """(code, enhanced code, the rest) of an SMTP reply in one line; all of it is the rest where it is none."""
    match = _REPLY.match(text)
    if match is None:
        return None, None, text
    return int(match[1]), match[2], text[match.end() :]


def _addresses(value: bytes) -> list[str]:
    """Of `type; address`, in each form that may be meant. Some leave out the type, some write brackets."""
    text = _decoded(value)
    kind, semicolon, rest = text.partition(";")
    address = _bare(rest if semicolon else kind)
    if not address or "@" not in address:
        return []
    plain = xtext.decode_utf8(address) if kind.strip().lower() == "utf-8" else xtext.decode(address)
    return [address] if plain is None else [address, plain]


def _bare(text: str) -> str:
    text = text.strip()
    start = text.find("<")
    if start >= 0 and text.endswith(">"):
        text = text[start + 1 : -1].strip()
    return text


def _typed(value: bytes) -> str:
    """The value of `type; value`, without the type (RFC 3464 2.1.2)."""
    text = _decoded(value)
    kind, semicolon, rest = text.partition(";")
    return rest.strip() if semicolon and kind.strip().replace("-", "").isalnum() else text


def _name(block: FieldIndex, name: bytes) -> str | None:
    return _typed(_first(block, name))[:255] or None


def _text(block: FieldIndex, name: bytes) -> str | None:
    return _decoded(_first(block, name)) or None


def _first(block: FieldIndex, name: bytes) -> bytes:
    values = block.get(name)
    return unfold(values[0]) if values else b""


def _decoded(value: bytes) -> str:
    return clean(value.decode("utf-8", "replace"))
