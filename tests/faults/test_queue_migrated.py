"""A store that an earlier version left with mail in its queue: all of it goes out, or waits for somebody as before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from gateway.store import content, migrate, queue_admin
from gateway.store.upgrade import make_engine
from gateway.store.urls import parse_url
from tests.faults.smtp_kit import run
from tests.faults.smtp_relay import relay
from tests.faults.smtp_store import House, house
from tests.faults.test_queue_sharing import ended, url
from tests.store.helpers import staged

__all__ = ["url"]
BEFORE: Final = "0007"
NOW: Final = 1_800_000_000
ROWS: Final = {  # state -> next_attempt, lease, attempts
    "queued": (NOW - 5, None, 0),
    "deferred": (NOW + 60, None, 2),
    "sending": (NOW - 5, NOW - 1, 0),
    "held": (None, None, 1),
}


def make(url: str, content_id: int) -> None:
    """As a process of that version left it when it was killed."""
    config = Config()
    config.set_main_option("script_location", str(migrate.SCRIPTS))
    engine = make_engine(parse_url(url))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, BEFORE)
        for statement in (
            "INSERT INTO pod (uuid, name, created_at) VALUES ('p', 'old', 1)",
            "INSERT INTO domain (name, pod_id, created_at) VALUES ('old.org', 1, 1)",
            "INSERT INTO inbox (uuid, pod_id, created_at, epoch, modseq, last_uidvalidity, mailboxes)"
            " VALUES ('i', 1, 1, 'e', 5, 13, 1)",
            "INSERT INTO address (address, inbox_id, kind) VALUES ('ann@old.org', 1, 'primary')",
            "INSERT INTO mailbox (inbox_id, name, object_id, uidvalidity, highest_modseq)"
            " VALUES (1, 'INBOX', 'F1', 13, 2)",
            "INSERT INTO submission (uuid, inbox_id, mail_from, content_id, created_at)"
            f" VALUES ('s', 1, 'ann@old.org', {content_id}, {NOW - 600})",
            *(
                "INSERT INTO queue_recipient (submission_id, inbox_id, address, domain, state, attempts, next_attempt,"
                " lease_owner, lease_until, updated_at) VALUES"
                f" (1, 1, '{state}@elsewhere.net', 'elsewhere.net', '{state}', {attempts}, {at or 'NULL'},"
                f" {'NULL' if lease is None else repr('gone')}, {lease or 'NULL'}, {NOW - 600})"
                for state, (at, lease, attempts) in ROWS.items()
            ),
        ):
            connection.execute(text(statement))
        connection.commit()
    engine.dispose()


def test_what_an_earlier_version_queued_goes_out(tmp_path: Path, url: str) -> None:
    async def main() -> None:
        made = staged(b"Subject: old\r\n\r\nbody")
        if not url:
            (tmp_path / "gateway.db").touch(mode=0o600)
        await asyncio.to_thread(make, url or f"sqlite:///{tmp_path / 'gateway.db'}", made.content_id)
        async with house(tmp_path, url) as it, relay() as peer:
            await it.db.write(lambda tx: content.complete(tx, made, NOW))
            it.use_relay(peer.port)
            async with it.runner():
                await it.until(lambda: ended(it, "sent", 2))
                it.now += 61
                await it.until(lambda: ended(it, "sent", 3))
                await _release(it)
                await it.until(lambda: ended(it, "sent", 4))
            assert sorted(to for mail in peer.taken for to in mail.recipients) == sorted(
                f"{state}@elsewhere.net" for state in ROWS
            )
            await it.sound()

    run(main())


async def _release(it: House) -> None:
    [entry] = await it.queue()
    [held] = [each.id for each in entry.recipients if each.state == "held"]
    assert await it.db.write(lambda tx: queue_admin.release(tx, [held], int(it.now))) == 1
