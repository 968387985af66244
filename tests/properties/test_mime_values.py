"""The readers of header values and of text: any octets, never an error, and what they promise of the result."""

from __future__ import annotations

import base64
import quopri
from email.header import Header

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.mime import address as address_module
from gateway.mime import (
    base_subject,
    decode_body,
    decode_text,
    decoder_for,
    fold,
    is_reply_or_forward,
    message_ids,
    parse_addresses,
    parse_date,
    text_of,
    to_text,
)
from gateway.mime.envelope import own_message_id
from gateway.mime.header import strip_comments, unfold
from gateway.mime.params import parse_parameters
from gateway.model.charsets import _CODECS
from gateway.model.envelope import Address
from tests.support.soak import examples


def made_of(*pieces: bytes) -> st.SearchStrategy[bytes]:
    return st.one_of(st.binary(max_size=80), st.lists(st.sampled_from(pieces), max_size=25).map(b"".join))


ADDRESS_TEXT = made_of(
    b"a", b"b.c", b"@", b".", b",", b";", b":", b"<", b">", b"(", b")", b'"', b"\\", b" ", b"\r\n ", b"[1]", b"[", b"]",
    b"\t", b"  ", b"=?utf-8?q?x,y?=", b"=?", b"\xff", b"<a@b>", b'"N" <x@y>', b"Group:", b"J. R. ", b"@r:", b"\0",
    b"\x0b",
)  # fmt: skip


@settings(max_examples=examples(500))
@given(ADDRESS_TEXT)
def test_addresses_never_fail_and_groups_balance(value: bytes) -> None:
    inside = False
    for address in parse_addresses(value):
        if address == Address(None, None, None, None):
            assert inside
            inside = False
        elif address.host is None:
            assert not inside
            assert address.mailbox is not None
            assert address.name is address.route is None
            inside = True
        else:
            assert address.mailbox is not None
            assert address.name != b""
    assert not inside


@settings(max_examples=examples(500))
@given(ADDRESS_TEXT)
@example(b"!@=?!?q?,?=")
@example(b"=?!?q?a@b,?=")
def test_the_fast_way_reads_as_the_full_one(value: bytes) -> None:
    text = unfold(value)
    found: list[Address] = []
    address_module._Reader(text, 0, found).read()
    assert parse_addresses(value) == tuple(found)


@settings(max_examples=examples(300))
@given(made_of(b"x@y.test", b"foo", b'"', b"(", b"<", b" ", b"\\", b">", b")"))
def test_a_valid_address_before_a_comma_is_never_lost(junk: bytes) -> None:
    assert parse_addresses(b"Good <good@one.test>, " + junk)[0] == Address(b"Good", None, b"good", b"one.test")


@given(
    made_of(
        b"a",
        b"=",
        b";",
        b'"',
        b"\\",
        b"(",
        b")",
        b" ",
        b"*0",
        b"*1",
        b"*",
        b"%20",
        b"\r\n ",
        b",",
        b"x=y",
        b"n*0*=a'b'c;",
    )
)
def test_parameters_never_fail_and_have_names(text: bytes) -> None:
    for name, value in parse_parameters(text):
        assert name
        assert isinstance(value, bytes)
    assert len(strip_comments(text)) <= len(text)


@given(
    made_of(
        b"Mon, ",
        b"1 ",
        b"31",
        b"Jan ",
        b"Feb",
        b" ",
        b"2000 ",
        b"99",
        b":",
        b"12:30",
        b"+0100",
        b"-",
        b"EST",
        b"(",
        b")",
    )
)
def test_dates_never_fail(value: bytes) -> None:
    assert isinstance(parse_date(value), int | None)


@given(made_of(b"<", b">", b"a@b", b" ", b"\r\n ", b"x"))
def test_message_ids_hold_no_brackets_or_blanks(value: bytes) -> None:
    own = own_message_id(value)
    for found in (*message_ids(value), *([own] if own is not None else [])):
        assert found
        assert not set(found) & set(b"\r\n \t")


SUBJECTS = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(["Re:", "re ", "[x]", "[", "]", "(fwd)", "[fwd:", " ", "fw", ":", "x", "Fwd[1] :"]), max_size=20
    ).map("".join),
)


@settings(max_examples=examples(500))
@given(SUBJECTS)
def test_base_subject_is_a_fixed_point_without_marks(subject: str) -> None:
    base = base_subject(subject)
    assert base_subject(base) == base
    assert not is_reply_or_forward(base)


