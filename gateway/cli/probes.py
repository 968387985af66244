"""How the test of an account looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from .output import cell

Json = Any


def print_probe(probe: Mapping[str, Json], *, logs: bool) -> None:
    """Its steps, and what helps where one failed; with `logs` what was said."""
    click.echo(f"{probe['side'].upper()}: {'works' if probe['success'] else 'does not work'}")
    for step in probe["steps"]:
        mark = "ok    " if step["ok"] else "failed"
        click.echo(f"  {mark} {step['name']:<13}{step['ms']:>6} ms  {cell(step['text'])}")
    if not probe["success"]:
        click.echo(f"  {probe['failure']}: {probe['advice']}")
        if probe["said"]:
            click.echo(f"  The server said: {cell(probe['said'])}")
    if logs:
        for line in probe["logs"][len(probe["steps"]):]:
            click.echo(f"    {cell(line)}")
