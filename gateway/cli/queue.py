"""gateway queue: mail on its way out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from .output import json_option, print_fields, print_json, show_list
from .runtime import Runtime, pass_runtime

Command = TypeVar("Command", bound=Callable[..., Any])

STATES: Final = ("queued", "sending", "deferred", "held", "sent", "bounced", "cancelled")
REASONS: Final = ("approval", "scheduled", "operator", "outcome", "route", "restore", "key")
LIMIT: Final = 1_000


def register(root: click.Group) -> None:
    root.add_command(queue)


@click.group()
def queue() -> None:
    """Mail on its way to other servers.

    A message has a row for each recipient: queued (not tried yet), sending, deferred (tried, and tried again later),
    held (until somebody decides); then sent, bounced or cancelled.

    ID is the one of the list, or the one that the sender was told ("250 2.0.0 Accepted as ID").

    \b
    Why something is held (--reason):
    approval   it waits for somebody's consent
    scheduled  a draft, which is sent at its time
    operator   gateway queue hold
    outcome    its last attempt may have delivered it
    route      a rule of the routes says so
    restore    it is from a backup, and may have been sent since
    """


def _filters(command: Command) -> Command:
    """What picks recipients."""
    for option in (
        click.option("--reason", type=click.Choice(REASONS), help="Only what is held for this reason."),
        click.option("--from", "sender", metavar="SENDER", help='Only from this address or domain; "<>": reports.'),
        click.option("--to", metavar="RECIPIENT", help="Only to this address or domain."),
        click.option("--state", type=click.Choice(STATES), help="Only in this state."),
        click.option("--inbox", metavar="ADDRESS", help="Only mail that this inbox sent."),
    ):
        command = option(command)
    return command


def _chosen(command: Command) -> Command:
    """One message, or all that fits."""
    for option in (
        json_option,
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "everything", is_flag=True, help="All that fits the filters; without any: all."),
        _filters,
        click.argument("submission", metavar="[ID]", required=False),
    ):
        command = option(command)
    return command


@queue.command("list", short_help="List what waits, why, and when it goes next.")
@_filters
@click.option("--limit", type=click.IntRange(min=1), default=LIMIT, show_default=True, help="Rows at most.")
@json_option
@pass_runtime
def queue_list(runtime: Runtime, /, limit: int, as_json: bool, **filters: Any) -> None:
    """List recipients, one a line, with why they wait and when they are tried next.

    Without --state: all that is not done. --json has the inbox too.
    """
    rows = runtime.call("queue.list", limit=limit + 1, **filters)
    show_list(rows[:limit], {
        "id": "Id", "sender": "From", "recipient": "To", "state": "State", "attempts": "Tries",
        "next_attempt_at": "Next try", "why": "Why",
    }, as_json=as_json, empty="The queue is empty." if not any(filters.values()) else "Nothing in the queue fits.")
    if len(rows) > limit:
        click.echo(f"There are more than {limit}: --limit shows them, gateway queue stats counts them.", err=True)


@queue.command("show", short_help="Show all that happened to a message.")
@click.argument("submission", metavar="ID")
@json_option
@pass_runtime
def queue_show(runtime: Runtime, submission: str, as_json: bool) -> None:
    """Show one message: its recipients, and all that happened to it in the order of time."""
    shown = runtime.call("queue.show", submission=submission)
    if as_json:
        print_json(shown)
        return
    print_fields(shown, {
        "id": "Id", "inbox": "Inbox", "sender": "From", "message_id": "Message-ID", "size": "Octets",
        "created_at": "Accepted", "release_at": "Not before", "finished_at": "Finished",
    })
    click.echo()
    show_list([{**each, "state": _state(each)} for each in shown["recipients"]], {
        "recipient": "To", "state": "State", "attempts": "Tries", "next_attempt_at": "Next try", "code": "Code",
        "text": "Last answer",
    }, as_json=False)
    click.echo()
    show_list(shown["history"], {
        "at": "When", "recipient": "To", "event": "What", "remote": "Server", "code": "Code", "enhanced": "Status",
        "text": "Words",
    }, as_json=False)


def _state(recipient: dict[str, Any]) -> str:
    """With what it is held for, as `--reason` calls it."""
    reason = recipient["hold_reason"] if recipient["state"] == "held" else None
    return f"held ({reason})" if reason else str(recipient["state"])


def _last(of: dict[str, Any]) -> str | None:
    """The last reply, on one line."""
    return " ".join(str(of[part]) for part in ("code", "enhanced", "text") if of[part]) or None


@queue.command("stats")
@click.option("--limit", type=click.IntRange(min=1), help="Domains at most.  [default: 50]")
@json_option
@pass_runtime
def queue_stats(runtime: Runtime, limit: int | None, as_json: bool) -> None:
    """Count what waits, by state, by domain and by next hop.

    Next hops are those that the running server has met since its start: attempts under way, and whether the breaker is
    open: then nothing is tried until the time that is shown, when one attempt probes it. Some are no servers: (here)
    are inboxes of this gateway, hold and discard are what rules say.
    """
    found = runtime.call("queue.stats", limit=limit)
    if as_json:
        print_json(found)
        return
    states = ", ".join(f"{count} {state}" for state, count in found["states"].items())
    print_fields(
        {**found, "states": states},
        {"recipients": "Recipients", "states": "States", "due": "Due now", "oldest_at": "Oldest since"},
    )
    if found["next_hops"]:
        click.echo()
        show_list(found["next_hops"], {
            "name": "Next hop", "waiting": "Waiting", "active": "Active", "places": "Places", "rate": "Rate",
            "breaker": "Breaker", "until": "Until", "last": "Last answer",
        }, as_json=False)
    if found["destinations"]:
        click.echo()
        show_list([{**each, "last": _last(each)} for each in found["destinations"]], {
            "domain": "Domain", "recipients": "Recipients", "active": "Active", "due": "Due", "deferred": "Deferred",
            "held": "Held", "oldest_at": "Oldest since", "next_attempt_at": "Next try", "last": "Last answer",
        }, as_json=False)


@queue.command("retry")
@_chosen
@pass_runtime
def queue_retry(runtime: Runtime, /, **choice: Any) -> None:
    """Try again now what was deferred or is held.

    What waits for consent or for its time is left alone: gateway queue release. What was held and has a release time
    waits for that again.
    """
    _change(runtime, "queue.retry", choice, "Try all this now?", "tried again")


@queue.command("hold")
@_chosen
@pass_runtime
def queue_hold(runtime: Runtime, /, **choice: Any) -> None:
    """Keep what waits until it is released. What is being sent this moment is not stopped."""
    _change(runtime, "queue.hold", choice, "Hold all this?", "held")


@queue.command("release")
@_chosen
@pass_runtime
def queue_release(runtime: Runtime, /, **choice: Any) -> None:
    """Let go what is held.

    One message that is named goes whatever it is held for, and before its release time too when it waits for that.
    With --all, what waits for consent goes only with --reason approval, scheduled drafts with --reason scheduled.
    """
    _change(runtime, "queue.release", choice, "Release all this?", "released")


@queue.command("cancel")
@_chosen
@pass_runtime
def queue_cancel(runtime: Runtime, /, **choice: Any) -> None:
    """Give up what waits, without a bounce message. What is being sent this moment is not stopped."""
    _change(runtime, "queue.cancel", choice, "Cancel all this?", "cancelled")


def _change(runtime: Runtime, op: str, choice: dict[str, Any], question: str, done: str) -> None:
    everything, yes, as_json = (choice.pop(name) for name in ("everything", "yes", "as_json"))
    if (choice["submission"] is None) is not everything:
        raise click.UsageError("Name one message by its ID (gateway queue list), or give --all.")
    if everything and not yes:
        click.confirm(question, abort=True, err=True)
    count = runtime.call(op, **choice)
    if as_json:
        print_json({"recipients": count})
    else:
        click.echo(f"{count} recipient{'s are' if count != 1 else ' is'} {done}.")
        if not count:
            click.echo("What fits is so already, done, being sent, or left alone by this command (--help).", err=True)
