"""Pods, domains, inboxes and their addresses."""

from __future__ import annotations

from typing import Any

from gateway.control.frames import Json
from gateway.model.ids import InboxId
from gateway.store import inboxes, mailboxes, pods
from gateway.store.db import Rx, Tx

from .registry import Context, Stream, found, operation
from .values import moment


def pod_named(rx: Rx, name: str) -> Any:
    """The pod, or NotFound with its name."""
    return found(pods.pod_by_name(rx, name), "pod", name)


def inbox_named(rx: Rx, address: str) -> Any:
    """The inbox that owns `address` (primary or any other of its own), or NotFound."""
    return found(inboxes.inbox_by_address(rx, address), "inbox", address)


def _pod(pod: Any) -> dict[str, Json]:
    return {"name": pod.name, "id": pod.uuid, "created_at": moment(pod.created_at)}


def _names(rx: Rx) -> dict[int, str]:
    return {pod.id: pod.name for pod in pods.pods(rx)}


def _inbox(inbox: Any, names: dict[int, str]) -> dict[str, Json]:
    return {
        "address": inbox.address,
        "name": inbox.name,
        "pod": names.get(inbox.pod_id),
        "messages": inbox.messages,
        "octets": inbox.octets,
        "sent_copy": inbox.settings.sent_copy,
        "created_at": moment(inbox.created_at),
        "deleted_at": moment(inbox.deleted_at),
        "id": inbox.uuid,
    }


@operation("pod.add")
async def pod_add(context: Context, stream: Stream, *, name: str) -> Json:
    """A new tenant; AlreadyExists when the name is taken."""
    return _pod(await context.db.write(lambda tx: pods.create_pod(tx, name)))


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

    def unit(tx: Tx) -> Json:
        return _domain(pods.create_domain(tx, pod_named(tx, pod).id, name, local), _names(tx))

    return await context.db.write(unit)


def _domain(domain: Any, names: dict[int, str]) -> dict[str, Json]:
    return {"name": domain.name, "pod": names.get(domain.pod_id), "local": domain.local}


@operation("domain.list")
async def domain_list(context: Context, stream: Stream) -> Json:
    def query(rx: Rx) -> Json:
        names = _names(rx)
        return [_domain(domain, names) for domain in pods.domains(rx)]

    return await context.db.read(query)


@operation("domain.delete")
async def domain_delete(context: Context, stream: Stream, *, name: str) -> Json:
    """CannotChange while addresses still use the domain."""
    await context.db.write(lambda tx: pods.delete_domain(tx, name))
    return None


@operation("inbox.add")
async def inbox_add(
    context: Context, stream: Stream, *, address: str, pod: str | None = None, name: str | None = None,
    sent_copy: str | None = None,
) -> Json:
    """A new inbox with the five standard mailboxes. Without `pod`: the pod of the address's domain."""
    now = int(context.now())

    def unit(tx: Tx) -> Json:
        owner = pod_named(tx, pod).id if pod is not None else _pod_of_domain(tx, address)
        inbox = inboxes.create_inbox(tx, owner, address, now=now, name=name)
        if sent_copy is not None:
            inboxes.set_sent_copy(tx, inbox.id, sent_copy)
            inbox = found(inboxes.inbox_by_id(tx, inbox.id), "inbox", address)
        return _inbox(inbox, _names(tx))

    return await context.db.write(unit)


def _pod_of_domain(rx: Rx, address: str) -> Any:
    domain = address.rpartition("@")[2].lower()
    row = next((domain_row for domain_row in pods.domains(rx) if domain_row.name == domain), None)
    return found(row, "domain", f"{domain}; add it first: gateway domain add {domain}").pod_id


@operation("inbox.list")
async def inbox_list(context: Context, stream: Stream, *, pod: str | None = None, deleted: bool = False) -> Json:
    """`deleted`: also those that wait for the end of their grace period."""

    def query(rx: Rx) -> Json:
        names = _names(rx)
        pod_id = pod_named(rx, pod).id if pod is not None else None
        return [_inbox(inbox, names) for inbox in inboxes.inboxes(rx, pod_id=pod_id, include_deleted=deleted)]

    return await context.db.read(query)


@operation("inbox.show")
async def inbox_show(context: Context, stream: Stream, *, address: str) -> Json:
    """The inbox with its addresses and mailboxes."""

    def query(rx: Rx) -> Json:
        inbox = inbox_named(rx, address)
        shown = _inbox(inbox, _names(rx))
        shown["addresses"] = [_address(row) for row in inboxes.addresses(rx, inbox.id)]
        shown["mailboxes"] = [mailbox_json(mailbox) for mailbox in mailboxes.list_mailboxes(rx, inbox.id)]
        return shown

    return await context.db.read(query)


def mailbox_json(mailbox: Any) -> dict[str, Json]:
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

    def unit(tx: Tx) -> InboxId:
        inbox = inbox_named(tx, address)
        inboxes.delete_inbox(tx, inbox.id, now)
        return InboxId(inbox.id)

    await context.db.write(unit)
    return None


def _address(row: Any) -> dict[str, Json]:
    return {"address": row.address, "inbox": row.inbox_address, "kind": row.kind}


@operation("address.add")
async def address_add(context: Context, stream: Stream, *, address: str, inbox: str, external: bool = False) -> Json:
    """A further address of an inbox. `@domain` catches all mail of the domain that has no address of its own.

    `external`: may be sent from, but mail to it goes out.
    """
    kind = "external" if external else "alias"

    def unit(tx: Tx) -> Json:
        inboxes.add_address(tx, inbox_named(tx, inbox).id, address, kind)
        return next(_address(row) for row in inboxes.addresses(tx) if row.address == address.lower())

    return await context.db.write(unit)


@operation("address.list")
async def address_list(context: Context, stream: Stream, *, inbox: str | None = None) -> Json:
    def query(rx: Rx) -> Json:
        inbox_id = inbox_named(rx, inbox).id if inbox is not None else None
        return [_address(row) for row in inboxes.addresses(rx, inbox_id)]

    return await context.db.read(query)


@operation("address.delete")
async def address_delete(context: Context, stream: Stream, *, address: str) -> Json:
    """CannotChange for the last primary address."""
    await context.db.write(lambda tx: inboxes.delete_address(tx, address))
    return None
