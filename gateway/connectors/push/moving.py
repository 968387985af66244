"""Moves, copies and deletions: done upstream in batches, and known under their new UIDs in the unit that ends them.

MOVE where the server has it; else COPY, \\Deleted and UID EXPUNGE, and where single messages cannot be expunged
(no UIDPLUS) the old ones stay behind, marked. New UIDs come from COPYUID, are verified where servers are known to mix
them up, and else found in the folder. A batch that is refused is halved until it is known which message it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.connectors.download import source_key
from gateway.connectors.plan.labels import borne
from gateway.connectors.plan.resume import Evidence, verified
from gateway.connectors.work import Work
from gateway.model.flags import DELETED
from gateway.model.ids import MailboxId
from gateway.model.sequence import contains, from_numbers
from gateway.store.connectors import adopt, ops, places, pushing, upstream
from gateway.store.connectors.local import modseq_now
from gateway.store.connectors.moves import Key
from gateway.store.connectors.ops import Op
from gateway.store.connectors.rows import FolderId, RemoteFolder, RemoteMessage
from gateway.store.db import Tx
from gateway.upstream.errors import Refused
from gateway.upstream.values import Copied
from gateway.upstream.wants import FetchWants

from .ledger import APPEND, COPY, EXPUNGE, MOVE, TRASH, Item, Ledger, key_of
from .remote import Sought, landed, opened, present, strong, uidnext

BATCH: Final = 100


@dataclass
class Transfer:
    """Messages of one folder on their way to another one; `to` None: out of the account for good."""

    work: Work
    ledger: Ledger
    kind: str
    source: RemoteFolder
    to: RemoteFolder | None
    raw: bytes = b""
    """What is named to the server, where it is not `to` but a label's folder whose mail is in `to`."""
    label: str | None = None

    async def run(self, items: Sequence[Item]) -> bool:
        """True: all of them are where they belong. Else what is not is put off, or for the next pull to see."""
        done = True
        for at in range(0, len(items), BATCH):
            done &= await self._batch(list(items[at : at + BATCH]))
        return done

    async def _batch(self, items: list[Item]) -> bool:
        work, source, to = self.work, self.source, self.to
        before = await uidnext(work, to) if to is not None else 0
        if before is None or await opened(work, source) is None:
            return False
        there = await present(work, from_numbers([item.uid for item in items]))
        left = [item for item in items if contains(there, item.uid)]
        if not left:
            return False
        rows = await self._rows(left)
        if to is not None and len(left) > 1 and self._mixes_up(rows, left):
            done = len(left) == len(items)
            for item in left:
                done &= await self._batch([item])
            return done
        validity = source.uidvalidity or 0
        payload = {
            "folder": source.id, "validity": validity, "to": to.id if to is not None else None, "label": self.label,
            "items": [item.as_json() for item in left],
        }  # fmt: skip
        evidence = Evidence(to.id, to.uidvalidity or 0, before) if to is not None else Evidence(source.id, validity, 0)
        key = key_of(self.kind, source.id, validity, left, to.id if to is not None else None)
        op = await self.ledger.begin(self.kind, key, payload, evidence.as_json())
        try:
            found = await self._do(left, rows, before)
        except Refused as error:
            return await self._refused(op, left, error)
        if found is None:
            await self.ledger.put_off(op, reason="the folder was numbered anew meanwhile")
            return False
        await self._finish(op, left, rows, found)
        return len(left) == len(items)

    def _mixes_up(self, rows: Mapping[int, RemoteMessage], items: Sequence[Item]) -> bool:
        """Yahoo permutes COPYUID: several at once only where each can be told apart by its id."""
        return self.work.client.has("OBJECTID") and not all(
            item.uid in rows and strong(rows[item.uid].source_key) for item in items
        )

    async def _rows(self, items: Sequence[Item]) -> dict[int, RemoteMessage]:
        source = self.source
        uids = [item.uid for item in items]
        return await self.work.db.read(
            lambda rx: places.messages_of(rx, source.id, source.uidvalidity or 0, uids)
        )

    async def _do(self, items: list[Item], rows: Mapping[int, RemoteMessage], before: int) -> dict[int, int] | None:
        """Old UID -> new UID. None: done, and the target cannot be looked at as we know it: pull meets what is in it,
        and what stood for it here goes then (`strays`). Refused."""
        work, to = self.work, self.to
        uids = from_numbers([item.uid for item in items])
        if to is None:
            await work.client.store(uids, "add", ["\\Deleted"])
            await work.client.expunge(uids)
            return {}
        if self.kind != COPY and work.client.has("MOVE"):
            try:
                copied = await work.client.move(uids, self.raw or to.raw)
            except Refused as error:
                if not error.bad:
                    raise
                work.distrust("MOVE")
            else:
                return await self._new_uids(items, rows, copied, before)
        copied = await work.client.copy(uids, self.raw or to.raw)
        found = await self._new_uids(items, rows, copied, before)
        if self.kind != COPY:
            await self._remove(items)
        return found

    async def _remove(self, items: list[Item]) -> None:
        """The sources of copies. Refused; the copies are there, which the evidence shows."""
        if items and await opened(self.work, self.source) is not None:
            uids = from_numbers([item.uid for item in items])
            await self.work.client.store(uids, "add", ["\\Deleted"])
            if self._expunges:
                await self.work.client.expunge(uids)

    @property
    def _expunges(self) -> bool:
        return self.work.client.has("UIDPLUS") or self.work.client.has("IMAP4REV2")

    async def _new_uids(
        self, items: Sequence[Item], rows: Mapping[int, RemoteMessage], copied: Copied | None, before: int
    ) -> dict[int, int] | None:
        work, to = self.work, self.to
        assert to is not None
        if self.kind == TRASH:  # pull takes in what comes into Trash
            return {}
        pairs: dict[int, int] = {}
        if copied is not None and copied.uidvalidity == to.uidvalidity and not self.raw:
            asked = {item.uid for item in items}
            pairs = {old: new for old, new in copied.uids.items() if old in asked}
        if pairs and len(items) > 1 and work.client.has("OBJECTID") and await opened(work, to, anew=True) is not None:
            wants = FetchWants(flags=False, ids=True)
            keys = {one.uid: source_key(one) async for one in work.client.fetch(from_numbers(pairs.values()), wants)}
            wanted = {item.uid: strong(rows[item.uid].source_key) if item.uid in rows else None for item in items}
            pairs = verified(pairs, keys, wanted)
        missing = [item for item in items if item.uid not in pairs]
        if missing:
            uids = await landed(work, to, before, [sought(rows.get(item.uid)) for item in missing])
            if uids is None:
                return None
            taken = set(pairs.values())
            for item, uid in zip(missing, uids, strict=True):
                if uid is not None and uid not in taken:
                    pairs[item.uid] = uid
                    taken.add(uid)
        return pairs

    async def _refused(self, op: Op, items: list[Item], error: Refused) -> bool:
        """What was done of it counts; of the rest the one that is refused is found by halving."""
        left = await self.settle(op)
        if left is None:
            await self.ledger.put_off(op)
            return False
        if not left:
            return True
        if len(items) == 1:
            await self.ledger.put_off(op, error)
            return False
        await self.ledger.finish(op)
        half = (len(left) + 1) // 2
        return all([await self._batch(some) for some in (left[:half], left[half:]) if some])

    async def settle(self, op: Op) -> list[Item] | None:
        """Of an operation whose end nobody knows: what landed is taken for done; what was not done at all is returned.

        Ends the operation when nothing is left of it. None: a folder cannot be opened now.
        """
        work = self.work
        items = [Item.of_json(one) for one in op.payload["items"]]
        evidence = Evidence.of_json(op.evidence or {})
        rows = await self._rows(items)
        found: dict[int, int] = {}
        if self.to is not None:
            if self.to.uidvalidity != evidence.uidvalidity:
                return items  # numbered anew: its mail was matched, or taken in, by that
            uids = await landed(work, self.to, evidence.uidnext, [sought(rows.get(item.uid)) for item in items])
            if uids is None:
                return None
            found = {item.uid: uid for item, uid in zip(items, uids, strict=True) if uid is not None}
        if await opened(work, self.source) is None:
            return None
        there = await present(work, from_numbers([item.uid for item in items]))
        ended = [item for item in items if item.uid in found or (self.to is None and not contains(there, item.uid))]
        left = [item for item in items if item not in ended and contains(there, item.uid)]
        if self.kind != COPY:
            await self._remove([item for item in ended if contains(there, item.uid)])
        if ended:
            await self._finish(op, ended, rows, found, ends=not left)
        elif not left:
            await self.ledger.finish(op)
        return left

    async def _finish(
        self, op: Op, items: Sequence[Item], rows: Mapping[int, RemoteMessage], found: Mapping[int, int], *,
        ends: bool = True,
    ) -> None:  # fmt: skip
        """One unit: new UIDs are known and the old ones are not, before anybody pulls."""
        work, source, to = self.work, self.source, self.to
        validity = source.uidvalidity or 0
        uids = [item.uid for item in items]
        gone = len(uids) if self.kind != COPY and (to is None or self._expunges or work.client.has("MOVE")) else 0

        def unit(tx: Tx) -> None:
            for item in items:
                new, row = found.get(item.uid), rows.get(item.uid)
                if item.place is None or to is None:
                    continue
                if new is None:
                    _cover(tx, work, to, item)
                    continue
                base = row.flags if row is not None else (0, ())
                adopt.placed(
                    tx, work.claim, Key(to.id, to.uidvalidity or 0, new),
                    (MailboxId(item.place[0]), item.place[1], item.email), (base[0] & ~DELETED, base[1]),
                    source_key=row.source_key if row is not None else None, label=self.label, labels=borne(self.label),
                    now=work.now,
                )  # fmt: skip
            if gone and source.labels:  # it has left all labels, so all mailboxes
                upto = modseq_now(tx, work.claim.inbox_id)
                upstream.vanished(tx, work.claim, source.id, validity, uids, "delete", upto=upto, now=work.now)
            elif gone:
                upstream.forget(tx, work.claim, source.id, validity, uids, now=work.now)
            elif self.kind != COPY:
                pushing.left_behind(tx, work.claim, source.id, validity, uids, now=work.now)
            if ends:
                ops.finish(tx, work.claim, op.id, now=work.now)

        await work.unit(unit)
        if to is not None and self.kind != TRASH:
            self.ledger.cover_places(item for item in items if item.place is not None and item.uid not in found)
        if self.kind == TRASH and to is not None:
            self.ledger.news.add(to.id)
        work.run.pushed += len(items)
        work.run.changed()
        memory = work.memory(source)
        if memory.exists is not None:
            memory.exists = max(0, memory.exists - gone)


