"""After a crash in the middle of an operation: look first, do again only what was not done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.connectors.plan.resume import Evidence, verified

EVIDENCE = Evidence(folder=3, uidvalidity=7, uidnext=100, message_id="<a@b>")


@pytest.mark.parametrize("evidence", [EVIDENCE, replace(EVIDENCE, key="gm:1", trash=(9, 12))])
def test_evidence_survives_a_row(evidence: Evidence) -> None:
    assert Evidence.of_json(evidence.as_json()) == evidence


def test_evidence_of_an_earlier_build_tells_nothing_of_trash() -> None:
    row = {name: value for name, value in EVIDENCE.as_json().items() if name != "trash"}
    assert Evidence.of_json(row) == EVIDENCE


@pytest.mark.parametrize(
    "change", [{"uidnext": "100"}, {"key": 1}, {"trash": [1]}, {"trash": [1, "2"]}, {"trash": "12"}, {"trash": 7}]
)
def test_evidence_that_is_none(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="evidence"):
        Evidence.of_json({**EVIDENCE.as_json(), **change})


def test_evidence_that_lacks_a_field() -> None:
    with pytest.raises(ValueError, match="evidence"):
        Evidence.of_json({})


def test_pairs_of_copyuid_are_put_right_by_ids() -> None:
    pairs = {1: 11, 2: 12, 3: 13}
    keys = {11: "b", 12: "a", 13: None}
    assert verified(pairs, keys, {1: "a", 2: "b", 3: "c"}) == {1: 12, 2: 11, 3: 13}
    assert verified(pairs, {}, {}) == pairs
    assert verified({1: 11}, {11: "other"}, {1: "a"}) == {}
