"""Messages upstream that are somewhere else now: moved to another folder, or under other labels.

What stands for them here moves too, with its EMAILID, and no content is fetched again. As in `upstream`, what changed
here since the plan looked is left alone and named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.model.ids import InboxId, MailboxId
from gateway.model.sequence import numbers_of
from gateway.store import messages
from gateway.store.db import Tx
from gateway.store.messages import Copied
from gateway.store.statements import Stmt

from . import lease, places
from .rows import WINDOW, Claim, Flags, FolderId, Place, bounded, keywords_out, label_out, labels_out
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
    arrived = _known_already(tx, moves)
    left: list[Key] = []
    for (folder, validity), group in _by_folder(moves).items():
        uids = [move.old.uid for move in group]
        known = places.messages_of(tx, folder, validity, uids)
        here = places.places_of(tx, folder, validity, uids)
        late = places.changed_since(here, places.modseqs(tx, here), upto)
        left += [move.old for move in group if move.old.uid in late]
        going = [move for move in group if move.old.uid in known and move.old.uid not in late]
        twice = [move.old.uid for move in going if move.new in arrived]
        todo = [(move, here.get(move.old.uid, [])) for move in going if move.new not in arrived]
        surplus = [place for uid in twice for place in here.get(uid, [])]
        surplus += [place for _, standing in todo for place in standing[1:]]
        _remove(tx, claim.inbox_id, surplus, now)
        places.drop_messages(tx, folder, validity, twice)
        for place in surplus:
            places.drop_place(tx, place)
        count_live(tx, folder, validity, -sum(1 for move in going if known[move.old.uid].gone is None))
        for (into, its_validity), count in Counter(
            (move.new.folder_id, move.new.uidvalidity) for move, _ in todo
        ).items():
            count_live(tx, into, its_validity, count)
        _carry(tx, claim.inbox_id, [(move, standing[0] if standing else None) for move, standing in todo], now)
    return left


def _known_already(tx: Tx, moves: Sequence[Moved]) -> set[Key]:
    """New keys that an import was faster with."""
    found: set[Key] = set()
    for folder, validity in {(move.new.folder_id, move.new.uidvalidity) for move in moves}:
        uids = [move.new.uid for move in moves if (move.new.folder_id, move.new.uidvalidity) == (folder, validity)]
        found |= {Key(folder, validity, uid) for uid in places.messages_of(tx, folder, validity, uids)}
    return found


def _by_folder(moves: Sequence[Moved]) -> dict[tuple[FolderId, int], list[Moved]]:
    """Each old and each new key once, whatever a server paired; what did not move is left out."""
    found: dict[tuple[FolderId, int], list[Moved]] = {}
    taken: set[Key] = set()
    for move in moves:
        if move.old != move.new and not {move.old, move.new} & taken:
            found.setdefault((move.old.folder_id, move.old.uidvalidity), []).append(move)
            taken |= {move.old, move.new}
    return found


def _carry(tx: Tx, inbox_id: InboxId, todo: Sequence[tuple[Moved, Place | None]], now: int) -> None:
    """Move what stands for each into its target, in as few units of mail as there are pairs of mailboxes."""
    pairs: dict[tuple[MailboxId, MailboxId], list[int]] = {}
    for move, place in todo:
        if place is not None and place.mailbox_id != move.target:
            pairs.setdefault((place.mailbox_id, move.target), []).append(place.local_uid)
    there = _transferred(tx, inbox_id, messages.move, pairs, now)
    for move, place in todo:
        new = move.new
        where = {"folder": new.folder_id, "uidvalidity": new.uidvalidity, "uid": new.uid}
        tx.do(
            _REKEY, old_folder=move.old.folder_id, old_validity=move.old.uidvalidity, old_uid=move.old.uid,
            modseq=move.modseq, **where,
        )  # fmt: skip
        if move.base is not None:
            tx.do(_BASE, system=move.base[0], keywords=keywords_out(move.base[1]), **where)
        if place is not None:
            places.drop_place(tx, place)
            local: int | None = place.local_uid
            if place.mailbox_id != move.target:
                local = there.get((place.mailbox_id, move.target, place.local_uid))
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
    now_is = places.modseqs(tx, here)
    left = places.changed_since(here, now_is, upto)
    work = _Labels(tx, claim.inbox_id, folder_id, uidvalidity, now)
    for each in {change.uid: change for change in changes if change.uid in known}.values():
        if each.uid not in left:
            standing = here.get(each.uid, [])
            living = [place for place in standing if (place.mailbox_id, place.local_uid) in now_is]
            work.plan(each, standing, living)
    return Relabelled(tuple(sorted(left)), tuple(work.lost), work.do())


@dataclass(slots=True)
class _Labels:
    """What a set of changes asks for, gathered, so that each pair of mailboxes is one transfer."""

    tx: Tx
    inbox_id: InboxId
    folder_id: FolderId
    uidvalidity: int
    now: int
    lost: list[int] = field(default_factory=list)
    copies: list[tuple[Place, Target]] = field(default_factory=list)
    moves: list[tuple[Place, Target]] = field(default_factory=list)
    removed: list[Place] = field(default_factory=list)
    left_over: list[Place] = field(default_factory=list)

    def plan(self, change: LabelChange, standing: Sequence[Place], living: Sequence[Place]) -> None:
        """`living`: those of `standing` whose message is there."""
        wanted = {target.mailbox_id: target for target in change.targets}
        present = {place.mailbox_id for place in standing}
        into = [target for box, target in wanted.items() if box not in present]
        out_of = [place for place in standing if place.mailbox_id not in wanted]
        if into and not living:
            self.lost.append(change.uid)
            return
        where = {"folder": self.folder_id, "uidvalidity": self.uidvalidity, "uid": change.uid}
        for place in standing:
            target = wanted.get(place.mailbox_id)
            if target is not None and label_out(target.label) != place.label:
                self.tx.do(_RELABEL, mailbox=place.mailbox_id, label=label_out(target.label), **where)
        pairs = list(zip([place for place in out_of if place in living], into, strict=False))
        self.moves += pairs
        self.copies += [(living[0], target) for target in into[len(pairs) :]]
        self.left_over += out_of
        moving = [place for place, _ in pairs]
        self.removed += [place for place in out_of if place in living and place not in moving]
        self.tx.do(_LABELS, labels=labels_out(change.labels), modseq=change.modseq, **where)

    def do(self) -> tuple[Place, ...]:
        """The places made. Copies come first, while all that is to be copied is where it was."""
        made: list[Place] = []
        for transfer, wanted in ((messages.copy, self.copies), (messages.move, self.moves)):
            pairs: dict[tuple[MailboxId, MailboxId], list[int]] = {}
            for place, target in wanted:
                pairs.setdefault((place.mailbox_id, target.mailbox_id), []).append(place.local_uid)
            there = _transferred(self.tx, self.inbox_id, transfer, pairs, self.now)
            made += [
                Place(
                    self.folder_id, self.uidvalidity, place.uid, target.mailbox_id,
                    there[place.mailbox_id, target.mailbox_id, place.local_uid], place.email_id, target.label,
                )
                for place, target in wanted
            ]  # fmt: skip
        _remove(self.tx, self.inbox_id, self.removed, self.now)
        for place in self.left_over:
            places.drop_place(self.tx, place)
        for place in made:
            places.insert_place(self.tx, place)
        return tuple(made)


def _transferred(
    tx: Tx, inbox_id: InboxId, transfer: Callable[..., Copied], pairs: Mapping[tuple[MailboxId, MailboxId], list[int]],
    now: int,
) -> dict[tuple[MailboxId, MailboxId, int], int]:  # fmt: skip
    """(source, target, UID there before) -> UID in the target."""
    found: dict[tuple[MailboxId, MailboxId, int], int] = {}
    for (source, target), uids in pairs.items():
        copied = transfer(tx, inbox_id, source, uids, target, now=now)
        for before, after in zip(copied.src_uids, numbers_of(copied.dst_uids), strict=True):
            found[source, target, before] = after
    return found


def _remove(tx: Tx, inbox_id: InboxId, standing: Sequence[Place], now: int) -> None:
    by_mailbox: dict[MailboxId, list[int]] = {}
    for place in standing:
        by_mailbox.setdefault(place.mailbox_id, []).append(place.local_uid)
    for mailbox, uids in by_mailbox.items():
        messages.expunge(tx, inbox_id, mailbox, sorted(uids), only_deleted=False, now=now)
