"""Messages as the native API tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from gateway.access.digest import Attachment
from gateway.access.messages import Full, Message, Place
from gateway.access.rendered import Person


class AddressOut(BaseModel):
    name: str | None
    address: str


class PlaceOut(BaseModel):
    """Where the message lies, and how it is marked there."""

    mailbox_id: str
    mailbox: str
    role: str | None
    uid: int
    flags: list[str]
    keywords: list[str]


class AttachmentOut(BaseModel):
    """`part` names it in paths. `size`: octets after decoding; of a large one a close guess."""

    part: str
    file_name: str | None
    media_type: str
    size: int
    content_id: str | None
    inline: bool


class MessageOut(BaseModel):
    """`flags`, `keywords`: of all places together. Times: Unix seconds, `size`: octets. Message ids bear no brackets.

    `reply_to` is empty where it is `from`. `modseq`: of the last change, for `unchanged_since`.
    """

    model_config = ConfigDict(populate_by_name=True)

    id: str
    thread_id: str
    received_at: int
    sent_at: int | None
    subject: str
    from_: list[AddressOut] = Field(alias="from")
    reply_to: list[AddressOut]
    to: list[AddressOut]
    cc: list[AddressOut]
    bcc: list[AddressOut]
    message_id: str | None
    in_reply_to: list[str]
    references: list[str]
    preview: str
    size: int
    unread: bool
    flags: list[str]
    keywords: list[str]
    modseq: int
    places: list[PlaceOut]
    attachments: list[AttachmentOut]


class FieldOut(BaseModel):
    name: str
    value: str


class MessageFull(MessageOut):
    """`text`: made of the HTML where the message has no other. `cut`: text or HTML go on; the parts have all of it."""

    text: str
    html: str | None
    cut: bool
    headers: list[FieldOut]


def shown(message: Message) -> MessageOut:
    return MessageOut.model_validate(values(message))


def values(message: Message) -> dict[str, Any]:
    """The fields of MessageOut: a page of models would take longer to make than all the rest of it."""
    placed, digest = message.placed, message.digest
    flags = list(placed.flags)
    return {
        "id": placed.id, "thread_id": placed.thread_id, "received_at": placed.received_at, "sent_at": digest.sent_at,
        "subject": digest.subject, "from": people(digest.from_), "reply_to": people(digest.reply_to),
        "to": people(digest.to), "cc": people(digest.cc), "bcc": people(digest.bcc),
        "message_id": digest.message_id, "in_reply_to": list(digest.in_reply_to),
        "references": list(digest.references), "preview": digest.preview, "size": placed.size,
        "unread": "\\Seen" not in flags, "flags": flags, "keywords": list(placed.keywords), "modseq": placed.modseq,
        "places": [_place(place) for place in placed.places],
        "attachments": [_attachment(attachment) for attachment in digest.attachments],
    }  # fmt: skip


def full_values(full: Full) -> dict[str, Any]:
    """The fields of MessageFull."""
    body = full.body
    headers = [{"name": name, "value": value} for name, value in body.headers]
    return values(full.message) | {"text": body.text, "html": body.html, "cut": body.cut, "headers": headers}


def people(found: Sequence[Person]) -> list[dict[str, Any]]:
    """The fields of AddressOut."""
    return [{"name": person.name, "address": person.address} for person in found]


def _place(place: Place) -> dict[str, Any]:
    return {
        "mailbox_id": place.mailbox_id, "mailbox": place.mailbox, "role": place.role, "uid": place.uid,
        "flags": list(place.flags), "keywords": list(place.keywords),
    }  # fmt: skip


def _attachment(attachment: Attachment) -> dict[str, Any]:
    return {
        "part": attachment.part, "file_name": attachment.file_name, "media_type": attachment.media_type,
        "size": attachment.size, "content_id": attachment.content_id, "inline": attachment.inline,
    }  # fmt: skip
