"""Pollers of new mail in accounts: a page of what is new, and how far each has come.

Delivery is the caller's: it says so by `remote.delivered`, after which the messages do not come again.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import Final

from gateway.connectors.remote.actions import RemoteActions
from gateway.connectors.remote.arrivals import PAGE, Arrivals, Poller, silence
from gateway.connectors.remote.polling import Position
from gateway.control.facts import facts_json
from gateway.control.frames import CHUNK_LIMIT, Json
from gateway.model.errors import InvalidRequest, NotFound
from gateway.store.connectors import cursors
from gateway.upstream import names

from .connectors import found
from .registry import Context, Stream, operation
from .remote import account, patiently_send
from .values import moment

PAGE_OCTETS: Final = 64 * 1024 * 1024
"""A page ends when so much of its messages was sent; one message may be longer."""


@operation("remote.new")
async def remote_new(
    context: Context, stream: Stream, *, name: str, mailbox: str, poller: str, pod: str | None = None,
    fetch: bool = False, from_start: bool = False, after: int | None = None, limit: int = PAGE,
) -> Json:  # fmt: skip
    """New mail for `poller`: sends `{"begin": {…}}`, for each message `{"message": {…}}`, with `fetch` its octets, and
    `{"end": true}`. `more` in the result: ask again once these were delivered.

    The first time nothing is new but with `from_start`; `after` puts the cursor at this UID.
    """
    if not 0 < limit <= PAGE:
        raise InvalidRequest(f"A page has 1 to {PAGE} messages")
    if after is not None and not 0 <= after < 2**32:
        raise InvalidRequest("A UID is a number up to 4294967295")
    async with account(context, name, pod, "new") as (actions, connector):
        asking = Poller(context.db, connector.row.id, poller)
        new = await asking.look(
            actions, mailbox, from_start=from_start, now=int(context.now()), after=after, limit=limit
        )
        await patiently_send(stream, {"begin": {
            "connector": connector.row.name, "mailbox": new.mailbox, "position": _position(new.position),
            "began": new.began, "reset": new.reset,
        }})  # fmt: skip
        whole = await _send(actions, new, stream, fetch=fetch)
        if new.silent is not None and whole:
            raise silence(new.silent)
    return {"more": new.more or not whole}


async def _send(actions: RemoteActions, new: Arrivals, stream: Stream, *, fetch: bool) -> bool:
    """False: there was no room for all."""
    sent = 0
    for place, facts in enumerate(new.messages):
        if place and sent + (facts.size or 0) > PAGE_OCTETS:
            return False
        await patiently_send(stream, {"message": facts_json(facts)})
        gone = False
        if fetch:
            try:
                async with aclosing(actions.octets(facts.uid)) as chunks:
                    async for chunk in chunks:
                        sent += len(chunk)
                        for start in range(0, len(chunk), CHUNK_LIMIT):
                            await patiently_send(stream, chunk[start : start + CHUNK_LIMIT])
            except NotFound:
                if await actions.is_there(facts.uid):
                    raise silence(facts.uid) from None
                gone = True
        await patiently_send(stream, {"end": not gone})
    return True


@operation("remote.delivered")
async def remote_delivered(
    context: Context, stream: Stream, *, name: str, poller: str, position: dict[str, Json], uid: int,
    pod: str | None = None,
) -> Json:  # fmt: skip
    """Everything up to `uid` is safe. `position`: as it came last; the next one."""
    raw, numbers = position.get("raw"), [position.get(key) for key in ("uidvalidity", "uid", "version")]
    if not isinstance(raw, str) or not all(type(one) is int for one in numbers):
        raise InvalidRequest("A position is what remote.new told")
    connector = (await found(context, name, pod)).row
    before = Position(names_octets(raw), *(int(one or 0) for one in numbers))
    moved = await Poller(context.db, connector.id, poller).delivered(before, uid, int(context.now()))
    return _position(moved)


@operation("remote.pollers")
async def remote_pollers(context: Context, stream: Stream, *, name: str, pod: str | None = None) -> Json:
    """The pollers of a connector, and how far they have come."""
    connector = (await found(context, name, pod)).row
    rows = await context.db.read(lambda rx: cursors.cursors(rx, connector.id))
    return [
        {
            "poller": row.name, "mailbox": names.decode(row.raw), "uidvalidity": row.uidvalidity, "uid": row.uid,
            "updated_at": moment(row.updated_at),
        }
        for row in rows
    ]  # fmt: skip


@operation("remote.forget")
async def remote_forget(context: Context, stream: Stream, *, name: str, poller: str, pod: str | None = None) -> Json:
    """Forget how far a poller has come. NotFound."""
    connector = (await found(context, name, pod)).row
    await context.db.write(lambda tx: cursors.remove(tx, connector.id, poller))
    return {"poller": poller}


def _position(position: Position) -> Json:
    return {
        "raw": position.raw.decode("latin-1"), "uidvalidity": position.uidvalidity, "uid": position.uid,
        "version": position.version,
    }  # fmt: skip


def names_octets(raw: str) -> bytes:
    """InvalidRequest."""
    try:
        return raw.encode("latin-1")
    except UnicodeEncodeError:
        raise InvalidRequest("A position is what remote.new told") from None
