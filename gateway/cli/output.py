"""How results look: JSON for scripts, aligned columns for people, and a progress bar where work takes long."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import click

Json = Any
Command = TypeVar("Command", bound=Callable[..., Any])

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")


def json_option(command: Command) -> Command:
    """`--json` on a command that lists or shows."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts.")(command)


def print_json(value: Json) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_rows(rows: Sequence[Mapping[str, Json]], columns: Mapping[str, str], empty: str) -> None:
    """A table of `columns` (key -> heading); `empty` is what to say when there is nothing."""
    if not rows:
        click.echo(empty, err=True)
        return
    cells = [[cell(row.get(key)) for key in columns] for row in rows]
    heads = [head.upper() for head in columns.values()]
    widths = [max(len(line[at]) for line in [heads, *cells]) for at in range(len(heads))]
    for line in [heads, *cells]:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def print_fields(value: Mapping[str, Json], columns: Mapping[str, str]) -> None:
    """One thing, a line a field."""
    width = max(len(head) for head in columns.values())
    for key, head in columns.items():
        click.echo(f"{head.ljust(width)}  {cell(value.get(key))}")


def cell(value: Json) -> str:
    """A value as a person reads it: on one line, nothing that a terminal would act on."""
    if value is None:
        return "-"
    if value is True:
        return "yes"
    if value is False:
        return "no"
    if isinstance(value, list):
        return ", ".join(cell(item) for item in value) or "-"
    return "".join(char if char.isprintable() else "�" for char in str(value))


def octets(count: int) -> str:
    """A size for people: 1536 -> 1.5 KiB."""
    size = float(count)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError("the last unit always returns")


def show_list(
    rows: Sequence[Mapping[str, Json]], columns: Mapping[str, str], *, as_json: bool, empty: str = "There are none."
) -> None:
    """Rows as JSON or as a table."""
    if as_json:
        print_json(list(rows))
    else:
        print_rows(rows, columns, empty)


def with_sizes(rows: Iterable[Mapping[str, Json]], *keys: str) -> list[dict[str, Json]]:
    """Copies of the rows with the octet counts under `keys` written for people."""
    return [{**row, **{key: octets(row[key]) for key in keys if row.get(key) is not None}} for row in rows]
