"""What servers do wrong while a connector pulls: nothing is lost, nothing comes twice, and it goes on by itself."""

from __future__ import annotations

import asyncio
import copy

import pytest

from gateway.outbound.failure import Failure
from gateway.store.connectors import accounts, events, lease
from gateway.store.connectors.events import EventStatus
from gateway.store.connectors.rows import ConnectorState
from gateway.store.db import Database
from tests.connectors.kit import connected, options, upstream_mail
from tests.support.upstream import (
    DOVECOT,
    GMAIL,
    PLAIN,
    Bye,
    Cut,
    Do,
    Drop,
    EmptyBody,
    FakeUpstream,
    Fault,
    MissingBody,
    NilBody,
    Refuse,
    Twice,
    bodies,
    zero_exists,
)
from tests.support.upstream.body_faults import BodyFault

ONCE = [
    Cut("FETCH", octets=700, literal=True, where=bodies),
    Cut("FETCH", octets=2_000, where=bodies, nth=2),
    Bye("FETCH", where=bodies),
    Drop("FETCH", where=bodies, when="after"),
    Drop("SEARCH"),
    Drop("LIST"),
    Drop("OPEN"),
    Bye("OPEN"),
    Refuse("SEARCH"),
    Refuse("OPEN", "NO [UNAVAILABLE] try later"),
    Refuse("FETCH", "NO [UNAVAILABLE] try later", where=bodies),
    Twice("FETCH"),
    Bye("AUTH", "Too many simultaneous connections"),
]


@pytest.mark.parametrize("fault", ONCE, ids=lambda one: f"{type(one).__name__}-{one.command}-{one.nth}")
async def test_one_fault_costs_a_delay_only(db: Database, fault: Fault) -> None:
    fault = _fresh(fault)
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 45, "Work": 5}, faults=[fault]) as server,
        connected(db, server) as here,
    ):
        for _ in range(3):
            result = await here.sync()
            if result.failure is None:
                break
        assert result.failure is None
        assert fault.fired
        assert await here.mail() == upstream_mail(server)
        assert await here.mail("Work") == upstream_mail(server, "Work")
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)


def _fresh(fault: Fault) -> Fault:
    """A copy of its own for each test."""
    made = copy.copy(fault)
    made.seen = made.fired = 0
    made.reached = asyncio.Event()
    return made


async def test_what_had_come_before_the_connection_ended_does_not_come_again(db: Database) -> None:
    fault = Cut("FETCH", octets=900, where=bodies, nth=2)
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 10}, faults=[fault]) as server,
        connected(db, server) as here,
    ):
        first = await here.sync()
        assert first.failure == Failure.LOST
        kept = sum((await here.mail()).values())
        assert 0 < kept < 10
        second = await here.good_sync()
        assert second.run.imported == 10 - kept
        assert await here.mail() == upstream_mail(server)


@pytest.mark.parametrize("kind", [NilBody, MissingBody, EmptyBody])
async def test_a_message_that_cannot_be_had_holds_up_nothing(db: Database, kind: type[BodyFault]) -> None:
    bad = kind(uid=7, times=0)
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 20}, faults=[bad]) as server,
        connected(db, server) as here,
    ):
        result = await here.good_sync()
        assert bad.fired
        assert sum((await here.mail()).values()) == 19
        assert result.run.poisoned == 1
        await here.good_sync()
        server.disarm()
        await here.later(130)
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)


async def test_a_message_larger_than_any_may_be_is_left_out(db: Database) -> None:
    big = b"Subject: big\r\n\r\n" + b"x" * 200_000
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": [big, b"Subject: small\r\n\r\nx\r\n"]}) as server,
        connected(db, server, max_message=100_000) as here,
    ):
        result = await here.good_sync()
        assert sum((await here.mail()).values()) == 1
        assert any("larger" in note for note in result.run.notes)
        assert (await here.good_sync()).run.octets == 0


async def test_a_message_that_always_ends_the_connection_is_left_out(db: Database) -> None:
    fault = Drop("FETCH", times=0, where=lambda command: bodies(command) and names_uid(command.raw, 13))
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 20}, faults=[fault]) as server,
        connected(db, server) as here,
    ):
        for _ in range(12):
            result = await here.sync()
        assert result.failure is None
        assert sum((await here.mail()).values()) == 19


def names_uid(raw: bytes, wanted: int) -> bool:
    """Whether `UID FETCH set` names a UID."""
    for part in raw.split()[3].split(b","):
        low, _, high = part.partition(b":")
        if int(low) <= wanted <= int(high or low):
            return True
    return False


async def test_an_inbox_that_is_empty_for_a_moment_empties_nothing(db: Database) -> None:
    async with (
        FakeUpstream(PLAIN, mailboxes={"INBOX": 30}) as server,
        connected(db, server, options(vanished="delete")) as here,
    ):
        await here.good_sync()
        server.arm(zero_exists("EXAMINE"))
        await here.sync()
        server.disarm()
        await here.sync()
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)


async def test_most_mail_gone_waits_for_a_confirmation(db: Database) -> None:
    async with (
        FakeUpstream(PLAIN, mailboxes={"INBOX": 80}) as server,
        connected(db, server, options(vanished="delete")) as here,
    ):
        await here.good_sync()
        server.account.expunge("INBOX", range(1, 71))
        while (await here.read_row()).state is not ConnectorState.CONFIRM:
            await here.sync()
        assert sum((await here.mail()).values()) == 80
        assert "70 of 80" in ((await here.read_row()).reason or "")
        here.supervisor.confirm(here.row.id)
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
        assert (await here.read_row()).state is ConnectorState.POLLING


