"""The prompt transports: what is written arrives whole and in order, also when the socket takes only part of it."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

# A reactor lives once in a process, so the server is one of its own: it writes many pieces, small and large, with a
# producer that is paused when the peer does not read, then closes.
SERVER = """
import socket, sys
from gateway.ops.loop import install
loop, reactor = install()
from twisted.internet.protocol import Factory, Protocol
from gateway.ops.transport import listen

class Writer(Protocol):
    paused = False
    def connectionMade(self):
        self.transport.registerProducer(self, True)
        self.left = list(range(400))
        self.resumeProducing()
    def pauseProducing(self):
        self.paused = True
    def stopProducing(self):
        self.left.clear()
    def resumeProducing(self):
        self.paused = False
        while self.left and not self.paused:
            n = self.left.pop(0)
            self.transport.write(b"%d," % n)
            self.transport.write(b"x" * (n * 37 % 70000))
        if not self.left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
    def connectionLost(self, reason):
        reactor.stop()

factory = Factory.forProtocol(Writer)
passed = None
if sys.argv[1] == "passed":
    passed = socket.create_server(("127.0.0.1", 0))
    passed.setblocking(False)
port = listen(reactor, factory, port=0, address="127.0.0.1", backlog=5, passed=passed)
print(port.getHost().port, flush=True)
reactor.run()
"""


def _serve(how: str) -> bytes:
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", SERVER, how], cwd=ROOT, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        got = bytearray()
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            while chunk := client.recv(65536):
                got += chunk
        assert server.wait(20) == 0
        return bytes(got)


def test_all_octets_arrive_in_order() -> None:
    expected = b"".join(b"%d," % n + b"x" * (n * 37 % 70000) for n in range(400))
    assert _serve("bound") == expected


def test_a_passed_socket_is_adopted() -> None:
    assert _serve("passed").startswith(b"0,1,xxx")
