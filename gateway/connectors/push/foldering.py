"""Mailboxes that were made, renamed or deleted here: folders upstream.

What has a special use keeps its name there. A folder goes only when it is empty there: its messages were deleted
before, as all that is deleted here, under the mass guard; if something is left in it the folder stays, and comes back.
Who repeats one of these after a crash finds it done: LIST is the evidence.

Where mailboxes stand for labels (Gmail) the same is done to labels, but that one which goes takes no mail along: what
bore it stays in All Mail, and is then here where its other labels, or none, say (`unlabelled`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from gateway.connectors.labelling import ARCHIVE_NAME, all_mail, label_rows
from gateway.connectors.plan.filters import FolderFilter
from gateway.connectors.plan.local import FolderChange, Rank, folder_changes
from gateway.connectors.plan.names import remote_name
from gateway.connectors.work import Work
from gateway.model.ids import MailboxId
from gateway.model.mailbox import DELIMITER, INBOX, TRASH, Mailbox
from gateway.store import mailboxes
from gateway.store.connectors import folders, ops, pushing
from gateway.store.connectors.folders import Discovered
from gateway.store.connectors.ops import Op
from gateway.store.connectors.rows import RemoteFolder
from gateway.store.db import Rx, Tx
from gateway.upstream import names as names_
from gateway.upstream.errors import Refused
from gateway.upstream.values import ListedMailbox

from . import unlabelled
from .ledger import CREATE, REMOVE, RENAME, Ledger, Standing
from .remote import opened

_MOST: Final = 2_000


@dataclass(slots=True)
class Tree:
    """Changes, and the mailbox or the folder that each of them is about."""

    makes: list[tuple[FolderChange, Mailbox]] = field(default_factory=list)
    renames: list[tuple[FolderChange, RemoteFolder]] = field(default_factory=list)
    removes: list[RemoteFolder] = field(default_factory=list)

    @property
    def waiting(self) -> frozenset[int]:
        """Mailboxes that upstream has not got yet."""
        return frozenset(box.id for _, box in self.makes)


async def look_at_tree(work: Work, *, trash: bool = False) -> Tree:
    """Mailboxes and folders that do not match, as far as folders may go up at all. `trash`: one is needed there."""
    inbox, connector = work.claim.inbox_id, work.claim.connector_id
    rows = sorted(work.folders.values(), key=lambda one: not one.gone)  # a mailbox may have had another label before
    linked = {int(row.mailbox_id): row for row in rows if row.mailbox_id is not None}
    live = {box: row for box, row in linked.items() if not row.gone}
    since = min((row.pushed_modseq for row in live.values()), default=0)

    def query(rx: Rx) -> tuple[list[Mailbox], set[int], set[int]]:
        boxes = mailboxes.list_mailboxes(rx, inbox)
        others = pushing.linked_elsewhere(rx, inbox, connector)
        return boxes, set(others), set(pushing.renamed_since(rx, inbox, since))

    boxes, others, renamed = await work.db.read(query)
    here = {int(box.id): box for box in boxes}
    labelled = all_mail(work) is not None
    _tell_of_roles(work, [box for box in boxes if box.id in renamed and (labelled or int(box.id) in live)])
    if not work.options.sync.new_folders or not live:
        return Tree()
    prefix, delimiter = await _shape(work)
    chooser = FolderFilter(work.options.imap.folders, work.options.imap.exclude).chooser()
    taken = {row.name for row in work.folders.values() if not row.gone}
    present: dict[int, str | None] = {}
    for number, box in here.items():
        row = linked.get(number)
        name = None if box.noselect else remote_name(box.name, delimiter=delimiter, prefix=prefix)
        if row is not None:
            present[number] = name if number in renamed and row.role is None and name not in taken else row.name
        elif (labelled or work.superseded) and (box.role is not None or box.name == ARCHIVE_NAME):
            continue  # it stands for a label of Gmail's own, or for none
        elif name is not None and name not in taken and number not in others and box.name != INBOX:
            # A mailbox of a special use that holds nothing is only there because every inbox has one.
            needed = box.messages > 0 or box.role is None or (trash and box.role == TRASH)
            wanted = needed and chooser(_as_listed(box), box.role)
            present[number] = name if wanted else None
    known = {box: row.name for box, row in linked.items() if box in here or (not row.gone and row.role is None)}
    of_name = {row.name: row for row in live.values()}
    box_of = {name: here[number] for number, name in present.items() if name is not None and number not in linked}
    found = Tree()
    for change in folder_changes(known, present, {box.id for box in box_of.values()}):
        if change.rank is Rank.CREATE_FOLDER:
            found.makes.append((change, box_of[change.name]))
        elif change.name in of_name:
            row = of_name[change.name]
            if change.rank is Rank.RENAME_FOLDER:
                found.renames.append((change, row))
            else:
                found.removes.append(row)
    return found


def _tell_of_roles(work: Work, renamed: Sequence[Mailbox]) -> None:
    for box in renamed:
        if box.role is not None:
            work.run.say(f"{box.name} was renamed here alone: the account's {box.role[1:]} keeps its name")


def _as_listed(box: Mailbox) -> ListedMailbox:
    return ListedMailbox(b"", box.name, DELIMITER, frozenset())


async def change_tree(work: Work, ledger: Ledger, tree: Tree) -> tuple[bool, bool]:
    """Make and rename. (something was done, something is put off)."""
    did = waiting = False
    _, delimiter = await _shape(work)
    for change, row in tree.renames:
        if work.folders[row.id].name != change.name:  # it went along with its parent
            continue
        done = await _rename(work, ledger, change, row, delimiter or "")
        did, waiting = did or done is True, waiting or done is False
    for change, box in tree.makes:
        done = await _make(work, ledger, change, box, delimiter)
        did, waiting = did or done is True, waiting or done is False
    return did, waiting


async def remove_folders(work: Work, ledger: Ledger, rows: Sequence[RemoteFolder]) -> tuple[bool, bool]:
    """Folders whose mailbox was deleted here, once all that was in them is where it belongs."""
    did = waiting = False
    for row in rows:
        done = await _remove(work, ledger, row)
        did, waiting = did or done is True, waiting or done is False
    return did, waiting


async def _make(
    work: Work, ledger: Ledger, change: FolderChange, box: Mailbox, delimiter: str | None
) -> bool | None:
    """None: it was given up before."""
    key = f"{CREATE}:{box.id}:{change.name}"
    if (known := ledger.standing_of(CREATE, key)) is not Standing.FREE:
        return False if known is Standing.WAITING else None
    raw = names_.encode(change.name)
    op = await ledger.begin(CREATE, key, {"name": change.name, "mailbox": box.id}, {"mailbox": box.id})
    try:
        await work.client.create(raw)
    except Refused as error:
        if error.code != "ALREADYEXISTS" and not await _is_listed(work, raw):
            await ledger.put_off(op, error)
            return False
    try:
        await work.client.subscribe(raw)
    except Refused as error:
        work.run.note(f"{change.name} cannot be subscribed: {error.said or error}")

    def unit(tx: Tx) -> None:
        pushing.added(tx, work.claim, Discovered(raw, change.name, delimiter, True), box.id, now=work.now)
        ops.finish(tx, work.claim, op.id, now=work.now)

    await work.unit(unit)
    work.run.pushed += 1
    return True


async def _rename(
    work: Work, ledger: Ledger, change: FolderChange, row: RemoteFolder, delimiter: str
) -> bool | None:
    assert change.new_name is not None
    new_name = change.new_name
    key = f"{RENAME}:{row.id}:{new_name}"
    if (known := ledger.standing_of(RENAME, key)) is not Standing.FREE:
        return False if known is Standing.WAITING else None
    new = names_.encode(new_name)
    payload = {"name": change.name, "to": new_name, "folder": row.id}
    op = await ledger.begin(RENAME, key, payload, {"name": change.name})
    try:
        if work.client.selected is not None and work.client.selected.raw == row.raw:
            await _leave(work, row)
        await work.client.rename(row.raw, new)
    except Refused as error:
        if await _is_listed(work, row.raw) or not await _is_listed(work, new):
            await ledger.put_off(op, error)
            return False
    rows = list(work.folders.values())

    def unit(tx: Tx) -> None:
        pushing.renamed(
            tx, work.claim, rows, row.raw, new, change.name, new_name, delimiter=delimiter.encode(), now=work.now
        )
        ops.finish(tx, work.claim, op.id, now=work.now)

    await work.unit(unit)
    for one in rows:
        await work.reload(one.id)
    work.labels.clear()
    work.run.pushed += 1
    return True


async def _remove(work: Work, ledger: Ledger, row: RemoteFolder) -> bool | None:
    key = f"{REMOVE}:{row.id}"
    known, is_label = ledger.standing_of(REMOVE, key), row in label_rows(work)
    if known is Standing.WAITING:
        return False
    if known is Standing.GIVEN_UP:  # upstream wins: it comes back
        if is_label:
            return await unlabelled.keep(work, row)
        await work.unit(lambda tx: pushing.ended(tx, work.claim, row.id, gone=False, now=work.now))
        return True
    if not await _is_listed(work, row.raw):
        await work.unit(lambda tx: pushing.ended(tx, work.claim, row.id, gone=True, now=work.now))
        return True
    if not is_label:
        selected = await opened(work, row, anew=True)
        if selected is None or selected.exists:
            if selected is not None:
                work.run.note(f"{row.name} still holds mail in the account, so it stays")
            await work.unit(lambda tx: pushing.ended(tx, work.claim, row.id, gone=False, now=work.now))
            return True
    op = await ledger.begin(REMOVE, key, {"name": row.name, "folder": row.id}, {} if is_label else {"exists": 0})
    try:
        await _leave(work, row)
        await work.client.delete(row.raw)
    except Refused as error:
        if await _is_listed(work, row.raw):
            await ledger.put_off(op, error)
            return False

    def unit(tx: Tx) -> None:
        pushing.ended(tx, work.claim, row.id, gone=True, now=work.now)
        ops.finish(tx, work.claim, op.id, now=work.now)

    await work.unit(unit)
    work.run.pushed += 1
    return True


async def resume_renames(work: Work) -> None:
    """Before anybody looks what folders there are: one that we have renamed would be taken for a new one."""
    connector = work.claim.connector_id
    some = await work.db.read(lambda rx: ops.open_ops(rx, connector, _MOST))
    for op in [op for op in some if op.kind == RENAME and op.state is ops.OpState.STARTED]:
        rows = await work.db.read(lambda rx: folders.of_connector(rx, connector))
        row = next((one for one in rows if one.id == op.payload["folder"]), None)
        new = names_.encode(op.payload["to"])
        if row is None or await _is_listed(work, row.raw) or not await _is_listed(work, new):
            continue  # it was not done: `resume` sees to it

        def unit(tx: Tx, op: Op = op, row: RemoteFolder = row, new: bytes = new) -> None:
            pushing.renamed(
                tx, work.claim, folders.of_connector(tx, connector), row.raw, new, row.name, op.payload["to"],
                delimiter=(row.delimiter or "").encode(), now=work.now,
            )  # fmt: skip
            ops.finish(tx, work.claim, op.id, now=work.now)

        await work.unit(unit)


async def resume(work: Work, ledger: Ledger, op: Op) -> None:
    """It is idempotent: a folder that was made is linked so that all of its mailbox goes up; the rest is seen anew."""
    if op.kind == CREATE:
        raw = names_.encode(op.payload["name"])
        row = next((one for one in work.folders.values() if one.raw == raw and not one.gone), None)
        box = await work.db.read(
            lambda rx: next(
                (one for one in mailboxes.list_mailboxes(rx, work.claim.inbox_id) if one.id == op.payload["mailbox"]),
                None,
            )
        )
        if row is not None and box is not None:
            made = Discovered(raw, row.name, row.delimiter, True)

            def unit(tx: Tx) -> None:
                pushing.added(tx, work.claim, made, box.id, now=work.now)
                ops.finish(tx, work.claim, op.id, now=work.now)

            await work.unit(unit)
            await work.reload(row.id)
            return
        if row is not None and box is None and row in label_rows(work) and row.mailbox_id is None:
            # It was made, and its mailbox is gone by now: so is the label, as any whose mailbox was deleted.
            mailbox = MailboxId(op.payload["mailbox"])
            await work.unit(lambda tx: pushing.made_for(tx, work.claim, row.id, mailbox, now=work.now))
            await work.reload(row.id)
    await ledger.finish(op)


async def _shape(work: Work) -> tuple[str, str | None]:
    """Prefix of the personal namespace, and the delimiter."""
    if work.personal is None:
        work.personal = await _asked_shape(work)
    return work.personal


async def _asked_shape(work: Work) -> tuple[str, str | None]:
    namespaces = await work.client.namespace()
    if namespaces is not None and namespaces.personal:
        prefix, delimiter = namespaces.personal[0]
        return names_.decode(prefix), delimiter
    return "", next((row.delimiter for row in work.folders.values() if row.delimiter), None)


async def _is_listed(work: Work, raw: bytes) -> bool:
    return any(one.raw == raw and "\\nonexistent" not in one.attributes for one in await work.client.list_mailboxes())


async def _leave(work: Work, row: RemoteFolder) -> None:
    """No server likes its selected folder to be renamed or deleted: another one is selected."""
    inbox = next((one for one in work.folders.values() if one.role == INBOX or one.name.upper() == INBOX), None)
    if inbox is not None and inbox.id != row.id:
        await work.client.select(inbox.raw)
