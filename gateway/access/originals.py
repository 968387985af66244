"""The message that is answered or forwarded, or a draft that is edited: its values, read from the store in pages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from gateway.mime import PartNode, decode_body, decode_parts, find_section
from gateway.model.errors import InvalidRequest, LimitReached, NotFound, TooBig
from gateway.model.flags import ANSWERED
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.model.rights import Action
from gateway.store import addresses, content, digest_rows
from gateway.store.db import Database, Rx, Tx
from gateway.store.digest_rows import DigestRow
from gateway.store.draft_names import FORWARDED
from gateway.store.flags import store_flags

from . import messages
from .bodies import chosen
from .caller import Caller
from .composing import OCTET_STREAM, Attachment, content_type
from .digest import path_of
from .header_fields import Mailbox, mailbox
from .listing import find
from .rendered import Heads, Leaf, NotRendered, Person, heads_of, leaves_of
from .replying import Original
from .sight import sight

PAGE: Final = 262_144
"""Octets read at once."""
_SMALL: Final = 65_536


@dataclass(frozen=True, slots=True)
class Found:
    """`values`: without text, attachments and octets until they are asked for. `marks`: places that may be flagged."""

    inbox_id: InboxId
    email_id: str
    content_id: ContentId
    row: DigestRow
    values: Original
    own: frozenset[str]
    marks: tuple[tuple[MailboxId, int], ...]

    def mark(self, tx: Tx, *, forwarded: bool) -> None:
        """\\Answered, or $Forwarded, wherever it lies; in the unit that sends. A mailbox may have no room for a
        keyword more: then it is not marked.
        """
        for mailbox_id, uid in self.marks:
            with suppress(LimitReached):
                if forwarded:
                    store_flags(tx, self.inbox_id, mailbox_id, [uid], "add", 0, (FORWARDED,))
                else:
                    store_flags(tx, self.inbox_id, mailbox_id, [uid], "add", ANSWERED)


def find_original(rx: Rx, who: Caller, inbox: str, email_id: str) -> Found:
    """NotFound: there is no such message, or the key may not read where it lies."""
    seen = sight(rx, who, inbox)
    placed = find(rx, seen, [email_id]).get(email_id)
    rows = digest_rows.rows(rx, [placed.content_id]) if placed is not None else []
    if placed is None or not rows:
        raise NotFound(messages.NO_MESSAGE)
    own = frozenset(each.address.lower() for each in addresses.addresses(rx, seen.inbox_id))
    marks = tuple(
        (place.row.mailbox_id, place.row.uid) for place in placed.places
        if seen.may(Action.FLAG, seen.boxes[place.row.mailbox_id])
    )  # fmt: skip
    return Found(seen.inbox_id, email_id, placed.content_id, rows[0], values_of(rows[0]), own, marks)


def values_of(row: DigestRow) -> Original:
    """What the header says. Addresses that no mail could be sent to are left out."""
    try:
        heads = heads_of(row.envelope)
    except NotRendered:  # of hostile length
        heads = Heads(None, "", (), (), (), (), (), ())
    return Original(
        message_id=_id(row.message_id) if row.message_id else None, in_reply_to=tuple(map(_id, row.in_reply_to)),
        references=tuple(map(_id, row.references)), subject=heads.subject[:2000], author=valid(heads.from_),
        reply_to=valid(heads.reply_to), to=valid(heads.to), cc=valid(heads.cc), date=row.sent_date,
    )  # fmt: skip


def valid(people: Iterable[Person]) -> tuple[Mailbox, ...]:
    found = []
    for one in people:
        with suppress(InvalidRequest):
            found.append(mailbox("address", one.address, (one.name or "")[:200]))
    return tuple(found)


async def with_text(db: Database, found: Found) -> Found:
    """With what it says, for a reply to quote."""
    body = await db.offload(messages.body, found.content_id)
    return replace(found, values=replace(found.values, text=body.text, html=body.html))


async def with_attachments(db: Database, found: Found, most: int) -> Found:
    """With the octets of what is attached. TooBig beyond `most` octets."""
    return replace(found, values=replace(found.values, attachments=await attachments_of(db, found.row, most)))


async def with_octets(db: Database, found: Found, most: int) -> Found:
    """With all its octets. TooBig."""
    if found.row.size > most:
        raise TooBig(f"The message is larger than {most} octets")
    pieces = [piece async for piece in octets_of(db, found.row)]
    return replace(found, values=replace(found.values, octets=b"".join(pieces)))


async def octets_of(db: Database, row: DigestRow) -> AsyncIterator[bytes]:
    """Header, then the body in pages."""
    yield await db.read(lambda rx: content.read_header(rx, row.content_id))
    size = row.size - row.header_size
    for at in range(0, size, PAGE):
        yield await _range(db, row.content_id, at, min(at + PAGE, size))


async def attachments_of(db: Database, row: DigestRow, most: int) -> tuple[Attachment, ...]:
    """Decoded, in their order."""
    try:
        leaves, root = chosen(leaves_of(row.bodystructure)).attachments, decode_parts(row.parts)
    except (NotRendered, ValueError):
        return ()
    if sum(leaf.size for leaf in leaves) > 2 * most:
        raise TooBig(f"A message may have {most} octets at most")
    found = []
    for leaf in leaves:
        node = find_section(root, path_of(leaf.number))
        if node is not None:
            found.append(_attachment(leaf, await _decoded(db, row.content_id, leaf, node)))
    return tuple(found)


async def _decoded(db: Database, content_id: ContentId, leaf: Leaf, node: PartNode) -> bytes:
    pieces = [
        await _range(db, content_id, at, min(at + PAGE, node.body_end))
        for at in range(node.header_end, node.body_end, PAGE)
    ]
    octets = b"".join(pieces)
    if leaf.type == "message":
        return octets
    if len(octets) <= _SMALL:
        return decode_body(octets, leaf.encoding)
    return await asyncio.to_thread(decode_body, octets, leaf.encoding)


async def _range(db: Database, content_id: ContentId, start: int, stop: int) -> bytes:
    return await db.read(lambda rx: content.read_body(rx, content_id, start, stop))


def _attachment(leaf: Leaf, octets: bytes) -> Attachment:
    kind = f"{leaf.type}/{leaf.subtype}"
    try:
        content_type(kind)
    except InvalidRequest:
        kind = OCTET_STREAM
    name = leaf.file_name[:255] if leaf.file_name else ("message.eml" if leaf.type == "message" else None)
    inline = leaf.disposition == "inline" or (leaf.disposition is None and leaf.content_id is not None)
    return Attachment(octets, name, kind, _content_id(leaf.content_id), inline)


def _content_id(text: str | None) -> str | None:
    plain = text is not None and len(text) <= 250 and text.isascii() and not set(text) & set(" <>")
    return text if plain else None


def _id(octets: bytes) -> str:
    return bytes(octets).decode("utf-8", "replace")
