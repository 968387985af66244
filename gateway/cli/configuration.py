"""gateway config: what is in force, and whether it can be."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from gateway.config import Config, Secret, as_dict, render_example, show

from .output import json_option, print_json
from .runtime import Runtime, pass_runtime

if TYPE_CHECKING:
    from gateway.app.doctor import Finding


def register(root: click.Group) -> None:
    root.add_command(group)


@click.group("config")
def group() -> None:
    """The configuration in force."""


@group.command("show")
@json_option
@pass_runtime
def config_show(runtime: Runtime, as_json: bool) -> None:
    """Print every setting as it is in force; secrets are hidden."""
    if as_json:
        print_json(as_dict(runtime.config))
    else:
        click.echo(show(runtime.config))


@group.command("check", short_help="Say whether the configuration can be used.")
@pass_runtime
def config_check(runtime: Runtime) -> None:
    """Say whether the configuration can be used; one line that names file, key and reason if not.

    The certificate files that it names are opened. A systemd credential cannot be: that is said.
    """
    path, config = runtime.loaded.path, runtime.config
    runtime.here()
    wrong = False
    for finding in _named_certificate(config):
        level = finding.level.value
        if level != "ok":
            wrong = wrong or level == "problem"
            click.echo(f"{level} with the {finding.area}: {finding.text}\n  -> {finding.remedy}", err=True)
    if wrong:
        sys.exit(1)
    unseen = list(_withheld(config))
    for name in unseen:
        click.echo(f"{name} is a systemd credential, which the service alone can read: it was not checked.")
    if path is None:
        click.echo("There is no configuration file; the defaults are in force.")
    else:
        click.echo(f"Everything else in {path} is fine." if unseen else f"{path} is fine.")


def _named_certificate(config: Config) -> list[Finding]:
    """What is to be said of the files in [tls]; the local CA's own are made when they are needed."""
    if config.tls.certificate is None:
        return []
    from gateway.app.doctor import check_certificate

    return list(check_certificate(config))


def _withheld(config: Config) -> Iterator[str]:
    """The settings whose values cannot be read here."""
    for section in dataclasses.fields(config):
        values = getattr(config, section.name)
        if dataclasses.is_dataclass(values):
            for field in dataclasses.fields(values):
                value = getattr(values, field.name)
                if isinstance(value, Secret) and value.withheld:
                    yield f"{section.name}.{field.name}"


@group.command("example", short_help="Print a configuration file with every setting.")
def config_example() -> None:
    """Print a configuration file with every setting, its meaning and its default."""
    click.echo(render_example(), nl=False)
