"""Messages that are new here: APPEND, streamed from the store, and known under their UID in the unit that ends it.

An append whose answer was lost is looked for before it is done again: by its Message-ID among what came since. One
without Message-ID is known by INTERNALDATE and size, and where something came since that it might be, and might not,
it is given up rather than doubled; so is one that cannot be found though the server took it. What another client
has put into Trash meanwhile is found there (`binned`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.connectors.plan.labels import borne
from gateway.connectors.plan.resume import Evidence
from gateway.connectors.work import Work
from gateway.model.errors import LimitReached, NotFound
from gateway.model.flags import DELETED, SYSTEM_FLAGS
from gateway.model.ids import ContentId, MailboxId
from gateway.store import content
from gateway.store.connectors import adopt, ops
from gateway.store.connectors.local import LocalMessage
from gateway.store.connectors.moves import Key
from gateway.store.connectors.ops import Op
from gateway.store.connectors.rows import Flags, FolderId, RemoteFolder
from gateway.store.db import Database, Tx
from gateway.store.threads import id_hash
from gateway.upstream.errors import Closed, Refused
from gateway.upstream.values import Selected
from gateway.upstream.wants import SearchWants

from .binned import Binned, as_known, find, into_trash
from .flags import permitted
from .ledger import APPEND, Item, Ledger, key_of
from .remote import LAST, Sought, landed, opened

_PAGE: Final = 262_144
_NUL, _INSTEAD = b"\x00", b"\x80"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message here that is to be put into a folder. Without a place nothing here stands for it: pull takes it in."""

    content_id: int
    size: int
    internal_date: int
    flags: Flags
    message_id: bytes | None
    item: Item

    @property
    def sought(self) -> Sought:
        hashed = id_hash(self.message_id) if self.message_id else None
        return Sought(None, hashed, self.internal_date, self.size)


def outgoing(message: LocalMessage, mailbox: int, message_id: bytes | None) -> Outgoing:
    return Outgoing(
        message.content_id, message.size, message.internal_date, (message.flags[0] & ~DELETED, message.flags[1]),
        message_id, Item(0, (mailbox, message.uid), message.email_id),
    )  # fmt: skip


async def append(
    work: Work, ledger: Ledger, to: RemoteFolder, one: Outgoing, *, raw: bytes = b"", label: str | None = None
) -> bool:
    """`raw`: a label's folder, whose mail is in `to`. False: it is put off. UpstreamError."""
    selected = await opened(work, to, anew=True)
    if selected is None:
        return False
    before = await _uidnext(work, selected)
    payload = payload_of(to, one, label)
    evidence = Evidence(to.id, to.uidvalidity or 0, before, _text(one.message_id), trash=as_known(work))
    op = await ledger.begin(APPEND, key_of(APPEND, to.id, to.uidvalidity or 0, [one.item]), payload, evidence.as_json())
    return await carry_out(work, ledger, to, one, op, selected, before, raw, label)


def payload_of(to: RemoteFolder, one: Outgoing, label: str | None) -> dict[str, Any]:
    return {
        "folder": to.id, "validity": to.uidvalidity, "items": [one.item.as_json()], "content": one.content_id,
        "size": one.size, "date": one.internal_date, "flags": [one.flags[0], list(one.flags[1])],
        "label": label,
    }  # fmt: skip


async def carry_out(
    work: Work, ledger: Ledger, to: RemoteFolder, one: Outgoing, op: Op, selected: Selected, before: int, raw: bytes,
    label: str | None,
) -> bool:  # fmt: skip
    """The APPEND itself, of an operation that is started, and its end."""
    flags = permitted(one.flags, selected.permanent_flags)
    names = [name for name, bit in SYSTEM_FLAGS.items() if flags[0] & bit] + list(flags[1])
    gone = False

    async def octets() -> AsyncIterator[bytes]:
        nonlocal gone
        try:
            async for piece in stored(work.db, one.content_id):
                yield piece
        except NotFound:
            gone = True

    try:
        appended = await work.client.append(raw or to.raw, names, one.internal_date, one.size, octets())
    except Refused as error:
        await ledger.put_off(op, error)
        return False
    except Closed:
        if gone:  # it was removed here while it went up: the server has not got all of it
            await ledger.finish(op)
        raise
    if appended is not None and appended.uidvalidity == to.uidvalidity and not raw:
        uid: int | None = appended.uid
    else:
        uids = await landed(work, to, before, [one.sought])
        uid = uids[0] if uids else None
    if uid is None:
        await ledger.give_up(op, "unidentified", "the account took it, and does not show which message it is")
        return True
    await _finish(work, op, to, one, uid, flags, label)
    return True


