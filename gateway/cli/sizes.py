"""Amounts on the command line: octets, and limits that may be none."""

from __future__ import annotations

import re
from typing import Final

import click

_SIZE: Final = re.compile(r"([0-9]{1,15})\s*(?:([KMGT])(?:i?B)?)?", re.IGNORECASE)
_FACTOR: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MOST: Final = 2**63 - 1
NONE: Final = "none"


def parse_size(text: str) -> int:
    """`500M` or `2 GiB` -> octets, powers of 1,024; ValueError else."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise ValueError("no size")
    octets = int(found[1]) * _FACTOR[(found[2] or "").upper()]
    if octets > _MOST:
        raise ValueError("too large")
    return octets


def parse_limit(text: str | None, *, octets: bool) -> int | None:
    """A limit as the operations take it: 0 for `none`, and None for no text. click.BadParameter."""
    if text is None:
        return None
    if text == NONE:
        return 0
    try:
        limit = parse_size(text) if octets else int(text)
    except ValueError:
        limit = 0
    if not 0 < limit <= _MOST:
        example = "a size such as 500M or 2G" if octets else "a number"
        raise click.BadParameter(f"{text!r} is no limit; write {example}, or none")
    return limit


def size_limit(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """The callback of an option that limits octets."""
    return parse_limit(text, octets=True)


def count_limit(context: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """The callback of an option that limits a number of things."""
    return parse_limit(text, octets=False)
