"""A folder has another UIDVALIDITY: its messages are found again, and nothing is fetched or shown twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.mime import envelope_of, index_fields
from gateway.mime.envelope import own_message_id
from gateway.store.connectors import folders, remap
from gateway.store.connectors.rows import BATCH, RemoteFolder, RemoteMessage
from gateway.store.threads import id_hash
from gateway.upstream.values import FetchedMessage
from gateway.upstream.wants import FetchWants

from .download import source_key
from .plan import folder as plan
from .plan.vanish import Identity, match
from .plan.windows import pieces
from .work import Quarantined, Work

_STRONG: Final = ("gm:", "oid:")
IDENTITY: Final = FetchWants(flags=False, internal_date=True, size=True, ids=True, header=("Message-ID",))


@dataclass(frozen=True, slots=True)
class Shown:
    """A message as the server shows it."""

    message: FetchedMessage
    identity: Identity


async def remap_folder(work: Work, folder: RemoteFolder, step: plan.Remap) -> None:
    """Begin, or go on where it was cut off, and end. Quarantined: the UIDVALIDITY never stays."""
    state, memory = step.state, work.memory(folder)
    if folder.uidvalidity != state.uidvalidity:
        if memory.remaps.happened(work.clock()):
            raise Quarantined(f"The UIDVALIDITY of {folder.name} changes again and again")
        work.run.note(f"{folder.name}: the server has numbered its messages anew")
        await work.unit(
            lambda tx: remap.begin(
                tx, work.claim, folder.id, uidvalidity=state.uidvalidity, uidnext=state.uidnext,
                modseq=state.highest_modseq or None, now=work.now,
            )
        )  # fmt: skip
        folder = await work.reload(folder.id)
    validity = folder.uidvalidity or 0
    old = await _old_rows(work, folder, validity)
    if old:
        new = await shown(work, IDENTITY)
        found = await known_again([row for _, row in old], new)
        pairs = [remap.Pair(old[left][0], old[left][1].uid, new[right].message.uid) for left, right in found]
        for start in range(0, len(pairs), BATCH):
            some = pairs[start : start + BATCH]
            work.run.remapped += await work.unit(
                lambda tx, some=some: remap.rekey(  # type: ignore[misc]
                    tx, work.claim, folder.id, validity, some, now=work.now
                )
            )
    while await work.unit(
        lambda tx: remap.finish(tx, work.claim, folder.id, phase=plan.Phase.BACKFILL.value, now=work.now)
    ):
        pass
    await work.unit(lambda tx: folders.update(tx, work.claim, folder.id, {"modseq_ok": True}, now=work.now))
    memory.exists = None
    memory.listed_at = 0.0


async def _old_rows(work: Work, folder: RemoteFolder, validity: int) -> list[tuple[int, RemoteMessage]]:
    found: list[tuple[int, RemoteMessage]] = []
    after = (0, 0)
    while True:
        page = await work.db.read(lambda rx, after=after: remap.unmatched(rx, folder.id, validity, after))  # type: ignore[misc]
        found += page
        if len(page) < BATCH:
            return found
        after = (page[-1][0], page[-1][1].uid)


async def shown(work: Work, wants: FetchWants) -> list[Shown]:
    """All messages of the selected folder, by UID. `wants`: IDENTITY, or more."""
    found = [
        Shown(one, _of_message(one)) for piece in pieces(await work.search(), BATCH)
        async for one in work.client.fetch(piece, wants)
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.message.uid)


async def known_again(old: Sequence[RemoteMessage], new: Sequence[Shown]) -> tuple[tuple[int, int], ...]:
    """Pairs of places in both. In a thread: they may be a hundred thousand."""
    return await asyncio.to_thread(
        lambda: match([_of_row(row) for row in old], [one.identity for one in new]).pairs
    )


def _of_row(row: RemoteMessage) -> Identity:
    strong = row.source_key if row.source_key is not None and row.source_key.startswith(_STRONG) else None
    return Identity(strong, None if row.id_hash is None else str(row.id_hash), row.internal_date, row.size)


def _of_message(message: FetchedMessage) -> Identity:
    own = own_message_id(envelope_of(index_fields(message.header or b"")).message_id)
    return Identity(
        source_key(message), None if own is None else str(id_hash(own)), message.internal_date, message.size
    )
