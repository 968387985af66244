"""Secrets at rest on both databases: one key for all nodes, a new one without a gap, nothing lost by a wrong one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import LargeBinary

from gateway.model.errors import ConfigError, InvalidRequest
from gateway.store import resealing, vault
from gateway.store.connectors import oauth_apps
from gateway.store.connectors.oauth_apps import AppRow, AppValues
from gateway.store.db import Database, Tx, open_database
from gateway.store.master_key import GivenKeys, KeyFile
from gateway.store.resealing import abandon, rotate, sealed_columns
from gateway.store.schema import metadata
from gateway.store.sealing import MasterKey, MissingKey, Sealer, key_id_of
from gateway.store.statements import Stmt
from gateway.store.vault import KeysChanged, Vault, key_ids

NOW = 1_800_000_000


async def put(keys: Vault, name: str, secret: str) -> AppRow:
    def unit(tx: Tx, sealer: Sealer) -> AppRow:
        sealed = sealer.seal(secret, oauth_apps.secret_place(f"uuid-{name}"))
        return oauth_apps.create(tx, f"uuid-{name}", name, "google", AppValues("id", secret_sealed=sealed), NOW)

    return await keys.write(unit)


async def secret_of(db: Database, keys: Vault, name: str) -> str:
    row = await db.read(lambda rx: oauth_apps.named(rx, name))
    assert row.secret_sealed is not None
    return await keys.open(row.secret_sealed, oauth_apps.secret_place(row.uuid))


@asynccontextmanager
async def another_engine(db: Database, url: str) -> AsyncIterator[Database]:
    """Another node, where there can be one."""
    if db.dialect == "sqlite":
        yield db
        return
    other = open_database(url)
    await other.start()
    try:
        yield other
    finally:
        await other.close()


async def test_the_first_secret_makes_the_key(db: Database, tmp_path: Path, runner: asyncio.Runner) -> None:
    path = tmp_path / "master.key"
    keys = Vault(db, KeyFile(path))
    await keys.check()
    assert not path.exists(), "a store without secrets needs no key"
    row = await put(keys, "one", "hunter2")
    assert path.stat().st_mode & 0o777 == 0o600
    again = Vault(db, KeyFile(path))
    await again.check()
    assert await secret_of(db, again, "one") == "hunter2"
    assert row.secret_sealed is not None
    assert await db.read(key_ids) == [key_id_of(row.secret_sealed)]


async def test_a_missing_key_is_not_replaced(db: Database, tmp_path: Path, runner: asyncio.Runner) -> None:
    path = tmp_path / "master.key"
    await put(Vault(db, KeyFile(path)), "one", "hunter2")
    kept = path.read_bytes()
    path.unlink()
    keys = Vault(db, KeyFile(path))
    for attempt in (keys.check(), keys.sealer(), put(keys, "two", "x"), secret_of(db, keys, "one"), rotate(db, keys)):
        with pytest.raises(MissingKey, match="put it back"):
            await attempt
    assert not path.exists()
    path.write_bytes(kept)
    path.chmod(0o600)
    await keys.check()
    assert await secret_of(db, keys, "one") == "hunter2"


async def test_another_nodes_key_is_refused(db: Database, url: str, tmp_path: Path, runner: asyncio.Runner) -> None:
    await put(Vault(db, KeyFile(tmp_path / "one.key")), "one", "hunter2")
    async with another_engine(db, url) as other:
        wrong = Vault(other, KeyFile(tmp_path / "two.key"))
        KeyFile(tmp_path / "two.key").make()
        before = (tmp_path / "two.key").read_bytes()
        for attempt in (wrong.check(), put(wrong, "two", "x"), rotate(other, wrong)):
            with pytest.raises(MissingKey, match=r"two\.key holds"):
                await attempt
        assert (tmp_path / "two.key").read_bytes() == before
        (tmp_path / "two.key").write_bytes(before + (tmp_path / "one.key").read_bytes())
        await wrong.check()
        assert await secret_of(other, wrong, "one") == "hunter2"
        row = await put(wrong, "two", "x")
        assert [key_id_of(row.secret_sealed or b"")] == await db.read(key_ids), "what the store names seals"


async def test_two_nodes_that_begin_at_once_hold_to_one_key(
    db: Database, url: str, tmp_path: Path, runner: asyncio.Runner
) -> None:
    async with another_engine(db, url) as other:
        vaults = [Vault(db, KeyFile(tmp_path / "a.key")), Vault(other, KeyFile(tmp_path / "b.key"))]
        found = await asyncio.gather(*(each.sealer() for each in vaults), return_exceptions=True)
        assert sorted(isinstance(each, MissingKey) for each in found) == [False, True], "the later one is told so"
        assert len(await db.read(key_ids)) == 1


async def test_a_new_key_seals_everything_anew(db: Database, tmp_path: Path, runner: asyncio.Runner) -> None:
    path = tmp_path / "master.key"
    keys = Vault(db, KeyFile(path))
    count = 2 * resealing.PAGE + 7
    for number in range(count):
        await put(keys, f"{number:04}", f"secret {number}")
    old = (await keys.sealer()).key_id
    told: list[int] = []
    done = await rotate(db, keys, progress=told.append)
    assert (done.resealed, done.damaged, done.forgotten) == (count, (), False)
    assert told[-1] == count
    assert await db.read(key_ids) == [done.key_id] != [old]
    rows = await db.read(oauth_apps.everything)
    assert {key_id_of(row.secret_sealed or b"") for row in rows} == {done.key_id}
    assert [await secret_of(db, keys, row.name) for row in rows] == [f"secret {number}" for number in range(count)]
    ring = KeyFile(path).read()
    assert ring is not None
    assert [key.id for key in ring] == [done.key_id, old], "backups of before need the old one"
    last = await rotate(db, keys, forget=True)
    ring = KeyFile(path).read()
    assert ring is not None
    assert [key.id for key in ring] == [last.key_id]
    assert await secret_of(db, Vault(db, KeyFile(path)), "0003") == "secret 3"


@pytest.mark.parametrize("step", range(5))
async def test_a_rotation_that_was_cut_off_goes_on(
    db: Database, tmp_path: Path, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = tmp_path / "master.key"
    keys = Vault(db, KeyFile(path))
    for number in range(2 * resealing.PAGE):
        await put(keys, f"{number:04}", f"secret {number}")
    write, left = db.write, step

    async def dying(*unit: object, **how: object) -> object:
        nonlocal left
        if left == 0:
            raise RuntimeError("killed")
        left -= 1
        return await write(*unit, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(db, "write", dying)
    with pytest.raises(RuntimeError):
        await rotate(db, keys)
    monkeypatch.setattr(db, "write", write)
    keys = Vault(db, KeyFile(path))
    await keys.check()
    assert await secret_of(db, keys, "0000") == "secret 0"
    assert await secret_of(db, keys, "0199") == "secret 199"
    row = await put(keys, "meanwhile", "x")
    assert row.secret_sealed is not None
    done = await rotate(db, keys)
    assert await db.read(key_ids) == [done.key_id]
    rows = await db.read(oauth_apps.everything)
    assert {key_id_of(each.secret_sealed or b"") for each in rows} == {done.key_id}


async def test_a_node_that_missed_the_change(db: Database, url: str, tmp_path: Path, runner: asyncio.Runner) -> None:
    path = tmp_path / "master.key"
    one = Vault(db, KeyFile(path))
    await put(one, "one", "hunter2")
    async with another_engine(db, url) as other:
        late = Vault(other, KeyFile(path))
        await late.sealer()
        done = await rotate(db, one)
        row = await put(late, "two", "x")
        assert key_id_of(row.secret_sealed or b"") == done.key_id, "it seals with the new key at once"
        assert await secret_of(other, late, "one") == "hunter2"
        stale = Vault(other, KeyFile(path))
        await stale.sealer()
        again = await rotate(db, one)
        assert again.resealed == 2
        assert await secret_of(other, stale, "one") == "hunter2", "opening looks for the key that came since"


async def test_what_nothing_opens_stays_as_it_is(db: Database, tmp_path: Path, runner: asyncio.Runner) -> None:
    path = tmp_path / "master.key"
    keys = Vault(db, KeyFile(path))
    for name in ("a", "b", "c"):
        await put(keys, name, name)
    copy = Stmt("UPDATE oauth_app SET secret_sealed = (SELECT secret_sealed FROM oauth_app WHERE name = 'a')"
                " WHERE name = 'b'")  # fmt: skip
    await db.write(lambda tx: tx.run(copy))
    before = await db.read(lambda rx: oauth_apps.named(rx, "b"))
    done = await rotate(db, keys, forget=True)
    assert (done.resealed, done.damaged, done.forgotten) == (2, ("oauth_app.secret_sealed of uuid-b",), False)
    assert await db.read(lambda rx: oauth_apps.named(rx, "b")) == before
    assert (await rotate(db, keys)).key_id != done.key_id, "and keeps nobody from changing keys again"


async def test_keys_that_the_administrator_gives(db: Database, runner: asyncio.Runner) -> None:
    first, second = MasterKey.draw(), MasterKey.draw()
    given = [first.text]
    keys = Vault(db, GivenKeys(lambda: given[0], "store.master_key"))
    await put(keys, "one", "hunter2")
    with pytest.raises(ConfigError, match=r"put a new key .* before the old one"):
        await rotate(db, keys)
    given[0] = f"{second.text} {first.text}"
    done = await rotate(db, keys)
    assert (done.key_id, done.resealed) == (second.id, 1)
    given[0] = second.text
    assert await secret_of(db, Vault(db, keys.source), "one") == "hunter2"
    given[0] = first.text
    with pytest.raises(MissingKey):
        await Vault(db, keys.source).check()


async def test_two_rotations_at_once(db: Database, tmp_path: Path, runner: asyncio.Runner) -> None:
    keys = [Vault(db, KeyFile(tmp_path / "master.key")) for _ in range(2)]
    for number in range(20):
        await put(keys[0], f"{number:04}", f"secret {number}")
    found = await asyncio.gather(*(rotate(db, each) for each in keys), return_exceptions=True)
    assert [each for each in found if isinstance(each, BaseException) and not isinstance(each, KeysChanged)] == []
    keys[0].forget()
    await rotate(db, keys[0])
    assert len(await db.read(key_ids)) == 1
    assert [await secret_of(db, keys[0], f"{number:04}") for number in range(20)] == [
        f"secret {number}" for number in range(20)
    ]


async def test_a_unit_that_was_sealed_with_the_old_key_is_refused(
    db: Database, tmp_path: Path, runner: asyncio.Runner
) -> None:
    keys = Vault(db, KeyFile(tmp_path / "master.key"))
    old = await keys.sealer()
    await rotate(db, keys)
    with pytest.raises(KeysChanged):
        await db.write(lambda tx: vault.fence(tx, old))


async def test_secrets_whose_key_is_lost(db: Database, tmp_path: Path, runner: asyncio.Runner) -> None:
    path = tmp_path / "master.key"
    await put(Vault(db, KeyFile(path)), "one", "hunter2")
    keys = Vault(db, KeyFile(path))
    with pytest.raises(InvalidRequest, match="key is there"):
        await abandon(db, keys)
    path.unlink()
    keys.forget()
    assert await abandon(db, keys) == 1
    assert (await db.read(lambda rx: oauth_apps.named(rx, "one"))).secret_sealed is None
    await put(keys, "two", "x")
    assert await secret_of(db, keys, "two") == "x"


def test_every_sealed_column_is_sealed_anew() -> None:
    found = {(column.table, column.column) for column in sealed_columns()}
    assert found >= {
        ("oauth_app", "secret_sealed"), ("oauth_app", "key_sealed"), ("oauth_grant", "refresh_sealed"),
        ("oauth_grant", "access_sealed"), ("oauth_login", "verifier_sealed"), ("connector", "imap_secret"),
        ("connector", "smtp_secret"),
    }  # fmt: skip
    named = {
        (table.name, column.name)
        for table in metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, LargeBinary) and ("secret" in column.name or "sealed" in column.name)
    }
    assert named == found, "a name that ends in _sealed or _secret is what rotation goes by"


MAKE = """
import sys
from pathlib import Path
from gateway.store.master_key import KeyFile
sys.stdin.readline()
print(KeyFile(Path(sys.argv[1])).make().first.id)
"""


def test_two_processes_never_make_two_keys(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    made = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    for each in made:
        assert each.stdin is not None
        each.stdin.write("\n")
        each.stdin.flush()
    found = {each.communicate()[0].strip() for each in made}
    ring = KeyFile(path).read()
    assert ring is not None
    assert found == {ring.first.id}
    assert [entry.name for entry in tmp_path.iterdir()] == ["master.key"]




@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.chmod(0o640), "chmod 600"),
        (lambda path: path.chmod(0o604), "chmod 600"),
        (lambda path: path.write_bytes(b""), "holds no master key"),
        (lambda path: path.write_bytes(b"c2hvcnQ=\n"), "key number 1"),
        (lambda path: path.write_bytes(b"\xff" * 44), "no text"),
        (lambda path: path.write_bytes(b"# " + b"x" * 70_000), "too long"),
        (lambda path: (path.unlink(), path.mkdir()), "plain file"),
        (lambda path: (path.unlink(), os.mkfifo(path, 0o600)), "plain file"),
    ],
)
def test_a_key_file_that_cannot_be_used(tmp_path: Path, change: Callable[[Path], object], words: str) -> None:
    path = tmp_path / "master.key"
    text = KeyFile(path).make().first.text
    change(path)
    with pytest.raises(ConfigError, match=words) as caught:
        KeyFile(path).read()
    assert text not in str(caught.value)


def test_keys_that_two_processes_add_at_once(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    keys = [KeyFile(path).make().first, *(MasterKey.draw() for _ in range(8))]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(KeyFile(path).add, keys[1:]))
    ring = KeyFile(path).read()
    assert ring is not None
    assert set(ring) == set(keys)
    ring = KeyFile(path).drop(frozenset(key.id for key in keys[1:]))
    assert list(ring) == keys[:1]
    with pytest.raises(ConfigError, match="no key any more"):
        KeyFile(path).drop(frozenset({keys[0].id}))


def test_a_directory_that_takes_no_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        KeyFile(tmp_path / "missing" / "master.key").make()
