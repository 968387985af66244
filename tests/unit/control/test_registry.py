from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.control.operations import operations, run
from gateway.control.operations.registry import operation
from gateway.model.errors import InvalidRequest

NOTHING: Any = None


async def _sample(
    context: Any, stream: Any, *, name: str, count: int = 1, tags: list[str] | None = None, deep: bool = False
) -> Any:
    return [name, count, tags, deep]


@pytest.fixture(autouse=True)
def _table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(operations, "test.sample", _sample)


def call(params: dict[str, Any], name: str = "test.sample") -> Any:
    return asyncio.run(run(NOTHING, NOTHING, name, params))


def test_parameters_reach_the_operation_and_defaults_hold() -> None:
    assert call({"name": "x"}) == ["x", 1, None, False]
    assert call({"name": "x", "count": 2, "tags": ["a"], "deep": True}) == ["x", 2, ["a"], True]
    assert call({"name": "x", "tags": None}) == ["x", 1, None, False]


@pytest.mark.parametrize(
    "params",
    [{}, {"name": 1}, {"name": "x", "count": True}, {"name": "x", "count": "1"}, {"name": "x", "tags": "a"},
     {"name": "x", "tags": [1]}, {"name": "x", "deep": 1}, {"name": "x", "other": 1}, {"name": "x", "context": 1}],
)
def test_what_the_annotations_do_not_allow_is_refused(params: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=r"test\.sample"):
        call(params)


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no operation"):
        call({}, "no.such")


def test_a_name_is_given_once() -> None:
    with pytest.raises(ValueError, match="two operations"):
        operation("inbox.add")(_sample)
