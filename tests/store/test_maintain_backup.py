"""Backup beside a running store, and restore into an empty place."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import tarfile
from pathlib import Path

import pytest

from gateway.maintain.backup import MANIFEST, MASTER_KEY, backup, pg_dump_line
from gateway.maintain.restore import restore
from gateway.model.errors import AlreadyExists, InvalidRequest
from gateway.model.ids import InboxId, MailboxId
from gateway.store import content, entries, inboxes, mailboxes, messages, queue_admin, quota, submissions
from gateway.store.db import Database, Tx, open_database
from gateway.store.queue import QueueState
from gateway.store.quota import Limits
from tests.support.queue import claim_due

from .helpers import NOW, assert_consistent, fill, mailbox_id, make_inbox, put, staged, submission


async def _open(url: str) -> Database:
    db = open_database(url)
    await db.start()
    return db


async def _populate(db: Database) -> tuple[InboxId, MailboxId]:
    inbox = await make_inbox(db)
    box = await mailbox_id(db, inbox.id)
    await fill(db, inbox.id, box, 5)
    await db.write(lambda tx: put(tx, inbox.id, box, b"a: b\r\n\r\n" + b"x" * 300_000, keywords=["$Work"]))
    made = staged(b"a: b\r\n\r\n")
    new = submission(inbox.id, inbox.address, made, ["a@x.test", "b@x.test"])

    def unit(tx: Tx) -> None:
        content.complete(tx, made, NOW)
        submissions.enqueue(tx, new, NOW)

    await db.write(unit)
    await db.write(lambda tx: claim_due(tx, NOW, 1))
    return inbox.id, box


@pytest.mark.parametrize("name", ["copy", "copy.tar", "copy.tar.gz"])
@pytest.mark.parametrize("with_key", [False, True])
def test_a_store_comes_back_from_its_backup(sqlite_url: str, tmp_path: Path, name: str, with_key: bool) -> None:
    asyncio.run(_there_and_back(sqlite_url, tmp_path, name, with_key))


async def _there_and_back(url: str, tmp_path: Path, name: str, with_key: bool) -> None:
    key = tmp_path / "master.key"
    key.write_bytes(b"k" * 32)
    db = await _open(url)
    inbox_id, box = await _populate(db)
    await db.write(lambda tx: entries.change(tx, inbox_id, box, {"/shared/comment": b"kept"}), inboxes=(inbox_id,))
    await db.write(lambda tx: quota.set_limits(tx, inbox_id, Limits(octets=9_000_000)), inboxes=(inbox_id,))
    before = await db.read(lambda rx: mailboxes.list_mailboxes(rx, inbox_id))
    was = await db.read(lambda rx: inboxes.inbox_by_id(rx, inbox_id))
    rows = await db.read(lambda rx: messages.load(rx, box, 0, 100))
    destination = tmp_path / name
    manifest = await backup(url, destination, now=NOW, master_key=key if with_key else None)
    assert (manifest.inboxes, manifest.messages, manifest.includes_master_key) == (1, 6, with_key)
    assert stat.S_IMODE(os.stat(destination).st_mode) & 0o077 == 0
    await fill(db, inbox_id, box, 1)  # the store goes on meanwhile
    await db.close()

    place = tmp_path / "restored"
    place.mkdir()
    restored_url = f"sqlite:///{place / 'gateway.db'}"
    report = await restore(destination, restored_url, now=NOW + 1_000, master_key=place / "master.key")
    assert report.manifest == manifest
    assert [(who.mail_from, who.address) for who in report.held] == [
        ("anna@example.test", "a@x.test"),
        ("anna@example.test", "b@x.test"),
    ]
    assert report.master_key_restored == with_key
    assert sorted(entry.name for entry in place.iterdir()) == ["gateway.db"] + ["master.key"] * with_key
    again = await _open(restored_url)
    try:
        await assert_consistent(again)
        after = await again.read(lambda rx: mailboxes.list_mailboxes(rx, inbox_id))
        assert [(row.name, row.object_id, row.messages) for row in after] == [
            (row.name, row.object_id, row.messages) for row in before
        ]
        old = {row.uidvalidity for row in before}
        assert len({row.uidvalidity for row in after}) == len(after)
        assert min(row.uidvalidity for row in after) > max(old)
        now = await again.read(lambda rx: inboxes.inbox_by_id(rx, inbox_id))
        assert was is not None
        assert now is not None
        assert now.epoch != was.epoch
        assert (now.limits, now.mailboxes) == (Limits(octets=9_000_000), was.mailboxes)
        assert await again.read(lambda rx: entries.of_mailbox(rx, inbox_id, box)) == {"/shared/comment": b"kept"}
        assert await again.read(lambda rx: messages.load(rx, box, 0, 100)) == rows
        stats = await again.read(lambda rx: queue_admin.stats(rx, NOW))
        assert stats.states == {QueueState.HELD: 2}
        made = await again.write(lambda tx: mailboxes.create(tx, inbox_id, "new", now=NOW))
        assert made.uidvalidity > max(row.uidvalidity for row in after)
    finally:
        await again.close()


def test_a_backup_overwrites_nothing_and_leaves_nothing_half(sqlite_url: str, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with pytest.raises(AlreadyExists):
        asyncio.run(backup(sqlite_url, there, now=NOW))
    with pytest.raises(InvalidRequest):
        asyncio.run(backup(sqlite_url, tmp_path / "copy.tar", now=NOW, master_key=tmp_path / "none"))
    with pytest.raises(InvalidRequest):
        asyncio.run(backup(f"sqlite:///{tmp_path}/none.db", tmp_path / "copy", now=NOW))
    (tmp_path / "copy.partial").mkdir()
    with pytest.raises(AlreadyExists):
        asyncio.run(backup(sqlite_url, tmp_path / "copy", now=NOW))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["copy.partial", "gateway.db", "there"]


def test_restore_refuses_where_a_store_is(sqlite_url: str, tmp_path: Path) -> None:
    asyncio.run(backup(sqlite_url, tmp_path / "copy", now=NOW))
    with pytest.raises(AlreadyExists):
        asyncio.run(restore(tmp_path / "copy", sqlite_url, now=NOW))
    (tmp_path / "other.db-wal").write_bytes(b"")
    with pytest.raises(AlreadyExists):
        asyncio.run(restore(tmp_path / "copy", f"sqlite:///{tmp_path}/other.db", now=NOW))


def test_restore_never_overwrites_a_key(sqlite_url: str, tmp_path: Path) -> None:
    key = tmp_path / "k"
    key.write_bytes(b"new")
    asyncio.run(backup(sqlite_url, tmp_path / "copy", now=NOW, master_key=key))
    with pytest.raises(AlreadyExists):
        asyncio.run(restore(tmp_path / "copy", f"sqlite:///{tmp_path}/other.db", now=NOW, master_key=key))
    assert not (tmp_path / "other.db").exists()
    assert not (tmp_path / "other.db.restore").exists()


@pytest.mark.parametrize("harm", ["octet", "short", "manifest", "none", "format", "foreign", "file"])
def test_restore_refuses_a_damaged_backup(sqlite_url: str, tmp_path: Path, harm: str) -> None:
    copy = tmp_path / "copy"
    asyncio.run(backup(sqlite_url, copy, now=NOW))
    database, manifest = copy / "gateway.db", copy / MANIFEST
    octets = database.read_bytes()
    if harm == "octet":
        database.write_bytes(octets[:5_000] + bytes([octets[5_000] ^ 1]) + octets[5_001:])
    elif harm == "short":
        database.write_bytes(octets[:-1])
    elif harm == "manifest":
        manifest.write_bytes(b"{}")
    elif harm == "none":
        manifest.unlink()
    elif harm == "format":
        manifest.write_text(json.dumps(json.loads(manifest.read_bytes()) | {"format": 2}))
    elif harm == "foreign":
        copy = tmp_path / "some.txt"
        copy.write_bytes(b"hello")
    else:
        copy = tmp_path / "nowhere"
    with pytest.raises(InvalidRequest):
        asyncio.run(restore(copy, f"sqlite:///{tmp_path}/other.db", now=NOW))
    assert not (tmp_path / "other.db").exists()
    assert not (tmp_path / "other.db.restore").exists()


def test_a_tar_that_is_cut_off_or_hostile_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    whole = tmp_path / "copy.tar.gz"
    asyncio.run(backup(sqlite_url, whole, now=NOW))
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(whole.read_bytes()[:-400])
    hostile = tmp_path / "hostile.tar"
    with tarfile.open(hostile, "w") as tar:
        for name in ("../escaped", "/tmp/escaped", MASTER_KEY):
            link = tarfile.TarInfo(name)
            link.type = tarfile.SYMTYPE
            link.linkname = "/etc/passwd"
            tar.addfile(link)
    for bad in (cut, hostile):
        with pytest.raises(InvalidRequest):
            asyncio.run(restore(bad, f"sqlite:///{tmp_path}/other.db", now=NOW))
    assert not (tmp_path.parent / "escaped").exists()
    assert not (tmp_path / "other.db").exists()


def test_postgresql_is_left_to_its_own_tools() -> None:
    url = "postgresql://gate:secret@db.test:5433/mail"
    with pytest.raises(InvalidRequest, match="pg_dump --format=custom") as refused:
        asyncio.run(backup(url, Path("x"), now=NOW))
    assert "secret" not in str(refused.value)
    assert pg_dump_line(url).endswith("'postgresql://gate@db.test:5433/mail'")
    with pytest.raises(InvalidRequest, match="pg_restore"):
        asyncio.run(restore(Path("x"), url, now=NOW))
