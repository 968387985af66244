"""SEARCH criteria compiled to tests, cheap ones first (RFC 3501 6.4.4).

What flags, UIDs and numbers decide is decided from memory; dates, sizes and ids the database compares in its rows;
headers and text are looked through a page at a time. `Compiler` splits the criteria so that none is read
deeper than needed. `$`, MODSEQ, FUZZY and FILTER are replaced before (`search_run`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from gateway.mime import parse_sent_date
from gateway.model import sequence
from gateway.store import find
from gateway.wire import search as keys
from gateway.wire.tokens import MAX_NUMBER64

_DAY: Final = 86_400


class Cost(IntEnum):
    """What a test must read of a message."""

    MEMORY = 0
    ROW = 1
    HEADER = 2
    TEXT = 3


class Candidate:
    """One message under test."""

    __slots__ = (
        "email_id", "envelope", "internal_date", "mask", "number", "save_date", "size", "thread_id", "uid",
    )  # fmt: skip

    def __init__(
        self,
        number: int,
        uid: int,
        mask: int,
        internal_date: int = 0,
        size: int = 0,
        envelope: bytes = b"",
        email_id: str = "",
        thread_id: str = "",
        save_date: int = 0,
    ) -> None:
        self.number = number
        self.uid = uid
        self.mask = mask
        self.internal_date = internal_date
        self.size = size
        self.envelope = envelope
        self.email_id = email_id
        self.thread_id = thread_id
        self.save_date = save_date


Test = Callable[[Candidate], bool]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`mask & care == want`, within `within` (numbers) and all of `memory`; then `rows`, which the database tests; then
    all of `rest`, cheap ones first.

    `cost` is the highest in `rest`, `rest_key` what `rest` was made of.
    """

    care: int
    want: int
    impossible: bool
    within: tuple[keys.Numbers, ...]
    memory: Test | None
    rows: find.Condition | None
    rest: Sequence[tuple[Cost, Test]] | None
    rest_key: keys.SearchKey
    cost: Cost


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a SEARCH asks, with what its names mean in the selected mailbox at that moment; goes to reader processes."""

    key: keys.SearchKey
    exists: int
    last_uid: int
    keywords: Mapping[int, str]
    now: int
    """Unix seconds, for OLDER and YOUNGER."""

    def compiler(self) -> Compiler:
        return Compiler(exists=self.exists, last_uid=self.last_uid, keywords=self.keywords, now=self.now)

    def compile(self) -> Compiled:
        return self.compiler().compile(self.key)


class Compiler:
    """Knows what names mean in the selected mailbox: numbers, UIDs, keywords."""

    def __init__(self, *, exists: int, last_uid: int, keywords: Mapping[int, str], now: int) -> None:
        self._exists = exists
        self._now = now
        self._last_uid = last_uid
        self._bits = {name.lower(): 1 << bit for bit, name in keywords.items()}
        self._ranges: dict[tuple[int, bool], tuple[sequence.SequenceSet, sequence.Ranges]] = {}

    def compile(self, key: keys.SearchKey) -> Compiled:
        care = want = 0
        impossible = False
        within: list[keys.Numbers] = []
        later: list[tuple[Cost, Test]] = []
        deep: list[keys.SearchKey] = []
        rows: list[find.Condition] = []
        leaves = 0
        for part in key.keys if isinstance(key, keys.And) else (key,):
            flag = self._flag(part)
            if flag is not None:
                bit, present = flag
                wanted = bit if present else 0
                impossible |= bool(care & bit) and want & bit != wanted
                care, want = care | bit, want | wanted
            elif isinstance(part, keys.Numbers):
                if not any(part is known for known in within):
                    within.append(part)
            elif not isinstance(part, keys.All):
                condition = condition_of(part, self._now)
                if condition is not None and leaves + find.size(condition) <= find.MAX_CONDITIONS:
                    leaves += find.size(condition)
                    rows.append(condition)
                    continue
                later.append(self._test(part))
                if later[-1][0] is not Cost.MEMORY:
                    deep.append(part)
        memory = [test for cost, test in later if cost is Cost.MEMORY]
        rest = [pair for pair in later if pair[0] is not Cost.MEMORY]
        return Compiled(
            care,
            want,
            impossible,
            tuple(within),
            _all_of(memory) if memory else None,
            (rows[0] if len(rows) == 1 else find.Every(tuple(rows))) if rows else None,
            sorted(rest, key=lambda pair: pair[0]) if rest else None,
            deep[0] if len(deep) == 1 else keys.And(tuple(deep)),
            max((cost for cost, _ in rest), default=Cost.MEMORY),
        )

    def ranges(self, numbers: keys.Numbers) -> sequence.Ranges:
        """Each set once: one that stands for `$` may have 100,000 ranges and be asked about in a thousand places."""
        messages = numbers.messages
        known = self._ranges.get((id(messages), numbers.uid))
        if known is None:
            known = messages, messages.resolve(self._last_uid if numbers.uid else self._exists)
            self._ranges[id(messages), numbers.uid] = known
        return known[1]

    def test(self, key: keys.SearchKey) -> Test:
        """Of a criterion without keys that ask for text."""
        return self._test(key)[1]

    def _flag(self, key: keys.SearchKey) -> tuple[int, bool] | None:
        if isinstance(key, keys.SystemFlag):
            return key.flag, key.present
        if isinstance(key, keys.Keyword):
            bit = self._bits.get(key.name.lower())
            return (bit, key.present) if bit is not None else None
        return None

    def _test(self, key: keys.SearchKey) -> tuple[Cost, Test]:
        flag = self._flag(key)
        if flag is not None:
            bit, present = flag
            return Cost.MEMORY, lambda found: bool(found.mask & bit) is present
        if isinstance(key, keys.Numbers):
            ranges = self.ranges(key)
            if key.uid:
                return Cost.MEMORY, lambda found: sequence.contains(ranges, found.uid)
            return Cost.MEMORY, lambda found: sequence.contains(ranges, found.number)
        if isinstance(key, keys.Not):
            cost, inner = self._test(key.key)
            return cost, lambda found: not inner(found)
        if isinstance(key, keys.And | keys.Or):
            tests = [self._test(part) for part in key.keys]
            join = _all_of if isinstance(key, keys.And) else _any_of
            return max(cost for cost, _ in tests), join(_by_cost(tests))
        if isinstance(key, keys.Within):
            return Cost.ROW, _within(key, self._now)
        return _leaf(key)


def condition_of(key: keys.SearchKey, now: int) -> find.Condition | None:
    """`key` as the database tests it in the rows of messages; None where they do not tell."""
    field, low, high = find.Field.INTERNAL_DATE, None, None
    if isinstance(key, keys.Not):
        inner = condition_of(key.key, now)
        return None if inner is None else find.Not(inner)
    if isinstance(key, keys.And | keys.Or):
        parts = [condition_of(part, now) for part in key.keys]
        kind = find.Every if isinstance(key, keys.And) else find.Some
        found = tuple(part for part in parts if part is not None)
        return kind(found) if len(found) == len(parts) else None
    if isinstance(key, keys.ObjectId):
        return find.Is(find.Field.THREAD_ID if key.thread else find.Field.EMAIL_ID, key.value)
    if isinstance(key, keys.Size):
        field = find.Field.SIZE
        if key.larger:
            low = min(key.octets + 1, MAX_NUMBER64)
        else:
            high = key.octets
    elif isinstance(key, keys.Within):
        if key.younger:
            low = now - key.seconds
        else:
            high = now - key.seconds + 1
    elif isinstance(key, keys.Date) and key.field is not keys.DateField.SENT:
        if key.field is keys.DateField.SAVED:
            field = find.Field.SAVE_DATE
        if key.op is not keys.DateOp.BEFORE:
            low = key.day * _DAY
        if key.op is not keys.DateOp.SINCE:
            high = (key.day + (key.op is keys.DateOp.ON)) * _DAY
    else:
        return None
    return find.Between(field, low, high)


def _by_cost(tests: list[tuple[Cost, Test]]) -> list[Test]:
    return [test for _, test in sorted(tests, key=lambda pair: pair[0])]


def _all_of(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda found: all(test(found) for test in tests)


def _any_of(tests: list[Test]) -> Test:
    return tests[0] if len(tests) == 1 else lambda found: any(test(found) for test in tests)


def _leaf(key: keys.SearchKey) -> tuple[Cost, Test]:
    match key:
        case keys.All():
            return Cost.MEMORY, lambda found: True
        case keys.Keyword(present=present):  # a keyword no message here ever had
            return Cost.MEMORY, lambda found: not present
        case keys.Recent(present=present):  # \Recent is never set (clients.md)
            return Cost.MEMORY, lambda found: not present
        case keys.Size(larger=larger, octets=octets):
            return Cost.ROW, (lambda found: found.size > octets) if larger else (lambda found: found.size < octets)
        case keys.Date():
            return Cost.ROW, _date(key)
        case keys.ObjectId(thread=thread, value=value):
            if thread:
                return Cost.ROW, lambda found: found.thread_id == value
            return Cost.ROW, lambda found: found.email_id == value
        case keys.Header():
            return Cost.HEADER, _not_here
        case keys.Body() | keys.Text():
            return Cost.TEXT, _not_here
        case _:
            raise AssertionError(f"unknown search key {type(key).__name__}")


def _within(key: keys.Within, now: int) -> Test:
    """RFC 5032 2: the limit itself is both younger and older."""
    limit = now - key.seconds
    if key.younger:
        return lambda found: found.internal_date >= limit
    return lambda found: found.internal_date <= limit


def _not_here(found: Candidate) -> bool:
    raise AssertionError("texts are looked through by the page")


def _date(key: keys.Date) -> Test:
    day, op = key.day, key.op
    of = _DAY_OF[key.field]
    if op is keys.DateOp.BEFORE:
        return lambda found: of(found) < day
    if op is keys.DateOp.ON:
        return lambda found: of(found) == day
    return lambda found: of(found) >= day


def _internal_day(found: Candidate) -> int:
    return found.internal_date // _DAY


def _saved_day(found: Candidate) -> int:
    return found.save_date // _DAY


def _sent_day(found: Candidate) -> int:
    """Day of the Date field in the sender's own zone; INTERNALDATE's without a valid one (parsing.md)."""
    envelope = found.envelope
    if envelope.startswith(b'("'):
        day = _written_day(envelope[2 : envelope.find(b'"', 2)])
        if day is not None:
            return day
    return found.internal_date // _DAY


_DAY_OF: Final[Mapping[keys.DateField, Callable[[Candidate], int]]] = {
    keys.DateField.INTERNAL: _internal_day,
    keys.DateField.SENT: _sent_day,
    keys.DateField.SAVED: _saved_day,
}


@lru_cache(maxsize=4096)
def _written_day(date: bytes) -> int | None:
    sent = parse_sent_date(date)
    return None if sent is None else sent.day
