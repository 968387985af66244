"""What changes messages upstream: STORE, COPY, MOVE, EXPUNGE, APPEND; only by UID, and only what was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from typing import Final

from gateway.model.errors import InvalidName
from gateway.model.sequence import Ranges, count, normalise
from gateway.outbound.failure import Failure
from gateway.wire.date import date_time

from . import names
from .classify import Step
from .compose import Part, Upload, atom, flag_list, needs_no_permission, sets, spaced, string
from .dialogue import Dialogue
from .errors import Closed, Refused
from .events import Code, Response, Row, Status
from .numbers import numbers_in_order
from .reading import Walk, message_limit
from .values import Appended, Copied

_OPS: Final = {"add": b"+", "remove": b"-", "set": b""}
_BLOCK: Final = 65_536


def _need_writable(dialogue: Dialogue) -> None:
    """Refused in a mailbox that was opened to be read: Dovecot says OK there, and does nothing."""
    selected = dialogue.mailbox.selected
    if selected is not None and selected.read_only:
        raise Refused(Failure.REFUSED_COMMAND, "The folder is open to be read only", code="READ-ONLY")


async def store_flags(
    dialogue: Dialogue, uids: Ranges, op: str, flags: Collection[str], unchanged_since: int | None = None
) -> Ranges:
    """UID STORE … FLAGS.SILENT. Returns the UIDs that the server left alone, for they had changed (RFC 7162 3.1.3)."""
    if not flags and op != "set":
        return ()
    return await _store(dialogue, uids, _OPS[op] + b"FLAGS.SILENT", [flag_list(flags)], unchanged_since)


async def store_labels(dialogue: Dialogue, uids: Ranges, op: str, labels: Iterable[str]) -> None:
    """X-GM-LABELS; `\\Inbox` and its like as they are, others by their names. Refused without X-GM-EXT-1."""
    if not dialogue.has("X-GM-EXT-1"):
        raise Refused(Failure.REFUSED_COMMAND, "The server has no labels", bad=True)
    parts: list[Part] = []
    for label in sorted(labels):
        parts.append(b" " if parts else b"(")
        if label.startswith("\\"):
            parts.append(b"\\" + atom(label[1:]))
        else:
            parts.append(string(_label(label)))
    if parts or op == "set":
        await _store(dialogue, uids, _OPS[op] + b"X-GM-LABELS.SILENT", [*(parts or [b"("]), b")"], None)


def _label(name: str) -> bytes:
    try:
        return names.encode(name)
    except InvalidName as error:
        raise Refused(Failure.REFUSED_COMMAND, str(error), bad=True) from None


async def _store(
    dialogue: Dialogue, uids: Ranges, item: bytes, value: list[Part], unchanged_since: int | None
) -> Ranges:
    _need_writable(dialogue)
    refused: list[tuple[int, int]] = []

    def claim(event: Response) -> bool:
        # The MODSEQ of our own change is no news; flags in it may be somebody else's.
        return isinstance(event, Row) and event.message.flags is None and bool(event.message.uid)

    for piece, _ in sets(uids):
        walk = Walk(piece, message_limit(dialogue), False)
        while walk.left:
            parts: list[Part] = [b"UID STORE ", walk.text, b" "]
            if unchanged_since is not None:
                parts.append(b"(UNCHANGEDSINCE %d) " % unchanged_since)
            async with dialogue.exchange(dialogue.times.listing) as exchange:
                await exchange.send([*parts, item, b" ", *value], Step.COMMAND)
                try:
                    await exchange.answer(claim)
                except Refused as error:
                    if error.code != "MODIFIED":  # RFC 7162 3.1.3 shows it with NO too
                        raise
            if exchange.code is not None and exchange.code.name == "MODIFIED":
                refused.extend(await dialogue.ranges(exchange.code.arguments))
            walk.step(exchange)
    return normalise(refused)


class _Pairs:
    """COPYUID of a command, from wherever in its answer."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.validity = 0
        self.uids: dict[int, int] = {}

    def __call__(self, event: Response) -> bool:
        if isinstance(event, Status):
            self.see(event.code)
        return False

    def see(self, code: Code | None) -> None:
        if code is None or code.name != "COPYUID":
            return
        words = code.arguments.split()
        if len(words) != 3 or not words[0].isdigit() or len(words[0]) > 10:
            return
        old = numbers_in_order(words[1], self._limit)
        new = numbers_in_order(words[2], self._limit)
        if old is None or new is None or len(old) != len(new):
            return  # nothing is better than pairs that may be wrong
        self.validity = int(words[0])
        self.uids.update(zip(old, new, strict=True))

    def copied(self) -> Copied | None:
        return Copied(self.validity, self.uids) if self.uids else None