async def test_numbered_anew_nothing_is_fetched_again(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 40}) as server, connected(db, server) as here:
        await here.good_sync()
        server.account.renumber("INBOX", first=100)
        server.account.deliver_many(3)
        server.account.set_flags("INBOX", 101, ["\\Flagged"])
        result = await here.good_sync()
        assert (result.run.remapped, result.run.imported) == (40, 3)
        assert await here.mail() == upstream_mail(server)


async def test_numbered_anew_in_the_middle_of_a_sync(db: Database) -> None:
    renumber = Do("FETCH", lambda server: server.renumber("INBOX"), nth=2, where=bodies)
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 40}, faults=[renumber]) as server,
        connected(db, server) as here,
    ):
        for _ in range(4):
            await here.sync()
        assert await here.mail() == upstream_mail(server)


async def test_a_frozen_modseq_is_noticed(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 10}) as server, connected(db, server) as here:
        await here.good_sync()
        server.account.freeze_modseq("INBOX")
        server.account.deliver_many(2)
        await here.good_sync()
        server.account.set_flags("INBOX", 5, ["\\Flagged"])
        await here.good_sync()
        assert await here.mail() == upstream_mail(server)
        assert not (await here.folders())["INBOX"].modseq_ok


async def test_capabilities_that_are_lies(db: Database) -> None:
    async with (
        FakeUpstream(PLAIN.lying("CONDSTORE", "QRESYNC", "ESEARCH", "LIST-EXTENDED", "LIST-STATUS"),
                     mailboxes={"INBOX": 12}) as server,
        connected(db, server) as here,
    ):  # fmt: skip
        for _ in range(3):
            result = await here.sync()
        server.account.set_flags("INBOX", 5, ["\\Flagged"])
        result = await here.sync()
        assert result.failure is None, result
        assert await here.mail() == upstream_mail(server)


async def test_a_wrong_password_is_told_and_not_tried_on_and_on(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server:
        server.refuse_login = "NO [AUTHENTICATIONFAILED] Authentication failed."
        async with connected(db, server) as here:
            result = await here.sync()
            assert result.failure == Failure.AUTH_REJECTED
            row = await here.read_row()
            assert row.failure == Failure.AUTH_REJECTED
            assert row.not_before > here.clock() + 100
            logins = sum(command.name in ("LOGIN", "AUTHENTICATE") for command in server.log)
            assert logins <= 2, "the supervisor's own first try and ours"


async def test_somebody_who_asks_while_the_login_is_refused_brings_no_storm_about(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server:
        server.refuse_login = "NO [AUTHENTICATIONFAILED] Authentication failed."
        async with connected(db, server) as here:
            await here.sync()
            await db.write(lambda tx: accounts.ask_sync(tx, here.row.id, now=int(here.clock())))
            for _ in range(20):
                await here.db.write(lambda tx: None)
                await asyncio.sleep(0.05)
            assert server.connections <= 4


async def test_each_sync_that_did_something_leaves_an_event(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}) as server, connected(db, server) as here:
        await here.good_sync()
        server.refuse_login = "NO [AUTHENTICATIONFAILED] Authentication failed."
        await here.sync()
        failed, *_, first = await db.read(lambda rx: events.newest(rx, events.Filter(here.row.id)))
        assert (first.status, first.detail["emailSyncCount"]) == (EventStatus.SUCCESS, 3)
        assert (failed.status, failed.failure) == (EventStatus.FAILED, Failure.AUTH_REJECTED)
        log = await db.read(lambda rx: events.log_of(rx, failed.id))
        assert log is not None
        assert "AUTHENTICATIONFAILED" in log
        assert server.account.password not in log


async def test_a_throttled_account_waits_as_long_as_it_is_told(db: Database) -> None:
    answer = "BAD Request is throttled. Suggested Backoff Time: 200000 milliseconds"
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}, faults=[Refuse("OPEN", answer, times=0)]) as server,
        connected(db, server) as here,
    ):
        result = await here.sync()
        assert result.failure == Failure.THROTTLED
        row = await here.read_row()
        assert row.state is ConnectorState.THROTTLED
        assert 190 < row.not_before - here.clock() < 230


async def test_gmail_has_each_message_once_and_labels_are_mailboxes(db: Database) -> None:
    async with FakeUpstream(GMAIL) as server:
        for labels in (["\\Inbox"], ["\\Inbox", "Work"], ["Work"], [], ["\\Sent"]):
            server.account.deliver("[Gmail]/All Mail", labels=labels)
        async with connected(db, server) as here:
            await here.good_sync()
            counts = {name: sum((await here.mail(name)).values()) for name in ("INBOX", "Work", "Archive", "Sent")}
            assert counts == {"INBOX": 2, "Work": 2, "Archive": 1, "Sent": 1}
            assert not [c for c in server.log if c.name in ("SELECT", "EXAMINE") and b"INBOX" in c.raw]


async def test_a_defect_is_one_connector_s_and_not_tried_at_once_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server, connected(db, server) as here:
        await here.good_sync()
        tries = 0

        async def broken(*_: object, **__: object) -> None:
            nonlocal tries
            tries += 1
            raise RuntimeError("a defect")

        monkeypatch.setattr(here.given, "imap", broken)
        assert (await here.sync()).failure == "ended"
        seen = tries
        await asyncio.sleep(0.5)
        assert tries == seen
        monkeypatch.undo()
        await here.good_sync()


async def test_what_cannot_be_given_back_is_not_taken_up_at_once(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2}) as server, connected(db, server) as here:
        await here.good_sync()
        await here.until(lambda: not here.supervisor.running)

        def broken(*_: object, **__: object) -> bool:
            raise RuntimeError("a defect")

        monkeypatch.setattr(lease, "release", broken)
        await here.sync()
        connections = server.connections
        await asyncio.sleep(0.5)
        assert server.connections == connections
