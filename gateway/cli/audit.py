"""gateway audit: who did what."""

from __future__ import annotations

import json
import pwd
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from .output import cell, json_option, print_json
from .runtime import Runtime, pass_runtime

Json = Any
WAIT_S: Final = 30
PAGE: Final = 500
_USER: Final = "uid "


def register(root: click.Group) -> None:
    root.add_command(audit)


@click.command(short_help="Who changed what, and when.")
@click.option("--who", help='Only of this one: "uid 0", the part of a key that is no secret, or "key NAME".')
@click.option("--via", type=click.Choice(["control", "http", "login"]), help="Only by commands, over HTTP, or logins.")
@click.option("--what", help='Only this: an operation such as key.create, or "DELETE /api/v1/keys/{key}".')
@click.option("--failed", is_flag=True, help="Only what came to nothing.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, the newest ones.")
@click.option("--follow", is_flag=True, help="Go on showing what happens, until you press Ctrl-C.")
@json_option
@pass_runtime
def audit(runtime: Runtime, /, limit: int, follow: bool, as_json: bool, **wanted: Any) -> None:
    """Who changed what, the newest last: commands, changes over HTTP, and logins in a browser.

    \b
    Examples:
      gateway audit --what key.create
      gateway audit --follow --json
    """
    found = runtime.call("audit.list", limit=limit, **wanted)
    _show(found["entries"], as_json=as_json, whole=not follow)
    last = found["last"]
    while follow:
        found = runtime.call("audit.list", limit=PAGE, after=last, wait=WAIT_S, **wanted)
        _show(found["entries"], as_json=as_json, whole=False)
        last = found["entries"][-1]["id"] if len(found["entries"]) == PAGE else max(last, found["last"])


def _show(entries: Sequence[Mapping[str, Json]], *, as_json: bool, whole: bool) -> None:
    """`whole`: as JSON one list, else one object a line."""
    if as_json and whole:
        print_json(list(entries))
        return
    if not entries and whole:
        click.echo("There are none.", err=True)
    for entry in entries:
        click.echo(json.dumps(entry, ensure_ascii=False) if as_json else _line(entry))


def _line(entry: Mapping[str, Json]) -> str:
    who = _user(entry["who"]) if entry["key"] is None else f"{entry['who']} ({entry['key']})"
    said = (entry["at"], who, entry["source"], entry["what"], entry["target"], entry["outcome"])
    return "  ".join(cell(text) for text in said if text)


def _user(who: str) -> str:
    """The name of a user of this machine."""
    number = who.removeprefix(_USER)
    if who == number or not number.isdecimal():
        return who
    try:
        return f"{pwd.getpwuid(int(number)).pw_name} ({who})"
    except KeyError:
        return who
