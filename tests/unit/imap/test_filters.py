"""Filters in search criteria: what they may cost, and what becomes of filters that stand in many places."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.imap import filters
from gateway.wire import search as keys

KEY = b"SUBJECT pears"


def ors(part: bytes, count: int) -> bytes:
    return b"OR " * (count - 1) + b" ".join([part] * count)


def expanded(criteria: bytes, stored: Mapping[str, bytes]) -> keys.SearchKey:
    named = {filters.VALUES + name: value for name, value in stored.items()}
    return filters._Expansion(named).of(filters.parsed(criteria))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The filters that were parsed."""
    found: list[bytes] = []
    parsed = filters.parsed

    def counted(value: bytes) -> keys.SearchKey:
        found.append(value)
        return parsed(value)

    monkeypatch.setattr(filters, "parsed", counted)
    return found


def test_a_filter_in_many_places_is_read_once(read: list[bytes]) -> None:
    found = expanded(ors(b"FILTER a", 100), {"a": b"FILTER b FILTER B", "b": KEY})
    assert read[1:] == [b"FILTER b FILTER B", KEY]
    assert found == expanded(ors(b"(%b %b)" % (KEY, KEY), 100), {})


def test_a_large_filter_in_many_places_is_never_put_there(read: list[bytes]) -> None:
    """A thousand keys a thousand times were read and put together first: 17 seconds of the loop."""
    stored = {"a": ors(KEY, 990), "b": ors(b"FILTER a", 990)}
    for criteria in (ors(b"FILTER a", 990), ors(b"FILTER b", 990), b"FILTER a FILTER a"):
        read.clear()
        with pytest.raises(filters.Refused) as refused:
            expanded(criteria, stored)
        assert refused.value.reply.code == b"LIMIT"
        assert len(read) == len(set(read))
    assert expanded(b"FILTER a SEEN", stored) == expanded(ors(KEY, 990) + b" SEEN", {})


def test_filters_do_not_nest_criteria_deeper_than_commands_do() -> None:
    deep = b"NOT (SEEN NOT (SEEN " * 12 + b"%b" + b"))" * 12
    stored = {"a": deep % KEY, "b": deep % b"FILTER a", "c": deep % b"FILTER b", "d": deep % b"FILTER c"}
    assert expanded(b"FILTER a", stored) == filters.parsed(deep % KEY)
    with pytest.raises(filters.Refused) as refused:
        expanded(b"FILTER d", stored)
    assert refused.value.reply.code == b"LIMIT"


def test_passes_count_where_a_filter_stands(read: list[bytes]) -> None:
    """Also of one that is known already from a place with fewer of them."""
    chain = {f"f{at}": b"FILTER f%d" % (at - 1) for at in range(2, 7)} | {"f1": KEY}
    assert expanded(b"FILTER f5", chain) == filters.parsed(KEY)
    for criteria in (b"FILTER f6", b"FILTER f5 FILTER f6", b"FILTER f6 FILTER f5"):
        with pytest.raises(filters.Refused, match="no such filter"):
            expanded(criteria, chain)
