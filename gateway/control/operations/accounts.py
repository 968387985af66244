"""Pods, domains, inboxes and their addresses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gateway.control.frames import Json
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import InboxId, PodId
from gateway.model.mailbox import Mailbox
from gateway.model.permissions import SentCopy
from gateway.model.rates import Rates
from gateway.store import addresses, inboxes, mailboxes, pods, quota
from gateway.store.addresses import AddressKind, AddressRow
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.pods import Domain, Pod
from gateway.store.quota import NO_LIMITS, Limits

from .registry import Context, Stream, operation
from .values import moment


def pod_named(rx: Rx, name: str) -> Pod:
    """The pod, or NotFound with its name."""
    pod = pods.pod_by_name(rx, name)
    if pod is None:
        raise NotFound(f"There is no pod {name}")
    return pod


def inbox_named(rx: Rx, address: str) -> Inbox:
    """The inbox that owns `address` (primary or alias), or NotFound with the address."""
    inbox = inboxes.inbox_by_address(rx, address)
    if inbox is None:
        raise NotFound(f"There is no inbox {address}")
    return inbox


def sent_copy_named(text: str | None) -> SentCopy | None:
    """The rule for Sent copies of that name; InvalidRequest lists those there are."""
    found = next((rule for rule in inboxes.SENT_COPY if rule == text), None)
    if text is not None and found is None:
        raise InvalidRequest(f"sent_copy is one of {', '.join(inboxes.SENT_COPY)}")
    return found


def limits_given(before: Limits, octets: int | None, messages: int | None, mailboxes: int | None) -> Limits:
    """`before` with what was given; 0 stands for no limit. InvalidRequest for what no counter reaches."""
    given = {"octets": octets, "messages": messages, "mailboxes": mailboxes}
    if any(value is not None and not 0 <= value < 2**63 for value in given.values()):
        raise InvalidRequest("A quota is a number from 0 on")
    return replace(before, **{name: value or None for name, value in given.items() if value is not None})


def rates_given(before: Rates, per_hour: int | None, per_day: int | None) -> Rates:
    """`before` with what was given: 0 for no limit, -1 for what is configured for all. InvalidRequest."""
    given = {"per_hour": per_hour, "per_day": per_day}
    if any(value is not None and not -1 <= value < 2**63 for value in given.values()):
        raise InvalidRequest("A rate is a number of recipients")
    changes = {name: None if value == -1 else value for name, value in given.items() if value is not None}
    return replace(before, **changes)


def pod_names(rx: Rx) -> dict[PodId, str]:
    return {pod.id: pod.name for pod in pods.pods(rx)}


def inbox_names(rx: Rx) -> dict[InboxId, str]:
    """Primary address of each inbox, deleted ones too."""
    return {inbox.id: inbox.address for inbox in inboxes.inboxes(rx, include_deleted=True)}


def _pod(pod: Pod) -> dict[str, Json]:
    return {"name": pod.name, "id": pod.uuid, "created_at": moment(pod.created_at)}


def _inbox(inbox: Inbox, names: Mapping[PodId, str]) -> dict[str, Json]:
    return {
        "address": inbox.address,
        "name": inbox.name,
        "pod": names.get(inbox.pod_id),
        "messages": inbox.messages,
        "octets": inbox.octets,
        "mailbox_count": inbox.mailboxes,
        "quota_storage": inbox.limits.octets,
        "quota_messages": inbox.limits.messages,
        "quota_mailboxes": inbox.limits.mailboxes,
        "sent_copy": inbox.settings.sent_copy,
        "per_hour": inbox.settings.rates.per_hour,
        "per_day": inbox.settings.rates.per_day,
        "blocked": inbox.settings.blocked,
        "created_at": moment(inbox.created_at),
        "deleted_at": moment(inbox.deleted_at),
        "id": inbox.uuid,
    }


@operation("pod.add")
async def pod_add(context: Context, stream: Stream, *, name: str) -> Json:
    """A new tenant; AlreadyExists when the name is taken."""
    now = int(context.now())
    return _pod(await context.db.write(lambda tx: pods.create_pod(tx, name, now=now)))


@operation("pod.list")
async def pod_list(context: Context, stream: Stream) -> Json:
    return [_pod(pod) for pod in await context.db.read(pods.pods)]


@operation("pod.delete")
async def pod_delete(context: Context, stream: Stream, *, name: str) -> Json:
    """CannotChange while the pod still has inboxes or domains."""
    await context.db.write(lambda tx: pods.delete_pod(tx, pod_named(tx, name).id))
    return None


@operation("domain.add")
async def domain_add(context: Context, stream: Stream, *, name: str, pod: str, local: bool = True) -> Json:
    """`local`: mail to the domain is for inboxes here, and an address without one is refused."""
    now = int(context.now())
    return _domain(
        await context.db.write(lambda tx: pods.create_domain(tx, pod_named(tx, pod).id, name, local, now=now))
    )


def _domain(domain: Domain) -> dict[str, Json]:
    return {
        "name": domain.name, "pod": domain.pod_name, "local": domain.local, "created_at": moment(domain.created_at)
    }


@operation("domain.list")
async def domain_list(context: Context, stream: Stream) -> Json:
    return [_domain(domain) for domain in await context.db.read(pods.domains)]


@operation("domain.delete")
async def domain_delete(context: Context, stream: Stream, *, name: str) -> Json:
    """CannotChange while addresses still use the domain."""
    await context.db.write(lambda tx: pods.delete_domain(tx, name))
    return None


@operation("inbox.add")
async def inbox_add(
    context: Context, stream: Stream, *, address: str, pod: str | None = None, name: str | None = None,
    sent_copy: str | None = None, quota_storage: int = 0, quota_messages: int = 0, quota_mailboxes: int = 0,
) -> Json:
    """A new inbox with the five standard mailboxes. Without `pod`: the pod of the address's domain.

    Quotas: octets, messages, mailboxes; 0: no limit.
    """
    now = int(context.now())
    copies = sent_copy_named(sent_copy)
    limits = limits_given(NO_LIMITS, quota_storage, quota_messages, quota_mailboxes)

    def unit(tx: Tx) -> Json:
        owner = pod_named(tx, pod).id if pod is not None else _pod_of_domain(tx, address)
        inbox = inboxes.create_inbox(tx, owner, address, now=now, name=name, limits=limits)
        if copies is not None:
            settings = replace(inbox.settings, sent_copy=copies)
            inboxes.change_settings(tx, inbox.id, settings=settings, name=name)
            inbox = replace(inbox, settings=settings)
        return _inbox(inbox, pod_names(tx))

    return await context.db.write(unit)


@operation("inbox.set")
async def inbox_set(
    context: Context, stream: Stream, *, address: str, name: str | None = None, sent_copy: str | None = None,
    quota_storage: int | None = None, quota_messages: int | None = None, quota_mailboxes: int | None = None,
    per_hour: int | None = None, per_day: int | None = None, blocked: str | None = None,
) -> Json:
    """Change what is named; an empty `name` takes it away, and 0 a quota or a rate; rates: -1 as is configured.

    `blocked`: what becomes of mail that a list keeps from it; "default": as is configured.
    """
    copies = sent_copy_named(sent_copy)
    if blocked is not None and blocked not in (*inboxes.BLOCKED, "default"):
        raise InvalidRequest(f"blocked is one of {', '.join(inboxes.BLOCKED)}, default")

    def unit(tx: Tx) -> Json:
        inbox = inbox_named(tx, address)
        label = inbox.name if name is None else (name or None)
        settings = inbox.settings if copies is None else replace(inbox.settings, sent_copy=copies)
        settings = replace(settings, rates=rates_given(settings.rates, per_hour, per_day))
        if blocked is not None:
            settings = replace(settings, blocked=next((rule for rule in inboxes.BLOCKED if rule == blocked), None))
        inboxes.change_settings(tx, inbox.id, settings=settings, name=label)
        limits = limits_given(inbox.limits, quota_storage, quota_messages, quota_mailboxes)
        if limits != inbox.limits:
            quota.set_limits(tx, inbox.id, limits)
        return _inbox(replace(inbox, settings=settings, name=label, limits=limits), pod_names(tx))

    return await context.db.write(unit)


def _pod_of_domain(rx: Rx, address: str) -> PodId:
    name = addresses.canonical_address(address).rpartition("@")[2]
    domain = pods.domain_by_name(rx, name)
    if domain is None:
        raise NotFound(f"There is no domain {name}; add it first: gateway domain add {name}")
    return domain.pod_id


@operation("inbox.list")
async def inbox_list(context: Context, stream: Stream, *, pod: str | None = None, deleted: bool = False) -> Json:
    """`deleted`: also those that wait for the end of their grace period."""

    def query(rx: Rx) -> Json:
        names = pod_names(rx)
        pod_id = pod_named(rx, pod).id if pod is not None else None
        return [_inbox(inbox, names) for inbox in inboxes.inboxes(rx, pod_id=pod_id, include_deleted=deleted)]

    return await context.db.read(query)


@operation("inbox.show")
async def inbox_show(context: Context, stream: Stream, *, address: str) -> Json:
    """The inbox with its addresses and mailboxes."""

    def query(rx: Rx) -> Json:
        inbox = inbox_named(rx, address)
        shown = _inbox(inbox, pod_names(rx))
        shown["addresses"] = [_address(row, inbox.address) for row in addresses.addresses(rx, inbox.id)]
        shown["mailboxes"] = [mailbox_json(mailbox) for mailbox in mailboxes.list_mailboxes(rx, inbox.id)]
        return shown

    return await context.db.read(query)


def mailbox_json(mailbox: Mailbox) -> dict[str, Json]:
    return {
        "name": mailbox.name,
        "role": mailbox.role,
        "messages": mailbox.messages,
        "unseen": mailbox.unseen,
        "octets": mailbox.octets,
        "uidvalidity": mailbox.uidvalidity,
        "uidnext": mailbox.uidnext,
        "subscribed": mailbox.subscribed,
        "selectable": not mailbox.noselect,
        "id": mailbox.object_id,
    }


@operation("inbox.delete")
async def inbox_delete(context: Context, stream: Stream, *, address: str) -> Json:
    """Ends its sessions, keys and queue rows now; the janitor removes its mail after the grace period."""
    now = int(context.now())

    await context.db.write(lambda tx: inboxes.delete_inbox(tx, inbox_named(tx, address).id, now))
    return None


@operation("inbox.undelete")
async def inbox_undelete(context: Context, stream: Stream, *, address: str) -> Json:
    """Bring an inbox back within its grace period; its keys stay revoked."""

    def unit(tx: Tx) -> None:
        stored = addresses.canonical_address(address)
        for inbox in inboxes.inboxes(tx, include_deleted=True):
            if inbox.address == stored and inbox.deleted_at is not None:
                inboxes.undelete_inbox(tx, inbox.id)
                return
        raise NotFound(f"There is no deleted inbox {address}")

    await context.db.write(unit)
    return None


def _address(row: AddressRow, inbox: str | None) -> dict[str, Json]:
    return {"address": row.address, "inbox": inbox, "kind": row.kind.value, "created_at": moment(row.created_at)}


@operation("address.add")
async def address_add(context: Context, stream: Stream, *, address: str, inbox: str, external: bool = False) -> Json:
    """A further address of an inbox. `@domain` catches all mail of the domain that has no address of its own.

    `external`: may be sent from, but mail to it goes out.
    """
    now = int(context.now())
    kind = AddressKind.EXTERNAL if external else AddressKind.ALIAS

    def unit(tx: Tx) -> Json:
        owner = inbox_named(tx, inbox)
        return _address(addresses.add_address(tx, owner.id, address, kind, now=now), owner.address)

    return await context.db.write(unit)


@operation("address.list")
async def address_list(context: Context, stream: Stream, *, inbox: str | None = None) -> Json:
    def query(rx: Rx) -> Json:
        names = inbox_names(rx)
        inbox_id = inbox_named(rx, inbox).id if inbox is not None else None
        return [_address(row, names.get(row.inbox_id)) for row in addresses.addresses(rx, inbox_id)]

    return await context.db.read(query)


@operation("address.delete")
async def address_delete(context: Context, stream: Stream, *, address: str) -> Json:
    """CannotChange for an inbox's primary address."""
    await context.db.write(lambda tx: addresses.delete_address(tx, address))
    return None
