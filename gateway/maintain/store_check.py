"""Runs the consistency check over a store that is in use: rule by rule, page by page, and repairs what can be."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import structlog

from gateway.store import check_deep, cleanup, inboxes, search_text
from gateway.store.check import steps
from gateway.store.db import Database
from gateway.store.findings import Finding
from gateway.store.recount import recount

log = structlog.get_logger(__name__)

COUNTED: Final = frozenset({"mailbox.counters", "inbox.counters", "flags.record", "flags.unrecorded", "flags.message"})
COLLECTED: Final = frozenset({"content.dangling", "content.halves", "content.unreferenced"})


async def run_check(
    db: Database, *, deep: bool = False, progress: Callable[[int], None] | None = None
) -> list[Finding]:
    """All findings. `deep` hashes each content too, a page a reader; `progress` is told how many steps are done."""
    found: list[Finding] = []
    done = 0
    for step in steps():
        found += await db.read(step)
        done += 1
        if progress is not None:
            progress(done)
    after: int | None = 0 if deep else None
    while after is not None:
        page, after = await db.read(partial(check_deep.hash_page, after=after))
        found += page
        done += 1
        if progress is not None:
            progress(done)
    return found


async def repair(db: Database, findings: list[Finding]) -> list[Finding]:
    """Mend what can be computed anew (counters) or collected (orphans); the findings that are left after it."""
    codes = {finding.code for finding in findings}
    if codes & COUNTED:
        for inbox in await db.read(lambda rx: inboxes.inboxes(rx, include_deleted=True)):
            await db.write(partial(recount, inbox_id=inbox.id), inboxes=(inbox.id,))
    if codes & COLLECTED:
        orphans = await db.write(cleanup.find_orphans)
        log.info("store.orphans_found", count=orphans)
    if "text.missing" in codes:
        await db.write(search_text.note_missing)
    return await run_check(db)
