"""What is asked of the messages of the selected mailbox: FETCH of attributes, SEARCH, what changed since."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Final, Protocol

from gateway.model.sequence import Ranges, contains, count, render, without
from gateway.outbound.failure import Failure

from .classify import Step
from .compose import Part, sets, spaced
from .dialogue import Dialogue
from .errors import Closed
from .events import Found, FoundSet, Response, Row, Vanished
from .exchange import Exchange
from .numbers import MAX_UID, joined, numbers_of
from .values import Changes, FetchedMessage
from .wants import FetchWants, SearchWants

MAX_LINES: Final = 32 * 1024 * 1024
"""Octets of SEARCH or VANISHED responses to one command."""

ALL: Final[Ranges] = ((1, MAX_UID),)
"""Every UID. Not `1:*`: Cyrus tells VANISHED up to the highest UID that lives only."""


class Capable(Protocol):
    """A server as far as its capabilities tell."""

    @property
    def capabilities(self) -> frozenset[str]: ...


def message_limit(server: Capable) -> int | None:
    """RFC 9738: how many messages one command may touch; None without a limit."""
    for name in server.capabilities:
        if name.startswith("MESSAGELIMIT=") and (number := name[13:]).isdigit() and 0 < len(number) < 10:
            return int(number) or None
    return None


class Walk:
    """The UIDs that a command is still to be asked for, where a server does a part at a time."""

    __slots__ = ("_limit", "_partial", "highest", "left", "lowest", "rows")

    def __init__(self, uids: Ranges, limit: int | None, partial: bool) -> None:
        self.left = uids
        self._limit = limit if limit is not None and count(uids) > limit else None
        self._partial = partial and self._limit is not None
        self.rows = 0
        self.lowest = self.highest = 0

    @property
    def text(self) -> bytes:
        return render(self.left).encode("ascii")

    @property
    def modifier(self) -> bytes | None:
        """RFC 9394: only the first so many."""
        return b"PARTIAL 1:%d" % self._limit if self._partial and self._limit is not None else None

    def saw(self, uid: int) -> None:
        self.rows += 1
        self.lowest = min(self.lowest or uid, uid)
        self.highest = max(self.highest, uid)

    def step(self, exchange: Exchange) -> None:
        """The command is answered: takes what is done from `left`."""
        before = self.left
        if self._partial:
            self.left = without(before, ((1, self.highest),)) if self.rows else ()
        else:
            self.left = self._behind(exchange)
        if self.left == before:
            self.left = ()
        self.rows = self.lowest = self.highest = 0

    def _behind(self, exchange: Exchange) -> Ranges:
        """[MESSAGELIMIT n uid]: the last one that was looked at; servers go down from the highest."""
        code = exchange.code
        words = code.arguments.split() if code is not None and code.name == "MESSAGELIMIT" else []
        if len(words) < 2 or not words[1].isdigit() or len(words[1]) > 10:
            return ()
        last = int(words[1])
        done = (last, MAX_UID) if not self.highest or last <= self.lowest else (1, last)
        return without(self.left, (done,))


async def fetch(dialogue: Dialogue, uids: Ranges, wants: FetchWants) -> AsyncIterator[FetchedMessage]:
    """Messages as the server tells them, in its order. A consumer that stops early cuts the connection."""
    items = b"(%b)" % b" ".join(wants.render(dialogue.has))
    for piece, _ in sets(uids):
        walk = Walk(piece, message_limit(dialogue), dialogue.has("PARTIAL"))

        def claim(event: Response, asked: Ranges = piece) -> bool:
            return isinstance(event, Row) and contains(asked, event.message.uid) and wants.answered_by(event.message)

        while walk.left:
            parts: list[Part] = [b"UID FETCH", walk.text, items]
            if walk.modifier is not None:
                parts.append(b"(%b)" % walk.modifier)
            async with dialogue.exchange(dialogue.times.listing, dialogue.times.command) as exchange:
                await exchange.send(spaced(parts), Step.COMMAND)
                async for row in exchange.rows(claim):
                    walk.saw(row.message.uid)
                    yield row.message
            walk.step(exchange)


async def changes(
    dialogue: Dialogue, since: int, wants: FetchWants, *, vanished: bool = False, uids: Ranges = ALL
) -> Changes:
    """Messages with a MODSEQ above `since`; with `vanished` (QRESYNC enabled) also which UIDs are gone since then.

    What went since the mailbox was selected may be told by a later command only, as News.
    """
    items = b"(%b)" % b" ".join(wants.render(dialogue.has))
    modifier = b"(CHANGEDSINCE %d VANISHED)" % since if vanished else b"(CHANGEDSINCE %d)" % since
    found: dict[int, FetchedMessage] = {}
    gone: list[Ranges] = []
    for piece, _ in sets(uids):
        walk = Walk(piece, message_limit(dialogue), False)
        earlier = _Lines()

        def claim(event: Response, asked: Ranges = piece, walk: Walk = walk, earlier: _Lines = earlier) -> bool:
            if isinstance(event, Row) and contains(asked, event.message.uid):
                found[event.message.uid] = event.message
                walk.saw(event.message.uid)
                return True
            if isinstance(event, Vanished):  # without EARLIER they are of the view we had, and gone as well
                earlier.add(event.uids)
                return event.earlier
            return False

        while walk.left:
            async with dialogue.exchange(dialogue.times.listing, dialogue.times.listing) as exchange:
                await exchange.send([b"UID FETCH ", walk.text, b" ", items, b" ", modifier], Step.COMMAND)
                await exchange.answer(claim)
            walk.step(exchange)
        for text in earlier.texts:
            gone.append(await dialogue.ranges(text))
    return Changes(tuple(found.values()), await joined(gone, uids) if vanished else None)


class _Lines:
    """Long lines of one answer, with an end to what they may be together."""

    __slots__ = ("_room", "texts")

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self._room = MAX_LINES

    def add(self, text: bytes) -> None:
        self._room -= len(text)
        if self._room < 0:
            raise Closed(Failure.PROTOCOL, "The server names more messages than any mailbox has")
        self.texts.append(text)


async def search(dialogue: Dialogue, wants: SearchWants) -> Ranges:
    """UID SEARCH: the UIDs, as ranges. ESEARCH where it is offered; in pages where the server does a part at a time."""
    limit = message_limit(dialogue)
    if limit is None or not dialogue.has("PARTIAL"):
        returning = b"ALL" if dialogue.has("ESEARCH") else None
        if wants.uids is None:
            return await _search(dialogue, wants, returning)
        return await joined([await _search(dialogue, wants.within(piece), returning) for piece, _ in sets(wants.uids)])
    found: list[Ranges] = []
    for piece, _ in sets(wants.uids if wants.uids is not None else ALL):
        left = piece
        while left:
            page = await _search(dialogue, wants.within(left), b"PARTIAL 1:%d" % limit)
            page = tuple(pair for pair in page if contains(left, pair[0]))
            if not page:
                break
            found.append(page)
            left = without(left, ((1, page[-1][1]),))
    return await joined(found)


async def _search(dialogue: Dialogue, wants: SearchWants, returning: bytes | None) -> Ranges:
    criteria, utf8 = wants.render()
    parts: list[Part] = [b"UID SEARCH"]
    if returning is not None:
        parts.append(b"RETURN (%b)" % returning)
    if utf8:
        parts.append(b"CHARSET UTF-8")
    parts += criteria
    lines = _Lines()
    answer: FoundSet | None = None

    async with dialogue.exchange(dialogue.times.listing, dialogue.times.listing) as exchange:

        def claim(event: Response) -> bool:
            nonlocal answer
            if isinstance(event, Found):
                lines.add(event.numbers)
            elif isinstance(event, FoundSet) and event.tag in (exchange.tag, b""):
                answer = event
            else:
                return False
            return True

        await exchange.send(spaced(parts), Step.COMMAND)
        await exchange.answer(claim)
    if answer is not None and answer.uids is not None:
        return await dialogue.ranges(answer.uids)
    return await joined([await numbers_of(line) for line in lines.texts])
