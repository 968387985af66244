"""Mailboxes and messages: look, bring in, take out. Octets stream in both directions; no message is held whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Final

from gateway import mime
from gateway.control.frames import CHUNK_LIMIT, Json
from gateway.maintain.exporter import exported, octets_of
from gateway.maintain.importer import Importer, ImportReport
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.flags import names_of
from gateway.model.ids import InboxId
from gateway.model.mailbox import Mailbox
from gateway.model.names import canonical
from gateway.store import mailboxes, messages
from gateway.store.db import Rx
from gateway.store.messages import Columns

from .accounts import inbox_named, mailbox_json
from .registry import Context, Stream, operation
from .values import moment

LIST_LIMIT: Final = 1000  # messages of one list: what somebody reads on a screen
_LISTED: Final = Columns.INTERNAL_DATE | Columns.SIZE | Columns.HEADER | Columns.EMAIL_ID | Columns.FLAGS


def mailbox_named(rx: Rx, inbox_id: InboxId, name: str) -> Mailbox:
    """A mailbox that can hold messages, or NotFound with its name."""
    mailbox = mailboxes.by_name(rx, inbox_id, canonical(name))
    if mailbox is None or mailbox.noselect:
        raise NotFound(f"There is no mailbox {name}")
    return mailbox


@operation("mailbox.list")
async def mailbox_list(context: Context, stream: Stream, *, inbox: str) -> Json:
    def query(rx: Rx) -> Json:
        return [mailbox_json(mailbox) for mailbox in mailboxes.list_mailboxes(rx, inbox_named(rx, inbox).id)]

    return await context.db.read(query)


@operation("message.list")
async def message_list(
    context: Context, stream: Stream, *, inbox: str, mailbox: str = "INBOX", limit: int = 50
) -> Json:
    """The latest `limit` messages, the newest first."""
    if not 1 <= limit <= LIST_LIMIT:
        raise InvalidRequest(f"A list has 1 to {LIST_LIMIT} messages")

    def query(rx: Rx) -> Json:
        found = mailbox_named(rx, inbox_named(rx, inbox).id, mailbox)
        words = mailboxes.keywords(rx, found.id)
        uids = latest(rx, found, limit)
        rows = messages.fetch_rows(rx, found.id, uids, _LISTED)
        return [_message(row, words) for row in reversed(rows)]

    return await context.db.read(query)


def latest(rx: Rx, mailbox: Mailbox, limit: int) -> list[int]:
    """The highest `limit` UIDs, rising: looks back from UIDNEXT in spans that double until enough are found."""
    span = limit
    while True:
        after = max(int(mailbox.uidnext) - 1 - span, 0)
        uids, _, _ = messages.load_arrays(rx, mailbox.id, after, span)
        if len(uids) >= limit or after == 0:
            return uids[-limit:]
        span *= 2


def _message(row: tuple[Json, ...], words: Mapping[int, str]) -> dict[str, Json]:
    uid, date, size, header, email_id, flags = row
    first = {field.name.lower(): field.value for field in reversed(mime.fields(header))}
    return {
        "uid": uid,
        "date": moment(date),
        "from": mime.decode_text(first.get(b"from", b"")),
        "subject": mime.decode_text(first.get(b"subject", b"")),
        "flags": names_of(flags, words),
        "size": size,
        "id": email_id,
    }


@operation("message.import")
async def message_import(context: Context, stream: Stream, *, inbox: str, mailbox: str = "INBOX") -> Json:
    """Reads for each message `{"message": {where, folder, date, flags, keywords}}` and its octets.

    `folder`: the mailbox below `mailbox` (made when it is missing), "" for that itself; `date`: Unix seconds or None;
    `flags`: mask of system flags. Sends `{"imported": n}` whenever so many are durable.
    """
    inbox_id = (await context.db.read(lambda rx: inbox_named(rx, inbox))).id
    told = 0

    def units(report: ImportReport) -> None:
        nonlocal told
        told = report.imported

    importer = Importer(
        context.db, context.ingest, inbox_id, canonical(mailbox), now=context.now, max_size=context.max_import_size,
        progress=units,
    )
    incoming = _Incoming(stream)
    sent = 0
    while (head := await incoming.next_message()) is not None:
        await importer.add(
            incoming.chunks(),
            where=_text(head, "where"),
            folder=_text(head, "folder"),
            date=_number(head, "date"),
            flags=_number(head, "flags") or 0,
            keywords=[str(word) for word in head.get("keywords") or ()],
        )
        if told != sent:
            sent = told
            await stream.send({"imported": sent})
    report = await importer.finish()
    return {
        "imported": report.imported,
        "octets": report.octets,
        "skipped": [{"where": one.where, "reason": one.reason} for one in report.skipped],
    }


class _Incoming:
    """Frames of an import as messages: an object begins one, octets belong to it until the next object."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._next: dict[str, Json] | None = None
        self._ended = False

    async def next_message(self) -> dict[str, Json] | None:
        if self._next is None and not self._ended:
            async for _ in self.chunks():
                raise InvalidRequest("Octets came before the message they belong to")
        head, self._next = self._next, None
        return head

    async def chunks(self) -> AsyncIterator[bytes]:
        """The octets up to the next message, which is kept for `next_message`."""
        while True:
            frame = await self._stream.receive()
            if isinstance(frame, bytes):
                yield frame
                continue
            if frame is None:
                self._ended = True
            elif isinstance(frame.get("message"), dict):
                self._next = frame["message"]
            else:
                raise InvalidRequest("An import is made of messages and their octets")
            return


def _text(head: Mapping[str, Json], name: str) -> str:
    value = head.get(name, "")
    if not isinstance(value, str):
        raise InvalidRequest(f"{name} of a message must be a text")
    return value


def _number(head: Mapping[str, Json], name: str) -> int | None:
    value = head.get(name)
    if value is not None and type(value) is not int:
        raise InvalidRequest(f"{name} of a message must be a number")
    return value


@operation("message.export")
async def message_export(
    context: Context, stream: Stream, *, inbox: str, mailbox: str = "INBOX", uids: list[int] | None = None
) -> Json:
    """Sends `{"total": n}`, then for each message `{"message": {…}}`, its octets, and `{"end": reason or None}`.

    A reason says why a message could not be read to its end: it was expunged and collected meanwhile.
    """

    def query(rx: Rx) -> tuple[InboxId, Mailbox]:
        inbox_id = inbox_named(rx, inbox).id
        return inbox_id, mailbox_named(rx, inbox_id, mailbox)

    inbox_id, found = await context.db.read(query)
    await stream.send({"total": found.messages if uids is None else len(uids)})
    count = octets = 0
    skipped: list[Json] = []
    async for message in exported(context.db, inbox_id, found, uids):
        await stream.send({"message": {
            "mailbox": message.mailbox, "uidvalidity": message.uidvalidity, "uid": message.uid, "date": message.date,
            "size": message.size, "flags": message.flags, "keywords": list(message.keywords),
        }})
        reason: str | None = None
        try:
            async for chunk in octets_of(context.db, message.content_id):
                for start in range(0, len(chunk), CHUNK_LIMIT):
                    await stream.send(chunk[start : start + CHUNK_LIMIT])
        except NotFound as error:
            reason = str(error)
            skipped.append({"where": f"UID {message.uid}", "reason": reason})
        else:
            count += 1
            octets += message.size
        await stream.send({"end": reason})
    return {"exported": count, "octets": octets, "skipped": skipped}
