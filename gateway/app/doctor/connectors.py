"""Connected accounts: which of them do not work, and what helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from .findings import Finding, problem, warning, well

Call = Callable[..., Any]
AREA: Final = "accounts"
_STUCK: Final = frozenset({"auth_failed", "quarantined", "confirm", "full"})
"""States that somebody has to end; the others are tried again by themselves."""


def check_connectors(call: Call) -> Iterator[Finding]:
    """Nothing where there are none."""
    rows = call("connector.list")
    if not rows:
        return
    working = 0
    for row in rows:
        state, name = row["state"], row["name"]
        text = f"{name} ({row['address']}): {state}" + (f", {row['reason']}" if row["reason"] else "")
        remedy = row["advice"] or f"gateway connector show {name}"
        if state == "confirm":
            remedy = f"if that is right: gateway connector sync {name} --confirm"
        if state in _STUCK:
            yield problem(AREA, text, remedy)
        elif row["failures"]:
            yield warning(AREA, f"{text}; tried again {row['next_try'] or 'by itself'}", remedy)
        else:
            working += 1
    if working:
        yield well(AREA, f"{working} of {len(rows)} have no trouble")
