"""Flags that changed here: STORE in batches, and agreed upon only after the server has said OK.

Only differences go up, so a flag that somebody else changes at the same time is not touched. With CONDSTORE nothing is
changed that we have not seen (UNCHANGEDSINCE): what has changed is fetched and merged first.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from gateway.connectors.differences import apply_told
from gateway.connectors.plan.flags import NEW_KEYWORDS, NO_FLAGS, FlagMerge, Flags, applied, batches
from gateway.connectors.plan.local import PushFlags
from gateway.connectors.work import Work
from gateway.model.flags import SYSTEM_FLAGS
from gateway.model.sequence import Ranges, contains, from_numbers
from gateway.outbound.failure import Failure
from gateway.store.connectors import local, places, upstream
from gateway.store.connectors import rows as values
from gateway.store.connectors.local import modseq_now
from gateway.store.connectors.rows import BATCH, FolderId, RemoteFolder, RemoteMessage
from gateway.store.db import Tx
from gateway.upstream.errors import Refused
from gateway.upstream.wants import FetchWants

from .ledger import RETRIES
from .remote import opened

STORED: Final = 500  # messages of one STORE
_WANTS: Final = FetchWants(flags=True, modseq=True)


def permitted(flags: values.Flags, permanent: Collection[str] | None) -> values.Flags:
    """What the folder keeps of `flags`: PERMANENTFLAGS, None: all."""
    if permanent is None:
        return flags
    names = {name.lower() for name in permanent}
    mask = sum(bit for name, bit in SYSTEM_FLAGS.items() if name.lower() in names)
    words = tuple(word for word in flags[1] if NEW_KEYWORDS in names or word.lower() in names)
    return flags[0] & mask, words


class FlagPush:
    """Of one push. `waiting`: something was put off. `did`: something was stored, or came to light."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.waiting = False
        self.did = False

    async def run(self, wanted: Sequence[PushFlags]) -> None:
        by_folder: dict[int, dict[int, PushFlags]] = {}
        for one in wanted:
            known = by_folder.setdefault(one.at.folder, {})
            known[one.at.uid] = _both(known[one.at.uid], one) if one.at.uid in known else one
        for number, some in by_folder.items():
            await self._folder(self._work.folders[FolderId(number)], some)

    async def _folder(self, row: RemoteFolder, wanted: dict[int, PushFlags]) -> None:
        work = self._work
        tries, until = work.recall.flag_tries.get(row.id, (0, 0.0))
        if until > work.clock():
            self.waiting |= tries < RETRIES
            return
        selected = await opened(work, row)
        if selected is None:
            self.waiting = True
            return
        changes: dict[int, tuple[Flags, Flags]] = {}
        for uid, one in wanted.items():
            add = Flags(*permitted(one.add, selected.permanent_flags))
            remove = Flags(*permitted(one.remove, selected.permanent_flags))
            if add or remove:
                changes[uid] = add, remove
        uids = sorted(changes)
        try:
            for at in range(0, len(uids), BATCH):
                await self._store(row, {uid: changes[uid] for uid in uids[at : at + BATCH]})
        except Refused as error:
            if error.failure is Failure.THROTTLED:
                raise
            tries += 1
            wait = work.settings.push_retry * 4 ** (tries - 1) if tries < RETRIES else 86_400.0
            work.recall.flag_tries[row.id] = tries, work.clock() + wait
            self.waiting |= tries < RETRIES
            work.run.note(f"{row.name}: flags are refused: {error.said or error}")
            return
        work.recall.flag_tries.pop(row.id, None)

    async def _store(self, row: RemoteFolder, changes: dict[int, tuple[Flags, Flags]]) -> None:
        """At most BATCH messages. Refused."""
        work, validity = self._work, row.uidvalidity or 0
        rows = await work.db.read(lambda rx: places.messages_of(rx, row.id, validity, list(changes)))
        changed: set[int] = set()
        done: set[int] = set()
        condstore = work.client.has("CONDSTORE") and row.modseq_ok and bool(row.highest_modseq)
        for since, group in _groups(row, rows, changes) if condstore else [(None, changes)]:
            some = [(uid, *change) for uid, change in group.items() if uid in rows]
            for batch in batches(some, STORED):
                uids = [uid for uid, _, _ in some if contains(batch.uids, uid) and uid not in changed]
                late = [uid for uid in uids if uid in done]  # our own first half has given them another MODSEQ
                for part, threshold in (([uid for uid in uids if uid not in done], since), (late, None)):
                    refused = await self._one(part, "add" if batch.adds else "remove", batch.flags, threshold)
                    changed |= {uid for uid in part if contains(refused, uid)}
                    done |= set(part) - changed
        await self._agree(row, {uid: changes[uid] for uid in sorted(done - changed)}, rows)
        if changed:
            await self._look_again(row, sorted(changed))

    async def _one(self, uids: list[int], op: str, flags: Flags, since: int | None) -> Ranges:
        work = self._work
        if not uids:
            return ()
        ranges = from_numbers(uids)
        try:
            return await work.client.store(ranges, op, flags.names(), unchanged_since=since)
        except Refused as error:
            if since is None or not error.bad:
                raise
            work.distrust("CONDSTORE", "QRESYNC")
            return await work.client.store(ranges, op, flags.names())

    async def _agree(
        self, row: RemoteFolder, done: dict[int, tuple[Flags, Flags]], rows: dict[int, RemoteMessage]
    ) -> None:
        if not done:
            return
        work, validity = self._work, row.uidvalidity or 0
        agreed = {uid: applied(Flags(*rows[uid].flags), FlagMerge(*change)) for uid, change in done.items()}

        def unit(tx: Tx) -> None:
            if row.labels:  # several places here may stand for one message: all of them get what one got
                told = [upstream.FlagChange(uid, agreed[uid], *done[uid]) for uid in agreed]
                upto = modseq_now(tx, work.claim.inbox_id)
                upstream.apply_flags(tx, work.claim, row.id, validity, told, upto=upto, now=work.now)
            else:
                some = [local.Agreed(uid, flags) for uid, flags in agreed.items()]
                local.agree(tx, work.claim, row.id, validity, some, now=work.now)

        await work.unit(unit)
        self.did = True
        work.run.pushed += len(done)
        work.run.changed()

    async def _look_again(self, row: RemoteFolder, uids: list[int]) -> None:
        """They changed upstream meanwhile: what they are now is merged, and the next round stores what is left."""
        work, validity = self._work, row.uidvalidity or 0
        self.did = True
        told = [one async for one in work.client.fetch(from_numbers(uids), _WANTS)]
        await apply_told(work, row, told)
        rows = await work.db.read(lambda rx: places.messages_of(rx, row.id, validity, uids))
        seen = [local.Agreed(one.uid, rows[one.uid].flags, one.modseq) for one in told if one.uid in rows]
        await work.unit(lambda tx: local.agree(tx, work.claim, row.id, validity, seen, now=work.now))


def _groups(
    row: RemoteFolder, rows: dict[int, RemoteMessage], changes: dict[int, tuple[Flags, Flags]]
) -> list[tuple[int | None, dict[int, tuple[Flags, Flags]]]]:
    """By the MODSEQ up to which each message is known: mostly that of the last pass."""
    found: dict[int, dict[int, tuple[Flags, Flags]]] = {}
    least = row.highest_modseq or 0
    for uid, change in changes.items():
        known = rows[uid].modseq if uid in rows else None
        found.setdefault(max(least, known or 0), {})[uid] = change
    return [(since, found[since]) for since in sorted(found)]


def _both(one: PushFlags, other: PushFlags) -> PushFlags:
    """Two places of one message: what one of them got, it gets; what one lost, it loses, unless the other got it."""
    add = Flags(one.add.mask | other.add.mask, tuple(sorted({*one.add.keywords, *other.add.keywords})))
    lost = {*one.remove.keywords, *other.remove.keywords} - set(add.keywords)
    remove = Flags((one.remove.mask | other.remove.mask) & ~add.mask, tuple(sorted(lost)))
    return PushFlags(one.at, add, remove, NO_FLAGS)
