"""AgentMail's WebSocket, as its SDKs use it: a connection subscribes to inboxes, pods or all of its key, and is told
events in their words.

Each subscription adds to those before it; an event that several ask for is told once. What happened before is not told.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal

from fastapi import APIRouter, WebSocket
from pydantic import Field, ValidationError

from gateway.access.caller import Caller, caller, inbox_of, inboxes_of, pod_of
from gateway.access.events import Event, Wanted
from gateway.access.events_told import Told
from gateway.model.errors import (
    AuthenticationFailed,
    GatewayError,
    InvalidRequest,
    LimitReached,
    NotFound,
    Unavailable,
)
from gateway.model.ids import PodId
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.web import problems
from gateway.web.listening import fault, need_to_read
from gateway.web.services import WebServices
from gateway.web.sockets import POLICY, ListeningSocket
from gateway.web.webhooks.dialects import AGENTMAIL, AGENTMAIL_TYPES, ours, takes

from . import errors
from .events import told as said_of
from .parts import Given, new_router
from .webhooks import types_of

router: APIRouter = new_router()
MOST: Final = 100
"""Subscriptions of one connection."""
AGAIN: Final = "Something went wrong here: connect again"
Ids = Annotated[list[Annotated[str, Field(max_length=320)]], Field(max_length=1000)]
Types = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50)]


class Subscribe(Given):
    """Without ids: all inboxes of the key, and of later ones too."""

    type: Literal["subscribe"]
    event_types: Types | None = None
    inbox_ids: Ids | None = None
    pod_ids: Ids | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """`inboxes`: their uuids; `names`: of events."""

    names: frozenset[str]
    everything: bool
    inboxes: frozenset[str]
    pods: frozenset[PodId]

    def covers(self, inbox: Inbox) -> bool:
        return self.everything or inbox.uuid in self.inboxes or inbox.pod_id in self.pods


class AgentMailSocket(ListeningSocket):
    """The key is in a header field or, as browsers cannot send one, in the address."""

    def __init__(self, socket: WebSocket, services: WebServices) -> None:
        super().__init__(socket, services)
        self._subscriptions: list[Subscription] = []
        self._pods: dict[str, PodId] = {}
        """Of the inboxes that are listened to, by their uuids."""
        self._told: Told | None = None

    def listeners(self) -> Iterable[Told]:
        return () if self._told is None else (self._told,)

    async def opened(self) -> Caller:
        who: Caller | None = self.socket.scope["state"].get("caller")
        if who is None:
            key, client = self.socket.query_params.get("api_key"), self.socket.client
            if not key:
                raise AuthenticationFailed("The request has no API key")
            who = caller(await self.services.authenticator.open(key, client.host if client else ""))
        need_to_read(who)
        await self.socket.accept()
        return who

    async def refuse(self, error: GatewayError | None) -> None:
        """Before it is accepted as any request is refused."""
        if error is None:
            return
        if self.socket.application_state is self.socket.application_state.CONNECTING:
            await self.socket.send_denial_response(errors.told(problems.kind_of(error), str(error)))
            return
        await self._say_error(error)
        await self.close(POLICY, str(error))

    async def answer(self, who: Caller, text: str) -> None:
        try:
            await self._subscribe(who, Subscribe.model_validate_json(text))
        except ValidationError as error:
            found = error.errors()[0]
            where = ".".join(str(step) for step in found["loc"]) or "message"
            await self._say_error(InvalidRequest(f"{where}: {found['msg']}"))
        except GatewayError as error:
            await self._say_error(error)

    async def farewell(self, reason: str) -> None:
        await self._say_error(Unavailable(reason) if reason == AGAIN else fault(reason))

    async def refresh(self) -> None:
        open_ended = [one for one in self._subscriptions if one.everything or one.pods]
        if open_ended and self.who is not None and not self.over:
            await self._add(self.who, open_ended, later=True)

    async def _subscribe(self, who: Caller, asked: Subscribe) -> None:
        if len(self._subscriptions) >= MOST:
            raise LimitReached(f"A connection may have {MOST} subscriptions")
        types = types_of(tuple(asked.event_types or ()), AGENTMAIL)
        inboxes, pods = asked.inbox_ids or [], asked.pod_ids or []

        def query(rx: Rx) -> Subscription:
            return Subscription(
                frozenset(name for name in AGENTMAIL_TYPES if takes(types, name)), not inboxes and not pods,
                frozenset(inbox_of(rx, who, one).uuid for one in inboxes),
                frozenset(pod_of(rx, who, one).id for one in pods),
            )

        made = await self.services.db.read(query)
        async with self.order:  # whoever reads that it listens misses nothing from then on
            if self._told is None:
                wanted = Wanted(who.permissions, ours(tuple(AGENTMAIL_TYPES)))
                self._told = Told(
                    self.services.listening.followers, wanted, self._write, self._broken, single=False
                )
            await self._add(who, [made])
            self._subscriptions.append(made)
            said = asked.model_dump(include={"event_types", "inbox_ids", "pod_ids"}, exclude_none=True)
            await self.say({"type": "subscribed"} | said)

    async def _add(self, who: Caller, subscriptions: Sequence[Subscription], *, later: bool = False) -> None:
        assert self._told is not None
        found = await self.services.db.read(
            lambda rx: [each for each in inboxes_of(rx, who) if any(one.covers(each) for one in subscriptions)]
        )
        for inbox in found:
            self._pods[inbox.uuid] = inbox.pod_id
            await self._told.add(inbox.id, whole_log=later and self.began_later(inbox))

    async def _write(self, events: Sequence[tuple[str | None, Event]]) -> None:
        async with self.order:
            for _, event in events:
                await self._tell(event)

    async def _tell(self, event: Event) -> None:
        uuid = event.inbox["id"]
        names = {
            name for one in self._subscriptions for name in one.names
            if one.everything or uuid in one.inboxes or self._pods[uuid] in one.pods
        }  # fmt: skip
        if not names or self.who is None:
            return
        services = self.services
        try:
            said = await said_of(services.db, services.digests, self.who.permissions, tuple(names), event)
        except NotFound:  # the inbox was deleted
            return
        if said is not None:
            await self.say(said)

    def _broken(self, reason: str) -> None:
        self.services.listening.soon(self.end(AGAIN))

    async def _say_error(self, error: GatewayError) -> None:
        await self.say({"type": "error", "name": errors.name_of(error), "message": str(error)})


@router.websocket("")
async def listen(socket: WebSocket) -> None:
    """Events as they happen."""
    await AgentMailSocket(socket, socket.app.state.services).run()
