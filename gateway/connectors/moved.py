"""Messages that were moved upstream while pull keeps what is gone there: here too they are in one place."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.ids import MailboxId
from gateway.store.connectors import places, upstream
from gateway.store.connectors.local import modseq_now
from gateway.store.connectors.rows import FolderId, Place
from gateway.store.db import Rx

from .work import Work

_Folder = tuple[FolderId, int]


async def forget_moved(work: Work, email_ids: Sequence[str]) -> None:
    """`email_ids` have just been taken in. What stands for the same message where it vanished upstream goes here too.

    One that a client is changing at this moment is left: it is one copy too many, and not one too few.
    """
    if not email_ids:
        return

    def look(rx: Rx) -> tuple[int, dict[_Folder, list[int]]]:
        return modseq_now(rx, work.claim.inbox_id), _vanished(rx, work, email_ids)

    upto, found = await work.db.read(look)
    for (folder_id, validity), uids in found.items():
        await work.unit(
            lambda tx, folder_id=folder_id, validity=validity, uids=uids: upstream.vanished(  # type: ignore[misc]
                tx, work.claim, folder_id, validity, uids, "delete", upto=upto, now=work.now
            )
        )


def _vanished(rx: Rx, work: Work, email_ids: Sequence[str]) -> dict[_Folder, list[int]]:
    """Folder -> UIDs upstream of messages that are there no more, and have one of `email_ids` here."""
    boxes: dict[MailboxId, list[int]] = {}
    seen: dict[str, int] = {}
    where = places.whereabouts(rx, work.claim.inbox_id, email_ids)
    for one in where:
        seen[one.email_id] = seen.get(one.email_id, 0) + 1
    for one in where:
        if one.placed and seen[one.email_id] > 1:
            boxes.setdefault(one.mailbox_id, []).append(one.uid)
    standing: dict[_Folder, list[Place]] = {}
    for mailbox, uids in boxes.items():
        for place in places.places_at(rx, mailbox, uids).values():
            if place.folder_id in work.folders:  # not another connector's
                standing.setdefault((place.folder_id, place.uidvalidity), []).append(place)
    found: dict[_Folder, list[int]] = {}
    for key, some in standing.items():
        rows = places.messages_of(rx, *key, [place.uid for place in some])
        gone = [uid for uid, row in rows.items() if row.gone is not None]
        if gone:
            found[key] = gone
    return found
