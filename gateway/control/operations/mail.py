"""Mailboxes and messages: look, bring in, take out."""

from __future__ import annotations

from gateway.control.frames import Json
from gateway.store import mailboxes
from gateway.store.db import Rx

from .accounts import inbox_named, mailbox_json
from .registry import Context, Stream, operation


@operation("mailbox.list")
async def mailbox_list(context: Context, stream: Stream, *, inbox: str) -> Json:
    def query(rx: Rx) -> Json:
        return [mailbox_json(mailbox) for mailbox in mailboxes.list_mailboxes(rx, inbox_named(rx, inbox).id)]

    return await context.db.read(query)
