"""What is rendered is read back; no octets raise anything but BadCommand; work is linear in the input."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import flags as model_flags
from gateway.model.body import Part, PartKind
from gateway.model.envelope import Address, Envelope
from gateway.model.names import canonical
from gateway.model.sequence import STAR, SequenceSet, render
from gateway.wire import date, mutf7, search
from gateway.wire import render as wire
from gateway.wire.commands import Command
from gateway.wire.events import Frame, after_login
from gateway.wire.framing import Reader
from gateway.wire.parser import BadCommand, parse
from gateway.wire.pattern import Matcher
from gateway.wire.tokens import Cursor, Value
from tests.support.calls import calls
from tests.support.soak import examples

WORDS = st.sampled_from(
    (
        b"LOGIN SELECT CREATE LIST LSUB STATUS APPEND SEARCH FETCH STORE COPY MOVE UID EXPUNGE ID ENABLE RETURN "
        b"CHARSET UTF-8 OR NOT SEEN FROM HEADER SINCE 1-Feb-2020 KEYWORD LARGER BODY[ BODY.PEEK[ HEADER.FIELDS ] <0.1> "
        b"1.2.MIME FLAGS +FLAGS.SILENT \\Seen $x (USE ( ) 1 0 * 1:* 2,3:4 INBOX &AOQ- & NIL STATUS MESSAGES ALL"
    ).split()
) | st.sampled_from(
    [b'"a b"', b'"\\""', b'"', b"\\", b"\x00", b"\xff", b"\xc3\xa4", b'""', b"{1}\n", b"~{2}\n", b"{9+}\n", b"%", b"]"]
)
TEXT = st.lists(st.tuples(WORDS | st.binary(max_size=3), st.sampled_from([b" ", b" ", b" ", b""])), max_size=14).map(
    lambda pairs: b"".join(word + gap for word, gap in pairs)
)
# Octets as they stand in headers; NUL is not among them, for it cannot be sent (it goes out as 0x80).
OCTETS = st.binary(max_size=20).map(lambda octets: octets.replace(b"\x00", b"\x01"))
NSTRINGS = st.none() | OCTETS


def outcome(frame: Frame, utf8: bool) -> Command | BadCommand:
    try:
        return parse(frame, utf8=utf8)
    except BadCommand as error:
        return error


@settings(max_examples=examples(100))
@given(TEXT, st.lists(st.binary(max_size=4), max_size=3), st.booleans())
def test_nothing_but_bad_command(text: bytes, literals: list[bytes], utf8: bool):
    frame = Frame(b"t " + text, tuple(literals))
    first = outcome(frame, utf8)
    again = outcome(frame, utf8)
    assert first.tag == b"t"
    assert str(again) == str(first) if isinstance(first, BadCommand) else again == first


@settings(max_examples=examples(100))
@given(st.binary(max_size=60), st.lists(st.binary(max_size=4), max_size=2))
def test_nor_from_random_octets(text: bytes, literals: list[bytes]):
    found = outcome(Frame(text, tuple(literals)), False)
    assert not isinstance(found, BadCommand) or found.text.isprintable()


NUMBERS = st.just(STAR) | st.integers(1, 2**32 - 1)


@settings(max_examples=examples(100))
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8))
def test_sequence_sets(pairs: list[tuple[int, int]]):
    assert Cursor(render(pairs).encode()).sequence_set() == SequenceSet(tuple(pairs))


@settings(max_examples=examples(100))
@given(st.text(max_size=20))
def test_mailbox_names_on_the_wire(name: str):
    try:
        encoded = mutf7.encode(name)
    except UnicodeEncodeError:
        return
    assert mutf7.decode(encoded) == name
    for utf8 in (False, True):
        frame = read(b"t SELECT " + wire.mailbox(name, utf8=utf8) + b"\r\n")
        if "\x00" not in name:
            assert parse(frame, utf8=utf8).mailbox == canonical(name)


@settings(max_examples=examples(100))
@given(st.binary(max_size=12) | st.text("&AOQ-,/x", max_size=9).map(str.encode))
def test_each_mailbox_name_has_one_encoding(octets: bytes):
    try:
        name = mutf7.decode(octets)
    except ValueError:
        return
    assert mutf7.encode(name) == octets


@settings(max_examples=examples(100))
@given(st.integers(-62135596800, 253402300799))
def test_moments(seconds: int):
    assert date.parse_date_time(date.date_time(seconds).strip(b'"')) == seconds
    assert date.parse_date(date.date_text(seconds // 86400)) == seconds // 86400


def read(octets: bytes) -> Frame:
    """One frame through the reader, as a client reads a response."""
    reader = Reader(after_login(0))
    reader.feed(octets)
    (frame,) = [event for event in reader if isinstance(event, Frame)]
    return frame


def value_of(octets: bytes) -> Value:
    frame = read(b"* X " + octets + b"\r\n")
    cursor = Cursor(frame.text, frame.literals, at=4)
    found = cursor.value(depth=200)
    cursor.end()
    return found


ADDRESSES = st.none() | st.lists(
    st.builds(Address, NSTRINGS, NSTRINGS, NSTRINGS, NSTRINGS), min_size=1, max_size=3
).map(tuple)
ENVELOPES = st.builds(
    Envelope, NSTRINGS, NSTRINGS, ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES, ADDRESSES, NSTRINGS, NSTRINGS
)


def addresses(value: tuple[Address, ...] | None) -> Value:
    return None if value is None else tuple((a.name, a.route, a.mailbox, a.host) for a in value)


def envelope(value: Envelope) -> Value:
    lists = (value.from_, value.sender, value.reply_to, value.to, value.cc, value.bcc)
    return (value.date, value.subject, *map(addresses, lists), value.in_reply_to, value.message_id)


@settings(max_examples=examples(100))
@given(ENVELOPES)
def test_envelopes(value: Envelope):
    assert value_of(wire.envelope(value)) == envelope(value)


PARAMETERS = st.lists(st.tuples(OCTETS, OCTETS), max_size=2).map(tuple)


def parts(children: st.SearchStrategy[tuple[Part, ...]], kind: PartKind, lines: st.SearchStrategy) -> st.SearchStrategy:
    return st.builds(
        Part,
        kind=st.just(kind), type=OCTETS, subtype=OCTETS, parameters=PARAMETERS, content_id=NSTRINGS,
        description=NSTRINGS, encoding=OCTETS, md5=NSTRINGS, disposition=st.none() | st.tuples(OCTETS, PARAMETERS),
        languages=st.lists(OCTETS, max_size=2).map(tuple), location=NSTRINGS, header_start=st.just(0),
        header_end=st.just(0), body_end=st.integers(0, 99), lines=lines, children=children,
        envelope=ENVELOPES if kind is PartKind.MESSAGE else st.none(),
    )  # fmt: skip


PARTS = st.recursive(
    parts(st.just(()), PartKind.LEAF, st.none() | st.integers(0, 9)),
    lambda inner: (
        parts(st.lists(inner, min_size=1, max_size=2).map(tuple), PartKind.MULTIPART, st.none())
        | parts(st.tuples(inner), PartKind.MESSAGE, st.integers(0, 9))
    ),
    max_leaves=3,
)


def flat(pairs: tuple[tuple[bytes, bytes], ...]) -> Value:
    return tuple(item for pair in pairs for item in pair) or None


def structure(part: Part, extended: bool) -> Value:
    disposition = None if part.disposition is None else (part.disposition[0], flat(part.disposition[1]))
    more = (disposition, part.languages or None, part.location)
    if part.kind is PartKind.MULTIPART:
        children = tuple(structure(child, extended) for child in part.children)
        return (*children, part.subtype, *((flat(part.parameters), *more) if extended else ()))
    found: list[Value] = [
        part.type, part.subtype, flat(part.parameters), part.content_id, part.description, part.encoding,
        b"%d" % part.size,
    ]  # fmt: skip
    if part.kind is PartKind.MESSAGE and part.envelope is not None:
        found += [envelope(part.envelope), structure(part.children[0], extended)]
    if part.lines is not None:
        found.append(b"%d" % part.lines)
    return (*found, *((part.md5, *more) if extended else ()))


@settings(max_examples=examples(100))
@given(PARTS, st.booleans())
def test_body_structures(part: Part, extended: bool):
    assert value_of(wire.body(part, extended)) == structure(part, extended)


# SEARCH: encode(tree) -> parse -> tree.

STRINGS = st.text(max_size=8).filter(lambda text: "\x00" not in text)
DAYS = st.integers(-700_000, 2_900_000)
SETS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=3).map(lambda pairs: SequenceSet(tuple(pairs)))
LEAVES: st.SearchStrategy[search.SearchKey] = st.one_of(
    st.just(search.All()),
    st.builds(search.SystemFlag, st.sampled_from(sorted(model_flags.SYSTEM_FLAGS.values())), st.booleans()),
    st.builds(search.Recent, st.booleans()),
    st.builds(search.Keyword, st.sampled_from(["$x", "a]b"]), st.booleans()),
    st.builds(search.Numbers, SETS, st.booleans()),
    st.builds(search.Date, st.sampled_from(search.DateField), st.sampled_from(search.DateOp), DAYS),
    st.builds(search.Size, st.booleans(), st.integers(0, 2**63 - 1)),
    st.builds(search.Header, st.sampled_from(["FROM", "SUBJECT", "X-A", "MESSAGE-ID"]), STRINGS),
    st.builds(search.Body, STRINGS),
    st.builds(search.Text, STRINGS),
)


def joined(kind: type[search.And] | type[search.Or], keys: list[search.SearchKey]) -> search.SearchKey:
    out: list[search.SearchKey] = []
    for key in keys:
        out += key.keys if isinstance(key, kind) else [key]
    return kind(tuple(out))


TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(search.Not, inner),
        st.lists(inner, min_size=2, max_size=3).map(lambda keys: joined(search.And, keys)),
        st.lists(inner, min_size=2, max_size=3).map(lambda keys: joined(search.Or, keys)),
    ),
    max_leaves=12,
)


def encoded(key: search.SearchKey) -> bytes:
    names = {bit: name[1:].upper() for name, bit in model_flags.SYSTEM_FLAGS.items()}
    match key:
        case search.And():
            return b"(" + b" ".join(map(encoded, key.keys)) + b")"
        case search.Or():
            return b" ".join(b"OR " + encoded(one) for one in key.keys[:-1]) + b" " + encoded(key.keys[-1])
        case search.Not():
            return b"NOT " + encoded(key.key)
        case search.All():
            return b"ALL"
        case search.SystemFlag():
            return (b"" if key.present else b"UN") + names[key.flag].encode()
        case search.Recent():
            return b"RECENT" if key.present else b"OLD"
        case search.Keyword():
            return (b"" if key.present else b"UN") + b"KEYWORD " + key.name.encode()
        case search.Numbers():
            return (b"UID " if key.uid else b"") + render(key.messages.pairs).encode()
        case search.Date():
            which = {search.DateField.SENT: b"SENT", search.DateField.SAVED: b"SAVED"}.get(key.field, b"")
            return which + key.op.value.upper().encode() + b" " + date.date_text(key.day)
        case search.Size():
            return b"%s %d" % (b"LARGER" if key.larger else b"SMALLER", key.octets)
        case search.Header():
            plain = key.name.encode() if key.name in {"FROM", "SUBJECT"} else b"HEADER " + key.name.encode()
            return plain + b" " + wire.astring(key.value.encode())
        case search.Body():
            return b"BODY " + wire.string(key.value.encode())
        case search.Text():
            return b"TEXT " + wire.string(key.value.encode())


@settings(max_examples=examples(100))
@given(TREES)
def test_search_trees(key: search.SearchKey):
    found = parse(read(b"t UID SEARCH CHARSET UTF-8 " + encoded(key) + b"\r\n"))
    assert found.key == key


# Patterns against a plain model.


@settings(max_examples=examples(100))
@given(st.text("ab/*%", max_size=8), st.text("ab/", max_size=10))
def test_patterns(pattern: str, name: str):
    model = re.compile(pattern.replace("*", ".*").replace("%", "[^/]*"))
    assert Matcher("", pattern).matches(name) is (model.fullmatch(name) is not None)


# Work: calls that the interpreter makes, not time.


@pytest.mark.parametrize(
    "bomb",
    [
        lambda n: b"SEARCH " + b"OR " * n + b"SEEN",
        lambda n: b"SEARCH " + b"(" * n,
        lambda n: b"SEARCH " + b"NOT " * n,
        lambda n: b"SEARCH " + b"SEEN " * n,
        lambda n: b"FETCH " + b"1:4294967295," * n + b"1 FLAGS",
        lambda n: b"FETCH 1 (" + b"BODY[1.2.3] " * n + b"FLAGS)",
        lambda n: b"FETCH 1 BODY[" + b"1." * n + b"TEXT]",
        lambda n: b"STORE 1 FLAGS (" + b"k " * n + b"k)",
        lambda n: b'LIST "" (' + b"* " * n + b"*)",
        lambda n: b'SELECT "' + b'\\"' * n + b'"',
        lambda n: b"SELECT " + b"&AOQ-x" * n,
        lambda n: b'ID ("a" NIL' + b' "a" NIL' * n + b")",
        lambda n: b"{" * n,
    ],
)
def test_twice_the_input_is_twice_the_work(bomb: Callable[[int], bytes]):
    def work(size: int) -> int:
        frame = Frame(b"t " + bomb(size))
        return calls(lambda: outcome(frame, False))

    small = work(2000)
    assert work(4000) <= 2.2 * small + 50
