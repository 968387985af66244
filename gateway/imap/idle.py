"""IDLE (RFC 2177): the client waits, the mailbox's changes are told as they happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.wire import commands as c
from gateway.wire.events import Fatal, Line

from .channel import Closed
from .replies import Reply, bad, no, ok

if TYPE_CHECKING:
    from .session import Session

_DONE: Final = ok("IDLE terminated")


async def idle(session: Session, command: c.Idle) -> Reply:
    """Until DONE; any other line is BAD and ends it, for the client no longer believes it is idling.

    While it waits the session sends what happens by itself. Allowed without a selected mailbox too: then only
    keep-alives come.
    """
    channel = session.channel
    channel.reader.expect_line()
    channel.send(b"+ idling\r\n")
    session.begin_idle()
    try:
        event = await channel.next_event()
    finally:
        await session.end_idle()
    if isinstance(event, Line):
        return _DONE if event.data.upper() == b"DONE" else bad("Expected DONE")
    if isinstance(event, Fatal):
        session.bye(no(event.text).text)
    raise Closed
