"""What only test mode has: everything is cleared at once, and a test waits for the mail it has caused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from gateway import mime
from gateway.control.frames import CHUNK_LIMIT, Json
from gateway.maintain.exporter import octets_of
from gateway.model.errors import CannotChange, InvalidRequest
from gateway.model.ids import ContentId
from gateway.model.names import canonical
from gateway.store import expunge, inboxes, mailboxes, messages, queue
from gateway.store.db import Rx, Tx
from gateway.store.messages import Columns

from .mail import latest as latest_uids
from .registry import Context, Stream, operation

MOST: Final = 1_000
"""Messages of a mailbox that are looked at, the newest ones."""
LONGEST_S: Final = 600
_PIECE: Final = 5_000


def _only_in_test_mode(context: Context) -> None:
    if not context.test_mode:
        raise CannotChange("This is for gateway serve --test-mode alone")


Found = tuple[int, ContentId, Json]
"""(UID, content, what is said of the message)"""


@operation("test.messages")
async def find(
    context: Context, stream: Stream, *, inbox: str, mailbox: str = "INBOX", subject: str | None = None,
    sender: str | None = None, latest: bool = False, wait_ms: int = 0,
) -> Json:
    """Sends for each message `{"message": {…}}` and its octets, the oldest first; with `latest` the newest alone.

    `subject`, `sender`: what the field contains, in letters of any case. Where none is there it is waited for, up to
    `wait_ms` milliseconds; an inbox or mailbox that is not there yet has none. How many there were.
    """
    _only_in_test_mode(context)
    if not 0 <= wait_ms <= LONGEST_S * 1000:
        raise InvalidRequest(f"wait_ms is a time of at most {LONGEST_S} seconds")

    def query(rx: Rx) -> list[Found]:
        found = _matching(rx, inbox, mailbox, subject, sender)
        return found[-1:] if latest else found

    for _, content_id, said in await _awaited(context, query, wait_ms / 1000):
        await stream.send({"message": said})
        async for piece in octets_of(context.db, content_id):
            for start in range(0, len(piece), CHUNK_LIMIT):
                await stream.send(piece[start : start + CHUNK_LIMIT])
    return None


async def _awaited(context: Context, query: Callable[[Rx], list[Found]], seconds: float) -> list[Found]:
    """Asked again after each change; subscribed first, so that nothing falls in between."""
    changed = asyncio.Event()
    stop = context.db.subscribe(lambda wake: changed.set())
    try:
        async with asyncio.timeout(seconds):
            while True:
                changed.clear()
                found = await asyncio.shield(context.db.read(query))
                if found or not seconds:
                    return found
                await changed.wait()
    except TimeoutError:
        return await context.db.read(query)
    finally:
        stop()


def _matching(rx: Rx, address: str, name: str, subject: str | None, sender: str | None) -> list[Found]:
    inbox = inboxes.inbox_by_address(rx, address)
    mailbox = None if inbox is None else mailboxes.by_name(rx, inbox.id, canonical(name))
    if mailbox is None or mailbox.noselect:
        return []
    found = []
    for uid, header, content_id in messages.fetch_rows(
        rx, mailbox.id, latest_uids(rx, mailbox, MOST), Columns.CONTENT_ID | Columns.HEADER
    ):
        first = {field.name.lower(): field.value for field in reversed(mime.fields(header))}
        has = {what: mime.decode_text(first.get(what.encode(), b"")) for what in ("subject", "from")}
        if _contains(has["subject"], subject) and _contains(has["from"], sender):
            found.append((uid, content_id, {"uid": uid, **has}))
    return found


def _contains(text: str, wanted: str | None) -> bool:
    return wanted is None or wanted.casefold() in text.casefold()


@operation("test.clear")
async def clear(context: Context, stream: Stream) -> Json:
    """Expunges all mail of all inboxes and forgets what was sent; inboxes and keys stay. How many messages went."""
    _only_in_test_mode(context)
    now = int(context.now())

    def unit(tx: Tx) -> int:
        count = 0
        for inbox in inboxes.inboxes(tx):
            queue.cancel_inbox(tx, inbox.id, now)
            for mailbox in mailboxes.list_mailboxes(tx, inbox.id):
                if mailbox.messages:
                    every = ((1, int(mailbox.uidnext)),)
                    expunge.expunge(tx, inbox.id, mailbox.id, every, only_deleted=False, now=now)
                    count += mailbox.messages
        while queue.purge_finished(tx, now + 1, _PIECE):
            pass
        return count

    found = await context.db.read(lambda rx: tuple(inbox.id for inbox in inboxes.inboxes(rx)))
    return {"messages": await context.db.write(unit, inboxes=found)}
