"""Bounces: RFC 3464 reports to the sender of a message that could not be delivered (RFC 6533 where UTF-8 is needed)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final

from gateway.mime import index_fields, message_ids

MAX_HEADERS: Final = 65_536  # octets of the original header that a bounce returns


@dataclass(frozen=True, slots=True)
class Failed:
    """One recipient that will not get the mail. `text`: the reply, one line; `remote`: who gave it."""

    address: str
    code: int | None
    enhanced: str | None
    text: str
    remote: str | None


@dataclass(frozen=True, slots=True)
class Report:
    """`mail_from` is never empty: nobody bounces a bounce (RFC 5321 4.5.5). `header`: the original's.

    `token`: random letters for boundary and Message-ID; `now` and `accepted_at`: Unix seconds.
    """

    hostname: str
    mail_from: str
    envelope_id: str | None
    failed: Sequence[Failed]
    header: bytes
    accepted_at: int
    now: int
    token: str


def bounce(report: Report) -> bytes:
    """The whole message, CRLF line ends, ready to be stored in the sender's inbox."""
    if not report.mail_from:
        raise ValueError("a message with a null reverse-path is never bounced")
    utf8 = not all(failed.address.isascii() for failed in report.failed)
    boundary = f"=_{report.token}"
    header = _returned_header(report.header, boundary)
    eight_bit = utf8 or not header.isascii()
    kind = "global-delivery-status" if utf8 else "delivery-status"
    parts = [
        (["Content-Type: text/plain; charset=utf-8", *_encoding(True)], _words(report)),
        ([f"Content-Type: message/{kind}", *_encoding(utf8)], _status(report, utf8)),
        (
            [f"Content-Type: {'message/global-headers' if utf8 else 'text/rfc822-headers'}", *_encoding(eight_bit)],
            header,
        ),
    ]
    out = [_top(report, boundary)]
    for fields, body in parts:
        out.append(b"--" + boundary.encode() + b"\r\n" + "\r\n".join(fields).encode() + b"\r\n\r\n" + body + b"\r\n")
    out.append(b"--" + boundary.encode() + b"--\r\n")
    return b"".join(out)


def _top(report: Report, boundary: str) -> bytes:
    lines = [
        "Return-Path: <>",
        f"Date: {_date(report.now)}",
        f"From: Mail Delivery System <mailer-daemon@{report.hostname}>",
        f"To: <{report.mail_from}>",
        "Subject: Undelivered mail returned to sender",
        f"Message-ID: <{report.token}@{report.hostname}>",
    ]
    original = message_ids(b"".join(index_fields(report.header).get(b"message-id", [])[:1]))
    if original:  # so that it shows in the thread of what it is about
        reference = _line(original[0].decode("utf-8", "replace"))
        lines += [f"In-Reply-To: <{reference}>", f"References: <{reference}>"]
    lines += [
        "Auto-Submitted: auto-replied",  # RFC 3834: nothing answers this automatically
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="{boundary}"',
        *_encoding(True),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


def _words(report: Report) -> bytes:
    lines = [
        f"This is the mail system at {report.hostname}.",
        "",
        "Your message could not be delivered to the recipients below. It will not be tried again.",
    ]
    for failed in report.failed:
        lines += ["", f"<{_line(failed.address)}>"]
        said = " ".join(str(word) for word in (failed.code, failed.enhanced, _line(failed.text)) if word)
        prefix = f"{_line(failed.remote)} said: " if failed.remote and failed.code else ""
        lines += [f"    {line}" for line in textwrap.wrap(prefix + (said or "no reason was given"), 70)]
    lines += ["", "The header of your message is attached."]
    return "\r\n".join(lines).encode() + b"\r\n"


def _status(report: Report, utf8: bool) -> bytes:
    """RFC 3464 2.2 and 2.3: one block about the message, one a recipient."""
    block = []
    if report.envelope_id:
        block.append(f"Original-Envelope-Id: {_line(report.envelope_id)}")
    block += [f"Reporting-MTA: dns; {report.hostname}", f"Arrival-Date: {_date(report.accepted_at)}"]
    blocks = [block]
    for failed in report.failed:
        kind = "utf-8" if utf8 and not failed.address.isascii() else "rfc822"
        block = [
            f"Final-Recipient: {kind}; {_line(failed.address)}",
            "Action: failed",
            f"Status: {_status_code(failed)}",
        ]
        if failed.remote:
            block.append(f"Remote-MTA: dns; {_line(failed.remote)}")
        if failed.code is not None:
            said = f"{failed.code} {failed.enhanced + ' ' if failed.enhanced else ''}{_line(failed.text)}"
            block.append(f"Diagnostic-Code: smtp; {said if utf8 else said.encode('ascii', 'replace').decode()}")
        block.append(f"Last-Attempt-Date: {_date(report.now)}")
        blocks.append(block)
    return "\r\n\r\n".join("\r\n".join(block) for block in blocks).encode() + b"\r\n"


def _status_code(failed: Failed) -> str:
    """RFC 3463. A status of class 4 says why it was given up in the end (4.4.7); what has none gets 5.0.0."""
    return failed.enhanced if failed.enhanced and failed.enhanced[0] in "45" else "5.0.0"


def _returned_header(header: bytes, boundary: str) -> bytes:
    """The original's header: cut at a line when it is huge, and unable to end our multipart."""
    if len(header) > MAX_HEADERS:
        header = header[: header.rfind(b"\r\n", 0, MAX_HEADERS) + 2]
    lines = [line for line in header.rstrip(b"\r\n").splitlines() if not line.startswith(b"--" + boundary.encode())]
    return b"\r\n".join(lines) + b"\r\n"


def _encoding(eight_bit: bool) -> list[str]:
    return ["Content-Transfer-Encoding: 8bit"] if eight_bit else []


def _line(text: str) -> str:
    """Text of others: no line ends, nothing unprintable, not endless."""
    return "".join(char if char.isprintable() else " " for char in text)[:400]


def _date(moment: int) -> str:
    return formatdate(moment).replace("-0000", "+0000")
