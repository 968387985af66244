"""Splitting, unfolding and choosing header fields."""

from __future__ import annotations

import pytest

from gateway.mime import fields, select_fields, unfold
from gateway.mime.header import strip_comments

HEADER = (
    b"Received: one\r\n\tfolded\r\n"
    b"From: a@b\r\n"
    b"Subject : blank before colon\r\n"
    b"X-From: c@d\r\n"
    b"garbage without a sign\r\n"
    b"to: e@f\r\n"
    b"FROM: g@h\r\n"
    b"Empty:\r\n"
    b"\r\n"
)


def test_fields_keep_order_raw_slices_and_unfold_values() -> None:
    found = fields(HEADER)
    assert [field.name for field in found] == [b"Received", b"From", b"Subject", b"X-From", b"to", b"FROM", b"Empty"]
    assert found[0].raw == b"Received: one\r\n\tfolded\r\n"
    assert found[0].value == b"one\tfolded"
    assert found[2].value == b"blank before colon"
    assert found[6].value == b""


def test_mbox_line_is_no_field() -> None:
    assert [f.name for f in fields(b"From nobody Mon Jan  1 00:00:00 2024\nSubject: x\n\n")] == [b"Subject"]


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b" a\r\n b", b"a b"),
        (b" a\n\tb", b"a\tb"),
        (b"a\r\n  b\r\n ", b"a  b"),
        (b" plain \r\n", b"plain"),
        (b"a\r\nb", b"a b"),
    ],
)
def test_unfold_removes_line_ends_only(raw: bytes, value: bytes) -> None:
    assert unfold(raw) == value


def test_select_answers_matching_fields_in_message_order() -> None:
    assert select_fields(HEADER, [b"FROM", b"To"]) == b"From: a@b\r\nto: e@f\r\nFROM: g@h\r\n\r\n"
    assert select_fields(HEADER, [b"received"]) == b"Received: one\r\n\tfolded\r\n\r\n"
    assert select_fields(HEADER, [b"subject"]) == b"Subject : blank before colon\r\n\r\n"
    assert select_fields(HEADER, [b"missing"]) == b"\r\n"
    assert select_fields(HEADER, [b"empty"]) == b"Empty:\r\n\r\n"


def test_select_not_keeps_everything_else_and_one_blank_line() -> None:
    assert select_fields(HEADER, [b"received", b"FROM", b"x-from", b"empty"], True) == (
        b"Subject : blank before colon\r\ngarbage without a sign\r\nto: e@f\r\n\r\n"
    )
    assert select_fields(HEADER, [b"none"], exclude=True) == HEADER
    assert select_fields(b"To: a\r\n\r\n", [b"to"], exclude=True) == b"\r\n"


@pytest.mark.parametrize("header", [b"", b"\r\n", b"\n"])
def test_select_of_an_empty_header(header: bytes) -> None:
    assert select_fields(header, [b"to"]) == b"\r\n"
    assert select_fields(header, [b"to"], True) == b"\r\n"


def test_select_with_bare_line_feeds_keeps_them() -> None:
    assert select_fields(b"To: a\n b\nCc: c\n\n", [b"to"]) == b"To: a\n b\n\r\n"
    assert select_fields(b"To: a\n b\nCc: c\n\n", [b"to"], True) == b"Cc: c\n\r\n"


def test_select_ends_an_unfinished_last_line() -> None:
    assert select_fields(b"X: 1\r\nTo: a", [b"to"]) == b"To: a\r\n\r\n"
    assert select_fields(b"X: 1\r\nTo: a", [b"x"]) == b"X: 1\r\n\r\n"
    assert select_fields(b"X: 1\r\nTo: a", [b"to"], True) == b"X: 1\r\n\r\n"


def test_names_are_no_patterns() -> None:
    assert select_fields(b"Xx: 1\r\n\r\n", [b"X."]) == b"\r\n"


@pytest.mark.parametrize(
    ("value", "rest"),
    [
        (b"a (b (c) d) e", b"a  e"),
        (b'"(kept)" (gone)', b'"(kept)" '),
        (rb"a (b \) c) d", b"a  d"),
        (b"a (open", b"a "),
        (b'(it"s) x', b" x"),
    ],
)
def test_comments_are_stripped(value: bytes, rest: bytes) -> None:
    assert strip_comments(value) == rest
