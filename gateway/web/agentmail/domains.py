"""Domains of everything or of a pod: names that inboxes' addresses may have. Their id is their name.

A domain is usable at once, for whoever adds one has a key that opens everything: nobody looks into the DNS for a proof.
Webhooks are told that it is verified when it is made, and when that is asked for.
"""

from __future__ import annotations

import json
import uuid
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from fastapi.responses import PlainTextResponse, Response
from pydantic import Field

from gateway.access.caller import Caller
from gateway.model.errors import CannotChange, LimitReached, NoPermission, NotFound
from gateway.store import pods, webhooks
from gateway.store.db import Rx, Tx
from gateway.store.pods import Domain
from gateway.web.api.domains import ONLY_OWNER, domains_of
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices
from gateway.web.webhooks.dialects import AGENTMAIL, takes

from .parts import USUAL, Area, Flag, Given, In, Limit, PageToken, Theirs, moment, new_router, paged

router: APIRouter = new_router()
EVERYWHERE: Final = ("/domains", "/pods/{pod_id}/domains")
VERIFIED: Final = "domain.verified"


class Record(Theirs):
    """`status`: nobody has looked whether it is there."""

    type: Literal["MX", "TXT"]
    name: str
    value: str
    status: Literal["NOT_CHECKED"] = "NOT_CHECKED"
    priority: int | None = None


class DomainItem(Theirs):
    pod_id: str
    domain_id: str
    domain: str
    feedback_enabled: bool = False
    inbound_enabled: bool
    subdomains_enabled: bool = False
    tracking_enabled: bool = False
    updated_at: datetime
    created_at: datetime


class DomainOut(DomainItem):
    status: Literal["VERIFIED"] = "VERIFIED"
    records: list[Record]


