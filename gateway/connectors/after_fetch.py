"""What becomes of a message in the account once it is here: kept, marked as read, moved away, deleted.

Done before the cursor passes the window, so after a crash it is done again. What is taken out of its folder is marked
as gone before that: whatever happens then, what stands for it here stays.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model.sequence import Ranges, numbers_of
from gateway.store.connectors import upstream
from gateway.store.connectors.local import modseq_now
from gateway.store.connectors.rows import BATCH, RemoteFolder
from gateway.upstream import names
from gateway.upstream.errors import Refused

from .plan.windows import pieces
from .work import Work


def applies(work: Work) -> bool:
    """In mode pull nothing is changed there, whatever is set."""
    return work.options.imap.after_fetch != "keep" and not work.read_only


async def after_fetch(work: Work, folder: RemoteFolder, uids: Ranges) -> None:
    """`uids` of the selected folder are here now. A refusal is told and left at that: the mail is on both sides."""
    for piece in pieces(uids, BATCH):
        try:
            await _treat(work, folder, piece)
        except Refused as error:
            work.run.note(f"{folder.name}: {work.options.imap.after_fetch} is refused: {error.said or error}")
            return


async def _treat(work: Work, folder: RemoteFolder, uids: Ranges) -> None:
    client = work.client
    match work.options.imap.after_fetch:
        case "seen":
            await client.store(uids, "add", ["\\Seen"])
        case "delete":
            await _let_go(work, folder, list(numbers_of(uids)))
            await _remove(work, uids)
        case "move":
            target = await _target(work)
            if target == folder.raw:
                return
            await _let_go(work, folder, list(numbers_of(uids)))
            if client.has("MOVE"):
                await client.move(uids, target)
            else:
                await client.copy(uids, target)
                await _remove(work, uids)


async def _remove(work: Work, uids: Ranges) -> None:
    await work.client.store(uids, "add", ["\\Deleted"])
    if work.client.has("UIDPLUS"):  # else EXPUNGE would take what others have marked
        await work.client.expunge(uids)
    else:
        work.run.note("the server cannot remove single messages: they stay there, marked as deleted")


async def _let_go(work: Work, folder: RemoteFolder, uids: Sequence[int]) -> None:
    """From now on what is here and what is there are two things."""
    validity = folder.uidvalidity or 0
    upto = await work.db.read(lambda rx: modseq_now(rx, work.claim.inbox_id))
    await work.unit(
        lambda tx: upstream.vanished(tx, work.claim, folder.id, validity, uids, "keep", upto=upto, now=work.now)
    )


async def _target(work: Work) -> bytes:
    """The folder for `move`, made where it is missing."""
    wanted = work.options.imap.after_fetch_folder
    for row in work.folders.values():
        if not row.gone and is_target(wanted, row.name, row.delimiter):
            return row.raw
    raw = names.encode(wanted)
    try:
        await work.client.create(raw)
    except Refused as error:
        if error.code != "ALREADYEXISTS":
            raise
    return raw


def is_target(wanted: str, name: str, delimiter: str | None) -> bool:
    """Whether a folder is the one that `after_fetch_folder` names, with the server's delimiter or ours."""
    return wanted in (name, name if delimiter is None else name.replace(delimiter, "/"))