async def stored(db: Database, content_id: int) -> AsyncIterator[bytes]:
    """As BODY[] shows it: a literal holds no NUL. NotFound."""
    number = ContentId(content_id)
    row = await db.read(lambda rx: content.content_row(rx, number))
    header = await db.read(lambda rx: content.read_header(rx, number))
    yield header.replace(_NUL, _INSTEAD)
    at = 0
    while at < row.body_size:
        start = at
        piece = await db.read(lambda rx: content.read_body(rx, number, start, start + _PAGE))  # noqa: B023
        if not piece:
            raise NotFound("The message was removed while it was read")
        at += len(piece)
        yield piece.replace(_NUL, _INSTEAD)


async def _finish(
    work: Work, op: Op, to: RemoteFolder, one: Outgoing, uid: int, flags: Flags, label: str | None
) -> None:
    place = one.item.place

    def unit(tx: Tx) -> None:
        if place is not None:
            adopt.placed(
                tx, work.claim, Key(to.id, to.uidvalidity or 0, uid), (MailboxId(place[0]), place[1], one.item.email),
                flags, label=label, labels=borne(label), looks=(one.size, one.internal_date, one.message_id),
                now=work.now,
            )  # fmt: skip
        ops.finish(tx, work.claim, op.id, now=work.now)

    await work.unit(unit)
    work.run.pushed += 1
    work.run.changed()


async def resume(work: Work, ledger: Ledger, op: Op) -> None:
    """An append that was started, and nobody knows whether it was done."""
    to = work.folders.get(FolderId(op.payload["folder"]))
    one = of_payload(op.payload, op.evidence)
    evidence = Evidence.of_json(op.evidence or {})
    if to is None:
        await ledger.finish(op)
        return
    selected = await opened(work, to, anew=True)
    if selected is None and to.uidvalidity == evidence.uidvalidity:
        await ledger.put_off(op)
        return
    since = evidence.uidnext if to.uidvalidity == evidence.uidvalidity else 1
    if since == 1 and one.message_id is None:
        await ledger.give_up(op, "unidentified", "the account has numbered its mail anew meanwhile")
        return
    uids = await landed(work, to, since, [one.sought])
    if uids is None:
        await ledger.put_off(op)
    elif uids[0] is not None:
        await _finish(work, op, to, one, uids[0], one.flags, op.payload.get("label"))
    else:
        news = one.message_id is None and await work.search(SearchWants(uids=((since, LAST),)))
        found = await find(work, to, evidence, one.sought)
        if isinstance(found, Key):
            await _finish_in_trash(work, ledger, op, found, one)
        elif found is Binned.LATER:
            await ledger.put_off(op)
        elif found is Binned.SOMEWHERE:
            await ledger.give_up(op, "unidentified", "Trash has something that may be it")
        elif news:
            await ledger.give_up(op, "unidentified", "something has come into the folder that may be it")
        else:
            await ledger.finish(op)  # it surely is not there: what is still new here is planned anew


async def _finish_in_trash(work: Work, ledger: Ledger, op: Op, key: Key, one: Outgoing) -> None:
    """It was moved there before anybody looked: so it is here."""

    def unit(tx: Tx) -> None:
        if one.item.place is not None:
            mailbox, uid = one.item.place
            into_trash(
                tx, work, key, (MailboxId(mailbox), uid, one.item.email), one.flags,
                (one.size, one.internal_date, one.message_id),
            )  # fmt: skip
        ops.finish(tx, work.claim, op.id, now=work.now)

    try:
        await work.unit(unit)
    except LimitReached as error:
        await ledger.give_up(op, "limit", f"Trash here has no room for it: {error}")
        return
    work.run.pushed += 1
    work.run.changed()


def of_payload(payload: Mapping[str, Any], evidence: Mapping[str, Any] | None) -> Outgoing:
    message_id = (evidence or {}).get("message_id")
    return Outgoing(
        payload["content"], payload["size"], payload["date"], (payload["flags"][0], tuple(payload["flags"][1])),
        message_id.encode("utf-8", "surrogateescape") if message_id else None, Item.of_json(payload["items"][0]),
    )  # fmt: skip


async def _uidnext(work: Work, selected: Selected) -> int:
    if selected.uidnext is not None:
        return selected.uidnext
    listed = await work.search()
    return listed[-1][1] + 1 if listed else 1


def _text(message_id: bytes | None) -> str | None:
    return None if message_id is None else message_id.decode("utf-8", "surrogateescape")
