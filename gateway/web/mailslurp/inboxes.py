"""InboxController: inboxes, and how mail programs reach them. Tags, descriptions and expiry are not kept."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import PlainTextResponse
from pydantic import Field
from starlette.datastructures import Headers

from gateway.access import changing
from gateway.access import query as queries
from gateway.access.caller import Caller, inbox_of, inboxes_of
from gateway.model.errors import NoPermission, NotFound
from gateway.model.permissions import ScopeKind
from gateway.store import addresses, inboxes, pods
from gateway.store.connectors import accounts
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.pods import Domain
from gateway.web.api.parts import Services, Who
from gateway.web.guard import key_of
from gateway.web.services import WebServices
from gateway.web.setup.ports import ClientPort

from . import reading
from .parts import Count, Given, Index, Moment, PageOf, Size, Sort, Theirs, at, cut, unix

router = APIRouter(tags=["mailslurp inboxes"])
Text = Annotated[str, Field(max_length=320)]
PIECE = 500
"""Emails that one unit deletes."""


class CreateInboxDto(Given):
    """What is not named here is not kept: tags, description, expiry and the like."""

    email_address: Text | None = None
    domain_name: Text | None = None
    name: Annotated[str, Field(max_length=200)] | None = None
    prefix: Annotated[str, Field(max_length=40)] | None = None


class UpdateInboxOptions(Given):
    name: Annotated[str, Field(max_length=200)] | None = None


class InboxDto(Theirs):
    """`functions_as`: whether an account elsewhere is kept in sync with it."""

    id: str
    user_id: str
    created_at: datetime
    name: str | None = None
    email_address: str
    local_part: str
    domain: str
    description: str | None = None
    expires_at: datetime | None = None
    favourite: bool = False
    tags: list[str] = Field(default_factory=list)
    inbox_type: str = "SMTP_INBOX"
    read_only: bool = False
    virtual_inbox: bool = False
    team_access: bool = False
    functions_as: str | None = None


class Exists(Theirs):
    exists: bool
    inbox_id: str | None = None


class InboxId(Theirs):
    id: str
    email_address: str


class InboxIds(Theirs):
    inbox_ids: list[InboxId]


class ServerEndpoints(Theirs):
    host: str
    port: int
    tls: bool
    alt_ports: list[int]


class AccessServers(Theirs):
    imap_server: ServerEndpoints
    secure_imap_server: ServerEndpoints
    smtp_server: ServerEndpoints
    secure_smtp_server: ServerEndpoints


def shown(rx: Rx, inbox: Inbox) -> InboxDto:
    local, _, domain = inbox.address.rpartition("@")
    linked = accounts.page(rx, inbox_id=inbox.id, limit=1)
    return InboxDto(
        id=inbox.uuid, user_id=reading.user_of(rx, inbox), created_at=at(inbox.created_at), name=inbox.name,
        email_address=inbox.address, local_part=local, domain=domain, functions_as="CONNECTOR" if linked else None,
    )  # fmt: skip


async def _create(services: WebServices, who: Caller, body: CreateInboxDto) -> InboxDto:
    who.need("inbox_create")
    if who.scope == ScopeKind.INBOX:
        raise NoPermission("A key of one inbox makes no others")
    now = int(services.clock())
    drawn = secrets.token_hex(8)

    def unit(tx: Tx) -> InboxDto:
        wanted = body.email_address
        domain = _domain(tx, who, wanted.rpartition("@")[2] if wanted else body.domain_name)
        address = wanted or f"{body.prefix or ''}{drawn}@{domain.name}"
        return shown(tx, inboxes.create_inbox(tx, domain.pod_id, address, now=now, name=body.name))

    return await services.db.write(unit)


def _domain(rx: Rx, who: Caller, name: str | None) -> Domain:
    """The domain of that name, or the oldest one whose mail is delivered here. NotFound: the key's pod has none."""
    mine = [one for one in pods.domains(rx) if who.may_all or one.pod_id == who.pod_id]
    if name is None:
        mine = sorted((one for one in mine if one.local), key=lambda one: one.id)
    else:
        canonical = addresses.canonical_address(f"x@{name}").rpartition("@")[2]
        mine = [one for one in mine if one.name == canonical]
    if not mine:
        raise NotFound(f"There is no domain {name}" if name else "There is no domain for a new inbox")
    return mine[0]


@router.post("/inboxes", status_code=201)
async def create_inbox(
    services: Services, who: Who, emailAddress: Annotated[str | None, Query(max_length=320)] = None,
    name: Annotated[str | None, Query(max_length=200)] = None,
    domainName: Annotated[str | None, Query(max_length=255)] = None,
    prefix: Annotated[str | None, Query(max_length=40)] = None,
) -> InboxDto:  # fmt: skip
    """Create an inbox; without `emailAddress` its address is drawn."""
    body = CreateInboxDto(email_address=emailAddress, name=name, domain_name=domainName, prefix=prefix)
    return await _create(services, who, body)


