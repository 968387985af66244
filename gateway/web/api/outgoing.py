"""Mail in bodies of requests and in answers, as sending and drafts have it in common."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from gateway.access import sending
from gateway.access.composing import Attachment
from gateway.access.sending import Written
from gateway.model.errors import TooBig
from gateway.web.large_bodies import decoded

from .parts import Strict


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Addresses = Annotated[
    tuple[Annotated[str, Field(max_length=100_000)], ...], Field(max_length=1000), BeforeValidator(_several)
]
"""One or several; each may be `Anna <anna@example.org>`."""


class AttachmentNew(Strict):
    """`content`: base64. `content_type`: told from the name if it is missing. `inline`: shown by html with `cid:`."""

    file_name: Annotated[str, Field(max_length=255)] | None = None
    content_type: Annotated[str, Field(max_length=500)] | None = None
    content: Annotated[str, Field(examples=["aGVsbG8="])]
    content_id: Annotated[str, Field(max_length=250)] | None = None
    inline: bool = False


class Mail(Strict):
    """What is to be said. `from`: an address of the inbox, which it is without; `headers`: further ones."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    sender: Annotated[str | None, Field(alias="from", max_length=1000)] = None
    to: Addresses = ()
    cc: Addresses = ()
    bcc: Addresses = ()
    reply_to: Addresses = ()
    subject: Annotated[str, Field(max_length=50_000)] | None = None
    text: str | None = None
    html: str | None = None
    attachments: Annotated[tuple[AttachmentNew, ...], Field(max_length=500)] = ()
    headers: Annotated[dict[str, str], Field(max_length=50, default_factory=dict)]

    async def written(self, most: int) -> Written:
        """InvalidRequest; TooBig beyond `most` octets."""
        return Written(
            sender=self.sender, to=self.to, cc=self.cc, bcc=self.bcc, reply_to=self.reply_to, subject=self.subject,
            text=self.text, html=self.html, attachments=await attached(self.attachments, most),
            headers=tuple(self.headers.items()),
        )  # fmt: skip


class RecipientOut(Strict):
    """`state`: delivered (it lies in an inbox here), queued, sending, deferred, held, sent, bounced, cancelled."""

    address: str
    state: sending.State
    reason: Annotated[str | None, Field(description="Why it is held")] = None
    reply: Annotated[str | None, Field(description="What the server said last")] = None


class Sent(Strict):
    """`submission_id`: what became of it is told under this id. `copy_id`, `thread_id`: of the message in Sent, or,
    while somebody has to consent, of the draft; null where no copy is kept. `message_id`: without brackets.
    """

    submission_id: str | None
    message_id: str
    copy_id: str | None
    thread_id: str | None
    status: Literal["accepted", "pending_approval"]
    recipients: list[RecipientOut]


async def attached(them: tuple[AttachmentNew, ...], most: int) -> tuple[Attachment, ...]:
    """InvalidRequest names the field; TooBig beyond `most` octets."""
    if sum(len(one.content) for one in them) > most * 3 // 2:
        raise TooBig(f"A message may have {most} octets at most")
    return tuple([
        Attachment(
            await decoded(f"attachments.{number}.content", one.content), one.file_name, one.content_type,
            one.content_id, one.inline,
        )
        for number, one in enumerate(them)
    ])  # fmt: skip


def sent(outcome: sending.Outcome) -> Sent:
    return Sent(
        submission_id=outcome.submission, message_id=outcome.message_id.strip("<>"), copy_id=outcome.email_id,
        thread_id=outcome.thread_id,
        status="pending_approval" if outcome.pending else "accepted",
        recipients=[
            RecipientOut(address=one.address, state=one.state, reason=one.reason, reply=one.reply)
            for one in outcome.recipients
        ],
    )  # fmt: skip
