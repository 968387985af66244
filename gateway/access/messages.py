"""Messages of an inbox as the API tells them: lists with what a list shows, and one message with all it says."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from gateway.mime import PartNode, decode_body, decode_parts, decode_text, fields, find_section, to_text
from gateway.mime.html import html_to_text
from gateway.model.errors import NotFound
from gateway.model.ids import ContentId
from gateway.store import content, digest_rows
from gateway.store.db import Database, Rx
from gateway.store.trigrams import Trigrams, with_index

from .bodies import Slot, chosen
from .caller import Caller
from .digest import Digest, Digests, path_of
from .listing import Cursor, Page, Place, Placed, find_in, page
from .query import Query
from .rendered import Leaf, NotRendered, leaves_of

__all__ = ["Digest", "Full", "Listing", "Message", "Place", "full_message", "list_messages", "message", "messages"]

NO_MESSAGE: Final = "No such message"
TEXT: Final = 1024 * 1024
"""Encoded octets of the text of one message that are told; the parts themselves tell all."""


@dataclass(frozen=True, slots=True)
class Message:
    """`placed`: where it lies and how it is marked; `digest`: what it says, which never changes."""

    placed: Placed
    digest: Digest

    @property
    def id(self) -> str:
        return self.placed.id

    @property
    def weight(self) -> int:
        """As `Digest.weight`, with its places."""
        return self.digest.weight + len(self.placed.places) // 16


@dataclass(frozen=True, slots=True)
class Listing:
    """`next`: where the next page begins, None at the end; a page may be short and still have a next one."""

    messages: list[Message]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class Body:
    """`text`: what the message says in words, made of its HTML where it has no other; `html`: None where it has none.

    `headers`: all fields as they stand, decoded. `cut`: text or HTML went on beyond TEXT.
    """

    text: str
    html: str | None
    headers: tuple[tuple[str, str], ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class Full:
    message: Message
    body: Body

    @property
    def weight(self) -> int:
        """As `Message.weight`, with its text and its fields."""
        body = self.body
        octets = len(body.text) + len(body.html or "") + sum(len(value) for _, value in body.headers)
        return self.message.weight + octets // 10_000 + len(body.headers) // 16


async def list_messages(
    db: Database, kept: Digests, who: Caller, inbox: str, query: Query, cursor: Cursor | None, limit: int,
    texts: Trigrams | None = None,
) -> Listing:  # fmt: skip
    """A page of at most `limit` messages. NotFound, NoPermission, CannotChange (the mailbox only holds others)."""
    found = await list_places(db, who, inbox, query, cursor, limit, texts)
    return Listing(await digested(db, kept, found.messages), found.next)


async def list_places(
    db: Database, who: Caller, inbox: str, query: Query, cursor: Cursor | None, limit: int,
    texts: Trigrams | None = None,
) -> Page:  # fmt: skip
    """The same without what the messages say, for who only wants to know which ones they are."""
    if query.needles:
        ask = partial(db.offload_bulk, page, who, inbox, query, cursor, limit)
        return await with_index(texts if query.text else None, ask)
    if query.has or query.lacks or query.keyword or query.no_keyword:
        return await db.offload(page, who, inbox, query, cursor, limit)
    return await db.read(lambda rx: page(rx, who, inbox, query, cursor, limit))


async def messages(db: Database, kept: Digests, who: Caller, inbox: str, ids: Sequence[str]) -> list[Message]:
    """Those of `ids` that are there, in their order."""

    def query(rx: Rx) -> list[Placed]:
        found = find_in(rx, who, inbox, ids)
        return [found[each] for each in dict.fromkeys(ids) if each in found]

    return await digested(db, kept, await db.read(query))


async def message(db: Database, kept: Digests, who: Caller, inbox: str, email_id: str) -> Message:
    """NotFound."""
    found = await messages(db, kept, who, inbox, [email_id])
    if not found:
        raise NotFound(NO_MESSAGE)
    return found[0]


async def full_message(db: Database, kept: Digests, who: Caller, inbox: str, email_id: str) -> Full:
    """NotFound."""
    found = await message(db, kept, who, inbox, email_id)
    return Full(found, await db.offload(body, found.placed.content_id))


async def digested(db: Database, kept: Digests, found: Sequence[Placed]) -> list[Message]:
    """With what they say; without those that were removed and collected meanwhile."""
    known = await kept.of(db, [(each.content_id, each.sha256) for each in found])
    return [Message(each, known[each.content_id]) for each in found if each.content_id in known]


def body(rx: Rx, content_id: ContentId) -> Body:
    """NotFound once collected. A job of a reader process."""
    rows = digest_rows.rows(rx, [content_id])
    if not rows:
        raise NotFound(NO_MESSAGE)
    header = content.read_header(rx, content_id)
    said = tuple((field.name.decode("ascii", "replace"), decode_text(field.value)) for field in fields(header))
    try:
        slots, root = chosen(leaves_of(rows[0].bodystructure)).slots, decode_parts(rows[0].parts)
    except (NotRendered, ValueError):  # of hostile length: its parts can be read one by one
        return Body("", None, said, cut=True)
    reading = _Reading(partial(content.read_body, rx, content_id), root)
    text, marked = reading.told(slots)
    return Body(text, marked, said, reading.cut)


class _Reading:
    """Text parts, decoded as long as there is room."""

    def __init__(self, read: Callable[[int, int], bytes], root: PartNode) -> None:
        self._read = read
        self._root = root
        self._room = TEXT
        self.cut = False

    def told(self, slots: Sequence[Slot]) -> tuple[str, str | None]:
        """Plain text of all slots, and the same as HTML where any of them has some."""
        texts: list[str] = []
        marked: list[str] = []
        for slot in slots:
            rich = None if slot.html is None else self._text(slot.html)
            plain = html_to_text(rich or "") if slot.plain is None else self._text(slot.plain)
            texts.append(plain)
            marked.append(f"<pre>{html.escape(plain)}</pre>" if rich is None else rich)
        any_html = any(slot.html is not None for slot in slots)
        return "\n".join(texts), "\n".join(marked) if any_html else None

    def _text(self, leaf: Leaf) -> str:
        node = find_section(self._root, path_of(leaf.number))
        if node is None:
            return ""
        size = min(node.size, self._room)
        self.cut |= size < node.size
        self._room -= size
        octets = self._read(node.header_end, node.header_end + size)
        return to_text(decode_body(octets, leaf.encoding), node.charset)
