"""Messages made of values: octet for octet, what is refused, and that our own parser reads back what was said."""

from __future__ import annotations

import base64
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import mime
from gateway.access.composing import Attachment, Letter, compose, content_type
from gateway.access.header_fields import Mailbox, mailboxes
from gateway.mime import PartNode, decode_body, decode_text, node_of, parse, to_text
from gateway.model.body import Part, PartKind
from gateway.model.errors import InvalidRequest

ANNA = Mailbox("anna@example.org", "Anna Schön")
BOB = Mailbox("bob@example.net")
NOW = 1_700_000_000


def made(**values: object) -> bytes:
    letter = Letter(**({"sender": ANNA, "to": (BOB,)} | values))  # type: ignore[arg-type]
    return compose(letter, now=NOW, message_id="tok@example.org", boundary="B").octets


def field(octets: bytes, name: bytes) -> str:
    index = mime.index_fields(parse(octets).header)
    return decode_text(index[name][0])


def content(octets: bytes, part: PartNode) -> bytes:
    body = octets[len(parse(octets).header) :]
    return decode_body(body[part.header_end : part.body_end], part.encoding)


def leaves(part: Part) -> list[Part]:
    return [part] if part.kind is not PartKind.MULTIPART else [leaf for each in part.children for leaf in leaves(each)]


def test_text_alone_is_one_part() -> None:
    assert made(subject="Hi", text="Hello\nyou") == (
        b"From: =?utf-8?q?Anna_Sch=C3=B6n?= <anna@example.org>\r\n"
        b"To: bob@example.net\r\n"
        b"Subject: Hi\r\n"
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        b"Message-ID: <tok@example.org>\r\n"
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello\r\nyou\r\n"
    )


def test_all_there_is() -> None:
    octets = made(
        cc=(Mailbox("c@example.net", "Doe, John"),), bcc=(Mailbox("d@example.net"),), reply_to=(BOB,),
        subject="Grüße", text="é", html="<img src=cid:x@y>",
        attachments=(
            Attachment(b"GIF", "i.gif", content_id="x@y", inline=True),
            Attachment(b"\x00\xff", "naïve.bin"),
        ),
        headers=(("X-Ticket", "7"),), in_reply_to="<p@x>", references=("<r@x>", "<p@x>"), send_at=NOW + 60,
    )  # fmt: skip
    assert octets.partition(b"MIME-Version")[0] == (
        b"From: =?utf-8?q?Anna_Sch=C3=B6n?= <anna@example.org>\r\n"
        b"To: bob@example.net\r\n"
        b'Cc: "Doe, John" <c@example.net>\r\n'
        b"Bcc: d@example.net\r\n"
        b"Reply-To: bob@example.net\r\n"
        b"Subject: =?utf-8?b?R3LDvMOfZQ==?=\r\n"
        b"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n"
        b"Message-ID: <tok@example.org>\r\n"
        b"In-Reply-To: <p@x>\r\n"
        b"References: <r@x> <p@x>\r\n"
        b"X-Send-At: Tue, 14 Nov 2023 22:14:20 +0000\r\n"
        b"X-Ticket: 7\r\n"
    )
    assert octets.partition(b"MIME-Version: 1.0\r\n")[2] == (
        b'Content-Type: multipart/mixed; boundary="=_Bm"\r\n\r\n'
        b"--=_Bm\r\n"
        b'Content-Type: multipart/related; type="multipart/alternative";\r\n boundary="=_Br"\r\n\r\n'
        b"--=_Br\r\n"
        b'Content-Type: multipart/alternative; boundary="=_Ba"\r\n\r\n'
        b"--=_Ba\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        b"w6k=\r\n"
        b"\r\n--=_Ba\r\n"
        b'Content-Type: text/html; charset="utf-8"\r\nContent-Transfer-Encoding: 7bit\r\n\r\n'
        b"<img src=cid:x@y>"
        b"\r\n--=_Ba--\r\n"
        b"\r\n--=_Br\r\n"
        b'Content-Type: image/gif\r\nContent-Disposition: inline; filename="i.gif"\r\nContent-ID: <x@y>\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\nR0lG\r\n"
        b"\r\n--=_Br--\r\n"
        b"\r\n--=_Bm\r\n"
        b"Content-Type: application/octet-stream\r\n"
        b"Content-Disposition: attachment; filename*=utf-8''na%C3%AFve.bin\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAP8=\r\n"
        b"\r\n--=_Bm--\r\n"
    )


