"""ENVELOPE's values and the MIME fields of BODYSTRUCTURE."""

from __future__ import annotations

import pytest

from gateway.mime import parse
from gateway.model.body import Part
from gateway.model.envelope import Address


def test_sender_and_reply_to_default_to_from() -> None:
    """RFC 3501 7.4.2: absent and empty are alike for these two."""
    envelope = parse(b"From: a@b\r\nSender:\r\n\r\n").envelope
    assert envelope.from_ == envelope.sender == envelope.reply_to == (Address(None, None, b"a", b"b"),)
    envelope = parse(b"From: a@b\r\nSender: s@b\r\nReply-To: r@b\r\n\r\n").envelope
    assert envelope.sender == (Address(None, None, b"s", b"b"),)
    assert envelope.reply_to == (Address(None, None, b"r", b"b"),)


def test_missing_is_none_and_empty_is_empty() -> None:
    envelope = parse(b"Subject:\r\nTo:\r\nMessage-ID: \r\n\r\n").envelope
    assert envelope.subject == b""
    assert envelope.message_id == b""
    assert envelope.date is None
    assert envelope.in_reply_to is None
    assert envelope.from_ is envelope.sender is envelope.reply_to is envelope.to is envelope.cc is envelope.bcc is None


def test_repeated_fields() -> None:
    envelope = parse(b"To: a@b\r\nTo: c@d\r\nFrom: e@f\r\nFrom: g@h\r\nSubject: one\r\nSubject: two\r\n\r\n").envelope
    assert envelope.to is not None
    assert [address.mailbox for address in envelope.to] == [b"a", b"c"]
    assert envelope.from_ is not None
    assert [address.mailbox for address in envelope.from_] == [b"e", b"g"]
    assert envelope.subject == b"two"


def test_subject_is_unfolded_and_stays_encoded() -> None:
    envelope = parse(b"Subject: =?utf-8?Q?a?=\r\n\t=?utf-8?Q?b?=\r\nDate: Mon (now)\r\n\r\n").envelope
    assert envelope.subject == b"=?utf-8?Q?a?=\t=?utf-8?Q?b?="
    assert envelope.date == b"Mon (now)"


def root(header: bytes) -> Part:
    return parse(header + b"\r\n\r\n").root


@pytest.mark.parametrize(
    "value", [b"text", b"text/", b"/plain", b"", b"a b/c", b"(only)", b'"text/html"', b"\xff/\xff"]
)
def test_an_unparsable_content_type_is_plain_text(value: bytes) -> None:
    part = root(b"Content-Type: " + value)
    assert (part.type, part.subtype, part.parameters) == (b"text", b"plain", ((b"charset", b"us-ascii"),))


def test_a_text_part_without_charset_gets_one() -> None:
    assert root(b"Content-Type: text/html; x=y").parameters == ((b"x", b"y"), (b"charset", b"us-ascii"))
    assert root(b"Content-Type: text/html; Charset=k").parameters == ((b"Charset", b"k"),)
    assert root(b"Content-Type: image/png").parameters == ()


@pytest.mark.parametrize(
    ("value", "encoding"),
    [
        (b"BASE64", b"base64"), (b'"base64"', b"base64"), (b"base64 (c)", b"base64"), (b"", b"7bit"), (b"(c)", b"7bit"),
        (b"Quoted-Printable;", b"quoted-printable"), (b"X-Odd", b"X-Odd"),
    ],
)  # fmt: skip
def test_transfer_encoding(value: bytes, encoding: bytes) -> None:
    assert root(b"Content-Transfer-Encoding: " + value).encoding == encoding


@pytest.mark.parametrize(
    ("value", "disposition"),
    [
        (b"", None),
        (b"inline", (b"inline", ())),
        (b"ATTACHMENT; filename=a b.pdf", (b"ATTACHMENT", ((b"filename", b"a b.pdf"),))),
        (b"; filename=x", (b"", ((b"filename", b"x"),))),
        (b'filename="x"', (b"", ((b"filename", b"x"),))),
        (b'"attachment"; filename=x', (b"attachment", ((b"filename", b"x"),))),
        (b"(c) attachment", (b"attachment", ())),
    ],
)
def test_disposition(value: bytes, disposition: object) -> None:
    assert root(b"Content-Disposition: " + value).disposition == disposition


def test_other_fields() -> None:
    part = root(
        b"Content-ID: <i@d>\r\nContent-Description: some  words\r\nContent-MD5: abc=\r\n"
        b"Content-Language: en, de (German), ,fr\r\nContent-Location: http://x.test/a\r\n b"
    )
    assert part.content_id == b"<i@d>"
    assert part.description == b"some  words"
    assert part.md5 == b"abc="
    assert part.languages == (b"en", b"de", b"fr")
    assert part.location == b"http://x.test/a b"


def test_a_field_that_is_empty_is_no_missing_one() -> None:
    """As RFC 3501 7.4.2 says of ENVELOPE, and as Dovecot and Cyrus do; an empty type or disposition is none."""
    part = root(
        b"Content-ID:\r\nContent-Description: \r\nContent-MD5:\r\nContent-Location:\r\n"
        b"Content-Type:\r\nContent-Transfer-Encoding:\r\nContent-Disposition:\r\nContent-Language:"
    )
    assert (part.content_id, part.description, part.md5, part.location) == (b"", b"", b"", b"")
    assert (part.type, part.subtype, part.encoding) == (b"text", b"plain", b"7bit")
    assert part.disposition is None
    assert part.languages == ()
    missing = root(b"X: y")
    assert (missing.content_id, missing.description, missing.md5, missing.location) == (None, None, None, None)
