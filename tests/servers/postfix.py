"""A Postfix of our own: its own configuration, queue and ports beside whatever the machine runs."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .places import let_in, short
from .process import PeerMissing, free_port, port_open, stop, wait_for
from .tls import make_certificates

TRIES = 3
"""A master whose ports another run beside this one has taken meanwhile ends at once, without a word in its log."""

_MAIN = """
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {data}
mail_owner = postfix
setgid_group = postdrop
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
myhostname = peer.test
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = may
smtpd_tls_session_cache_database =
smtpd_client_connection_rate_limit = 0
smtpd_client_connection_count_limit = 0
smtpd_recipient_restrictions = permit_mynetworks, reject
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_tls_security_level = none
message_size_limit = 20000000
alias_maps =
alias_database =
local_recipient_maps =
maillog_file = {log}
maillog_file_prefixes = {root}
{extra}
"""

_MASTER = """
{smtp} inet n - n - 100 smtpd
{smtps} inet n - n - 100 smtpd -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Postfix:
    """A running instance; plain SMTP with STARTTLS at `smtp`, implicit TLS at `smtps`, relays for 127.0.0.0/8."""

    process: subprocess.Popen[bytes]
    smtp: int
    smtps: int
    ca: Path
    queue: Path
    log: Path

    def stop(self) -> None:
        stop(self.process)


@contextmanager
def running_postfix(extra: str = "") -> Iterator[Postfix]:
    """One for the time being, in a directory that its users may enter: another run of pytest bars those of pytest."""
    with tempfile.TemporaryDirectory(prefix="postfix-", dir=short(), ignore_cleanup_errors=True) as directory:
        server = start_postfix(Path(directory), extra)
        try:
            yield server
        finally:
            server.stop()


def start_postfix(directory: Path, extra: str = "") -> Postfix:
    """Start one below `directory` with `extra` lines of main.cf; PeerMissing when it is not installed."""
    master = Path("/usr/lib/postfix/sbin/master")
    if not master.exists():
        raise PeerMissing("postfix")
    etc, queue, data = directory / "etc", directory / "queue", directory / "data"
    for path in (etc, queue, data):
        path.mkdir(parents=True, exist_ok=True)
    let_in(directory)
    ca, cert, key = make_certificates(directory)
    shutil.chown(data, "postfix", "postfix")
    for _ in range(TRIES):
        server = _started(master, etc, (queue, data, ca, cert, key), directory, extra)
        try:
            wait_for(lambda: server.process.poll() is not None or port_open(server.smtps), "postfix")  # noqa: B023
        except TimeoutError as late:
            server.stop()
            said = server.log.read_text()[-2000:] if server.log.exists() else "nothing"
            raise TimeoutError(f"{late}; its log says:\n{said}") from None
        if server.process.poll() is None:
            return server
    raise RuntimeError(f"postfix ended at its start, {TRIES} times")


def _started(master: Path, etc: Path, paths: tuple[Path, Path, Path, Path, Path], root: Path, extra: str) -> Postfix:
    """The master process on ports that were free a moment ago."""
    queue, data, ca, cert, key = paths
    smtp, smtps, log = free_port(), free_port(), root / "postfix.log"
    main = _MAIN.format(queue=queue, data=data, cert=cert, key=key, log=log, root=root, extra=extra)
    (etc / "main.cf").write_text(main)
    (etc / "master.cf").write_text(_MASTER.format(smtp=f"127.0.0.1:{smtp}", smtps=f"127.0.0.1:{smtps}"))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(etc)}
    # creates the queue's directories with the owners that the daemons insist on
    subprocess.run(
        ["/usr/sbin/postfix", "-c", str(etc), "check"], check=True, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    process = subprocess.Popen([str(master), "-c", str(etc), "-d"], stdin=subprocess.DEVNULL, env=environment)
    return Postfix(process, smtp, smtps, ca, queue, log)
