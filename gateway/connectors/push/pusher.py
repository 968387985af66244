"""One push: everything that changed here goes up, in an order in which each step can be done; then it is agreed upon.

Rounds: what a round did is looked at again (a move gives a message another UID, under which its flags go up), until a
look shows nothing that is still to be done; only then are the changes up to that look's MODSEQ seen to. So what is put
off, and what a crash cut off, is found again by the same look. All folders are agreed upon together: the two halves of
a move are never told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.connectors.labelling import all_mail
from gateway.connectors.plan.local import (
    Layout,
    Operation,
    PushAppend,
    PushCopy,
    PushDelete,
    PushFlags,
    PushMove,
    Rejoin,
    Switches,
    operations,
)
from gateway.connectors.plan.vanish import Belief, believe
from gateway.connectors.work import Work
from gateway.model.ids import MailboxId
from gateway.model.mailbox import SENT
from gateway.model.mailbox import TRASH as TRASH_ROLE
from gateway.store.connectors import adopt, folders, local, ops, places, pushing, upstream
from gateway.store.connectors.moves import Key
from gateway.store.connectors.ops import OpState
from gateway.store.connectors.rows import BATCH, FolderId
from gateway.store.db import Rx, Tx

from . import appending, foldering, labels, moving, sent, unlabelled
from .flags import FlagPush
from .ledger import APPEND, COPY, CREATE, EXPUNGE, LABEL, MOVE, REMOVE, RENAME, TRASH, Item, Ledger, Standing, free
from .look import Seen, described, folders_of, look
from .moving import Transfer

ROUNDS: Final = 6
AGAIN_S: Final = 60


@dataclass(slots=True)
class Pushed:
    """`again`: folders were made or came back: discover and pull, then push once more. `due`: Unix seconds at which
    something that was put off is due. `news`: folders that a pass has to look at."""

    again: bool = False
    due: int | None = None
    news: frozenset[FolderId] = frozenset()


async def push(work: Work) -> Pushed:
    """Bring up what changed here. UpstreamError, LeaseLost, Unavailable; whatever it was, the next push goes on."""
    if not work.two_way:
        return Pushed()
    if not await _anything(work):
        return Pushed(due=await _due(work))
    return await _Push(work).run()


async def prepare(work: Work) -> None:
    """Before a session looks which folders there are."""
    if work.two_way:
        await foldering.resume_renames(work)


async def resume(work: Work) -> bool:
    """Operations that were started and whose end nobody knows, before anything is pulled. True: there were some."""
    if not work.two_way:
        return False
    ledger = await Ledger.read(work)
    some = [op for op in ledger.open if op.state is OpState.STARTED and op.not_before <= work.now]
    for op in some:
        if op.kind in moving.KINDS:
            await moving.resume(work, ledger, op)
        elif op.kind == APPEND:
            await appending.resume(work, ledger, op)
        elif op.kind == LABEL:
            await labels.resume(work, ledger, op)
        elif op.kind in (CREATE, RENAME, REMOVE):
            await foldering.resume(work, ledger, op)
    return bool(some)


async def _anything(work: Work) -> bool:
    """Whether something changed here, or waits and is due."""
    every = all_mail(work)
    least = min(
        (row.pushed_modseq for row in work.folders.values()
         if not row.gone and (row.mailbox_id is not None or row is every)),
        default=None,
    )  # fmt: skip

    def query(rx: Rx) -> bool:
        due = ops.next_due(rx, work.claim.connector_id)
        changed = least is not None and local.modseq_now(rx, work.claim.inbox_id) > least
        return changed or (due is not None and due <= work.now)

    return await work.db.read(query)


async def _due(work: Work) -> int | None:
    return await work.db.read(lambda rx: ops.next_due(rx, work.claim.connector_id))


def switches_of(work: Work) -> Switches:
    sync = work.options.sync
    return Switches(
        flags=sync.flags, moves=sync.moves, deletes=sync.deletes, folders=sync.new_folders, drafts=sync.appended,
        sent=sync.appended, appends=sync.appended,
    )  # fmt: skip


class _Push:
    def __init__(self, work: Work) -> None:
        self._work = work
        self._ledger = Ledger(work)
        self._waiting = False
        self._did = False
        self._again = False
        self._trash = False

    async def run(self) -> Pushed:
        work = self._work
        await resume(work)
        self._ledger = await Ledger.read(work)
        for _ in range(ROUNDS):
            self._waiting = self._did = False
            await self._reload()
            await self._round()
            if not self._did or self._again:
                break
        if not self._again:
            await self._ledger.drop_unwanted()
        due = await _due(work)
        if self._waiting:  # also for what no operation says: a folder that could not be opened, a message that was gone
            again = work.now + AGAIN_S
            due = again if due is None else min(due, again)
        return Pushed(self._again, due, frozenset(self._ledger.news))

    async def _reload(self) -> None:
        work = self._work
        rows = await work.db.read(lambda rx: folders.of_connector(rx, work.claim.connector_id))
        work.folders.update({row.id: row for row in rows})

    async def _round(self) -> None:
        work = self._work
        tree = await foldering.look_at_tree(work, trash=self._trash)
        did, waiting = await foldering.change_tree(work, self._ledger, tree)
        self._waiting |= waiting
        if did:
            self._did = True
            self._again |= bool(tree.makes)
            return
        await sent.run(work, self._ledger)
        seen = await look(work)
        if seen is not None:
            changes = await described(work, seen, tree.waiting)
            self._waiting |= seen.held
            await self._forget(seen)
            if self._lacks_trash(len(changes.gone)):
                self._trash = self._did = True
                return
            await self._carry_out(operations(changes, self._layout(seen)), seen)
        if not (self._did or self._waiting):
            removed, waiting = await foldering.remove_folders(work, self._ledger, tree.removes)
            self._again |= removed
            self._waiting |= waiting
            if seen is not None and seen.deleted and not waiting:
                self._waiting |= not await unlabelled.settle(work, seen.deleted)
        if seen is not None and not (self._did or self._waiting or self._again):
            some = [number for number in seen.folders if number in work.folders]
            await work.unit(lambda tx: pushing.seen_to(tx, work.claim, some, seen.upto, now=work.now))

    def _lacks_trash(self, gone: int) -> bool:
        """Something was deleted, and there is no Trash to put it into: one is made, the first time."""
        sync, roles = self._work.options.sync, {row.role for row in self._work.folders.values() if not row.gone}
        return bool(gone) and sync.deletes and not (sync.permanent or TRASH_ROLE in roles or self._trash)

    def _layout(self, seen: Seen) -> Layout:
        work = self._work
        return Layout(
            folder_of=folders_of(work, seen),
            roles={row.id: row.role for row in work.folders.values() if row.role is not None and not row.gone},
            switches=switches_of(work),
            flag_rules=work.flag_rules,
            permanent_delete=work.options.sync.permanent,
            uidplus=work.client.has("UIDPLUS") or work.client.has("IMAP4REV2"),
        )

    async def _forget(self, seen: Seen) -> None:
        """Gone on both sides."""
        work = self._work
        by_folder: dict[tuple[FolderId, int], list[int]] = {}
        for one in seen.agreed_gone:
            by_folder.setdefault((one.place.folder_id, one.place.uidvalidity), []).append(one.place.uid)
        for (folder, validity), uids in by_folder.items():
            for at in range(0, len(uids), BATCH):
                some = uids[at : at + BATCH]
                await work.unit(
                    lambda tx, folder=folder, validity=validity, some=some: upstream.forget(  # type: ignore[misc]
                        tx, work.claim, folder, validity, some, now=work.now
                    )
                )

    async def _carry_out(self, found: Sequence[Operation], seen: Seen) -> None:
        flags = FlagPush(self._work)
        await flags.run([one for one in found if isinstance(one, PushFlags)])
        self._did |= flags.did
        self._waiting |= flags.waiting
        every = all_mail(self._work)
        if every is not None:
            labelling = labels.LabelPush(self._work, self._ledger, every, seen)
            found = await labelling.run(found)
            self._did |= labelling.did
            self._waiting |= labelling.waiting
        for one in found:
            if isinstance(one, Rejoin):
                await self._rejoin(one, seen)
        await self._append([one for one in found if isinstance(one, PushAppend)], seen)
        for kind, of in ((COPY, PushCopy), (MOVE, PushMove)):
            some = [one for one in found if isinstance(one, of)]
            await self._transfer(kind, [(one.at.folder, one.to, _item(one, seen)) for one in some])
        deletes = self._believed([one for one in found if isinstance(one, PushDelete)])
        for kind in (TRASH, EXPUNGE):
            going = [one for one in deletes if (one.to is None) is (kind == EXPUNGE)]
            await self._transfer(kind, [(one.at.folder, one.to, Item(one.at.uid)) for one in going])

    async def _rejoin(self, one: Rejoin, seen: Seen) -> None:
        work, at = self._work, one.at
        folder = FolderId(at.folder)
        email = seen.emails[one.place]

        def unit(tx: Tx) -> None:
            row = places.messages_of(tx, folder, at.uidvalidity, [at.uid]).get(at.uid)
            if row is not None:
                place = (MailboxId(one.place[0]), one.place[1], email)
                adopt.placed(tx, work.claim, Key(folder, at.uidvalidity, at.uid), place, row.flags, now=work.now)

        await work.unit(unit)
        self._did = True

    async def _append(self, some: Sequence[PushAppend], seen: Seen) -> None:
        work, ledger = self._work, self._ledger
        for one in some:
            message = seen.messages.get(one.place)
            to = work.folders[FolderId(one.to)]
            if message is None or (to.role == SENT and sent.stays_here(work)):
                continue
            standing = ledger.standing(APPEND, to.id, to.uidvalidity or 0, Item(0, one.place))
            if standing is not Standing.FREE or to.uidvalidity is None:
                self._waiting |= standing is not Standing.GIVEN_UP
                continue
            message_id = await work.db.read(lambda rx, message=message: local.message_id(rx, message.content_id))  # type: ignore[misc]
            outgoing = appending.outgoing(message, one.place[0], message_id)
            if to.role == SENT and (done := await sent.settled(work, ledger, to, outgoing)) is not None:
                self._did |= done
                self._waiting |= not done
                continue
            done = await appending.append(work, ledger, to, outgoing)
            self._did |= done
            self._waiting |= not done

    async def _transfer(self, kind: str, some: Sequence[tuple[int, int | None, Item]]) -> None:
        work, ledger = self._work, self._ledger
        groups: dict[tuple[int, int | None], list[Item]] = {}
        for folder, to, item in some:
            groups.setdefault((folder, to), []).append(item)
        for (folder, number), items in groups.items():
            source = work.folders[FolderId(folder)]
            target = work.folders[FolderId(number)] if number is not None else None
            todo, waiting = free(ledger, kind, source.id, source.uidvalidity or 0, items)
            self._waiting |= waiting
            if not todo:
                continue
            if target is not None and target.uidvalidity is None:  # a pass over it comes first
                self._waiting = True
                continue
            done = await Transfer(work, ledger, kind, source, target).run(todo)
            self._did |= done
            self._waiting |= not done

    def _believed(self, deletes: list[PushDelete]) -> list[PushDelete]:
        """The mass guard: most of a folder is deleted there only when somebody says so."""
        work = self._work
        counts: dict[int, int] = {}
        for one in deletes:
            counts[one.at.folder] = counts.get(one.at.folder, 0) + 1
        held = set()
        for folder, count in counts.items():
            row = work.folders[FolderId(folder)]
            if believe(count, row.live, 1, asked_again=True, confirmed=work.recall.confirmed) is Belief.HOLD:
                held.add(folder)
                text = f"{row.name}: {count} of {row.live} messages were deleted here"
                if text not in work.held:
                    work.held.append(text)
                self._waiting = True
        return [one for one in deletes if one.at.folder not in held]


def _item(one: PushMove | PushCopy, seen: Seen) -> Item:
    return Item(one.at.uid, one.place, seen.emails[one.place])
