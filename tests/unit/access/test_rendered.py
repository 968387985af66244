"""Stored renderings read back: what `wire.render` writes is what is told, whatever stands in the message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access.bodies import chosen
from gateway.access.rendered import Leaf, NotRendered, Person, heads_of, leaves_of, read
from gateway.mime import parse
from gateway.wire import render


def leaves(octets: bytes) -> list[Leaf]:
    return leaves_of(render.bodies(parse(octets).root)[1])


@given(st.lists(st.binary(max_size=40), max_size=12))
def test_strings_come_back_as_they_were(values: list[bytes]) -> None:
    octets = render.listed([render.nstring(value) for value in values] + [render.NIL, b"17"])
    told = [value.replace(b"\0", b"\x80") if _literal(value) else value for value in values]
    assert read(octets) == [*told, None, 17]


def _literal(value: bytes) -> bool:
    return render.string(value).startswith(b"{")


@pytest.mark.parametrize("octets", [b"", b"(", b")", b"()()", b"NIL NIL", b"x", b'"a', b"(a)", b"{5}\r\n", b"("  * 9])
def test_what_is_no_rendering_is_said_to_be_none(octets: bytes) -> None:
    with pytest.raises(NotRendered):
        heads_of(octets)


def test_what_is_too_long_is_not_read() -> None:
    with pytest.raises(NotRendered):
        read(b"(" + b"NIL " * 200_000 + b")")


@given(st.binary(max_size=600))
def test_any_message_can_be_told(octets: bytes) -> None:
    """Garbage behind the names of fields that are parsed."""
    head = b"From: %b\r\nTo: %b\r\nSubject: %b\r\nContent-Type: a/b; name=%b\r\n\r\n" % ((octets,) * 4)
    parsed = parse(head + octets)
    heads = heads_of(render.envelope(parsed.envelope))
    texts = [heads.subject, *(f"{each.name}{each.address}" for each in heads.from_ + heads.to)]
    found = leaves_of(render.bodies(parsed.root)[1])
    texts += [leaf.file_name or "" for leaf in found]
    assert not {"\r", "\n", "\0", "\x7f"} & set("".join(texts))
    assert len(chosen(found).attachments) + len(chosen(found).slots) <= len(found)


def test_fields_of_an_envelope() -> None:
    parsed = parse(
        b"From: =?utf-8?q?J=C3=BCrgen?= <j@x.test>\r\nTo: a@x.test, Team: b@x.test, \"C, D\" <c@x.test>;\r\n"
        b"Reply-To: r@x.test\r\nSubject: =?utf-8?b?w6TDtsO8?=\r\n two\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\r\n"
    )
    heads = heads_of(render.envelope(parsed.envelope))
    assert heads.from_ == (Person("Jürgen", "j@x.test"),)
    assert heads.to == (Person(None, "a@x.test"), Person(None, "b@x.test"), Person("C, D", "c@x.test"))
    assert (heads.subject, heads.reply_to, heads.sender) == ("äöü two", (Person(None, "r@x.test"),), ())
    same = heads_of(render.envelope(parse(b"From: a@x\r\nReply-To: a@x\r\nSender: a@x\r\n\r\n").envelope))
    assert (same.reply_to, same.sender) == ((), ())


NESTED = (
    b'Content-Type: multipart/mixed; boundary="m"\r\n\r\n'
    b'--m\r\nContent-Type: multipart/related; boundary="r"\r\n\r\n'
    b'--r\r\nContent-Type: multipart/alternative; boundary="a"\r\n\r\n'
    b"--a\r\n\r\nplain\r\n--a\r\nContent-Type: text/html\r\n\r\n<p>rich\r\n--a--\r\n"
    b"--r\r\nContent-Type: image/png\r\nContent-ID: <logo@x>\r\nContent-Disposition: inline\r\n\r\nx\r\n--r--\r\n"
    b"--m\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Content-Type: multipart/mixed; boundary=i\r\n\r\n--i\r\n\r\ninner\r\n--i--\r\n"
    b"--m\r\n\r\nfooter\r\n"
    b"--m\r\nContent-Type: text/plain\r\n"
    b"Content-Disposition: attachment; filename*=utf-8''%C3%A4.txt\r\n\r\nx\r\n--m--\r\n"
)


def test_parts_by_the_numbers_of_imap() -> None:
    assert [(leaf.number, f"{leaf.type}/{leaf.subtype}") for leaf in leaves(NESTED)] == [
        ("1.1.1", "text/plain"), ("1.1.2", "text/html"), ("1.2", "image/png"), ("2", "message/rfc822"),
        ("3", "text/plain"), ("4", "text/plain"),
    ]  # fmt: skip
    assert [leaf.number for leaf in leaves(b"\r\nx")] == ["1"]


def test_which_parts_are_text_and_which_are_attached() -> None:
    found = chosen(leaves(NESTED))
    assert [
        (slot.plain and slot.plain.number, slot.html and slot.html.number) for slot in found.slots
    ] == [("1.1.1", "1.1.2"), ("3", None)]  # fmt: skip
    assert [(leaf.number, leaf.file_name, leaf.content_id) for leaf in found.attachments] == [
        ("1.2", None, "logo@x"), ("2", None, None), ("4", "ä.txt", None)
    ]


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b"attachment; filename=plain.txt", "plain.txt"),
        (b'attachment; filename="a \\"b\\".txt"', 'a "b".txt'),
        (b"attachment; filename==?utf-8?q?=C3=A4?=", "ä"),
        (b"attachment; filename*=iso-8859-1''%E4; filename=a", "ä"),
        (b"attachment; filename*0*=utf-8''%C3; filename*1*=%A4", "ä"),
        (b"attachment; filename*=%41", "A"),
        (b'attachment; filename="\xc3\xa4"', "ä"),
        (b"attachment; filename*=utf-8''a%0D%0Ab%00c", "a b c"),
        (b'attachment; filename=""', None),
        (b"attachment", None),
    ],
)
def test_file_names(field: bytes, name: str | None) -> None:
    [leaf] = leaves(b"Content-Type: a/b\r\nContent-Disposition: " + field + b"\r\n\r\nx")
    assert leaf.file_name == name
