"""Drafts in AgentMail's words: what is asked, what is answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field

from gateway.access import listing
from gateway.access.caller import Caller
from gateway.access.draft_views import Draft, Place
from gateway.access.sight import sight
from gateway.store import holds
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox

from .labels import SYSTEM
from .messages import Id, Labels
from .parts import ClientId, Given, Theirs, moment
from .sending import Addresses, Attachments
from .values import AttachmentOut, attachments, people

_OWN_WORDS: Final = frozenset({holds.SCHEDULED.lower(), holds.FAILED.lower()})


class DraftItem(Theirs):
    inbox_id: str
    draft_id: str
    labels: list[str]
    to: list[str] | None = None
    cc: list[str] | None = None
    bcc: list[str] | None = None
    subject: str | None = None
    preview: str | None = None
    attachments: list[AttachmentOut] | None = None
    in_reply_to: str | None = None
    forward_of: str | None = None
    send_status: Literal["scheduled", "failed"] | None = None
    send_at: datetime | None = None
    updated_at: datetime


class DraftOut(DraftItem):
    client_id: str | None = None
    reply_to: list[str] | None = None
    text: str | None = None
    html: str | None = None
    references: list[str] | None = None
    created_at: datetime


class ListDrafts(Theirs):
    count: int
    limit: int
    next_page_token: str | None = None
    drafts: list[DraftItem]


class Written(Given):
    """What a draft says, and when it goes."""

    reply_to: Addresses = ()
    to: Addresses = ()
    cc: Addresses = ()
    bcc: Addresses = ()
    subject: Annotated[str, Field(max_length=50_000)] | None = None
    text: str | None = None
    html: str | None = None
    send_at: datetime | None = None


class CreateDraft(Written):
    """`in_reply_to`, `forward_of`: ids of a message of this inbox. With `send_at` it is sent then."""

    labels: Labels = ()
    attachments: Attachments = ()
    in_reply_to: Id | None = None
    forward_of: Id | None = None
    reply_all: bool | None = None
    client_id: ClientId | None = None


class UpdateDraft(Written):
    """What is not named stays; null takes it away."""

    add_attachments: Attachments = ()
    remove_attachments: Annotated[
        tuple[Id, ...], Field(max_length=500), BeforeValidator(lambda value: value or ())
    ] = ()
    add_labels: Labels = ()
    remove_labels: Labels = ()


class SendDraft(Given):
    add_labels: Labels = ()
    remove_labels: Labels = ()


@dataclass(frozen=True, slots=True)
class Seen:
    """A draft of an inbox. `words`: its keywords but for those that tell of its state."""

    inbox: Inbox
    place: Place
    words: tuple[str, ...]

    @property
    def labels(self) -> list[str]:
        return [*(["draft", "scheduled"] if self.place.status == "scheduled" else ["draft"]), *self.words]


def words_of(rx: Rx, who: Caller, inbox: Inbox, places: Sequence[Place]) -> dict[str, tuple[str, ...]]:
    """EMAILID -> keywords."""
    found = listing.find(rx, sight(rx, who, inbox.address), [place.email_id for place in places])
    return {
        each.id: tuple(word for word in each.keywords if word.lower() not in _OWN_WORDS | SYSTEM)
        for each in found.values()
    }  # fmt: skip


def shown(seen: Seen, draft: Draft) -> dict[str, Any]:
    place, says = draft.place, draft.digest
    name, waiting = place.name, place.waiting
    status = place.status if place.status in ("scheduled", "failed") else None
    return {
        "inbox_id": seen.inbox.address, "draft_id": name.name, "labels": seen.labels,
        "to": people(says.to) or None, "cc": people(says.cc) or None, "bcc": people(says.bcc) or None,
        "subject": says.subject, "preview": says.preview, "attachments": attachments(says.attachments) or None,
        "in_reply_to": None if name.forwards else name.original, "forward_of": name.original if name.forwards else None,
        "send_status": status,
        "send_at": moment(waiting.release_at) if waiting is not None and waiting.release_at is not None else None,
        "updated_at": moment(place.updated_at),
    }  # fmt: skip
