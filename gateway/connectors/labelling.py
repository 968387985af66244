"""Gmail's labels as local mailboxes: found, or made when a message bears one that is new.

Which mailbox stands for a label stands in the row of the folder that shows it, which is never opened: so a mailbox that
is renamed or deleted here is known to have been that label's. A label that is hidden from IMAP has no such row, and is
known by its name alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.model.errors import InvalidName, LimitReached
from gateway.model.ids import MailboxId
from gateway.model.mailbox import DELIMITER, INBOX, USUAL_NAMES, Mailbox
from gateway.store import mailboxes
from gateway.store.connectors import folders, lease, pushing
from gateway.store.connectors.rows import RemoteFolder, label_out
from gateway.store.connectors.window import Target
from gateway.store.db import Rx, Tx
from gateway.upstream.values import ListedMailbox

from .plan.labels import mailboxes_of
from .plan.names import local_names
from .plan.roles import ARCHIVE, DRAFTS, SENT
from .work import Work

ARCHIVE_NAME: Final = "Archive"
"""The mailbox of what bears no label."""


def all_mail(work: Work) -> RemoteFolder | None:
    """The folder that has all mail, where mailboxes stand for labels."""
    return next((row for row in work.folders.values() if row.labels and not row.gone and work.labelled), None)


def label_rows(work: Work) -> list[RemoteFolder]:
    """Folders that show a label somebody made, those that are gone too; none where folders are read as they are."""
    if all_mail(work) is None:
        return []
    return [row for row in work.folders.values() if row.role is None and not row.labels and row.selectable]


def goes_up(work: Work) -> bool:
    """Whether a mailbox that is renamed or deleted here takes its label with it."""
    return work.two_way and work.options.sync.new_folders


async def targets_of(work: Work, labels: frozenset[str]) -> list[Target]:
    """The local mailboxes of a message with `labels`, each with the label that it stands for."""
    roles = {role: role for role in (INBOX, SENT, DRAFTS, ARCHIVE)}
    named: dict[str, MailboxId | None] = {}

    def key_of(label: str) -> str | None:
        return None if label in named and named[label] is None else f"={label}"

    for key in mailboxes_of(labels, roles, key_of):
        if key.startswith("="):
            named[key[1:]] = await _of_label(work, key[1:])
    found: dict[MailboxId, Target] = {}
    for key in sorted(mailboxes_of(labels, roles, key_of)):
        label = key.removeprefix("=") if key.startswith("=") else key
        mailbox = named[label] if key.startswith("=") else await of_role(work, key)
        if mailbox is not None:
            found.setdefault(mailbox, Target(mailbox, label))
    return list(found.values())


async def link_labels(work: Work) -> None:
    """Mailboxes that are here already stand for the labels that are called as they are. None is made for a label
    that nothing bears."""
    work.labels.clear()
    rows = [row for row in label_rows(work) if not row.gone]
    if not rows:
        return
    boxes, taken = await _taken(work)
    free = {box.name: box for box in boxes.values() if not box.noselect and box.id not in taken}
    fresh = {}
    for row in rows:
        if row.mailbox_id in boxes or (row.mailbox_id is not None and goes_up(work)):
            continue
        box = free.get(_name_of(row.name, ()))
        if box is not None and box.role is None:
            fresh[row.id] = box.id
            del free[box.name]
    if fresh:

        def unit(tx: Tx) -> None:
            for folder_id, mailbox in fresh.items():
                folders.link(tx, work.claim, folder_id, mailbox, now=work.now)

        await work.unit(unit)
        for folder_id in fresh:
            await work.reload(folder_id)


async def _taken(work: Work) -> tuple[dict[MailboxId, Mailbox], set[MailboxId]]:
    """All mailboxes, and those that stand for something upstream already."""
    inbox, connector = work.claim.inbox_id, work.claim.connector_id

    def query(rx: Rx) -> tuple[dict[MailboxId, Mailbox], set[MailboxId]]:
        boxes = {box.id: box for box in mailboxes.list_mailboxes(rx, inbox)}
        return boxes, pushing.linked_elsewhere(rx, inbox, connector)

    boxes, taken = await work.db.read(query)
    taken |= {row.mailbox_id for row in work.folders.values() if row.mailbox_id is not None and not row.gone}
    return boxes, taken


def _name_of(label: str, taken: Collection[str]) -> str:
    listed = ListedMailbox(label.encode("utf-8", "surrogatepass"), label, DELIMITER, frozenset())
    return local_names([listed], {}, taken=frozenset(taken))[listed.raw]


async def _of_label(work: Work, label: str) -> MailboxId | None:
    """None: it cannot be had, or its mailbox was deleted here and the label goes too, as soon as something goes up."""
    known = work.labels.get(label)
    if known is not None:
        return known
    row = next((row for row in label_rows(work) if row.name == label_out(label) and not row.gone), None)
    if row is None:
        return await _made(work, label)
    mailbox = row.mailbox_id
    if mailbox is not None:
        if await work.db.read(lambda rx: mailboxes.by_id(rx, work.claim.inbox_id, mailbox)) is not None:
            work.labels[label] = mailbox
            return mailbox
        if goes_up(work):
            return None
    made = await _made(work, label)
    if made is not None:
        await work.unit(lambda tx: folders.link(tx, work.claim, row.id, made, now=work.now))
        await work.reload(row.id)
    return made


async def remade(work: Work, row: RemoteFolder) -> MailboxId | None:
    """A mailbox for a label whose own was deleted here; it is used from now on, and is to be linked."""
    work.labels.pop(row.name, None)
    return await _made(work, row.name)


async def _made(work: Work, label: str) -> MailboxId | None:
    boxes, taken = await _taken(work)
    made = await make_mailbox(work, _name_of(label, {boxes[one].name for one in taken if one in boxes}))
    if made is not None:
        work.labels[label] = made
    return made


async def of_role(work: Work, role: str) -> MailboxId | None:
    """Our mailbox of a role, made where there is none."""
    known = work.roles.get(role)
    if known is not None:
        return known
    made = await make_mailbox(work, ARCHIVE_NAME if role == ARCHIVE else USUAL_NAMES.get(role, role))
    if made is not None:
        work.roles[role] = made
    return made


async def make_mailbox(work: Work, name: str) -> MailboxId | None:
    """The mailbox `name`, made and subscribed where it is missing; None when it cannot be."""

    def unit(tx: Tx) -> MailboxId:
        lease.fence(tx, work.claim, work.now)
        found = mailboxes.by_name(tx, work.claim.inbox_id, name)
        if found is None or found.noselect:
            found = mailboxes.create(tx, work.claim.inbox_id, name, now=work.now)
            mailboxes.subscribe(tx, work.claim.inbox_id, name)
        return found.id

    try:
        return await work.unit(unit)
    except (InvalidName, LimitReached) as error:
        work.run.note(f"no mailbox {name} here: {error}")
        return None
