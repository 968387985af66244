"""Emails of inboxes by their ids, in pages, and as somebody waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from starlette.requests import Request

from gateway.access import messages as reads
from gateway.access.caller import Caller, inbox_of, inboxes_of
from gateway.access.connectors import connectors_of, own_inbox
from gateway.access.messages import Full, Message
from gateway.access.query import Query
from gateway.access.sight import sight
from gateway.model.errors import GatewayError, InvalidRequest, NotFound
from gateway.model.ids import InboxId
from gateway.model.mailbox import DRAFTS, JUNK, SENT, TRASH
from gateway.model.permissions import ScopeKind
from gateway.store import email_prefix, inboxes, pods
from gateway.store.connectors.rows import ConnectorRow, ConnectorState
from gateway.store.db import Rx, Wake
from gateway.store.inboxes import Inbox
from gateway.web.services import WebServices
from gateway.web.waiting import held

from .ids import message_key
from .runs import sync_all

T = TypeVar("T")
NO_EMAIL: Final = "No such email"
ELSEWHERE: Final = frozenset({SENT, DRAFTS, TRASH, JUNK})
"""Mailboxes whose mail an inbox has not received, or has put away."""
PAGE: Final = 200
COUNTED: Final = 1000
"""Messages of a page of which nobody wants to know what they say."""
LOOK_S: Final = 5.0
"""A wake-up that was lost costs so much."""
SYNC_S: Final = 10.0
"""Between two syncs of an account that tells nobody of new mail."""
FETCH_SYNC_S: Final = 20.0
"""The most that a list waits for a sync."""
MOST_WAIT_S: Final = 600.0
MOST_INBOXES: Final = 200
_LEFT_ALONE: Final = frozenset(
    {ConnectorState.LIVE, ConnectorState.AUTH_FAILED, ConnectorState.THROTTLED, ConnectorState.QUARANTINED}
)


@dataclass(frozen=True, slots=True)
class Found:
    """An email's inbox, its user (the inbox's pod), and its EMAILID."""

    inbox: Inbox
    user: str
    email_id: str


def user_of(rx: Rx, inbox: Inbox) -> str:
    pod = pods.pod_by_id(rx, inbox.pod_id)
    assert pod is not None
    return pod.uuid


def locate(rx: Rx, who: Caller, email: str) -> Found:
    """The email of an id. NotFound: there is none, or it is not the key's."""
    key = message_key(email)
    inbox = None if key is None else inboxes.inbox_by_id(rx, InboxId(key[0]))
    if key is None or inbox is None or inbox.deleted_at is not None or not who.covers(inbox):
        raise NotFound(NO_EMAIL)
    email_id = email_prefix.email_id_of(rx, inbox.id, key[1])
    if email_id is None:
        raise NotFound(NO_EMAIL)
    return Found(inbox, user_of(rx, inbox), email_id)


async def full(services: WebServices, who: Caller, email: str) -> tuple[Found, Full]:
    """NotFound."""
    found = await services.db.read(lambda rx: locate(rx, who, email))
    return found, await reads.full_message(services.db, services.digests, who, found.inbox.uuid, found.email_id)


async def one(services: WebServices, who: Caller, email: str) -> tuple[Found, Message]:
    """NotFound."""
    found = await services.db.read(lambda rx: locate(rx, who, email))
    return found, await reads.message(services.db, services.digests, who, found.inbox.uuid, found.email_id)


def inbox_or_own(rx: Rx, who: Caller, reference: str | None) -> Inbox:
    """The inbox that was named, or the only one of the key. InvalidRequest: the key opens several."""
    if reference is not None:
        return inbox_of(rx, who, reference)
    if who.scope != ScopeKind.INBOX:
        raise InvalidRequest("inboxId is needed: the key opens more than one inbox")
    return own_inbox(rx, who)


def some_inboxes(rx: Rx, who: Caller, references: list[str] | None) -> list[Inbox]:
    """Those that were named, or all of the key. InvalidRequest for more than can be looked through at once."""
    found = [inbox_of(rx, who, each) for each in references] if references else inboxes_of(rx, who)
    if len(found) > MOST_INBOXES:
        raise InvalidRequest(f"inboxId is needed: the key opens more than {MOST_INBOXES} inboxes")
    return found