def sought(row: RemoteMessage | None) -> Sought:
    if row is None:
        return Sought(None, None, None, None)
    return Sought(strong(row.source_key), row.id_hash, row.internal_date, row.size)


def _cover(tx: Tx, work: Work, to: RemoteFolder, item: Item) -> None:
    """It went there, and cannot be told from others: what stands for it here must never be appended as if it were new;
    pull takes in what is there."""
    payload: dict[str, Any] = {"folder": to.id, "validity": to.uidvalidity, "items": [item.as_json()]}
    op = ops.plan(tx, work.claim, key_of(APPEND, to.id, 0, [item]), APPEND, payload, now=work.now)
    ops.fail(tx, work.claim, op.id, "unidentified", "moved, and it cannot be told which it is there", now=work.now)


async def resume(work: Work, ledger: Ledger, op: Op) -> None:
    """An operation that a crash, or a lost connection, left started."""
    source = work.folders.get(FolderId(op.payload["folder"]))
    to = work.folders.get(FolderId(op.payload["to"])) if op.payload["to"] is not None else None
    if source is None or source.uidvalidity != op.payload["validity"] or (to is None and op.payload["to"] is not None):
        await ledger.finish(op)  # its messages have other names now, if any: what is still to be done is seen anew
        return
    left = await Transfer(work, ledger, op.kind, source, to, label=op.payload.get("label")).settle(op)
    if left is None:
        await ledger.put_off(op)
    elif left:
        await ledger.finish(op)  # it was not done to these: they are looked at anew


KINDS: Final = frozenset({MOVE, COPY, TRASH, EXPUNGE})
