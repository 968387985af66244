"""The real process: `python -m gateway serve` on free ports with a data directory of its own."""

from __future__ import annotations

import asyncio
import atexit
import imaplib
import json
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from gateway.config import load
from gateway.control.client import SocketCaller
from gateway.model.permissions import DEFAULT_BUNDLES
from tests.servers.process import free_port
from tests.support import forked
from tests.support.forked import Forked

HOST = "localhost"
READY_SECONDS = 60.0  # a loaded machine starts slowly; a start that fails ends at once
STOP_SECONDS = 20.0
COMMAND_SECONDS = 120.0

AS_SYSTEMD = """
import fcntl, os, sys
names, numbers, *command = sys.argv[1:]
moved = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 100) for number in numbers.split(",")]
for place, number in enumerate(moved, 3):
    os.dup2(number, place)
    os.close(number)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(moved)), "LISTEN_FDNAMES": names}
os.execv(command[0], command)
"""
"""Passes sockets as sd_listen_fds(3) says: descriptors from 3 on, and the process number of who they are for."""


@dataclass
class Gateway:
    """One gateway. `settings` are further lines of its configuration file, sections whole.

    After `init` its first inbox is `address` with `key`; `start` returns once it serves, which it says as it says it
    to systemd (sd_notify), so nothing is polled.
    """

    directory: Path
    settings: str = ""
    hostname: str = "mail.test"
    environ: Mapping[str, str] = field(default_factory=dict)
    sockets: Mapping[str, socket.socket] = field(default_factory=dict)  # passed to `serve` by name, as by systemd
    readers: int = 2  # reader processes; 0 where nothing is tested that they do: each costs as much as half a start
    imaps: int = field(default_factory=free_port)
    smtps: int = field(default_factory=free_port)
    submission: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)
    web: int = 0  # the port of the HTTP side; 0: none
    fresh: bool = False  # by interpreters of its own, where a start itself, imports or memory are what is tested
    address: str = ""
    key: str = ""
    process: subprocess.Popen[bytes] | Forked | None = None

    @property
    def data_dir(self) -> Path:
        return self.directory / "data"

    @property
    def ca_file(self) -> Path:
        return self.data_dir / "tls" / "ca.pem"

    @property
    def log_file(self) -> Path:
        return self.directory / "log"

    @property
    def config_file(self) -> Path:
        return self.directory / "config.toml"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def configure(self) -> None:
        """Write the configuration file: TLS and STARTTLS listeners on loopback."""
        self.directory.mkdir(parents=True, exist_ok=True)
        listeners = [("imap", self.imaps, "tls"), ("submission", self.smtps, "tls"),
                     ("submission", self.submission, "starttls")]
        if self.web:
            listeners.append(("web", self.web, "tls"))
        lines = [
            "[server]", f'hostname = "{self.hostname}"',
            "[store]", f'data_dir = "{self.data_dir}"', f"reader_processes = {self.readers}",
            "[metrics]", f"port = {self.health}",
            *(line for kind, port, security in listeners for line in (
                "[[listener]]", f'kind = "{kind}"', 'address = "127.0.0.1"', f"port = {port}",
                f'security = "{security}"')),
        ]
        self.config_file.write_text("\n".join(lines) + "\n" + self.settings)

    def init(self) -> None:
        """Make store, certificate, first inbox and key: by `gateway init`, or a copy of what it made for another."""
        self.configure()
        if self._as_others:
            made = _initialised(self.hostname)
            shutil.copytree(made.data_dir, self.data_dir)
            self.address, self.key = made.address, made.key
        else:
            self.really_init()

    def really_init(self) -> None:
        made = self.json("init")
        self.address, self.key = made["address"], made["key"]

    @property
    def _as_others(self) -> bool:
        """Whether `gateway init` makes of it what it makes of any gateway of this host name."""
        said = tomllib.loads(self.config_file.read_text())
        return not self.environ and not said.keys() & {"inbox", "tls"} and not self.data_dir.exists()

    def start(self, *options: str) -> None:
        """Serve; returns when it is ready, RuntimeError with the log's end when it is not."""
        name = self.directory / "notify"
        name.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self.log_file.open("ab") as log:
            notify.bind(str(name))
            process = self.process = self._begin(log.fileno(), {"NOTIFY_SOCKET": str(name)}, options)
            dead = b"DEAD=%d" % process.pid  # not the one before, whose thread may come late

            def wake_when_dead() -> None:
                process.wait()
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                    try:
                        sender.sendto(dead, str(name))
                    except OSError:
                        return  # nobody waits any more

            threading.Thread(target=wake_when_dead, daemon=True).start()
            notify.settimeout(READY_SECONDS)
            while True:
                message = notify.recv(4096)
                if b"READY=1" in message:
                    break
                if message == dead:
                    raise RuntimeError(f"the gateway ended with {process.returncode}:\n{self.log_tail()}")
        name.unlink(missing_ok=True)

    def stop(self) -> int:
        """SIGTERM and its exit status; 0 is a clean stop."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(STOP_SECONDS)
        self.process = None
        return status

    def kill(self) -> None:
        """SIGKILL: a crash."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)
        self.process = None

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def cli(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        """Run a command on this gateway, whatever its exit status."""
        done = self.octets(*args, stdin=stdin)
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        )

    def octets(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """`cli`, where what it prints need not be text."""
        if self._forks:
            return forked.run([*self._options, *args], self._environ, stdin, COMMAND_SECONDS)
        return subprocess.run(
            [*self._command, *args], input=stdin, capture_output=True, env=self._environ, timeout=COMMAND_SECONDS,
            check=False,
        )

    def run(self, *args: str) -> str:
        """Run a command that must succeed; its standard output."""
        done = self.cli(*args)
        assert done.returncode == 0, f"gateway {' '.join(args)} failed:\n{done.stderr}{done.stdout}"
        return done.stdout

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args, "--json"))

    def operate(self, op: str, **params: Any) -> Any:
        """An operation of the running server, over its control socket as the command line does it."""
        caller = SocketCaller(self.data_dir / "control.sock")
        with ThreadPoolExecutor(1) as pool:  # a browser's driver has a loop of its own in this thread
            return pool.submit(lambda: asyncio.run(caller.call(op, params))).result()

    def inbox(self, address: str, *key_options: str) -> tuple[str, str]:
        """A further inbox (its domain is made if it is missing) and a key for it: (address, key)."""
        domain = address.rpartition("@")[2]
        if domain not in {row["name"] for row in self.operate("domain.list")}:
            self.operate("domain.add", name=domain, pod="default")
        defaults = load(str(self.config_file)).config.inbox
        self.operate(
            "inbox.add", address=address, sent_copy=defaults.sent_copy, quota_storage=defaults.quota_storage,
            quota_messages=defaults.quota_messages, quota_mailboxes=defaults.quota_mailboxes,
        )
        if key_options:
            return address, self.new_key("--inbox", address, *key_options)
        return address, self.operate("key.create", inbox=address, permissions=DEFAULT_BUNDLES)["key"]

    def new_key(self, *options: str) -> str:
        return str(self.json("key", "create", *options)["key"])

    def tls(self) -> ssl.SSLContext:
        """A client's context that trusts the gateway's own CA and nothing else, and checks the name."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    def imap(self, address: str | None = None, key: str | None = None) -> imaplib.IMAP4_SSL:
        """imaplib, logged in."""
        client = imaplib.IMAP4_SSL(HOST, self.imaps, ssl_context=self.tls(), timeout=30)
        try:
            client.login(address or self.address, key or self.key)
        except imaplib.IMAP4.error:
            client.shutdown()
            raise
        return client

    def smtp(self, address: str | None = None, key: str | None = None) -> smtplib.SMTP_SSL:
        """smtplib over implicit TLS, logged in."""
        client = smtplib.SMTP_SSL(HOST, self.smtps, context=self.tls(), timeout=30)
        try:
            client.login(address or self.address, key or self.key)
        except smtplib.SMTPException:
            client.close()
            raise
        return client

    def log_tail(self, octets: int = 8000) -> str:
        return self.log_file.read_bytes()[-octets:].decode("utf-8", "replace") if self.log_file.exists() else ""

    def defects(self) -> list[str]:
        """Lines of the log that tell of a defect: nothing a peer does may bring one about."""
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
        marks = ('"level": "error"', '"level":"error"', '"level": "critical"', "Traceback", "Unhandled")
        return [line for line in text.splitlines() if any(mark in line for mark in marks)]

    def _begin(
        self, log: int, more: Mapping[str, str], options: tuple[str, ...]
    ) -> subprocess.Popen[bytes] | Forked:
        if self._forks and not self.sockets:
            with open(os.devnull, "rb") as nothing:
                return Forked(
                    [*self._options, "serve", *options], self._environ | more, nothing.fileno(), log, log, session=True
                )
        return subprocess.Popen(
            [*self._passing, *self._command, "serve", *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=self._environ | more, start_new_session=True,
            pass_fds=[passed.fileno() for passed in self.sockets.values()],
        )

    @property
    def _forks(self) -> bool:
        """Whether its processes are forked; what an interpreter asks of its environment it asks as it starts."""
        return forked.enabled and not self.fresh and all(name.startswith("GATEWAY_") for name in self.environ)

    @property
    def _options(self) -> list[str]:
        return ["--config", str(self.config_file)]

    @property
    def _command(self) -> list[str]:
        return [sys.executable, "-m", "gateway", *self._options]

    @property
    def _passing(self) -> list[str]:
        if not self.sockets:
            return []
        numbers = ",".join(str(passed.fileno()) for passed in self.sockets.values())
        return [sys.executable, "-c", AS_SYSTEMD, ":".join(self.sockets), numbers]

    @property
    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("GATEWAY_") and name != "NOTIFY_SOCKET"}
        return kept | {"PYTHONUNBUFFERED": "1"} | dict(self.environ)


@cache
def _initialised(hostname: str) -> Gateway:
    """A gateway that only lends its data directory: the first of a run is really made, once a process."""
    directory = Path(tempfile.mkdtemp(prefix="gateway-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    one = Gateway(directory, hostname=hostname)
    one.configure()
    one.really_init()
    return one


def ended(gateway: Gateway) -> None:
    """Stops it, if it runs: by itself, and its log tells of no defect."""
    if gateway.process is not None:
        status = gateway.stop()
        assert status == 0, f"the gateway ended with {status}:\n{gateway.log_tail()}"
    assert not gateway.defects(), gateway.log_tail()


@contextmanager
def running(gateway: Gateway, end: Callable[[Gateway], None] = ended) -> Iterator[Gateway]:
    """A gateway with its first inbox, started; what `end` asks of it holds afterwards."""
    gateway.init()
    gateway.start()
    try:
        yield gateway
    finally:
        end(gateway)


@contextmanager
def two_nodes(first: Gateway, second: Gateway, environ: Mapping[str, str]) -> Iterator[tuple[Gateway, Gateway]]:
    """Two gateways of one store, of which the first runs; both may be started, stopped and frozen, and end well."""
    first.environ = second.environ = environ
    try:
        first.init()
        second.configure()
        assert second.json("init")["key"] is None
        second.address, second.key = first.address, first.key
        first.start()
        yield first, second
        ended(first)
        ended(second)
    finally:
        for node in (first, second):
            if node.process is not None:
                node.signal(signal.SIGCONT)
                node.kill()
