"""A look at a report that came in: what it says, and which recipients it means; for reader processes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model import xtext
from gateway.model.errors import NotFound
from gateway.model.ids import ContentId, InboxId
from gateway.store import content, reports
from gateway.store.db import Rx
from gateway.store.reports import HandedOn, Told

from .foreign import Unreadable, read_foreign
from .reports import MAX_OCTETS, IncomingReport, Said, address_key, read_report


@dataclass(frozen=True, slots=True)
class Looked:
    """What came of a look. `defect`: the detectors could not cope with it, by the name of what they raised."""

    told: tuple[Told, ...]
    defect: str | None = None


def look(rx: Rx, inbox_id: InboxId, content_id: ContentId) -> Looked:
    """Read a report, and find the recipients that it means; runs in a reader process."""
    try:
        header = content.read_header(rx, content_id)
        octets = header + content.read_body(rx, content_id, 0, max(MAX_OCTETS - len(header), 0))
    except NotFound:  # expunged and collected meanwhile
        return Looked(())
    octets = octets[:MAX_OCTETS]
    try:
        report = read_report(octets) or read_foreign(octets)
    except Unreadable as error:
        return Looked((), str(error))
    if report is None:
        return Looked(())
    return Looked(tuple(_meant(report, reports.handed_on(rx, inbox_id, report.envelope_id, report.message_ids))))


def _meant(report: IncomingReport, rows: list[HandedOn]) -> list[Told]:
    """The row of each recipient that the report names, of the latest submission that has it; each row once."""
    by_address: dict[str, HandedOn] = {}
    for row in rows:
        original = xtext.original(row.orcpt) if row.orcpt else None
        for address in (row.address, *(original[1:] if original else ())):
            by_address.setdefault(address_key(address), row)
    found: dict[int, Told] = {}
    for said in report.said:
        for key in map(address_key, said.addresses):
            if key in by_address:
                row = by_address[key]
                found.setdefault(row.recipient_id, _told(row, said))
                break
    return list(found.values())


def _told(row: HandedOn, said: Said) -> Told:
    text = said.text.encode("utf-8", "replace")
    return Told(row, said.event, said.code, said.enhanced, text, said.remote)
