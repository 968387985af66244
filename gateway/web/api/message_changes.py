"""Changes of messages: of one, or of many in one unit, which happens as a whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from gateway.access import changing, messages
from gateway.access.caller import Caller
from gateway.access.changing import Marks, Taken
from gateway.store.db import Tx
from gateway.web.services import WebServices

from .message_values import MessageOut, shown
from .parts import Services, Strict, Who, told

router = APIRouter(prefix="/api/v1/inboxes/{inbox}/messages", tags=["messages"])

Name = Annotated[str, Field(min_length=1, max_length=1000)]
Names = Annotated[tuple[Name, ...], Field(max_length=100)]
Ids = Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(min_length=1, max_length=1000)]
Since = Annotated[int, Field(ge=0, lt=2**62, description="409 where a message has changed after this modseq")]
Change = Callable[[Tx, Taken, int], None]


class FlagsChange(Strict):
    """Flags (`\\Seen`, `\\Flagged` …) and keywords by name. `set`: all they shall have; then `add`, then `remove`."""

    add: Names = ()
    remove: Names = ()
    set: Names | None = None
    unchanged_since: Since | None = None

    @property
    def marks(self) -> Marks:
        return Marks(self.add, self.remove, self.set)


class Move(Strict):
    """`mailbox`: id or name. With `source` only that place is given up, else all others are."""

    mailbox: Name
    source: Name | None = None
    unchanged_since: Since | None = None


class Copy(Strict):
    mailbox: Name


class ManyFlags(FlagsChange):
    ids: Ids


class ManyMove(Move):
    ids: Ids


class ManyCopy(Copy):
    ids: Ids


class ManyDelete(Strict):
    ids: Ids
    permanent: bool = False


class ManyGet(Strict):
    ids: Annotated[tuple[Annotated[str, Field(max_length=100)], ...], Field(min_length=1, max_length=200)]


class ManyDone(BaseModel):
    """`done`: ids that were changed; `missing`: ids of which there is no message."""

    done: list[str]
    missing: list[str]


class ManyFound(BaseModel):
    items: list[MessageOut]
    missing: list[str]


def marking(body: FlagsChange) -> Change:
    return lambda tx, taken, now: changing.mark(tx, taken.seen, taken.found, body.marks)


def moving(body: Move) -> Change:
    def change(tx: Tx, taken: Taken, now: int) -> None:
        target = taken.seen.selectable(body.mailbox)
        source = None if body.source is None else taken.seen.selectable(body.source)
        changing.move(tx, taken.seen, taken.found, target, source=source, now=now)

    return change


def copying(body: Copy) -> Change:
    return lambda tx, taken, now: changing.copy(
        tx, taken.seen, taken.found, taken.seen.selectable(body.mailbox), now=now
    )


def deleting(permanent: bool) -> Change:
    change = changing.delete if permanent else changing.trash
    return lambda tx, taken, now: change(tx, taken.seen, taken.found, now=now)


async def _one(services: WebServices, who: Caller, inbox: str, message: str, change: Change, since: int | None) -> None:
    now = int(services.clock())

    def unit(tx: Tx) -> None:
        change(tx, changing.taken(tx, who, inbox, [message], since, every=True), now)

    await services.db.write(unit)


async def _many(
    services: WebServices, who: Caller, inbox: str, ids: tuple[str, ...], change: Change, since: int | None = None
) -> ManyDone:
    now = int(services.clock())

    def unit(tx: Tx) -> ManyDone:
        taken = changing.taken(tx, who, inbox, ids, since)
        change(tx, taken, now)
        return ManyDone(done=[message.id for message in taken.found], missing=taken.missing)

    return await services.db.write(unit)


@router.post("/batch/get", response_model=ManyFound)
async def get_messages(services: Services, who: Who, inbox: str, body: ManyGet) -> Any:
    """Messages by their ids, in that order."""
    found = await messages.messages(services.db, services.digests, who, inbox, body.ids)
    there = {message.id for message in found}
    missing = [each for each in dict.fromkeys(body.ids) if each not in there]
    return await told(
        lambda: ManyFound(items=[shown(message) for message in found], missing=missing),
        sum(message.weight for message in found),
    )


@router.post("/batch/flags")
async def change_flags_of_messages(services: Services, who: Who, inbox: str, body: ManyFlags) -> ManyDone:
    """Change flags and keywords of many messages."""
    return await _many(services, who, inbox, body.ids, marking(body), body.unchanged_since)


@router.post("/batch/move")
async def move_messages(services: Services, who: Who, inbox: str, body: ManyMove) -> ManyDone:
    """Move many messages to a mailbox."""
    return await _many(services, who, inbox, body.ids, moving(body), body.unchanged_since)


@router.post("/batch/copy")
async def copy_messages(services: Services, who: Who, inbox: str, body: ManyCopy) -> ManyDone:
    """Put many messages into a further mailbox."""
    return await _many(services, who, inbox, body.ids, copying(body))


@router.post("/batch/delete")
async def delete_messages(services: Services, who: Who, inbox: str, body: ManyDelete) -> ManyDone:
    """Move many messages to Trash, or remove them for good."""
    return await _many(services, who, inbox, body.ids, deleting(body.permanent))


@router.patch("/{message}")
async def change_flags(services: Services, who: Who, inbox: str, message: str, body: FlagsChange) -> MessageOut:
    """Change flags and keywords of a message, in all mailboxes where it lies."""
    await _one(services, who, inbox, message, marking(body), body.unchanged_since)
    return shown(await messages.message(services.db, services.digests, who, inbox, message))


@router.post("/{message}/move")
async def move_message(services: Services, who: Who, inbox: str, message: str, body: Move) -> MessageOut:
    """Move a message to a mailbox; it keeps its id."""
    await _one(services, who, inbox, message, moving(body), body.unchanged_since)
    return shown(await messages.message(services.db, services.digests, who, inbox, message))


@router.post("/{message}/copy")
async def copy_message(services: Services, who: Who, inbox: str, message: str, body: Copy) -> MessageOut:
    """Put a message into a further mailbox; it stays one message with one id."""
    await _one(services, who, inbox, message, copying(body), None)
    return shown(await messages.message(services.db, services.digests, who, inbox, message))


@router.delete("/{message}", status_code=204)
async def delete_message(
    services: Services, who: Who, inbox: str, message: str,
    permanent: Annotated[bool, Query(description="Remove it for good instead")] = False,
) -> None:  # fmt: skip
    """Move a message to Trash, where it stays however often it is deleted, or remove it for good."""
    await _one(services, who, inbox, message, deleting(permanent), None)
