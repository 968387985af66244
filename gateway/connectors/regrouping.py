"""All Mail of a Gmail account is shown in IMAP from now on, or hidden: its mail is read by other folders than before.

What stands here for messages that the folders before showed is carried over to those that are read now, by Gmail's id
of each message or else as after a new UIDVALIDITY, before anything is fetched or goes up: nothing is doubled, and
nothing is fetched twice. Cut off anywhere, it is begun again. What is left then has lost that label meanwhile, or is
gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from gateway.model.sequence import numbers_of
from gateway.store.connectors import known, views
from gateway.store.connectors.moves import Key
from gateway.store.connectors.rows import BATCH, FolderId, RemoteFolder, RemoteMessage
from gateway.store.connectors.views import Carry

from . import differences
from .plan.folder import Phase
from .plan.views import Shown, label_of, superseded, to_regroup
from .plan.windows import pieces
from .remapping import IDENTITY, known_again, shown
from .work import Work

_WANTS: Final = replace(IDENTITY, flags=True, modseq=True)


async def choose(work: Work, chosen: Sequence[RemoteFolder]) -> None:
    """Which folders were read before, and are not now. A part of discovery, before any is linked."""
    before = superseded(
        (_shown(row) for row in work.folders.values()), {row.id for row in chosen}, labelled=work.labelled
    )
    fresh = [FolderId(one) for one in before - work.superseded if _is_news(work, work.folders[FolderId(one)])]
    work.superseded = before
    if not fresh:
        return
    work.recall.regrouped.clear()
    work.recall.settled = False
    way = "All Mail is shown in IMAP now" if work.labelled else "All Mail is hidden from IMAP now"
    work.run.note(f"{way}: mail that is here already is found again by other folders")
    await work.unit(lambda tx: views.supersede(tx, work.claim, fresh, unlink=work.labelled, now=work.now))
    for number in fresh:
        work.recall.folders.pop(number, None)
        await work.reload(number)


def _is_news(work: Work, row: RemoteFolder) -> bool:
    """It was read until now; else that was seen to before."""
    linked = work.labelled and row.role is not None and row.mailbox_id is not None
    return linked or row.highest_modseq is not None or row.phase == Phase.LIVE.value


def pushed_until(work: Work) -> int | None:
    """The MODSEQ up to which changes here went up by the folders that were read before; None: there are none."""
    before = (work.folders[FolderId(one)].pushed_modseq for one in work.superseded)
    return min((modseq for modseq in before if modseq), default=None)


def waits(work: Work, chosen: Sequence[FolderId]) -> bool:
    """Nothing goes up yet: some folder has not been looked through."""
    rows = [work.folders[one] for one in chosen] if work.superseded else []
    return any(row.uidvalidity is None or _due(work, row) for row in rows)


def _due(work: Work, row: RemoteFolder) -> bool:
    return to_regroup(_shown(row), work.superseded, work.recall.regrouped)


async def regroup(work: Work, folder: RemoteFolder) -> None:
    """Where it is due: what the selected `folder` shows, and was read by others before, is known by it from now on."""
    if not _due(work, folder):
        return
    new = await shown(work, replace(_WANTS, labels=folder.labels))
    for number in sorted(work.superseded):
        row = work.folders[FolderId(number)]
        old = await _standing(work, row, folder)
        if old:
            found = await known_again(old, new)
            await _carry(work, row, folder, [(old[left].uid, new[right].message.uid) for left, right in found])
    told = [one.message for one in new]
    if folder.labels:  # all mailboxes have gone over: now those that the labels name
        await differences.relabel(work, folder, [one for one in told if one.labels is not None])
    await differences.apply_told(work, folder, told)
    work.recall.regrouped.add(folder.id)
    await work.reload(folder.id)


async def _standing(work: Work, row: RemoteFolder, folder: RemoteFolder) -> list[RemoteMessage]:
    box, found, after = None if folder.labels else folder.mailbox_id, list[RemoteMessage](), 0
    while True:
        page = await work.db.read(
            lambda rx, after=after: views.standing(rx, row.id, row.uidvalidity or 0, box, after)  # type: ignore[misc]
        )
        found += page
        if not page:
            return found
        after = page[-1].uid


async def _carry(work: Work, row: RemoteFolder, folder: RemoteFolder, pairs: Sequence[tuple[int, int]]) -> None:
    box = None if folder.labels else folder.mailbox_id
    label = label_of(row.role, row.name) if folder.labels else None
    for start in range(0, len(pairs), BATCH):
        some = [
            Carry(Key(row.id, row.uidvalidity or 0, old), uid, box, label)
            for old, uid in pairs[start : start + BATCH]
        ]
        done = await work.unit(
            lambda tx, some=some: views.carry(  # type: ignore[misc]
                tx, work.claim, folder.id, folder.uidvalidity or 0, some, now=work.now
            )
        )
        work.run.remapped += len(done)
        work.run.changed()


async def settle(work: Work, chosen: Sequence[FolderId]) -> None:
    """Everything that is read now was looked through: what is left of the folders before.

    Of a label's folder it is gone from All Mail, so from the account. Of All Mail it has lost the label of the mailbox
    where it stands; what stands nowhere else has none, or is gone: nobody can tell, so it stays until All Mail is shown
    again.
    """
    if work.recall.settled or not work.superseded or waits(work, chosen):
        return
    for number in sorted(work.superseded):
        row = await work.reload(FolderId(number))
        left = await work.db.read(lambda rx, row=row: known.known(rx, row.id, row.uidvalidity or 0))  # type: ignore[misc]
        if row.labels:
            for piece in pieces(left.live, BATCH):
                await differences.vanish_moved(work, row, list(numbers_of(piece)))
        elif await differences.vanish(work, row, left.live, exists=1):
            await work.unit(lambda tx, row=row: views.unread(tx, work.claim, row.id, now=work.now))  # type: ignore[misc]
            await work.reload(row.id)
            work.superseded -= {row.id}
    work.recall.settled = not work.held


def _shown(row: RemoteFolder) -> Shown:
    return Shown(row.id, row.role, row.labels, row.uidvalidity is not None, row.phase)
