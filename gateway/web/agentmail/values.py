"""Messages in AgentMail's words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import Field

from gateway.access.digest import Attachment, Digest
from gateway.access.messages import Body, Message
from gateway.access.rendered import Person
from gateway.store.inboxes import Inbox

from .labels import labels_of
from .parts import Theirs, moment

_NO_FIELDS: Final = frozenset({"from", "to", "cc", "bcc", "reply-to", "subject"})
_ATTRIBUTION: Final = re.compile(
    r"(?:On|Am|Le|El|Il)\b.{0,300}\b(?:wrote|schrieb|écrit|escribió|scritto)[^:]{0,100}:\s*\Z"
)
_MARKERS: Final = ("-----Original Message-----", "---------- Forwarded message ---------", "_" * 32)
HEADERS: Final = 200
"""Fields of a header that are told."""


class AttachmentOut(Theirs):
    attachment_id: str
    filename: str | None = None
    size: int
    content_type: str | None = None
    content_disposition: Literal["inline", "attachment"] | None = None
    content_id: str | None = None


class MessageItem(Theirs):
    inbox_id: str
    thread_id: str
    message_id: str
    labels: list[str]
    timestamp: datetime
    from_: str = Field(alias="from")
    reply_to: list[str] | None = None
    to: list[str]
    cc: list[str] | None = None
    bcc: list[str] | None = None
    subject: str | None = None
    preview: str | None = None
    attachments: list[AttachmentOut] | None = None
    in_reply_to: str | None = None
    references: list[str] | None = None
    headers: dict[str, str] | None = None
    size: int
    updated_at: datetime
    created_at: datetime


class MessageOut(MessageItem):
    text: str | None = None
    html: str | None = None
    extracted_text: str | None = None
    extracted_html: str | None = None


def item(inbox: Inbox, message: Message) -> MessageItem:
    return MessageItem(**_values(inbox, message))


def whole(inbox: Inbox, message: Message, body: Body | None) -> MessageOut:
    """Without a body where only what a list tells is asked for."""
    if body is None:
        return MessageOut(**_values(inbox, message))
    fields = {name: value for name, value in reversed(body.headers[:HEADERS]) if name.lower() not in _NO_FIELDS}
    return MessageOut(
        **_values(inbox, message), text=body.text, html=body.html, headers=fields,
        extracted_text=extracted(body.text), extracted_html=None,
    )  # fmt: skip


def own(inbox: Inbox, digest: Digest) -> bool:
    """Whether the inbox wrote it."""
    return any(person.address.lower() == inbox.address.lower() for person in digest.from_)


def people(found: Sequence[Person]) -> list[str]:
    return [f"{person.name} <{person.address}>" if person.name else person.address for person in found]


def attachments(found: Sequence[Attachment]) -> list[AttachmentOut]:
    return [attachment(one) for one in found]


def attachment(one: Attachment) -> AttachmentOut:
    return AttachmentOut(
        attachment_id=one.part, filename=one.file_name, size=one.size, content_type=one.media_type,
        content_disposition="inline" if one.inline else "attachment", content_id=one.content_id,
    )  # fmt: skip


def extracted(text: str) -> str:
    """What its writer has added: without what he quotes below it."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if line.startswith(_MARKERS):
            return "\n".join(lines[:at]).strip()
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith(">")):
        end -= 1
    if end < len(lines) and any(line.startswith(">") for line in lines[end:]):
        for count in (1, 2, 3):  # long attributions are wrapped
            if count <= end and _ATTRIBUTION.match(" ".join(lines[end - count : end]).strip()):
                end -= count
                break
        return "\n".join(lines[:end]).strip()
    return text.strip()


def _values(inbox: Inbox, message: Message) -> dict[str, Any]:
    placed, says = message.placed, message.digest
    saved = max(place.saved_at for place in placed.places)
    return {
        "inbox_id": inbox.address, "thread_id": placed.thread_id, "message_id": placed.id,
        "labels": labels_of(placed, own(inbox, says)), "timestamp": moment(placed.received_at),
        "from_": ", ".join(people(says.from_)), "reply_to": people(says.reply_to) or None, "to": people(says.to),
        "cc": people(says.cc) or None, "bcc": people(says.bcc) or None, "subject": says.subject,
        "preview": says.preview, "attachments": attachments(says.attachments) or None,
        "in_reply_to": f"<{says.in_reply_to[0]}>" if says.in_reply_to else None,
        "references": [f"<{one}>" for one in says.references] or None, "size": placed.size,
        "updated_at": moment(saved), "created_at": moment(min(place.saved_at for place in placed.places)),
    }  # fmt: skip
