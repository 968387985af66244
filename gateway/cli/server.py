"""gateway init | serve."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
@click.option("--test-mode", is_flag=True, help="For tests of your own code: any address is an inbox, nothing leaves.")
@click.option("--data-dir", type=click.Path(file_okay=False, path_type=Path),
              help="Test mode: keep mail there (a new directory, or one that test mode made); else nothing is kept.")
@click.option("--free-ports", is_flag=True, help="Test mode: take ports that are free instead of the usual ones.")
@click.option("--web", is_flag=True, help="Test mode: serve the HTTP API too.")
@click.option("--until-eof", is_flag=True, help="Test mode: stop when standard input ends.")
@click.option("--json", "as_json", is_flag=True, help="Test mode: print ports and key as a line of JSON.")
@pass_runtime
def serve(runtime: Runtime, /, init: bool, test_mode: bool, **test: Any) -> None:
    """Serve until SIGTERM or Ctrl-C.

    \b
    SIGTERM  stop accepting, finish what runs, end within 10 s; a second one ends at once
    SIGHUP   load certificates and settings again
    """
    from gateway.app.serve import Process

    gc.disable()  # until all is built, for it all stays: a tenth of a start

    def announce(text: str) -> None:
        if text:
            click.echo(text)

    if not test_mode:
        if chosen := [name for name, value in test.items() if value]:
            raise click.UsageError(f"--{chosen[0].removeprefix('as_').replace('_', '-')} is for --test-mode")
        sys.exit(Process(runtime.loaded, init=init, announce=announce).run())
    if init:
        raise click.UsageError("--init is for mail in earnest")
    sys.exit(_test_mode(runtime, announce, **test))


def _test_mode(
    runtime: Runtime, announce: Callable[[str], None], data_dir: Path | None, until_eof: bool, **more: bool
) -> int:
    """A configuration is read only when the command line names one: what lies about may be somebody's real one."""
    from gateway.app.serve import Process
    from gateway.app.test_mode import prepared
    from gateway.config import Loaded

    with prepared(runtime.config if runtime.named else None, data_dir, **more) as test:
        loaded = Loaded(test.config, None)
        return Process(loaded, init=False, announce=announce, test=test, until_eof=until_eof).run()
