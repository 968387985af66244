"""Mail as MailSlurp's clients know it: previews for lists, whole emails, what is to be sent and was."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.access.digest import Digest
from gateway.access.messages import Full, Message
from gateway.access.rendered import Person
from gateway.model.flags import SEEN
from gateway.store.inboxes import Inbox

from .ids import message_uuid, part_uuid
from .parts import Given, PageOf, Theirs, at

Text = Annotated[str, Field(max_length=1000)]
People = Annotated[list[Text], Field(max_length=1000)]


class Sender(Theirs):
    raw_value: str
    email_address: str
    name: str | None = None


class EmailRecipients(Theirs):
    to: list[Sender]
    cc: list[Sender]
    bcc: list[Sender]


class EmailPreview(Theirs):
    """What a list shows. `created_at`: when it arrived; `body_excerpt`: its first words."""

    id: str
    inbox_id: str
    domain_id: str | None = None
    subject: str | None = None
    to: list[str]
    from_: Annotated[str | None, Field(alias="from")] = None
    cc: list[str]
    bcc: list[str]
    created_at: datetime
    read: bool
    attachments: list[str]
    thread_id: str | None = None
    message_id: str | None = None
    in_reply_to: str | None = None
    sender: Sender | None = None
    recipients: EmailRecipients
    favourite: bool = False
    body_part_content_types: list[str] = Field(default_factory=list)
    size_bytes: int
    body_excerpt: str | None = None
    text_excerpt: str | None = None
    team_access: bool = False


class Email(EmailPreview):
    """`body`: its HTML, or its text where it has none."""

    user_id: str
    reply_to: str | None = None
    headers: dict[str, str]
    headers_map: dict[str, list[str]]
    body: str | None = None
    is_html: Annotated[bool, Field(alias="isHTML")]
    html: bool
    charset: str = "utf-8"
    is_x_amp_html: Annotated[bool, Field(alias="isXAmpHtml")] = False
    xamp_html: bool = False
    updated_at: datetime


class AttachmentMetaData(Theirs):
    id: str
    name: str
    content_type: str
    content_length: int
    content_id: str | None = None


class RawEmailJson(Theirs):
    content: str


class EmailHtml(Theirs):
    subject: str | None
    body: str


class DownloadAttachment(Theirs):
    base64_file_contents: str
    content_type: str
    size_bytes: int


class SendEmailBodyPart(Given):
    content_type: Text
    content_body: str


class SendEmailOptions(Given):
    """Contacts, groups, templates and attachments that were uploaded before are not here: such a mail is refused."""

    to_contacts: list[str] | None = None
    to_group: str | None = None
    to: People | None = None
    from_: Annotated[Text | None, Field(alias="from")] = None
    from_name: Text | None = None
    cc: People | None = None
    bcc: People | None = None
    subject: Annotated[str, Field(max_length=10_000)] | None = None
    reply_to: Text | None = None
    custom_headers: Annotated[dict[str, str], Field(max_length=50)] | None = None
    body: str | None = None
    html: bool | None = None
    is_html: Annotated[bool | None, Field(alias="isHTML")] = None
    attachments: list[Any] | None = None
    template_variables: dict[str, Any] | None = None
    template: str | None = None
    use_inbox_name: bool | None = None
    body_parts: Annotated[list[SendEmailBodyPart], Field(max_length=2)] | None = None
    inbox_id: str | None = None


class SentEmail(Theirs):
    id: str
    user_id: str
    inbox_id: str
    to: list[str]
    from_: Annotated[str | None, Field(alias="from")] = None
    reply_to: str | None = None
    cc: list[str]
    bcc: list[str]
    subject: str | None = None
    body: str | None = None
    is_html: Annotated[bool, Field(alias="isHTML")] = False
    html: bool = False
    charset: str = "utf-8"
    sent_at: datetime
    created_at: datetime
    message_id: str | None = None
    message_ids: list[str] = Field(default_factory=list)
    thread_id: str | None = None
    virtual_send: bool = False
    transport: Literal["PUBLIC_EMAIL", "SANDBOX_LOCAL"] = "PUBLIC_EMAIL"
    favourite: bool = False


PageEmails = PageOf[EmailPreview]


def _raw(one: Person) -> str:
    return f"{one.name} <{one.address}>" if one.name else one.address


def _people(found: tuple[Person, ...]) -> list[Sender]:
    return [Sender(raw_value=_raw(one), email_address=one.address, name=one.name) for one in found]


def _facts(inbox: Inbox, message: Message) -> dict[str, Any]:
    digest, placed = message.digest, message.placed
    own = message_uuid(inbox.id, message.id)
    return {
        "id": own, "inbox_id": inbox.uuid, "subject": digest.subject or None,
        "to": [one.address for one in digest.to], "from_": digest.from_[0].address if digest.from_ else None,
        "cc": [one.address for one in digest.cc], "bcc": [one.address for one in digest.bcc],
        "created_at": at(placed.received_at), "read": bool(placed.mask & SEEN),
        "attachments": [part_uuid(own, one.part) for one in digest.attachments],
        "thread_id": message_uuid(inbox.id, placed.thread_id), "message_id": _id(digest.message_id),
        "in_reply_to": _id(digest.in_reply_to[0]) if digest.in_reply_to else None,
        "sender": _people(digest.from_[:1])[0] if digest.from_ else None,
        "recipients": EmailRecipients(to=_people(digest.to), cc=_people(digest.cc), bcc=_people(digest.bcc)),
        "favourite": "\\Flagged" in placed.flags, "size_bytes": placed.size, "body_excerpt": digest.preview or None,
        "text_excerpt": digest.preview or None,
    }  # fmt: skip


def _id(bare: str | None) -> str | None:
    return None if bare is None else f"<{bare}>"


def preview(inbox: Inbox, message: Message) -> EmailPreview:
    return EmailPreview(**_facts(inbox, message))


def email(inbox: Inbox, user: str, found: Full) -> Email:
    body = found.body
    fields: dict[str, list[str]] = {}
    for name, value in body.headers:
        fields.setdefault(name, []).append(value)
    facts = _facts(inbox, found.message)
    digest = found.message.digest
    return Email(
        **facts, user_id=user, reply_to=_raw(digest.reply_to[0]) if digest.reply_to else None,
        headers={name: values[0] for name, values in fields.items()}, headers_map=fields,
        body=body.html if body.html is not None else body.text, is_html=body.html is not None,
        html=body.html is not None, updated_at=facts["created_at"],
    )  # fmt: skip


def attachments(own: str, digest: Digest) -> list[AttachmentMetaData]:
    return [
        AttachmentMetaData(
            id=part_uuid(own, one.part), name=one.file_name or "attachment", content_type=one.media_type,
            content_length=one.size, content_id=one.content_id,
        )
        for one in digest.attachments
    ]  # fmt: skip
