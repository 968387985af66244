"""Which folders an account has, what each one is, and the local mailbox that stands for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gateway.model.ids import MailboxId
from gateway.model.mailbox import USUAL_NAMES
from gateway.store import mailboxes
from gateway.store.connectors import folders, pushing
from gateway.store.connectors.folders import Discovered
from gateway.store.connectors.local import modseq_now
from gateway.store.connectors.rows import FolderId, RemoteFolder
from gateway.store.db import Tx
from gateway.upstream import names as names_
from gateway.upstream.folders import STATUS_ITEMS
from gateway.upstream.values import ListedMailbox, MailboxStatus

from . import regrouping
from .after_fetch import is_target
from .labelling import link_labels, make_mailbox
from .plan.filters import FolderFilter
from .plan.labels import gmail_folders
from .plan.names import local_names
from .plan.roles import ALL, ARCHIVE, DRAFTS, INBOX, JUNK, SENT, TRASH, Roles, resolve
from .plan.vanish import Belief, believe_listing
from .work import StartAgain, Work

_ORDER: Final = {INBOX: 0, ALL: 1, SENT: 2, DRAFTS: 3, ARCHIVE: 4, JUNK: 6, TRASH: 7}
_ORDINARY: Final = 5


class Discovery:
    """What a look at the account showed: folders to sync in the order in which they are, and what STATUS said."""

    __slots__ = ("order", "status")

    def __init__(self) -> None:
        self.order: list[FolderId] = []
        self.status: dict[FolderId, MailboxStatus] = {}


async def discover(work: Work) -> Discovery:
    """LIST, and rows and local mailboxes for what is new. StartAgain: hardly any folder is listed any more."""
    listed = await work.client.list_mailboxes(STATUS_ITEMS)
    earlier = await work.db.read(lambda rx: folders.of_connector(rx, work.claim.connector_id))
    _believe(work, listed, earlier)
    remembered = {row.remote_id: row.role for row in earlier if row.remote_id and row.role}
    roles = resolve(listed, remembered=remembered)
    for clash in roles.clashes:
        work.run.note(f"{clash.role} is {clash.winner.name}; {', '.join(one.name for one in clash.losers)} is not")
    await _renamed(work, listed, earlier)
    rows = await work.unit(
        lambda tx: folders.discovered(
            tx, work.claim,
            [
                Discovered(
                    one.raw, one.name, one.delimiter, one.selectable, roles.of.get(one.raw),
                    one.status.mailbox_id if one.status is not None else None,
                )
                for one in listed
            ],
            now=work.now,
        )
    )  # fmt: skip
    by_raw = {row.raw: row for row in rows}
    work.folders = {row.id: row for row in rows}
    chosen = [one for one in _chosen(work, listed, roles) if one.raw in by_raw]
    labelled = roles.by.get(ALL) in {one.raw for one in chosen} or _left_out(work)
    work.labelled = labelled and work.client.has("X-GM-EXT-1")
    await regrouping.choose(work, [by_raw[one.raw] for one in chosen])
    leaving = await _link(work, chosen, roles, by_raw)
    chosen = [one for one in chosen if one.raw not in leaving]
    found = Discovery()
    found.order = _ordered(work, [work.folders[by_raw[one.raw].id] for one in chosen])
    found.status = {by_raw[one.raw].id: one.status for one in chosen if one.status is not None}
    work.run.folders = len(found.order)
    work.run.changed()
    return found


async def look_again(work: Work, found: Discovery) -> bool:
    """One LIST that tells the status of all folders into `found`. False: there are other folders than before.

    Nothing is read or written: this is what a connector does all day.
    """
    listed = await work.client.list_mailboxes(STATUS_ITEMS)
    known = {row.raw: row for row in work.folders.values()}
    there = {row.raw for row in known.values() if not row.gone and not row.missing}
    if {one.raw for one in listed} != there:
        return False
    if any(one.selectable != known[one.raw].selectable for one in listed):
        return False
    found.status = {known[one.raw].id: one.status for one in listed if one.status is not None}
    return True


def _believe(work: Work, listed: Sequence[ListedMailbox], earlier: Sequence[RemoteFolder]) -> None:
    known = {row.raw for row in earlier if not row.gone}
    there = sum(one.raw in known for one in listed)
    belief = believe_listing(there, len(known), asked_again=work.recall.listing_asked_again)
    if belief is Belief.ASK_AGAIN:
        work.recall.listing_asked_again = True
        raise StartAgain(f"only {there} of {len(known)} folders are listed")
    work.recall.listing_asked_again = belief is Belief.HOLD


async def _renamed(work: Work, listed: Sequence[ListedMailbox], earlier: Sequence[RemoteFolder]) -> None:
    """A folder that has another name now is the same one, by its MAILBOXID (RFC 8474)."""
    names = {one.raw for one in listed}
    by_id = {one.status.mailbox_id: one for one in listed if one.status is not None and one.status.mailbox_id}
    for row in earlier:
        now = by_id.get(row.remote_id) if row.remote_id and row.raw not in names else None
        if now is not None and now.raw not in {other.raw for other in earlier}:
            await work.unit(
                lambda tx, row=row, now=now: folders.renamed(  # type: ignore[misc]
                    tx, work.claim, row.id, now.raw, now.name, now=work.now
                )
            )


def _chosen(work: Work, listed: Sequence[ListedMailbox], roles: Roles) -> list[ListedMailbox]:
    imap = work.options.imap
    if work.client.has("X-GM-EXT-1") and not imap.folders:
        gmail = gmail_folders(roles.by, [one.raw for one in listed if one.selectable])
        if gmail.labelled:
            return [one for one in listed if one.raw in gmail.raws]
        if _left_out(work):
            return [one for one in listed if roles.of.get(one.raw) in (JUNK, TRASH)]
        work.run.note("All Mail is hidden from IMAP: labels are read as folders")
    wanted = FolderFilter(imap.folders, imap.exclude)
    for entry in wanted.idle((one, roles.of.get(one.raw)) for one in listed):
        work.run.note(f"No folder of the account is meant by {entry}")
    chooser = wanted.chooser()
    chosen = [one for one in listed if chooser(one, roles.of.get(one.raw))]
    if imap.after_fetch == "move":  # what is put there is here already
        chosen = [one for one in chosen if not is_target(imap.after_fetch_folder, one.name, one.delimiter)]
    return chosen


def _left_out(work: Work) -> bool:
    """LIST lacks All Mail, for the first time: by that alone it is not believed to be hidden."""
    return any(row.labels and row.missing and not row.gone for row in work.folders.values())


async def _link(
    work: Work, chosen: Sequence[ListedMailbox], roles: Roles, by_raw: dict[bytes, RemoteFolder]
) -> set[bytes]:
    """A local mailbox for each, made where it is missing; \\All has none: its labels say where a message is.

    Folders whose mailbox was deleted here, which goes up (`push.foldering`), get none, and are returned.
    """
    leaving: set[bytes] = set()
    ours = await work.db.read(lambda rx: mailboxes.list_mailboxes(rx, work.claim.inbox_id))
    work.roles = {box.role: box.id for box in ours if box.role is not None}
    work.roles[INBOX] = next(box.id for box in ours if box.name == INBOX)
    standard = dict(USUAL_NAMES)
    standard |= {box.role: box.name for box in ours if box.role is not None}
    present = {box.id: box.name for box in ours if not box.noselect}
    known = {
        row.raw: present[row.mailbox_id]
        for row in by_raw.values()
        if row.mailbox_id is not None and row.mailbox_id in present
    }
    labelled = work.labelled and roles.by.get(ALL) in {one.raw for one in chosen}
    places = [one for one in chosen if not (labelled and roles.of.get(one.raw) == ALL)]
    namespaces = await work.client.namespace()
    personal = namespaces.personal if namespaces is not None else ()
    prefix = names_.decode(personal[0][0]) if personal else ""
    names = local_names(places, roles.of, prefix=prefix, standard=standard, known=known)
    for one in places:
        row = by_raw[one.raw]
        if row.raw in known:
            continue
        if row.mailbox_id is not None and row.role is None and work.two_way and work.options.sync.new_folders:
            leaving.add(row.raw)
            continue
        mailbox = await make_mailbox(work, names[one.raw])
        if mailbox is not None:
            await _linked(work, row, mailbox)
    for one in chosen:
        row = by_raw[one.raw]
        if labelled and roles.of.get(one.raw) == ALL and not row.labels:
            await work.unit(lambda tx, row=row: _labelled(tx, work, row))  # type: ignore[misc]
            await work.reload(row.id)
    await link_labels(work)
    return leaving


def _labelled(tx: Tx, work: Work, row: RemoteFolder) -> None:
    """Mailboxes stand for labels from here on; what is in them already does not go up, or has by other folders."""
    folders.update(tx, work.claim, row.id, {"labels": True}, now=work.now)
    until = regrouping.pushed_until(work)
    until = modseq_now(tx, work.claim.inbox_id) if until is None else until
    pushing.seen_to(tx, work.claim, [row.id], until, now=work.now)


async def _linked(work: Work, row: RemoteFolder, mailbox: MailboxId) -> None:
    since = regrouping.pushed_until(work)
    await work.unit(lambda tx: folders.link(tx, work.claim, row.id, mailbox, since=since, now=work.now))
    await work.reload(row.id)


def _ordered(work: Work, rows: Sequence[RemoteFolder]) -> list[FolderId]:
    """What people look at first comes first; what refuses to be opened is left alone until its time."""
    open_ = [row for row in rows if row.probe_at is None or row.probe_at <= work.now]
    open_.sort(key=lambda row: (_ORDER.get(row.role or "", _ORDINARY), row.name))
    return [row.id for row in open_]
