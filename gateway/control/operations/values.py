"""Rows of the store as JSON for people and scripts: times in ISO 8601 UTC, ids that may be shown."""

from __future__ import annotations

from gateway.model import moments


def moment(unix: int | None) -> str | None:
    """Unix seconds as `2026-01-31T12:00:00Z`; None stays None."""
    return None if unix is None else moments.rfc3339(unix)
