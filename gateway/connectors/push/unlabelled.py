"""Gmail: messages whose mailbox was deleted here, and with it perhaps their label: where they are now the account says.

A label that goes takes no mail along, so nothing of what stood in its mailbox was deleted. What stands elsewhere too
only loses that place; what stood nowhere else is fetched into the mailbox of what it still bears, or of nothing. The
places that are left behind are the evidence: whoever comes after a crash finds them, and does the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.connectors.differences import relabel
from gateway.connectors.labelling import all_mail, goes_up, remade
from gateway.connectors.plan.roles import ROLES
from gateway.connectors.work import Work
from gateway.model.ids import MailboxId
from gateway.model.sequence import from_numbers
from gateway.store.connectors import folders, local, places
from gateway.store.connectors.rows import RemoteFolder, label_out
from gateway.upstream.wants import FetchWants

from .remote import opened

_PAGE: Final = 500
_WANTS: Final = FetchWants(flags=False, modseq=True, labels=True)


async def settle(work: Work, deleted: Iterable[int]) -> bool:
    """Nothing here stands in one of these mailboxes any more. False: for some messages that has to wait."""
    every = all_mail(work)
    if every is None:
        return True
    done = True
    for box in sorted(deleted):
        after: int | None = 0
        while after is not None:
            lost, after = await work.db.read(
                lambda rx, box=box, after=after: local.lost(  # type: ignore[misc]
                    rx, work.claim.connector_id, MailboxId(box), after or 0, _PAGE
                )
            )
            here = [one.place for one in lost if one.place.folder_id == every.id]
            uids = [place.uid for place in here if place.uidvalidity == every.uidvalidity]
            if here and (here[0].label in ROLES or not goes_up(work)):
                work.run.say(f"{here[0].label} stays in the account: its mailbox comes back with its mail")
            done &= not uids or await _renew(work, every, uids)
    return done


async def keep(work: Work, row: RemoteFolder) -> bool:
    """The account does not let go of a label: its mailbox is here again, with all that bears it."""
    every, mailbox = all_mail(work), await remade(work, row)
    if every is None or mailbox is None:
        return False
    after, done = 0, True
    while page := await work.db.read(
        lambda rx, after=after: places.message_page(rx, every.id, every.uidvalidity or 0, after)  # type: ignore[misc]
    ):
        after = page[-1].uid
        uids = [one.uid for one in page if one.gone is None and row.name in map(label_out, one.labels)]
        for at in range(0, len(uids), _PAGE):
            done &= await _renew(work, every, uids[at : at + _PAGE])
    if done:
        await work.unit(lambda tx: folders.link(tx, work.claim, row.id, mailbox, now=work.now))
        await work.reload(row.id)
    return done


async def _renew(work: Work, every: RemoteFolder, uids: Sequence[int]) -> bool:
    """As the account says now. False: the folder cannot be opened, or a client is changing one of them."""
    if await opened(work, every) is None:
        return False
    told = [one async for one in work.client.fetch(from_numbers(sorted(uids)), _WANTS)]
    return not await relabel(work, every, [one for one in told if one.labels is not None])
