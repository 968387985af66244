"""Options of connectors as a command line gathers them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.connector_options import described, gathered
from gateway.model.errors import InvalidRequest


def said(*pairs: str, file: Path | None = None) -> Any:
    return gathered(
        user=None, secret=None, imap_host=None, smtp_host=None, no_imap=False, no_smtp=False, mode=None, interval=None,
        pairs=pairs, file=None if file is None else str(file),
    )  # fmt: skip


@pytest.mark.parametrize(
    "pairs",
    [
        ("imap.mechanism=cram-md5,plain",),
        ("imap.mechanism=cram-md5", "imap.mechanism=plain"),
        ("imap.mechanism = CRAM-MD5, plain",),
    ],
)
def test_mechanisms_are_a_list_with_commas_or_said_again(pairs: tuple[str, ...]) -> None:
    assert said(*(pair.replace(" = ", "=") for pair in pairs)) == {"imap": {"mechanism": ["cram-md5", "plain"]}}


def test_one_mechanism_is_one() -> None:
    assert said("smtp.mechanism=login") == {"smtp": {"mechanism": ["login"]}}
    with pytest.raises(InvalidRequest, match=r"command line: smtp\.mechanism: .* is none of"):
        said("smtp.mechanism=x")


def test_what_takes_one_value_is_what_was_said_last() -> None:
    assert said("imap.host=a.example", "imap.host=b.example") == {"imap": {"host": "b.example"}}


@pytest.mark.parametrize("value", ['"login"', '["login"]'])
def test_a_file_may_say_either(tmp_path: Path, value: str) -> None:
    file = tmp_path / "connector.toml"
    file.write_text(f"[imap]\nmechanism = {value}\n")
    assert said(file=file) == {"imap": {"mechanism": ["login"]}}
    assert said("imap.mechanism=plain,login", file=file) == {"imap": {"mechanism": ["plain", "login"]}}


def test_what_it_is_unless_somebody_says_so() -> None:
    (row,) = [row for row in described() if row["option"] == "imap.mechanism"]
    assert row["default"] == ["auto"]
