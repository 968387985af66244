"""After a crash in the middle of an operation: look first, do again only what was not done."""

from __future__ import annotations

import pytest

from gateway.connectors.plan.resume import Evidence, Next, Resumed, can_begin, resume_append, resume_move, verified

EVIDENCE = Evidence(folder=3, uidvalidity=7, uidnext=100, message_id="<a@b>")
NONE: frozenset[int] = frozenset()


def test_evidence_survives_a_row() -> None:
    assert Evidence.of_json(EVIDENCE.as_json()) == EVIDENCE


@pytest.mark.parametrize("value", [{}, {**EVIDENCE.as_json(), "uidnext": "100"}, {**EVIDENCE.as_json(), "key": 1}])
def test_evidence_that_is_none(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="evidence"):
        Evidence.of_json(value)


def test_what_could_not_be_found_again_is_not_begun() -> None:
    assert can_begin(EVIDENCE)
    assert can_begin(Evidence(3, 7, 100, key="oid:1"))
    assert not can_begin(Evidence(3, 7, 100))


@pytest.mark.parametrize(
    ("uidvalidity", "found", "taken", "resumed"),
    [
        (7, [105, 103], NONE, Resumed(Next.ADOPT, 103)),
        (7, [99, 12], NONE, Resumed(Next.AGAIN)),
        (7, [], NONE, Resumed(Next.AGAIN)),
        (7, [103], frozenset({103}), Resumed(Next.AGAIN)),
        (8, [103], NONE, Resumed(Next.LOOK)),
    ],
)
def test_append(uidvalidity: int, found: list[int], taken: frozenset[int], resumed: Resumed) -> None:
    assert resume_append(EVIDENCE, uidvalidity, found, taken) == resumed


@pytest.mark.parametrize(
    ("found", "source_present", "copy", "resumed"),
    [
        ([], True, False, Resumed(Next.AGAIN)),
        ([], False, False, Resumed(Next.DROP)),
        ([104], False, False, Resumed(Next.ADOPT, 104)),
        ([104], True, False, Resumed(Next.FINISH, 104)),
        ([104], True, True, Resumed(Next.ADOPT, 104)),
        ([], True, True, Resumed(Next.AGAIN)),
    ],
)
def test_move(found: list[int], source_present: bool, copy: bool, resumed: Resumed) -> None:
    assert resume_move(EVIDENCE, 7, found, NONE, source_present=source_present, copy=copy) == resumed


def test_move_into_a_folder_that_was_made_anew() -> None:
    assert resume_move(EVIDENCE, 8, [1], NONE, source_present=True, copy=False) == Resumed(Next.LOOK)


def test_pairs_of_copyuid_are_put_right_by_ids() -> None:
    pairs = {1: 11, 2: 12, 3: 13}
    keys = {11: "b", 12: "a", 13: None}
    assert verified(pairs, keys, {1: "a", 2: "b", 3: "c"}) == {1: 12, 2: 11, 3: 13}
    assert verified(pairs, {}, {}) == pairs
    assert verified({1: 11}, {11: "other"}, {1: "a"}) == {}
