"""A Cyrus of our own, unpacked and not installed: Debian's conflicts with Dovecot. Any user, any password."""

from __future__ import annotations

import getpass
import grp
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .places import let_in, short
from .process import PeerMissing, free_port, port_open, stop, wait_for
from .tls import make_certificates

UNPACKED: Final = Path(sys.prefix) / "cyrus"
"""Where the Makefile unpacks Debian's packages."""

_NEEDED: Final = ("master", "imapd", "idled", "ctl_cyrusdb")
TRIES: Final = 3
"""A server whose port another run beside this one has taken meanwhile cannot begin."""

_IMAPD = """
cyrus_user: {user}
cyrus_group: {group}
configdirectory: {root}/config
proc_path: {root}/proc
mboxname_lockpath: {root}/lock
idlesocket: {root}/config/socket/idle
temp_path: {root}/temp
defaultpartition: default
partition-default: {root}/mail
sievedir: {root}/sieve
servername: mail.test
syslog_prefix: test
unixhierarchysep: yes
altnamespace: yes
allowplaintext: yes
sasl_pwcheck_method: alwaystrue
sasl_mech_list: PLAIN
autocreate_quota: 0
autocreate_inbox_folders: Sent|Drafts|Trash
autocreate_subscribe_folders: Sent|Drafts|Trash
xlist-sent: Sent
xlist-drafts: Drafts
xlist-trash: Trash
tls_server_cert: {cert}
tls_server_key: {key}
{more}
"""

_CYRUS = """
START {{
  recover cmd="{bin}/ctl_cyrusdb -C {conf} -r"
  idled cmd="{bin}/idled -C {conf}"
}}
SERVICES {{
  imaps cmd="{bin}/imapd -C {conf} -s" listen="127.0.0.1:{imaps}" prefork=1 maxchild=100
}}
EVENTS {{
  checkpoint cmd="{bin}/ctl_cyrusdb -C {conf} -c" period=30
}}
"""


@dataclass
class Cyrus:
    """A running server; log in over TLS at `imaps` with any user name of letters and digits."""

    process: subprocess.Popen[bytes]
    imaps: int
    ca: Path
    password: str = "secret"

    def stop(self) -> None:
        stop(self.process)


@contextmanager
def running_cyrus(more: str = "") -> Iterator[Cyrus]:
    """One for the time being, in a directory that its user may enter: another run of pytest bars those of pytest."""
    with tempfile.TemporaryDirectory(prefix="cyrus-", dir=short(), ignore_cleanup_errors=True) as directory:
        server = start_cyrus(Path(directory), more)
        try:
            yield server
        finally:
            server.stop()


def start_cyrus(directory: Path, more: str = "") -> Cyrus:
    """Start one below `directory` with `more` lines of imapd.conf; PeerMissing when it is not unpacked."""
    if not (UNPACKED / "usr/lib/cyrus/bin/imapd").exists():
        raise PeerMissing("cyrus")
    directory.mkdir(parents=True, exist_ok=True)
    ca, cert, key = make_certificates(directory)
    root = os.getuid() == 0
    user, group = ("mail", "mail") if root else (getpass.getuser(), grp.getgrgid(os.getgid()).gr_name)
    libraries = _programs(directory)
    for name in ("config/socket", "proc", "lock", "temp", "mail", "sieve"):
        (directory / name).mkdir(parents=True)
    let_in(directory)
    if root:
        for path in (directory, *directory.iterdir(), directory / "config/socket"):
            shutil.chown(path, user, group)
    conf = directory / "imapd.conf"
    conf.write_text(_IMAPD.format(user=user, group=group, root=directory, cert=cert, key=key, more=more))
    for _ in range(TRIES):
        server = _started(directory, conf, libraries, ca)
        try:
            wait_for(lambda: server.process.poll() is not None or port_open(server.imaps), "cyrus")  # noqa: B023
        except TimeoutError:
            server.stop()
            continue
        except BaseException:
            server.stop()
            raise
        if server.process.poll() is None:
            return server
    raise RuntimeError(f"cyrus did not begin, {TRIES} times; it tells syslog why")


def _programs(directory: Path) -> str:
    """Copies the programs to `directory`: whom they run as may not be let into ours. LD_LIBRARY_PATH for them."""
    (directory / "bin").mkdir()
    for name in _NEEDED:
        shutil.copy2(UNPACKED / "usr/lib/cyrus/bin" / name, directory / "bin")
    (directory / "lib").mkdir()
    for place in ("usr/lib", "lib"):
        for library in sorted((UNPACKED / place / f"{platform.machine()}-linux-gnu").glob("*.so*")):
            if not (directory / "lib" / library.name).exists():
                shutil.copy2(library, directory / "lib")
    return str(directory / "lib")


def _started(directory: Path, conf: Path, libraries: str, ca: Path) -> Cyrus:
    """Its master process on a port that was free a moment ago."""
    imaps = free_port()
    services = directory / "cyrus.conf"
    services.write_text(_CYRUS.format(bin=directory / "bin", conf=conf, imaps=imaps))
    process = subprocess.Popen(
        [str(directory / "bin/master"), "-C", str(conf), "-M", str(services), "-p", str(directory / "master.pid")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LD_LIBRARY_PATH": libraries}, cwd=directory,
        start_new_session=True,  # it ends with SIGTERM to its process group, and a Dovecot runs as the same user
    )  # fmt: skip
    return Cyrus(process, imaps, ca)
