"""Gmail's labels as local mailboxes: found, or made when a message bears one that is new."""

from __future__ import annotations

from gateway.model.errors import InvalidName, LimitReached
from gateway.model.ids import MailboxId
from gateway.model.mailbox import DELIMITER, USUAL_NAMES
from gateway.store import mailboxes
from gateway.store.connectors import lease
from gateway.store.connectors.window import Target
from gateway.store.db import Tx
from gateway.upstream.values import ListedMailbox

from .plan.labels import mailboxes_of
from .plan.names import local_names
from .plan.roles import ARCHIVE, DRAFTS, INBOX, SENT
from .work import Work


async def targets_of(work: Work, labels: frozenset[str]) -> list[Target]:
    """The local mailboxes of a message with `labels`, each with the label that it stands for."""
    roles = {role: role for role in (INBOX, SENT, DRAFTS, ARCHIVE)}
    found: dict[MailboxId, Target] = {}
    for key in sorted(mailboxes_of(labels, roles, lambda label: f"={label}")):
        label = key.removeprefix("=") if key.startswith("=") else key
        mailbox = await (_of_label(work, label) if key.startswith("=") else of_role(work, key))
        if mailbox is not None:
            found.setdefault(mailbox, Target(mailbox, label))
    return list(found.values())


async def _of_label(work: Work, label: str) -> MailboxId | None:
    known = work.labels.get(label)
    if known is not None:
        return known
    listed = ListedMailbox(label.encode("utf-8", "surrogatepass"), label, DELIMITER, frozenset())
    name = local_names([listed], {})[listed.raw]
    made = await make_mailbox(work, name)
    if made is not None:
        work.labels[label] = made
    return made


async def of_role(work: Work, role: str) -> MailboxId | None:
    """Our mailbox of a role, made where there is none."""
    known = work.roles.get(role)
    if known is not None:
        return known
    made = await make_mailbox(work, "Archive" if role == ARCHIVE else USUAL_NAMES.get(role, role))
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
