"""A thin blocking client of the HTTP API: one kept connection over TLS, requests as octets, answers by their length."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from .client import Account

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


def inbox_path(account: Account) -> str:
    return f"/api/v1/inboxes/{quote(account.user)}"


class Http:
    """An answer that is not 2xx is a RuntimeError with its beginning."""

    def __init__(self, account: Account, secret: str = "", context: ssl.SSLContext | None = None) -> None:
        """`secret`: of another key than the account's."""
        self.wire = account.connect(context)
        self.inbox = inbox_path(account)
        self._head = f" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret or account.secret}\r\n".encode()

    def get(self, path: str) -> bytes:
        self.send("GET", path)
        return self.finish()

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def post(self, path: str, document: Mapping[str, Any], method: str = "POST") -> bytes:
        body = json.dumps(document).encode()
        self.send(method, path, b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body), body)
        return self.finish()

    def send(self, method: str, path: str, fields: bytes = b"", body: bytes = b"") -> None:
        self.wire.sock.sendall(f"{method} {path}".encode() + self._head + fields + b"\r\n" + body)

    def finish(self) -> bytes:
        """The body of an answer that tells its length, as all but streams do."""
        wire = self.wire
        while (end := wire.buffer.find(b"\r\n\r\n") + 4) < 4:
            wire.fill()
        head = bytes(wire.buffer[:end])
        length = _LENGTH.search(head)
        assert length is not None, head
        whole = end + int(length[1])
        while len(wire.buffer) < whole:
            wire.fill()
        body = bytes(wire.buffer[end:whole])
        del wire.buffer[:whole]
        if head[9:10] != b"2":
            raise RuntimeError((head + body)[:500].decode(errors="replace"))
        return body

    def close(self) -> None:
        self.wire.close()
