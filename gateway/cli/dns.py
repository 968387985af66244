"""gateway dns: the records that let mail programs find this server."""

from __future__ import annotations

from dataclasses import asdict

import click

from .output import json_option, print_json
from .runtime import Runtime, pass_runtime


def register(root: click.Group) -> None:
    root.add_command(dns)


@click.command(short_help="DNS records to paste, so that mail programs find this server.")
@click.argument("domain")
@json_option
@pass_runtime
def dns(runtime: Runtime, domain: str, as_json: bool) -> None:
    """The DNS records by which mail programs find the settings for addresses of DOMAIN, as lines of a zone file.

    \b
    SRV    IMAP and submission (RFC 6186, RFC 8314); "0 0 0 ." says that a service is not offered
    CNAME  autoconfig (Thunderbird and others) and autodiscover (Outlook)

    Nothing is looked up or changed. There is no MX record: that one belongs to the server that takes mail for DOMAIN.
    """
    from gateway.app.dns_records import records

    wanted = records(runtime.config, domain)
    if as_json:
        print_json(asdict(wanted))
        return
    for record in wanted.records:
        click.echo(record.line())
    for note in wanted.notes:
        click.echo(note, err=True)
