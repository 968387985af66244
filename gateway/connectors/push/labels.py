"""Gmail: mailboxes here are labels there, so what moves between them changes labels, and nothing is moved.

A message is deleted when it has left all its mailboxes: into Trash, by MOVE, for \\Deleted and EXPUNGE would only take
labels off. What comes back out of Trash or Spam is moved to its label's folder, and known again in All Mail by its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.connectors.labelling import ARCHIVE_NAME, label_rows
from gateway.connectors.plan.labels import merge_labels, spelled
from gateway.connectors.plan.local import Operation, PushAppend, PushCopy, PushDelete, PushMove, Rejoin
from gateway.connectors.plan.roles import ARCHIVE, DRAFTS, INBOX, SENT
from gateway.connectors.work import Work
from gateway.model.ids import MailboxId
from gateway.model.sequence import contains
from gateway.store.connectors import adopt, local, ops, places, pushing
from gateway.store.connectors.moves import Key
from gateway.store.connectors.ops import Op
from gateway.store.connectors.rows import FolderId, Place, RemoteFolder, RemoteMessage
from gateway.store.db import Rx, Tx
from gateway.upstream import names as names_
from gateway.upstream.errors import Refused

from . import appending, sent
from .ledger import APPEND, COPY, LABEL, MOVE, Item, Ledger, Standing, key_of
from .look import Seen
from .moving import Transfer
from .remote import opened, present


@dataclass(slots=True)
class _Change:
    """Of one message in All Mail: what turned up here for it, and whether something of it left a mailbox."""

    arrived: list[tuple[int, int]] = field(default_factory=list)
    left: bool = False


class LabelPush:
    """Of one push. `every`: the folder that has all mail."""

    def __init__(self, work: Work, ledger: Ledger, every: RemoteFolder, seen: Seen) -> None:
        self._work, self._ledger, self._every, self._seen = work, ledger, every, seen
        self._lost_in: dict[int, set[int]] = {}
        for one in seen.lost:
            if one.place.folder_id == every.id:
                self._lost_in.setdefault(one.place.uid, set()).add(one.place.mailbox_id)
        self._of_box = {int(row.mailbox_id): row for row in sorted(label_rows(work), key=lambda row: not row.gone)
                        if row.mailbox_id is not None}  # fmt: skip
        names = {row.name for row in self._of_box.values() if not row.gone}
        self._too_early = {
            box for box, mailbox in seen.labelled.items() if box not in self._of_box and mailbox.name in names
        }
        """Mailboxes that are called as the label of another one, which is to go or to be renamed first."""
        self.did = False
        self.waiting = False

    async def run(self, found: Sequence[Operation]) -> list[Operation]:
        """Do what is about labels; the rest is returned, as for any server."""
        every, rest = self._every.id, list[Operation]()
        changes: dict[int, _Change] = {}
        deletes: dict[int, PushDelete] = {}
        found = self._timely(found)
        known = {
            self._seen.emails[one.place]: one.at.uid for one in found
            if isinstance(one, Rejoin | PushCopy) and one.at.folder == every
        }  # fmt: skip
        going: set[str] = set()
        for one in found:
            if isinstance(one, PushAppend) and one.to == every:
                if one.email_id in known:  # copied here, and moved: one message under both labels
                    changes.setdefault(known[one.email_id], _Change()).arrived.append(one.place)
                elif one.email_id in going:
                    self.did = True  # once the first is there this is another label of it
                elif await self._append(one):
                    going.add(one.email_id)
            elif isinstance(one, Rejoin | PushCopy) and one.at.folder == every:
                change = changes.setdefault(one.at.uid, _Change())
                change.arrived.append(one.place)
                change.left |= isinstance(one, Rejoin)
            elif isinstance(one, PushMove | PushCopy) and one.to == every:
                await self._out_of(one)
            elif isinstance(one, PushDelete) and one.at.folder == every:
                deletes[one.at.uid] = one
            else:
                rest.append(one)
        moving = {one.at.uid for one in rest if isinstance(one, PushMove) and one.at.folder == every}
        alive = await self._alive(list(deletes))
        for uid, delete in deletes.items():
            if uid in moving:
                continue
            boxes = self._lost_in.get(uid, set())
            if boxes and boxes <= self._seen.deleted:
                continue  # its mailbox was deleted, and it was not: `unlabelled` sees to it
            if uid in changes or alive.get(uid) or boxes & self._seen.deleted:
                changes.setdefault(uid, _Change()).left = True
            else:
                rest.append(delete)
        for uid, change in changes.items():
            if uid not in moving:
                await self._relabel(uid, change)
        return rest

    def _timely(self, found: Sequence[Operation]) -> list[Operation]:
        """Without messages that turned up where it is too early; they are looked at again once labels went."""
        early = {
            one.at for one in found
            if isinstance(one, Rejoin | PushCopy | PushMove) and one.place[0] in self._too_early
        }  # fmt: skip
        return [
            one for one in found
            if (one.place[0] not in self._too_early if isinstance(one, PushAppend) else one.at not in early)
        ]  # fmt: skip

    async def _alive(self, uids: list[int]) -> dict[int, list[Place]]:
        """UID -> places whose message is there."""
        every = self._every

        def query(rx: Rx) -> dict[int, list[Place]]:
            here = places.places_of(rx, every.id, every.uidvalidity or 0, uids)
            there = places.modseqs(rx, here)
            return {
                uid: [one for one in some if (one.mailbox_id, one.local_uid) in there] for uid, some in here.items()
            }

        return await self._work.db.read(query) if uids else {}

    async def _relabel(self, uid: int, change: _Change) -> None:
        work, every = self._work, self._every
        validity = every.uidvalidity or 0
        item = Item(uid)
        if self._ledger.standing(LABEL, every.id, validity, item) is not Standing.FREE:
            self.waiting |= self._ledger.standing(LABEL, every.id, validity, item) is Standing.WAITING
            return

        def query(rx: Rx) -> tuple[RemoteMessage | None, list[Place]]:
            row = places.messages_of(rx, every.id, validity, [uid]).get(uid)
            return row, places.places_of(rx, every.id, validity, [uid]).get(uid, [])

        row, standing = await work.db.read(query)
        alive = (await self._alive([uid])).get(uid, [])
        if row is None or await opened(work, every) is None or not contains(await present(work, ((uid, uid),)), uid):
            self.waiting = True
            return
        lost = [place for place in standing if place not in alive] if change.left else []
        if not (alive or change.arrived):  # one place stays as the evidence that it is to be fetched
            lost = [place for place in lost if place.mailbox_id not in self._seen.deleted]
        if not (lost or change.arrived):
            return
        base = frozenset(label for place in standing if (label := self._borne(place)) is not None)
        kept = {label for place in standing if place not in lost and (label := self._borne(place)) is not None}
        mine = frozenset(kept | {label for box, _ in change.arrived if (label := self._label(box)) is not None})
        merged = merge_labels(base, mine, base, two_way=True)
        payload = {
            "folder": every.id, "validity": validity, "items": [item.as_json()],
            "add": sorted(merged.up_add), "remove": sorted(merged.up_remove),
            "labels": sorted((set(row.labels) | merged.up_add) - merged.up_remove),
            "lost": [[place.mailbox_id, place.local_uid] for place in lost],
            "arrived": [[*place, self._seen.emails[place], self._place_label(place[0])] for place in change.arrived],
        }  # fmt: skip
        key = key_of(LABEL, every.id, validity, [item])
        op = await self._ledger.begin(LABEL, key, payload, {"labels": sorted(base)})
        done = await carry_out(work, self._ledger, every, op)
        self.did |= done
        self.waiting |= not done

    async def _out_of(self, one: PushMove | PushCopy) -> None:
        """Out of Trash or Spam. A copy takes it from there too: the next pull sees that."""
        work, source = self._work, self._work.folders[FolderId(one.at.folder)]
        item = Item(one.at.uid, one.place, self._seen.emails[one.place])
        kind = MOVE if isinstance(one, PushMove) else COPY
        standing = self._ledger.standing(kind, source.id, source.uidvalidity or 0, item)
        if standing is not Standing.FREE:
            self.waiting |= standing is Standing.WAITING
            return
        raw, label = await self._folder(one.place[0]), self._place_label(one.place[0])
        done = await Transfer(work, self._ledger, kind, source, self._every, raw, label).run([item])
        self.did |= done
        self.waiting |= not done

    async def _append(self, one: PushAppend) -> bool:
        """False: it was not tried."""
        work, every, message = self._work, self._every, self._seen.messages.get(one.place)
        if message is None:
            return False
        box = one.place[0]
        role = self._role(box)
        standing = self._ledger.standing(APPEND, every.id, every.uidvalidity or 0, Item(0, one.place))
        if standing is not Standing.FREE or (role == SENT and sent.stays_here(work)):
            self.waiting |= standing is Standing.WAITING
            return False
        message_id = await work.db.read(lambda rx: local.message_id(rx, message.content_id))
        outgoing, label = appending.outgoing(message, box, message_id), self._place_label(box)
        done = await sent.settled(work, self._ledger, every, outgoing, label) if role == SENT else None
        if done is None:
            raw = await self._folder(box)
            done = await appending.append(work, self._ledger, every, outgoing, raw=raw, label=label)
        self.did |= done
        self.waiting |= not done
        return True

    def _role(self, box: int) -> str | None:
        known = next((role for role, number in self._work.roles.items() if number == box), None)
        if known is None and box in self._seen.labelled and self._seen.labelled[box].name == ARCHIVE_NAME:
            return ARCHIVE
        return known

    def _place_label(self, box: int) -> str:
        """As `labelling` names what a mailbox stands for."""
        return self._role(box) or self._name(box)

    def _label(self, box: int) -> str | None:
        return spelled(self._place_label(box))

    def _borne(self, place: Place) -> str | None:
        """The label of a place, as it is called now."""
        row = self._of_box.get(place.mailbox_id)
        return row.name if row is not None else spelled(place.label)

    def _name(self, box: int) -> str:
        row = self._of_box.get(box)
        if row is not None and not row.gone:
            return row.name
        known = next((label for label, number in self._work.labels.items() if number == box), None)
        return known if known is not None and row is None else self._seen.labelled[box].name

    def _raw(self, box: int) -> bytes:
        """The folder that shows the label; that of all mail for what has none."""
        role = self._role(box)
        if role == INBOX:
            return b"INBOX"
        if role in (SENT, DRAFTS):
            found = next((row.raw for row in self._work.folders.values() if row.role == role), None)
            return found if found is not None else self._every.raw
        if role == ARCHIVE:
            return self._every.raw
        row = self._of_box.get(box)
        return row.raw if row is not None and not row.gone else names_.encode(self._name(box))

    async def _folder(self, box: int) -> bytes:
        """`_raw`, made where the label is new."""
        raw = self._raw(box)
        if raw.upper() != b"INBOX" and all(row.raw != raw or row.gone for row in self._work.folders.values()):
            try:
                await self._work.client.create(raw)
            except Refused as error:  # what needs it will be refused, and put off
                self._work.run.note(f"{names_.decode(raw)} cannot be made: {error.said or error}")
        return raw


async def carry_out(work: Work, ledger: Ledger, every: RemoteFolder, op: Op) -> bool:
    """Change the labels of an operation that is started, and end it. It may be done twice. False: it is put off."""
    payload, validity = op.payload, every.uidvalidity or 0
    uid = payload["items"][0][0]
    try:
        for what in ("add", "remove"):
            if payload[what]:
                await work.client.store_labels(((uid, uid),), what, payload[what])
    except Refused as error:
        await ledger.put_off(op, error)
        return False
    lost = {(mailbox, local) for mailbox, local in payload["lost"]}

    def unit(tx: Tx) -> None:
        row = places.messages_of(tx, every.id, validity, [uid]).get(uid)
        if row is not None:
            here = places.places_of(tx, every.id, validity, [uid]).get(uid, [])
            gone = [place for place in here if (place.mailbox_id, place.local_uid) in lost]
            pushing.relabelled(tx, work.claim, every.id, validity, uid, payload["labels"], gone, now=work.now)
            for box, local_uid, email, label in payload["arrived"]:
                place = (MailboxId(box), local_uid, email)
                adopt.placed(tx, work.claim, Key(every.id, validity, uid), place, row.flags, label=label, now=work.now)
        ops.finish(tx, work.claim, op.id, now=work.now)

    await work.unit(unit)
    work.run.pushed += 1
    work.run.changed()
    return True


async def resume(work: Work, ledger: Ledger, op: Op) -> None:
    """Labels are set to what they are to be: whether it was done does not matter."""
    every = work.folders.get(FolderId(op.payload["folder"]))
    if every is None or every.uidvalidity != op.payload["validity"]:
        await ledger.finish(op)
    elif await opened(work, every) is None:
        await ledger.put_off(op)
    else:
        await carry_out(work, ledger, every, op)