def test_a_message_is_attached_as_it_is_or_as_a_file() -> None:
    whole = "Subject: ä\r\n\r\nx\r\n".encode()
    octets = made(attachments=(Attachment(whole, "m.eml", "message/rfc822"),))
    assert b"Content-Transfer-Encoding: 8bit\r\n\r\n" + whole in octets
    assert octets.count(b"Content-Transfer-Encoding: 8bit") == 2  # RFC 2045 6.4: and of what it is in
    for odd in (b"a: b\n\nbare", b"a: b\r\n\r\n\0", b"a: b\r\n\r\n" + b"x" * 1200, b""):
        octets = made(attachments=(Attachment(odd, "m.eml", "message/rfc822"),))
        part = node_of(parse(octets).root).children[1]
        assert (part.type, part.subtype, part.encoding.lower()) == (b"application", b"octet-stream", b"base64")
        assert content(octets, part) == odd


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"subject": "a\r\nBcc: eve@x.org"}, "Subject"),
        ({"subject": "a\nb"}, "Subject"),
        ({"subject": "a\rb"}, "Subject"),
        ({"subject": "a\0b"}, "Subject"),
        ({"subject": "a\u2028b"}, "Subject"),
        ({"subject": "\ud800"}, "Subject"),
        ({"text": "\ud800"}, "text"),
        ({"text": "a\0"}, "text"),
        ({"html": "a\0"}, "html"),
        ({"headers": (("X-A", "a\r\nX-B: c"),)}, "X-A"),
        ({"headers": (("X-A\r\nX-B", "a"),)}, "header"),
        ({"headers": (("X A", "a"),)}, "header"),
        ({"headers": (("X:A", "a"),)}, "header"),
        ({"headers": (("Bcc", "eve@x.org"),)}, "Bcc"),
        ({"headers": (("fRoM", "eve@x.org"),)}, "fRoM"),
        ({"headers": (("Received", "x"),)}, "Received"),
        ({"headers": (("Resent-From", "eve@x.org"),)}, "Resent-From"),
        ({"headers": (("Content-Type", "x/y"),)}, "Content-Type"),
        ({"headers": (("ARC-Seal", "x"),)}, "ARC-Seal"),
        ({"headers": (("X-A", "b"),) * 51}, "50"),
        ({"attachments": (Attachment(b"", "a\r\nX-B: c"),)}, "filename"),
        ({"attachments": (Attachment(b"", "a", "text/plain\r\nX-B: c"),)}, "content_type"),
        ({"attachments": (Attachment(b"", "a", "multipart/mixed"),)}, "content_type"),
        ({"attachments": (Attachment(b"", "a", content_id="x>\r\nX-B: c"),)}, "content_id"),
        ({"attachments": (Attachment(b""),) * 501}, "500"),
        ({"in_reply_to": "<a@b>\r\nX: y"}, "In-Reply-To"),
        ({"references": ("a@b",)}, "References"),
    ],
)
def test_nothing_breaks_out(values: dict[str, object], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named):
        made(**values)


