"""The gateway's side: the real process with durable settings, and a relay that never answers.

Submissions go to the queue and stay there, as they do on the Postfix side (`defer_transports`).
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.gateway import Gateway

from .client import Account

_SETTINGS = """
[limits]
connections_per_inbox = 2000
connections_per_ip = 4000
[relay]
host = "127.0.0.1"
port = 1
security = "none"
allow_private = true
"""


@dataclass
class Running:
    """`imap` and `smtp` are the first inbox on the two implicit-TLS ports."""

    gateway: Gateway
    process: subprocess.Popen[bytes]
    imap: Account
    smtp: Account

    def stop(self) -> None:
        self.gateway.stop()


def start_gateway(directory: Path) -> Running:
    gateway = Gateway(directory, _SETTINGS, hostname="bench.test")
    gateway.init()
    gateway.start()
    assert gateway.process is not None
    imap = Account(gateway.imaps, gateway.ca_file, gateway.address, gateway.key)
    smtp = Account(gateway.smtps, gateway.ca_file, gateway.address, gateway.key)
    return Running(gateway, gateway.process, imap, smtp)
