"""Fuzz targets of the IMAP grammar. Each takes any octets.

A failed assertion is a find, and so is an error that is not the grammar's own.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from gateway.model.sequence import STAR, contains, render
from gateway.wire import date, mutf7, sasl, scram
from gateway.wire.commands import Command
from gateway.wire.events import (
    BEFORE_LOGIN,
    Event,
    Fatal,
    Frame,
    LiteralData,
    LiteralStart,
    NeedContinuation,
    after_login,
)
from gateway.wire.framing import Reader
from gateway.wire.parser import BadCommand, parse
from gateway.wire.pattern import Matcher
from gateway.wire.tokens import MAX_DEPTH, Cursor, Malformed, Value

_LIMITS = (
    replace(after_login(50), line=60, long_line=90, literal=25, command=120, literals=3, drain=150),
    replace(BEFORE_LOGIN, line=40, long_line=60, literal=10, command=80, literals=3, drain=60, session=300),
    after_login(1000),
    BEFORE_LOGIN,
)


def framing(data: bytes) -> None:
    """Cutting into commands: pieces make no difference, limits hold, and each frame is a command or a bad one."""
    if len(data) < 3:
        return
    limits, refuse, size, octets = _LIMITS[data[0] & 3], data[1], data[2] or 1, data[3:]
    whole = _events([octets], data[0] & 3, refuse)
    pieces = [octets[start:stop] for start, stop in pairwise([*range(0, len(octets), size), len(octets)])]
    assert _events(pieces, data[0] & 3, refuse) == whole
    for place, event in enumerate(whole):
        assert not isinstance(event, Fatal) or place == len(whole) - 1
        frame = event.frame if isinstance(event, LiteralStart) else event
        if isinstance(frame, Frame):
            assert len(frame.literals) <= limits.literals
            assert all(len(literal) <= limits.literal for literal in frame.literals)
            assert len(frame.text) + sum(map(len, frame.literals)) <= limits.command + limits.literals + 1
            _parsed(frame, utf8=bool(refuse & 1))


def _events(pieces: list[bytes], limits: int, refuse: int) -> list[Event]:
    """What a session sees that refuses the n-th event that can be refused by the n-th bit of `refuse`."""
    reader = Reader(_LIMITS[limits])
    seen: list[Event] = []
    refusable = 0
    for piece in pieces:
        reader.feed(piece)
        for event in reader:
            if isinstance(event, LiteralData) and seen and isinstance(seen[-1], LiteralData):
                seen[-1] = LiteralData(seen[-1].data + event.data)
            else:
                seen.append(event)
            if isinstance(event, NeedContinuation | LiteralStart):
                if refuse >> (refusable & 7) & 1:
                    reader.refuse()
                refusable += 1
            if isinstance(event, Frame) and event.text.upper().endswith((b" IDLE", b" AUTHENTICATE PLAIN")):
                reader.expect_line()
    assert reader.buffered <= sum(map(len, pieces))
    return seen


def _parsed(frame: Frame, *, utf8: bool) -> Command | None:
    try:
        command = parse(frame, utf8=utf8)
    except BadCommand as error:
        _is_said(error, frame.tag == error.tag)
        return None
    assert command.tag == frame.tag
    return command


def _is_said(error: Exception, also: bool = True) -> None:
    """What a peer may be told of an error: one short line."""
    assert str(error).isprintable()
    assert len(str(error)) < 200
    assert also


def parser(data: bytes) -> None:
    """A frame: its text, and its literals behind NULs. The same frame is the same command, each time."""
    text, *literals = data.split(b"\0")
    frame = Frame(b"t " + text, tuple(literals))
    for utf8 in (False, True):
        assert _parsed(frame, utf8=utf8) == _parsed(frame, utf8=utf8)


def values(data: bytes) -> None:
    """A response's values, with lists inside lists up to the limit."""
    text, *literals = data.split(b"\0")
    cursor = Cursor(text, tuple(literals))
    try:
        found = cursor.value()
    except Malformed as error:
        _is_said(error)
        return
    assert _depth(found) <= MAX_DEPTH


def _depth(value: Value) -> int:
    deepest = 0
    stack = [(value, 0)]
    while stack:
        one, depth = stack.pop()
        deepest = max(deepest, depth)
        if isinstance(one, tuple):
            stack += [(item, depth + 1) for item in one]
    return deepest


