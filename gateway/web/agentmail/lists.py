"""Allow and block lists of everything, of a pod, of an inbox: whom one writes to, whose mail and answers are taken."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal

from fastapi import APIRouter
from pydantic import Field

from gateway.access.caller import Caller
from gateway.model.errors import NotFound
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind
from gateway.store import inboxes, lists, pods
from gateway.store.db import Rx, Tx
from gateway.store.lists import Direction, ListEntry, Place, Verdict, canonical_pattern
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from .parts import USUAL, Area, Given, In, Limit, PageToken, Theirs, moment, new_router, paged

router: APIRouter = new_router()
EVERYWHERE: Final = ("/lists", "/pods/{pod_id}/lists", "/inboxes/{inbox_id}/lists")


class EntryOut(Theirs):
    entry: str
    organization_id: str
    pod_id: str | None = None
    inbox_id: str | None = None
    reason: str | None = None
    direction: Direction
    list_type: Verdict
    entry_type: Literal["email", "domain"]
    created_at: datetime


class ListEntries(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    entries: list[EntryOut]


class CreateEntry(Given):
    """An address, a domain, or `.domain` for all domains below it."""

    entry: Annotated[str, Field(min_length=1, max_length=320)]
    reason: Annotated[str, Field(max_length=lists.MAX_REASON)] | None = None


def _place(rx: Rx, who: Caller, area: Area) -> Place:
    """Where entries of this path stand, for this key."""
    inner = area.of(rx, who)
    if inner.scope == ScopeKind.INBOX:
        return Place(ScopeKind.INBOX, PodId(0), inner.inbox_id or InboxId(0))
    if inner.scope == ScopeKind.POD:
        return Place(ScopeKind.POD, inner.pod_id or PodId(0), InboxId(0))
    return lists.EVERYWHERE


def _entries(rx: Rx, place: Place, direction: Direction, verdict: Verdict) -> list[ListEntry]:
    return [
        each for each in lists.entries(rx)
        if (each.direction, each.verdict) == (direction, verdict)
        and Place(each.scope, each.pod_id, each.inbox_id) == place
    ]  # fmt: skip


def _one(rx: Rx, place: Place, direction: Direction, verdict: Verdict, entry: str) -> ListEntry:
    pattern = canonical_pattern(entry)
    found = next((each for each in _entries(rx, place, direction, verdict) if each.pattern == pattern), None)
    if found is None:
        raise NotFound("There is no such entry in that list")
    return found


def _shown(rx: Rx, services: WebServices, each: ListEntry) -> EntryOut:
    inbox = inboxes.inbox_by_id(rx, each.inbox_id) if each.inbox_id else None
    pod = pods.pod_by_id(rx, inbox.pod_id if inbox is not None else each.pod_id)
    return EntryOut(
        entry=each.pattern, organization_id=services.settings.hostname, pod_id=pod.uuid if pod else None,
        inbox_id=inbox.address if inbox else None, reason=each.reason, direction=each.direction,
        list_type=each.verdict, entry_type="email" if "@" in each.pattern else "domain",
        created_at=moment(each.created_at),
    )  # fmt: skip


def _paths(base: str) -> None:
    path = f"{base}/{{direction}}/{{type}}"

    @router.get(path)
    async def list_entries(
        services: Services, who: Who, area: In, direction: Direction, type: Verdict, limit: Limit = USUAL,
        page_token: PageToken = None,
    ) -> ListEntries:  # fmt: skip
        """Entries that stand here, by name."""
        who.need("list_entry_read")

        def query(rx: Rx) -> list[EntryOut]:
            return [_shown(rx, services, each) for each in _entries(rx, _place(rx, who, area), direction, type)]

        page, said = paged(
            await services.db.read(query), limit, page_token, lambda each: (each.entry,), (str,), rising=True
        )
        return ListEntries(**said, entries=page)

    @router.post(path)
    async def create_entry(
        services: Services, who: Who, area: In, direction: Direction, type: Verdict, body: CreateEntry
    ) -> EntryOut:
        """An entry; one of the same name takes the new verdict."""
        who.need("list_entry_create")
        now = int(services.clock())

        def unit(tx: Tx) -> EntryOut:
            place = _place(tx, who, area)
            made = lists.put(tx, place, direction, type, body.entry, now=now, reason=body.reason)
            return _shown(tx, services, made)

        return await services.db.write(unit)

    @router.get(f"{path}/{{entry}}")
    async def get_entry(
        services: Services, who: Who, area: In, direction: Direction, type: Verdict, entry: str
    ) -> EntryOut:
        who.need("list_entry_read")
        return await services.db.read(
            lambda rx: _shown(rx, services, _one(rx, _place(rx, who, area), direction, type, entry))
        )

    @router.delete(f"{path}/{{entry}}", status_code=204)
    async def delete_entry(
        services: Services, who: Who, area: In, direction: Direction, type: Verdict, entry: str
    ) -> None:
        who.need("list_entry_delete")

        def unit(tx: Tx) -> None:
            place = _place(tx, who, area)
            lists.remove(tx, place, direction, _one(tx, place, direction, type, entry).pattern)

        await services.db.write(unit)


for _path in EVERYWHERE:
    _paths(_path)
