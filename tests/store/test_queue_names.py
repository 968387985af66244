"""How people name a message of the queue: its own id, or the one in the reply to its sender."""

from __future__ import annotations

from gateway.store import queue_list
from gateway.store.db import Database

from .helpers import make_inbox
from .queue_kit import send

TRACE = "da08d764c278cb937def"


async def test_the_id_that_a_sender_was_told_names_the_submission(db: Database) -> None:
    inbox = await make_inbox(db)
    one = await send(db, inbox, "a@x.test", trace=TRACE)
    await send(db, inbox, "b@x.test", trace=TRACE[::-1])
    for name, found in ((TRACE, one), (TRACE.upper(), one), (TRACE[:19], None), (TRACE[:19] + "\0", None)):
        assert await db.read(lambda rx, name=name: queue_list.by_trace(rx, name)) == found  # type: ignore[misc]
