"""Restore of a backup into an empty data directory: verified first, made fit to serve, then put in place at once."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import tarfile
import zlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from gateway.model.errors import AlreadyExists, InvalidRequest, Unavailable
from gateway.store.db import open_database
from gateway.store.migrate import migrate
from gateway.store.queue_admin import HeldRecipient
from gateway.store.snapshot import mark_restored, verify_sqlite
from gateway.store.urls import parse_url

from .backup import DATABASE, MANIFEST, MASTER_KEY, Manifest, hash_file, is_tar, read_manifest, sync

_KNOWN: Final = (MANIFEST, DATABASE, MASTER_KEY)
_MAX_MANIFEST: Final = 1024 * 1024
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """`held`: recipients whose mail may or may not have gone out since the backup; release or cancel each."""

    manifest: Manifest
    held: tuple[HeldRecipient, ...]
    master_key_restored: bool


async def restore(source: Path, url: str, *, now: int, master_key: Path | None = None) -> RestoreReport:
    """Restore `source` (a directory or tar file made by `backup`) to the SQLite store at `url`.

    The caller holds the data directory's lock. `master_key` is where a key inside the backup goes; nothing is ever
    overwritten. Raises AlreadyExists when the store is there already, InvalidRequest for a damaged or foreign backup or
    a PostgreSQL store, Unavailable when the disk fails.
    """
    target = parse_url(url)
    if target.dialect == "postgresql":
        raise InvalidRequest("This store is in PostgreSQL. Restore it with: pg_restore --dbname=… gateway.dump")
    store = target.path
    work = store.with_name(store.name + ".restore")
    try:
        await asyncio.to_thread(_refuse_existing, store, work)
        try:
            manifest = await asyncio.to_thread(_unpack, source, work)
            with_key = manifest.includes_master_key and master_key is not None
            if with_key and master_key is not None and await asyncio.to_thread(master_key.exists):
                raise AlreadyExists(f"{master_key} exists already, and the backup has a key of its own")
            held = await _make_fit(work / DATABASE, now)
            await asyncio.to_thread(_put_in_place, work, store, master_key)
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
    except OSError as error:
        raise Unavailable(f"The backup could not be restored: {error.strerror}") from error
    return RestoreReport(manifest, tuple(held), with_key)


async def _make_fit(path: Path, now: int) -> list[HeldRecipient]:
    """Bring an older backup's schema up to date and end what must not go on (`store.snapshot.mark_restored`)."""
    url = f"sqlite:///{path}"
    await migrate(url)
    db = open_database(url)
    await db.start()
    try:
        return await db.write(partial(mark_restored, now=now))
    finally:
        await db.close()


def _refuse_existing(store: Path, work: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        if Path(f"{store}{suffix}").exists():
            raise AlreadyExists(f"{store}{suffix} exists: a backup is only restored where no store is")
    if work.exists():
        raise AlreadyExists(f"{work} is left of a restore that broke off: remove it first")


def _unpack(source: Path, work: Path) -> Manifest:
    """Copy the backup's files into `work` and prove that they are what the manifest says."""
    if not source.exists():
        raise InvalidRequest(f"There is no backup at {source}")
    work.mkdir(mode=0o700, parents=True)
    if source.is_dir():
        for name in _KNOWN:
            if (source / name).is_file():
                with (source / name).open("rb") as file:
                    _write(work / name, file)
    else:
        _unpack_tar(source, work)
    if not (work / MANIFEST).is_file() or (work / MANIFEST).stat().st_size > _MAX_MANIFEST:
        raise InvalidRequest(f"{source} is no backup of the gateway: it has no manifest")
    manifest = read_manifest((work / MANIFEST).read_bytes())
    for entry in manifest.files:
        path = work / entry.name
        if entry.name not in _KNOWN or not path.is_file() or path.stat().st_size != entry.size:
            raise InvalidRequest(f"The backup is incomplete: {entry.name} is missing or cut off")
        if hash_file(path) != entry.sha256:
            raise InvalidRequest(f"The backup is damaged: {entry.name} is not what was written")
    if DATABASE not in {entry.name for entry in manifest.files}:
        raise InvalidRequest("The backup is incomplete: it has no store")
    verify_sqlite(work / DATABASE)
    return manifest


def _unpack_tar(source: Path, work: Path) -> None:
    """Only the names we know, only plain files, and nothing of what the archive says of paths, owners or modes."""
    try:
        with tarfile.open(source, "r:*") as tar:
            for member in tar:
                if member.name in _KNOWN and member.isreg():
                    file = tar.extractfile(member)
                    assert file is not None  # a plain file
                    _write(work / member.name, file)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        what = "is damaged or cut off" if is_tar(source) else "is no backup: neither a directory nor a tar file"
        raise InvalidRequest(f"{source} {what}") from error


def _write(path: Path, source: IO[bytes]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        target: Any = file
        shutil.copyfileobj(source, target, _PIECE)


def _put_in_place(work: Path, store: Path, master_key: Path | None) -> None:
    """The key first: a store without its key would look whole and not be."""
    if master_key is not None and (work / MASTER_KEY).exists():
        sync(work / MASTER_KEY)
        (work / MASTER_KEY).rename(master_key)
        sync(master_key.parent)
    for suffix in ("-wal", "-shm"):
        if (work / f"{DATABASE}{suffix}").exists():
            raise Unavailable("The restored store was not closed whole: try again")
    sync(work / DATABASE)
    (work / DATABASE).rename(store)
    sync(store.parent)
