"""What IMAP URLs name: the octets of messages and their parts, for CATENATE (RFC 4469) and URLFETCH (RFC 4467)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from gateway.mime import decode_parts
from gateway.model.errors import NotFound
from gateway.model.ids import ContentId, InboxId
from gateway.store import content, mailboxes, messages
from gateway.store.db import Database, Rx
from gateway.store.messages import Columns
from gateway.wire.tokens import Malformed
from gateway.wire.url import MessageUrl, parse_url

from . import access, sections
from .access import Action
from .replies import no
from .settings import BODY_READ

if TYPE_CHECKING:
    from .session import Session

COLUMNS: Final = Columns.CONTENT_ID | Columns.SIZE | Columns.HEADER | Columns.PARTS | Columns.HAS_NUL
_SHOWN: Final = 500  # octets of a URL that BADURL repeats whole
_PLAIN: Final = frozenset(range(0x21, 0x7F)) - frozenset(b"]\\\"")


@dataclass(frozen=True, slots=True)
class Found:
    """What a URL names: the message's row of COLUMNS, and the place of the section in it. `role`: its mailbox's."""

    row: tuple[Any, ...]
    content_id: ContentId
    header: bytes
    size: int
    extent: sections.Extent
    role: str | None


async def octets_of(session: Session, url: bytes) -> AsyncIterator[bytes]:
    """The octets that a part of CATENATE names, in pieces. Refused with BADURL (RFC 4469 4.1)."""
    from .upload import Refused  # it imports this module

    principal = session.require_principal()
    try:
        asked = parse_url(url)
        # RFC 4469 3: only what this session can reach by itself, so no server and nothing signed.
        if asked.server is not None or asked.authorization is not None:
            raise Malformed("Only relative URLs")
        mailbox = asked.mailbox
        if mailbox is None:
            if session.selected is None:
                raise Malformed("No mailbox is selected")
            mailbox = session.selected.mailbox.name
        found = await session.services.db.read(lambda rx: find_part(rx, principal.inbox_id, mailbox, asked))
        if not access.allowed(principal, Action.READ, found.role):
            raise NotFound("Not for this key")
        async for octets in read_part(session.services.db, found):
            yield octets
    except (Malformed, NotFound):
        raise Refused(no("This URL names nothing here", b"BADURL " + _shown(url))) from None


def find_part(rx: Rx, inbox_id: InboxId, mailbox: str, url: MessageUrl) -> Found:
    """NotFound when there is no such mailbox, message or part, or the UIDVALIDITY is another."""
    box = mailboxes.by_name(rx, inbox_id, mailbox)
    if box is None or box.noselect or (url.uidvalidity is not None and url.uidvalidity != box.uidvalidity):
        raise NotFound("No such mailbox")
    rows = messages.fetch_rows(rx, box.id, [url.uid], COLUMNS)
    if not rows:
        raise NotFound("No such message")
    values = dict(zip((column for column in Columns if column & COLUMNS), rows[0][1:], strict=True))
    content_id, header = ContentId(values[Columns.CONTENT_ID]), bytes(values[Columns.HEADER])
    root = decode_parts(values[Columns.PARTS])
    extent = sections.locate(
        url.section,
        header,
        values[Columns.SIZE] - len(header),
        lambda: root,
        lambda start, stop: content.read_body(rx, content_id, start, stop),
    )
    if extent is None:
        raise NotFound("No such part")
    return Found(rows[0], content_id, header, values[Columns.SIZE], extent, box.role)


async def read_part(db: Database, found: Found) -> AsyncIterator[bytes]:
    """The octets as they are stored, in pieces of at most 256 KiB. NotFound when they were collected meanwhile."""
    extent = found.extent
    if extent.octets:
        yield extent.octets
    for at in range(extent.start, extent.stop, BODY_READ):
        stop = min(at + BODY_READ, extent.stop)
        octets = await db.read(lambda rx, at=at, stop=stop: content.read_body(rx, found.content_id, at, stop))  # type: ignore[misc]
        yield octets


def _shown(url: bytes) -> bytes:
    """`url-resp-text` (RFC 4469 5): what cannot stand in a response code is escaped, as URLs do it."""
    escaped = b"".join(b"%c" % octet if octet in _PLAIN else b"%%%02X" % octet for octet in url[:_SHOWN])
    return escaped + (b"..." if len(url) > _SHOWN else b"")
