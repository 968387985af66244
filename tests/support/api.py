"""A client of the HTTP API on the standard library alone: TLS checked, one connection, what was answered as it came."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .closing import Closing
from .gateway import HOST, Gateway


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """Of a problem document."""
        assert self.headers["content-type"].startswith("application/problem+json"), (self.status, self.body)
        return str(self.json["code"])


class Api(Closing):
    """`key` "" sends none. Paths begin below the host."""

    def __init__(self, gateway: Gateway, key: str = "") -> None:
        self.key = key
        self._connection = http.client.HTTPSConnection(HOST, gateway.web, context=gateway.tls(), timeout=60)

    def close(self) -> None:
        self._connection.close()

    def ask(
        self, method: str, path: str, body: Any = None, *, octets: bytes | None = None, **headers: str
    ) -> Answer:
        """`body` goes as JSON, `octets` as they are. Underscores in header names are hyphens."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent.setdefault("Authorization", f"Bearer {self.key}")
        if body is not None:
            octets = json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        self._connection.request(method, path, octets, sent)
        response = self._connection.getresponse()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())

    def get(self, path: str, **headers: str) -> Any:
        """What a GET that must succeed answers, as JSON."""
        return self._good("GET", path, None, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._good("POST", path, body, headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self._good("PATCH", path, body, headers)

    def delete(self, path: str, **headers: str) -> Any:
        return self._good("DELETE", path, None, headers)

    def _good(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Any:
        answer = self.ask(method, path, body, **headers)
        assert answer.status < 300, (method, path, answer.status, answer.body)
        return answer.json if answer.body else None
