"""Delivery status notifications: what a sender is told of its mail, in the form of RFC 3464 (RFC 6533 for UTF-8).

Pure: from what is known of a message and its recipients to the octets of a report. Words of others are put on one
line each and lose what is not printable, so that no remote writes a field, a part or a line of ours.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.mime import index_fields, message_ids
from gateway.model import moments, xtext

Action = Literal["failed", "delayed", "delivered", "relayed"]
"""RFC 3464 2.3.3, without `expanded`: an address here is one inbox, never a list."""

MAX_HEADERS: Final = 65_536  # octets of the original header that a report returns
_EIGHT_BIT: Final = "Content-Transfer-Encoding: 8bit"
_MAX_LINE: Final = 400  # characters of others in one line

_SUBJECTS: Final[dict[Action, str]] = {
    "failed": "Undelivered mail returned to sender",
    "delayed": "Your mail is delayed, and is being tried further",
    "delivered": "Your mail was delivered",
    "relayed": "Your mail was handed on",
}
_WORDS: Final[dict[Action, str]] = {
    "failed": "Your message could not be delivered to the recipients below. It will not be tried again.",
    "delayed": "Your message could not be delivered to the recipients below yet. It is being tried further: you need"
    " not send it again.",
    "delivered": "Your message was delivered to the recipients below.",
    "relayed": "Your message was handed on for the recipients below to a mail system that does not tell what becomes"
    " of it. Unless it is returned to you, this is the last notice of it.",
}


@dataclass(frozen=True, slots=True)
class Status:
    """One recipient. `text`: the last reply, or the reason; `remote`: who gave it; `orcpt` as the client wrote it.

    `retry_until`: Unix seconds, of delayed ones only.
    """

    address: str
    code: int | None
    enhanced: str | None
    text: str
    remote: str | None
    orcpt: str | None = None
    retry_until: int | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """`mail_from` is never empty: no report is sent about a report (RFC 3464 2). `header`: the original's.

    `full`: the whole message is returned, not its header alone. `token`: random letters for boundary and Message-ID,
    which nobody can have known before; `now` and `accepted_at`: Unix seconds. `hold`: until when the sender put it off,
    in its own words (RFC 4865 5.1.2).
    """

    hostname: str
    mail_from: str
    envelope_id: str | None
    action: Action
    recipients: Sequence[Status]
    header: bytes
    accepted_at: int
    now: int
    token: str
    full: bool = False
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Composed:
    """The report. With `Notice.full` the octets of the original go between `head` and `tail`."""

    head: bytes
    tail: bytes


def compose(notice: Notice) -> Composed:
    """The whole message, CRLF line ends, ready to be stored in the sender's inbox."""
    if not notice.mail_from:
        raise ValueError("nobody is told of a message with a null reverse-path")
    utf8 = any(not address.isascii() for status in notice.recipients for address in _addresses(status))
    boundary = f"=_{notice.token}"
    kind = "global-delivery-status" if utf8 else "delivery-status"
    parts = [
        (["Content-Type: text/plain; charset=utf-8", _EIGHT_BIT], _words(notice)),
        ([f"Content-Type: message/{kind}", *([_EIGHT_BIT] if utf8 else [])], _fields(notice, utf8)),
    ]
    out = [_top(notice, boundary)]
    for fields, body in parts:
        out.append(_part(boundary, fields) + body + b"\r\n")
    international = _is_utf8(notice.header)
    if notice.full:
        # The body may have eight bits whatever the header has.
        kind = "global" if international else "rfc822"
        out.append(_part(boundary, [f"Content-Type: message/{kind}", _EIGHT_BIT]))
    else:
        kind = "message/global-headers" if utf8 or international else "text/rfc822-headers"
        eight_bit = [] if notice.header.isascii() and not utf8 else [_EIGHT_BIT]
        out.append(_part(boundary, [f"Content-Type: {kind}", *eight_bit]) + _returned_header(notice.header, boundary))
    return Composed(b"".join(out), b"\r\n--" + boundary.encode() + b"--\r\n")


def _part(boundary: str, fields: Sequence[str]) -> bytes:
    return "\r\n".join((f"--{boundary}", *fields, "", "")).encode()


def _is_utf8(header: bytes) -> bool:
    """Whether the header needs RFC 6532 to be read; octets that are no UTF-8 are nobody's text."""
    if header.isascii():
        return False
    try:
        header.decode()
    except UnicodeDecodeError:
        return False
    return True


def _addresses(status: Status) -> tuple[str, ...]:
    original = xtext.original(status.orcpt) if status.orcpt else None
    return (status.address,) if original is None else (status.address, original[1])


