"""gateway pod | domain | inbox | address: who has mail here, and under which addresses."""

from __future__ import annotations

from typing import Any

import click

from .output import Command, json_option, octets, print_fields, print_json, show_list, with_sizes
from .rates import rate_options, rates_text
from .runtime import Runtime, pass_runtime
from .sizes import count_limit, size_limit

DEFAULT_POD = "default"


def register(root: click.Group) -> None:
    for group in (pod, domain, inbox, address):
        root.add_command(group)


@click.group()
def pod() -> None:
    """Tenants: inboxes, keys and domains belong to one."""


@pod.command("add")
@click.argument("name")
@pass_runtime
def pod_add(runtime: Runtime, name: str) -> None:
    """Make a pod.

    \b
    Example:
      gateway pod add acme
    """
    runtime.call("pod.add", name=name)
    click.echo(f"Pod {name} is there.")


@pod.command("list")
@json_option
@pass_runtime
def pod_list(runtime: Runtime, as_json: bool) -> None:
    """List the pods."""
    show_list(runtime.call("pod.list"), {"name": "Name", "created_at": "Created", "id": "Id"}, as_json=as_json)


@pod.command("delete")
@click.argument("name")
@pass_runtime
def pod_delete(runtime: Runtime, name: str) -> None:
    """Remove an empty pod."""
    runtime.call("pod.delete", name=name)
    click.echo(f"Pod {name} is gone.")


@click.group()
def domain() -> None:
    """Mail domains and the pod each belongs to."""


@domain.command("add")
@click.argument("name")
@click.option("--pod", default=DEFAULT_POD, show_default=True, help="The pod the domain belongs to.")
@click.option(
    "--not-local", is_flag=True,
    help="Mail to unknown addresses of the domain goes to the relay instead of being refused.",
)
@pass_runtime
def domain_add(runtime: Runtime, name: str, pod: str, not_local: bool) -> None:
    """Add a mail domain. Mail to it is delivered here.

    \b
    Example:
      gateway domain add mail.example --pod acme
    """
    runtime.call("domain.add", name=name, pod=pod, local=not not_local)
    click.echo(f"Domain {name} is there. Next: gateway inbox add someone@{name}")


@domain.command("list")
@json_option
@pass_runtime
def domain_list(runtime: Runtime, as_json: bool) -> None:
    """List the domains."""
    show_list(runtime.call("domain.list"), {"name": "Domain", "pod": "Pod", "local": "Local"}, as_json=as_json)


@domain.command("delete")
@click.argument("name")
@pass_runtime
def domain_delete(runtime: Runtime, name: str) -> None:
    """Remove a domain that no address uses."""
    runtime.call("domain.delete", name=name)
    click.echo(f"Domain {name} is gone.")


@click.group(short_help="Inboxes: mailboxes under one address.")
def inbox() -> None:
    """Inboxes: mailboxes under one address, which is the user name of mail clients."""


def quota_options(command: Command) -> Command:
    """`--quota-…` of `inbox add` and `inbox set`."""
    for name, check, text in (
        ("mailboxes", count_limit, "Mailboxes it may have."),
        ("messages", count_limit, "Messages it may hold."),
        ("storage", size_limit, "What its messages may take, such as 500M or 2G."),
    ):
        option = click.option(f"--quota-{name}", callback=check, metavar="LIMIT", help=f"{text} none: no limit.")
        command = option(command)
    return command