@pytest.mark.parametrize(
    "text",
    ["", " ", "nobody", "a@", "@b", "a@b\r\nBcc: c@d", "a@b\0", "a b@c", "a@b c", "Team: a@b;", "a@-", "a@[x y]",
     "x" * 330 + "@b", "\ud800@b"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(InvalidRequest, match="to"):
        mailboxes("to", text)


def test_addresses_as_people_write_them() -> None:
    assert mailboxes("to", 'Zoë <zoe@bücher.example>, "Doe, J" <j@x.org>,k+t@x.org, 用户@例え.jp') == (
        Mailbox("zoe@xn--bcher-kva.example", "Zoë"), Mailbox("j@x.org", "Doe, J"), Mailbox("k+t@x.org"),
        Mailbox("用户@例え.jp"),
    )  # fmt: skip


def test_utf8_in_an_address_needs_smtputf8() -> None:
    letter = Letter(sender=ANNA, to=(Mailbox("用户@例え.jp"),))
    composed = compose(letter, now=NOW, message_id="t@x", boundary="B")
    assert composed.smtputf8
    assert "To: 用户@例え.jp\r\n".encode() in composed.header
    assert not compose(Letter(sender=ANNA), now=NOW, message_id="t@x", boundary="B").smtputf8


def test_content_types() -> None:
    assert content_type('Text/Calendar; method=REQUEST; x="a b"') == (
        "text/calendar", (("method", "REQUEST"), ("x", "a b"))
    )  # fmt: skip


_CHARS = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
_WORDS = st.text(_CHARS, max_size=300)


@given(subject=_WORDS, name=st.text(_CHARS, max_size=60), file=st.text(_CHARS, min_size=1, max_size=200), own=_WORDS)
def test_header_values_are_read_as_they_were_said(subject: str, name: str, file: str, own: str) -> None:
    name = name.strip()
    octets = made(
        sender=Mailbox("anna@example.org", name), subject=subject, headers=(("X-Own", own),),
        attachments=(Attachment(b"x", file),),
    )  # fmt: skip
    parsed = parse(octets)
    assert all(len(line) <= 998 for line in octets.split(b"\r\n"))
    assert octets.count(b"\r") == octets.count(b"\n") == octets.count(b"\r\n")
    index = mime.index_fields(parsed.header)
    assert decode_text(index.get(b"subject", [b""])[0]) == subject
    assert decode_text(index.get(b"x-own", [b""])[0]) == own
    assert parsed.envelope.from_ is not None
    assert len(parsed.envelope.from_) == 1
    author = parsed.envelope.from_[0]
    assert (author.mailbox, author.host) == (b"anna", b"example.org")
    assert decode_text(author.name or b"") == name
    part = parsed.root.children[1]
    assert part.disposition is not None
    assert _parameter(part.disposition[1], b"filename") == file


def _parameter(parameters: tuple[tuple[bytes, bytes], ...], name: bytes) -> str:
    """RFC 2231: plain, or with its charset."""
    found = dict(parameters)
    if name in found:
        return found[name].decode()
    charset, _, value = found[name + b"*"].split(b"'", 2)
    return to_text(_unquoted(value), charset)


def _unquoted(value: bytes) -> bytes:
    return unquote_to_bytes(value)


_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=400)


@given(text=_TEXT, html=_TEXT, octets=st.binary(max_size=500), long=st.booleans())
def test_bodies_are_read_as_they_were_said(text: str, html: str, octets: bytes, long: bool) -> None:
    text *= 40 if long else 1
    message = made(text=text, html=html, attachments=(Attachment(octets, "f"), Attachment(octets, "g")))
    root = node_of(parse(message).root)
    alternative, *rest = root.children
    said = [content(message, part).decode().replace("\r\n", "\n") for part in alternative.children]
    assert said == [text, html]
    assert [content(message, part) for part in rest] == [octets, octets]
    assert message.isascii()
    assert all(len(line) <= 998 for line in message.split(b"\r\n"))


def test_ten_megabytes_are_lines_of_base64() -> None:
    octets = bytes(range(256)) * 40_960
    letter = Letter(sender=ANNA, to=(BOB,), attachments=(Attachment(octets, "big"),))
    composed = compose(letter, now=NOW, message_id="t@x", boundary="B")
    message = composed.octets
    assert composed.size == len(message)
    part = node_of(parse(message).root).children[1]
    body = message[len(composed.header) :]
    assert base64.b64decode(body[part.header_end : part.body_end]) == octets
