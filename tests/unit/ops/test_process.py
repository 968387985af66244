"""systemd's protocols, and the loop under Twisted's reactor."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.ops import systemd
from gateway.ops.systemd import Notifier, listen_sockets

ROOT = Path(__file__).parents[3]


@pytest.fixture
def manager(tmp_path: Path):  # type: ignore[no-untyped-def]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        yield receiver


def test_notifications(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("3 ports")
    notifier.status("busy")
    notifier.watchdog()
    notifier.stopping()
    assert [manager.recv(100) for _ in range(4)] == [
        b"READY=1\nSTATUS=3 ports", b"STATUS=busy", b"WATCHDOG=1", b"STOPPING=1",
    ]
    notifier.reloading()
    first, second = manager.recv(100).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        name = f"gateway-test-{os.getpid()}"
        receiver.bind(f"\0{name}")
        receiver.settimeout(10)
        assert Notifier({"NOTIFY_SOCKET": f"@{name}"}).send("X=1")
        assert receiver.recv(10) == b"X=1"


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    assert not Notifier({}).send("READY=1")
    assert not Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).send("READY=1")


@pytest.mark.parametrize(("environ", "interval"), [
    ({}, None),
    ({"WATCHDOG_USEC": "0"}, None),
    ({"WATCHDOG_USEC": "x"}, None),
    ({"WATCHDOG_USEC": "20000000"}, 10.0),
    ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
    ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
])
def test_the_watchdog_interval_is_half_of_what_is_allowed(environ: dict[str, str], interval: float | None) -> None:
    assert Notifier(environ).watchdog_interval == interval


def test_the_watchdog_is_fed_from_the_loop(manager: socket.socket) -> None:
    async def run() -> None:
        notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "2000"})
        task = asyncio.create_task(notifier.keep_alive())
        fed = [await asyncio.to_thread(manager.recv, 20) for _ in range(3)]
        task.cancel()
        assert fed == [b"WATCHDOG=1"] * 3
        await Notifier({}).keep_alive()

    asyncio.run(run())


def test_sockets_from_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    descriptors = [listener.detach() for listener in listeners]
    # systemd numbers them from 3; a test takes those it gets, which need not be in a row.
    monkeypatch.setattr(systemd, "FIRST_FD", 0)
    monkeypatch.setattr(systemd.os, "set_inheritable", lambda _fd, _on: None)
    plain = socket.socket
    monkeypatch.setattr(systemd.socket, "socket", lambda fileno: plain(fileno=descriptors[fileno]))
    environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "3", "LISTEN_FDNAMES": "imaps:imaps", "OTHER": "1"}
    found = listen_sockets(environ)
    assert {name: len(sockets) for name, sockets in found.items()} == {"imaps": 2, "unknown": 1}
    assert environ == {"OTHER": "1"}, "children must not take them for theirs"
    for sockets in found.values():
        for listener in sockets:
            assert listener.getblocking() is False
            listener.close()


@pytest.mark.parametrize("environ", [
    {}, {"LISTEN_PID": "1", "LISTEN_FDS": "3"}, {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"},
])
def test_sockets_for_somebody_else_are_left_alone(environ: dict[str, str]) -> None:
    assert listen_sockets(dict(environ)) == {}


def run_python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_reactor_runs_on_the_loop_and_coroutines_do() -> None:
    out = run_python("""
import asyncio, sys
from gateway.ops import loop
made, reactor = loop.install()
async def work():
    await asyncio.sleep(0)
    assert asyncio.get_running_loop() is made
    before = reactor.seconds()
    fired = made.create_future()
    reactor.callLater(0, fired.set_result, None)
    await fired
    assert reactor.seconds() >= before
    await asyncio.to_thread(print, type(made).__module__, type(reactor).__name__, sys.getswitchinterval())
    reactor.stop()
reactor.callWhenRunning(lambda: made.create_task(work()))
reactor.run()
""")
    assert out.split()[1:] == ["AsyncioSelectorReactor", "0.0005"]


def test_a_reactor_that_is_there_already_is_an_error() -> None:
    out = run_python("""
from twisted.internet import reactor
from gateway.ops import loop
try:
    loop.install()
except RuntimeError as error:
    print(error)
""")
    assert "before the loop" in out


def test_without_uvloop_asyncio_serves() -> None:
    out = run_python("""
import sys
sys.modules["uvloop"] = None
from gateway.ops import loop
print(type(loop.new_loop()).__module__)
""")
    assert out.strip().startswith("asyncio.")


def test_twisted_serves_tls_and_a_reload_reaches_new_connections(tmp_path: Path) -> None:
    """A real loopback handshake through Twisted's own machinery, before and after the certificate is made anew."""
    out = run_python(f"""
import socket, ssl
from datetime import UTC, datetime
from pathlib import Path
from gateway.ops import loop, pki
from gateway.ops.tls import TlsContexts, TlsFiles
made, reactor = loop.install()
import asyncio
from twisted.internet.protocol import Factory, Protocol
class Greeter(Protocol):
    def connectionMade(self):
        self.transport.write(b"* OK " + self.transport.getPeer().host.encode())
        self.transport.loseConnection()
directory = Path({str(tmp_path)!r})
first = pki.ensure(directory, [], datetime.now(UTC))
contexts = TlsContexts(TlsFiles(first.server_file, first.server_file), lambda: 0.0)
port = reactor.listenSSL(0, Factory.forProtocol(Greeter), contexts.twisted(), interface="127.0.0.1")
def ask():
    context = ssl.create_default_context(cafile=str(directory / "ca.pem"))
    with socket.create_connection(("127.0.0.1", port.getHost().port), 10) as raw:
        with context.wrap_socket(raw, server_hostname="localhost") as client:
            return client.recv(100), client.getpeercert()["serialNumber"]
async def main():
    greeting, before = await asyncio.to_thread(ask)
    first.server_file.unlink()
    pki.ensure(directory, [], datetime.now(UTC))
    assert contexts.check()
    greeting, after = await asyncio.to_thread(ask)
    print(greeting.decode(), before != after)
    reactor.stop()
reactor.callWhenRunning(lambda: made.create_task(main()))
reactor.run()
""")
    assert out.splitlines()[-1] == "* OK 127.0.0.1 True"
