"""What became of sent mail: submissions of an inbox with their recipients and all that happened to them."""

from __future__ import annotations

from typing import Final

from gateway.model.errors import NotFound
from gateway.store import queue_admin, queue_list
from gateway.store.db import Rx
from gateway.store.queue_admin import QueueEntry

from .caller import Caller, inbox_of

NO_SUBMISSION: Final = "No such submission"


def submission(rx: Rx, who: Caller, inbox: str, uuid: str) -> QueueEntry:
    """NotFound: there is none, its history is over, or it is another inbox's."""
    who.need("message_read")
    found = queue_admin.submission_by_uuid(rx, uuid)
    if found is None or found.inbox_id != inbox_of(rx, who, inbox).id:
        raise NotFound(NO_SUBMISSION)
    return queue_admin.show(rx, found.id)


def submissions(rx: Rx, who: Caller, inbox: str, below: int | None, limit: int) -> tuple[list[QueueEntry], int | None]:
    """The newest below number `below`; the number that the next page begins below, None at the end."""
    who.need("message_read")
    ids = queue_list.of_inbox(rx, inbox_of(rx, who, inbox).id, below, limit + 1)
    return [queue_admin.show(rx, each) for each in ids[:limit]], ids[limit - 1] if len(ids) > limit else None
