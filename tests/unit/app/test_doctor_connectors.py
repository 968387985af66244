"""What the doctor says of connected accounts."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.app.doctor import Level, check_connectors


def row(name: str, state: str, failures: int = 0, **more: Any) -> dict[str, Any]:
    given = {"name": name, "address": f"{name}@elsewhere.test", "state": state, "failures": failures, "reason": None,
             "advice": None, "next_try": None}  # fmt: skip
    return given | more


def findings(*rows: dict[str, Any]) -> list[tuple[Level, str, str]]:
    return [(each.level, each.text, each.remedy) for each in check_connectors(lambda op: list(rows))]


def test_without_accounts_nothing_is_said() -> None:
    assert findings() == []


def test_what_works_is_counted() -> None:
    [(level, text, remedy)] = findings(row("a", "live"), row("b", "syncing"), row("c", "disabled"))
    assert (level, text, remedy) == (Level.OK, "3 of 3 have no trouble", "")


@pytest.mark.parametrize("state", ["auth_failed", "quarantined", "full"])
def test_what_somebody_must_end_is_a_problem(state: str) -> None:
    [(level, text, remedy)] = findings(row("a", state, 3, reason="no {entry}", advice="Check {this}."))
    assert level is Level.PROBLEM
    assert text == f"a (a@elsewhere.test): {state}, no {{entry}}"
    assert remedy == "Check {this}."


def test_what_is_tried_again_is_a_warning() -> None:
    first, second = findings(row("a", "backoff", 2, next_try="2026-01-31T12:00:00Z"), row("b", "live"))
    assert first[0] is Level.WARNING
    assert "tried again 2026-01-31T12:00:00Z" in first[1]
    assert first[2] == "gateway connector show a"
    assert second[1] == "1 of 2 have no trouble"


def test_what_waits_for_a_word_names_the_command() -> None:
    [(level, _, remedy)] = findings(row("a", "confirm"))
    assert level is Level.PROBLEM
    assert "gateway connector sync a --confirm" in remedy
