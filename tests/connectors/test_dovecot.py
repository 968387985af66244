"""A real server: Debian's Dovecot, over TLS, with CONDSTORE and QRESYNC and without."""

from __future__ import annotations

import imaplib
import ssl
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from gateway.outbound.tls import Security, TlsPolicy
from gateway.store.db import Database
from gateway.upstream.endpoint import ImapTimeouts
from tests.connectors.kit import Connected, connected, options
from tests.servers.dovecot import Dovecot, start_dovecot
from tests.servers.process import PeerMissing
from tests.support.upstream import digest, example

Mail = Counter[tuple[frozenset[str], str]]


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str], None]) -> Iterator[Dovecot]:
    try:
        server = start_dovecot(tmp_path_factory.mktemp("dovecot"))
    except PeerMissing:
        missing("dovecot")
        raise
    yield server
    server.stop()


@dataclass
class Other:
    """Another client of the same account."""

    imap: imaplib.IMAP4_SSL

    def add(self, box: str, count: int, flags: str | None = None) -> None:
        for _ in range(count):
            self.imap.append(box, flags, None, example())  # type: ignore[arg-type]

    def do(self, box: str, *commands: tuple[str, ...]) -> None:
        self.imap.select(box)
        for command in commands:
            kind, _ = self.imap.uid(*command)
            assert kind == "OK"
        self.imap.expunge()

    def mail(self, box: str) -> Mail:
        self.imap.select(box, readonly=True)
        found: Mail = Counter()
        _, rows = self.imap.uid("FETCH", "1:*", "(FLAGS BODY.PEEK[])")
        for row in rows:
            if isinstance(row, tuple):
                flags = {flag.decode() for flag in imaplib.ParseFlags(row[0])} - {"\\Recent"}
                found[frozenset(flags), digest(row[1])] += 1
        return found


@pytest.fixture
def other(dovecot: Dovecot, request: pytest.FixtureRequest) -> Iterator[Other]:
    context = ssl.create_default_context(cafile=str(dovecot.ca))
    imap = imaplib.IMAP4_SSL("localhost", dovecot.imaps, ssl_context=context)
    imap.login(user(request), dovecot.password)
    yield Other(imap)
    imap.logout()


def user(request: pytest.FixtureRequest) -> str:
    return "".join(char for char in request.node.name if char.isalnum())[:60].lower()


def connect(db: Database, dovecot: Dovecot, name: str, push: bool = False) -> object:
    account = SimpleNamespace(user=name, password=dovecot.password)
    server = SimpleNamespace(port=dovecot.imaps, account=account, violations=[])
    tls = TlsPolicy(security=Security.TLS, ca_file=dovecot.ca)
    return connected(
        db, server, options(push=push, vanished="delete"), tls=tls, times=ImapTimeouts()  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "distrusted", [(), ("QRESYNC",), ("QRESYNC", "CONDSTORE")], ids=["qresync", "condstore", "plain"]
)
async def test_what_another_client_does_comes(
    db: Database, dovecot: Dovecot, other: Other, request: pytest.FixtureRequest, distrusted: tuple[str, ...]
) -> None:
    other.add("INBOX", 40)
    other.add("Sent", 3, "\\Seen")
    other.imap.create("Lists/a")
    other.add("Lists/a", 5)
    async with connect(db, dovecot, user(request)) as here:  # type: ignore[attr-defined]
        here.supervisor._recall(here.row.id).distrust |= set(distrusted)
        await agree(here, other, "INBOX", "Sent", "Lists/a")
        other.do("INBOX", ("STORE", "3:6", "+FLAGS", "(\\Flagged work)"), ("STORE", "10,12", "+FLAGS", "\\Deleted"))
        other.add("INBOX", 4)
        other.do("INBOX", ("MOVE", "20:22", "Lists/a"))
        other.do("Lists/a", ("STORE", "1", "+FLAGS", "\\Seen"))
        await agree(here, other, "INBOX", "Sent", "Lists/a")


async def agree(here: Connected, other: Other, *names: str) -> None:
    await here.good_sync()
    for name in names:
        assert await here.mail(name) == other.mail(name), name


async def test_it_is_heard_at_once(
    db: Database, dovecot: Dovecot, other: Other, request: pytest.FixtureRequest
) -> None:
    other.add("INBOX", 3)

    async def same() -> bool:
        return await here.mail() == other.mail("INBOX")

    async with connect(db, dovecot, user(request), push=True) as here:  # type: ignore[attr-defined]
        await here.until(same)
        other.add("INBOX", 1)
        await here.until(same)
        other.do("INBOX", ("STORE", "2", "+FLAGS", "\\Answered"))
        await here.until(same)


async def test_a_mailbox_that_was_made_anew(
    db: Database, dovecot: Dovecot, other: Other, request: pytest.FixtureRequest
) -> None:
    """A new UIDVALIDITY, the same messages, and some more."""
    other.imap.create("Box")
    other.add("Box", 12)
    async with connect(db, dovecot, user(request)) as here:  # type: ignore[attr-defined]
        await agree(here, other, "Box")
        other.imap.create("Copy")
        other.do("Box", ("COPY", "1:*", "Copy"))
        other.imap.select("INBOX")
        other.imap.delete("Box")
        other.imap.rename("Copy", "Box")
        other.add("Box", 2)
        result = await here.good_sync()
        assert await here.mail("Box") == other.mail("Box")
        assert (result.run.remapped, result.run.imported) == (12, 2), "found again by date and size"