class ListDomains(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    domains: list[DomainItem]


class CreateDomain(Given):
    """`inbound_enabled` false: its mail is delivered elsewhere, so that addresses without an inbox go out."""

    domain: Annotated[str, Field(min_length=1, max_length=255)]
    inbound_enabled: bool | None = None


class SetupLink(Theirs):
    supported: bool = False


def records(services: WebServices, domain: Domain) -> list[Record]:
    host = services.settings.hostname
    found = [Record(type="TXT", name=domain.name, value=f"v=spf1 a:{host} -all")]
    if domain.local:
        found.insert(0, Record(type="MX", name=domain.name, value=host, priority=10))
    return found


def _shown(rx: Rx, services: WebServices, domain: Domain) -> DomainOut:
    pod = pods.pod_by_id(rx, domain.pod_id)
    return DomainOut(
        pod_id=pod.uuid if pod else "", domain_id=domain.name, domain=domain.name, inbound_enabled=domain.local,
        updated_at=moment(domain.created_at), created_at=moment(domain.created_at),
        records=records(services, domain),
    )  # fmt: skip


def _tell(tx: Tx, domain: Domain, shown: DomainOut, now: int) -> None:
    """To webhooks of its pod and of everything; one that fails and has too much to be told already is left out."""
    name = f"domain-{uuid.uuid4()}"
    event = {
        "type": "event", "event_type": VERIFIED, "event_id": name,
        "domain": shown.model_dump(mode="json", exclude_none=True),
    }  # fmt: skip
    for hook in webhooks.webhooks(tx):
        covers = hook.scope == "all" or (hook.scope == "pod" and hook.pod_id == domain.pod_id)
        if covers and hook.enabled and hook.dialect == AGENTMAIL and takes(hook.types, VERIFIED):
            with suppress(LimitReached):
                webhooks.once(tx, hook.id, 0, name, VERIFIED, json.dumps(event), now)


def _one(rx: Rx, who: Caller, area: Area, name: str) -> Domain:
    found = next((one for one in domains_of(rx, area.of(rx, who)) if one.name == name.lower()), None)
    if found is None:
        raise NotFound("No such domain")
    return found


def _paths(path: str) -> None:
    @router.get(path)
    async def list_domains(
        services: Services, who: Who, area: In, limit: Limit = USUAL, page_token: PageToken = None,
        ascending: Flag = False,
    ) -> ListDomains:  # fmt: skip
        """Domains, the youngest first."""
        who.need("domain_read")

        def query(rx: Rx) -> list[DomainOut]:
            return [_shown(rx, services, each) for each in domains_of(rx, area.of(rx, who))]

        page, said = paged(
            await services.db.read(query), limit, page_token,
            lambda each: (int(each.created_at.timestamp()), each.domain), rising=ascending,
        )  # fmt: skip
        return ListDomains(**said, domains=[DomainItem(**each.model_dump()) for each in page])

    @router.post(path)
    async def create_domain(services: Services, who: Who, area: In, body: CreateDomain) -> DomainOut:
        """A domain for a pod, or for the first one; needs a key that opens everything."""
        who.need("domain_create")
        if not who.may_all:
            raise NoPermission(ONLY_OWNER)
        now = int(services.clock())

        def unit(tx: Tx) -> DomainOut:
            pod_id = area.of(tx, who).pod_id
            if pod_id is None:
                known = pods.pod_by_name(tx, "default") or next(iter(pods.pods(tx)), None)
                if known is None:
                    raise NotFound("No such pod")
                pod_id = known.id
            made = pods.create_domain(tx, pod_id, body.domain, body.inbound_enabled is not False, now=now)
            shown = _shown(tx, services, made)
            _tell(tx, made, shown, now)
            return shown

        return await services.db.write(unit)

    @router.get(f"{path}/{{domain_id}}")
    async def get_domain(services: Services, who: Who, area: In, domain_id: str) -> DomainOut:
        who.need("domain_read")
        return await services.db.read(lambda rx: _shown(rx, services, _one(rx, who, area, domain_id)))

    @router.patch(f"{path}/{{domain_id}}")
    async def update_domain(services: Services, who: Who, area: In, domain_id: str) -> DomainOut:
        """Nothing of it can be changed."""
        who.need("domain_update")
        await services.db.read(lambda rx: _one(rx, who, area, domain_id))
        raise CannotChange("Nothing of a domain can be changed here")

    @router.delete(f"{path}/{{domain_id}}", status_code=204)
    async def delete_domain(services: Services, who: Who, area: In, domain_id: str) -> None:
        """Only one that no address is left of."""
        who.need("domain_delete")
        await services.db.write(lambda tx: pods.delete_domain(tx, _one(tx, who, area, domain_id).name))

    @router.post(f"{path}/{{domain_id}}/verify", status_code=204)
    async def verify_domain(services: Services, who: Who, area: In, domain_id: str) -> None:
        """It is verified: it was by the key that made it."""
        who.need("domain_update")
        now = int(services.clock())

        def unit(tx: Tx) -> None:
            domain = _one(tx, who, area, domain_id)
            _tell(tx, domain, _shown(tx, services, domain), now)

        await services.db.write(unit)

    @router.get(f"{path}/{{domain_id}}/zone-file", response_class=Response)
    async def get_zone_file(services: Services, who: Who, area: In, domain_id: str) -> Response:
        """DNS records as lines of a zone file (RFC 1035 5)."""
        who.need("domain_read")
        domain = await services.db.read(lambda rx: _one(rx, who, area, domain_id))
        lines = [
            f"{each.name}. 3600 IN MX {each.priority} {each.value}." if each.type == "MX"
            else f'{each.name}. 3600 IN TXT "{each.value}"'
            for each in records(services, domain)
        ]  # fmt: skip
        named = {"Content-Disposition": f'attachment; filename="{domain.name}.zone"'}
        return PlainTextResponse("".join(f"{line}\n" for line in lines), headers=named, media_type="text/dns")

    @router.get(f"{path}/{{domain_id}}/setup-link")
    async def get_setup_link(services: Services, who: Who, area: In, domain_id: str) -> SetupLink:
        """There is none: records are added by hand."""
        who.need("domain_read")
        await services.db.read(lambda rx: _one(rx, who, area, domain_id))
        return SetupLink()


for _path in EVERYWHERE:
    _paths(_path)
