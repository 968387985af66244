"""MESSAGELIMIT (RFC 9738): how many messages one command may process, where the operator has set a limit.

What can be done in part is done to the messages with the highest UIDs, and the client is told the lowest of them, so
that it can go on below it. What must be done as a whole (COPY, APPEND) is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from gateway.model.sequence import SequenceSet
from gateway.wire import commands as c

from .replies import Reply, no
from .view import Slices, View, ranges_of

if TYPE_CHECKING:
    from .session import Session

Handler = Callable[[Any, Any], Awaitable[Reply | None]]


def highest(session: Session, view: View, slices: Slices) -> tuple[Slices, bytes | None]:
    """The last of the messages, as many as one command may process; the response code when others were left out."""
    limit = session.services.settings.message_limit
    room = limit
    if not limit or sum(stop - start for start, stop in slices) <= limit:
        return slices, None
    kept: Slices = []
    for start, stop in reversed(slices):
        first = max(start, stop - room)
        kept.append((first, stop))
        room -= stop - first
        if not room:
            break
    kept.reverse()
    return kept, code(limit, view.uids[kept[0][0]])


def code(limit: int, lowest: int) -> bytes:
    """`lowest`: the UID down to which messages were processed."""
    return b"MESSAGELIMIT %d %d" % (limit, lowest)


def too_many(limit: int) -> Reply:
    """To a command that is done as a whole or not at all."""
    return no("More messages than one command may process", b"MESSAGELIMIT %d" % limit)


def told(session: Session, reply: Reply, limited: bytes | None) -> Reply:
    """`reply` with the code of `highest`; ahead of it where it has another code."""
    if limited is None:
        return reply
    if reply.code is None and reply.status == b"OK":
        return replace(reply, code=limited)
    session.channel.send(b"* OK [%b] More messages than one command may process\r\n" % limited)
    return reply


def partly(handler: Handler) -> Handler:
    """`handler` of a STORE, MOVE or UID EXPUNGE, which it sees with no more messages than may be processed."""

    async def limited(session: Session, command: c.Store | c.Move | c.Expunge) -> Reply | None:
        asked = command.uids if isinstance(command, c.Expunge) else command.messages
        selected = session.selected
        if not session.services.settings.message_limit or asked is None or selected is None:
            return await handler(session, command)
        view = selected.view
        by_uid = isinstance(command, c.Expunge) or command.uid
        slices, found = highest(session, view, view.by_uid(asked) if by_uid else view.by_number(asked))
        if found is None:
            return await handler(session, command)
        if by_uid:
            kept = SequenceSet(ranges_of(view.uids_in(slices)))
        else:
            kept = SequenceSet(tuple((start + 1, stop) for start, stop in slices))
        if isinstance(command, c.Expunge):
            reply = await handler(session, replace(command, uids=kept))
        else:
            reply = await handler(session, replace(command, messages=kept))
        return None if reply is None else told(session, reply, found)

    return limited


def wholly(handler: Handler) -> Handler:
    """`handler` of a COPY, which is refused if it would copy more."""

    async def limited(session: Session, command: c.Copy) -> Reply | None:
        limit, selected = session.services.settings.message_limit, session.selected
        if limit and selected is not None:
            view = selected.view
            slices = view.by_uid(command.messages) if command.uid else view.by_number(command.messages)
            if sum(stop - start for start, stop in slices) > limit:
                return too_many(limit)
        return await handler(session, command)

    return limited

