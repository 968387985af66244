"""What changed upstream in messages that are here: flags, labels, and messages that are gone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from gateway.model.ids import MailboxId
from gateway.model.sequence import Ranges, contains, count, from_numbers, intersect, normalise, numbers_of, without
from gateway.store.connectors import folders, known, moves, places, poison, upstream
from gateway.store.connectors.local import modseq_now
from gateway.store.connectors.rows import BATCH, WINDOW, RemoteFolder, RemoteMessage
from gateway.store.db import Rx
from gateway.upstream.values import FetchedMessage
from gateway.upstream.wants import FetchWants, SearchWants

from . import after_fetch as after
from .download import Download
from .labelling import of_role, targets_of
from .plan import folder as plan
from .plan.flags import Flags, flags_of, merge
from .plan.roles import TRASH
from .plan.vanish import Belief, Vanished, believe, compare, treatment
from .plan.windows import pieces
from .push.strays import remove_strays, strays_of
from .search_terms import terms
from .work import StartAgain, Work

_TRIES: Final = 5
"""A client that changes the very same message while we do is waited out so often; then the next pass decides."""


async def ask_changes(work: Work, folder: RemoteFolder, step: plan.AskChanges) -> int:
    """Apply what changed since a MODSEQ, in its order; how many of our messages are gone, by VANISHED."""
    validity = folder.uidvalidity or 0
    wants = FetchWants(flags=True, modseq=True, labels=folder.labels)
    found = await work.client.changes(step.since, wants, vanished=step.vanished)
    await apply_told(work, folder, sorted(found.messages, key=lambda one: one.modseq or 0))
    gone: Ranges = ()
    if found.vanished:
        have = await work.db.read(lambda rx: known.known(rx, folder.id, validity))
        gone = intersect(have.live, found.vanished)
        selected = work.client.selected
        if not await vanish(work, folder, gone, exists=selected.exists if selected is not None else 1):
            gone = ()
    await work.unit(
        lambda tx: folders.update(
            tx, work.claim, folder.id, {"highest_modseq": step.highest_modseq}, now=work.now
        )
    )
    return count(gone)


async def apply_told(work: Work, folder: RemoteFolder, told: Sequence[FetchedMessage]) -> None:
    """Flags, and labels, of messages as the server tells them; those that are not known here are left to FORWARD."""
    for start in range(0, len(told), BATCH):
        piece = {one.uid: one for one in told[start : start + BATCH]}
        for _ in range(_TRIES):
            left = await _apply(work, folder, piece)
            if not left:
                break
            piece = {uid: piece[uid] for uid in left}


async def _apply(work: Work, folder: RemoteFolder, told: dict[int, FetchedMessage]) -> list[int]:
    """Those that changed here at the same moment."""
    validity = folder.uidvalidity or 0

    def look(rx: Rx) -> tuple[int, dict[int, RemoteMessage]]:
        return modseq_now(rx, work.claim.inbox_id), places.messages_of(rx, folder.id, validity, list(told))

    upto, rows = await work.db.read(look)
    changes: list[upstream.FlagChange] = []
    relabelled: list[FetchedMessage] = []
    for uid, row in rows.items():
        message = told[uid]
        if message.flags is not None:
            remote = flags_of(message.flags)
            base = Flags(*row.flags)
            if remote != base:
                # What changed there is applied whatever is said here: who changed a flag since the base wins.
                merged = merge(base, base, remote, work.flag_rules)
                changes.append(
                    upstream.FlagChange(uid, remote, merged.here_add, merged.here_remove, message.modseq)
                )
        if folder.labels and message.labels is not None and tuple(sorted(message.labels)) != row.labels:
            relabelled.append(message)
    left: list[int] = []
    if changes:
        left += await work.unit(
            lambda tx: upstream.apply_flags(
                tx, work.claim, folder.id, validity, changes, upto=upto, now=work.now
            )
        )
        work.run.flags += len(changes) - len(left)
        work.run.changed()
    left += await relabel(work, folder, relabelled)
    return sorted(set(left))


async def relabel(work: Work, folder: RemoteFolder, told: Sequence[FetchedMessage]) -> list[int]:
    """Bring messages into the mailboxes that their labels name; those that changed here at the same moment."""
    validity = folder.uidvalidity or 0
    left: list[int] = []
    for start in range(0, len(told), WINDOW):
        some = [
            moves.LabelChange(
                one.uid, tuple(sorted(one.labels or ())), await targets_of(work, one.labels or frozenset()), one.modseq
            )
            for one in told[start : start + WINDOW]
        ]
        upto = await work.db.read(lambda rx: modseq_now(rx, work.claim.inbox_id))  # our flags were a change here too
        done = await work.unit(
            lambda tx, some=some, upto=upto: moves.relabel(  # type: ignore[misc]
                tx, work.claim, folder.id, validity, some, upto=upto, now=work.now
            )
        )
        left += done.left
        await _fetch_anew(work, folder, done.lost)
    return left


async def _fetch_anew(work: Work, folder: RemoteFolder, uids: Sequence[int]) -> None:
    """All that stood for these was removed here, and there they got other labels: they are kept, as the account says.

    What was only moved here is left to the push: the server adds up what both sides did to its labels, and tells it.
    """
    if not (uids and work.two_way):
        return
    validity = folder.uidvalidity or 0

    def look(rx: Rx) -> set[int]:
        emails = {
            place.email_id: uid
            for uid, some in places.places_of(rx, folder.id, validity, uids).items()
            for place in some
        }
        where = places.whereabouts(rx, work.claim.inbox_id, list(emails))
        return {emails[one.email_id] for one in where if not one.placed}

    moved = await work.db.read(look)
    going = [uid for uid in uids if uid not in moved]
    if going:
        await work.unit(lambda tx: upstream.forget(tx, work.claim, folder.id, validity, going, now=work.now))
        for piece in pieces(from_numbers(going), work.settings.window.messages):
            await Download(work, folder).run(piece)


async def look_at_flags(work: Work, folder: RemoteFolder, newest: int | None) -> None:
    """Where the server knows no MODSEQ, or to be sure: fetch flags and compare."""
    validity = folder.uidvalidity or 0
    if newest is None:
        uids = (await work.db.read(lambda rx: known.known(rx, folder.id, validity))).live
    else:
        uids = await work.db.read(lambda rx: known.newest(rx, folder.id, validity, newest))
    wants = FetchWants(flags=True, modseq=True, labels=folder.labels)
    for piece in pieces(uids, BATCH):
        told = [message async for message in work.client.fetch(piece, wants)]
        await apply_told(work, folder, told)


async def compare_uids(work: Work, folder: RemoteFolder) -> int:
    """List all UIDs: what is gone goes, what was never fetched is fetched. How many are there below our cursor."""
    validity, uidnext = folder.uidvalidity or 0, folder.uidnext or 1
    listed = await work.search()
    have = await work.db.read(lambda rx: known.known(rx, folder.id, validity))
    waiting = await work.db.read(lambda rx: known.poison(rx, folder.id, validity))
    low = folder.backfill_low if folder.backfill_low is not None else uidnext
    excused = list(from_numbers(waiting))
    if criteria(work) is not None:  # the rest is not wanted
        excused += without(((1, uidnext),), await wanted_uids(work))
    if after.applies(work):  # what was let go and could not be removed there is not new
        excused += have.gone
    found = compare(have.live, listed, low, uidnext, normalise(excused))
    if found.gone:
        await vanish(work, folder, found.gone, exists=count(listed))
    cured = [uid for uid in waiting if not contains(listed, uid)]
    if cured:
        await work.unit(lambda tx: poison.forget(tx, work.claim, folder.id, validity, cured, now=work.now))
    for piece in pieces(found.holes, work.settings.window.messages):
        await Download(work, folder).run(piece)
    return count(intersect(listed, ((1, uidnext - 1),)))


async def fetch_poison(work: Work, folder: RemoteFolder) -> None:
    """Ask once more for what could not be had, one by one, where it is time."""
    waiting = await work.db.read(lambda rx: known.poison(rx, folder.id, folder.uidvalidity or 0))
    for uid in sorted(uid for uid, at in waiting.items() if at <= work.now):
        await Download(work, folder).run(((uid, uid),))


def criteria(work: Work) -> SearchWants | None:
    """Which messages of the account are wanted, by their date and the search terms; None: all."""
    since, search = work.since_day, work.options.imap.search
    if since is None and not search.strip():
        return None
    return SearchWants(since=since, terms=terms(search) if search.strip() else None)


async def wanted_uids(work: Work, uids: Ranges | None = None, *, since: int | None = None) -> Ranges:
    """All UIDs that are wanted, or those of `uids`, or of what came on the day `since` (from 1970 on) or later."""
    wanted = criteria(work) or SearchWants()
    if since is not None:
        wanted = replace(wanted, since=since if wanted.since is None else max(since, wanted.since))
    return await work.search(wanted if uids is None else wanted.within(uids))


async def vanish(work: Work, folder: RemoteFolder, gone: Ranges, *, exists: int) -> bool:
    """Messages are gone upstream. False when that is not believed, and nothing was done."""
    memory, sync = work.memory(folder), work.options.sync
    policy = treatment(Vanished(sync.vanished), two_way=work.two_way, deletes=sync.deletes)
    if policy is not Vanished.KEEP:
        belief = believe(
            count(gone), folder.live, exists, asked_again=memory.asked_again, confirmed=work.recall.confirmed
        )
        if belief is Belief.ASK_AGAIN:
            memory.asked_again = True
            raise StartAgain(f"{count(gone)} messages of {folder.name} seem to be gone")
        if belief is Belief.HOLD:
            work.held.append(f"{folder.name}: {count(gone)} of {folder.live} messages are gone from the account")
            return False
    memory.asked_again = False
    trash = await of_role(work, TRASH) if policy is Vanished.TRASH else None
    for piece in pieces(gone, BATCH):
        await _vanish_piece(work, folder, list(numbers_of(piece)), policy, trash)
    work.run.vanished += count(gone)
    work.run.changed()
    return True


async def vanish_moved(work: Work, folder: RemoteFolder, uids: list[int]) -> None:
    """Of messages that a folder does not show any more: the places of those that stand elsewhere too."""
    await _vanish_piece(work, folder, uids, None, None)


async def _vanish_piece(
    work: Work, folder: RemoteFolder, uids: list[int], policy: Vanished | None, trash: MailboxId | None
) -> None:
    """What was only moved upstream is in its new place here too: the old one goes, whatever is done with the rest.

    `policy` None: that is left as it is.
    """
    validity = folder.uidvalidity or 0

    def look(rx: Rx) -> tuple[int, set[int], list[places.Whereabouts]]:
        standing = places.places_of(rx, folder.id, validity, uids)
        emails = {place.email_id: uid for uid, some in standing.items() for place in some}
        elsewhere: set[int] = set()
        where = places.whereabouts(rx, work.claim.inbox_id, list(emails))
        for one in where:
            uid = emails[one.email_id]
            if one.placed and all((one.mailbox_id, one.uid) != (p.mailbox_id, p.local_uid) for p in standing[uid]):
                elsewhere.add(uid)
        return modseq_now(rx, work.claim.inbox_id), elsewhere, strays_of(where, standing)

    for _ in range(_TRIES):
        upto, moved, strays = await work.db.read(look)
        await remove_strays(work, strays)
        left = await _go(work, folder, [uid for uid in uids if uid in moved], Vanished.DELETE, None, upto)
        upto = await work.db.read(lambda rx: modseq_now(rx, work.claim.inbox_id)) if moved else upto
        if policy is not None:
            left += await _go(work, folder, [uid for uid in uids if uid not in moved], policy, trash, upto)
        if not left:
            return
        uids = left


async def _go(
    work: Work, folder: RemoteFolder, uids: Iterable[int], policy: Vanished, trash: MailboxId | None, upto: int
) -> list[int]:
    some = list(uids)
    if not some:
        return []
    return await work.unit(
        lambda tx: upstream.vanished(
            tx, work.claim, folder.id, folder.uidvalidity or 0, some, policy.value, upto=upto, now=work.now, trash=trash
        )
    )
