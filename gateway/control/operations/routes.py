"""Which way mail between two addresses goes, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gateway.control.frames import Json
from gateway.delivery.accounts import Account
from gateway.delivery.routes import NO_CONNECTOR, NO_RELAY, ONLY_HERE, Found, RouteKind
from gateway.delivery.ways import Ways
from gateway.model.errors import InvalidRequest
from gateway.model.ids import InboxId
from gateway.model.permissions import ScopeKind
from gateway.outbound.endpoint import Endpoint
from gateway.store import inboxes
from gateway.store.addresses import AddressKind, AddressRow, Remote, deliverable, may_send_as, resolve_recipient
from gateway.store.db import Rx

from .registry import Context, Stream, operation

NULL_SENDER = "<>"


@dataclass(frozen=True, slots=True)
class _Here:
    """The recipient's domain is delivered here: to `inbox`, by `row`; both None: nobody has the address."""

    inbox: str | None
    row: AddressRow | None


@operation("queue.route")
async def queue_route(context: Context, stream: Stream, *, sender: str, recipient: str) -> Json:
    """`way` is inbox, relay, connector, hold, discard or refused. `sender` "" or "<>": the null reverse-path.

    InvalidRequest for what is no address; ConfigError.
    """
    sender = "" if sender == NULL_SENDER else sender.strip()
    recipient = recipient.strip()
    for address in (sender, recipient) if sender else (recipient,):
        local, _, domain = address.rpartition("@")
        if not local or not domain:
            raise InvalidRequest(f"{address} is no e-mail address")
    here, inbox_id = await context.db.read(lambda rx: (_here(rx, recipient), _inbox_of(rx, sender)))
    shown = {"sender": sender or NULL_SENDER, "recipient": recipient}
    if here is not None:
        return shown | _to_inbox(here, recipient)
    ways = Ways(context.routes(), context.accounts())
    return shown | _onwards(ways, ways.find(inbox_id, sender, recipient), ways.accounts.owning(inbox_id, sender))


def _inbox_of(rx: Rx, sender: str) -> InboxId | None:
    """Whose address it is; None: nobody's here, and so nobody can send with it."""
    return may_send_as(rx, ScopeKind.ALL, None, None, sender) if sender else None


def _here(rx: Rx, recipient: str) -> _Here | None:
    """None: the domain is somebody else's."""
    if isinstance(resolve_recipient(rx, recipient), Remote):
        return None
    row = deliverable(rx, recipient)
    inbox = inboxes.inbox_by_id(rx, row.inbox_id) if row is not None else None
    return _Here(inbox.address if inbox is not None else None, row)


def _to_inbox(here: _Here, recipient: str) -> dict[str, Any]:
    domain = recipient.rpartition("@")[2]
    if here.row is None or here.inbox is None:
        return _refused("550 5.1.1", f"{domain} is delivered here, and no inbox has this address")
    row = here.row
    if row.address.startswith("@"):
        why = f"{row.address} is the catch-all of the domain"
    elif row.kind is AddressKind.ALIAS:
        why = f"{row.address} is an alias"
    else:
        why = f"{row.address} is the inbox's own address"
    return {"way": "inbox", "inbox": here.inbox, "why": why}


def _onwards(ways: Ways, found: Found | None, owning: Account | None) -> dict[str, Any]:
    """`owning`: the account whose address the sender is."""
    if found is None:
        return _refused("550 5.7.1", NO_RELAY)
    route, rule, account = found.route, found.rule, found.account
    why = "No rule is for it: the relay of section relay"
    if account is not None:
        why = f"No rule is for it, and the sender is an address of account {account.name}"
    more: dict[str, Any] = {}
    if rule is not None:
        why = f"Rule {rule.number}: mail from {rule.sender} to {rule.recipient}"
        more = {"rule": rule.number, "from": rule.sender, "to": rule.recipient}
    if account is not None:
        more["connector"] = account.name
    match route.kind:
        case RouteKind.LOCAL:
            return _refused("550 5.1.1", ONLY_HERE) | more | {"why": f"{why}, which is for inboxes here only"}
        case RouteKind.RELAY:
            hosts = [_host(endpoint) for endpoint in route.endpoints]
            if account is not None:
                why = f"{why}. It cannot send now ({account.paused}), and may use the relay"
            elif owning is not None:
                why = f"{why}. The sender is an address of account {owning.name}: others may not believe it (DMARC)"
            return {"way": "relay", "relay": route.name, "hosts": hosts, "why": why} | more
        case RouteKind.CONNECTOR if account is not None:
            if account.paused:
                return _refused("550 5.7.1", f"{why}. {account.paused}") | more
            return {"way": route.kind.value, "why": why} | more
        case RouteKind.CONNECTOR:
            return {"way": route.kind.value, "reply": "550 5.7.1", "why": f"{why}. {NO_CONNECTOR}"} | more
        case kind:
            return {"way": kind.value, "why": why} | more


def _refused(reply: str, why: str) -> dict[str, Any]:
    return {"way": "refused", "reply": reply, "why": why}


def _host(endpoint: Endpoint) -> str:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    return f"{host}:{endpoint.port} ({endpoint.tls.security.value})"
