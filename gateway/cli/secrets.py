"""gateway secret: the key that seals stored passwords and tokens."""

from __future__ import annotations

import click

from .output import json_option, print_json
from .runtime import Runtime, pass_runtime


def register(root: click.Group) -> None:
    root.add_command(secret)


@click.group(short_help="The key that seals stored passwords and tokens.")
def secret() -> None:
    """Passwords and tokens of connectors are sealed by a master key: store.master_key, or master.key in data_dir."""


@secret.command("rotate")
@click.option("--forget-old", "forget", is_flag=True, help="Remove the old keys; backups of before will need them.")
@json_option
@pass_runtime
def secret_rotate(runtime: Runtime, forget: bool, as_json: bool) -> None:
    """Draw a new master key and seal everything anew. A command that was cut off is simply given again.

    Where the configuration gives the key, put a new one before the old one there first, on all nodes, and restart.
    """
    done = runtime.call("secrets.rotate", forget=forget)
    if as_json:
        print_json(done)
        return
    click.echo(f"{done['resealed']} secrets are sealed by the new key {done['key_id']}.")
    for place in done["damaged"]:
        click.echo(f"No key opens {place}: it was left as it is; enter it again.", err=True)
    if not done["forgotten"]:
        click.echo("The old key was kept, for backups of before need it.")


@secret.command("abandon")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_runtime
def secret_abandon(runtime: Runtime, yes: bool) -> None:
    """Give up all sealed passwords and tokens, when the master key is lost for good. Enter them anew afterwards."""
    if not yes:
        click.confirm("Remove all stored passwords and tokens of connectors, which no key opens?", abort=True)
    gone = runtime.call("secrets.abandon")
    click.echo(f"{gone['removed']} secrets are removed. Log in again (gateway oauth login), set passwords anew.")
