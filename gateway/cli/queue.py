"""gateway queue: mail on its way out."""

from __future__ import annotations

import click

from .output import json_option, print_fields, print_json, show_list
from .runtime import Runtime, pass_runtime


def register(root: click.Group) -> None:
    root.add_command(queue)


@click.group()
def queue() -> None:
    """Mail on its way to the relay."""


@queue.command("list")
@click.option("--inbox", help="Only mail that this inbox sent.")
@click.option("--state", type=click.Choice(["queued", "sending", "deferred", "held", "sent", "bounced", "cancelled"]))
@json_option
@pass_runtime
def queue_list(runtime: Runtime, inbox: str | None, state: str | None, as_json: bool) -> None:
    """List recipients that wait, one a line."""
    show_list(runtime.call("queue.list", inbox=inbox, state=state), {
        "id": "Id", "inbox": "Inbox", "sender": "From", "recipient": "To", "state": "State", "attempts": "Tries",
        "next_attempt_at": "Next try", "text": "Last answer",
    }, as_json=as_json, empty="The queue is empty.")


@queue.command("show")
@click.argument("submission", metavar="ID")
@json_option
@pass_runtime
def queue_show(runtime: Runtime, submission: str, as_json: bool) -> None:
    """Show one message of the queue with all its recipients."""
    shown = runtime.call("queue.show", submission=submission)
    if as_json:
        print_json(shown)
        return
    print_fields(shown, {"id": "Id", "inbox": "Inbox", "sender": "From", "size": "Octets", "created_at": "Accepted"})
    click.echo()
    show_list(shown["recipients"], {
        "recipient": "To", "state": "State", "attempts": "Tries", "next_attempt_at": "Next try", "code": "Code",
        "text": "Last answer",
    }, as_json=False)


@queue.command("retry")
@click.argument("submission", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All that waits, also what is held after a restore.")
@pass_runtime
def queue_retry(runtime: Runtime, submission: str | None, everything: bool) -> None:
    """Try again now."""
    _one_or_all(submission, everything)
    count = runtime.call("queue.retry", submission=submission)
    click.echo(f"{count} recipient{'s are' if count != 1 else ' is'} tried now.")


@queue.command("cancel")
@click.argument("submission", metavar="ID", required=False)
@click.option("--all", "everything", is_flag=True, help="All that waits.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_runtime
def queue_cancel(runtime: Runtime, submission: str | None, everything: bool, yes: bool) -> None:
    """Give up what waits, without a bounce message."""
    _one_or_all(submission, everything)
    if everything and not yes:
        click.confirm("Cancel all mail that waits?", abort=True)
    count = runtime.call("queue.cancel", submission=submission)
    click.echo(f"{count} recipient{'s are' if count != 1 else ' is'} cancelled.")


def _one_or_all(submission: str | None, everything: bool) -> None:
    if (submission is None) is not everything:
        raise click.UsageError("Name one message by its ID (gateway queue list), or give --all.")
