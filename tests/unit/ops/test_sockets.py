"""Listening sockets at a path: what is replaced, what is not, and with which mode."""

from __future__ import annotations

import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gateway.ops.sockets import bind_tcp, bind_unix, inode_of, unlink_unix


@pytest.fixture
def place() -> Iterator[Path]:
    with TemporaryDirectory(prefix="gw-", dir="/tmp") as name:  # the path of a Unix socket is short
        yield Path(name) / "lmtp"


def answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        return sock.connect_ex(str(path)) == 0


def test_it_has_its_mode_and_leaves_nothing_beside_it(place: Path) -> None:
    with bind_unix(place, 0o660, 5):
        assert stat.S_IMODE(place.stat().st_mode) == 0o660
        assert answers(place)
        assert [path.name for path in place.parent.iterdir()] == ["lmtp"]


def test_a_dead_socket_is_replaced(place: Path) -> None:
    bind_unix(place, 0o600, 5).close()
    assert place.is_socket()
    assert not answers(place)
    with bind_unix(place, 0o600, 5):
        assert answers(place)


@pytest.mark.parametrize("other", ["file", "directory", "symbolic link"])
def test_what_is_no_socket_stays(place: Path, other: str) -> None:
    if other == "file":
        place.write_text("mail")
    elif other == "directory":
        place.mkdir()
    else:
        place.symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="File exists"):
        bind_unix(place, 0o600, 5)
    assert [path.name for path in place.parent.iterdir()] == ["lmtp"]


def test_a_socket_that_somebody_serves_stays(place: Path) -> None:
    with bind_unix(place, 0o600, 5) as first:
        before = inode_of(place)
        with pytest.raises(OSError, match="in use"):
            bind_unix(place, 0o600, 5)
        assert inode_of(place) == before
        assert answers(place)
        assert first.fileno() >= 0


def test_only_our_own_socket_is_removed_at_the_end(place: Path) -> None:
    first = bind_unix(place, 0o600, 5)
    ours = inode_of(place)
    first.close()
    with bind_unix(place, 0o600, 5):
        assert inode_of(place) != ours
        unlink_unix(place, ours)
        assert answers(place)
        unlink_unix(place, inode_of(place))
        assert not place.exists()
    unlink_unix(place, ours)


def test_a_missing_directory_is_named_by_its_error(place: Path) -> None:
    with pytest.raises(FileNotFoundError):
        bind_unix(place / "below", 0o600, 5)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_tcp(address: str) -> None:
    with bind_tcp(address, 0, 5) as sock:
        port = sock.getsockname()[1]
        socket.create_connection((address, port), timeout=5).close()
        with pytest.raises(OSError, match="in use"):
            bind_tcp(address, port, 5)
