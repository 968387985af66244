"""smtp-sink of Debian's Postfix package: a server that takes all mail and throws it away, for queues to empty into."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tests.servers.process import PeerMissing, free_port, port_open, stop, wait_for

PROGRAM = Path("/usr/sbin/smtp-sink")


class Sink:
    """Its port is known before it is started: until then connections are refused."""

    def __init__(self) -> None:
        if not PROGRAM.exists():
            raise PeerMissing("smtp-sink")
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to serve as root
        self._process = subprocess.Popen([PROGRAM, *user, f"127.0.0.1:{self.port}", "256"], stdin=subprocess.DEVNULL)
        wait_for(lambda: port_open(self.port), "smtp-sink")

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None
