"""Orders by keys."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.sorting import insert, ordered

ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([b"", b"A", b"B"])), max_size=30)


def test_reverse_turns_its_own_key_only():
    dates, subjects = [3, 1, 2, 1], [b"B", b"A", b"A", b"A"]
    assert ordered([subjects, dates], [False, True], 4) == [2, 1, 3, 0]  # RFC 5256 3: equal ones by number
    assert ordered([subjects], [True], 4) == [0, 1, 2, 3]
    assert ordered([], [], 3) == [0, 1, 2]


@given(ROWS, ROWS, st.booleans(), st.booleans())
def test_messages_that_come_later_stand_where_a_new_sort_would_put_them(
    old: list[tuple[int, bytes]], new: list[tuple[int, bytes]], first: bool, second: bool
):
    rows, reverse = old + new, [first, second]
    columns = [[row[0] for row in rows], [row[1] for row in rows]]
    order = array("I", ordered([column[: len(old)] for column in columns], reverse, len(old)))
    for uid in range(len(old), len(rows)):
        insert(order, uid, rows[uid], reverse, rows.__getitem__)
    assert order.tolist() == ordered(columns, reverse, len(rows))
