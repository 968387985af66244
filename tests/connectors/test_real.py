"""Real servers, Debian's Dovecot and Cyrus, over TLS, with CONDSTORE and QRESYNC and without."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from gateway.model.flags import SEEN
from gateway.store.db import Database
from tests.connectors.kit import QUICK, Connected
from tests.connectors.local_changes import Local
from tests.connectors.real_kit import Other, Server, agree, connect, other_client, user_of
from tests.servers.cyrus import Cyrus, running_cyrus
from tests.servers.process import PeerMissing, wait_for

PUSHES = replace(QUICK, push_after=0.01, push_retry=0.0)


@pytest.fixture(scope="module", params=["dovecot", "cyrus"])
def server(request: pytest.FixtureRequest, missing: Callable[[str], None]) -> Iterator[Server]:
    if request.param == "dovecot":
        yield request.getfixturevalue("dovecot")
        return
    try:
        with running_cyrus() as started:
            yield started
    except PeerMissing:
        missing("cyrus")


@pytest.fixture
def other(server: Server, request: pytest.FixtureRequest) -> Iterator[Other]:
    with other_client(server, user_of(request)) as client:
        yield client


@pytest.mark.parametrize(
    "distrusted", [(), ("QRESYNC",), ("QRESYNC", "CONDSTORE")], ids=["qresync", "condstore", "plain"]
)
async def test_what_another_client_does_comes(
    db: Database, server: Server, other: Other, request: pytest.FixtureRequest, distrusted: tuple[str, ...]
) -> None:
    other.add("INBOX", 40)
    other.add("Sent", 3, "\\Seen")
    other.imap.create("Lists/a")
    other.add("Lists/a", 5)
    async with connect(db, server, user_of(request)) as here:
        here.supervisor._recall(here.row.id).distrust |= set(distrusted)
        await agree(here, other, "INBOX", "Sent", "Lists/a")
        assert {row.role for row in (await here.folders()).values()} >= {"\\Sent", "\\Drafts", "\\Trash"}
        other.do("INBOX", ("STORE", "3:6", "+FLAGS", "(\\Flagged work)"), ("STORE", "10,12", "+FLAGS", "\\Deleted"))
        other.add("INBOX", 4)
        other.do("INBOX", ("MOVE", "20:22", "Lists/a"))
        other.do("Lists/a", ("STORE", "1", "+FLAGS", "\\Seen"))
        await agree(here, other, "INBOX", "Sent", "Lists/a")
        assert (await here.good_sync()).run.imported == 0


async def test_it_is_heard_at_once(
    db: Database, server: Server, other: Other, request: pytest.FixtureRequest
) -> None:
    """By IDLE: its own polling is once a minute, which is longer than `until` waits."""
    other.add("INBOX", 3)

    async def same() -> bool:
        return await here.mail() == other.mail("INBOX")

    async with connect(db, server, user_of(request), push=True) as here:
        await here.until(same)
        other.add("INBOX", 1)
        await here.until(same, "new mail")
        other.do("INBOX", ("STORE", "2", "+FLAGS", "\\Answered"))
        await here.until(same, "a flag")
        other.do("INBOX", ("STORE", "3:4", "+FLAGS", "\\Deleted"))
        await here.until(same, "the newest gone")


async def test_a_mailbox_that_was_made_anew(
    db: Database, server: Server, other: Other, request: pytest.FixtureRequest
) -> None:
    """A new UIDVALIDITY, the same messages, and some more."""
    other.imap.create("Box")
    other.add("Box", 12)
    async with connect(db, server, user_of(request)) as here:
        await agree(here, other, "Box")
        before = (await here.folders())["Box"].uidvalidity
        assert before is not None
        wait_for(lambda: time.time() >= before + 1, "the next second, whose number a new UIDVALIDITY is")
        other.imap.create("Copy")
        other.do("Box", ("COPY", "1:*", "Copy"))
        other.imap.select("INBOX")
        assert other.imap.delete("Box")[0] == "OK"
        assert other.imap.rename("Copy", "Box")[0] == "OK"
        other.add("Box", 2)
        result = await here.good_sync()
        assert (await here.folders())["Box"].uidvalidity != before
        assert await here.mail("Box") == other.mail("Box")
        assert (result.run.remapped, result.run.imported) == (12, 2), "found again"


async def test_what_is_done_here_goes_up(
    db: Database, server: Server, other: Other, request: pytest.FixtureRequest
) -> None:
    other.add("INBOX", 8)
    other.imap.create("Work")
    async with connect(db, server, user_of(request), settings=PUSHES, mode="two-way") as here:
        local = Local(here)
        await agree(here, other, "INBOX", "Work")
        await local.flag("INBOX", [1, 2], "add", "\\Seen", "work")
        await local.flag("INBOX", [2], "remove", "work")
        await local.move("INBOX", [3, 4], "Work")
        await local.copy("INBOX", [5], "Work")
        await local.expunge("INBOX", [7, 8])
        await local.append("Drafts", flags=SEEN)
        await local.create("New")
        await settled(here, other, "INBOX", "Work", "Drafts", "Trash", "New")
        assert [sum(other.mail(name).values()) for name in ("INBOX", "Work", "Drafts", "Trash")] == [4, 3, 1, 2]

        other.do("INBOX", ("STORE", "1", "-FLAGS", "\\Seen"))
        await local.flag("INBOX", [2], "add", "\\Flagged")
        await settled(here, other, "INBOX", "Work", "Drafts", "Trash")
        last = await here.good_sync()
        assert (last.run.imported, last.run.pushed) == (0, 0), "our own changes are no news"


async def settled(here: Connected, other: Other, *names: str) -> None:
    for _ in range(2):
        await here.good_sync()
    await agree(here, other, *names)


@pytest.mark.parametrize("distrusted", [(), ("QRESYNC",)], ids=["qresync", "condstore"])
async def test_the_newest_messages_may_go(
    db: Database, server: Server, other: Other, request: pytest.FixtureRequest, distrusted: tuple[str, ...]
) -> None:
    """Of which Cyrus does not tell where it is asked for `1:*`: VANISHED ends at the highest UID that lives."""
    other.add("INBOX", 12)
    async with connect(db, server, user_of(request)) as here:
        here.supervisor._recall(here.row.id).distrust |= set(distrusted)
        await agree(here, other, "INBOX")
        modseq = (await here.folders())["INBOX"].highest_modseq
        other.do("INBOX", ("STORE", "5,10:12", "+FLAGS", "\\Deleted"))
        if isinstance(server, Cyrus):
            assert vanished(other, "1:*", modseq) == b"5", "what the set's end is for"
        assert vanished(other, "1:4294967295", modseq) == b"5,10:12"
        await agree(here, other, "INBOX")
        other.do("INBOX", ("STORE", "3:*", "+FLAGS", "\\Deleted"))
        await agree(here, other, "INBOX")
        other.add("INBOX", 1)
        await agree(here, other, "INBOX")


def vanished(other: Other, uids: str, since: int) -> bytes:
    """What an independent client is told to be gone."""
    other.imap.unselect()
    other.imap.enable("QRESYNC")
    other.imap.select("INBOX")
    other.imap.untagged_responses.clear()
    other.imap.uid("FETCH", uids, "(FLAGS)", f"(CHANGEDSINCE {since} VANISHED)")
    [said] = other.imap.untagged_responses["VANISHED"]
    found = re.fullmatch(rb"\(EARLIER\) (\S+)", said)
    assert found is not None, said
    return found[1]
