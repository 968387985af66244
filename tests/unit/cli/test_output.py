from __future__ import annotations

import json

import pytest

from gateway.cli.output import cell, octets, show_list


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10 << 20, "10.0 MiB"), (3 << 50, "3072.0 TiB")],
)
def test_sizes_for_people(count: int, text: str) -> None:
    assert octets(count) == text


def test_a_value_cannot_steer_the_terminal() -> None:
    assert cell("red\x1b[31m\r\nx") == "red�[31m��x"
    assert cell(None) == "-"
    assert cell([True, "a"]) == "yes, a"


def test_a_table_is_aligned_and_an_empty_one_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"a": "x", "b": 1}, {"a": "long", "b": None}]
    show_list(rows, {"a": "First", "b": "Second"}, as_json=False)
    assert capsys.readouterr().out == "FIRST  SECOND\nx      1\nlong   -\n"
    show_list([], {"a": "First"}, as_json=False, empty="Nothing here.")
    out = capsys.readouterr()
    assert (out.out, out.err) == ("", "Nothing here.\n")


def test_json_keeps_every_field_and_an_empty_list_is_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    show_list([{"a": "ä", "hidden": 2}], {"a": "First"}, as_json=True)
    assert json.loads(capsys.readouterr().out) == [{"a": "ä", "hidden": 2}]
    show_list([], {"a": "First"}, as_json=True)
    assert json.loads(capsys.readouterr().out) == []
