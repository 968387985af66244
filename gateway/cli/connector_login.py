"""gateway connector login: from passwords to OAuth, or once more where a provider has withdrawn its consent."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from .logging_in import WAYS, LoginOptions, log_in
from .probes import print_probe
from .runtime import Runtime, pass_runtime

EXIT_FAILED: Final = 1


@click.command("login", short_help="Log in at the account's provider (OAuth).")
@click.argument("name")
@click.option("--pod", help="The pod of the connector, where several have one of this name.")
@click.option("--app", metavar="NAME", help="Application of gateway oauth list; the provider's only one without it.")
@click.option("--way", type=click.Choice(sorted(WAYS)), default="browser", show_default=True,
              help="browser; device: a code to type elsewhere; client, service: for a whole company.")
@click.option("--paste", is_flag=True, help="Do not wait for a browser on this machine.")
@click.option("--shared-with", "shared", multiple=True, metavar="ADDRESS",
              help="Who may log in for the account, where it is a shared mailbox; repeat it.")
@pass_runtime
def connector_login(
    runtime: Runtime, name: str, pod: str | None, app: str | None, way: str, paste: bool, shared: tuple[str, ...]
) -> None:
    """Log in at the provider of a connector's account, and test the connection with what that gives.

    The application must be there first: gateway oauth add --help

    \b
    Examples:
      gateway connector login work
      gateway connector login office --way device --app contoso
    """
    shown = runtime.call("connector.show", name=name, pod=pod)
    sides = tuple(side for side in ("imap", "smtp") if shown["options"][side]["enabled"])
    options = LoginOptions(
        app or _only_app(runtime, shown), shown["address"], WAYS[way], sides, shared, shown["grant"], listen=not paste
    )
    made = log_in(runtime, options)
    runtime.call("connector.set", name=shown["id"], grant=made["id"])
    probes = runtime.call("connector.test", name=shown["id"])
    for probe in probes:
        print_probe(probe, logs=False)
    if not all(probe["success"] for probe in probes):
        sys.exit(EXIT_FAILED)


def logs_in(shown: Mapping[str, Any]) -> bool:
    """Whether a connector needs a login at its provider: nobody has given a password, and there is OAuth."""
    from gateway.connectors.presets import PRESETS

    preset = PRESETS.get(shown["provider"] or "")
    secrets = [shown["options"][side]["secret"] for side in ("imap", "smtp")]
    return preset is not None and preset.oauth is not None and not any(secrets)


def _only_app(runtime: Runtime, shown: dict[str, Any]) -> str:
    """The one application that can be meant."""
    from gateway.connectors.presets import PRESETS

    preset = PRESETS.get(shown["provider"] or "")
    if preset is not None and preset.oauth is None and preset.name != "custom":
        raise click.UsageError(f"{preset.title} gives no access by OAuth. {preset.help}")
    rows = runtime.call("oauth.app.list")
    fitting = [row["name"] for row in rows if preset is None or row["provider"] in (preset.oauth, "custom")]
    if len(fitting) == 1:
        return str(fitting[0])
    if not fitting:
        raise click.UsageError(
            "There is no application of this provider yet: register one there, then gateway oauth add --help"
        )
    raise click.UsageError(f"Name the application: --app {' | '.join(fitting)}")
