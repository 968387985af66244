"""gateway config: what is in force, and whether it can be."""

from __future__ import annotations

import click

from gateway.config import as_dict, render_example, show

from .output import json_option, print_json
from .runtime import Runtime, pass_runtime


def register(root: click.Group) -> None:
    root.add_command(config)


@click.group()
def config() -> None:
    """The configuration in force."""


@config.command("show")
@json_option
@pass_runtime
def config_show(runtime: Runtime, as_json: bool) -> None:
    """Print every setting as it is in force; secrets are hidden."""
    if as_json:
        print_json(as_dict(runtime.config))
    else:
        click.echo(show(runtime.config))


@config.command("check", short_help="Say whether the configuration can be used.")
@pass_runtime
def config_check(runtime: Runtime) -> None:
    """Say whether the configuration can be used; one line that names file, key and reason if not."""
    path = runtime.loaded.path
    click.echo(f"{path} is fine." if path else "There is no configuration file; the defaults are in force.")


@config.command("example", short_help="Print a configuration file with every setting.")
def config_example() -> None:
    """Print a configuration file with every setting, its meaning and its default."""
    click.echo(render_example(), nl=False)
