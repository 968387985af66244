"""Drafts as programs see them: each a message in the mailbox for drafts, which any mail program sees too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.model.errors import NoPermission, NotFound
from gateway.model.ids import ContentId, InboxId, MailboxId, SubmissionId
from gateway.model.mailbox import DRAFTS
from gateway.model.rights import Action, allowed
from gateway.store import draft_names, holds, messages, queue_admin, same_message, uses
from gateway.store.db import Database, Rx
from gateway.store.draft_names import DraftName
from gateway.store.rows import Columns
from gateway.store.texts import storable

from .caller import Caller
from .digest import Digest, digests
from .sending import Post

NO_DRAFT: Final = "No such draft"
Status = Literal["draft", "scheduled", "pending_approval", "failed"]
"""`failed`: it was to be sent by itself, and could not be."""

_COLUMNS: Final = (
    Columns.EMAIL_ID | Columns.THREAD_ID | Columns.INTERNAL_DATE | Columns.CONTENT_ID | Columns.FLAGS
)
_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """The submission that a draft decides about. `release_at`: Unix seconds."""

    id: SubmissionId
    uuid: str
    release_at: int | None
    approval: bool


@dataclass(frozen=True, slots=True)
class Place:
    """A draft's row. `name`: what programs call it, whatever message it is now (`store.draft_names`)."""

    inbox_id: InboxId
    mailbox_id: MailboxId
    uid: int
    email_id: str
    thread_id: str
    content_id: ContentId
    updated_at: int
    name: DraftName
    waiting: Waiting | None = None
    failed: bool = False

    @property
    def status(self) -> Status:
        if self.waiting is not None:
            return "pending_approval" if self.waiting.approval else "scheduled"
        return "failed" if self.failed else "draft"


@dataclass(frozen=True, slots=True)
class Draft:
    """`digest`: what it says."""

    place: Place
    digest: Digest


def require(who: Caller, action: Action) -> None:
    """NoPermission."""
    if not allowed(who.permissions, action, DRAFTS):
        raise NoPermission(f"The key may not {action.value} in Drafts")


def find(rx: Rx, post: Post, name: str) -> Place:
    """NotFound."""
    inbox_id = post.inbox.id
    box = uses.find(rx, inbox_id, DRAFTS)
    known = draft_names.by_name(rx, inbox_id, name)
    email_id = known.email_id if known is not None else name
    rows = same_message.places(rx, inbox_id, [email_id]) if storable(email_id) else []
    uids = sorted(row.uid for row in rows if box is not None and row.mailbox_id == box.id)
    if box is None or not uids:
        raise NotFound(NO_DRAFT)
    found = _places(rx, inbox_id, box.id, uids[:1])
    if not found:
        raise NotFound(NO_DRAFT)
    return found[0]


def page(rx: Rx, post: Post, below: int | None, limit: int) -> tuple[list[Place], int | None]:
    """The newest drafts under UIDs below `below`; the UID that the next page begins below, None at the end."""
    box = uses.find(rx, post.inbox.id, DRAFTS)
    if box is None:
        return [], None
    uids: list[int] = []
    after = 0
    while found := messages.load_arrays(rx, box.id, after, _PAGE)[0]:
        uids += [uid for uid in found if below is None or uid < below]
        after = found[-1]
    chosen = uids[-limit:]
    return _places(rx, post.inbox.id, box.id, chosen)[::-1], chosen[0] if len(uids) > len(chosen) else None


async def digested(db: Database, places: Sequence[Place]) -> list[Draft]:
    """With what they say; without those that were collected meanwhile."""
    known = await db.offload(_digests, [place.content_id for place in places])
    return [Draft(place, known[place.content_id]) for place in places if place.content_id in known]


def drafted(rx: Rx, place: Place) -> Draft:
    """One, in the transaction that knows where it is. NotFound."""
    known = _digests(rx, [place.content_id])
    if place.content_id not in known:
        raise NotFound(NO_DRAFT)
    return Draft(place, known[place.content_id])


def _digests(rx: Rx, content_ids: Sequence[ContentId]) -> dict[ContentId, Digest]:
    return dict(digests(rx, content_ids))


def _places(rx: Rx, inbox_id: InboxId, mailbox_id: MailboxId, uids: Sequence[int]) -> list[Place]:
    rows = messages.fetch_rows(rx, mailbox_id, uids, _COLUMNS)
    waiting = holds.waiting_in(rx, inbox_id, mailbox_id) if rows else {}
    names = draft_names.of_emails(rx, inbox_id, [_by(row)["email_id"] for row in rows])
    keywords = messages.keywords_of(rx, mailbox_id)
    bit = next((bit for bit, word in keywords.items() if word.lower() == holds.FAILED.lower()), None)
    mask = 0 if bit is None else 1 << bit
    found = []
    for row in rows:
        values = _by(row)
        submission = waiting.get(row[0])
        found.append(
            Place(
                inbox_id, mailbox_id, row[0], values["email_id"], values["thread_id"], values["content_id"],
                values["date"], names.get(values["email_id"]) or _unnamed(values),
                None if submission is None else _waiting(rx, submission), bool(values["flags"] & mask),
            )
        )  # fmt: skip
    return found


def _by(row: tuple[Any, ...]) -> dict[str, Any]:
    """In the order of `Columns`."""
    return dict(zip(("date", "content_id", "email_id", "thread_id", "flags"), row[1:], strict=True))


def _unnamed(values: dict[str, Any]) -> DraftName:
    return DraftName(values["email_id"], values["email_id"], created_at=values["date"])


def _waiting(rx: Rx, submission: SubmissionId) -> Waiting:
    shown = queue_admin.show(rx, submission)
    approval = any(each.hold_reason == "approval" for each in shown.recipients)
    return Waiting(submission, shown.submission.uuid, shown.submission.release_at, approval)
