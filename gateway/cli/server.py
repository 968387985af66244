"""gateway init | serve."""

from __future__ import annotations

import asyncio
import sys

import click

from .output import json_option, print_json
from .runtime import Runtime, pass_runtime


def register(root: click.Group) -> None:
    root.add_command(init)
    root.add_command(serve)


@click.command(short_help="Make store, certificate, first inbox and key.")
@json_option
@pass_runtime
def init(runtime: Runtime, as_json: bool) -> None:
    """Make the store, a certificate, the first inbox and its key; repeating it changes nothing.

    The key is shown this once. Lost it? gateway key create --inbox ADDRESS makes another.
    """
    from gateway.app.first_run import initialise
    from gateway.app.welcome import block, client_settings

    runtime.here()
    made = asyncio.run(initialise(runtime.config))
    settings = client_settings(runtime.config, made.address, made.key)
    if as_json:
        print_json(settings.as_dict())
        return
    if made.key is None:
        click.echo(f"{runtime.config.store.data_dir} has a store already; nothing was changed.")
    click.echo(block(settings))


@click.command()
@click.option("--init", is_flag=True, help="First make what is missing: store, certificate, inbox, key.")
@pass_runtime
def serve(runtime: Runtime, init: bool) -> None:
    """Serve until SIGTERM or Ctrl-C.

    \b
    SIGTERM  stop accepting, finish what runs, end within 10 s; a second one ends at once
    SIGHUP   load certificates and settings again
    """
    from gateway.app.serve import Process

    process = Process(runtime.loaded, init=init, announce=lambda text: click.echo(text) if text else None)
    sys.exit(process.run())
