"""gateway list: whom inboxes may write to, and whose mail they take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from .output import json_option, print_json, show_list
from .runtime import Runtime, pass_runtime

Command = TypeVar("Command", bound=Callable[..., Any])

DIRECTIONS: Final = click.Choice(["send", "receive", "reply"])


def register(root: click.Group) -> None:
    root.add_command(lists)


def place_options(command: Command) -> Command:
    """Whom a list is for."""
    command = click.option("--pod", help="For the inboxes of this pod.")(command)
    return click.option("--inbox", help="For this inbox.")(command)


@click.group("list")
def lists() -> None:
    """Allow and block lists, for everybody, a pod or an inbox.

    An entry is an address, a domain, or .domain for all domains below it. The narrowest scope that says anything
    wins, and in it the entry that is nearest to the address. As soon as a scope allows anybody in a direction, it
    blocks there whoever it does not list.

    \b
    send     to whom mail may be sent
    receive  whose mail is taken
    reply    whose answers are taken to mail that the inbox has sent
    """


@lists.command("add", short_help="Allow or block an address or a domain.")
@click.argument("direction", type=DIRECTIONS)
@click.argument("verdict", type=click.Choice(["allow", "block"]))
@click.argument("pattern", metavar="ADDRESS|DOMAIN")
@place_options
@click.option("--reason", help="Why; shown in lists.")
@pass_runtime
def list_add(
    runtime: Runtime, direction: str, verdict: str, pattern: str, pod: str | None, inbox: str | None,
    reason: str | None,
) -> None:
    """Allow or block an address or a domain.

    \b
    Examples:
      gateway list add receive block spam.example
      gateway list add receive allow boss@corp.example --inbox alice@mail.example
      gateway list add send allow corp.example --pod acme
    """
    made = runtime.call(
        "list.add", direction=direction, verdict=verdict, pattern=pattern, pod=pod, inbox=inbox, reason=reason
    )
    whose = made["inbox"] or (f"pod {made['pod']}" if made["pod"] else "everybody")
    click.echo(f"{direction.capitalize()}: {verdict} {made['pattern']} for {whose}.")


@lists.command("remove")
@click.argument("direction", type=DIRECTIONS)
@click.argument("pattern", metavar="ADDRESS|DOMAIN")
@place_options
@pass_runtime
def list_remove(runtime: Runtime, direction: str, pattern: str, pod: str | None, inbox: str | None) -> None:
    """Take an entry away."""
    runtime.call("list.remove", direction=direction, pattern=pattern, pod=pod, inbox=inbox)
    click.echo(f"{direction.capitalize()}: nothing is said of {pattern} there any more.")


@lists.command("list")
@click.option("--direction", type=DIRECTIONS, help="Only this list.")
@place_options
@json_option
@pass_runtime
def list_list(runtime: Runtime, direction: str | None, pod: str | None, inbox: str | None, as_json: bool) -> None:
    """List the entries."""
    rows = runtime.call("list.list", direction=direction, pod=pod, inbox=inbox)
    show_list(rows, {
        "direction": "Direction", "verdict": "Verdict", "pattern": "Pattern", "scope": "Scope", "pod": "Pod",
        "inbox": "Inbox", "reason": "Reason",
    }, as_json=as_json, empty="There are no lists: everybody may write to everybody.")


@lists.command("check")
@click.argument("direction", type=DIRECTIONS)
@click.argument("address")
@click.option("--inbox", required=True, help="The inbox that sends or receives.")
@json_option
@pass_runtime
def list_check(runtime: Runtime, direction: str, address: str, inbox: str, as_json: bool) -> None:
    """Say what holds for an address, and why."""
    said = runtime.call("list.check", direction=direction, address=address, inbox=inbox)
    if as_json:
        print_json(said)
        return
    click.echo(f"{direction.capitalize()}: {address} is {'allowed' if said['allowed'] else 'blocked'} for {inbox}"
               f" ({said['why']}).")
