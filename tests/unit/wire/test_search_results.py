"""Responses of commands that search."""

from __future__ import annotations

from gateway.wire import search_results as results
from gateway.wire.search_results import CLOSE, OPEN


def test_numbers():
    assert results.numbers(b"SEARCH", []) == b"* SEARCH\r\n"
    assert results.numbers(b"SEARCH", [2, 84, 882]) == b"* SEARCH 2 84 882\r\n"
    assert results.numbers(b"SORT", [5, 3], 917162500) == b"* SORT 5 3 (MODSEQ 917162500)\r\n"


def test_esearch():
    data = [results.minimum(1), results.all_([(1, 2)]), results.count(2), results.modseq(9)]
    assert results.esearch(b"a", True, data) == b'* ESEARCH (TAG "a") UID MIN 1 ALL 1:2 COUNT 2 MODSEQ 9\r\n'
    assert results.esearch(b"a", False, []) == b'* ESEARCH (TAG "a")\r\n'
    assert results.esearch(b"t", True, [results.all_([(4, 4)])], source=("folder 1", 7)) == (
        b'* ESEARCH (TAG "t" MAILBOX "folder 1" UIDVALIDITY 7) UID ALL 4\r\n'
    )
    assert results.partial(b"-1:-5", []) == b"PARTIAL (-1:-5 NIL)"
    assert results.relevancy([4, 99, 42]) == b"RELEVANCY (4 99 42)"
    assert results.added([(0, [(32768, 32769)])]) == b"ADDTO (0 32768:32769)"
    assert results.removed([(3, [(7, 7)]), (1, [(5, 6)])]) == b"REMOVEFROM (3 7 1 5:6)"


def test_threads():
    """RFC 5256 4, the examples of THREAD's response."""
    first = [OPEN, 2, CLOSE, OPEN, 3, 6, OPEN, 4, 23, CLOSE, OPEN, 44, 7, 96, CLOSE, CLOSE]
    assert results.threads(first) == b"* THREAD (2)(3 6 (4 23)(44 7 96))\r\n"
    assert results.threads([OPEN, OPEN, 3, CLOSE, OPEN, 5, CLOSE, CLOSE]) == b"* THREAD ((3)(5))\r\n"
    assert results.threads([]) == b"* THREAD\r\n"
