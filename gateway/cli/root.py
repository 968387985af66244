"""The command's root: options all commands share, and what happens to errors."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from gateway.model.errors import GatewayError

from .interruptible import EXIT_INTERRUPTED
from .runtime import Runtime

EXIT_FAILED: Final = 1


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--config", "config_path", metavar="FILE", type=click.Path(dir_okay=False),
    help="Configuration file; else $GATEWAY_CONFIG, ./config.toml, /etc/gateway/config.toml, or the defaults.",
)
@click.version_option(package_name="mail-gateway", prog_name="gateway")
@click.pass_context
def root(context: click.Context, config_path: str | None) -> None:
    """An IMAP/SMTP gateway: mail clients and scripts log in with an inbox address and an API key.

    \b
    Start here:
      gateway serve --init                        first inbox and key, then serve
      gateway domain add mail.example             a domain whose mail is delivered here
      gateway inbox add alice@mail.example        another inbox
      gateway key create --inbox alice@mail.example --name laptop
      gateway doctor                              is everything as it should be?

    Every command but restore works beside a running server: it acts through the server's control socket, so that
    open mail clients see the change at once.
    """
    context.obj = Runtime(config_path)


def commands() -> click.Group:
    """The root with all commands below it."""
    from . import (
        audit,
        configuration,
        connectors,
        dns,
        keys,
        lists,
        mail,
        oauth,
        queue,
        remote,
        routes,
        secrets,
        server,
        tenants,
        upkeep,
    )

    for module in (
        server, configuration, tenants, keys, lists, connectors, remote, oauth, mail, queue, routes, upkeep, secrets,
        dns, audit,
    ):  # fmt: skip
        module.register(root)
    return root


def run() -> None:
    """Run the command; errors are one line and a non-zero exit, never a traceback."""
    try:
        commands().main(prog_name="gateway", standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(EXIT_INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except GatewayError as error:
        click.echo(f"gateway: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except BrokenPipeError:
        # The reader (head, less) has enough. Python would complain again while flushing at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"gateway: {where}{error.strerror or error}", err=True)
        sys.exit(EXIT_FAILED)
    except Exception:
        error_id, place = _record_defect()
        click.echo(f"gateway: unexpected error {error_id}; {place} tells what happened. Please report it.", err=True)
        sys.exit(EXIT_FAILED)


def _record_defect() -> tuple[str, Path]:
    """Write the traceback where only this user can read it; its id and file."""
    error_id = secrets.token_hex(4)
    handle, name = tempfile.mkstemp(prefix=f"gateway-{error_id}-", suffix=".log")
    with os.fdopen(handle, "w") as file:
        file.write(f"{datetime.now(UTC).isoformat()} error {error_id}\n")
        traceback.print_exc(file=file)
    return error_id, Path(name)
