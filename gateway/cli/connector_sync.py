"""gateway connector sync: a look at the account now, with its progress."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from gateway.control.frames import Frame

from .output import json_option, octets, print_json
from .runtime import Runtime, pass_runtime

EXIT_FAILED: Final = 1


@click.command("sync", short_help="Sync now, with progress.")
@click.argument("name")
@click.option("--pod", help="The pod of the connector, where several have one of this name.")
@click.option("--logs", is_flag=True, help="Show what was said, without secrets.")
@click.option("--folder", default="", help="Only this one now: its name in the account, a role or a pattern.")
@click.option("--since", default="", help="Older mail is left for later: a date, or an age such as 30d.")
@click.option("--confirm", is_flag=True, help="What is gone from the account in large numbers is really gone.")
@json_option
@pass_runtime
def connector_sync(
    runtime: Runtime, name: str, pod: str | None, logs: bool, folder: str, since: str, confirm: bool, as_json: bool
) -> None:
    """Sync a connector now and wait until it is done. The exit status is 1 when it failed.

    \b
    Example:
      gateway connector sync work --logs
      gateway connector sync work --folder INBOX --since 30d
    """
    with click.progressbar(length=0, label="Syncing", file=sys.stderr, show_eta=True) as bar:

        async def on_frame(frame: Frame) -> None:
            if isinstance(frame, dict) and "progress" in frame:
                told = frame["progress"]
                bar.length = max(told["expected"], told["imported"])
                bar.update(max(0, told["imported"] - bar.pos))

        done = runtime.call(
            "connector.sync", name=name, pod=pod, logs=logs, confirm=confirm, folder=folder, since=since,
            on_frame=on_frame,
        )  # fmt: skip
    if as_json:
        print_json(done)
    elif not done["waited"]:
        click.echo("Another process of this store has the connector; it was asked to sync.")
    else:
        _print(name, done)
    if done["waited"] and not done["success"]:
        sys.exit(EXIT_FAILED)


def _print(name: str, done: dict[str, Any]) -> None:
    for line in done["logs"]:
        click.echo(f"  {line}")
    for note in done["notes"]:
        click.echo(f"  {note}")
    if not done["success"]:
        click.echo(f"{name}: {done['failure']}: {done['message']}")
        return
    click.echo(f"{name}: {counted(done)}.")


def counted(done: Mapping[str, Any]) -> str:
    """What came of a sync, on one line."""
    said = [f"{done['imported']} new ({octets(done['octets'])})"]
    said += [f"{done[key]} {text}" for key, text in (
        ("flags", "flags changed"), ("vanished", "gone"), ("remapped", "found again"), ("pushed", "sent up"),
        ("poisoned", "cannot be had"),
    ) if done.get(key)]
    folders = done.get("folders", 0)
    return ", ".join((*said, f"{folders} folder{'' if folders == 1 else 's'}"))
