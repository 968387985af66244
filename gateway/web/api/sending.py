"""Sending, replies and forwards."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field

from gateway.access import answering, sending
from gateway.access.sending import Outcome
from gateway.store.db import Tx
from gateway.web.idempotency import Keep, Once
from gateway.web.large_bodies import LargeBodyRoute

from .outgoing import Mail, Sent, sent
from .parts import Services, Who

router = APIRouter(prefix="/api/v1", tags=["sending"], route_class=LargeBodyRoute)


class Reply(Mail):
    """`to`, if it is given, takes the place of those whom a reply goes to. `quote`: the original below the text."""

    quote: bool = True


class Forward(Mail):
    """`attach`: the original as one attachment, instead of below the text with its attachments."""

    attach: Annotated[bool, Field()] = False


def _keeping(keep: Keep) -> sending.Then:
    def then(tx: Tx, outcome: Outcome) -> None:
        keep(tx, sent(outcome))

    return then


@router.post("/inboxes/{inbox}/send", status_code=201, response_model=Sent)
async def send(services: Services, who: Who, inbox: str, body: Mail, once: Once) -> Any:
    """Send a message; with a key that may only write drafts it waits in Drafts for consent."""
    sending.require_sender(who)

    async def work(keep: Keep) -> Sent:
        post = await services.db.read(lambda rx: sending.post_of(rx, who, inbox))
        letter = sending.addressed(await body.written(services.settings.max_message_size), post)
        return sent(await sending.send(services, who, post, letter, _keeping(keep)))

    return await once.run(work, 201)


@router.post("/inboxes/{inbox}/messages/{message}/reply", status_code=201, response_model=Sent)
async def reply(services: Services, who: Who, inbox: str, message: str, body: Reply, once: Once) -> Any:
    """Answer whoever wrote a message."""
    return await once.run(_reply(services, who, inbox, message, body, everybody=False), 201)


@router.post("/inboxes/{inbox}/messages/{message}/reply-all", status_code=201, response_model=Sent)
async def reply_all(services: Services, who: Who, inbox: str, message: str, body: Reply, once: Once) -> Any:
    """Answer whoever wrote a message, and all others who got it."""
    return await once.run(_reply(services, who, inbox, message, body, everybody=True), 201)


def _reply(services: Services, who: Who, inbox: str, message: str, body: Reply, *, everybody: bool) -> Any:
    sending.require_sender(who)

    async def work(keep: Keep) -> Sent:
        written = await body.written(services.settings.max_message_size)
        how = answering.Reply(everybody=everybody, quote=body.quote)
        return sent(await answering.answer(services, who, inbox, message, written, how, _keeping(keep)))

    return work


@router.post("/inboxes/{inbox}/messages/{message}/forward", status_code=201, response_model=Sent)
async def forward(services: Services, who: Who, inbox: str, message: str, body: Forward, once: Once) -> Any:
    """Send a message on."""
    sending.require_sender(who)

    async def work(keep: Keep) -> Sent:
        written = await body.written(services.settings.max_message_size)
        how = answering.Forward(attach=body.attach)
        return sent(await answering.answer(services, who, inbox, message, written, how, _keeping(keep)))

    return await once.run(work, 201)
