"""A Postfix of our own: its own configuration, queue and ports beside whatever the machine runs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import PeerMissing, free_port, port_open, stop, wait_for
from .tls import make_certificates

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


def start_postfix(directory: Path, extra: str = "") -> Postfix:
    """Start one below `directory` with `extra` lines of main.cf; PeerMissing when it is not installed."""
    master = Path("/usr/lib/postfix/sbin/master")
    if not master.exists():
        raise PeerMissing("postfix")
    etc, queue, data = directory / "etc", directory / "queue", directory / "data"
    for path in (etc, queue, data):
        path.mkdir(parents=True, exist_ok=True)
    for parent in (directory, *directory.parents):
        if parent == Path("/tmp") or parent == Path("/"):
            break
        parent.chmod(parent.stat().st_mode | 0o055)
    ca, cert, key = make_certificates(directory)
    shutil.chown(data, "postfix", "postfix")
    smtp, smtps, log = free_port(), free_port(), directory / "postfix.log"
    # A setting that stands twice is warned of by each process, and ten warnings before its log daemon listens stop
    # them all, the daemon too, for they wait for each other.
    said = {line.partition("=")[0].strip() for line in extra.splitlines()} - {""}
    ours = "".join(line for line in _MAIN.splitlines(keepends=True) if line.partition("=")[0].strip() not in said)
    main = ours.format(queue=queue, data=data, cert=cert, key=key, log=log, root=directory, extra=extra)
    (etc / "main.cf").write_text(main)
    (etc / "master.cf").write_text(_MASTER.format(smtp=f"127.0.0.1:{smtp}", smtps=f"127.0.0.1:{smtps}"))
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "MAIL_CONFIG": str(etc)}
    # creates the queue's directories with the owners that the daemons insist on
    subprocess.run(
        ["/usr/sbin/postfix", "-c", str(etc), "check"], check=True, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    process = subprocess.Popen([str(master), "-c", str(etc), "-d"], stdin=subprocess.DEVNULL, env=environment)
    server = Postfix(process, smtp, smtps, ca, queue, log)
    try:
        wait_for(lambda: port_open(server.smtps), "postfix")
    except TimeoutError as late:
        server.stop()
        said = log.read_text()[-2000:] if log.exists() else "nothing"
        raise TimeoutError(f"{late}; its log says:\n{said}") from None
    return server
