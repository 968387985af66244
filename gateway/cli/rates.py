"""`--per-hour` and `--per-day`: how much an inbox or a key may send."""

from __future__ import annotations

from typing import Any, Final

import click

from .output import Command
from .sizes import parse_limit

DEFAULT: Final = "default"


def rate_options(command: Command) -> Command:
    """For `key create` and `inbox set`."""
    for name in ("day", "hour"):
        option = click.option(
            f"--per-{name}", callback=_rate, metavar="LIMIT",
            help=f"Recipients it may send to in {'a day' if name == 'day' else 'an hour'}. none: no limit; default: as "
            "is configured for all.",
        )
        command = option(command)
    return command


def rates_text(made: dict[str, Any]) -> str:
    """The rates of an inbox or key in a few words."""
    said = [f"{made[f'per_{name}']} a{'n' if name == 'hour' else ''} {name}" for name in ("hour", "day")
            if made[f"per_{name}"]]  # fmt: skip
    none = any(made[f"per_{name}"] == 0 for name in ("hour", "day"))
    return ", ".join(said) or ("no limit" if none else "as configured")


def _rate(_context: click.Context, _parameter: click.Parameter, text: str | None) -> int | None:
    """As the operations take it: 0 for none, -1 for the default."""
    return -1 if text == DEFAULT else parse_limit(text, octets=False)
