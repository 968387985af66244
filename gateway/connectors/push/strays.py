"""A message that was moved here and there at once, to different places: where upstream put it, it is.

Pull has taken it in at its new place, and the place from which both took it is about to be forgotten. What was moved
here would then look like a copy that somebody made, and go up as one: it goes instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.connectors.work import Work
from gateway.model.ids import MailboxId
from gateway.store import messages
from gateway.store.connectors import lease
from gateway.store.connectors.places import Whereabouts
from gateway.store.connectors.rows import Place
from gateway.store.db import Tx


def strays_of(where: Sequence[Whereabouts], standing: Mapping[int, Sequence[Place]]) -> list[Whereabouts]:
    """One of the places without a message upstream, for each of `standing` (UID upstream -> places) that left its own
    mailbox and has turned up elsewhere from upstream."""
    by_email: dict[str, list[Whereabouts]] = {}
    for one in where:
        by_email.setdefault(one.email_id, []).append(one)
    found: list[Whereabouts] = []
    for some in standing.values():
        for place in some:
            here = by_email.get(place.email_id, [])
            left = all((one.mailbox_id, one.uid) != (place.mailbox_id, place.local_uid) for one in here)
            stray = next((one for one in here if not one.placed and one not in found), None)
            if left and stray is not None and any(one.placed for one in here):
                found.append(stray)
    return found


async def remove_strays(work: Work, strays: Sequence[Whereabouts]) -> None:
    if not (strays and work.two_way and work.options.sync.moves):
        return
    by_mailbox: dict[MailboxId, list[int]] = {}
    for one in strays:
        by_mailbox.setdefault(one.mailbox_id, []).append(one.uid)

    def unit(tx: Tx) -> None:
        lease.fence(tx, work.claim, work.now)
        for mailbox, uids in by_mailbox.items():
            messages.expunge(tx, work.claim.inbox_id, mailbox, sorted(uids), only_deleted=False, now=work.now)

    await work.unit(unit)
