"""Every limit of the grammar: what is at it passes, one more is refused; the figures are those that were decided."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from gateway.model import mailbox, names
from gateway.model.composed import composed
from gateway.model.errors import InvalidName
from gateway.wire import (
    parse_append,
    parse_fetch,
    parse_list,
    parse_metadata,
    parse_multisearch,
    parse_sort,
    parse_url_commands,
    search,
    tokens,
)
from gateway.wire.events import BEFORE_LOGIN, Event, Fatal, Frame, Limits, LiteralStart, Rejected, after_login
from gateway.wire.framing import Reader
from gateway.wire.parser import BadCommand, parse
from gateway.wire.pattern import Matcher
from gateway.wire.saslprep import saslprep

KIB, MIB = 1024, 1024 * 1024
MESSAGE = 10 * MIB
LOGGED_IN = after_login(MESSAGE)


def test_the_figures() -> None:
    """A change here is a decision, not a detail."""
    assert asdict(BEFORE_LOGIN) == {
        "line": KIB, "long_line": 64 * KIB, "literal": 4 * KIB, "command": 128 * KIB, "literals": 1000,
        "drain": 64 * KIB, "append": 0, "session": 128 * KIB,
    }  # fmt: skip
    assert asdict(LOGGED_IN) == {
        "line": 64 * KIB, "long_line": 64 * KIB, "literal": 128 * KIB, "command": MIB, "literals": 1000,
        "drain": MIB, "append": MESSAGE, "session": None,
    }  # fmt: skip
    assert (tokens.MAX_DEPTH, search.MAX_DEPTH, search.MAX_KEYS) == (50, 50, 1000)
    assert (mailbox.MAX_DEPTH, mailbox.MAX_NAME_OCTETS) == (100, 1000)


def padded(start: bytes, size: int) -> bytes:
    """A line of `size` octets and its end."""
    return start + b"x" * (size - len(start)) + b"\r\n"


def announced(size: int, *, name: bytes = b"LOGIN", given: bool = True) -> bytes:
    return b"a %b {%d+}\r\n" % (name, size) + (b"x" * size + b"\r\n" if given else b"")


def first(octets: bytes, limits: Limits) -> Event:
    """The first event, in pieces as a network brings them: none needs more octets than there are."""
    reader = Reader(limits)
    for at in range(0, len(octets), 4096):
        reader.feed(octets[at : at + 4096])
        event = reader.next()
        if event is not None:
            return event
    raise AssertionError("it waits for more")


@pytest.mark.parametrize(
    ("limits", "octets", "reason"),
    [
        (BEFORE_LOGIN, padded(b"a NOOP ", KIB), None),
        (BEFORE_LOGIN, padded(b"a NOOP ", KIB + 1), "Line too long"),
        (BEFORE_LOGIN, padded(b"a ID ", 64 * KIB), None),
        (BEFORE_LOGIN, padded(b"a ID ", 64 * KIB + 1), "Too much input"),
        (BEFORE_LOGIN, padded(b"a AUTHENTICATE PLAIN ", 64 * KIB), None),
        (BEFORE_LOGIN, padded(b"a AUTHENTICATE PLAIN ", 64 * KIB + 1), "Too much input"),
        (BEFORE_LOGIN, announced(4 * KIB), None),
        (BEFORE_LOGIN, announced(4 * KIB + 1), "Literal too long"),
        (LOGGED_IN, padded(b"a NOOP ", 64 * KIB), None),
        (LOGGED_IN, padded(b"a NOOP ", 64 * KIB + 1), "Line too long"),
        (LOGGED_IN, announced(128 * KIB), None),
        (LOGGED_IN, announced(128 * KIB + 1), "Literal too long"),
        (LOGGED_IN, b"a X" + b" {1+}\r\nx" * 1000 + b"\r\n", None),
        (LOGGED_IN, b"a X" + b" {1+}\r\nx" * 1001 + b"\r\n", "Too many literals"),
        (LOGGED_IN, b"a X" + (b" {131072+}\r\n" + b"x" * 131072) * 7 + b"\r\n", None),
        (LOGGED_IN, b"a X" + (b" {131072+}\r\n" + b"x" * 131072) * 8 + b"\r\n", "Command too long"),
    ],
)
def test_octets_of_a_command(limits: Limits, octets: bytes, reason: str | None) -> None:
    event = first(octets, limits)
    if reason is None:
        assert isinstance(event, Frame)
    else:
        assert isinstance(event, Rejected | Fatal)
        assert event.text == reason


def test_what_a_stranger_sends_in_all() -> None:
    lines = padded(b"a NOOP ", KIB - 2)
    reader = Reader(BEFORE_LOGIN)
    reader.feed(lines * 128)
    assert [type(event) for event in reader] == [Frame] * 128
    reader.feed(b"b NOOP\r\n")
    assert isinstance(reader.next(), Fatal)


@pytest.mark.parametrize(
    ("size", "synchronising", "taken"),
    [(MESSAGE, True, True), (MESSAGE + 1, True, False), (MESSAGE, False, True), (2 * MESSAGE, False, False)],
)
def test_the_size_of_a_message(size: int, synchronising: bool, taken: bool) -> None:
    mark = b"" if synchronising else b"+"
    event = first(b"a APPEND x {%d%b}\r\n" % (size, mark), LOGGED_IN)
    assert isinstance(event, LiteralStart)
    assert event.too_big is not taken


def test_a_message_beyond_what_is_drained_ends_the_connection() -> None:
    assert isinstance(first(b"a APPEND x {%d+}\r\n" % (2 * MESSAGE + 1), LOGGED_IN), Fatal)


def test_no_message_before_login() -> None:
    event = first(b"a APPEND x {1}\r\n", BEFORE_LOGIN)
    assert isinstance(event, LiteralStart)
    assert event.too_big


def listed(count: int, item: bytes) -> bytes:
    return b" ".join([item] * count)


# What a limit is on, with `n` of it.
COUNTED = {
    "search keys": (search.MAX_KEYS, lambda n: b"SEARCH " + listed(n, b"SEEN")),
    "search keys under OR": (search.MAX_KEYS, lambda n: b"SEARCH " + b"OR SEEN " * (n - 1) + b"SEEN"),
    "search parentheses": (search.MAX_DEPTH, lambda n: b"SEARCH " + b"(" * n + b"SEEN" + b")" * n),
    "search NOTs": (search.MAX_DEPTH, lambda n: b"SEARCH " + b"NOT " * n + b"SEEN"),
    "search keys behind RETURN": (search.MAX_KEYS, lambda n: b"UID SEARCH RETURN (MIN) " + listed(n, b"ANSWERED")),
    "ranges of messages": (tokens.MAX_RANGES, lambda n: b"FETCH " + b",".join([b"1:2"] * n) + b" FLAGS"),
    "ranges of messages in all": (tokens.MAX_RANGES, lambda n: b"SEARCH " + b",".join([b"1"] * (n - 1)) + b" UID 4"),
    "FETCH items": (parse_fetch.MAX_ITEMS, lambda n: b"FETCH 1 (" + listed(n, b"FLAGS") + b")"),
    "header sections": (parse_fetch.MAX_HEADER_SECTIONS, lambda n: b"FETCH 1 (" + listed(n, b"BODY[HEADER]") + b")"),
    "decoded windows": (parse_fetch.MAX_WINDOWS, lambda n: b"FETCH 1 (" + listed(n, b"BINARY[1]<0.9>") + b")"),
    "LIST patterns": (parse_list.MAX_PATTERNS, lambda n: b'LIST "" (' + listed(n, b"*") + b")"),
    "characters of a pattern": (parse_list.MAX_PATTERN, lambda n: b'LIST "" ' + b"*" * n),
    "characters of reference and pattern": (parse_list.MAX_PATTERN, lambda n: b"LSUB " + b"a" * (n - 1) + b" *"),
    "entries of annotations": (
        parse_metadata.MAX_ENTRIES,
        lambda n: b"GETMETADATA x (" + b" ".join(b"/private/%d" % i for i in range(n)) + b")",
    ),
    "entries that are set": (
        parse_metadata.MAX_ENTRIES,
        lambda n: b"SETMETADATA x (" + b" ".join(b"/private/%d NIL" % i for i in range(n)) + b")",
    ),
    "characters of an entry": (parse_metadata.MAX_ENTRY, lambda n: b"GETMETADATA x /private/" + b"e" * (n - 9)),
    "mailboxes searched": (
        parse_multisearch.MAX_NAMES, lambda n: b"ESEARCH IN (mailboxes (" + listed(n, b"x") + b")) ALL",
    ),
    "SORT criteria": (parse_sort.MAX_SORT_KEYS, lambda n: b"SORT (" + listed(n, b"DATE") + b") UTF-8 ALL"),
    "contexts cancelled": (parse_sort.MAX_TAGS, lambda n: b"CANCELUPDATE " + listed(n, b'"a"')),
    "URLs": (parse_url_commands.MAX_URLS, lambda n: b"URLFETCH " + listed(n, b"imap:x")),
    "URLs to be signed": (parse_url_commands.MAX_URLS, lambda n: b"GENURLAUTH " + listed(n, b"imap:x INTERNAL")),
    "characters of a keyword": (255, lambda n: b"STORE 1 FLAGS (" + b"k" * n + b")"),
    "characters of a keyword searched": (255, lambda n: b"SEARCH KEYWORD " + b"k" * n),
}  # fmt: skip


@pytest.mark.parametrize(("limit", "text"), COUNTED.values(), ids=COUNTED)
def test_counts(limit: int, text) -> None:  # type: ignore[no-untyped-def]
    assert parse(Frame(b"a " + text(limit))).tag == b"a"
    with pytest.raises(BadCommand) as refused:
        parse(Frame(b"a " + text(limit + 1)))
    assert refused.value.tag == b"a"


def test_urls_of_a_message() -> None:
    begin = b"a APPEND x CATENATE (URL "
    parse_at_limit = begin + b"u" * parse_append.MAX_URL + b" TEXT {1}\n"
    assert parse(Frame(parse_at_limit)).tag == b"a"
    with pytest.raises(BadCommand):
        parse(Frame(begin + b"u" * (parse_append.MAX_URL + 1) + b" TEXT {1}\n"))


@pytest.mark.parametrize(
    ("text", "more"),
    [
        (b"FETCH 4294967295 FLAGS", b"FETCH 4294967296 FLAGS"),
        (b"FETCH 1 BODY[]<9223372036854775807.1>", b"FETCH 1 BODY[]<9223372036854775808.1>"),
        (b"SEARCH LARGER 9223372036854775807", b"SEARCH LARGER 9223372036854775808"),
        (b"FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775807)", b"FETCH 1 FLAGS (CHANGEDSINCE 9223372036854775808)"),
        (b"STORE 1 (UNCHANGEDSINCE 9223372036854775807) FLAGS x",
         b"STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS x"),
        (b"SEARCH LARGER 9223372036854775807", b"SEARCH LARGER " + b"9" * 60_000),
        (b"FETCH 1 BODY[4294967295]", b"FETCH 1 BODY[99999999999]"),
    ],
)  # fmt: skip
def test_numbers(text: bytes, more: bytes) -> None:
    """Also one of so many digits that int() itself would refuse it."""
    assert parse(Frame(b"a " + text)).tag == b"a"
    with pytest.raises(BadCommand):
        parse(Frame(b"a " + more))


def test_names_of_mailboxes() -> None:
    assert names.validate("/".join("a" * 100))
    assert names.validate("ä" * 500)
    for name in ("/".join("a" * 101), "ä" * 500 + "x", "a//b", ""):
        with pytest.raises(InvalidName):
            names.validate(name)


def test_lists_in_responses() -> None:
    assert tokens.Cursor(b"(" * 50 + b")" * 50).value()
    with pytest.raises(tokens.Malformed):
        tokens.Cursor(b"(" * 51 + b")" * 51).value()


MARKS = "\u0301\u0316"


@pytest.mark.parametrize(("count", "kept"), [(15, True), (16, False), (50_000, False)])
def test_combining_characters_in_a_row(count: int, kept: bool) -> None:
    """Normalising sorts a run of them by insertion: 100,000 would hold the interpreter for half a minute."""
    text = "a" + MARKS * count
    assert (composed(text) is not None) is kept
    assert composed(("a" + MARKS * 15) * 1000) is not None
    assert (names.canonical(text) != text) is kept
    if not kept:
        with pytest.raises(InvalidName):
            names.validate(text)
        assert not Matcher("", text).matches("\u00e1" + MARKS)
        with pytest.raises(ValueError, match=r"combining|too long"):
            saslprep(text)


def test_user_names_of_strangers() -> None:
    assert saslprep("ä" * 1024) == "ä" * 1024
    with pytest.raises(ValueError, match="too long"):
        saslprep("ä" * 1025)