@settings(max_examples=examples(300))
@given(
    made_of(
        b"=?utf-8?q?",
        b"=?x?b?",
        b"?=",
        b"=",
        b"_",
        b" ",
        b"=C3",
        b"YWJj",
        b"\xc3",
        b"=?utf-7?q?+2AA-?=",
        b"=?idna?q?x?=",
    ),
)
def test_decoded_text_is_always_valid_unicode(value: bytes) -> None:
    decode_text(value).encode("utf-8")


@settings(max_examples=examples(300))
@given(st.binary(max_size=60), st.sampled_from(sorted(_CODECS)))
def test_every_charset_decodes_any_octets(octets: bytes, charset: str) -> None:
    to_text(octets, charset).encode("utf-8")


@given(st.text(max_size=60), st.sampled_from(["utf-8", "iso-8859-1"]))
def test_encoded_words_of_the_standard_library_read_back(text: str, charset: str) -> None:
    clean = " ".join("".join(char for char in text if char.isprintable()).split())
    try:
        clean.encode(charset)
    except UnicodeEncodeError:
        charset = "utf-8"
    if "=?" in clean or not clean:
        return
    assert decode_text(Header(clean, charset).encode().encode()) == clean


@given(st.binary(max_size=200))
def test_transfer_encodings_read_back(octets: bytes) -> None:
    assert decode_body(base64.encodebytes(octets), b"base64") == octets
    assert decode_body(base64.b64encode(octets), b"base64") == octets
    text = octets.replace(b"\r", b"").replace(b"\n", b"")
    assert decode_body(quopri.encodestring(text, quotetabs=True), b"quoted-printable") == text


@given(st.binary(max_size=120), st.sampled_from([b"base64", b"quoted-printable", b"x-uuencode", b"7bit", b"odd"]))
def test_damaged_bodies_never_fail(octets: bytes, encoding: bytes) -> None:
    assert isinstance(decode_body(octets, encoding), bytes)
    assert isinstance(decode_body(b"begin 644 x\n" + octets, encoding), bytes)


@settings(max_examples=examples(300))
@given(
    made_of(b"<a", b">", b"<!--", b"-->", b"<script>", b"</script>", b"'", b'"', b"&amp;", b"&", b"x", b"<b>", b"</")
)
def test_html_never_fails(octets: bytes) -> None:
    text_of(octets, b"utf-8", b"html").encode("utf-8")


@given(st.text(max_size=40), st.text(max_size=10))
def test_folding_keeps_substrings(text: str, needle: str) -> None:
    """What SEARCH relies on: a part of a text folds to a part of its form."""
    assert fold(text + needle) == fold(text) + fold(needle)
    assert fold(text) == fold(fold(text).decode("utf-8")) or not text.isascii()


@given(
    pieces=st.lists(
        st.binary(max_size=20)
        | st.sampled_from([b"aGVsbG8=", b"YQ==", b"=", b"=3D", b"=\r\n", b" \t", b"\n", b"\r\n", b"=4", b"Zm9v"]),
        max_size=12,
    ),
    encoding=st.sampled_from([b"base64", b"quoted-printable", b"8bit"]),
    cuts=st.lists(st.integers(0, 200), max_size=5),
)
def test_decoding_in_pieces_changes_nothing(pieces: list[bytes], encoding: bytes, cuts: list[int]) -> None:
    octets = b"".join(pieces)
    decoder = decoder_for(encoding)
    assert decoder is not None
    got, at = b"", 0
    for cut in sorted(cuts):
        got += decoder.feed(octets[at:cut])
        at = cut
    got += decoder.feed(octets[at:]) + decoder.finish()
    assert got == decode_body(octets, encoding)


@pytest.mark.parametrize("line", [b"x" * 300_000, b" " * 300_000, b"=3D" * 100_000, b"=" * 300_000, b"a =" * 90_000])
def test_a_line_without_end_is_not_held(line: bytes) -> None:
    decoder = decoder_for(b"quoted-printable")
    assert decoder is not None
    got = b"".join(decoder.feed(line[at : at + 50_000]) for at in range(0, len(line), 50_000))
    assert len(got) >= len(decode_body(line, b"quoted-printable")) - 65_536
    assert decoder_for(b"base64").feed(line) is not None  # type: ignore[union-attr]
