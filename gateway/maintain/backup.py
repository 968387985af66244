"""Backups of an SQLite store: a verified copy with a manifest, as a directory or one tar file.

`gateway.db` is the whole store. `master.key` encrypts secrets in it; a backup holds it only when asked to, and the
manifest says so: with it, whoever has the backup has the secrets; without it, keep the key elsewhere. A PostgreSQL
store is backed up with PostgreSQL's own tools, whose command line the refusal names.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import tarfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from gateway.model.errors import AlreadyExists, InvalidRequest, Unavailable
from gateway.store.snapshot import copy_sqlite, verify_sqlite
from gateway.store.urls import parse_url

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
DATABASE: Final = "gateway.db"
MASTER_KEY: Final = "master.key"
TAR_SUFFIXES: Final = (".tar", ".tar.gz", ".tgz")
_PIECE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class BackupFile:
    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself. `created_at`: Unix seconds at which the copy began."""

    format: int
    created_at: int
    revision: str | None
    inboxes: int
    messages: int
    includes_master_key: bool
    files: tuple[BackupFile, ...]


async def backup(url: str, destination: Path, *, now: int, master_key: Path | None = None) -> Manifest:
    """Copy the store at `url` to `destination`, beside a running server too.

    A destination that ends with .tar, .tar.gz or .tgz becomes one file, any other a directory; it appears whole or not
    at all. `master_key` names the key file to put inside. Raises InvalidRequest for a PostgreSQL store (with the
    pg_dump line to use), AlreadyExists, Unavailable.
    """
    target = parse_url(url)
    if target.dialect == "postgresql":
        raise InvalidRequest(f"This store is in PostgreSQL. Back it up with: {pg_dump_line(target.conninfo)}")
    try:
        return await asyncio.to_thread(_backup, target.path, destination, now, master_key)
    except OSError as error:
        where = f" to {error.filename}" if error.filename else ""
        raise Unavailable(f"The backup could not be written{where}: {error.strerror}") from error


def pg_dump_line(conninfo: str) -> str:
    """The command that backs a PostgreSQL store up; without the password, which has no place on a command line."""
    parts = urlsplit(conninfo)
    host = parts.netloc.rpartition("@")
    user = host[0].partition(":")[0]
    netloc = f"{user}@{host[2]}" if user else host[2]
    return f"pg_dump --format=custom --file=gateway.dump '{parts._replace(netloc=netloc).geturl()}'"


def is_tar(path: Path) -> bool:
    return path.name.endswith(TAR_SUFFIXES)


def read_manifest(text: bytes) -> Manifest:
    """InvalidRequest when it is none, or of a newer format."""
    try:
        values: dict[str, Any] = json.loads(text)
        files = tuple(BackupFile(**entry) for entry in values.pop("files"))
        manifest = Manifest(**values, files=files)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InvalidRequest("This is no backup of the gateway: its manifest cannot be read") from error
    if manifest.format != FORMAT:
        raise InvalidRequest(
            f"The backup has format {manifest.format}, this program reads {FORMAT}: install a newer one"
        )
    return manifest


def hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Flush a file or directory to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _backup(store: Path, destination: Path, now: int, master_key: Path | None) -> Manifest:
    if destination.exists():
        raise AlreadyExists(f"{destination} exists already")
    if not store.is_file():
        raise InvalidRequest(f"There is no store at {store}")
    if master_key is not None and not master_key.is_file():
        raise InvalidRequest(f"There is no master key at {master_key}")
    work = destination.with_name(destination.name + ".partial")
    try:
        work.mkdir(mode=0o700)
    except FileExistsError:
        raise AlreadyExists(f"{work} is left of a backup that broke off, or one is running: remove it first") from None
    try:
        manifest = _fill(work, store, now, master_key)
        if is_tar(destination):
            _pack(work, destination)
            shutil.rmtree(work)
        else:
            sync(work)
            work.rename(destination)
        sync(destination.parent)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return manifest


def _fill(work: Path, store: Path, now: int, master_key: Path | None) -> Manifest:
    copy = work / DATABASE
    copy_sqlite(store, copy)
    contents = verify_sqlite(copy)
    names = [DATABASE]
    if master_key is not None:
        shutil.copyfile(master_key, work / MASTER_KEY)
        names.append(MASTER_KEY)
    for name in names:
        (work / name).chmod(0o600)
        sync(work / name)
    files = tuple(BackupFile(name, (work / name).stat().st_size, hash_file(work / name)) for name in names)
    manifest = Manifest(
        FORMAT, now, contents.revision, contents.inboxes, contents.messages, master_key is not None, files
    )
    path = work / MANIFEST
    path.write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    path.chmod(0o600)
    sync(path)
    return manifest


def _pack(work: Path, destination: Path) -> None:
    """The manifest first, so that a reader of the stream knows what follows."""
    partial = work / "packed"
    # Opened by us for its mode: a backup is as private as the store.
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        mode: Any = "w|" if destination.name.endswith(".tar") else "w|gz"
        with tarfile.open(fileobj=file, mode=mode) as tar:
            for name in (MANIFEST, DATABASE, MASTER_KEY):
                if (work / name).exists():
                    tar.add(work / name, arcname=name)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(destination)
