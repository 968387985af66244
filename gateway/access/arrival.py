"""A message that is stored as it comes, without being sent: what APPEND is in IMAP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.ingest.writer import Ingest
from gateway.model.errors import GatewayError, InvalidRequest, TooBig, Unavailable
from gateway.model.flags import SYSTEM_BY_FOLDED
from gateway.model.ids import InboxId, MailboxId
from gateway.model.rights import Action
from gateway.store import content, messages, quota
from gateway.store.db import Database, Rx, Tx

from .caller import Caller
from .changing import Marks, takes_mail
from .sight import sight


@dataclass(frozen=True, slots=True)
class Arrival:
    """Where it shall lie. `flags`: names of flags and keywords; `date`: Unix seconds. `size`: what is announced."""

    mailbox: str
    flags: tuple[str, ...]
    date: int
    size: int = 0


async def append(
    db: Database, ingest: Ingest, who: Caller, inbox: str, arrival: Arrival, octets: AsyncIterator[bytes],
    *, max_size: int, now: int,
) -> str:  # fmt: skip
    """The id of the message, once it is durable. What can be refused is refused before anything is read of `octets`.

    NotFound, NoPermission, CannotChange, InvalidRequest, TooBig, OverQuota, LimitReached, Unavailable.
    """
    Marks(add=arrival.flags).check()

    def look(rx: Rx) -> tuple[InboxId, MailboxId]:
        seen = sight(rx, who, inbox)
        box = seen.selectable(arrival.mailbox)
        takes_mail(box)
        seen.need(Action.ADD, box)
        quota.require_room(rx, seen.inbox_id, octets=arrival.size)
        return seen.inbox_id, MailboxId(box.id)

    inbox_id, mailbox_id = await db.read(look)
    if arrival.size > max_size:
        raise TooBig(f"The message is larger than {max_size} octets")
    writer = ingest.writer(max_size=max_size)
    try:
        async for piece in octets:
            await writer.write(piece)
        if not writer.size:
            raise InvalidRequest("body: the message has no octets")
        staged = await writer.finish()
    except BaseException:
        await writer.abort()
        raise
    flags = 0
    for name in arrival.flags:
        flags |= SYSTEM_BY_FOLDED.get(name.lower(), 0)
    keywords = tuple(name for name in arrival.flags if name.lower() not in SYSTEM_BY_FOLDED)

    def unit(tx: Tx) -> str:
        content.complete(tx, staged, now)
        made = messages.append(
            tx, mailbox_id, inbox_id, staged, internal_date=arrival.date, flags=flags, keywords=keywords, now=now
        )
        return made.email_id

    try:
        return await db.write(unit, inboxes=(inbox_id,), octets=staged.size, quick=staged.quick)
    except Unavailable:
        raise  # it may be there after all: what was staged is the janitor's to judge
    except GatewayError:
        await writer.abort()
        raise
