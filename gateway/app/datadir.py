"""The data directory: private to its owner, on a disk of this machine, held by one process at a time."""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path
from typing import Final

from gateway.model.errors import ConfigError, GatewayError

LOCK: Final = "lock"
CONTROL_SOCKET: Final = "control.sock"
MASTER_KEY: Final = "master.key"
TEST_MARK: Final = "made-by-test-mode"

NETWORK_FILE_SYSTEMS: Final = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "beegfs", "ocfs2", "gfs2",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.davfs2", "fuse.s3fs", "fuse.rclone", "davfs",
})
"""SQLite's WAL needs shared memory and locks that these do not keep between machines (sqlite.org/wal.html)."""


class Busy(GatewayError):
    """Another process holds the data directory."""


def prepare(data_dir: Path) -> Path:
    """The directory, made with mode 0700 if it is missing; ConfigError when it cannot be used."""
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"store.data_dir: {data_dir} cannot be made: {error.strerror}") from None
    if not os.access(data_dir, os.R_OK | os.W_OK | os.X_OK):
        raise ConfigError(f"store.data_dir: {data_dir} is not writable for this user")
    return data_dir


def refuse_other_mode(data_dir: Path, *, test: bool) -> None:
    """ConfigError: test mode, where any login opens any inbox, and mail in earnest never share a directory."""
    if (data_dir / TEST_MARK).exists() != test:
        raise ConfigError(
            f"store.data_dir: {data_dir} was {'not ' if test else ''}made by gateway serve --test-mode; choose another"
        )


def refuse_network_file_system(path: Path, mountinfo: str | None = None) -> None:
    """ConfigError when `path` lies on a network file system. `mountinfo`: the text of /proc/self/mountinfo."""
    if mountinfo is None:
        try:
            mountinfo = Path("/proc/self/mountinfo").read_text()
        except OSError:
            return  # no Linux: nothing tells
    kind = _file_system(path.resolve(), mountinfo)
    if kind in NETWORK_FILE_SYSTEMS:
        raise ConfigError(
            f"store.data_dir: {path} lies on a network file system ({kind}), where SQLite loses data; "
            "choose a directory on a local disk, or use PostgreSQL (store.url)"
        )


def _file_system(path: Path, mountinfo: str) -> str:
    """Type of the innermost mount that holds `path` (proc(5): mount point is field 5, the type follows ` - `)."""
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:
            continue
        point = fields[4].encode().decode("unicode_escape")  # blanks stand as \040
        inside = path == Path(point) or Path(point) in path.parents
        # later lines lie over earlier ones of the same place
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def hand_over(data_dir: Path) -> None:
    """Give what root made in another user's data directory to that user: the server could not open it otherwise.

    So `gateway restore` and `gateway init` may be run by root. Only plain files and directories that root owns under a
    single name: a link that the directory's owner put there gives nothing away.
    """
    owner = data_dir.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        return
    for path in [*data_dir.iterdir(), *(data_dir / "tls").glob("*")]:
        if path.name == CONTROL_SOCKET:
            continue
        handle = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(handle)
            single = stat.S_ISDIR(found.st_mode) or (stat.S_ISREG(found.st_mode) and found.st_nlink == 1)
            if found.st_uid == 0 and single:
                # By the descriptor, so that the path cannot come to mean something else in between.
                os.chown(f"/proc/self/fd/{handle}", owner.st_uid, owner.st_gid)
        finally:
            os.close(handle)


class DataDirLock:
    """An exclusive lock on the data directory, kept while the object is open; the kernel frees it at any death."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / LOCK
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock without waiting; Busy when another process has it."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode("ascii", "replace").strip()
            os.close(handle)
            whose = f" (process {holder})" if holder.isdigit() else ""
            raise Busy(f"The data directory {self._path.parent} is in use by another gateway{whose}") from None
        except BaseException:
            os.close(handle)
            raise
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._file = handle

    def release(self) -> None:
        """Free the lock; the file stays, for removing it would let two processes hold two different ones."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> DataDirLock:
        self.acquire()
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
