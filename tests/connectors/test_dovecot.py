"""A real server: Debian's Dovecot, over TLS, with CONDSTORE and QRESYNC and without."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from gateway.store.db import Database
from tests.connectors.real_kit import Other, agree, connect, other_client, user_of
from tests.servers.dovecot import Dovecot, start_dovecot
from tests.servers.process import PeerMissing


@pytest.fixture(scope="module")
def dovecot(tmp_path_factory: pytest.TempPathFactory, missing: Callable[[str], None]) -> Iterator[Dovecot]:
    try:
        server = start_dovecot(tmp_path_factory.mktemp("dovecot"))
    except PeerMissing:
        missing("dovecot")
        raise
    yield server
    server.stop()


@pytest.fixture
def other(dovecot: Dovecot, request: pytest.FixtureRequest) -> Iterator[Other]:
    with other_client(dovecot, user_of(request)) as client:
        yield client


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
    async with connect(db, dovecot, user_of(request)) as here:
        here.supervisor._recall(here.row.id).distrust |= set(distrusted)
        await agree(here, other, "INBOX", "Sent", "Lists/a")
        other.do("INBOX", ("STORE", "3:6", "+FLAGS", "(\\Flagged work)"), ("STORE", "10,12", "+FLAGS", "\\Deleted"))
        other.add("INBOX", 4)
        other.do("INBOX", ("MOVE", "20:22", "Lists/a"))
        other.do("Lists/a", ("STORE", "1", "+FLAGS", "\\Seen"))
        await agree(here, other, "INBOX", "Sent", "Lists/a")


async def test_it_is_heard_at_once(
    db: Database, dovecot: Dovecot, other: Other, request: pytest.FixtureRequest
) -> None:
    other.add("INBOX", 3)

    async def same() -> bool:
        return await here.mail() == other.mail("INBOX")

    async with connect(db, dovecot, user_of(request), push=True) as here:
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
    async with connect(db, dovecot, user_of(request)) as here:
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
