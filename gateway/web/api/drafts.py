"""Drafts: what is written and not sent, waits for its time, or for somebody's consent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from gateway.access import draft_views, drafting, messages, sending
from gateway.access.answering import Forward, Reply
from gateway.access.composing import Letter
from gateway.access.draft_views import Draft, Place, Status
from gateway.access.rendered import Person
from gateway.access.sending import Outcome, Post
from gateway.model.errors import InvalidRequest
from gateway.model.rights import Action
from gateway.store.db import Rx, Tx
from gateway.web.idempotency import Keep, Once
from gateway.web.large_bodies import LargeBodyRoute

from .message_values import AddressOut, AttachmentOut, FieldOut
from .outgoing import Mail, Sent, sent
from .parts import Cursor, Limit, Page, Services, Who, from_cursor, to_cursor

router = APIRouter(prefix="/api/v1/inboxes/{inbox}/drafts", tags=["drafts"], route_class=LargeBodyRoute)

_FIELDS: Final = (
    "sender", "to", "cc", "bcc", "reply_to", "subject", "text", "html", "attachments", "headers",
)  # fmt: skip
Time = Annotated[int, Field(ge=0, lt=2**53, description="Unix seconds")]


class DraftOut(BaseModel):
    """`id` stays when the draft is changed; `copy_id` is that of the message which it is now. Times: Unix seconds.

    `status`: draft, scheduled (for `send_at`), pending_approval, failed (it could not be sent at its time).
    """

    model_config = ConfigDict(populate_by_name=True)

    id: str
    copy_id: str
    thread_id: str
    client_id: str | None
    status: Status
    send_at: int | None
    submission_id: str | None
    from_: list[AddressOut] = Field(alias="from")
    to: list[AddressOut]
    cc: list[AddressOut]
    bcc: list[AddressOut]
    reply_to: list[AddressOut]
    subject: str
    message_id: str | None
    in_reply_to: list[str]
    references: list[str]
    original: Annotated[str | None, Field(description="Id of the message that it answers or forwards")]
    preview: str
    size: int
    attachments: list[AttachmentOut]
    created_at: int
    updated_at: int


class DraftFull(DraftOut):
    """`cut`: text or html go on; the parts of the message have all of it."""

    text: str
    html: str | None
    cut: bool
    headers: list[FieldOut]


class DraftIn(Mail):
    """`reply_to_message`, `forward_of`: ids of a message of this inbox, which gives subject, thread and recipients.

    `send_at`: it is sent then. `client_id`: a name of your own; with one that is known, that draft is answered.
    """

    reply_to_message: Annotated[str, Field(max_length=100)] | None = None
    reply_all: bool = False
    quote: bool = True
    forward_of: Annotated[str, Field(max_length=100)] | None = None
    attach: bool = False
    send_at: Time | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=255)] | None = None


class DraftChange(Mail):
    """What is named takes the place of what was there; `send_at` null takes it off the clock."""

    send_at: Time | None = None


def shown(draft: Draft) -> DraftOut:
    return DraftOut(**_values(draft))


def _values(draft: Draft) -> dict[str, Any]:
    place, says = draft.place, draft.digest
    waiting = place.waiting
    return {
        "id": place.name.name, "copy_id": place.email_id, "thread_id": place.thread_id,
        "client_id": place.name.client_id, "status": place.status,
        "send_at": None if waiting is None else waiting.release_at,
        "submission_id": None if waiting is None else waiting.uuid, "from_": _people(says.from_),
        "to": _people(says.to), "cc": _people(says.cc), "bcc": _people(says.bcc), "reply_to": _people(says.reply_to),
        "subject": says.subject, "message_id": says.message_id, "in_reply_to": list(says.in_reply_to),
        "references": list(says.references), "original": place.name.original, "preview": says.preview,
        "size": says.size, "attachments": [
            AttachmentOut(
                part=one.part, file_name=one.file_name, media_type=one.media_type, size=one.size,
                content_id=one.content_id, inline=one.inline,
            )
            for one in says.attachments
        ],
        "created_at": place.name.created_at, "updated_at": place.updated_at,
    }  # fmt: skip


def _people(people: Sequence[Person]) -> list[AddressOut]:
    return [AddressOut(name=one.name, address=one.address) for one in people]


def _sends(keep: Keep) -> sending.Then:
    def then(tx: Tx, outcome: Outcome) -> None:
        keep(tx, sent(outcome))

    return then


@router.get("")
async def list_drafts(
    services: Services, who: Who, inbox: str, limit: Limit = 50, cursor: Cursor = None
) -> Page[DraftOut]:
    """Drafts, the last changed first."""
    draft_views.require(who, Action.READ)
    parts = from_cursor(cursor, int)
    below = None if parts is None else parts[0]

    def query(rx: Rx) -> tuple[list[Place], int | None]:
        return draft_views.page(rx, sending.post_of(rx, who, inbox), below, limit)

    places, following = await services.db.read(query)
    found = await draft_views.digested(services.db, places)
    return Page(items=[shown(each) for each in found], next=None if following is None else to_cursor(following))


@router.post("", status_code=201, response_model=DraftOut)
async def create_draft(services: Services, who: Who, inbox: str, body: DraftIn, once: Once) -> Any:
    """Write a draft; with `send_at` it is sent then."""
    draft_views.require(who, Action.ADD)
    if body.reply_to_message is not None and body.forward_of is not None:
        raise InvalidRequest("A draft answers a message or forwards one: name at most one")
    how = Forward(attach=body.attach) if body.forward_of else Reply(everybody=body.reply_all, quote=body.quote)

    async def work(keep: Keep) -> DraftOut:
        new = drafting.DraftNew(
            written=await body.written(services.settings.max_message_size),
            message=body.reply_to_message or body.forward_of, how=how, send_at=body.send_at, client_id=body.client_id,
        )  # fmt: skip
        return shown(await drafting.create(services, who, inbox, new, lambda tx, draft: keep(tx, shown(draft))))

    return await once.run(work, 201)


@router.get("/{draft}")
async def get_draft(services: Services, who: Who, inbox: str, draft: str) -> DraftFull:
    """A draft with its text."""
    draft_views.require(who, Action.READ)
    found = await services.db.read(
        lambda rx: draft_views.drafted(rx, draft_views.find(rx, sending.post_of(rx, who, inbox), draft))
    )
    body = await services.db.offload(messages.body, found.place.content_id)
    headers = [FieldOut(name=name, value=value) for name, value in body.headers]
    return DraftFull(**_values(found), text=body.text, html=body.html, cut=body.cut, headers=headers)


@router.patch("/{draft}", response_model=DraftOut)
async def change_draft(services: Services, who: Who, inbox: str, draft: str, body: DraftChange, once: Once) -> Any:
    """Change what is named. A draft that waited for consent is an ordinary one then."""
    draft_views.require(who, Action.FLAG)
    named = body.model_fields_set

    async def work(keep: Keep) -> DraftOut:
        written = await body.written(services.settings.max_message_size)

        def edit(letter: Letter, post: Post) -> Letter:
            fresh = sending.addressed(written, post)
            given: dict[str, Any] = {name: getattr(fresh, name) for name in _FIELDS if name in named}
            if "send_at" in named:
                given["send_at"] = body.send_at
            return replace(letter, **given)

        made = await drafting.change(
            services, who, inbox, draft, edit, lambda tx, draft: keep(tx, shown(draft))
        )
        return shown(made)

    return await once.run(work)


@router.delete("/{draft}", status_code=204)
async def delete_draft(services: Services, who: Who, inbox: str, draft: str) -> None:
    """Throw it away; what it was to send is not sent."""
    await drafting.delete(services, who, inbox, draft)


@router.post("/{draft}/send", status_code=201, response_model=Sent)
async def send_draft(services: Services, who: Who, inbox: str, draft: str, once: Once) -> Any:
    """Send it now, whatever it waits for."""
    drafting.require_sender(who)

    async def work(keep: Keep) -> Sent:
        return sent(await drafting.send(services, who, inbox, draft, _sends(keep)))

    return await once.run(work, 201)


@router.post("/{draft}/approve", status_code=201, response_model=Sent)
async def approve_draft(services: Services, who: Who, inbox: str, draft: str, once: Once) -> Any:
    """Consent to what a key without the right to send has written."""
    drafting.require_sender(who)

    async def work(keep: Keep) -> Sent:
        return sent(await drafting.approve(services, who, inbox, draft, _sends(keep)))

    return await once.run(work, 201)
