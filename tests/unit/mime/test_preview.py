"""RFC 8970: the first words of a message, whatever the message is made of."""

from __future__ import annotations

import base64

import pytest

from gateway.mime import node_of, parse, preview_of
from gateway.mime.preview import MAX_PREVIEW


def preview(octets: bytes) -> str:
    parsed = parse(octets)
    body = octets[len(parsed.header) :]
    return preview_of(node_of(parsed.root), lambda start, stop: body[start:stop])


def html(source: str, charset: str = "utf-8") -> bytes:
    return f"Content-Type: text/html; charset={charset}\r\n\r\n{source}".encode(charset)


@pytest.mark.parametrize(
    ("octets", "wanted"),
    [
        (b"Subject: x\r\n\r\nHello,\r\n  this   is\tit.\r\n", "Hello, this is it."),
        (b"\r\n", ""),
        (b"Subject: x\r\n\r\n> quoted\r\n> more\r\nAnswer.\r\n", "Answer."),
        (b"\r\nYes.\r\n\r\nOn Monday Ann wrote:\r\n> quoted\r\n\r\n-- \r\nBob\r\n", "Yes."),
        (b"\r\nNote:\r\nno quote here\r\n", "Note: no quote here"),
        (html("<head><title>T</title><style>p {x: y}</style></head><p>Hi &amp; <b>wel</b>come</p>"), "Hi & welcome"),
        (html("<p>New</p><blockquote>old<blockquote>older</blockquote></blockquote><p>end</p>"), "New end"),
        (html("Gr\u00fc\u00dfe\u200b \u00ad\u200c aus K\u00f6ln"), "Gr\u00fc\u00dfe aus K\u00f6ln"),
        (html("<style>" + "p{}" * 60_000), ""),
        (
            b"Content-Type: multipart/alternative; boundary=X\r\n\r\n--X\r\n\r\n \r\n--X\r\nContent-Type: text/html\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n" + base64.b64encode(b"<p>the second</p>") + b"\r\n--X--\r\n",
            "the second",
        ),
        (b"Content-Type: multipart/encrypted; boundary=X\r\n\r\n--X\r\n\r\nVersion: 1\r\n--X--\r\n", ""),
        (b"Content-Type: image/png\r\n\r\nxx", ""),
        (b"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR", ""),
    ],
)  # fmt: skip
def test_what_a_message_says_first(octets: bytes, wanted: str) -> None:
    assert preview(octets) == wanted


@pytest.mark.parametrize("text", ["word " * 500, "x" * 5000, "\u4f60\u597d" * 400, "a\r\n" * 9000])
def test_it_is_short_and_one_line(text: str) -> None:
    found = preview(b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + text.encode())
    assert MAX_PREVIEW - 30 <= len(found) <= MAX_PREVIEW
    assert "\n" not in found


def test_only_the_beginning_is_read() -> None:
    octets = b"Content-Type: text/plain\r\n\r\n" + b"x" * 1_000_000
    parsed = parse(octets)
    asked: list[int] = []

    def read(start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return b"x" * (stop - start)

    assert preview_of(node_of(parsed.root), read) == "x" * MAX_PREVIEW
    assert asked == [16_384]
