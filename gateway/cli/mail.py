"""gateway mailbox | message: what lies in an inbox, and bringing mail in and out."""

from __future__ import annotations

import click

from .output import json_option
from .runtime import Runtime, pass_runtime
from .tenants import print_mailboxes


def register(root: click.Group) -> None:
    root.add_command(mailbox)


@click.group()
def mailbox() -> None:
    """Mailboxes (folders) of an inbox."""


@mailbox.command("list")
@click.argument("inbox")
@json_option
@pass_runtime
def mailbox_list(runtime: Runtime, inbox: str, as_json: bool) -> None:
    """List the mailboxes of an inbox."""
    print_mailboxes(runtime.call("mailbox.list", inbox=inbox), as_json=as_json)
