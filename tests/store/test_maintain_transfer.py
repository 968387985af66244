"""Import and export: eml files, mbox, Maildir; what comes back is what went in."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.ingest.writer import Ingest
from gateway.maintain.importer import Importer, ImportReport
from gateway.maintain.sources import Format
from gateway.model.errors import AlreadyExists, InvalidRequest, NotFound
from gateway.model.flags import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN
from gateway.model.ids import InboxId
from gateway.store import content, export_rows, mailboxes
from gateway.store.db import Database

from .helpers import NOW, make_inbox
from .transfer import Progress, export_mailbox, import_path

MESSAGES = [
    b"From: a@x.test\r\nDate: Tue, 14 Nov 2023 10:00:00 +0000\r\nSubject: one\r\n\r\nHello\r\n",
    b"Subject: From here\r\n\r\nFrom the start\r\n>From quoted\r\n\r\nFrom a@x.test Mon Jan  1 00:00:00 2024\r\n\r\n",
    b"Subject: empty body\r\n\r\n",
    b"Subject: long\r\n\r\n" + b"x" * 70_000 + b"\r\n" + b"yz\r\n" * 150_000,
    b"Subject: =?utf-8?q?=C3=A9?=\r\n\r\n\xff\x00\xfe binary\r\n",
]
FLAGS = [SEEN, SEEN | ANSWERED | FLAGGED, 0, DELETED | DRAFT, 0]
KEYWORDS = [(), ("$Work", "$Forwarded"), (), (), ("$Work",)]


async def _one(octets: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), 9_999):
        yield octets[start : start + 9_999]


async def _fill(db: Database, inbox_id: InboxId) -> None:
    importer = Importer(db, Ingest(db, now=lambda: NOW), inbox_id, "INBOX", now=lambda: NOW)
    for number, octets in enumerate(MESSAGES):
        await importer.add(
            _one(octets), where=str(number), date=NOW + number, flags=FLAGS[number], keywords=KEYWORDS[number]
        )
    assert (await importer.finish()).imported == len(MESSAGES)


async def _read(db: Database, inbox_id: InboxId, name: str) -> list[tuple[bytes, int, int, set[str]]]:
    """(octets, date, system flags, keywords) of each message."""
    box = await db.read(lambda rx: mailboxes.by_name(rx, inbox_id, name))
    assert box is not None
    words = await db.read(lambda rx: mailboxes.keywords(rx, box.id))
    found = []
    for row in await db.read(lambda rx: export_rows.page(rx, inbox_id, box.id, 0, 1_000)):
        octets = await db.read(
            lambda rx, c=row.content_id: content.read_header(rx, c) + content.read_body(rx, c, 0, 1 << 30)
        )
        names = {word for bit, word in words.items() if row.flags >> bit & 1}
        found.append((octets, row.internal_date, row.flags & 31, names))
    return found


async def _import(db: Database, inbox_id: InboxId, name: str, path: Path, **options: object) -> ImportReport:
    ingest = Ingest(db, now=lambda: NOW)
    return await import_path(db, ingest, inbox_id, name, path, now=lambda: NOW, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", list(Format))
async def test_what_is_exported_comes_back(db: Database, tmp_path: Path, form: Format) -> None:
    inbox = await make_inbox(db)
    await _fill(db, inbox.id)
    went: list[Progress] = []
    report = await export_mailbox(db, inbox.id, "INBOX", tmp_path / "out", form, progress=went.append)
    assert (report.exported, report.octets, report.skipped) == (5, sum(map(len, MESSAGES)), [])
    assert went[-1] == Progress(5, 5)
    came: list[Progress] = []
    taken = await _import(db, inbox.id, "Back/Again", tmp_path / "out", progress=came.append)
    assert (taken.imported, taken.skipped) == (5, [])
    assert came[-1].done == came[-1].total
    before, after = await _read(db, inbox.id, "INBOX"), await _read(db, inbox.id, "Back/Again")
    assert [row[0] for row in after] == [row[0] for row in before] == MESSAGES
    if form is not Format.EML:
        assert after == before


async def test_an_eml_file_keeps_its_octets_and_takes_its_own_date(db: Database, tmp_path: Path) -> None:
    inbox = await make_inbox(db)
    for name, octets in {"a.eml": MESSAGES[0], "b.EML": b"a: b\n\nlocal\nform\n", "c.txt": b"no", "d.eml": b""}.items():
        (tmp_path / name).write_bytes(octets)
    report = await _import(db, inbox.id, "INBOX", tmp_path)
    assert report.imported == 2
    assert [skipped.where for skipped in report.skipped] == ["d.eml"]
    first, second = await _read(db, inbox.id, "INBOX")
    assert first[:2] == (MESSAGES[0], 1_699_956_000)
    assert second[:2] == (b"a: b\r\n\r\nlocal\r\nform\r\n", NOW)
    assert (await _import(db, inbox.id, "One", tmp_path / "a.eml")).imported == 1


async def test_an_mbox_of_others_is_read(db: Database, tmp_path: Path) -> None:
    inbox = await make_inbox(db)
    path = tmp_path / "mbox"
    path.write_bytes(
        b"From a@x.test Tue Nov 14 10:00:00 2023\nStatus: RO\nX-Status: AF\nX-Keywords: $Work  odd(one\nX-UID: 7\n"
        b"Subject: one\n\nFrom my window\n>From quoted\n>>From twice\n\n"
        b"From - Tue Nov 14 11:00:00 2023\nX-Mozilla-Status: 0001\nSubject: two\n\nbody\n"
    )
    report = await _import(db, inbox.id, "INBOX", path)
    assert report.imported == 2
    first, second = await _read(db, inbox.id, "INBOX")
    assert first == (
        b"Subject: one\r\n\r\nFrom my window\r\nFrom quoted\r\n>From twice\r\n",
        1_699_956_000,
        SEEN | ANSWERED | FLAGGED,
        {"$Work"},
    )
    assert second == (b"X-Mozilla-Status: 0001\r\nSubject: two\r\n\r\nbody\r\n", 1_699_959_600, SEEN, set())


async def test_a_maildir_brings_its_folders_flags_and_keywords(db: Database, tmp_path: Path) -> None:
    inbox = await make_inbox(db)
    root = tmp_path / "Maildir"
    for folder in (root, root / ".Sent", root / ".Work.Z&APw-rich", root / ".nothing"):
        for part in ("cur", "new", "tmp"):
            (folder / part).mkdir(parents=True)
    (root / ".nothing" / "cur").rmdir()
    (root / "dovecot-keywords").write_text("0 $Work\n1 $Label2\nnonsense\n")
    for name, octets in {
        "cur/1.a:2,PRSab": b"a: 1\n\none\n",
        "new/2.b": b"a: 2\n\ntwo\n",
        "tmp/3.c": b"a: 3\n\nthree\n",
        "cur/.hidden": b"a: 4\n\n",
        ".Sent/cur/5.e:2,": b"a: 5\n\nfive\n",
        ".Work.Z&APw-rich/cur/6.f:2,FT": b"a: 6\n\nsix\n",
    }.items():
        (root / name).write_bytes(octets)
        os.utime(root / name, (NOW, NOW))
    report = await _import(db, inbox.id, "Import", root)
    assert (report.imported, report.skipped) == (4, [])
    first, second = await _read(db, inbox.id, "Import")
    assert first == (b"a: 1\r\n\r\none\r\n", NOW, ANSWERED | SEEN, {"$Forwarded", "$Work", "$Label2"})
    assert second == (b"a: 2\r\n\r\ntwo\r\n", NOW, 0, set())
    assert len(await _read(db, inbox.id, "Import/Sent")) == 1
    [deep] = await _read(db, inbox.id, "Import/Work/Z\u00fcrich")
    assert deep[2] == FLAGGED | DELETED


async def test_one_bad_message_does_not_stop_the_others(db: Database, tmp_path: Path) -> None:
    inbox = await make_inbox(db)
    path = tmp_path / "mbox"
    large = b"From a@x.test Tue Nov 14 10:00:00 2023\nSubject: large\n\n" + b"x" * 80 + b"\n\n"
    path.write_bytes(large * 2000)
    (tmp_path / "small.mbox").write_bytes(b"From - \na: b\n\nfits\n\n" + b"From - \na: b\n\n" + b"y" * 600_000 + b"\n")
    report = await _import(db, inbox.id, "INBOX", tmp_path / "small.mbox", max_size=400_000)
    assert report.imported == 1
    assert ["larger than" in skipped.reason for skipped in report.skipped] == [True]
    many = await _import(db, inbox.id, "Many", path)
    assert (many.imported, many.skipped) == (2_000, [])


async def test_keywords_beyond_what_a_mailbox_holds_are_reported(db: Database) -> None:
    inbox = await make_inbox(db)
    importer = Importer(db, Ingest(db, now=lambda: NOW), inbox.id, "INBOX", now=lambda: NOW)
    for number in range(60):
        await importer.add(_one(b"a: b\r\n\r\n"), where=str(number), keywords=[f"k{number}"])
    report = await importer.finish()
    assert report.imported == 60
    assert [skipped.where for skipped in report.skipped] == ["58", "59"]


async def test_export_overwrites_nothing(db: Database, tmp_path: Path) -> None:
    inbox = await make_inbox(db)
    await _fill(db, inbox.id)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").write_bytes(b"")
    for form in Format:
        with pytest.raises(AlreadyExists):
            await export_mailbox(db, inbox.id, "INBOX", tmp_path / "there", form)
    with pytest.raises(NotFound):
        await export_mailbox(db, inbox.id, "nowhere", tmp_path / "x", Format.MBOX)
    some = await export_mailbox(db, inbox.id, "INBOX", tmp_path / "some", Format.EML, uids=[2, 4, 99])
    assert some.exported == 2
    assert sorted(entry.name for entry in (tmp_path / "some").iterdir()) == ["0000000002.eml", "0000000004.eml"]
    with pytest.raises(InvalidRequest):
        await export_mailbox(db, inbox.id, "INBOX", tmp_path / "no" / "such" / "place", Format.MBOX)


async def test_what_is_not_there_is_refused(db: Database, tmp_path: Path) -> None:
    inbox = await make_inbox(db)
    for options in ({}, {"form": Format.MAILDIR}, {"form": Format.MBOX}):
        with pytest.raises(InvalidRequest):
            await _import(db, inbox.id, "INBOX", tmp_path / "nothing", **options)
