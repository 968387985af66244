"""SEARCH criteria compiled to tests, cheap ones first (RFC 3501 6.4.4).

What flags, UIDs and numbers decide is decided from memory; dates and sizes need a row; headers and text are looked
through a page at a time. `Compiler` splits the criteria so that none is read deeper than needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from gateway.mime import parse_sent_date
from gateway.model import sequence
from gateway.wire import search as keys

_DAY: Final = 86_400


class Cost(IntEnum):
    """What a test must read of a message."""

    MEMORY = 0
    ROW = 1
    HEADER = 2
    TEXT = 3


class Candidate:
    """One message under test."""

    __slots__ = ("envelope", "internal_date", "mask", "number", "size", "uid")

    def __init__(
        self, number: int, uid: int, mask: int, internal_date: int = 0, size: int = 0, envelope: bytes = b""
    ) -> None:
        self.number = number
        self.uid = uid
        self.mask = mask
        self.internal_date = internal_date
        self.size = size
        self.envelope = envelope


Test = Callable[[Candidate], bool]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`mask & care == want`, within `within` (numbers) and all of `memory`; then all of `rest`, cheap ones first.

    `cost` is the highest in `rest`.
    """

    care: int
    want: int
    impossible: bool
    within: tuple[keys.Numbers, ...]
    memory: Test | None
    rest: Sequence[tuple[Cost, Test]] | None
    cost: Cost


@dataclass(frozen=True, slots=True)
class Criteria:
    """What a SEARCH asks, with what its names mean in the selected mailbox at that moment; goes to reader processes."""

    key: keys.SearchKey
    exists: int
    last_uid: int
    keywords: Mapping[int, str]

    def compiler(self) -> Compiler:
        return Compiler(exists=self.exists, last_uid=self.last_uid, keywords=self.keywords)

    def compile(self) -> Compiled:
        return self.compiler().compile(self.key)


class Compiler:
    """Knows what names mean in the selected mailbox: numbers, UIDs, keywords."""

    def __init__(self, *, exists: int, last_uid: int, keywords: Mapping[int, str]) -> None:
        self._exists = exists
        self._last_uid = last_uid
        self._bits = {name.lower(): 1 << bit for bit, name in keywords.items()}

    def compile(self, key: keys.SearchKey) -> Compiled:
        care = want = 0
        impossible = False
        within: list[keys.Numbers] = []
        later: list[tuple[Cost, Test]] = []
        for part in key.keys if isinstance(key, keys.And) else (key,):
            flag = self._flag(part)
            if flag is not None:
                bit, present = flag
                wanted = bit if present else 0
                impossible |= bool(care & bit) and want & bit != wanted
                care, want = care | bit, want | wanted
            elif isinstance(part, keys.Numbers):
                within.append(part)
            elif not isinstance(part, keys.All):
                later.append(self._test(part))
        memory = [test for cost, test in later if cost is Cost.MEMORY]
        rest = [pair for pair in later if pair[0] is not Cost.MEMORY]
        return Compiled(
            care,
            want,
            impossible,
            tuple(within),
            _all_of(memory) if memory else None,
            sorted(rest, key=lambda pair: pair[0]) if rest else None,
            max((cost for cost, _ in rest), default=Cost.MEMORY),
        )

    def ranges(self, numbers: keys.Numbers) -> sequence.Ranges:
        return numbers.messages.resolve(self._last_uid if numbers.uid else self._exists)

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
        return _leaf(key)


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
        case keys.Header():
            return Cost.HEADER, _not_here
        case keys.Body() | keys.Text():
            return Cost.TEXT, _not_here
        case _:
            raise AssertionError(f"unknown search key {type(key).__name__}")


def _not_here(found: Candidate) -> bool:
    raise AssertionError("texts are looked through by the page")


def _date(key: keys.Date) -> Test:
    day, op = key.day, key.op
    of: Callable[[Candidate], int] = _sent_day if key.field is keys.DateField.SENT else _internal_day
    if op is keys.DateOp.BEFORE:
        return lambda found: of(found) < day
    if op is keys.DateOp.ON:
        return lambda found: of(found) == day
    return lambda found: of(found) >= day


def _internal_day(found: Candidate) -> int:
    return found.internal_date // _DAY


def _sent_day(found: Candidate) -> int:
    """Day of the Date field in the sender's own zone; INTERNALDATE's without a valid one (parsing.md)."""
    envelope = found.envelope
    if envelope.startswith(b'("'):
        day = _written_day(envelope[2 : envelope.find(b'"', 2)])
        if day is not None:
            return day
    return found.internal_date // _DAY


@lru_cache(maxsize=4096)
def _written_day(date: bytes) -> int | None:
    sent = parse_sent_date(date)
    return None if sent is None else sent.day
