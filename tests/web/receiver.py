"""A webhook's receiver over TLS: keeps what it was told, checks signatures, and misbehaves as it is asked to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.authority import Authority
from tests.support.closing import Closing


@dataclass(frozen=True)
class Delivery:
    path: str
    headers: dict[str, str]
    """By names in small letters."""
    body: bytes

    @property
    def event(self) -> Any:
        return json.loads(self.body)

    def signed_by(self, secret: str) -> bool:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{self.headers['webhook-id']}.{self.headers['webhook-timestamp']}.".encode() + self.body
        made = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return made in self.headers["webhook-signature"].split(" ")


class Receiver(Closing):
    """Answers each path as `ways` says, 200 where it says nothing: a status, or one of the words below."""

    def __init__(self, authority: Authority) -> None:
        self.ca = authority.file
        self.ways: dict[str, int | str] = {}
        self.deliveries: queue.Queue[Delivery] = queue.Queue()
        self.asked_elsewhere = threading.Event()
        self._over = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                fields = {name.lower(): value for name, value in self.headers.items()}
                receiver.deliveries.put(Delivery(self.path, fields, body))
                with suppress(OSError):
                    receiver._answer(self, receiver.ways.get(self.path, 200))

            def do_GET(self) -> None:
                receiver.asked_elsewhere.set()
                self.send_response(200)
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Not on the test's output."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                """Peers that break off are part of it."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.socket = authority.leaf().server().wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def url(self, path: str = "/hook") -> str:
        return f"https://localhost:{self._server.server_port}{path}"

    def next(self) -> Delivery:
        return self.deliveries.get(timeout=60)

    def some(self, count: int) -> list[Delivery]:
        return [self.next() for _ in range(count)]

    def _answer(self, handler: BaseHTTPRequestHandler, way: int | str) -> None:
        if way == "stall":
            self._over.wait()
            return
        status = 302 if way == "redirect" else 200 if way == "endless" else int(way)
        handler.send_response(status)
        handler.send_header("Connection", "close")
        if way == "redirect":
            handler.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        if way == "endless":
            handler.send_header("Content-Length", str(1 << 30))
            handler.end_headers()
            while not self._over.is_set():
                handler.wfile.write(b"x" * 65536)
            return
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(b"ok")

    def close(self) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
