"""The same mail by other folders: rows and places of those that were read before go over to those that are read now.

No mail is touched but what would stand twice for the same; what was agreed upon stays agreed, so what changed on either
side meanwhile is found as always.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.db import Rx, Tx
from gateway.store.statements import Stmt

from . import folders, lease, places, pushing
from .moves import Key
from .reset import begin_anew
from .rows import BATCH, MESSAGE, Changed, Claim, FolderId, Place, RemoteMessage, bounded, message
from .tally import count_live

_AT: Final = "p.folder_id = r.folder_id AND p.uidvalidity = r.uidvalidity AND p.uid = r.uid"
_STANDING = Stmt(
    f"{MESSAGE} WHERE r.folder_id = :folder AND r.uidvalidity = :uidvalidity AND r.uid > :after AND EXISTS"
    f" (SELECT 1 FROM remote_place p WHERE {_AT} AND (:every = 1 OR p.mailbox_id = :mailbox)) ORDER BY r.uid"
    " LIMIT :most"
)
_CARRY = Stmt(
    "INSERT INTO remote_message (folder_id, uidvalidity, uid, system, keywords, labels, modseq, source_key, size,"
    " internal_date, id_hash) SELECT :folder, :uidvalidity, :uid, system, keywords, NULL, NULL, source_key, size,"
    " internal_date, id_hash FROM remote_message WHERE folder_id = :old_folder AND uidvalidity = :old_validity"
    " AND uid = :old_uid"
)
_UNLINK = Stmt("UPDATE remote_folder SET mailbox_id = NULL, updated_at = :now WHERE id = :folder")
_LINKED = Stmt("UPDATE remote_folder SET mailbox_id = :mailbox, pushed_modseq = :modseq WHERE id = :folder")


@dataclass(frozen=True, slots=True)
class Carry:
    """`old` is message `uid` of a folder that is read now. `mailbox`: only what stands for it there goes over; None:
    all of it. `label`: what that stands for from now on."""

    old: Key
    uid: int
    mailbox: MailboxId | None = None
    label: str | None = None


def standing(
    rx: Rx, folder_id: FolderId, uidvalidity: int, mailbox: MailboxId | None, after: int = 0, limit: int = 1_000
) -> list[RemoteMessage]:
    """Messages of a folder for which something stands here, or in `mailbox` alone; by UID, gone ones too."""
    rows = rx.all(
        _STANDING, folder=folder_id, uidvalidity=uidvalidity, after=after, every=int(mailbox is None),
        mailbox=mailbox or 0, most=limit,
    )  # fmt: skip
    return [message(row) for row in rows]


def supersede(tx: Tx, claim: Claim, folder_ids: Sequence[FolderId], *, unlink: bool, now: int) -> None:
    """These are read no more: if they ever are again, they are looked through from the start. `unlink`: no mailbox
    stands for those with a role, whose mail labels name from now on. LeaseLost, NotFound."""
    lease.fence(tx, claim, now)
    for number in folder_ids:
        row = folders.get(tx, claim.connector_id, number)
        begin_anew(tx, number, now)
        if unlink and row.role is not None:
            tx.run(_UNLINK, folder=number, now=now)


def carry(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, some: Sequence[Carry], *, now: int
) -> list[int]:
    """Let what stands for messages of superseded folders stand for those of this one; UIDs for which something does.

    Base flags go along. What was carried before is no error. Where two in one mailbox stand for the message then, the
    one that came over goes. LeaseLost, NotFound, Changed (another UIDVALIDITY), InvalidRequest (more than BATCH).
    """
    lease.fence(tx, claim, now)
    bounded(len(some), BATCH, "messages")
    if folders.get(tx, claim.connector_id, folder_id).uidvalidity != uidvalidity:
        raise Changed("The folder has another UIDVALIDITY now")
    uids = [each.uid for each in some]
    known = set(places.messages_of(tx, folder_id, uidvalidity, uids))
    taken = {
        (uid, place.mailbox_id)
        for uid, here in places.places_of(tx, folder_id, uidvalidity, uids).items() for place in here
    }  # fmt: skip
    count, surplus, done = len(known), [], set()
    for (old_folder, validity), group in _by_folder(some).items():
        old = [each.old.uid for each in group]
        rows = places.messages_of(tx, old_folder, validity, old)
        here = places.places_of(tx, old_folder, validity, old)
        empty: list[int] = []
        for each in group:
            all_ = here.get(each.old.uid, [])
            going = [place for place in all_ if each.mailbox in (None, place.mailbox_id)]
            if each.old.uid not in rows or not going:
                continue
            if each.uid not in known:
                tx.do(
                    _CARRY, folder=folder_id, uidvalidity=uidvalidity, uid=each.uid, old_folder=old_folder,
                    old_validity=validity, old_uid=each.old.uid,
                )  # fmt: skip
                known.add(each.uid)
            for place in going:
                places.drop_place(tx, place)
                if (each.uid, place.mailbox_id) in taken:
                    surplus.append(place)
                    continue
                taken.add((each.uid, place.mailbox_id))
                its = (place.mailbox_id, place.local_uid, place.email_id)
                places.insert_place(tx, Place(folder_id, uidvalidity, each.uid, *its, each.label))
            done.add(each.uid)
            if len(going) == len(all_):
                empty.append(each.old.uid)
        places.drop_messages(tx, old_folder, validity, empty)
        count_live(tx, old_folder, validity, -sum(1 for uid in empty if rows[uid].gone is None))
    count_live(tx, folder_id, uidvalidity, len(known) - count)
    for place in surplus:
        messages.expunge(tx, claim.inbox_id, place.mailbox_id, [place.local_uid], only_deleted=False, now=now)
    return sorted(done)


def _by_folder(some: Sequence[Carry]) -> dict[tuple[FolderId, int], list[Carry]]:
    found: dict[tuple[FolderId, int], list[Carry]] = {}
    for each in some:
        found.setdefault((each.old.folder_id, each.old.uidvalidity), []).append(each)
    return found


def unread(tx: Tx, claim: Claim, folder_id: FolderId, *, now: int) -> None:
    """Nothing is known of the folder's messages any more; no mail is touched, and its mailbox stays linked. LeaseLost,
    NotFound."""
    row = folders.get(tx, claim.connector_id, folder_id)
    pushing.ended(tx, claim, folder_id, gone=row.gone, now=now)
    tx.run(_LINKED, folder=folder_id, mailbox=row.mailbox_id, modseq=row.pushed_modseq)
