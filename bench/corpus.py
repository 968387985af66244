"""The mail that both sides hold: deterministic, so that every run and every peer sees the same octets."""

from __future__ import annotations

import base64
import random
import secrets
from collections.abc import Iterator

_WORDS = (
    "invoice", "meeting", "gateway", "project", "report", "friday", "budget", "contract", "server", "review",
    "deploy", "team", "customer", "order", "delivery", "update", "question", "answer", "release", "holiday",
    "travel", "ticket", "payment", "account", "schedule", "document", "draft",
)


def message(number: int, size: int = 4096, *, sender: str = "") -> bytes:
    """A multipart/alternative mail of about `size` octets, as webmail sends it; `sender` is the From address."""
    rng = random.Random(number)
    topic = " ".join(rng.choices(_WORDS, k=5))
    day = 1 + number % 28
    author = sender or f"sender{number % 97}@example.net"
    head = (
        f"Received: from mx{number % 7}.example.net (mx.example.net [192.0.2.{number % 250}])\r\n"
        f"\tby mail.example.org with ESMTPS id {number:08x};\r\n\t{day:02d} Nov 2025 10:{number % 60:02d}:00 +0000\r\n"
        f"From: =?UTF-8?Q?J=C3=BCrgen_{number % 97}?= <{author}>\r\n"
        f"To: Inbox <inbox@example.org>, \"Team, The\" <team{number % 5}@example.org>\r\n"
        f"Cc: someone{number % 13}@example.com\r\n"
        f"Subject: {topic}\r\n"
        f"Date: {day:02d} Nov 2025 10:{number % 60:02d}:{number % 59:02d} +0100\r\n"
        f"Message-ID: <{number}.{rng.getrandbits(64):x}@example.net>\r\n"
        f"References: <{number // 10}.parent@example.net>\r\n"
        "MIME-Version: 1.0\r\n"
        f"Content-Type: multipart/alternative;\r\n\tboundary=\"=_bound_{number:06d}\"\r\n"
        "X-Mailer: Bench 1.0\r\nList-Id: <list.example.net>\r\n\r\n"
    )
    room = max(200, size - len(head) - 400)
    lines = []
    while room > 0:
        line = " ".join(rng.choices(_WORDS, k=10))
        lines.append(line)
        room -= 2 * len(line) + 12
    plain = "\r\n".join(lines)
    html = "<br>\r\n".join(lines)
    return (
        head
        + f"This is a multi-part message.\r\n--=_bound_{number:06d}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Transfer-Encoding: 8bit\r\n\r\n{plain}\r\n--=_bound_{number:06d}\r\n"
        f"Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n<p>{html}</p>\r\n"
        f"--=_bound_{number:06d}--\r\n"
    ).encode()


def messages(count: int, size: int = 4096) -> Iterator[bytes]:
    for number in range(count):
        yield message(number, size)


def fresh(octets: bytes) -> bytes:
    """The same mail under a Message-ID of its own: what comes twice is kept once."""
    return octets.replace(b"\r\nMessage-ID: <", b"\r\nMessage-ID: <" + secrets.token_hex(8).encode() + b".", 1)


def large(size: int, *, sender: str) -> bytes:
    """A mail with one base64 attachment, `size` octets in all, about."""
    payload = base64.encodebytes(random.Random(7).randbytes(size * 57 // 78 - 800))
    body = payload.replace(b"\n", b"\r\n")
    return (
        b"From: " + sender.encode() + b"\r\nTo: b@example.org\r\nSubject: large\r\nMessage-ID: <large@example.org>\r\n"
        b"Date: Fri, 21 Nov 2025 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="big"\r\n\r\n--big\r\nContent-Type: text/plain\r\n\r\nhello\r\n'
        b"--big\r\nContent-Type: application/octet-stream; name=data.bin\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + body + b"--big--\r\n"
    )
