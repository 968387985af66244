"""Thunderbird without a screen, driven over Marionette: its window is the real one, and what is asked goes by the wire.

Marionette (firefox-source-docs.mozilla.org, testing/marionette/Protocol): `length:json` over TCP; a command is
[0, id, name, parameters], its answer [1, id, error, result].
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.servers.process import free_port, port_open, stop, wait_for

PROGRAM: Final = "thunderbird"
START_S: Final = 120.0
SCRIPT_S: Final = 120.0

_QUIET: Final[Mapping[str, object]] = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "datareporting.policy.dataSubmissionPolicyBypassNotification": True,
    "extensions.update.enabled": False,
    "mail.shell.checkDefaultClient": False,
    "mail.rights.version": 1,
    "mail.provider.suppress_dialog_on_startup": True,
    "mailnews.start_page.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


@dataclass
class Doors:
    """An HTTP proxy (CONNECT) that leads names to ports of this machine and refuses everybody else."""

    ways: Mapping[tuple[str, int], int]
    asked: list[tuple[str, int]] = field(default_factory=list)
    port: int = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            found = re.match(r"CONNECT ([^ :]+):(\d+) ", head)
            where = (found[1], int(found[2])) if found else ("", 0)
            self.asked.append(where)
            port = self.ways.get(where)
            if port is None:
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            other_reader, other = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            with closing(other):
                await asyncio.gather(_pass(reader, other), _pass(other_reader, writer))
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    @contextmanager
    def open(self) -> Iterator[Doors]:
        loop = asyncio.new_event_loop()
        server = loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(_ended(server), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            loop.close()


async def _ended(server: asyncio.Server) -> None:
    server.close()
    tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while octets := await reader.read(65536):
        writer.write(octets)
        await writer.drain()
    writer.close()


class ScriptFailed(Exception):
    """What Thunderbird said of a command."""


class Marionette:
    """One session in the chrome context: scripts may do what Thunderbird's own may."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb")
        self._number = 0
        self._receive()  # what it is and which protocol it speaks
        self.command("WebDriver:NewSession", {})
        self.command("Marionette:SetContext", {"value": "chrome"})
        self.command("WebDriver:SetTimeouts", {"script": int(SCRIPT_S * 1000)})

    def _receive(self) -> Any:
        length = b""
        while (octet := self._file.read(1)) != b":":
            if not octet:
                raise ScriptFailed("Thunderbird has closed the connection")
            length += octet
        return json.loads(self._file.read(int(length)))

    def command(self, name: str, parameters: Mapping[str, Any]) -> Any:
        self._number += 1
        sent = json.dumps([0, self._number, name, parameters]).encode()
        self._sock.sendall(b"%d:%b" % (len(sent), sent))
        _, _, error, result = self._receive()
        if error:
            raise ScriptFailed(f"{name}: {error['message']}\n{error.get('stacktrace', '')}")
        return result

    def run(self, script: str, *args: Any) -> Any:
        """The value of an async function's body."""
        whole = (
            f"const done = arguments[arguments.length - 1]; (async (...args) => {{ {script} }})(...arguments)"
            ".then(value => done({value}), error => done({error: String(error) + ' ' + error.stack}));"
        )
        parameters = {"script": whole, "args": list(args), "newSandbox": True}
        answer = self.command("WebDriver:ExecuteAsyncScript", parameters)["value"]
        if "error" in answer:
            raise ScriptFailed(answer["error"])
        return answer.get("value")


@contextmanager
def thunderbird(directory: Path, ca: Path, doors: Doors, local: str) -> Iterator[Marionette]:
    """A fresh profile that trusts `ca`, asks the web through `doors`, and finds the hosts `local` (names with commas)
    on this machine."""
    profile = directory / "profile"
    profile.mkdir()
    port = free_port()
    prefs = {
        **_QUIET, "marionette.port": port, "network.dns.localDomains": local, "network.proxy.type": 1,
        "network.proxy.http": "127.0.0.1", "network.proxy.http_port": doors.port, "network.proxy.ssl": "127.0.0.1",
        "network.proxy.ssl_port": doors.port, "network.proxy.allow_hijacking_localhost": True,
    }  # fmt: skip
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in prefs.items()]
    (profile / "user.js").write_text("\n".join(lines) + "\n")
    program = shutil.which(PROGRAM)
    assert program is not None
    environ = {"HOME": str(directory), "PATH": "/usr/bin:/bin", "MOZ_HEADLESS": "1", "LANG": "C.UTF-8"}
    with (directory / "thunderbird.log").open("wb") as log:
        process = subprocess.Popen(
            [program, "--headless", "--marionette", "--remote-allow-system-access", "--profile", str(profile),
             "--no-remote"],
            env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            with closing(_connected(port, process)) as sock:
                driver = Marionette(sock)
                base64 = "".join(line for line in ca.read_text().splitlines() if "-----" not in line)
                driver.run(
                    'Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB)'
                    '.addCertFromBase64(args[0], "CT,C,C");', base64
                )
                yield driver
        finally:
            stop(process, 20)


def _connected(port: int, process: subprocess.Popen[bytes]) -> socket.socket:
    def listens() -> bool:
        assert process.poll() is None, f"thunderbird ended with {process.returncode}"
        return port_open(port)

    wait_for(listens, "thunderbird's port", START_S, 0.1)
    return socket.create_connection(("127.0.0.1", port), timeout=SCRIPT_S + 30)
