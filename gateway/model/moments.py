"""Moments as text, always in UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import formatdate
from functools import lru_cache


def rfc3339(unix: float) -> str:
    """`2026-11-21T09:24:05Z` (RFC 3339 5.6)."""
    return datetime.fromtimestamp(unix, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=4)  # whatever arrives in one second, and all recipients of a report, bear the same
def rfc5322(unix: int) -> str:
    """`Sat, 21 Nov 2026 09:24:05 +0000` (RFC 5322 3.3)."""
    return formatdate(unix).replace("-0000", "+0000")