@inbox.command("add")
@click.argument("address")
@click.option("--name", help="Name of its owner, for people.")
@click.option("--pod", help="Pod it belongs to; else the pod of its domain.")
@click.option(
    "--sent-copy", type=click.Choice(["auto", "always", "never"]),
    help="Copy of sent mail in Sent; auto drops ours when the mail client stores its own.",
)
@quota_options
@pass_runtime
def inbox_add(
    runtime: Runtime, address: str, name: str | None, pod: str | None, sent_copy: str | None,
    quota_storage: int | None, quota_messages: int | None, quota_mailboxes: int | None,
) -> None:
    """Make an inbox. Its domain must be there already (gateway domain add).

    \b
    Example:
      gateway inbox add alice@mail.example --name "Alice Example"
      gateway key create --inbox alice@mail.example --name laptop
    """
    defaults = runtime.config.inbox
    made = runtime.call(
        "inbox.add", address=address, name=name, pod=pod, sent_copy=sent_copy or defaults.sent_copy,
        quota_storage=defaults.quota_storage if quota_storage is None else quota_storage,
        quota_messages=defaults.quota_messages if quota_messages is None else quota_messages,
        quota_mailboxes=defaults.quota_mailboxes if quota_mailboxes is None else quota_mailboxes,
    )
    click.echo(f"Inbox {made['address']} is there. Next: gateway key create --inbox {made['address']}")


@inbox.command("set")
@click.argument("address")
@click.option("--name", help='Name of its owner, for people; "" takes it away.')
@click.option(
    "--sent-copy", type=click.Choice(["auto", "always", "never"]),
    help="Copy of sent mail in Sent; a key may have a rule of its own.",
)
@click.option(
    "--blocked", type=click.Choice(["spam", "refuse", "default"]),
    help="What becomes of mail that a list keeps from it; default: as [lists] says.",
)
@quota_options
@rate_options
@pass_runtime
def inbox_set(
    runtime: Runtime, address: str, name: str | None, sent_copy: str | None, blocked: str | None,
    quota_storage: int | None, quota_messages: int | None, quota_mailboxes: int | None,
    per_hour: int | None, per_day: int | None,
) -> None:
    """Change an inbox's settings.

    \b
    Examples:
      gateway inbox set scanner@mail.example --sent-copy never
      gateway inbox set alice@mail.example --quota-storage 2G --quota-messages none
      gateway inbox set bot@mail.example --per-hour 20 --per-day 100
    """
    given = (name, sent_copy, blocked, quota_storage, quota_messages, quota_mailboxes, per_hour, per_day)
    if all(value is None for value in given):
        raise click.UsageError("Say what to change: --name, --sent-copy, --blocked, --quota-… or --per-….")
    made = runtime.call(
        "inbox.set", address=address, name=name, sent_copy=sent_copy, blocked=blocked, quota_storage=quota_storage,
        quota_messages=quota_messages, quota_mailboxes=quota_mailboxes, per_hour=per_hour, per_day=per_day,
    )
    click.echo(
        f"Inbox {made['address']}: name {made['name'] or 'none'}, sent copy {made['sent_copy']}, quota {_quota(made)}, "
        f"sends {rates_text(made)}, blocked mail {made['blocked'] or 'as configured'}."
    )


def _quota(made: dict[str, Any]) -> str:
    """The limits of an inbox in a few words."""
    storage, messages, mailboxes = made["quota_storage"], made["quota_messages"], made["quota_mailboxes"]
    words = [octets(storage)] if storage is not None else []
    words += [f"{messages} message{'' if messages == 1 else 's'}"] if messages is not None else []
    words += [f"{mailboxes} mailbox{'' if mailboxes == 1 else 'es'}"] if mailboxes is not None else []
    return ", ".join(words) or "none"


@inbox.command("list")
@click.option("--pod", help="Only of this pod.")
@click.option("--deleted", is_flag=True, help="Also deleted ones whose grace period runs.")
@json_option
@pass_runtime
def inbox_list(runtime: Runtime, pod: str | None, deleted: bool, as_json: bool) -> None:
    """List the inboxes."""
    rows = runtime.call("inbox.list", pod=pod, deleted=deleted)
    columns = {"address": "Address", "name": "Name", "pod": "Pod", "messages": "Messages", "octets": "Size"}
    if deleted:
        columns["deleted_at"] = "Deleted"
    show_list(rows if as_json else with_sizes(rows, "octets"), columns, as_json=as_json,
              empty="There are no inboxes. Make one: gateway inbox add someone@your.domain")


