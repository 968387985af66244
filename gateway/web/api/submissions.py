"""What became of the mail that an inbox has sent."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from gateway.access import sending
from gateway.access import submissions as access
from gateway.store.queue_admin import QueueEntry
from gateway.web.services import Json

from .outgoing import RecipientOut
from .parts import Cursor, Limit, Page, Services, Who, from_cursor, to_cursor
from .queue import Submission

router = APIRouter(prefix="/api/v1/inboxes/{inbox}/submissions", tags=["sending"])


class SubmissionOut(BaseModel):
    """`finished_at` null: somebody has not got it yet. Times: Unix seconds, `size`: octets."""

    id: str
    sender: str
    message_id: str | None
    size: int
    created_at: int
    release_at: int | None
    finished_at: int | None
    recipients: list[RecipientOut]


def _shown(entry: QueueEntry) -> SubmissionOut:
    one = entry.submission
    states = map(sending.state_of, entry.recipients)
    return SubmissionOut(
        id=one.uuid, sender=one.mail_from,
        message_id=None if one.message_id is None else bytes(one.message_id).decode("utf-8", "replace"),
        size=one.size, created_at=one.created_at, release_at=one.release_at, finished_at=one.finished_at,
        recipients=[
            RecipientOut(address=each.address, state=each.state, reason=each.reason, reply=each.reply)
            for each in states
        ],
    )  # fmt: skip


@router.get("")
async def list_submissions(
    services: Services, who: Who, inbox: str, limit: Limit = 50, cursor: Cursor = None
) -> Page[SubmissionOut]:
    """What the inbox has sent, the newest first; kept for `retention.queue_history` days after its end."""
    parts = from_cursor(cursor, int)
    below = None if parts is None else parts[0]
    found, following = await services.db.read(lambda rx: access.submissions(rx, who, inbox, below, limit))
    return Page(items=[_shown(each) for each in found], next=None if following is None else to_cursor(following))


@router.get("/{submission}")
async def get_submission(services: Services, who: Who, inbox: str, submission: str) -> Submission:
    """One message with its recipients and all that happened to it."""
    found = await services.db.read(lambda rx: access.submission(rx, who, inbox, submission))
    shown: Json = await services.operate("queue.show", {"submission": found.submission.uuid})
    return Submission(**shown)
