"""A Dovecot of our own: its own directories and ports, one password for any user, sdbox mail storage."""

from __future__ import annotations

import getpass
import grp
import os
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

_CONFIG = """
base_dir = {run}
state_dir = {state}
log_path = {log}
ssl = yes
ssl_cert = <{cert}
ssl_key = <{key}
protocols = imap lmtp
listen = 127.0.0.1
disable_plaintext_auth = no
mail_location = sdbox:{mail}/%u
mail_uid = {user}
mail_gid = {group}
first_valid_uid = 1
mail_fsync = optimized
login_trusted_networks =
mail_max_userip_connections = 5000
auth_cache_size = 1M
default_vsz_limit = 1G
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={mail}/%u
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Sent {{
    special_use = \\Sent
    auto = subscribe
  }}
  mailbox Drafts {{
    special_use = \\Drafts
    auto = subscribe
  }}
  mailbox Trash {{
    special_use = \\Trash
    auto = subscribe
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
    ssl = yes
  }}
  service_count = 0
  process_min_avail = 2
  client_limit = 4000
}}
service imap {{
  process_limit = 4000
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
service anvil {{
  client_limit = 10000
}}
service auth {{
  client_limit = 10000
}}
service stats {{
  client_limit = 10000
}}
"""

_WITHOUT_ROOT = """
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
service imap-login {{
  chroot =
}}
service anvil {{
  chroot =
}}
"""


@dataclass
class Dovecot:
    """A running server; log in over TLS at `imaps` with any user name and `password`."""

    process: subprocess.Popen[bytes]
    imap: int
    imaps: int
    lmtp: int
    ca: Path
    mail: Path
    log: Path
    password: str = "secret"

    def stop(self) -> None:
        stop(self.process)


@contextmanager
def running_dovecot(more: str = "") -> Iterator[Dovecot]:
    """One for the time being, in a directory that its user may enter: another run of pytest bars those of pytest.

    It is short too: the path of a Unix socket has 100 octets.
    """
    with tempfile.TemporaryDirectory(prefix="dovecot-", dir=short(), ignore_cleanup_errors=True) as directory:
        server = start_dovecot(Path(directory), more)
        try:
            yield server
        finally:
            server.stop()


def start_dovecot(directory: Path, more: str = "") -> Dovecot:
    """Start one below `directory`, with `more` settings; PeerMissing when it is not installed."""
    program = shutil.which("dovecot", path="/usr/sbin:/usr/bin:/bin")
    if program is None:
        raise PeerMissing("dovecot")
    directory.mkdir(parents=True, exist_ok=True)
    ca, cert, key = make_certificates(directory)
    mail, log = directory / "mail", directory / "dovecot.log"
    mail.mkdir(exist_ok=True)
    root = os.getuid() == 0
    user, group = ("mail", "mail") if root else (getpass.getuser(), grp.getgrgid(os.getgid()).gr_name)
    if root:
        shutil.chown(mail, user, group)
    let_in(directory)
    ports = {name: free_port() for name in ("imap", "imaps", "lmtp")}
    config = directory / "dovecot.conf"
    config.write_text(
        _CONFIG.format(
            run=directory / "run", state=directory / "state", log=log, cert=cert, key=key, mail=mail,
            user=user, group=group, password=Dovecot.password, **ports,
        )
        + ("" if root else _WITHOUT_ROOT.format(user=user, group=group))
        + more
    )
    process = subprocess.Popen([program, "-F", "-c", str(config)], stdin=subprocess.DEVNULL)
    server = Dovecot(process, ports["imap"], ports["imaps"], ports["lmtp"], ca, mail, log)
    try:
        wait_for(lambda: port_open(server.imaps), "dovecot")
    except TimeoutError:
        server.stop()
        raise
    return server
