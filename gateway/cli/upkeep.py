"""gateway doctor | backup | restore."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from gateway.model.errors import AlreadyExists, GatewayError

from .output import json_option, octets, print_json
from .runtime import Runtime, pass_runtime

NO_STORE: Final = "mend this first"  # nothing else can be asked of a store that cannot be opened

if TYPE_CHECKING:
    from gateway.app.doctor import Finding


def register(root: click.Group) -> None:
    root.add_command(doctor)
    root.add_command(backup)
    root.add_command(restore)


@click.command(short_help="Is everything as it should be? If not, what to do.")
@click.option("--inbox", help="The inbox that logs in and gets the test message; else the first one.")
@click.option("--dns", is_flag=True, help="Also look up the SRV records of the inbox's domain.")
@click.option("--store", "store_only", is_flag=True, help="Check the store alone, and thoroughly: every octet too.")
@click.option("--repair", is_flag=True, help="Mend what can be: counters, content nobody refers to.")
@json_option
@pass_runtime
def doctor(runtime: Runtime, inbox: str | None, dns: bool, store_only: bool, repair: bool, as_json: bool) -> None:
    """Check configuration, certificate, ports, relay and store, and log in and send through the ports.

    Each finding says what to do. The exit status is 0 when nothing is a problem.

    \b
    Examples:
      gateway doctor --dns
      gateway doctor --store          without a server too
    """
    findings = []
    chosen = _store(runtime, True, repair) if store_only else _everything(runtime, inbox, dns=dns, repair=repair)
    for finding in chosen:
        findings.append(finding)
        if not as_json:
            _print(finding)
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    levels = [finding.level.value for finding in findings]
    problems, warnings = levels.count("problem"), levels.count("warning")
    if not as_json:
        click.echo(_summary(problems, warnings))
    sys.exit(1 if problems else 0)


def _summary(problems: int, warnings: int) -> str:
    told = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in
            ((problems, "problem"), (warnings, "warning")) if count]
    return f"{' and '.join(told)} found." if told else "All is well."


def _store(runtime: Runtime, deep: bool, repair: bool) -> Iterator[Finding]:
    from gateway.app.doctor import check_trigrams
    from gateway.app.doctor.findings import problem, well

    runtime.here()
    try:
        broken = runtime.call("store.check", deep=deep, mend=repair)
    except GatewayError as error:
        yield problem("store", str(error), NO_STORE)
        return
    yield from (problem("store", f"{row['text']} ({row['code']})", row["remedy"]) for row in broken)
    if not broken:
        yield well("store", "consistent" + (", every message's octets too" if deep else ""))
    if deep:
        yield from check_trigrams(runtime.config)


def _everything(runtime: Runtime, inbox: str | None, *, dns: bool, repair: bool) -> Iterator[Finding]:
    from gateway.app import doctor as checks
    from gateway.app.doctor.findings import Level, problem

    runtime.here()
    config = runtime.config
    yield from checks.check_configuration(runtime.loaded)
    yield from checks.check_certificate(config)
    ports = list(checks.check_ports(config))
    yield from ports
    yield from checks.check_relay(config)
    store = list(_store(runtime, False, repair))
    yield from store
    if store[-1].remedy == NO_STORE:
        return
    try:
        yield from checks.check_connectors(runtime.call)
        address = inbox or _first_inbox(runtime)
        if address is None:
            yield problem("mail", "there is no inbox", "gateway inbox add someone@your.domain")
            return
        # Without a server nothing answers: said once, by the ports.
        if any(finding.level is Level.OK for finding in ports):
            yield from checks.check_mail(config, runtime.call, address, time.time())
    except GatewayError as error:
        yield problem("mail", str(error), "name an inbox that is there: gateway doctor --inbox ADDRESS")
        return
    if dns:
        yield from checks.check_dns(config, address.rpartition("@")[2])


def _first_inbox(runtime: Runtime) -> str | None:
    rows = runtime.call("inbox.list")
    return str(rows[0]["address"]) if rows else None


def _print(finding: Finding) -> None:
    marks = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "problem": ("FAIL", "red")}
    mark, colour = marks[finding.level.value]
    click.echo(f"{click.style(mark.ljust(4), fg=colour)}  {finding.area}: {finding.text}")
    if finding.remedy:
        click.echo(f"      -> {finding.remedy}")


@click.command(short_help="Back the store up, beside a running server too.")
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--with-master-key", is_flag=True, help="Put it inside: whoever has the backup has all secrets.")
@json_option
@pass_runtime
def backup(runtime: Runtime, destination: Path, with_master_key: bool, as_json: bool) -> None:
    """Back the store up, beside a running server too, and verify the copy.

    DESTINATION becomes a directory, or one file if it ends with .tar, .tar.gz or .tgz; in a directory that exists, a
    new .tar file with the time in its name. Certificates are not in it.

    \b
    Examples:
      gateway backup /var/backups/gateway
      gateway backup gateway.tar.gz
    """
    from gateway.app.storage import backup_store

    runtime.here()
    now = int(time.time())
    if destination.is_dir():
        if (destination / "manifest.json").exists():
            raise AlreadyExists(f"{destination} is a backup already: name another directory")
        destination /= time.strftime("gateway-%Y%m%dT%H%M%SZ.tar", time.gmtime(now))
    manifest = asyncio.run(backup_store(runtime.config, destination, now=now, with_master_key=with_master_key))
    size = sum(file.size for file in manifest.files)
    if as_json:
        print_json({
            "path": str(destination), "inboxes": manifest.inboxes, "messages": manifest.messages, "octets": size,
            "includes_master_key": manifest.includes_master_key,
        })
        return
    inside = "The master key is inside: keep it safe." if with_master_key else "The master key is not inside."
    click.echo(f"{destination}: {manifest.inboxes} inboxes, {manifest.messages} messages ({octets(size)}). {inside}")


@click.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@json_option
@pass_runtime
def restore(runtime: Runtime, source: Path, as_json: bool) -> None:
    """Restore a backup where no store is. The server must not run.

    Mailboxes get a new UIDVALIDITY, and mail in the queue is held: it may have gone out since the backup was made.
    """
    from gateway.app.storage import restore_store

    runtime.here()
    report = asyncio.run(restore_store(runtime.config, source, now=int(time.time())))
    held = [
        {"id": one.submission_uuid, "sender": one.mail_from or "<>", "recipient": one.address} for one in report.held
    ]
    if as_json:
        print_json({"messages": report.manifest.messages, "inboxes": report.manifest.inboxes, "held": held,
                    "master_key_restored": report.master_key_restored})
        return
    click.echo(f"Restored {report.manifest.inboxes} inboxes with {report.manifest.messages} messages.")
    if held:
        click.echo("Held, for it may have gone out since; `gateway queue retry ID` or `gateway queue cancel ID`:")
        for row in held:
            click.echo(f"  {row['id']}  {row['sender']} -> {row['recipient']}")