@router.post("/inboxes/withOptions", status_code=201)
async def create_inbox_with_options(services: Services, who: Who, body: CreateInboxDto) -> InboxDto:
    """Create an inbox with options."""
    return await _create(services, who, body)


@router.post("/inboxes/withDefaults", status_code=201)
async def create_inbox_with_defaults(services: Services, who: Who) -> InboxDto:
    """Create an inbox with an address that is drawn."""
    return await _create(services, who, CreateInboxDto())


def _all(rx: Rx, who: Caller, since: int | None = None, before: int | None = None) -> list[Inbox]:
    found = sorted(inboxes_of(rx, who), key=lambda inbox: inbox.id)
    return [
        inbox for inbox in found
        if (since is None or inbox.created_at >= since) and (before is None or inbox.created_at < before)
    ]  # fmt: skip


@router.get("/inboxes")
async def get_inboxes(
    services: Services, who: Who, size: Annotated[int, Query(ge=1, le=1000)] = 100, sort: Sort = "ASC",
    since: Moment = None, before: Moment = None,
) -> list[InboxDto]:  # fmt: skip
    """List inboxes, by the time of their creation."""
    who.need("inbox_read")

    def query(rx: Rx) -> list[InboxDto]:
        found = _all(rx, who, unix(since), unix(before))
        return [shown(rx, inbox) for inbox in (found[::-1] if sort == "DESC" else found)[:size]]

    return await services.db.read(query)


@router.get("/inboxes/paginated")
async def get_all_inboxes(
    services: Services, who: Who, page: Index = 0, size: Size = 20, sort: Sort = "ASC",
    search: Annotated[str | None, Query(max_length=320)] = None, since: Moment = None, before: Moment = None,
) -> PageOf[InboxDto]:  # fmt: skip
    """List inboxes in pages; `search`: in address and name."""
    who.need("inbox_read")

    def query(rx: Rx) -> PageOf[InboxDto]:
        found = _all(rx, who, unix(since), unix(before))
        if search:
            found = [one for one in found if search.lower() in f"{one.address} {one.name or ''}".lower()]
        on_it = cut(found[::-1] if sort == "DESC" else found, page, size)
        return PageOf[InboxDto](**{**dict(on_it), "content": [shown(rx, inbox) for inbox in on_it.content]})

    return await services.db.read(query)


@router.get("/inboxes/count")
async def get_inbox_count(services: Services, who: Who) -> Count:
    """How many inboxes the key opens."""
    who.need("inbox_read")
    return Count(total_elements=len(await services.db.read(lambda rx: inboxes_of(rx, who))))


@router.get("/inboxes/ids")
async def get_inbox_ids(services: Services, who: Who) -> InboxIds:
    """All inboxes of the key in short."""
    who.need("inbox_read")
    found = await services.db.read(lambda rx: inboxes_of(rx, who))
    return InboxIds(inbox_ids=[InboxId(id=one.uuid, email_address=one.address) for one in found])


async def _looked_for(services: WebServices, who: Caller, fits: Any) -> Exists:
    who.need("inbox_read")
    found = next((one for one in await services.db.read(lambda rx: inboxes_of(rx, who)) if fits(one)), None)
    return Exists(exists=found is not None, inbox_id=None if found is None else found.uuid)


@router.get("/inboxes/exists")
async def does_inbox_exist(services: Services, who: Who, emailAddress: str) -> Exists:
    """Whether the key opens an inbox of that address."""
    return await _looked_for(services, who, lambda one: one.address == emailAddress.strip().lower())


@router.get("/inboxes/byEmailAddress")
async def get_inbox_by_email_address(services: Services, who: Who, emailAddress: str) -> Exists:
    """The inbox of an address."""
    return await _looked_for(services, who, lambda one: one.address == emailAddress.strip().lower())


@router.get("/inboxes/byName")
async def get_inbox_by_name(services: Services, who: Who, name: str) -> Exists:
    """The inbox of a name."""
    return await _looked_for(services, who, lambda one: one.name == name)


def _ports(services: WebServices, protocol: str) -> tuple[ClientPort, ClientPort, list[int]]:
    """The one that is TLS from the first octet, the one that is not (or the same), and all. NotFound."""
    ports = [port for port in services.setup.ports if port.protocol == protocol]
    if not ports:
        raise NotFound(f"This server has no {protocol} port")
    secure = next((port for port in ports if port.security == "tls"), ports[0])
    plain = next((port for port in ports if port.security != "tls"), secure)
    return secure, plain, [port.port for port in ports]


