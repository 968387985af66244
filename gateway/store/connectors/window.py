"""The import of a window of messages, exactly once: mail, what stands for what, and the cursor in one unit.

A message upstream is known by its row in `remote_message`; what is known is never made again, so a window may be
repeated whole, by the same worker or by another one. Contents come in staged (`ingest`), so a slow server never holds
the writer; those of messages that turn out to be known are left to the collector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.model.errors import MailboxGone
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.model.mailbox import SENT
from gateway.store import content, messages
from gateway.store.content import StagedContent
from gateway.store.db import Tx
from gateway.store.reports import note_report
from gateway.store.statements import Stmt
from gateway.store.threads import id_hash

from . import folders, lease
from .among import among, binds
from .keywords import Fitting
from .own_copies import OwnCopies
from .places import insert_place
from .rows import (
    WINDOW,
    Changed,
    Claim,
    ConnectorId,
    ContentNeeded,
    Flags,
    FolderId,
    Place,
    bounded,
    key_out,
    keywords_out,
    labels_out,
)
from .tally import count_live

_KNOWN = among(
    "SELECT uid, gone FROM remote_message WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND {uids}"
)
_REVIVE = among(
    "UPDATE remote_message SET gone = NULL WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND {uids}"
)
# A content is used again only where a living message of this inbox has it: the inbox's lock keeps that one, and with
# it the content, until the commit. One that only waits to be collected might be gone by then.
_SOURCE_OF: Final = (
    "SELECT s.source_key, s.content_id, (SELECT m.email_id FROM message m WHERE m.content_id = s.content_id"
    " AND m.inbox_id + 0 = :inbox ORDER BY m.mailbox_id, m.uid LIMIT 1), c.size, c.message_id"
)
# `+ 0` and OFFSET 0: by the index on contents and by key, also where PostgreSQL has no statistics (`among`).
_SOURCES = Stmt(
    sqlite=f"{_SOURCE_OF} FROM local_source s JOIN content_meta c ON c.id = s.content_id"
    " WHERE s.connector_id = :connector AND s.source_key IN :TEXTS(keys)",
    postgresql=f"{_SOURCE_OF} FROM unnest(CAST(:keys AS text[])) AS o (key) CROSS JOIN LATERAL"
    " (SELECT source_key, content_id FROM local_source WHERE connector_id = :connector AND source_key = o.key OFFSET 0)"
    " AS s CROSS JOIN LATERAL (SELECT size, message_id FROM content_meta WHERE id = s.content_id OFFSET 0) AS c",
)
_SOURCE = Stmt(
    "INSERT INTO local_source (connector_id, source_key, content_id) VALUES (:connector, :key, :content)"
    " ON CONFLICT (connector_id, source_key) DO UPDATE SET content_id = excluded.content_id"
)
_INSERT = Stmt(
    "INSERT INTO remote_message (folder_id, uidvalidity, uid, system, keywords, labels, modseq, source_key, size,"
    " internal_date, id_hash) VALUES (:folder, :uidvalidity, :uid, :system, :keywords, :labels, :modseq, :source,"
    " :size, :date, :hash)"
)
_CURED = Stmt(
    "DELETE FROM remote_poison WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid IN :LIST(uids)"
)
_CURSOR: Final[Mapping[str, Stmt]] = {
    "uidnext": Stmt(
        "UPDATE remote_folder SET uidnext = :value WHERE id = :folder AND coalesce(uidnext, 0) < :value"
    ),
    "backfill_low": Stmt(
        "UPDATE remote_folder SET backfill_low = :value WHERE id = :folder AND coalesce(backfill_low, :value + 1) >"
        " :value"
    ),
    "highest_modseq": Stmt("UPDATE remote_folder SET highest_modseq = :value WHERE id = :folder"),
    "phase": Stmt("UPDATE remote_folder SET phase = :value WHERE id = :folder"),
}
_MAILBOXES = Stmt("SELECT id, role FROM mailbox WHERE id IN :LIST(mailboxes) AND inbox_id = :inbox AND noselect = 0")
_DECIDES: Final = "M-"  # `holds.draft_id`: an EMAILID of its own, that no other message may bear


@dataclass(frozen=True, slots=True)
class Target:
    """A local mailbox that a message goes into, and the label that it stands for there."""

    mailbox_id: MailboxId
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message upstream as it was fetched.

    `content` None: `source_key` names one that this connector has fetched already. `targets`: one or several local
    mailboxes, each once. `size`: as the server says, None: as the octets are. `may_be_report`: `mime.may_be_report`.
    """

    uid: int
    flags: Flags
    internal_date: int
    content: StagedContent | None
    targets: Sequence[Target]
    source_key: str | None = None
    size: int | None = None
    modseq: int | None = None
    labels: tuple[str, ...] = ()
    may_be_report: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the sync has come with this window; None: as before. `uidnext` only rises, `backfill_low` only falls."""

    uidnext: int | None = None
    backfill_low: int | None = None
    highest_modseq: int | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """`places`: what was made, with the EMAILIDs. `known`: UIDs that were there already.

    `adopted`: places of what was sent from here, whose message in Sent now stands for the one upstream.
    `keywords_dropped`: names that some mailbox had no room for. `nearly_full`: the inbox is near its quota.
    """

    places: tuple[Place, ...] = ()
    known: tuple[int, ...] = ()
    adopted: tuple[Place, ...] = ()
    keywords_dropped: frozenset[str] = frozenset()
    nearly_full: bool = False

    @property
    def email_ids(self) -> list[str]:
        """Each message once."""
        return list(dict.fromkeys(place.email_id for place in self.places))


@dataclass(slots=True)
class _Source:
    """A content that messages may share. `email_id` None: no message has it yet."""

    content: StagedContent | ContentId
    content_id: ContentId
    size: int
    message_id: bytes | None
    email_id: str | None = None


@dataclass(slots=True)
class _Work:
    connector_id: ConnectorId
    inbox_id: InboxId
    folder_id: FolderId
    uidvalidity: int
    now: int
    fitting: Fitting
    sent: frozenset[MailboxId]
    own: OwnCopies
    sources: dict[str, _Source] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    adopted: list[Place] = field(default_factory=list)
    nearly_full: bool = False


def import_window(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, arrivals: Sequence[Arrival],
    cursor: Cursor | None = None, *, now: int,
) -> Imported:  # fmt: skip
    """Take in those of `arrivals` that are not known, and move the cursor: all of it or nothing.

    Raises LeaseLost, NotFound (the folder), Changed (it has another UIDVALIDITY now), MailboxGone (a target was
    deleted here: link it anew), ContentNeeded, OverQuota (the cursor stays: try a smaller window, or when there is
    room), InvalidRequest (more than WINDOW).
    """
    lease.fence(tx, claim, now)
    bounded(len(arrivals), WINDOW, "messages")
    folder = folders.get(tx, claim.connector_id, folder_id)
    if folder.uidvalidity != uidvalidity:
        raise Changed("The folder has another UIDVALIDITY now")
    keyed = (replace(each, source_key=key_out(each.source_key)) for each in reversed(arrivals))
    fresh = {each.uid: each for each in keyed}  # a server that lists a UID twice: the first one counts
    known = _known(tx, folder_id, uidvalidity, list(fresh))
    for uid in known:
        del fresh[uid]
    new = [fresh[uid] for uid in sorted(fresh)]
    sent = _check_targets(tx, claim.inbox_id, new)
    work = _Work(
        claim.connector_id, claim.inbox_id, folder_id, uidvalidity, now, Fitting(tx), sent, OwnCopies(tx)
    )
    _find_sources(tx, work, new)
    for each in new:
        _take_in(tx, work, each)
    if fresh:
        tx.run(_CURED, folder=folder_id, uidvalidity=uidvalidity, uids=list(fresh))
        count_live(tx, folder_id, uidvalidity, len(fresh))
    if cursor is not None:
        for name, statement in _CURSOR.items():
            if (value := getattr(cursor, name)) is not None:
                tx.run(statement, folder=folder_id, value=value)
    return Imported(
        tuple(work.places), tuple(sorted(known)), tuple(work.adopted), work.fitting.dropped, work.nearly_full
    )


def _known(tx: Tx, folder_id: FolderId, uidvalidity: int, uids: list[int]) -> list[int]:
    """UIDs that have a row. One that had vanished and is listed again is there again."""
    of = {"folder": folder_id, "uidvalidity": uidvalidity}
    rows = tx.all(_KNOWN, **binds(uids), **of) if uids else []
    back = [uid for uid, gone in rows if gone is not None]
    if back:
        tx.run(_REVIVE, **binds(back), **of)
        count_live(tx, folder_id, uidvalidity, len(back))
    return [uid for uid, _ in rows]


def _check_targets(tx: Tx, inbox_id: InboxId, arrivals: Sequence[Arrival]) -> frozenset[MailboxId]:
    """Those among the targets that hold sent mail. MailboxGone."""
    wanted = {target.mailbox_id for each in arrivals for target in each.targets}
    there = dict(tx.all(_MAILBOXES, mailboxes=sorted(wanted), inbox=inbox_id)) if wanted else {}
    if wanted - there.keys():
        raise MailboxGone("A local mailbox of the connector was deleted")
    return frozenset(MailboxId(box) for box, role in there.items() if role == SENT)


def _find_sources(tx: Tx, work: _Work, arrivals: Sequence[Arrival]) -> None:
    """Which contents need not be written again; ContentNeeded when one that must be is not at hand."""
    keys = {each.source_key for each in arrivals if each.source_key is not None}
    if keys:
        for key, number, email_id, size, message_id in tx.all(
            _SOURCES, connector=work.connector_id, inbox=work.inbox_id, keys=sorted(keys)
        ):
            if email_id is not None:
                shared = None if email_id.startswith(_DECIDES) else email_id
                work.sources[key] = _Source(number, number, size, message_id, shared)
    brought = {each.source_key for each in arrivals if each.content is not None and each.source_key is not None}
    at_hand = brought | work.sources.keys()
    if missing := [each.uid for each in arrivals if each.content is None and each.source_key not in at_hand]:
        raise ContentNeeded(missing)
    for each in arrivals:  # one without octets may come before the one that brings them
        if each.content is not None and each.source_key is not None and each.source_key not in work.sources:
            work.sources[each.source_key] = _staged(each.content)


def _staged(made: StagedContent) -> _Source:
    return _Source(made, made.content_id, made.size, made.meta.message_id)


def _take_in(tx: Tx, work: _Work, arrival: Arrival) -> None:
    key = arrival.source_key
    if key is not None:
        source = work.sources[key]
    else:
        assert arrival.content is not None
        source = _staged(arrival.content)
    own = _own_copies(work, arrival, source)
    made_here = [target for target in arrival.targets if target.mailbox_id not in own]
    if made_here and isinstance(source.content, StagedContent):  # else nothing would refer to it
        content.complete(tx, source.content, work.now)
        if key is not None:
            tx.do(_SOURCE, connector=work.connector_id, key=key, content=source.content_id)
    system, names = arrival.flags
    kept = work.fitting.of(names, [target.mailbox_id for target in arrival.targets])
    tx.do(
        _INSERT, folder=work.folder_id, uidvalidity=work.uidvalidity, uid=arrival.uid, system=system,
        keywords=keywords_out(kept), labels=labels_out(arrival.labels), modseq=arrival.modseq, source=key,
        size=source.size if arrival.size is None else arrival.size, date=arrival.internal_date,
        hash=id_hash(source.message_id) if source.message_id else None,
    )  # fmt: skip
    for target in arrival.targets:
        if (mine := own.get(target.mailbox_id)) is not None:
            place = Place(work.folder_id, work.uidvalidity, arrival.uid, target.mailbox_id, *mine, target.label)
            insert_place(tx, place)
            work.adopted.append(place)
    for target in made_here:
        made = messages.append(
            tx, target.mailbox_id, work.inbox_id, source.content, internal_date=arrival.internal_date, flags=system,
            keywords=kept, now=work.now, email_id=source.email_id, pulled=True,
        )  # fmt: skip
        source.email_id = made.email_id
        work.nearly_full |= made.nearly_full
        place = Place(
            work.folder_id, work.uidvalidity, arrival.uid, target.mailbox_id, made.uid, made.email_id, target.label
        )
        insert_place(tx, place)
        work.places.append(place)
    if arrival.may_be_report and made_here:
        note_report(tx, work.inbox_id, source.content_id, work.now)


def _own_copies(work: _Work, arrival: Arrival, source: _Source) -> dict[MailboxId, tuple[int, str]]:
    """Mailbox -> (UID, EMAILID) of the copy that is there, for those targets that hold what was sent from here."""
    found: dict[MailboxId, tuple[int, str]] = {}
    if source.message_id:
        for target in arrival.targets:
            if target.mailbox_id in work.sent:
                mine = work.own.take(target.mailbox_id, bytes(source.message_id))
                if mine is not None:
                    found[target.mailbox_id] = mine
    return found