async def emails(
    services: WebServices, who: Caller, inbox: Inbox, query: Query, most: int
) -> tuple[list[Message], bool]:
    """The first `most` that fit, in the query's order, and whether there are more."""
    query = replace(query, without=ELSEWHERE)
    found: list[Message] = []
    cursor = None
    while True:
        wanted = min(PAGE, most + 1 - len(found))
        page = await reads.list_messages(
            services.db, services.digests, who, inbox.uuid, query, cursor, wanted, services.trigrams
        )
        found += page.messages
        cursor = page.next
        if cursor is None or len(found) > most:
            return found[:most], len(found) > most


async def count(services: WebServices, who: Caller, inbox: Inbox, query: Query) -> int:
    """How many fit: by the counters of mailboxes where nothing but the inbox is asked for."""
    if query == replace(Query(), rising=query.rising):
        def counted(rx: Rx) -> int:
            seen = sight(rx, who, inbox.uuid)
            return sum(box.messages or 0 for box in seen.boxes.values() if box.role not in ELSEWHERE)

        return await services.db.read(counted)
    total = 0
    async for found in _ids(services, who, inbox, query):
        total += len(found)
    return total


async def ids(services: WebServices, who: Caller, inbox: Inbox, query: Query) -> set[str]:
    """EMAILIDs of all that fit."""
    every: set[str] = set()
    async for found in _ids(services, who, inbox, query):
        every.update(found)
    return every


async def _ids(services: WebServices, who: Caller, inbox: Inbox, query: Query) -> AsyncIterator[list[str]]:
    query, cursor = replace(query, without=ELSEWHERE), None
    while True:
        page = await reads.list_places(services.db, who, inbox.uuid, query, cursor, COUNTED, services.trigrams)
        yield [message.id for message in page.messages]
        cursor = page.next
        if cursor is None:
            return


async def until(
    request: Request, services: WebServices, who: Caller, inbox: Inbox, seconds: float,
    look: Callable[[], Awaitable[T | None]],
) -> T:  # fmt: skip
    """What `look` finds at once or, as mail comes, later; accounts of the inbox are synced meanwhile.

    NotFound when it finds nothing in time. It ends with whoever asked.
    """
    return await held(request, services, who, inbox.id, _until(services, who, inbox, seconds, look))


async def _until(
    services: WebServices, who: Caller, inbox: Inbox, seconds: float, look: Callable[[], Awaitable[T | None]]
) -> T:
    loop = asyncio.get_running_loop()
    end = loop.time() + min(seconds, MOST_WAIT_S)
    news = asyncio.Event()

    def woken(wake: Wake) -> None:
        if wake.inbox_id in (None, inbox.id):
            news.set()

    stop = services.db.subscribe(woken)
    syncing = asyncio.ensure_future(_keep_syncing(services, who, inbox))
    try:
        while True:
            news.clear()
            found = await look()
            if found is not None:
                return found
            left = end - loop.time()
            if left <= 0:
                raise NotFound(f"No email fits within {seconds:g} seconds")
            try:
                async with asyncio.timeout(min(left, LOOK_S)):
                    await news.wait()
            except TimeoutError:
                continue
    finally:
        stop()
        syncing.cancel()
        await asyncio.wait([syncing])


async def _accounts(services: WebServices, who: Caller, inbox: Inbox) -> list[ConnectorRow]:
    return await services.db.read(lambda rx: connectors_of(rx, who, inbox))


def _to_ask(rows: Iterable[ConnectorRow]) -> list[ConnectorRow]:
    """Those that tell nobody by themselves when mail comes, and that nobody has to mend before they are asked."""
    return [row for row in rows if row.enabled and row.state not in _LEFT_ALONE]


async def _keep_syncing(services: WebServices, who: Caller, inbox: Inbox) -> None:
    """Each time anew: one that is in the middle of a sync now may have to be asked later."""
    try:
        while rows := await _accounts(services, who, inbox):
            await sync_all(services, who, _to_ask(rows))
            await asyncio.sleep(SYNC_S)
    except GatewayError:
        return  # the store is away, or the inbox: whoever looks for mail meets it too


async def synced(services: WebServices, who: Caller, inbox: Inbox) -> None:
    """Sync the accounts of the inbox before its mail is listed, as long as one may wait for a list."""
    try:
        async with asyncio.timeout(FETCH_SYNC_S):
            await sync_all(services, who, _to_ask(await _accounts(services, who, inbox)))
    except TimeoutError:
        return
