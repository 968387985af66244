"""Mailboxes of an inbox: its tree of folders, as IMAP clients see it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from gateway.access import mailboxes
from gateway.store.listing import Listed

from .parts import Cursor, Limit, Page, Services, Strict, Who, page_of

router = APIRouter(prefix="/api/v1/inboxes/{inbox}/mailboxes", tags=["mailboxes"])

Name = Annotated[str, Field(min_length=1, max_length=1000, description="Levels are parted by /")]


class MailboxOut(BaseModel):
    """`id` stays when it is renamed. `role`: its special use (RFC 6154). `selectable`: it can hold messages."""

    id: str
    name: str
    role: str | None
    selectable: bool
    subscribed: bool
    messages: int
    unread: int
    octets: int
    uidvalidity: int
    uidnext: int
    modseq: int


class MailboxNew(Strict):
    name: Name
    subscribed: bool = True


class MailboxChange(Strict):
    name: Name | None = None
    subscribed: bool | None = None


def shown(box: Listed) -> MailboxOut:
    return MailboxOut(
        id=box.object_id, name=box.name, role=box.role, selectable=not box.noselect, subscribed=bool(box.subscribed),
        messages=box.messages, unread=box.unseen, octets=box.octets, uidvalidity=box.uidvalidity, uidnext=box.uidnext,
        modseq=box.highest_modseq,
    )  # fmt: skip


@router.get("")
async def list_mailboxes(
    services: Services, who: Who, inbox: str, limit: Limit = 200, cursor: Cursor = None
) -> Page[MailboxOut]:
    """All mailboxes that the key may read, by name, with their counters."""
    seen = await services.db.read(lambda rx: mailboxes.seen(rx, who, inbox))
    found = page_of(list(seen.boxes.values()), limit, lambda box: box.name, cursor)
    return Page(items=[shown(box) for box in found.items], next=found.next)


@router.post("", status_code=201)
async def create_mailbox(services: Services, who: Who, inbox: str, body: MailboxNew) -> MailboxOut:
    """A new mailbox, with its missing parents."""
    now = int(services.clock())
    return shown(await services.db.write(
        lambda tx: mailboxes.create(tx, who, inbox, body.name, subscribe=body.subscribed, now=now)
    ))  # fmt: skip


@router.get("/{mailbox}")
async def get_mailbox(services: Services, who: Who, inbox: str, mailbox: str) -> MailboxOut:
    """One mailbox, by its id or, where that has no /, its name."""
    return shown(await services.db.read(lambda rx: mailboxes.seen(rx, who, inbox).mailbox(mailbox)))


@router.patch("/{mailbox}")
async def change_mailbox(services: Services, who: Who, inbox: str, mailbox: str, body: MailboxChange) -> MailboxOut:
    """Rename a mailbox with all below it, subscribe or unsubscribe it."""
    now = int(services.clock())
    return shown(await services.db.write(
        lambda tx: mailboxes.change(tx, who, inbox, mailbox, name=body.name, subscribed=body.subscribed, now=now)
    ))  # fmt: skip


@router.delete("/{mailbox}", status_code=204)
async def delete_mailbox(services: Services, who: Who, inbox: str, mailbox: str) -> None:
    """Delete a mailbox with its messages; a name with others below it stays for them."""
    now = int(services.clock())
    await services.db.write(lambda tx: mailboxes.delete(tx, who, inbox, mailbox, now=now))
