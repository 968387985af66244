"""gateway queue route: which way mail goes."""

from __future__ import annotations

import click

from .output import json_option, print_fields, print_json
from .queue import queue
from .runtime import Runtime, pass_runtime


def register(root: click.Group) -> None:
    queue.add_command(route)


@click.command("route")
@click.argument("sender", metavar="FROM")
@click.argument("recipient", metavar="TO")
@json_option
@pass_runtime
def route(runtime: Runtime, sender: str, recipient: str, as_json: bool) -> None:
    """Show which way mail between two addresses goes, and why.

    FROM is the address that the mail is sent with (MAIL FROM), "<>" for mail without a return address.

    \b
    Example:
      gateway queue route alice@mail.example bob@example.net
    """
    shown = runtime.call("queue.route", sender=sender, recipient=recipient)
    if as_json:
        print_json(shown)
        return
    heads = {
        "sender": "From", "recipient": "To", "way": "Goes", "inbox": "Inbox", "reply": "Reply",
        "connector": "Connector", "relay": "Relay", "hosts": "Hosts", "why": "Why",
    }
    print_fields(shown, {key: head for key, head in heads.items() if key in shown})
