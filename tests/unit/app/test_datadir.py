from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gateway.app.datadir import Busy, DataDirLock, hand_over, prepare, refuse_network_file_system
from gateway.model.errors import ConfigError

MOUNTS = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:40 / /srv rw shared:5 - nfs4 server:/export rw
31 30 8:2 / /srv/local\\040disk rw - xfs /dev/sdb1 rw
32 21 0:41 / /mnt/cifs rw - cifs //server/share rw
"""


@pytest.mark.parametrize(
    ("path", "refused"),
    [("/var/lib/gateway", None), ("/srv/mail", "nfs4"), ("/srv", "nfs4"), ("/srv/local disk/mail", None),
     ("/mnt/cifs/x", "cifs"), ("/srvx", None)],
)
def test_a_store_on_a_network_file_system_is_refused(path: str, refused: str | None) -> None:
    if refused is None:
        refuse_network_file_system(Path(path), MOUNTS)
        return
    with pytest.raises(ConfigError, match=refused):
        refuse_network_file_system(Path(path), MOUNTS)


def test_a_later_mount_on_the_same_place_counts() -> None:
    with pytest.raises(ConfigError, match="nfs"):
        refuse_network_file_system(Path("/data"), "1 0 8:1 / / rw - ext4 a rw\n2 1 0:1 / / rw - nfs b rw\n")


def test_the_lock_is_exclusive_names_its_holder_and_is_freed(tmp_path: Path) -> None:
    with DataDirLock(tmp_path), pytest.raises(Busy, match=f"process {os.getpid()}"):
        DataDirLock(tmp_path).acquire()
    with DataDirLock(tmp_path):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"


def test_the_data_directory_is_private(tmp_path: Path) -> None:
    made = prepare(tmp_path / "deep" / "data")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        prepare(tmp_path / "file" / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root acts for others")
def test_what_root_makes_in_anothers_data_directory_becomes_theirs(tmp_path: Path) -> None:
    nobody, outside = 65534, tmp_path / "outside"
    outside.write_text("root's")
    data = prepare(tmp_path / "data")
    os.chown(data, nobody, nobody)
    (data / "tls").mkdir()
    for name in ("gateway.db", "lock", "tls/server.pem"):
        (data / name).write_text("")
    (data / "link").symlink_to(outside)
    (data / "second name").hardlink_to(outside)
    hand_over(data)
    assert {name: (data / name).stat().st_uid for name in ("gateway.db", "lock", "tls", "tls/server.pem")} == {
        "gateway.db": nobody, "lock": nobody, "tls": nobody, "tls/server.pem": nobody
    }
    assert outside.stat().st_uid == 0
    assert (data / "link").lstat().st_uid == 0
