"""Rules of the consistency check about flags: whoever asks what changed since a MODSEQ is told all of it."""

from __future__ import annotations

from typing import Final

from gateway.model.sequence import Ranges, contains

from .db import Rx
from .findings import MOST, Finding
from .flag_record import entries
from .statements import Stmt

_PAGE: Final = 10_000
_MAILBOXES = Stmt(
    "SELECT b.id, b.highest_modseq, b.flag_record, b.flag_floor FROM mailbox b"
    " JOIN inbox i ON i.id = b.inbox_id AND i.deleted_at IS NULL ORDER BY b.id"
)
_BACKWARDS = Stmt(
    "SELECT uid, modseq FROM message_flags WHERE mailbox_id = :mailbox AND uid < :before ORDER BY uid DESC LIMIT :most"
)
_REMEDY: Final = "Another node may miss a change of flags. Run the check with repair: the record is begun anew"


def record(rx: Rx) -> list[Finding]:
    """Each mailbox's record of changed flags names UIDs under MODSEQs it has had, and lacks none."""
    found: list[Finding] = []
    for mailbox_id, highest, text, floor in rx.all(_MAILBOXES):
        try:
            changes = entries(text)
        except ValueError:
            changes = [(0, ())]
        modseqs = [modseq for modseq, _ in changes]
        if (
            modseqs != sorted(modseqs)
            or (modseqs and not floor <= modseqs[0] <= modseqs[-1] <= highest)
            or not 0 <= floor <= highest
            or any(not uids for _, uids in changes)
            or any(not 1 <= low <= high for _, uids in changes for low, high in uids)
        ):
            text = f"The record of flags of mailbox {mailbox_id} is none, or names what it cannot"
            found.append(Finding("flags.record", text, _REMEDY))
        elif (uid := _unrecorded(rx, mailbox_id, changes, floor)) is not None:
            text = f"Message {uid} of mailbox {mailbox_id} has a MODSEQ that is not on the record of changed flags"
            found.append(Finding("flags.unrecorded", text, _REMEDY))
    return found[:MOST]


def _unrecorded(rx: Rx, mailbox_id: int, changes: list[tuple[int, Ranges]], floor: int) -> int | None:
    """A message whose flags changed above `floor`, and no record says so.

    One that is as it arrived has a MODSEQ that none behind it is below; for all others there must be a record.
    """
    lowest: int | None = None
    before = 1 << 32
    while True:
        page = rx.all(_BACKWARDS, mailbox=mailbox_id, before=before, most=_PAGE)
        for uid, modseq in page:
            if lowest is None or modseq <= lowest:
                lowest = modseq
            elif modseq > floor and not any(at == modseq and contains(uids, uid) for at, uids in changes):
                found: int = uid
                return found
        if len(page) < _PAGE:
            return None
        before = page[-1][0]
