"""Where the master key comes from: the configuration (a systemd credential, the environment) or `master.key`.

The file is made at first need, whole and flushed to the disk before anything is sealed with it. It is never replaced by
one with fewer keys unless somebody asks, for backups of before may need the old ones.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from gateway.model.errors import ConfigError

from .sealing import KeyRing, MasterKey, read_keys

FILE_OCTETS: Final = 64 * 1024
_REMARK: Final = (
    "# Master key of this gateway: it opens stored passwords and tokens. Keep a copy, apart from the backups.\n"
    "# The first key is the newest; those below it open what backups of before hold.\n"
)


class KeySource(Protocol):
    """Blocking: call it in a thread."""

    @property
    def where(self) -> str:
        """What to call it in errors."""

    def read(self) -> KeyRing | None:
        """The keys; None when there are none yet. ConfigError when they cannot be used."""

    def make(self) -> KeyRing:
        """The first key of all, or the one that another process made meanwhile. ConfigError where that is not ours."""

    def add(self, key: MasterKey) -> KeyRing:
        """Put a key before the others, durably. ConfigError where that is not ours."""

    def drop(self, key_ids: frozenset[str]) -> KeyRing:
        """Forget these keys, durably. ConfigError where that is not ours."""


class GivenKeys:
    """Keys that the administrator gives: `reveal` is asked each time, so that a reload brings new ones."""

    def __init__(self, reveal: Callable[[], str], where: str) -> None:
        self._reveal = reveal
        self.where = where

    def read(self) -> KeyRing | None:
        return read_keys(self._reveal(), self.where)

    def make(self) -> KeyRing:
        return read_keys(self._reveal(), self.where)

    def add(self, key: MasterKey) -> KeyRing:
        raise ConfigError(
            f"The master key is given by {self.where}: put a new key (openssl rand -base64 32) before the old one "
            "there, on all nodes, restart, and rotate again"
        )

    def drop(self, key_ids: frozenset[str]) -> KeyRing:
        raise ConfigError(
            f"The master key is given by {self.where}: remove {', '.join(sorted(key_ids))} there, all but the first"
        )


class KeyFile:
    """`master.key` in the data directory, mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def where(self) -> str:
        return str(self._path)

    def read(self) -> KeyRing | None:
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be read: {error.strerror}") from None
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            os.close(handle)
            raise ConfigError(f"{self._path} is no plain file")
        with os.fdopen(handle, "rb") as file:
            if found.st_mode & 0o077:
                raise ConfigError(
                    f"{self._path} may be read by others (mode {stat.S_IMODE(found.st_mode):04o}): run "
                    f"\"chmod 600 {self._path}\"; if others have had it, rotate the key"
                )
            octets = file.read(FILE_OCTETS + 1)
        if len(octets) > FILE_OCTETS:
            raise ConfigError(f"{self._path} is too long for a master key")
        try:
            return read_keys(octets.decode("ascii"), self.where)
        except UnicodeDecodeError:
            raise ConfigError(f"{self._path} is no text with master keys") from None

    def make(self) -> KeyRing:
        # A second name for a file that is whole: either ours becomes the key or another process's is it already.
        self._written([MasterKey.draw()], lambda made: os.link(made, self._path))
        ring = self.read()
        if ring is None:
            raise ConfigError(f"{self._path} went away while it was made")
        return ring

    def add(self, key: MasterKey) -> KeyRing:
        with self._alone():
            return self._replace([key, *(self.read() or ())])

    def drop(self, key_ids: frozenset[str]) -> KeyRing:
        with self._alone():
            kept = [key for key in self.read() or () if key.id not in key_ids]
            if not kept:
                raise ConfigError(f"{self._path} would hold no key any more")
            return self._replace(kept)

    def _replace(self, keys: list[MasterKey]) -> KeyRing:
        self._written(keys, lambda made: os.replace(made, self._path))
        return KeyRing(keys, self.where)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """What another process adds meanwhile would be lost, and all that it has sealed with it."""
        try:
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigError(f"{self._path.parent} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def _written(self, keys: list[MasterKey], put: Callable[[str], None]) -> None:
        """Write beside the place, flush, put it there, flush the directory. A file that is there already stays."""
        text = _REMARK + "".join(f"{key.text}\n" for key in keys)
        try:
            handle, made = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._path.parent)  # made 0600
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(text.encode())
                    file.flush()
                    os.fsync(file.fileno())
                put(made)
            except FileExistsError:
                pass
            finally:
                Path(made).unlink(missing_ok=True)
            directory = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        except OSError as error:
            raise ConfigError(f"{self._path} cannot be written: {error.strerror}") from None
