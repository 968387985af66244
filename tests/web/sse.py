"""A listener to Server-Sent Events on a bare TLS connection: what comes, as it comes."""

from __future__ import annotations

import json
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from tests.support.closing import Closing
from tests.support.gateway import HOST, Gateway


@dataclass(frozen=True)
class Told:
    type: str
    id: str | None
    text: str

    @property
    def event(self) -> Any:
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        return self.event["data"]


class Listener(Closing):
    """Has said hello once it is made. The stream's end is `None`."""

    def __init__(self, gateway: Gateway, path: str, key: str, last: str | None = None, *, status: int = 200) -> None:
        self._socket: ssl.SSLSocket = gateway.tls().wrap_socket(
            socket.create_connection((HOST, gateway.web), timeout=20), server_hostname=HOST
        )
        fields = f"Host: x\r\nAuthorization: Bearer {key}\r\n" + (f"Last-Event-ID: {last}\r\n" if last else "")
        self._socket.sendall(f"GET {path} HTTP/1.1\r\n{fields}\r\n".encode())
        self._file = self._socket.makefile("rb")
        said = self._file.readline()
        assert said.split()[1] == str(status).encode(), said
        self.headers = dict[str, str]()
        while (line := self._file.readline().decode().strip()):
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self._lines = bytearray()
        if status == 200:
            assert self._block() == ["retry: 2000"]

    def next(self) -> Told | None:
        """The next event; keep-alives are passed over."""
        while (lines := self._block()) is not None:
            found = dict(line.split(": ", 1) for line in lines if not line.startswith(":"))
            if "event" in found:
                return Told(found["event"], found.get("id"), found.get("data", ""))
        return None

    def one(self) -> Told:
        found = self.next()
        assert found is not None, "the stream has ended"
        return found

    def some(self, count: int) -> list[Told]:
        return [self.one() for _ in range(count)]

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _block(self) -> list[str] | None:
        """Lines up to an empty one, out of chunks (RFC 9112 7.1)."""
        while b"\n\n" not in self._lines:
            size = self._file.readline().strip()
            if not size or not (octets := self._file.read(int(size, 16))):
                return None
            self._lines += octets
            self._file.readline()
        at = self._lines.index(b"\n\n")
        block = self._lines[:at].decode()
        del self._lines[: at + 2]
        return block.split("\n")
