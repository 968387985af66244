"""The gateway's side: the real process with durable settings, and a relay that never answers.

Submissions go to the queue and stay there, as they do on the Postfix side (`defer_transports`).
"""

from __future__ import annotations

import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from gateway.store import sqlite
from tests.servers.process import free_port, wait_for
from tests.support.gateway import Gateway

from .client import Account
from .lmtp import CONNECTIONS, Place

_SETTINGS = """
[limits]
connections_per_inbox = 2000
connections_per_ip = 4000
[web]
requests_per_second = 1000000
request_burst = 1000000
[relay]
host = "127.0.0.1"
port = 1
security = "none"
allow_private = true
[[listener]]
kind = "lmtp"
address = "127.0.0.1"
port = {lmtp}
security = "none"
networks = ["127.0.0.1/32"]
"""


@dataclass
class Running:
    """`imap`, `smtp` and `web` are the first inbox on the three implicit-TLS ports."""

    gateway: Gateway
    process: subprocess.Popen[bytes]
    imap: Account
    smtp: Account
    web: Account
    lmtp: Place

    def settle(self) -> float:
        """Wait until the text for SEARCH is made of all that was appended; seconds."""
        start = time.perf_counter()
        connection = sqlite.connect(self.gateway.data_dir / "gateway.db", reading=True)
        due = "SELECT count(*) FROM text_due"
        wait_for(lambda: connection.execute(due).fetchone()[0] == 0, "the text for SEARCH", 600)
        connection.close()
        return time.perf_counter() - start

    def stop(self) -> None:
        self.gateway.stop()


def start_gateway(directory: Path, **environ: str) -> Running:
    """A gateway with the bench's settings and, as environment variables, further ones."""
    port = free_port()
    gateway = Gateway(directory, _SETTINGS.format(lmtp=port), hostname="bench.test", environ=environ, web=free_port())
    gateway.init()
    gateway.start()
    recipients = [f"to{number}@bench.test" for number in range(CONNECTIONS)]
    for recipient in recipients:
        gateway.inbox(recipient)
    assert gateway.process is not None
    imap = Account(gateway.imaps, gateway.ca_file, gateway.address, gateway.key)
    smtp = Account(gateway.smtps, gateway.ca_file, gateway.address, gateway.key)
    web = Account(gateway.web, gateway.ca_file, gateway.address, gateway.key)
    place = Place(port, tuple(recipient.encode() for recipient in recipients))
    return Running(gateway, gateway.process, imap, smtp, web, place)
