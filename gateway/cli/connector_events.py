"""gateway connector events: what connectors did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from .connector_sync import counted
from .output import cell, json_option, octets, print_json
from .runtime import Runtime, pass_runtime

Json = Any
WAIT_S: Final = 30
PAGE: Final = 500
NAMED: Final = 3
"""Recipients of a mail that its line names."""


@click.command("events", short_help="What connectors did, with logs.")
@click.argument("name", required=False)
@click.option("--pod", help="The pod of the connector, where several have one of this name.")
@click.option("--kind", type=click.Choice(["sync", "send"]), help="Only syncs, or only mail that was sent.")
@click.option("--failed", is_flag=True, help="Only what failed.")
@click.option("--unseen", is_flag=True, help="Only what nobody has marked as seen.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many, the newest ones.")
@click.option("--logs", is_flag=True, help="With their logs.")
@click.option("--follow", is_flag=True, help="Go on showing what happens, until you press Ctrl-C.")
@click.option("--mark-seen", is_flag=True, help="Mark what is shown as seen.")
@json_option
@pass_runtime
def connector_events(
    runtime: Runtime, /, name: str | None, logs: bool, follow: bool, mark_seen: bool, as_json: bool, limit: int,
    **wanted: Any,
) -> None:
    """What connectors did, the newest last: each sync, and each mail sent through an account.

    \b
    Examples:
      gateway connector events work --failed --logs
      gateway connector events --follow
    """
    found = runtime.call("connector.events", name=name, limit=limit, **wanted)
    _show(runtime, found["events"], logs=logs, mark_seen=mark_seen, as_json=as_json, whole=not follow)
    while follow:
        found = runtime.call(
            "connector.events", name=name, limit=PAGE, after=_next(found), wait=WAIT_S, **wanted
        )
        _show(runtime, found["events"], logs=logs, mark_seen=mark_seen, as_json=as_json, whole=False)


def _next(found: Mapping[str, Json]) -> int:
    """Behind what was shown; where nothing was, behind all there is."""
    events = found["events"]
    return int(events[-1]["id"] if events else found["last"])


def _of_sync(event: Mapping[str, Json]) -> str:
    """What came of it; nothing where it has failed before anything did."""
    detail = event["detail"]
    counts = {**detail, "imported": detail.get("emailSyncCount", 0), "octets": event["size"] or 0}
    return counted(counts) if event["status"] == "SUCCESS" or counts["imported"] else ""


def _of_send(event: Mapping[str, Json]) -> str:
    names = [cell(each["address"]) for each in event["detail"].get("recipients", ())]
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    size = f" ({octets(event['size'])})" if event["size"] is not None else ""
    return f"to {shown}{size}" if names else ""


def _show(
    runtime: Runtime, events: list[dict[str, Json]], *, logs: bool, mark_seen: bool, as_json: bool, whole: bool
) -> None:
    """`whole`: as JSON one list, else one object a line."""
    if logs:
        events = [runtime.call("connector.event", number=event["id"]) for event in events]
    if as_json and whole:
        print_json(events)
    elif as_json:
        for event in events:
            print_json(event)
    elif not events and whole:
        click.echo("There are none.", err=True)
    else:
        for event in events:
            _print(event)
    if mark_seen and events:
        runtime.call("connector.seen", numbers=[event["id"] for event in events])


def _print(event: Mapping[str, Json]) -> None:
    said = [_of_sync(event) if event["kind"] == "SYNC" else _of_send(event)]
    if event["failure"]:
        said.append(f"{event['failure']}: {cell(event['message'] or '')}")
    elif event["message"]:
        said.append(cell(event["message"]))
    click.echo("  ".join((
        event["at"], event["kind"], cell(event["connector"]), event["status"], "; ".join(text for text in said if text),
    )).rstrip())  # fmt: skip
    for line in event.get("log", ()):
        click.echo(f"    {cell(line)}")
