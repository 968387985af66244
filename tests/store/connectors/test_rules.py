"""The consistency check finds what is wrong with connectors' rows: each rule is broken once by hand."""

from __future__ import annotations

import asyncio

import pytest

from gateway.store import check as checks
from gateway.store.connectors import events, ops
from gateway.store.connectors.rules import RULES
from gateway.store.db import Tx, open_database
from gateway.store.findings import Finding
from gateway.store.statements import Stmt
from tests.store.helpers import DOMAIN, NOW, make_inbox

from .kit import arrival, make_account

BREAKAGES = {
    "connector.inbox": "UPDATE connector SET node_inc = NULL",
    "folder.live": "UPDATE remote_folder SET live = 5",
    "folder.cursors": "UPDATE remote_folder SET pushed_modseq = 100000",
    "remote.folder": "UPDATE remote_message SET system = 32 WHERE uid = 4",
    "place.message": "DELETE FROM remote_message WHERE uid = 4",
    "place.mailbox": "UPDATE remote_place SET local_uid = 77 WHERE uid = 4",
    "place.email": "UPDATE remote_place SET email_id = 'Mx' WHERE uid = 4",
    "source.content": "UPDATE local_source SET content_id = 5",
    "connector.rows": "UPDATE connector_event SET connector_id = 5",
    "op.state": "UPDATE pending_op SET state = 'started'",
}
MORE = (
    ("connector.inbox", "UPDATE connector SET removed_at = 1"),
    ("connector.inbox", "UPDATE connector SET mode = 'push'"),
    ("folder.cursors", "UPDATE remote_folder SET mailbox_id = (SELECT max(id) FROM mailbox)"),
    ("folder.cursors", "UPDATE remote_folder SET uidnext = NULL"),
    ("remote.folder", "UPDATE remote_message SET folder_id = 7"),
    ("remote.folder", "UPDATE remote_message SET gone = 'away' WHERE uid = 4"),
    ("place.mailbox", "UPDATE remote_place SET mailbox_id = (SELECT max(id) FROM mailbox)"),
    ("op.state", "UPDATE pending_op SET key = 'same'"),
)


def test_each_rule_is_tried() -> None:
    assert {code for code, *_ in RULES} == set(BREAKAGES)


@pytest.mark.parametrize(("code", "statement"), [*BREAKAGES.items(), *MORE])
def test_the_check_finds(code: str, statement: str, sqlite_url: str) -> None:
    found = asyncio.run(_broken(sqlite_url, statement))
    assert code in {finding.code for finding in found}
    assert all(finding.text and "{" not in finding.text and finding.remedy for finding in found)


async def _broken(url: str, statement: str) -> list[Finding]:
    db = open_database(url)
    await db.start()
    try:
        account = await make_account(db)
        await make_inbox(db, f"other@{DOMAIN}")
        folder = await account.folder()
        box = await account.box("INBOX")
        await account.bring(folder, [arrival(4, box), arrival(5, box)])

        def unit(tx: Tx) -> None:
            for key in ("one", "two"):
                ops.plan(tx, account.claim, key, "append", {}, now=NOW)
            new = events.NewEvent(events.EventKind.SYNC, events.EventStatus.SUCCESS)
            events.add(tx, account.row.id, new, now=NOW)

        await account.write(unit)
        assert await db.read(lambda rx: checks.check(rx, deep=True)) == []
        assert await db.write(lambda tx: tx.run(Stmt(statement))) > 0
        return await db.read(lambda rx: checks.check(rx, deep=True))
    finally:
        await db.close()
