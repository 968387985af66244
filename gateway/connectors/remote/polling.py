"""Handing on new mail of an account: from a source, which knows how far a poller has come, to a target.

A message is delivered at least once: the cursor moves after the target took it, one message at a time, so that a crash
in between repeats one message and loses none. Nothing of the account is held meanwhile: a page is fetched whole, to
files, before its first message is handed on, for a target may take its time, or act in the same account.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

from gateway.model.errors import GatewayError, NotFound

from .values import MessageFacts


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that poller `poller` has not delivered yet."""

    connector: str
    poller: str
    mailbox: str
    uidvalidity: int
    facts: MessageFacts


@dataclass(frozen=True, slots=True)
class Position:
    """How far the poller has come. `raw`: the folder's name as its server spells it; `version`: of the cursor's row."""

    raw: bytes
    uidvalidity: int
    uid: int
    version: int


@dataclass(slots=True)
class Page:
    """New messages with their octets (None: not fetched), in the order of their UIDs.

    `more`: there are further ones. `notices`: what somebody should know, such as a new UIDVALIDITY. `error`: the
    page ends early; what it holds came whole.
    """

    position: Position
    messages: list[tuple[NewMessage, BinaryIO | None]] = field(default_factory=list)
    more: bool = False
    notices: list[str] = field(default_factory=list)
    error: GatewayError | None = None

    def close(self) -> None:
        for _, content in self.messages:
            if content is not None:
                content.close()


class TargetFailed(GatewayError):
    """The target did not take a message: it comes again."""


class Target(Protocol):
    """Where new mail goes: a command, a directory, a stream of JSON; a webhook."""

    async def deliver(self, message: NewMessage, content: BinaryIO | None) -> None:
        """Returns when the message is safe there; any error means that it is not. It may come again after a crash.

        `content`: a file at its beginning, which is closed afterwards.
        """


class Source(Protocol):
    """New mail of one folder for one poller."""

    async def page(self) -> Page:
        """What is new, as far as it fits into a page. GatewayError."""

    async def delivered(self, position: Position, uid: int) -> Position:
        """Everything up to `uid` is safe. Changed: another poller of this name is at work."""

    async def mark_read(self, position: Position, uids: Sequence[int]) -> None:
        """Set \\Seen. NotFound: none of them is there any more."""


async def poll(source: Source, target: Target, *, mark_read: bool = False, notices: list[str] | None = None) -> int:
    """Hand on all that is new; how many messages. Errors of both sides, after which the cursor is right.

    `mark_read`: \\Seen is set once a page was delivered. `notices` takes what the source has to say.
    """
    total = 0
    while True:
        page = await source.page()
        if notices is not None:
            notices += page.notices
        try:
            total += await _hand_on(page, source, target, mark_read=mark_read)
        finally:
            page.close()
        if page.error is not None:
            raise page.error
        if not page.more or not page.messages:
            return total


async def _hand_on(page: Page, source: Source, target: Target, *, mark_read: bool) -> int:
    position = page.position
    done: list[int] = []
    try:
        for message, content in page.messages:
            await target.deliver(message, content)
            position = await source.delivered(position, message.facts.uid)
            done.append(message.facts.uid)
    except Exception:
        if mark_read and done:
            with suppress(GatewayError):  # the first error is the one to tell
                await source.mark_read(position, done)
        raise
    if mark_read and done:
        with suppress(NotFound):
            await source.mark_read(position, done)
    return len(done)
