"""Sending: from an inbox, and from an account elsewhere through its connector."""

from __future__ import annotations

import asyncio
from email.utils import formataddr
from typing import Annotated, Final

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.access import sending as sends
from gateway.access.caller import Caller
from gateway.access.connectors import connector_of
from gateway.access.sending import Outcome, Post, Written
from gateway.model.errors import CannotChange, InvalidRequest
from gateway.store import inboxes
from gateway.store.connectors import accounts
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.db import Rx
from gateway.web import connecting
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from . import reading
from .ids import message_uuid, part_uuid
from .mail_models import SendEmailOptions, SentEmail
from .parts import Given, at

router = APIRouter(tags=["mailslurp sending"])
_ELSEWHERE = (("to_contacts", "toContacts"), ("to_group", "toGroup"), ("template", "template"),
              ("attachments", "attachments"))  # fmt: skip
"""What lies in parts of MailSlurp that are not here."""

NEW_S: Final = 10
"""For so long after a change of an account it is looked whether that is known everywhere."""
FOLLOWED_S: Final = 3.0
LOOK_S: Final = 0.1


class SimpleSendEmailOptions(Given):
    sender_id: str | None = None
    to: Annotated[str, Field(max_length=1000)]
    body: str | None = None
    subject: Annotated[str, Field(max_length=10_000)] | None = None


def written(options: SendEmailOptions, sender: str) -> Written:
    """A message of these options. InvalidRequest names what is not to be had."""
    for name, theirs in _ELSEWHERE:
        if getattr(options, name):
            raise InvalidRequest(f"{theirs} is not known here: give addresses, text and HTML themselves")
    text, html = _bodies(options)
    author = options.from_ or sender
    if options.from_name and "<" not in author:
        author = formataddr((options.from_name, author), "utf-8")
    return Written(
        sender=author, to=tuple(options.to or ()), cc=tuple(options.cc or ()), bcc=tuple(options.bcc or ()),
        reply_to=(options.reply_to,) if options.reply_to else (), subject=options.subject, text=text, html=html,
        headers=tuple((options.custom_headers or {}).items()),
    )  # fmt: skip


def _bodies(options: SendEmailOptions) -> tuple[str | None, str | None]:
    """(text, HTML)"""
    if options.body_parts:
        found = {part.content_type.partition(";")[0].strip().lower(): part.content_body for part in options.body_parts}
        if unknown := found.keys() - {"text/plain", "text/html"}:
            raise InvalidRequest(f"bodyParts may be text/plain and text/html, not {min(unknown)}")
        return found.get("text/plain"), found.get("text/html")
    body = options.body or ""
    is_html = options.is_html if options.is_html is not None else bool(options.html)
    return (None, body) if is_html else (body, None)


async def _send(
    services: WebServices, who: Caller, inbox: str, options: SendEmailOptions, sender: str | None = None
) -> SentEmail:
    """As `sender`; without one as the account that the inbox has elsewhere, or as the inbox."""
    sends.require_sender(who)

    def query(rx: Rx) -> tuple[Post, list[ConnectorRow], str]:
        post = sends.post_of(rx, who, inbox)
        return post, accounts.page(rx, inbox_id=post.inbox.id, limit=20), reading.user_of(rx, post.inbox)

    post, rows, user = await services.db.read(query)
    author = sender or options.from_ or await _account(services, who, rows) or post.inbox.address
    for row in rows:
        if row.address == author and row.enabled:
            await _followed(services, row)
    letter = sends.addressed(written(options, author), post)
    outcome = await sends.send(services, who, post, letter)
    return _sent(services, post, user, options, letter.sender.address, outcome)


async def _account(services: WebServices, who: Caller, rows: list[ConnectorRow]) -> str | None:
    """The oldest account of these that mail goes out through."""
    for row in rows:
        if row.enabled and await _sends(services, who, row):
            return row.address
    return None


async def _followed(services: WebServices, row: ConnectorRow) -> None:
    """Whoever finds the way of mail hears of a new account a moment after it was made: no mail goes another one."""
    loop = asyncio.get_running_loop()
    end = loop.time() + FOLLOWED_S
    probe = {"sender": row.address, "recipient": f"postmaster@{row.address.rpartition('@')[2]}"}
    while services.clock() - row.updated_at < NEW_S and loop.time() < end:
        if (await services.operate("queue.route", probe))["way"] == "connector":
            return
        await asyncio.sleep(LOOK_S)


async def _sends(services: WebServices, who: Caller, row: ConnectorRow) -> bool:
    shown = await connecting.ask(services, await connecting.known(services, who, row.uuid), "connector.show")
    return bool(shown["options"]["smtp"]["enabled"])


