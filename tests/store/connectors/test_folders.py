"""Folders: discovery that an outage cannot fool, snapshots, links and cursors."""

from __future__ import annotations

import pytest

from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.ids import MailboxId
from gateway.store.connectors import folders
from gateway.store.connectors.folders import Discovered
from gateway.store.connectors.rows import FolderId, RemoteFolder
from gateway.store.db import Database
from tests.store.helpers import DOMAIN, NOW, fill, mailbox_id, make_inbox

from .kit import VALIDITY, Account, make_account


def line(name: str, **facts: object) -> Discovered:
    known: dict[str, object] = {"delimiter": "/", "selectable": True} | facts
    return Discovered(name.encode("utf-7"), name, **known)  # type: ignore[arg-type]


async def discover(account: Account, *lines: Discovered) -> dict[str, RemoteFolder]:
    found = await account.twice(lambda tx: folders.discovered(tx, account.claim, lines, now=NOW))
    return {each.name: each for each in found}


async def once(account: Account, *lines: Discovered) -> dict[str, RemoteFolder]:
    found = await account.write(lambda tx: folders.discovered(tx, account.claim, lines, now=NOW))
    return {each.name: each for each in found}


async def test_what_list_shows(db: Database) -> None:
    account = await make_account(db)
    found = await discover(account, line("INBOX"), line("Gelöscht", role="\\Trash", remote_id="F1"),
                           line("only a name", selectable=False), line("flat", delimiter=None))  # fmt: skip
    assert found["Gelöscht"].role == "\\Trash"
    assert (found["INBOX"].phase, found["INBOX"].uidvalidity, found["INBOX"].modseq_ok) == ("new", None, True)
    assert (found["only a name"].selectable, found["flat"].delimiter) == (False, None)
    again = await discover(account, line("INBOX", role="x"), line("Gelöscht"), line("only a name"), line("flat"))
    assert (again["Gelöscht"].remote_id, again["Gelöscht"].role, again["INBOX"].role) == ("F1", None, "x")
    assert [each.id for each in again.values()] == [each.id for each in found.values()]


async def test_a_folder_is_gone_when_it_is_missing_twice_and_back_when_it_is_seen(db: Database) -> None:
    account = await make_account(db)
    await once(account, line("INBOX"), line("Work"))
    missing = await once(account, line("INBOX"))
    assert (missing["Work"].missing, missing["Work"].gone) == (1, False)
    gone = await once(account, line("INBOX"))
    assert (gone["Work"].missing, gone["Work"].gone) == (2, True)
    back = await once(account, line("INBOX"), line("Work"))
    assert (back["Work"].missing, back["Work"].gone, back["Work"].id) == (0, False, gone["Work"].id)


async def test_an_empty_list_says_nothing(db: Database) -> None:
    account = await make_account(db)
    await once(account, line("INBOX"))
    for _ in range(3):
        assert not (await once(account))["INBOX"].gone


async def test_names_that_no_index_takes_are_left_out(db: Database) -> None:
    account = await make_account(db)
    found = await discover(account, line("INBOX"), line("x" * (folders.MAX_RAW + 1)), line("y" * folders.MAX_RAW))
    assert sorted(map(len, found)) == [5, folders.MAX_RAW]
    hostile = await once(account, Discovered(b"\x00\xff", "\x00\udcff", None, True), line("INBOX"))
    assert "\ufffd\ufffd" in hostile
    with pytest.raises(InvalidRequest):
        await once(account, *[line(str(number)) for number in range(folders.MAX_FOLDERS + 1)])


async def test_the_first_look_counts(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder(uidnext=40)
    assert (folder.uidvalidity, folder.uidnext, folder.backfill_low, folder.highest_modseq) == (VALIDITY, 40, 40, 5)
    again = await account.write(
        lambda tx: folders.snapshot(
            tx, account.claim, folder.id, uidvalidity=9, uidnext=99, modseq=None, phase="x", now=NOW
        )
    )
    assert not again
    assert await account.get(folder.id) == folder


async def test_what_was_learned_is_kept(db: Database) -> None:
    account = await make_account(db)
    folder = await account.folder(uidnext=40)
    values = {
        "phase": "live", "highest_modseq": None, "modseq_ok": False, "backfill_floor": 3, "last_full_scan_at": NOW,
        "synced_at": NOW, "select_failures": 2, "probe_at": NOW + 9, "labels": True, "capped": True, "role": "\\Sent",
    }  # fmt: skip
    await account.twice(lambda tx: folders.update(tx, account.claim, folder.id, values, now=NOW))
    after = await account.get(folder.id)
    assert {name: getattr(after, name) for name in values} == values
    with pytest.raises(InvalidRequest):
        await account.write(lambda tx: folders.update(tx, account.claim, folder.id, {"live": 3}, now=NOW))
    with pytest.raises(NotFound):
        await account.write(lambda tx: folders.update(tx, account.claim, FolderId(folder.id + 9), {}, now=NOW))


async def test_a_link_leaves_what_is_there_unless_all_shall_go_up(db: Database) -> None:
    account = await make_account(db)
    box = await account.box("INBOX")
    await fill(db, account.inbox.id, box, 2)
    folder = await account.folder()
    assert (folder.mailbox_id, folder.pushed_modseq) == (box, await account.modseq())
    await account.write(lambda tx: folders.link(tx, account.claim, folder.id, box, everything=True, now=NOW))
    assert (await account.get(folder.id)).pushed_modseq == 0
    await account.write(lambda tx: folders.link(tx, account.claim, folder.id, None, now=NOW))
    assert (await account.get(folder.id)).mailbox_id is None
    other = await make_inbox(db, f"bob@{DOMAIN}")
    theirs = await mailbox_id(db, other.id)
    for wrong in (theirs, MailboxId(theirs + 99)):
        with pytest.raises(NotFound):
            await account.write(lambda tx, wrong=wrong: folders.link(tx, account.claim, folder.id, wrong, now=NOW))


async def test_a_renamed_folder_keeps_its_rows(db: Database) -> None:
    account = await make_account(db)
    found = await once(account, line("Work"), line("Other"))
    number = found["Work"].id

    async def rename(raw: bytes, name: str) -> bool:
        done: bool = await account.write(lambda tx: folders.renamed(tx, account.claim, number, raw, name, now=NOW))
        return done

    assert not await rename(b"Other", "Other")
    assert await rename(b"Jobs", "Jobs")
    assert await rename(b"Jobs", "Jobs")
    after = await once(account, line("Jobs"), line("Other"))
    assert after["Jobs"].id == number
    assert "Work" not in after
    for _ in range(folders.GONE_AFTER):
        after = await once(account, line("Jobs"))
    other = after["Other"]
    assert other.gone
    assert await rename(b"Other", "Other"), "what is gone gives its name up"
    await once(account, line("Other"))
    rows = {row.id: row for row in await account.folders()}
    assert (rows[number].raw, rows[number].gone, rows[other.id].gone) == (b"Other", False, True)
