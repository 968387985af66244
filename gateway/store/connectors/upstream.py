"""What changed upstream, done here: flags, messages that vanished, moved, or got other labels.

What is done was decided before (`gateway.connectors.plan`) from what both sides were then. A local message that changed
since, by its MODSEQ, is left alone and named: the next pass decides anew. Base and mail change in the same unit, so a
pass that is cut off and repeated finds either all of a change done or nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from gateway.model.errors import InvalidRequest
from gateway.model.flags import SYSTEM_MASK
from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.db import Tx
from gateway.store.statements import Stmt

from . import lease, places
from .among import among, binds
from .keywords import Fitting
from .rows import BATCH, Claim, Flags, FolderId, Gone, bounded, keywords_out
from .tally import count_live

NO_FLAGS: Final[Flags] = (0, ())
Policy = Literal["keep", "trash", "delete"]

_BASE = Stmt(
    "UPDATE remote_message SET system = :system, keywords = :keywords, modseq = coalesce(:modseq, modseq)"
    " WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid = :uid"
)
_GONE = among(
    "UPDATE remote_message SET gone = :gone WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND {uids}"
)


@dataclass(frozen=True, slots=True)
class FlagChange:
    """What the plan made of a message's flags: `add` and `remove` are applied here, `base` is what both then agree on.

    Two empty ones and a base say that both sides agree on it.
    """

    uid: int
    base: Flags
    add: Flags = NO_FLAGS
    remove: Flags = NO_FLAGS
    modseq: int | None = None


def apply_flags(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, changes: Sequence[FlagChange], *, upto: int, now: int
) -> list[int]:
    """Apply flags to all that stands for the messages, and keep the new base; UIDs that were left alone.

    Left alone is what has a local message with a MODSEQ above `upto`, which the plan has not seen. A local message that
    is gone is no reason: its base is kept up to date until the removal is agreed upon. LeaseLost; InvalidRequest.
    """
    lease.fence(tx, claim, now)
    bounded(len(changes), BATCH, "changes of flags")
    known = places.messages_of(tx, folder_id, uidvalidity, [each.uid for each in changes])
    todo = {each.uid: each for each in changes if each.uid in known}
    here = places.places_of(tx, folder_id, uidvalidity, [uid for uid, each in todo.items() if _applies(each)])
    left = places.changed_since(here, places.modseqs(tx, here), upto)
    for uid in left:
        del todo[uid]
    fitting = Fitting(tx)
    groups: dict[tuple[MailboxId, str, int, tuple[str, ...]], list[int]] = {}
    for uid, each in todo.items():
        standing = here.get(uid, [])
        boxes = [place.mailbox_id for place in standing]
        added = (each.add[0] & SYSTEM_MASK, tuple(fitting.of(each.add[1], boxes)))
        for place in standing:
            for operation, (mask, names) in (("add", added), ("remove", each.remove)):
                if mask or names:
                    groups.setdefault((place.mailbox_id, operation, mask, tuple(names)), []).append(place.local_uid)
        without = set(each.add[1]) - set(added[1])
        base = (each.base[0], tuple(name for name in each.base[1] if name not in without))
        _keep_base(tx, folder_id, uidvalidity, uid, base, each.modseq)
    for (mailbox, operation, mask, names), uids in groups.items():
        messages.store_flags(
            tx, claim.inbox_id, mailbox, uids, "add" if operation == "add" else "remove", mask, names
        )
    return sorted(left)


def keep_bases(
    tx: Tx, folder_id: FolderId, uidvalidity: int, bases: Mapping[int, tuple[Flags, int | None]]
) -> None:
    """Inside a fenced unit: what both sides agree on, by UID, and the MODSEQ upstream (None: as before)."""
    for uid, (flags, modseq) in bases.items():
        _keep_base(tx, folder_id, uidvalidity, uid, flags, modseq)


def _keep_base(tx: Tx, folder_id: FolderId, uidvalidity: int, uid: int, flags: Flags, modseq: int | None) -> None:
    tx.do(
        _BASE, folder=folder_id, uidvalidity=uidvalidity, uid=uid, system=flags[0] & SYSTEM_MASK,
        keywords=keywords_out(flags[1]), modseq=modseq,
    )  # fmt: skip


def _applies(change: FlagChange) -> bool:
    return any(change.add) or any(change.remove)


def vanished(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, uids: Sequence[int], policy: Policy, *,
    upto: int, now: int, trash: MailboxId | None = None,
) -> list[int]:  # fmt: skip
    """Messages are gone upstream; UIDs that were left alone, as for `apply_flags`.

    `keep`: what stands for them here stays, and they are marked. `trash`: it is moved to `trash`, unless it is there;
    `delete`: it is expunged. With these two nothing is known of them afterwards. What is unknown, or marked already and
    to be kept, is no error. LeaseLost; InvalidRequest (more than BATCH, no trash).
    """
    lease.fence(tx, claim, now)
    bounded(len(uids), BATCH, "messages")
    if policy == "trash" and trash is None:
        raise InvalidRequest("There is no mailbox for what is deleted")
    known = places.messages_of(tx, folder_id, uidvalidity, uids)
    if policy == "keep":
        going = [uid for uid, each in known.items() if each.gone is None]
        if going:
            tx.run(_GONE, folder=folder_id, uidvalidity=uidvalidity, gone=Gone.VANISHED.value, **binds(going))
            count_live(tx, folder_id, uidvalidity, -len(going))
        return []
    here = places.places_of(tx, folder_id, uidvalidity, list(known))
    left = places.changed_since(here, places.modseqs(tx, here), upto)
    going = [uid for uid in known if uid not in left]
    by_mailbox: dict[MailboxId, list[int]] = {}
    for uid in going:
        for place in here.get(uid, ()):
            by_mailbox.setdefault(place.mailbox_id, []).append(place.local_uid)
    for mailbox, local in by_mailbox.items():
        if policy == "delete":
            messages.expunge(tx, claim.inbox_id, mailbox, sorted(local), only_deleted=False, now=now)
        elif trash is not None and mailbox != trash:
            messages.move(tx, claim.inbox_id, mailbox, sorted(local), trash, now=now)
    places.drop_messages(tx, folder_id, uidvalidity, going)
    count_live(tx, folder_id, uidvalidity, -sum(1 for uid in going if known[uid].gone is None))
    return sorted(left)


def forget(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, uids: Sequence[int], *, now: int
) -> None:
    """Both sides agree that these are gone, or nobody wants them kept in step: no mail is touched. LeaseLost."""
    lease.fence(tx, claim, now)
    bounded(len(uids), BATCH, "messages")
    known = places.messages_of(tx, folder_id, uidvalidity, uids)
    places.drop_messages(tx, folder_id, uidvalidity, list(known))
    count_live(tx, folder_id, uidvalidity, -sum(1 for each in known.values() if each.gone is None))
