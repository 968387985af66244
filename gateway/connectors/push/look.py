"""What changed here and is not upstream yet, in all folders at once: read from the store, judged by `plan.local`.

A message that left one mailbox is looked for in all others before it counts as deleted: what still lies in the inbox is
never deleted upstream. In a mailbox that the account does not have it leaves upstream as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from gateway.connectors.labelling import all_mail, label_rows
from gateway.connectors.plan.flags import Flags
from gateway.connectors.plan.local import GonePlace, LocalChanges, LocalPlace, Remote
from gateway.connectors.work import Work
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import Mailbox
from gateway.store import mailboxes
from gateway.store.connectors import local, places, pushing
from gateway.store.connectors.local import LocalMessage, LostPlace
from gateway.store.connectors.places import ROWS, Whereabouts
from gateway.store.connectors.rows import ConnectorId, FolderId, Place, RemoteFolder, RemoteMessage
from gateway.store.db import Rx


@dataclass(slots=True)
class Seen:
    """`upto`: the inbox's MODSEQ of the look. `folders`: those whose changes are all in here. `held`: something waits
    for a mailbox that upstream has not got yet. `emails`: EMAILIDs of messages that turned up, by mailbox and UID.
    `labelled`: mailboxes that stand for labels (Gmail). `deleted`: those that did, and were deleted here."""

    upto: int
    folders: list[FolderId] = field(default_factory=list)
    messages: dict[tuple[int, int], LocalMessage] = field(default_factory=dict)
    lost: list[LostPlace] = field(default_factory=list)
    emails: dict[tuple[int, int], str] = field(default_factory=dict)
    labelled: dict[int, Mailbox] = field(default_factory=dict)
    deleted: set[int] = field(default_factory=set)
    held: bool = False

    @property
    def agreed_gone(self) -> list[LostPlace]:
        return [one for one in self.lost if one.gone is not None]


async def look(work: Work) -> Seen | None:
    """All that changed in linked mailboxes since it was last seen to; None: nothing did."""
    every, labels = all_mail(work), {row.id for row in label_rows(work)}
    linked = [
        row for row in work.folders.values() if row.mailbox_id is not None and not row.gone and row.id not in labels
    ]
    inbox, connector = work.claim.inbox_id, work.claim.connector_id

    def begin(rx: Rx) -> tuple[Seen, list[RemoteFolder]] | None:
        upto = local.modseq_now(rx, inbox)
        showing = [row for row in work.folders.values() if row.id in labels and row.mailbox_id is not None]
        all_rows = [*linked, *([every] if every is not None else []), *showing]
        if all(row.pushed_modseq >= upto for row in all_rows):
            return None
        if every is not None:
            taken = {row.mailbox_id for row in linked} | pushing.linked_elsewhere(rx, inbox, connector)
            all_boxes = mailboxes.list_mailboxes(rx, inbox)
            boxes = [box for box in all_boxes if not box.noselect and box.id not in taken]
            seen, many = _changed(
                rx, inbox, [*linked, *(replace(every, mailbox_id=box.id) for box in boxes)], Seen(upto), folders=False
            )
            seen.folders += [every.id, *(row.id for row in showing)]
            seen.labelled = {int(box.id): box for box in boxes}
            gone = pushing.deleted_since(rx, inbox, every.pushed_modseq)
            gone |= {row.mailbox_id for row in showing if row.mailbox_id is not None and not row.gone}
            gone -= {box.id for box in all_boxes} | taken
            seen.deleted = {int(box) for box in gone}
            return seen, many + [replace(every, mailbox_id=box) for box in sorted(gone)]
        return _changed(rx, inbox, linked, Seen(upto), work.options.sync.new_folders)

    found = await work.db.read(begin)
    if found is None:
        return None
    seen, many = found
    for row in many:
        await _whole(work, connector, row, seen)
    return seen


def _changed(
    rx: Rx, inbox: InboxId, linked: Sequence[RemoteFolder], seen: Seen, folders: bool
) -> tuple[Seen, list[RemoteFolder]]:
    """From one snapshot; and the folders of which there is too much for one. `folders`: their removal goes up."""
    boxes = {box.id: box for box in mailboxes.list_mailboxes(rx, inbox)}
    many = []
    for row in linked:
        assert row.mailbox_id is not None
        box = boxes.get(row.mailbox_id)
        if box is None and (row.role is not None or not folders):
            continue  # discovery makes it anew, and upstream stays as it is
        seen.folders.append(row.id)
        if box is None:
            many.append(row)
            continue
        if box.highest_modseq <= row.pushed_modseq:
            continue
        found = local.local_changes(rx, inbox, row)
        if not found.complete:
            many.append(row)
            continue
        seen.messages.update({(row.mailbox_id, one.uid): one for one in found.changed})
        seen.lost += found.removed
    return seen, many


async def _whole(work: Work, connector: ConnectorId, row: RemoteFolder, seen: Seen) -> None:
    """Page by page: a mailbox that is gone, or one of which more changed than the log tells."""
    box = row.mailbox_id
    assert box is not None
    at: int | None = 0
    while at is not None:
        some, at = await work.db.read(
            lambda rx, at=at: local.page(rx, connector, box, at or 0)  # type: ignore[misc]
        )
        for one in some:
            if one.place is None or one.base != one.flags:
                seen.messages[box, one.uid] = one
    at = 0
    while at is not None:
        lost, at = await work.db.read(
            lambda rx, at=at: local.lost(rx, connector, box, at or 0)  # type: ignore[misc]
        )
        seen.lost += lost if box not in seen.deleted else [one for one in lost if one.place.folder_id == row.id]


def folders_of(work: Work, seen: Seen) -> dict[int, int]:
    """Mailbox -> folder."""
    found = {int(row.mailbox_id): int(row.id) for row in work.folders.values()
             if row.mailbox_id is not None and not row.gone}  # fmt: skip
    every = all_mail(work)
    if every is not None:
        found.update(dict.fromkeys(seen.labelled, int(every.id)))
    return found


async def described(work: Work, seen: Seen, waiting: frozenset[int]) -> LocalChanges:
    """`seen` as the plan wants it. `waiting`: mailboxes that upstream is to have, and has not."""
    validity = {row.id: row.uidvalidity for row in work.folders.values() if row.id not in work.superseded}
    folder_of = folders_of(work, seen)
    fresh = [(key, one) for key, one in seen.messages.items() if one.place is None]
    gone = [one for one in seen.lost if one.gone is None and validity.get(one.place.folder_id) == one.place.uidvalidity]
    emails = {one.email_id for _, one in fresh} | {one.place.email_id for one in gone}
    where, standing = await _elsewhere(work, sorted(emails))
    kept_back = await _hidden(work, emails - standing.keys())
    unplaced: dict[str, list[Whereabouts]] = {}
    for one in where:
        if not one.placed:
            unplaced.setdefault(one.email_id, []).append(one)
    arrived = {
        (box, one.uid): LocalPlace(box, one.uid, one.email_id, local=Flags(*one.flags)) for (box, _), one in fresh
        if one.email_id not in kept_back
    }  # fmt: skip
    left: list[GonePlace] = []
    stays: Counter[str] = Counter()
    for lost in gone:
        for one in unplaced.get(lost.place.email_id, ()):
            if one.mailbox_id in folder_of:
                arrived.setdefault((one.mailbox_id, one.uid), LocalPlace(one.mailbox_id, one.uid, one.email_id))
    for email, some in unplaced.items():
        stays[email] = sum(one.mailbox_id not in folder_of for one in some)
        if any(one.mailbox_id in waiting for one in some) and any(lost.place.email_id == email for lost in gone):
            seen.held = True
    seen.emails = {key: place.email_id for key, place in arrived.items()}
    paired = Counter(place.email_id for place in arrived.values())
    for lost in sorted(gone, key=lambda one: (one.place.folder_id, one.place.uid)):
        email = lost.place.email_id
        if paired[email]:
            paired[email] -= 1
        elif stays[email]:  # it lies where the account has no folder: upstream stays as it is
            stays[email] -= 1
            continue
        left.append(GonePlace(lost.place.mailbox_id, lost.place.local_uid, email, _remote(lost.place)))
    changed = [
        LocalPlace(box, one.uid, one.email_id, _remote(one.place), Flags(*one.base), Flags(*one.flags))
        for (box, _), one in seen.messages.items()
        if one.place is not None and one.base is not None and one.gone is None
        and validity.get(one.place.folder_id) == one.place.uidvalidity
    ]  # fmt: skip
    changed += [arrived[key] for key in sorted(arrived)]
    return LocalChanges(tuple(changed), tuple(left), standing)


async def _hidden(work: Work, emails: Collection[str]) -> set[str]:
    """Of messages that nothing stands for any more, those that a folder has which is not shown now (`plan.views`):
    what was done with them goes up once it is."""
    every, found = sorted(emails), set[str]()
    for number in work.superseded:
        for at in range(0, len(every), ROWS):
            some = every[at : at + ROWS]
            found |= await work.db.read(
                lambda rx, number=number, some=some: places.emails_of(rx, FolderId(number), some)  # type: ignore[misc]
            )
    return found


def _remote(place: Place) -> Remote:
    return Remote(place.folder_id, place.uidvalidity, place.uid)


async def _elsewhere(
    work: Work, emails: Sequence[str]
) -> tuple[list[Whereabouts], dict[str, tuple[LocalPlace, ...]]]:
    """Where messages of these EMAILIDs are, and which of those stand for a message of this account that is there."""
    current = {(row.id, row.uidvalidity) for row in work.folders.values() if row.id not in work.superseded}

    def query(rx: Rx, some: Sequence[str]) -> tuple[list[Whereabouts], dict[str, list[LocalPlace]]]:
        where = places.whereabouts(rx, work.claim.inbox_id, some)
        boxes: dict[MailboxId, list[int]] = {}
        for one in where:
            if one.placed:
                boxes.setdefault(one.mailbox_id, []).append(one.uid)
        found: dict[str, list[LocalPlace]] = {}
        for box, uids in boxes.items():
            here = [place for place in places.places_at(rx, box, uids).values()
                    if (place.folder_id, place.uidvalidity) in current]
            known: dict[tuple[FolderId, int], dict[int, RemoteMessage]] = {}
            for place in here:
                key = (place.folder_id, place.uidvalidity)
                if key not in known:
                    known[key] = places.messages_of(
                        rx, *key, [one.uid for one in here if (one.folder_id, one.uidvalidity) == key]
                    )
                row = known[key].get(place.uid)
                if row is not None and row.gone is None:
                    found.setdefault(place.email_id, []).append(
                        LocalPlace(box, place.local_uid, place.email_id, _remote(place), Flags(*row.flags))
                    )
        return where, found

    where: list[Whereabouts] = []
    standing: dict[str, tuple[LocalPlace, ...]] = {}
    for at in range(0, len(emails), ROWS):
        some = emails[at : at + ROWS]
        more, found = await work.db.read(lambda rx, some=some: query(rx, some))  # type: ignore[misc]
        where += more
        standing.update({email: tuple(found_) for email, found_ in found.items()})
    return where, standing
