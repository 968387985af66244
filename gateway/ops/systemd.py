"""systemd's two small protocols: sd_notify(3) and socket activation (sd_listen_fds(3)). Nothing happens without it."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

import structlog

log = structlog.get_logger(__name__)

FIRST_FD: Final = 3  # SD_LISTEN_FDS_START


class Notifier:
    """Tells systemd what we do. Without NOTIFY_SOCKET every call is a cheap nothing."""

    def __init__(self, environ: MutableMapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_interval = self._interval(environ)
        """Seconds between two `watchdog` calls (half of what systemd allows), or None when it does not watch."""

    @staticmethod
    def _interval(environ: MutableMapping[str, str]) -> float | None:
        usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        if not usec.isdecimal() or int(usec) == 0 or (pid and pid != str(os.getpid())):
            return None
        return int(usec) / 1_000_000 / 2

    def send(self, *lines: str) -> bool:
        """Send `lines`; whether systemd was there to take them. A lost notification is logged, never fatal."""
        if not self._address:
            return False
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.setblocking(False)
                out.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("systemd.notify_failed", error=error.strerror)
            return False
        return True

    def ready(self, status: str = "") -> None:
        """Serving; also what ends `reloading`."""
        self.send("READY=1", *([f"STATUS={status}"] if status else []))

    def reloading(self) -> None:
        """A SIGHUP is being worked on. Type=notify-reload wants the monotonic time of its begin."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self.send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line that `systemctl status` shows."""
        self.send(f"STATUS={text}")

    def watchdog(self) -> None:
        self.send("WATCHDOG=1")

    async def keep_alive(self) -> None:
        """Feed the watchdog from the loop, so that a blocked loop is noticed; ends at once when nobody watches."""
        if self.watchdog_interval is None:
            return
        while True:
            self.watchdog()
            await asyncio.sleep(self.watchdog_interval)


def listen_sockets(environ: MutableMapping[str, str] | None = None) -> dict[str, list[socket.socket]]:
    """Sockets that systemd opened for us, by FileDescriptorName=; takes them out of the environment.

    Without LISTEN_FDNAMES a socket's name is systemd's own default, "unknown".
    """
    environ = os.environ if environ is None else environ
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    if pid != str(os.getpid()) or not count.isdecimal():
        return found
    for number in range(int(count)):
        descriptor = FIRST_FD + number
        os.set_inheritable(descriptor, False)
        listener = socket.socket(fileno=descriptor)
        listener.setblocking(False)
        name = names[number] if number < len(names) and names[number] else "unknown"
        found.setdefault(name, []).append(listener)
    return found