def _sent(
    services: WebServices, post: Post, user: str, options: SendEmailOptions, author: str, outcome: Outcome
) -> SentEmail:
    """Its id is that of the copy in Sent; where none is kept, of the submission."""
    now = at(int(services.clock()))
    inbox = post.inbox
    own = None if outcome.email_id is None else message_uuid(inbox.id, outcome.email_id)
    text, html = _bodies(options)
    return SentEmail(
        id=own or outcome.submission or part_uuid(inbox.uuid, outcome.message_id), user_id=user, inbox_id=inbox.uuid,
        to=options.to or [], from_=author, reply_to=options.reply_to, cc=options.cc or [], bcc=options.bcc or [],
        subject=options.subject, body=html if html is not None else text, is_html=html is not None,
        html=html is not None, sent_at=now, created_at=now, message_id=outcome.message_id,
        message_ids=[outcome.message_id],
        thread_id=None if outcome.thread_id is None else message_uuid(inbox.id, outcome.thread_id),
    )  # fmt: skip


@router.post("/connectors/{id}/send", status_code=201)
async def send_email_from_connector(
    services: Services, who: Who, id: str, body: SendEmailOptions, useFallback: bool = False
) -> SentEmail:
    """Send as the connector's account and through it.

    Where it cannot send, as it has no SMTP connection or is switched off, `useFallback` sends from its inbox instead.
    """
    row = await services.db.read(lambda rx: connector_of(rx, who, id))
    box = await services.db.read(lambda rx: _inbox(rx, row))
    if row.enabled and await _sends(services, who, row):
        return await _send(services, who, box, body, row.address)
    if not useFallback:
        raise CannotChange("The connector cannot send: it has no SMTP connection, or is switched off")
    return await _send(services, who, box, body.model_copy(update={"from_": None}), box)


def _inbox(rx: Rx, row: ConnectorRow) -> str:
    found = inboxes.inbox_by_id(rx, row.inbox_id)
    assert found is not None
    return found.address


@router.post("/inboxes/{inboxId}", status_code=201)
async def send_email(services: Services, who: Who, inboxId: str, body: SendEmailOptions) -> None:
    """Send an email from an inbox, or from the account that it has elsewhere."""
    await _send(services, who, inboxId, body)


@router.post("/inboxes/{inboxId}/confirm", status_code=201)
async def send_email_and_confirm(services: Services, who: Who, inboxId: str, body: SendEmailOptions) -> SentEmail:
    """Send an email, and be told what was sent."""
    return await _send(services, who, inboxId, body)


@router.post("/inboxes/{inboxId}/with-queue", status_code=201)
async def send_email_with_queue(services: Services, who: Who, inboxId: str, body: SendEmailOptions) -> None:
    """The same: all mail goes by the queue."""
    await _send(services, who, inboxId, body)


@router.post("/emails", status_code=201)
async def send_email_source_optional(
    services: Services, who: Who, body: SendEmailOptions, inboxId: Annotated[str | None, Query(max_length=320)] = None
) -> None:
    """Send an email from an inbox, which may be left out where the key opens one alone."""
    box = await services.db.read(lambda rx: reading.inbox_or_own(rx, who, inboxId or body.inbox_id).uuid)
    await _send(services, who, box, body)


@router.post("/sendEmail", status_code=201)
async def send_email_simple(services: Services, who: Who, body: SimpleSendEmailOptions) -> None:
    """Send a text to one address."""
    box = await services.db.read(lambda rx: reading.inbox_or_own(rx, who, body.sender_id).uuid)
    options = SendEmailOptions(to=[body.to], subject=body.subject, body=body.body)
    await _send(services, who, box, options)


@router.get("/sent/{id}")
async def get_sent_email(services: Services, who: Who, id: str) -> SentEmail:
    """What was sent, as its copy in Sent says."""
    found, full = await reading.full(services, who, id)
    digest = full.message.digest
    sent = at(digest.sent_at or full.message.placed.received_at)
    return SentEmail(
        id=id.lower(), user_id=found.user, inbox_id=found.inbox.uuid, to=[one.address for one in digest.to],
        from_=digest.from_[0].address if digest.from_ else None,
        reply_to=digest.reply_to[0].address if digest.reply_to else None, cc=[one.address for one in digest.cc],
        bcc=[one.address for one in digest.bcc], subject=digest.subject or None,
        body=full.body.html if full.body.html is not None else full.body.text, is_html=full.body.html is not None,
        html=full.body.html is not None, sent_at=sent, created_at=sent,
        message_id=None if digest.message_id is None else f"<{digest.message_id}>",
        thread_id=message_uuid(found.inbox.id, full.message.placed.thread_id),
    )  # fmt: skip