@inbox.command("show")
@click.argument("address")
@json_option
@pass_runtime
def inbox_show(runtime: Runtime, address: str, as_json: bool) -> None:
    """Show an inbox with its addresses and mailboxes."""
    shown = runtime.call("inbox.show", address=address)
    if as_json:
        print_json(shown)
        return
    (sized,) = with_sizes([shown], "octets")
    sized.update(quota=_quota(shown), sends=rates_text(shown), blocked=shown["blocked"] or "as configured")
    sized["addresses"] = [f"{row['address']} ({row['kind']})" for row in shown["addresses"]]
    print_fields(sized, {
        "address": "Address", "name": "Name", "pod": "Pod", "addresses": "Addresses", "messages": "Messages",
        "octets": "Size", "quota": "Quota", "sends": "Sends", "blocked": "Blocked mail", "sent_copy": "Sent copy",
        "created_at": "Created", "id": "Id",
    })
    click.echo()
    print_mailboxes(shown["mailboxes"], as_json=False)


def print_mailboxes(rows: list[dict[str, object]], *, as_json: bool) -> None:
    """The table that `inbox show` and `mailbox list` share."""
    show_list(rows if as_json else with_sizes(rows, "octets"), {
        "name": "Mailbox", "role": "Role", "messages": "Messages", "unseen": "Unseen", "octets": "Size",
    }, as_json=as_json)


@inbox.command("delete", short_help="Delete an inbox, its mail after the grace period.")
@click.argument("address")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_runtime
def inbox_delete(runtime: Runtime, address: str, yes: bool) -> None:
    """Delete an inbox: sessions, keys and queued mail end now, its mail goes after the grace period."""
    days = runtime.config.retention.deleted_inbox
    if not yes:
        click.confirm(f"Delete {address}? Its mail is removed for good after {days} days", abort=True)
    runtime.call("inbox.delete", address=address)
    click.echo(f"Inbox {address} is deleted; its mail is removed for good after {days} days.")


@inbox.command("undelete")
@click.argument("address")
@pass_runtime
def inbox_undelete(runtime: Runtime, address: str) -> None:
    """Bring a deleted inbox back within its grace period. Its keys stay revoked."""
    runtime.call("inbox.undelete", address=address)
    click.echo(f"Inbox {address} is back. Its keys are not: gateway key create --inbox {address}")


@click.group()
def address() -> None:
    """Further addresses of inboxes: aliases and catch-alls."""


@address.command("add", short_help="Give an inbox another address.")
@click.argument("address")
@click.option("--inbox", required=True, help="The inbox that gets the mail.")
@click.option("--external", is_flag=True, help="May be sent from only; mail to it goes out.")
@pass_runtime
def address_add(runtime: Runtime, address: str, inbox: str, external: bool) -> None:
    """Give an inbox another address; @domain catches what no other address takes.

    \b
    Examples:
      gateway address add sales@mail.example --inbox alice@mail.example
      gateway address add @mail.example --inbox alice@mail.example
    """
    runtime.call("address.add", address=address, inbox=inbox, external=external)
    click.echo(f"Address {address} belongs to {inbox}.")


@address.command("list")
@click.option("--inbox", help="Only of this inbox.")
@json_option
@pass_runtime
def address_list(runtime: Runtime, inbox: str | None, as_json: bool) -> None:
    """List the addresses."""
    show_list(runtime.call("address.list", inbox=inbox), {"address": "Address", "inbox": "Inbox", "kind": "Kind"},
              as_json=as_json)


@address.command("delete")
@click.argument("address")
@pass_runtime
def address_delete(runtime: Runtime, address: str) -> None:
    """Remove an alias or a catch-all."""
    runtime.call("address.delete", address=address)
    click.echo(f"Address {address} is gone.")