async def copy(dialogue: Dialogue, verb: bytes, uids: Ranges, raw: bytes) -> Copied | None:
    """UID COPY or UID MOVE. None: done, and the server did not tell the new UIDs. Refused: TRYCREATE, OVERQUOTA …

    More UIDs than fit into a line go in several commands: after Refused those before it are done.
    """
    if verb == b"MOVE" and not dialogue.has("MOVE") and not dialogue.has("IMAP4REV2"):
        raise Refused(Failure.REFUSED_COMMAND, "The server cannot move messages", bad=True)
    if verb == b"MOVE":
        _need_writable(dialogue)
    found = _Pairs(min(count(uids), 100_000))
    for _, text in sets(uids):
        tagged = await dialogue.run(
            b"UID " + verb, text, string(raw), patience=dialogue.times.listing, step=Step.FOLDER, claim=found
        )
        found.see(tagged.code)
    return found.copied()


async def expunge(dialogue: Dialogue, uids: Ranges) -> None:
    """UID EXPUNGE (RFC 4315). Refused without UIDPLUS: a bare EXPUNGE would take what others have marked."""
    if not dialogue.has("UIDPLUS") and not dialogue.has("IMAP4REV2"):
        raise Refused(Failure.REFUSED_COMMAND, "The server cannot expunge single messages", bad=True)
    _need_writable(dialogue)
    for piece, _ in sets(uids):
        walk = Walk(piece, message_limit(dialogue), False)
        while walk.left:
            async with dialogue.exchange(dialogue.times.listing) as exchange:
                await exchange.send(spaced([b"UID EXPUNGE", walk.text]), Step.COMMAND)
                await exchange.answer()
            walk.step(exchange)


async def append(
    dialogue: Dialogue,
    raw: bytes,
    flags: Collection[str],
    internal_date: int | None,
    size: int,
    octets: AsyncIterator[bytes],
) -> Appended | None:
    """APPEND of `size` octets, streamed. None: done, and the server did not tell the UID.

    Refused: not done. Closed: nobody knows, unless `octets` ended early: then it was not.
    """
    limit = _append_limit(dialogue)
    if limit is not None and size > limit:
        raise Refused(Failure.REFUSED_COMMAND, f"The server takes messages of {limit} octets at most", code="TOOBIG")
    parts: list[Part] = [b"APPEND", string(raw)]
    if flags:
        parts.append(flag_list(flags))
    if internal_date is not None:
        parts.append(date_time(internal_date))
    times = dialogue.times
    async with dialogue.exchange(times.listing + size / 1024, times.listing) as exchange:
        upload = Upload(size)
        await exchange.send(spaced([*parts, upload]), Step.FOLDER)
        if not needs_no_permission(upload, plus=dialogue.has("LITERAL+"), minus=dialogue.has("LITERAL-")):
            await exchange.permission(Step.FOLDER)
        left = size
        async for chunk in octets:
            left -= len(chunk)
            if left < 0:
                break
            for at in range(0, len(chunk), _BLOCK):
                dialogue.link.write(chunk[at : at + _BLOCK])
                await dialogue.link.drained(times.silence)
        if left:
            raise Closed(Failure.LOST, "The message has another size than was announced")
        dialogue.link.write(b"\r\n")
        tagged = await exchange.answer(step=Step.FOLDER)
    return _appended(tagged.code)


def _append_limit(dialogue: Dialogue) -> int | None:
    """RFC 7889."""
    for name in dialogue.capabilities:
        if name.startswith("APPENDLIMIT=") and (number := name[12:]).isdigit() and len(number) < 16:
            return int(number)
    return None


def _appended(code: Code | None) -> Appended | None:
    if code is None or code.name != "APPENDUID":
        return None
    words = code.arguments.split()
    if len(words) != 2 or not all(word.isdigit() and len(word) <= 10 for word in words):
        return None
    return Appended(int(words[0]), int(words[1]))
