"""Messages upstream that are somewhere else now: moved to another folder, or under other labels.

What stands for them here moves too, with its EMAILID, and no content is fetched again. As in `upstream`, what changed
here since the plan looked is left alone and named.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gateway.model.ids import InboxId, MailboxId
from gateway.model.sequence import numbers_of
from gateway.store import messages
from gateway.store.db import Tx
from gateway.store.messages import Copied
from gateway.store.statements import Stmt

from . import lease, places
from .rows import WINDOW, Claim, Flags, FolderId, Place, bounded, keywords_out, labels_out
from .tally import count_live
from .window import Target

_REKEY = Stmt(
    "UPDATE remote_message SET folder_id = :folder, uidvalidity = :uidvalidity, uid = :uid, modseq = :modseq,"
    " gone = NULL WHERE folder_id = :old_folder AND uidvalidity = :old_validity AND uid = :old_uid"
)
_BASE = Stmt(
    "UPDATE remote_message SET system = :system, keywords = :keywords WHERE folder_id = :folder"
    " AND uidvalidity = :uidvalidity AND uid = :uid"
)
_LABELS = Stmt(
    "UPDATE remote_message SET labels = :labels, modseq = coalesce(:modseq, modseq) WHERE folder_id = :folder"
    " AND uidvalidity = :uidvalidity AND uid = :uid"
)
_RELABEL = Stmt(
    "UPDATE remote_place SET label = :label WHERE folder_id = :folder AND uidvalidity = :uidvalidity AND uid = :uid"
    " AND mailbox_id = :mailbox"
)


@dataclass(frozen=True, slots=True)
class Key:
    """A message upstream."""

    folder_id: FolderId
    uidvalidity: int
    uid: int


@dataclass(frozen=True, slots=True)
class Moved:
    """`old` is now `new`, and what stands for it belongs into `target`. `base`: None, as before."""

    old: Key
    new: Key
    target: MailboxId
    base: Flags | None = None
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class LabelChange:
    """Message `uid` bears `labels` now, and belongs into `targets`, each mailbox once."""

    uid: int
    labels: tuple[str, ...]
    targets: Sequence[Target]
    modseq: int | None = None


@dataclass(frozen=True, slots=True)
class Relabelled:
    """`left`: UIDs that changed here meanwhile. `lost`: nothing here stands for them any more, so nothing could be
    copied: forget them (`upstream.forget`) and fetch them anew, if they shall be here. `places`: what was made."""

    left: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()
    places: tuple[Place, ...] = ()


def moved(tx: Tx, claim: Claim, moves: Sequence[Moved], *, upto: int, now: int) -> list[Key]:
    """Messages were moved upstream; the old keys of those that were left alone.

    One whose old key is unknown was done before. Where the new key is known already (it was imported as new) the old
    one and what stands for it go, so that one message is left. LeaseLost, NotFound (a target), InvalidRequest.
    """
    lease.fence(tx, claim, now)
    bounded(len(moves), WINDOW, "moves")
    left: list[Key] = []
    for (old_folder, old_validity), group in _by_folder(moves).items():
        uids = [move.old.uid for move in group]
        known = places.messages_of(tx, old_folder, old_validity, uids)
        here = places.places_of(tx, old_folder, old_validity, uids)
        todo: list[tuple[Moved, Place | None]] = []
        for move in group:
            if move.old.uid not in known:
                continue
            standing = here.get(move.old.uid, [])
            if _changed(tx, standing, upto):
                left.append(move.old)
                continue
            if move.new.uid in places.messages_of(tx, move.new.folder_id, move.new.uidvalidity, [move.new.uid]):
                _remove(tx, claim.inbox_id, standing, now)
                places.drop_messages(tx, old_folder, old_validity, [move.old.uid])
                gone = known[move.old.uid].gone is not None
                count_live(tx, old_folder, old_validity, 0 if gone else -1)
                continue
            if known[move.old.uid].gone is None:
                count_live(tx, old_folder, old_validity, -1)
            count_live(tx, move.new.folder_id, move.new.uidvalidity, 1)
            todo.append((move, standing[0] if standing else None))
            for extra in standing[1:]:
                _remove(tx, claim.inbox_id, [extra], now)
                places.drop_place(tx, extra)
        _carry(tx, claim.inbox_id, todo, now)
    return left


def _by_folder(moves: Sequence[Moved]) -> dict[tuple[FolderId, int], list[Moved]]:
    found: dict[tuple[FolderId, int], dict[int, Moved]] = {}
    for move in moves:
        found.setdefault((move.old.folder_id, move.old.uidvalidity), {}).setdefault(move.old.uid, move)
    return {key: list(group.values()) for key, group in found.items()}


def _carry(tx: Tx, inbox_id: InboxId, todo: Sequence[tuple[Moved, Place | None]], now: int) -> None:
    """Move what stands for each into its target, in as few units of mail as there are pairs of mailboxes."""
    pairs: dict[tuple[MailboxId, MailboxId], list[int]] = {}
    for move, place in todo:
        if place is not None and place.mailbox_id != move.target:
            pairs.setdefault((place.mailbox_id, move.target), []).append(place.local_uid)
    uid_there: dict[tuple[MailboxId, int], int] = {}
    for (source, target), uids in pairs.items():
        copied = messages.move(tx, inbox_id, source, uids, target, now=now)
        for before, after in zip(copied.src_uids, numbers_of(copied.dst_uids), strict=True):
            uid_there[source, before] = after
    for move, place in todo:
        new = move.new
        where = {"folder": new.folder_id, "uidvalidity": new.uidvalidity, "uid": new.uid}
        tx.run(
            _REKEY, old_folder=move.old.folder_id, old_validity=move.old.uidvalidity, old_uid=move.old.uid,
            modseq=move.modseq, **where,
        )  # fmt: skip
        if move.base is not None:
            tx.run(_BASE, system=move.base[0], keywords=keywords_out(move.base[1]), **where)
        if place is not None:
            places.drop_place(tx, place)
            local = uid_there.get((place.mailbox_id, place.local_uid))
            if place.mailbox_id == move.target:
                local = place.local_uid
            if local is not None:  # else it was expunged here: nothing stands for it
                places.insert_place(
                    tx, Place(new.folder_id, new.uidvalidity, new.uid, move.target, local, place.email_id, place.label)
                )


def relabel(
    tx: Tx, claim: Claim, folder_id: FolderId, uidvalidity: int, changes: Sequence[LabelChange], *, upto: int, now: int
) -> Relabelled:
    """Bring what stands for messages into the mailboxes that their labels name, out of the others, and keep the labels.

    What goes out of one mailbox while it comes into another is moved, else it is copied or expunged. LeaseLost,
    NotFound (a target), OverQuota, LimitReached, InvalidRequest (more than WINDOW).
    """
    lease.fence(tx, claim, now)
    bounded(len(changes), WINDOW, "changes of labels")
    uids = [each.uid for each in changes]
    known = places.messages_of(tx, folder_id, uidvalidity, uids)
    here = places.places_of(tx, folder_id, uidvalidity, uids)
    left: list[int] = []
    work = _Labels(tx, claim.inbox_id, folder_id, uidvalidity, now)
    for each in {change.uid: change for change in changes if change.uid in known}.values():
        standing = here.get(each.uid, [])
        if _changed(tx, standing, upto):
            left.append(each.uid)
        elif work.bring(each, standing):
            tx.run(
                _LABELS, folder=folder_id, uidvalidity=uidvalidity, uid=each.uid, labels=labels_out(each.labels),
                modseq=each.modseq,
            )  # fmt: skip
    return Relabelled(tuple(left), tuple(work.lost), tuple(work.made))


@dataclass(slots=True)
class _Labels:
    tx: Tx
    inbox_id: InboxId
    folder_id: FolderId
    uidvalidity: int
    now: int
    lost: list[int] = field(default_factory=list)
    made: list[Place] = field(default_factory=list)

    def bring(self, change: LabelChange, standing: Sequence[Place]) -> bool:
        """False when nothing is left that could be copied."""
        wanted = {target.mailbox_id: target for target in change.targets}
        present = {place.mailbox_id: place for place in standing}
        into = [target for box, target in wanted.items() if box not in present]
        out_of = [place for box, place in present.items() if box not in wanted]
        living = [place for place in standing if places.modseqs(self.tx, place.mailbox_id, [place.local_uid])]
        if into and not living:
            self.lost.append(change.uid)
            return False
        for place in standing:
            target = wanted.get(place.mailbox_id)
            if target is not None and target.label != place.label:
                self.tx.run(
                    _RELABEL, folder=self.folder_id, uidvalidity=self.uidvalidity, uid=change.uid,
                    mailbox=place.mailbox_id, label=target.label,
                )  # fmt: skip
        pairs = list(zip(into, [place for place in out_of if place in living], strict=False))
        for target in into[len(pairs) :]:
            self._make(change.uid, living[0], target, messages.copy)
        for target, place in pairs:
            self._make(change.uid, place, target, messages.move)
        taken = [place for _, place in pairs]
        for place in out_of:
            if place not in taken:
                _remove(self.tx, self.inbox_id, [place], self.now)
            places.drop_place(self.tx, place)
        return True

    def _make(self, uid: int, source: Place, target: Target, transfer: Callable[..., Copied]) -> None:
        copied = transfer(
            self.tx, self.inbox_id, source.mailbox_id, [source.local_uid], target.mailbox_id, now=self.now
        )
        place = Place(
            self.folder_id, self.uidvalidity, uid, target.mailbox_id, copied.dst_uids[0][0], source.email_id,
            target.label,
        )  # fmt: skip
        places.insert_place(self.tx, place)
        self.made.append(place)


def _changed(tx: Tx, standing: Sequence[Place], upto: int) -> bool:
    return any(
        modseq > upto for place in standing
        for modseq in places.modseqs(tx, place.mailbox_id, [place.local_uid]).values()
    )


def _remove(tx: Tx, inbox_id: InboxId, standing: Sequence[Place], now: int) -> None:
    for place in standing:
        messages.expunge(tx, inbox_id, place.mailbox_id, [place.local_uid], only_deleted=False, now=now)
