"""A message whose append had no answer, and which another client put into Trash before we looked.

It is looked for there once it is not where it was put. Older mail of that Message-ID (drafts that were written over)
is another message: it was there when the append began, or has another INTERNALDATE. What is neither surely ours nor
surely another one is left as it is on both sides: nothing is appended again, and nothing here goes to Trash.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from gateway.connectors.plan.resume import Evidence
from gateway.connectors.plan.roles import TRASH
from gateway.connectors.work import Work
from gateway.model.errors import MailboxGone, NotFound
from gateway.model.ids import MailboxId
from gateway.outbound.failure import Failure
from gateway.store import messages
from gateway.store.connectors import adopt, folders, lease, places
from gateway.store.connectors.moves import Key
from gateway.store.connectors.rows import Flags, RemoteFolder
from gateway.store.db import Tx
from gateway.upstream.errors import Refused
from gateway.upstream.values import FetchedMessage

from .remote import Sought, came, hash_of, opened


class Binned(Enum):
    NOWHERE = auto()
    """It is not in Trash."""
    SOMEWHERE = auto()
    """Something in Trash may be it."""
    LATER = auto()
    """Trash cannot be looked at now."""


def as_known(work: Work) -> tuple[int, int] | None:
    """UIDVALIDITY and UIDNEXT of Trash as far as we have looked, without asking: what comes into it is above that.

    None: we know nothing of it. A Trash that is not there yet has all its mail above (0, 1).
    """
    row = _trash(work)
    if row is None:
        return (0, 1)
    return None if row.uidvalidity is None or row.uidnext is None else (row.uidvalidity, row.uidnext)


def _trash(work: Work) -> RemoteFolder | None:
    return next((row for row in work.folders.values() if row.role == TRASH and row.selectable and not row.gone), None)


async def find(work: Work, to: RemoteFolder, evidence: Evidence, sought: Sought) -> Key | Binned:
    """The message that was put into `to`, in Trash. Trash is selected then. UpstreamError but Refused."""
    row = _trash(work)
    if row is None or row.id == to.id:
        return Binned.NOWHERE
    if row.uidvalidity is None and row.mailbox_id is not None and row.probe_at is None:
        return Binned.LATER  # a pass over it comes first
    since = _since(evidence, row)
    if not await _open(work, row):
        return Binned.NOWHERE if row.uidvalidity is None else Binned.LATER  # nobody can put anything into it either
    found = judged(await came(work, since or 1), sought)
    if since is None or row.uidvalidity is None or row.mailbox_id is None:
        return Binned.SOMEWHERE if isinstance(found, int) else Binned.NOWHERE
    return Key(row.id, row.uidvalidity, found) if isinstance(found, int) else found


def _since(evidence: Evidence, row: RemoteFolder) -> int | None:
    """From which UID on nothing was in Trash before the append began, as far as we know; None: we do not."""
    known = evidence.trash
    return None if known is None or known[0] not in (0, row.uidvalidity) else known[1]


def judged(some: Sequence[FetchedMessage], sought: Sought) -> int | Binned:
    """Which of `some` is the one: its UID. By Message-ID and INTERNALDATE, for a server may write anew what is moved.

    What has no Message-ID is known by its size instead, and by nothing where that has changed. Pure.
    """
    named = sought.id_hash is not None
    alike = [one for one in some if not named or hash_of(one) == sought.id_hash]
    for one in alike:
        if one.internal_date == sought.date and (named or one.size == sought.size):
            return one.uid
    return Binned.SOMEWHERE if alike else Binned.NOWHERE


async def _open(work: Work, row: RemoteFolder) -> bool:
    if row.uidvalidity is not None:
        return await opened(work, row, anew=True) is not None
    try:  # not synced: it is only looked at
        await work.client.select(row.raw, read_only=True)
    except Refused as error:
        if error.failure not in (Failure.FOLDER_MISSING, Failure.REFUSED_COMMAND):
            raise
        return False
    return True


def into_trash(
    tx: Tx, work: Work, key: Key, place: tuple[MailboxId, int, str], base: Flags, looks: tuple[int, int, bytes | None]
) -> None:
    """Message `key` of Trash is the local message `place`, which is moved to where Trash is here.

    What was moved elsewhere here meanwhile keeps its place as evidence, so that it leaves Trash there too; what was
    removed here is left to pull, which takes in what is in Trash. LeaseLost, MailboxGone, LimitReached.
    """
    claim, now = work.claim, work.now
    lease.fence(tx, claim, now)
    row = folders.get(tx, claim.connector_id, key.folder_id)
    mailbox, uid, email = place
    if row.mailbox_id is None or row.uidvalidity != key.uidvalidity or places.places_at(tx, mailbox, [uid]):
        return  # numbered anew since, or known upstream by now
    try:
        moved = messages.move(tx, claim.inbox_id, mailbox, [uid], row.mailbox_id, now=now)
    except NotFound as error:
        raise MailboxGone("Trash was deleted here") from error
    if moved.src_uids:
        place = (row.mailbox_id, moved.dst_uids[0][0], email)
    elif all(one.placed for one in places.whereabouts(tx, claim.inbox_id, [email])):
        return
    adopt.placed(tx, claim, key, place, base, looks=looks, now=now)
