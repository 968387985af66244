"""Bounces in forms of their own: flufl.bounce knows some fifty of them, by the words that their systems use.

It parses with Python's email and searches line by line with patterns whose time grows with the square of a line's
length: it gets short lines and few of them, in a reader process that has a time limit. What it makes of hostile mail
is nothing, or addresses that lead nowhere.
"""

from __future__ import annotations

import email
import logging
import re
from email.message import Message
from typing import Final

from flufl.bounce import all_failures

from gateway.mime import decode_text, index_fields, parse_addresses, unfold
from gateway.outbound.verdict import clean
from gateway.store.reports import Event

from .reports import MAX_IDS, MAX_RECIPIENTS, IncomingReport, Said, returned_ids

MAX_OCTETS: Final = 49_152
MAX_LINE: Final = 300
MAX_DEPTH: Final = 20
"""Multiparts and messages within each other: more are no report, and Python's parser would go as deep."""

_MESSAGE_ID: Final = re.compile(rb"^[ \t>|]*message-id:[ \t]*<([^<>\s]{3,500})>", re.IGNORECASE | re.MULTILINE)
_MULTIPART: Final = re.compile(rb"^content-type:\s*(?:multipart|message)/", re.IGNORECASE | re.MULTILINE)
_REPLY: Final = re.compile(
    rb"(?<![\d.])(421|45[0-9]|55[0-9]|57[0-9])[ -]+(?:#?([45]\.\d{1,3}\.\d{1,3})\b)?[^\r\n]{0,300}"
)


# It writes the stack of what it stumbles over, and what it looks at with it: no mail gets into our log (invariant 9).
logging.getLogger("flufl.bounce").disabled = True


class Unreadable(Exception):
    """The detectors could not cope with the message: a defect of theirs, told once."""


def read_foreign(octets: bytes) -> IncomingReport | None:
    """The bounce in a message's first octets; None when it is none. Unreadable."""
    short = b"\n".join(line[:MAX_LINE] for line in octets[:MAX_OCTETS].splitlines())
    if len(_MULTIPART.findall(short)) > MAX_DEPTH:
        return None
    try:
        delayed, failed = all_failures(_parsed(short))
    except Exception as error:  # anything, and none of it ours: the caller tells, and goes on with the next report
        raise Unreadable(type(error).__name__) from None
    header, _, body = short.partition(b"\n\n")
    reply = _REPLY.search(body)
    code = int(reply[1]) if reply else None
    enhanced = reply[2].decode() if reply and reply[2] else None
    words = reply[0] if reply else unfold(b"".join(index_fields(header).get(b"subject", [])[:1]))
    text = clean(decode_text(words))
    if code is not None:
        text = text[3:].lstrip(" -").removeprefix("#").removeprefix(enhanced or "").strip()
    remote = _reporter(header)
    events: tuple[tuple[Event, frozenset[bytes]], ...] = (("bounced", failed), ("delayed", delayed - failed))
    said = [
        Said((clean(address.decode("ascii")),), event, code, enhanced, text, remote)
        for event, addresses in events
        for address in sorted(addresses)
        if b"@" in address and address.isascii() and len(address) <= MAX_LINE
    ]
    ids = dict.fromkeys((*returned_ids(octets), *(match[1] for match in _MESSAGE_ID.finditer(body))))
    return IncomingReport(None, tuple(ids)[:MAX_IDS], tuple(said[:MAX_RECIPIENTS])) if said else None


def _parsed(octets: bytes) -> Message:
    return email.message_from_bytes(octets)


def _reporter(header: bytes) -> str | None:
    """The domain of its From: such bounces say no more about who made them."""
    senders = parse_addresses(b"".join(index_fields(header).get(b"from", [])[:1]))
    host = next((each.host for each in senders if each.host), None)
    return clean(host.decode("utf-8", "replace"))[:255] if host else None
