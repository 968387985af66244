"""What MailSlurp's IMAP over HTTP asks of the store, on both databases."""

from __future__ import annotations

import pytest

from gateway.model.flags import FLAGGED, SEEN
from gateway.store.db import Database
from gateway.web.mailslurp.imap_lines import first_unseen

from .helpers import mailbox_id, make_inbox, put


@pytest.mark.parametrize("page", [1, 2, 3, 100])
async def test_the_first_unseen_message_on_whichever_page(db: Database, page: int) -> None:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    assert await db.read(lambda rx: first_unseen(rx, box, page)) == 0
    for number, flags in enumerate((SEEN, SEEN | FLAGGED, SEEN, FLAGGED, 0), 1):
        await db.write(lambda tx, flags=flags: put(tx, inbox.id, box, flags=flags))  # type: ignore[misc]
        assert await db.read(lambda rx: first_unseen(rx, box, page)) == (4 if number >= 4 else 0)
