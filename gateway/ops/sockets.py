"""Listening sockets that are bound before a server has them: for TCP, and at a path of the file system."""

from __future__ import annotations

import errno
import os
import secrets
import socket
import stat
from pathlib import Path


def bind_tcp(address: str, port: int, backlog: int) -> socket.socket:
    """A listening socket at an IP address. OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def bind_unix(path: Path, mode: int, backlog: int) -> socket.socket:
    """A listening socket at `path`, with `mode` from the first moment on.

    It is made beside the path and moved there, so that at no time there is none, or one that others may not use yet.
    A socket that nobody answers at is replaced. OSError: something else lies there, or somebody listens there.
    """
    _require_free(path)
    aside = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(str(aside))
        try:
            aside.chmod(mode)
            sock.listen(backlog)
            aside.rename(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    except BaseException:
        sock.close()
        raise
    return sock


def unlink_unix(path: Path, inode: int) -> None:
    """Remove our socket at the end, unless another one has been moved there meanwhile."""
    try:
        if path.lstat().st_ino == inode:
            path.unlink()
    except OSError:
        return  # gone already, or not ours any more to remove


def inode_of(path: Path) -> int:
    """What `unlink_unix` knows it by. OSError."""
    return path.lstat().st_ino


def _require_free(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, os.strerror(errno.EEXIST))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return  # left by one that is dead
    raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
