"""Cutting octets into events: literals of all kinds, limits, refusals, modes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.wire.events import (
    BEFORE_LOGIN,
    AppendEnd,
    Fatal,
    Frame,
    Line,
    LiteralData,
    LiteralEnd,
    LiteralStart,
    NeedContinuation,
    Rejected,
    after_login,
)
from gateway.wire.framing import Reader

SMALL = replace(
    after_login(100), line=40, long_line=60, literal=10, command=80, literals=3, drain=50
)


def reader(data: bytes = b"", limits=SMALL) -> Reader:
    made = Reader(limits)
    made.feed(data)
    return made


def events(data: bytes, limits=SMALL) -> list:
    return list(reader(data, limits))


def test_one_command_at_a_time_so_that_the_puller_can_change_the_rules():
    made = reader(b"a NOOP\r\nb CHECK\r\n")
    assert made.next() == Frame(b"a NOOP")
    assert made.buffered == len(b"b CHECK\r\n")
    assert made.next() == Frame(b"b CHECK")
    assert made.next() is None
    assert made.buffered == 0


def test_bare_lf_ends_a_line_and_a_bare_cr_does_not():
    assert events(b"a NOOP\nb\rc\r\n") == [Frame(b"a NOOP"), Frame(b"b\rc")]


def test_an_incomplete_command_yields_nothing():
    made = reader(b"a NOOP")
    assert made.next() is None
    made.feed(b"\r")
    assert made.next() is None
    made.feed(b"\n")
    assert made.next() == Frame(b"a NOOP")


def test_synchronising_literal_waits_for_the_puller():
    made = reader(b"a LOGIN {3}\r\n")
    assert made.next() == NeedContinuation(b"a", b"LOGIN")
    assert made.in_command
    assert made.next() is None
    made.feed(b"abc {2}\r\n")
    assert made.next() == NeedContinuation(b"a", b"LOGIN")
    made.feed(b"xy\r\nb NOOP\r\n")
    assert made.next() == Frame(b"a LOGIN {3}\n {2}\n", (b"abc", b"xy"))
    assert made.next() == Frame(b"b NOOP")


@pytest.mark.parametrize("mark", [b"{3+}", b"~{3+}"])
def test_non_synchronising_literals_come_at_once(mark: bytes):
    data = b"a SELECT " + mark + b"\r\na\nb\r\n"
    assert events(data) == [Frame(b"a SELECT " + mark + b"\n", (b"a\nb",))]


def test_a_literal_is_octets_whatever_they_look_like():
    assert events(b"a X {9+}\r\nb NOOP\r\n!\r\n") == [Frame(b"a X {9+}\n", (b"b NOOP\r\n!",))]


@pytest.mark.parametrize("line", [b"a X {}", b"a X {-1}", b"a X {1++}", b"a X {1} ", b"a X {1", b"a X 1}", b"a X {a}"])
def test_what_is_no_announcement_is_text(line: bytes):
    assert events(line + b"\r\n") == [Frame(line)]


def test_refusing_a_synchronising_literal_ends_its_command():
    made = reader(b"a LOGIN {3}\r\n")
    assert made.next() == NeedContinuation(b"a", b"LOGIN")
    made.refuse()
    assert not made.in_command
    made.feed(b"b NOOP\r\n")
    assert made.next() == Frame(b"b NOOP")


def test_refusing_a_whole_command_changes_nothing():
    made = reader(b"a NOOP\r\nb NOOP\r\n")
    made.next()
    made.refuse()
    assert made.next() == Frame(b"b NOOP")


# Limits.


def test_a_synchronising_literal_over_the_limit_is_not_awaited():
    assert events(b"a X {11}\r\nb NOOP\r\n") == [Rejected(b"a", "Literal too long"), Frame(b"b NOOP")]


def test_an_unknown_commands_literal_over_the_limit_is_drained_and_not_read_as_commands():
    data = b"a XYZZY {11+}\r\nz NOOP\r\nx y\r\nb NOOP\r\n"
    assert events(data) == [Rejected(b"a", "Literal too long"), Frame(b"b NOOP")]


def test_a_drained_commands_further_literals_are_drained_too():
    data = b"a X {11+}\r\n01234567890 {9+}\r\nz NOOP\r\n! {3}\r\nb NOOP\r\n"
    assert events(data) == [Rejected(b"a", "Literal too long"), Frame(b"b NOOP")]


def test_draining_has_a_limit():
    made = reader(b"a X {51+}\r\n" + b"b NOOP\r\n" * 20)
    assert isinstance(made.next(), Fatal)
    made.feed(b"c NOOP\r\n")
    assert made.next() is None
    assert made.buffered == 0


@pytest.mark.parametrize("digits", [b"9" * 19, b"9" * 30, b"18446744073709551617"])
def test_absurd_sizes(digits: bytes):
    assert isinstance(events(b"a X {" + digits + b"+}\r\n")[0], Fatal)
    assert events(b"a X {" + digits + b"}\r\n") == [Rejected(b"a", "Literal too long")]


def test_leading_zeros_of_a_size():
    assert events(b"a X {0000000000000000000001+}\r\nz\r\n")[0].literals == (b"z",)


def test_too_many_literals_and_too_long_commands():
    assert events(b"a X {1+}\r\n1{1+}\r\n2{1+}\r\n3{1+}\r\n4\r\nb Y\r\n") == [
        Rejected(b"a", "Too many literals"), Frame(b"b Y"),
    ]  # fmt: skip
    long = b"a X" + b"x" * 30
    assert events(long + b"{9+}\r\n123456789" + b"y" * 35 + b"{9+}\r\nz NOOP\r\n!\r\nb Y\r\n") == [
        Rejected(b"a", "Command too long"), Frame(b"b Y"),
    ]  # fmt: skip


def test_line_limit_counts_the_line_without_its_end():
    exact = b"a " + b"x" * 38
    assert events(exact + b"\r\n") == [Frame(exact)]
    assert events(exact + b"\n") == [Frame(exact)]
    assert events(exact + b"y\r\nb Y\r\n") == [Rejected(b"a", "Line too long"), Frame(b"b Y")]
    assert events(exact + b"y\nb Y\r\n") == [Rejected(b"a", "Line too long"), Frame(b"b Y")]


def test_a_line_that_is_too_long_keeps_nothing_and_has_its_literal_drained():
    made = reader()
    made.feed(b"a " + b"x" * 39)
    assert made.next() is None
    made.feed(b"y" * 3)
    assert made.next() is None
    assert made.buffered == 0
    made.feed(b"{4}\r\nb Y\r\n")
    assert list(made) == [Rejected(b"a", "Line too long"), Frame(b"b Y")]
    limits = replace(SMALL, drain=200)
    assert events(b"a " + b"x" * 50 + b"{8+}\r\nz NOOP\r\n\r\nb Y\r\n", limits) == [
        Rejected(b"a", "Line too long"), Frame(b"b Y"),
    ]  # fmt: skip


def test_an_announcement_that_hides_behind_zeros_in_a_skipped_line_ends_the_connection():
    limits = replace(SMALL, drain=500)
    data = b"a " + b"x" * 50 + b"{" + b"0" * 100 + b"8+}\r\nz NOOP\r\nb Y\r\n"
    assert [type(event) for event in events(data, limits)] == [Fatal]


def test_id_and_authenticate_may_be_longer():
    for name in (b"ID", b"authenticate"):
        line = b"a " + name + b" " + b"x" * 45
        assert events(line + b"\r\n") == [Frame(line)]
        assert isinstance(events(b"a " + name + b" " + b"x" * 60 + b"\r\n")[0], Rejected | Fatal)
    assert isinstance(events(b"a IDLE " + b"x" * 45 + b"\r\n")[0], Rejected | Fatal)


def test_what_a_stranger_may_send_in_all_is_limited():
    made = reader(limits=BEFORE_LOGIN)
    total = 0
    found: list = []
    while not found or not isinstance(found[-1], Fatal):
        made.feed(b"a NOOP\r\n")
        total += 8
        found += made
    assert 131_072 < total <= 131_072 + 8


def test_a_literal_beyond_the_total_is_fatal_before_it_is_kept():
    limits = replace(BEFORE_LOGIN, session=30)
    assert isinstance(events(b"a LOGIN {25+}\r\n", limits)[0], Fatal)


def test_login_resets_the_count_and_the_limits():
    made = reader(b"a NOOP\r\n" * 3, replace(BEFORE_LOGIN, session=17))
    assert made.next() == Frame(b"a NOOP")
    made.set_limits(SMALL)
    assert list(made) == [Frame(b"a NOOP")] * 2


def test_a_line_that_is_too_long_without_a_tag():
    assert events(b"x" * 45 + b"\r\nb Y\r\n") == [Rejected(None, "Line too long"), Frame(b"b Y")]


# APPEND.


def test_append_streams_its_message():
    made = reader(b"a APPEND INBOX (\\Seen) {6}\r\n")
    start = LiteralStart(Frame(b"a APPEND INBOX (\\Seen) {6}\n"), 6, True, False, False, 0)
    assert made.next() == start
    assert made.next() is None
    made.feed(b"ab")
    assert made.next() == LiteralData(b"ab")
    made.feed(b"cdef\r")
    assert list(made) == [LiteralData(b"cdef"), LiteralEnd()]
    made.feed(b"\nb NOOP\r\n")
    assert list(made) == [AppendEnd(), Frame(b"b NOOP")]


def test_append_to_a_mailbox_whose_name_is_a_literal():
    made = reader(b"a append {5+}\r\nINBOX {0+}\r\n\r\nb Y\r\n")
    assert list(made) == [
        LiteralStart(Frame(b"a append {5+}\n {0+}\n", (b"INBOX",)), 0, False, False, False, 0),
        LiteralEnd(), AppendEnd(), Frame(b"b Y"),
    ]  # fmt: skip


def test_a_message_over_the_limit_is_marked_and_beyond_twice_the_limit_fatal():
    assert events(b"a APPEND x {101}\r\n")[0].too_big
    assert not events(b"a APPEND x {100}\r\n")[0].too_big
    assert events(b"a APPEND x {5000}\r\n")[0].too_big
    assert events(b"a APPEND x {200+}\r\n")[0].too_big
    assert events(b"a APPEND x {201+}\r\n") == [Fatal("Message too big")]


def test_refused_messages():
    made = reader(b"a APPEND x {200+}\r\n" + b"z NOOP\r\n" * 25 + b"\r\nb Y\r\n")
    assert isinstance(made.next(), LiteralStart)
    made.refuse()
    made.refuse()
    assert list(made) == [Frame(b"b Y")]
    made.feed(b"a APPEND x {200}\r\n")
    assert isinstance(made.next(), LiteralStart)
    made.refuse()
    made.feed(b"b Y\r\n")
    assert list(made) == [Frame(b"b Y")]


def test_a_message_refused_in_the_middle_is_drained():
    made = reader(b"a APPEND x {10}\r\n")
    made.next()
    made.feed(b"12345")
    assert made.next() == LiteralData(b"12345")
    made.refuse()
    made.feed(b"6\r\n90\r\nb Y\r\n")
    assert list(made) == [Frame(b"b Y")]


def test_a_message_refused_at_its_end_takes_the_rest_of_the_line_along():
    made = reader(b"a APPEND x {2+}\r\n12 {2+}\r\n34\r\nb Y\r\n")
    assert [type(made.next()) for _ in range(3)] == [LiteralStart, LiteralData, LiteralEnd]
    made.refuse()
    assert list(made) == [Frame(b"b Y")]


def test_more_messages_of_one_append():
    made = reader(b"a APPEND x {2+}\r\n12 (\\Seen) ~{3+}\r\n345\r\n")
    assert list(made) == [
        LiteralStart(Frame(b"a APPEND x {2+}\n"), 2, False, False, False, 0),
        LiteralData(b"12"), LiteralEnd(),
        LiteralStart(Frame(b" (\\Seen) ~{3+}\n"), 3, False, True, False, 1),
        LiteralData(b"345"), LiteralEnd(), AppendEnd(),
    ]  # fmt: skip


def test_text_after_the_message_is_handed_on():
    assert events(b"a APPEND x {1+}\r\n1 junk\r\nb Y\r\n")[-2:] == [AppendEnd(b" junk"), Frame(b"b Y")]


def test_a_literal8_in_parentheses():
    assert events(b"a APPEND x UTF8 (~{1+}\r\n1) utf8 (~{1}\r\n2)\r\nb Y\r\n") == [
        LiteralStart(Frame(b"a APPEND x UTF8 (~{1+}\n"), 1, False, True, False, 0),
        LiteralData(b"1"), LiteralEnd(),
        LiteralStart(Frame(b") utf8 (~{1}\n"), 1, True, True, False, 1),
        LiteralData(b"2"), LiteralEnd(), AppendEnd(b")"), Frame(b"b Y"),
    ]  # fmt: skip


def test_before_login_no_message_is_taken():
    made = reader(b"a APPEND x {10+}\r\n1234567890\r\nb Y\r\n", BEFORE_LOGIN)
    start = made.next()
    assert isinstance(start, LiteralStart)
    assert start.too_big
    made.refuse()
    assert list(made) == [Frame(b"b Y")]


# Modes.


def test_raw_lines_for_one_line():
    made = reader(b"a IDLE\r\nDONE\r\nb NOOP\r\n")
    assert made.next() == Frame(b"a IDLE")
    made.expect_line()
    assert made.next() == Line(b"DONE")
    assert made.next() == Frame(b"b NOOP")


def test_a_raw_line_announces_no_literal_and_has_a_limit():
    made = reader(b"{5+}\r\n")
    made.expect_line()
    assert made.next() == Line(b"{5+}")
    made.expect_line()
    made.feed(b"x" * 60 + b"\r\n")
    assert made.next() == Line(b"x" * 60)
    made.expect_line()
    made.feed(b"x" * 62)
    assert isinstance(made.next(), Fatal)


def test_discard_forgets_what_was_pipelined_before_tls():
    made = reader(b"a STARTTLS\r\nb LOGIN {3+}\r\nabc")
    assert made.next() == Frame(b"a STARTTLS")
    assert made.discard() == len(b"b LOGIN {3+}\r\nabc")
    assert made.next() is None
    made.feed(b"c NOOP\r\n")
    assert list(made) == [Frame(b"c NOOP")]


def test_no_octet_is_searched_twice_for_a_line_end():
    """One-octet pieces of a long line: the scan starts where it stopped, so the work is linear."""

    class Counting(bytearray):
        looked_at = 0

        def find(self, what, start=0):  # type: ignore[override]
            Counting.looked_at += len(self) - start
            return super().find(what, start)

    made = Reader(after_login(100))
    made._buffer = Counting()
    line = b"a SEARCH " + b"x" * 20_000
    for at in range(len(line)):
        made.feed(line[at : at + 1])
        assert made.next() is None
    made.feed(b"\r\n")
    assert made.next() == Frame(line)
    assert Counting.looked_at < 4 * len(line)
