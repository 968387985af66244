"""One page of a FETCH in a reader thread: rows to responses, and what another session has just expunged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.mime import parse
from gateway.model.errors import NotFound
from gateway.model.ids import ContentId, MailboxId, Uid
from gateway.store import changes, content, messages
from gateway.store.db import Rx
from gateway.store.messages import Columns
from gateway.wire import render

from .fetch_plan import Batch, Pieces, Plan, Row
from .settings import BRIEF_PARTS, INLINE_BODY, PAGE_OCTETS


@dataclass(frozen=True, slots=True)
class Rendered:
    """`consumed` messages became `pieces`; `missing` of them could not be served any more."""

    pieces: Pieces
    consumed: int
    missing: int


def render_page(rx: Rx, plan: Plan, mailbox_id: MailboxId, batch: Batch, brief: bool = False) -> Rendered:
    """As many of `batch` as fit a page's octets.

    `brief`: it runs on the loop, and ends before a message that takes long: one that another session has expunged,
    which is parsed again, one of thousands of parts, or of values too large for a page.
    """
    uids = batch.uids
    rows = messages.fetch_rows(rx, mailbox_id, uids, plan.columns, whole=False)
    if len(rows) == len(uids):
        if plan.direct and not plan.bodies and not batch.changed and not any(None in row for row in rows):
            return Rendered([b"".join(plan.lines(batch, rows))], len(rows), 0)
        found: Sequence[Row | None] = rows
    else:
        by_uid = {row[0]: row for row in rows}
        found = [by_uid.get(uid) for uid in uids]
    pieces: Pieces = []
    octets = missing = consumed = 0
    for at, row in enumerate(found):
        if octets >= PAGE_OCTETS or (brief and (row is None or _takes_long(plan, row))):
            break
        consumed += 1
        if row is None:
            row = _expunged(rx, plan, mailbox_id, uids[at])
        if row is not None and plan.lacks_value(row):
            row = next(iter(messages.fetch_rows(rx, mailbox_id, [uids[at]], plan.columns)), None)
        if row is None:
            missing += 1
            continue
        entry = batch.entry(at)
        line = plan.line(entry, row) if plan.bodies else None
        if line is not None:
            pieces.append(line)
            octets += len(line)
            continue
        rendered = plan.render(rx, entry, row, INLINE_BODY)
        pieces += rendered
        octets += sum(len(piece) for piece in rendered if isinstance(piece, bytes))
    return Rendered(pieces, consumed, missing)


def _takes_long(plan: Plan, row: Row) -> bool:
    parts = plan.index.get(Columns.PARTS)
    return plan.lacks_value(row) or (parts is not None and len(row[parts]) > BRIEF_PARTS)


def _expunged(rx: Rx, plan: Plan, mailbox_id: MailboxId, uid: int) -> Row | None:
    """RFC 2180 4.1: a message this session was not told of is served from its octets while they are kept.

    What was the message's own and went with its row (INTERNALDATE) cannot be told any more: then it is missing.
    """
    content_id = changes.expunged_content(rx, mailbox_id, Uid(uid))
    if content_id is None:
        return None
    try:
        values = _from_octets(rx, content_id)
    except NotFound:  # collected between the two reads
        return None
    if any(column not in values for column in plan.index):
        return None
    return (uid, *(values[column] for column in plan.index))


def _from_octets(rx: Rx, content_id: ContentId) -> Mapping[Columns, Any]:
    row = content.content_row(rx, content_id)
    header = content.read_header(rx, content_id)
    parsed = parse(header + content.read_body(rx, content_id, 0, row.body_size))
    return {
        Columns.SIZE: row.size,
        Columns.ENVELOPE: render.envelope(parsed.envelope),
        Columns.BODYSTRUCTURE: render.body(parsed.root, True),
        Columns.BODY: row.body,
        Columns.HEADER: header,
        Columns.CONTENT_ID: content_id,
        Columns.HAS_NUL: row.has_nul,
        Columns.PARTS: row.parts,
        Columns.SMALL_BODY: None,  # read by range, like a large one
    }
