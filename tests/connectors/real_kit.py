"""Accounts on real servers, over TLS: another client of the same account, and a connector of it."""

from __future__ import annotations

import imaplib
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest

from gateway.outbound.tls import Security, TlsPolicy
from gateway.store.db import Database
from gateway.upstream.endpoint import ImapTimeouts
from tests.connectors.kit import QUICK, Connected, Content, connected, options
from tests.support.upstream import digest, example


class Server(Protocol):
    """`tests.servers.dovecot.Dovecot`, `tests.servers.cyrus.Cyrus`."""

    imaps: int
    ca: Path
    password: str


@dataclass
class Other:
    """Another client of the same account."""

    imap: imaplib.IMAP4_SSL

    def add(self, box: str, count: int, flags: str | None = None) -> None:
        for _ in range(count):
            kind, said = self.imap.append(box, flags, None, example())  # type: ignore[arg-type]
            assert kind == "OK", said

    def do(self, box: str, *commands: tuple[str, ...]) -> None:
        self.imap.select(box)
        for command in commands:
            kind, said = self.imap.uid(*command)
            assert kind == "OK", said
        self.imap.expunge()

    def mail(self, box: str) -> Content:
        self.imap.select(box, readonly=True)
        found: Content = Counter()
        _, rows = self.imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        for row in rows:
            if isinstance(row, tuple):
                flags = {flag.decode() for flag in imaplib.ParseFlags(row[0])} - {"\\Recent"}
                found[frozenset(flags), digest(row[1])] += 1
        return found


@contextmanager
def other_client(server: Server, user: str) -> Iterator[Other]:
    context = ssl.create_default_context(cafile=str(server.ca))
    imap = imaplib.IMAP4_SSL("localhost", server.imaps, ssl_context=context)
    imap.login(user, server.password)
    yield Other(imap)
    imap.logout()


def user_of(request: pytest.FixtureRequest) -> str:
    """An account of the test's own."""
    return "".join(char for char in request.node.name if char.isalnum())[:60].lower()


def connect(
    db: Database, server: Server, name: str, push: bool = False, settings: Any = QUICK, **sync: Any
) -> AbstractAsyncContextManager[Connected]:
    there: Any = SimpleNamespace(
        port=server.imaps, account=SimpleNamespace(user=name, password=server.password), violations=[]
    )
    tls = TlsPolicy(security=Security.TLS, ca_file=server.ca)
    wanted = options(push=push, **{"vanished": "delete", **sync})
    return connected(db, there, wanted, settings=settings, tls=tls, times=ImapTimeouts())


async def agree(here: Connected, other: Other, *names: str) -> None:
    await here.good_sync()
    for name in names:
        assert await here.mail(name) == other.mail(name), name