def _top(notice: Notice, boundary: str) -> bytes:
    lines = [
        "Return-Path: <>",
        f"Date: {moments.rfc5322(notice.now)}",
        f"From: Mail Delivery System <mailer-daemon@{notice.hostname}>",
        f"To: <{_line(notice.mail_from)}>",
        f"Subject: {_SUBJECTS[notice.action]}",
        f"Message-ID: <{notice.token}@{notice.hostname}>",
    ]
    original = message_ids(b"".join(index_fields(notice.header).get(b"message-id", [])[:1]))
    if original:  # so that it shows in the thread of what it is about
        reference = _line(original[0].decode("utf-8", "replace"))
        lines += [f"In-Reply-To: <{reference}>", f"References: <{reference}>"]
    lines += [
        "Auto-Submitted: auto-replied",  # RFC 3834: nothing answers this automatically
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
        _EIGHT_BIT,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _words(notice: Notice) -> bytes:
    lines = [f"This is the mail system at {notice.hostname}.", "", *textwrap.wrap(_WORDS[notice.action], 76)]
    for status in notice.recipients:
        lines += ["", f"<{_line(status.address)}>"]
        said = " ".join(str(word) for word in (status.code, status.enhanced, _line(status.text)) if word)
        prefix = f"{_line(status.remote)} said: " if status.remote and status.code else ""
        lines += [f"    {line}" for line in textwrap.wrap(prefix + (said or "no reason was given"), 70)]
        if status.retry_until is not None:
            lines.append(f"    It is tried until {moments.rfc5322(status.retry_until)}.")
    lines += ["", "Your message is attached." if notice.full else "The header of your message is attached."]
    return "\r\n".join(lines).encode() + b"\r\n"


def _fields(notice: Notice, utf8: bool) -> bytes:
    """RFC 3464 2.2 and 2.3: one block about the message, one a recipient."""
    block = []
    if notice.envelope_id:  # RFC 3461 6.3: only what the client called it
        block.append(f"Original-Envelope-Id: {_ascii(_line(notice.envelope_id))}")
    block += [f"Reporting-MTA: dns; {notice.hostname}", f"Arrival-Date: {moments.rfc5322(notice.accepted_at)}"]
    if notice.hold is not None:
        block.append(f"Future-Release-Request: {notice.hold}")
    blocks = [block]
    for status in notice.recipients:
        block = []
        original = xtext.original(status.orcpt) if status.orcpt else None
        if original is not None:
            block.append(f"Original-Recipient: {_address(*original, utf8)}")
        kind = "rfc822" if status.address.isascii() else "utf-8"
        block += [
            f"Final-Recipient: {_address(kind, status.address, utf8)}",
            f"Action: {notice.action}",
            f"Status: {_status_code(notice.action, status.enhanced)}",
        ]
        if status.remote:
            block.append(f"Remote-MTA: dns; {_ascii(_line(status.remote))}")
        if status.code is not None:
            said = f"{status.code} {status.enhanced + ' ' if status.enhanced else ''}{_line(status.text)}"
            block.append(f"Diagnostic-Code: smtp; {said if utf8 else _ascii(said)}")
        block.append(f"Last-Attempt-Date: {moments.rfc5322(notice.now)}")
        if status.retry_until is not None:
            block.append(f"Will-Retry-Until: {moments.rfc5322(status.retry_until)}")
        blocks.append(block)
    return "\r\n\r\n".join("\r\n".join(block) for block in blocks).encode() + b"\r\n"


def _address(kind: str, address: str, utf8: bool) -> str:
    """`type; address` (RFC 3464 2.3.1), in ASCII where the report has to be (RFC 6533 3)."""
    if kind == "utf-8" and not utf8:
        return f"utf-8; {xtext.encode_utf8(address)}"
    return f"{kind}; {_line(address)}"


def _status_code(action: Action, enhanced: str | None) -> str:
    """RFC 3463, of the class that the action has: a relay's 535 to our login delays mail, and does not refuse it.

    Of what failed, a status of class 4 says why it was given up in the end (4.4.7).
    """
    classes = {"failed": "54", "delayed": "4"}.get(action, "2")
    if not enhanced:
        return f"{classes[0]}.0.0"
    return enhanced if enhanced[0] in classes else classes[0] + (enhanced[1:] if action == "delayed" else ".0.0")


def _returned_header(header: bytes, boundary: str) -> bytes:
    """The original's header: cut at a line when it is huge, and unable to end our multipart."""
    if len(header) > MAX_HEADERS:
        header = header[: header.rfind(b"\r\n", 0, MAX_HEADERS) + 2]
    lines = [line for line in header.rstrip(b"\r\n").splitlines() if not line.startswith(b"--" + boundary.encode())]
    return b"\r\n".join(lines) + b"\r\n"


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _line(text: str) -> str:
    """Text of others: no line ends, nothing unprintable, not endless."""
    if not text.isprintable():
        text = "".join(char if char.isprintable() else " " for char in text)
    return text[:_MAX_LINE]