async def _access(services: WebServices, who: Caller, request: Request, inbox: str | None) -> dict[str, Any]:
    """The password of an inbox is any key that opens it, and the one key that is known here is the request's own."""
    box = await services.db.read(lambda rx: reading.inbox_or_own(rx, who, inbox))
    key = key_of(Headers(scope=request.scope))
    told: dict[str, Any] = {"emailAddress": box.address, "imapMailbox": "INBOX",
                            "mailFromDomain": box.address.rpartition("@")[2]}
    for name in ("imap", "smtp"):
        secure, plain, _ = _ports(services, name.upper())
        kind = name.capitalize()
        told |= {
            f"secure{kind}ServerHost": secure.host, f"secure{kind}ServerPort": secure.port,
            f"secure{kind}Username": box.address, f"secure{kind}Password": key, f"{name}ServerHost": plain.host,
            f"{name}ServerPort": plain.port, f"{name}Username": box.address, f"{name}Password": key,
        }  # fmt: skip
    return told


Ask = Annotated[str | None, Query(max_length=320)]


@router.get("/inboxes/imap-smtp-access")
async def get_imap_smtp_access(services: Services, who: Who, request: Request, inboxId: Ask = None) -> dict[str, Any]:
    """How a mail program reaches an inbox: servers, its address, and the key of this request."""
    return await _access(services, who, request, inboxId)


@router.get("/inboxes/imap-access")
async def get_imap_access(services: Services, who: Who, request: Request, inboxId: Ask = None) -> dict[str, Any]:
    """How a mail program reads an inbox."""
    told = await _access(services, who, request, inboxId)
    return {name: value for name, value in told.items() if "imap" in name.lower()}


@router.get("/inboxes/smtp-access")
async def get_smtp_access(services: Services, who: Who, request: Request, inboxId: Ask = None) -> dict[str, Any]:
    """How a mail program sends from an inbox."""
    told = await _access(services, who, request, inboxId)
    return {name: value for name, value in told.items() if "smtp" in name.lower() or name == "mailFromDomain"}


@router.get("/inboxes/imap-smtp-access/env", response_class=PlainTextResponse)
async def get_imap_smtp_access_env(services: Services, who: Who, request: Request, inboxId: Ask = None) -> str:
    """The same as lines of an environment file."""
    told = await _access(services, who, request, inboxId)
    names = {name: "".join(f"_{sign}" if sign.isupper() else sign.upper() for sign in name) for name in told}
    return "".join(f"{names[name]}={value}\n" for name, value in told.items())


@router.get("/inboxes/imap-smtp-access/servers")
async def get_imap_smtp_access_servers(services: Services, who: Who) -> AccessServers:
    """The servers that mail programs reach."""
    found: dict[str, ServerEndpoints] = {}
    for name in ("imap", "smtp"):
        secure, plain, every = _ports(services, name.upper())
        for key, port in ((f"{name}_server", plain), (f"secure_{name}_server", secure)):
            found[key] = ServerEndpoints(
                host=port.host, port=port.port, tls=port.security == "tls", alt_ports=sorted(set(every) - {port.port})
            )
    return AccessServers(**found)


@router.get("/inboxes/{inboxId}")
async def get_inbox(services: Services, who: Who, inboxId: str) -> InboxDto:
    """Get an inbox."""
    who.need("inbox_read")
    return await services.db.read(lambda rx: shown(rx, inbox_of(rx, who, inboxId)))


@router.patch("/inboxes/{inboxId}")
async def update_inbox(services: Services, who: Who, inboxId: str, body: UpdateInboxOptions) -> InboxDto:
    """Change the name of an inbox."""
    who.need("inbox_update")

    def unit(tx: Tx) -> InboxDto:
        found = inbox_of(tx, who, inboxId)
        inboxes.change_settings(tx, found.id, settings=found.settings, name=body.name or found.name)
        return shown(tx, inbox_of(tx, who, inboxId))

    return await services.db.write(unit)


@router.delete("/inboxes/{inboxId}", status_code=204)
async def delete_inbox(services: Services, who: Who, inboxId: str) -> None:
    """Delete an inbox; its mail goes after the grace period."""
    who.need("inbox_delete")
    now = int(services.clock())
    await services.db.write(lambda tx: inboxes.delete_inbox(tx, inbox_of(tx, who, inboxId).id, now))


@router.delete("/inboxes/{inboxId}/deleteAllInboxEmails", status_code=204)
async def delete_all_inbox_emails(services: Services, who: Who, inboxId: str) -> None:
    """Delete all emails that an inbox has received, for good."""
    inbox = await services.db.read(lambda rx: inbox_of(rx, who, inboxId))
    now, more = int(services.clock()), True
    while more:
        found, more = await reading.emails(services, who, inbox, queries.EVERYTHING, PIECE)
        ids = [message.id for message in found]

        def unit(tx: Tx, ids: list[str] = ids) -> None:
            taken = changing.taken(tx, who, inbox.uuid, ids)
            changing.delete(tx, taken.seen, taken.found, now=now)

        await services.db.write(unit)
