"""Ranges and file names of downloads."""

from __future__ import annotations

import pytest

from gateway.web.api.downloads import disposition, window


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None), ("bytes=0-9", (0, 10)), ("bytes=5-", (5, 100)), ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=99-", (99, 100)), ("bytes=0-1000", (0, 100)), ("Bytes = 1 - 2 ", (1, 3)),
        ("bytes=100-", False), ("bytes=100-200", False), ("bytes=-0", False),
        # Not understood, or more than one: all of it (RFC 9110 14.2).
        ("bytes=9-5", None), ("bytes=0-1,3-4", None), ("bytes=-", None), ("bytes=a-", None), ("items=0-1", None),
        ("bytes=" + "9" * 30 + "-", None),
    ],
)  # fmt: skip
def test_windows(header: str | None, found: object) -> None:
    assert window(header, 100) == found


def test_there_is_no_range_of_nothing() -> None:
    assert window("bytes=0-", 0) is False
    assert window("bytes=-0", 0) is False
    assert window("bytes=-5", 0) is None


@pytest.mark.parametrize(
    ("name", "field"),
    [
        (None, "attachment"),
        ("a.txt", "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"),
        ('a"\\;b', "attachment; filename=\"a__;b\"; filename*=UTF-8''a%22%5C%3Bb"),
        ("ä/..\r\nX: y", "attachment; filename=\"__..__X_ y\"; filename*=UTF-8''%C3%A4%2F..%0D%0AX%3A%20y"),
    ],
)
def test_names_cannot_leave_their_field(name: str | None, field: str) -> None:
    assert disposition(name) == field
