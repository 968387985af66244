"""Before mail is told that comes from an account elsewhere: a look there (`sync.on_access`), as IMAP's SELECT and
SEARCH have it. For inboxes without such an account it is a question to a dictionary.
"""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.model.ids import InboxId, MailboxId
from gateway.model.ports import Freshness
from gateway.store.db import Database, Rx

from .caller import Caller, inbox_of
from .sight import glimpse_of, readable_inbox

AGAIN_S: Final = 3.0
"""Seconds between two looks for somebody who waits for mail."""


async def look(db: Database, freshness: Freshness | None, who: Caller, inbox: str, mailbox: str | None) -> None:
    """What the account has is here when this returns, or the time that one may wait for it is over. `mailbox`: id or
    name; None: all that the key may read.

    Errors as `sight`, and as for a list of that mailbox: nobody looks into accounts whose mail he may not read.
    """
    if freshness is None:
        return
    inbox_id = (await db.tiny(lambda rx: inbox_of(rx, who, inbox))).id
    if freshness.wanted(inbox_id):
        await freshness.look(*await db.read(lambda rx: place(rx, who, inbox, mailbox)))


async def keep_looking(freshness: Freshness, inbox_id: InboxId, mailbox_id: MailboxId | None) -> None:
    """Until it is cancelled: what these looks find are events, of which whoever waits hears."""
    while True:
        if freshness.wanted(inbox_id):
            await freshness.look(inbox_id, mailbox_id)
        await asyncio.sleep(AGAIN_S)


def place(rx: Rx, who: Caller, inbox: str, mailbox: str | None) -> tuple[InboxId, MailboxId | None]:
    """Where is to be looked. NotFound, NoPermission, CannotChange (the mailbox only holds others)."""
    there = readable_inbox(rx, who, inbox)
    if mailbox is None:
        return there.id, None
    return there.id, MailboxId(glimpse_of(rx, who, there, mailbox).selectable(mailbox).id)