def mailbox_names(data: bytes) -> None:
    """Each name has one encoding; what is decoded is encoded as it came."""
    try:
        name = mutf7.decode(data)
    except ValueError:
        pass
    else:
        assert mutf7.encode(name) == data
    text = data.decode("utf-8", "ignore")
    assert mutf7.decode(mutf7.encode(text)) == text


def sequence_sets(data: bytes) -> None:
    """Size and work go with the text, never with the numbers; ranges are sorted, apart, and hold what was named."""
    if not data:
        return
    cursor = Cursor(data[1:])
    try:
        found = cursor.messages()
    except Malformed:
        return
    if found.saved:
        return
    assert len(found.pairs) == data[1 : 1 + cursor.at].count(b",") + 1
    assert Cursor(render(found.pairs).encode()).sequence_set() == found
    for largest in (0, data[0], 4_294_967_295):
        ranges = found.resolve(largest)
        assert len(ranges) <= len(found.pairs)
        assert all(low <= high for low, high in ranges)
        assert all(before[1] + 1 < after[0] for before, after in pairwise(ranges))
        for pair in found.pairs[:50]:
            for number in (largest if end == STAR else end for end in pair):
                assert not number or contains(ranges, number)
        for number in range(1, 20):
            assert contains(ranges, number) == any(_within(number, pair, largest) for pair in found.pairs)


def _within(number: int, pair: tuple[int, int], largest: int) -> bool:
    low, high = sorted(largest if end == STAR else end for end in pair)
    return low <= number <= high


def dates(data: bytes) -> None:
    """A date that is read is written as the same day or moment."""
    try:
        day = date.parse_date(data)
        assert date.parse_date(date.date_text(day)) == day
    except ValueError:
        pass
    try:
        moment = date.parse_date_time(data)
    except ValueError:
        return
    if -62_135_596_800 <= moment <= 253_402_300_799:
        assert date.parse_date_time(date.date_time(moment).strip(b'"')) == moment


def patterns(data: bytes) -> None:
    """LIST's wildcards against a table of which prefix matches which, which knows no state that is a number."""
    pattern, _, name = data[:400].decode("utf-8", "ignore").partition("\n")
    name = name.replace("\n", "")
    if "INBOX" in (pattern + name).upper() or not name.isascii() or not pattern.isascii():
        Matcher("", pattern).matches(name)
        return
    row = [True] + [False] * len(name)
    for sign in pattern:
        if sign in "*%":
            for at, char in enumerate(name):
                row[at + 1] = row[at + 1] or (row[at] and (sign == "*" or char != "/"))
        else:
            row = [False] + [row[at] and char == sign for at, char in enumerate(name)]
    assert Matcher("", pattern).matches(name) is row[-1]


_MECHANISMS = ("PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS")
_SCRAM = sasl.Scram(scram.Parameters(b"salt", 4096), b"nonce", True, {"tls-exporter": b"bound"}.get)


def logins(data: bytes) -> None:
    """An exchange ends in a few steps whatever the client answers, or says that an answer is none."""
    if not data:
        return
    name = _MECHANISMS[data[0] % len(_MECHANISMS)]
    first, *answers = data[1:].split(b"\n")
    try:
        initial = sasl.initial_response(first)
    except ValueError:
        initial = first if data[0] & 0x40 else None
    found = sasl.start(name, initial)
    exchange = found if found is not None else sasl.scram_sha_256(initial, _SCRAM, plus=name.endswith("PLUS"))
    send: bytes | bool | None = None
    try:
        for _ in range(8):
            step = exchange.send(send)
            if isinstance(step, sasl.Challenge):
                line = answers.pop(0) if answers else b"*"
                try:
                    answer = sasl.response(line)
                except ValueError:
                    answer = line
                if answer is None:
                    return
                send = answer
            elif isinstance(step, sasl.Check):
                send = bool(data[0] & 0x80)
            else:
                send = b"s" * 32 if data[0] & 0x80 else None
    except (StopIteration, sasl.Malformed):
        return
    raise AssertionError("the exchange never ends")


def scram_messages(data: bytes) -> None:
    """SCRAM's client messages by themselves: the first ones before a line end, the last ones behind."""
    first, _, final = data.partition(b"\n")
    try:
        client = scram.ClientFirst.parse(first)
        sent = scram.server_first(client, b"nonce", _SCRAM.parameters)
        assert sent.startswith(b"r=" + client.nonce)
        proof = scram.check_final(final, client, sent, b"nonce", b"")
    except scram.Malformed as error:
        _is_said(error)
        return
    assert proof is None or len(proof.proof) == 32
