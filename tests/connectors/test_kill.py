"""The process is killed in the middle of its work, again and again, while mail comes and goes upstream.

Afterwards both sides have the same: nothing lost, nothing doubled, nothing stale.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from gateway.store.connectors import accounts
from gateway.store.connectors.accounts import NewConnector
from gateway.store.db import Database, StoreSettings, open_database
from gateway.store.statements import Stmt
from tests.connectors.kit import Content, all_mail, octets_digest, upstream_mail
from tests.store.helpers import assert_consistent, make_inbox
from tests.support.soak import SOAK
from tests.support.upstream import DOVECOT, DOVECOT_BARE, FakeUpstream, Personality

KILLS = 25 if SOAK else 5
MESSAGES = 400
ROOT = Path(__file__).resolve().parents[2]


async def child(url: str, server: FakeUpstream, syncs: int = 0) -> asyncio.subprocess.Process:
    words = [url, str(server.port), server.account.user, server.account.password, *([str(syncs)] if syncs else [])]
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.connectors.child", *words, cwd=ROOT)


async def made(url: str) -> Database:
    db = open_database(url, StoreSettings())
    await db.start()
    return db


@pytest.mark.parametrize("personality", [DOVECOT, DOVECOT_BARE], ids=lambda one: one.name)
async def test_nothing_is_lost_doubled_or_stale(
    runner: asyncio.Runner, sqlite_url: str, personality: Personality
) -> None:
    chance = random.Random(5)
    db = await made(sqlite_url)
    inbox = await make_inbox(db)
    await db.write(
        lambda tx: accounts.create(
            tx, NewConnector(inbox.pod_id, "work", "anna@elsewhere.test", inbox_id=inbox.id), now=1
        )
    )
    await db.close()
    async with FakeUpstream(personality, mailboxes={"INBOX": MESSAGES, "Work": 60}) as server:
        kills = 0
        while kills < KILLS:
            process = await child(sqlite_url, server)
            wanted = chance.randrange(3, 40)
            fetched = sum("FETCH" in command.name for command in server.log)
            async with asyncio.timeout(60):
                while sum("FETCH" in command.name for command in server.log) - fetched < wanted:
                    stir(server, chance)
                    await asyncio.sleep(0.01)
            process.kill()
            await process.wait()
            kills += 1
            if kills == 3:
                server.account.renumber("INBOX", first=5)
        process = await child(sqlite_url, server, syncs=3)
        async with asyncio.timeout(120):
            assert await process.wait() == 0
        db = await made(sqlite_url)
        try:
            found = await all_mail(db, inbox.id)
            for name in ("INBOX", "Work"):
                expected = upstream_mail(server, name)
                assert expected - found[name] == {}, "lost, or stale"
                more = found[name] - expected
                assert digests(more).keys() <= await out_of_sight(db), "doubled, or stale"
                assert max(digests(found[name]).values()) == 1
            await assert_consistent(db)
        finally:
            await db.close()


OUT_OF_SIGHT = Stmt(
    "SELECT m.content_id FROM remote_message r JOIN remote_place p ON p.folder_id = r.folder_id AND p.uidvalidity ="
    " r.uidvalidity AND p.uid = r.uid JOIN message m ON m.mailbox_id = p.mailbox_id AND m.uid = p.local_uid"
    " WHERE r.gone = 'unknown'"
)


async def out_of_sight(db: Database) -> set[str]:
    """What could not be found again after a new UIDVALIDITY, for it was removed meanwhile: never deleted for that."""
    return await db.read(lambda rx: {octets_digest(rx, row[0]) for row in rx.all(OUT_OF_SIGHT)})


def digests(mail: Content) -> Counter[str]:
    found: Counter[str] = Counter()
    for (_, octets), count in mail.items():
        found[octets] += count
    return found


def stir(server: FakeUpstream, chance: random.Random) -> None:
    """Somebody else is at work there."""
    name = chance.choice(("INBOX", "INBOX", "Work"))
    uids = sorted(server.account.mailbox(name).places)
    match chance.randrange(12):
        case 0:
            server.account.deliver(name)
        case 1 if len(uids) > 30:
            server.account.expunge(name, chance.choice(uids))
        case 2 if uids:
            server.account.set_flags(name, chance.choice(uids), chance.sample(["\\Seen", "\\Flagged", "work"], 2))
        case 3 if name == "INBOX" and len(uids) > 30:
            server.account.move(name, chance.choice(uids), "Work")


