"""Sending, replies and forwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BeforeValidator, Field

from gateway.access import answering, sending
from gateway.access.answering import Forward, Reply
from gateway.access.caller import Caller
from gateway.access.changing import Marks
from gateway.access.composing import Attachment
from gateway.access.sending import Outcome, Then, Written
from gateway.model.errors import InvalidRequest, TooBig
from gateway.model.flags import SYSTEM_FLAGS
from gateway.model.ids import InboxId
from gateway.store import messages as stored
from gateway.store import same_message
from gateway.store.db import Tx
from gateway.web.api.parts import Services, Who
from gateway.web.idempotency import Keep, Once
from gateway.web.large_bodies import decoded

from .finding import the_inbox
from .labels import change
from .messages import BASE, Labels
from .parts import Given, Theirs, new_router

router: APIRouter = new_router()


def _several(value: object) -> object:
    return () if value is None else (value,) if isinstance(value, str) else value


Addresses = Annotated[
    tuple[Annotated[str, Field(max_length=100_000)], ...], Field(max_length=1000), BeforeValidator(_several)
]
"""One or several; each may be `Anna <anna@example.org>`."""


class SendAttachment(Given):
    """`content`: base64. What lies behind a `url` is fetched by nobody here."""

    filename: Annotated[str, Field(max_length=255)] | None = None
    content_type: Annotated[str, Field(max_length=500)] | None = None
    content_disposition: Literal["inline", "attachment"] | None = None
    content_id: Annotated[str, Field(max_length=250)] | None = None
    content: str | None = None
    url: str | None = None


Attachments = Annotated[tuple[SendAttachment, ...], Field(max_length=500), BeforeValidator(_several)]


class ReplyAll(Given):
    """`track_opens` does nothing: nobody is watched from here."""

    labels: Labels = ()
    reply_to: Addresses = ()
    text: str | None = None
    html: str | None = None
    attachments: Attachments = ()
    headers: Annotated[dict[str, str], Field(max_length=50), BeforeValidator(lambda value: value or {})] = Field(
        default_factory=dict
    )

    async def written(self, most: int) -> Written:
        """InvalidRequest names the field; TooBig beyond `most` octets."""
        return Written(
            to=self.given("to"), cc=self.given("cc"), bcc=self.given("bcc"), reply_to=self.reply_to,
            subject=getattr(self, "subject", None), text=self.text, html=self.html,
            attachments=await attached(self.attachments, most), headers=tuple(self.headers.items()),
        )  # fmt: skip

    def given(self, name: str) -> tuple[str, ...]:
        found: tuple[str, ...] = getattr(self, name, ())
        return found


class ReplyTo(ReplyAll):
    to: Addresses = ()
    cc: Addresses = ()
    bcc: Addresses = ()
    reply_all: bool | None = None


class Send(ReplyAll):
    to: Addresses = ()
    cc: Addresses = ()
    bcc: Addresses = ()
    subject: Annotated[str, Field(max_length=50_000)] | None = None


class Sent(Theirs):
    message_id: str
    thread_id: str


async def attached(them: Sequence[SendAttachment], most: int) -> tuple[Attachment, ...]:
    if sum(len(one.content or "") for one in them) > most * 3 // 2:
        raise TooBig(f"A message may have {most} octets at most")
    found = []
    for number, one in enumerate(them):
        if one.content is None:
            raise InvalidRequest(f"attachments.{number}.content is needed: this server fetches nothing by url")
        octets = await decoded(f"attachments.{number}.content", one.content)
        inline = one.content_disposition == "inline"
        found.append(Attachment(octets, one.filename, one.content_type, one.content_id, inline))
    return tuple(found)


def sent(outcome: Outcome) -> Sent:
    """By the id of the copy in Sent, or of the draft that waits for consent; where none is kept the Message-ID."""
    return Sent(
        message_id=outcome.email_id or outcome.message_id, thread_id=outcome.thread_id or outcome.message_id
    )


def labelling(inbox_id: InboxId, labels: Sequence[str], keep: Keep) -> Then:
    """Flags and keywords for the copy in Sent, in the unit that accepts it. InvalidRequest."""
    wanted = change(labels, ())
    if wanted.into is not None:
        raise InvalidRequest("labels: what is sent is neither trash nor spam")
    marks = wanted.marks
    flags = {name: [SYSTEM_FLAGS[flag] for flag in names if flag in SYSTEM_FLAGS] for name, names in (
        ("add", marks.add), ("remove", marks.remove),
    )}  # fmt: skip
    words = [word for word in marks.add if word not in SYSTEM_FLAGS]

    def then(tx: Tx, outcome: Outcome) -> None:
        if outcome.email_id is not None and marks != Marks():
            for row in same_message.places(tx, inbox_id, [outcome.email_id]):
                if flags["remove"]:
                    stored.store_flags(tx, inbox_id, row.mailbox_id, [row.uid], "remove", sum(flags["remove"]))
                stored.store_flags(tx, inbox_id, row.mailbox_id, [row.uid], "add", sum(flags["add"]), words)
        keep(tx, sent(outcome))

    return then


@router.post(f"{BASE}/send", response_model=Sent)
async def send(services: Services, who: Who, inbox_id: str, body: Send, once: Once) -> Any:
    """Send a message; with a key that may only write drafts it waits in Drafts for consent."""
    sending.require_sender(who)
    inbox = await the_inbox(services, who, inbox_id)

    async def work(keep: Keep) -> Sent:
        post = await services.db.read(lambda rx: sending.post_of(rx, who, inbox.address))
        letter = sending.addressed(await body.written(services.settings.max_message_size), post)
        then = labelling(inbox.id, body.labels, keep)
        return sent(await sending.send(services, who, post, letter, then))

    return await once.run(work)


@router.post(f"{BASE}/{{message_id}}/reply", response_model=Sent)
async def reply(services: Services, who: Who, inbox_id: str, message_id: str, body: ReplyTo, once: Once) -> Any:
    """Answer whoever wrote a message."""
    if body.reply_all and (body.to or body.cc or body.bcc):
        raise InvalidRequest("reply_all: it names its recipients itself, without to, cc and bcc")
    return await _answer(services, who, inbox_id, message_id, body, Reply(everybody=bool(body.reply_all)), once)


@router.post(f"{BASE}/{{message_id}}/reply-all", response_model=Sent)
async def reply_all(services: Services, who: Who, inbox_id: str, message_id: str, body: ReplyAll, once: Once) -> Any:
    """Answer whoever wrote a message, and all others who got it."""
    return await _answer(services, who, inbox_id, message_id, body, Reply(everybody=True), once)


@router.post(f"{BASE}/{{message_id}}/forward", response_model=Sent)
async def forward(services: Services, who: Who, inbox_id: str, message_id: str, body: Send, once: Once) -> Any:
    """Send a message on, with its attachments."""
    return await _answer(services, who, inbox_id, message_id, body, Forward(), once)


async def _answer(
    services: Services, who: Caller, inbox_id: str, message_id: str, body: ReplyAll, how: Reply | Forward, once: Once
) -> Any:
    sending.require_sender(who)
    inbox = await the_inbox(services, who, inbox_id)

    async def work(keep: Keep) -> Sent:
        written = await body.written(services.settings.max_message_size)
        then = labelling(inbox.id, body.labels, keep)
        return sent(await answering.answer(services, who, inbox.address, message_id, written, how, then))

    return await once.run(work)
