"""One page of a FETCH in a reader process: rows to responses, also of what another session has just expunged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.db import Rx
from gateway.store.messages import Columns

from .fetch_message import Pieces, Row
from .fetch_plan import Batch, Plan
from .settings import BRIEF_PARTS, INLINE_BODY, PAGE_OCTETS, PAGE_WORK


@dataclass(frozen=True, slots=True)
class Rendered:
    """`consumed` messages became `pieces`; `missing` of them could not be served any more.

    `unknown`: of that many a part could not be decoded (RFC 3516 4.3).
    """

    pieces: Pieces
    consumed: int
    missing: int
    unknown: int = 0


def render_page(rx: Rx, plan: Plan, mailbox_id: MailboxId, batch: Batch, brief: bool = False) -> Rendered:
    """As many of `batch` as fit a page's octets.

    RFC 2180 4.1: a message that was expunged, of which its session was not told yet, is served while it is kept.
    `brief`: it runs on the loop, and ends before a message that takes long: one of thousands of parts, or of values
    too large for a page.
    """
    uids = batch.uids
    rows = messages.fetch_rows(rx, mailbox_id, uids, plan.columns, whole=False)
    if len(rows) == len(uids):
        if plan.direct and not plan.bodies and not batch.changed and not any(None in row for row in rows):
            return Rendered([b"".join(plan.lines(batch, rows))], len(rows), 0)
        found: Sequence[Row | None] = rows
    else:
        by_uid = {row[0]: row for row in rows}
        gone = [uid for uid in uids if uid not in by_uid]
        by_uid |= {row[0]: row for row in messages.expunged_rows(rx, mailbox_id, gone, plan.columns, whole=False)}
        found = [by_uid.get(uid) for uid in uids]
    pieces: Pieces = []
    octets = work = missing = consumed = unknown = 0
    for at, row in enumerate(found):
        if octets >= PAGE_OCTETS or work >= PAGE_WORK or (brief and row is not None and _takes_long(plan, row)):
            break
        consumed += 1
        if row is not None and plan.lacks_value(row):
            row = _alone(rx, plan, mailbox_id, uids[at])
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
        pieces += rendered.pieces
        octets += sum(len(piece) for piece in rendered.pieces if isinstance(piece, bytes))
        work += rendered.work
        unknown += rendered.unknown
    return Rendered(pieces, consumed, missing, unknown)


def _takes_long(plan: Plan, row: Row) -> bool:
    parts = plan.index.get(Columns.PARTS)
    return plan.lacks_value(row) or (parts is not None and len(row[parts]) > BRIEF_PARTS)


def _alone(rx: Rx, plan: Plan, mailbox_id: MailboxId, uid: int) -> Row | None:
    """The row whole, whatever its size."""
    for read in (messages.fetch_rows, messages.expunged_rows):
        for row in read(rx, mailbox_id, [uid], plan.columns):
            return row
    return None
