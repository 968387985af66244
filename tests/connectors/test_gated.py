"""Whoever connects to the host of an account passes its gate: tests of a connection, and delivery's look into Sent."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from gateway.connectors.accounts import Reach
from gateway.connectors.desk import Desk
from gateway.connectors.gates import Gates
from gateway.connectors.options import ImapLeg, Options
from gateway.connectors.plan.destination import LEAST_ACCOUNTS, Destination, DestinationLimits
from gateway.connectors.probe import Probe
from gateway.connectors.sent_search import lies_in_sent
from gateway.fields.setting import Secret
from gateway.outbound.failure import Failure
from gateway.store.db import Database
from gateway.store.master_key import KeyFile
from tests.connectors.kit import LOOPBACK, Given, options
from tests.connectors.remote_kit import ROW
from tests.support.upstream import DOVECOT, FakeUpstream, example

SENT = b"sent@x.test"


class Trial:
    """A desk with `limits`, and who tests an account at it."""

    def __init__(self, db: Database, path: Path, server: FakeUpstream, limits: DestinationLimits) -> None:
        self.gates = Gates(limits, random.random)
        made = Desk.open(db, KeyFile(path / "master.key"), Reach("us.example", 1000), clock=lambda: 0.0)
        self.desk = Desk(
            made.vault, made.oauth, made.accounts, made.connectors, made.http, gates=self.gates, patience=0.05
        )
        self.server = server

    async def test(self, number: int = 0, **leg: Any) -> Probe:
        account = self.server.account
        given = {"security": "none", "secret": Secret(account.password)} | leg
        port, user = self.server.port, account.user
        wanted = Options(imap=ImapLeg(host=LOOPBACK, port=port, user=user, allow_private=True, **given))
        (found,) = await self.desk.test_options(
            wanted, address="anna@elsewhere.test", provider="", number=number, sides=("imap",)
        )
        return found

    @property
    def destination(self) -> Destination:
        return self.gates._gate(LOOPBACK, self.server.port).destination


async def test_a_test_waits_for_a_place_and_not_for_ever(db: Database, tmp_path: Path) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}) as server:
        it = Trial(db, tmp_path, server, DestinationLimits(0, 0, 1))
        async with it.gates.entered(LOOPBACK, server.port, 7):
            found = await it.test()
        assert (found.failure, server.connections) == (Failure.LIMIT, 0)
        assert "host_connections" in found.advice
        for _ in range(2):
            assert (await it.test()).success, "it leaves its place"
        assert not it.destination.open
        await it.desk.close()


async def test_tests_log_in_no_faster_than_workers(db: Database, tmp_path: Path) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}) as server:
        it = Trial(db, tmp_path, server, DestinationLimits(1, 1))
        assert (await it.test()).success
        found = await it.test()
        assert (found.failure, server.connections) == (Failure.THROTTLED, 1)
        assert [step.name for step in found.steps] == ["turn"]
        await it.desk.close()


async def test_what_fails_tests_is_known_of_the_host_but_not_a_wrong_password(db: Database, tmp_path: Path) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}) as server:
        it = Trial(db, tmp_path, server, DestinationLimits(0, 0))
        for number in range(LEAST_ACCOUNTS + 2):
            assert (await it.test(number, secret=Secret("wrong"))).failure is Failure.AUTH_REJECTED
        assert not it.destination.breaker.failures
        it = Trial(db, tmp_path, server, DestinationLimits(0, 0))
        for number in range(LEAST_ACCOUNTS):
            assert (await it.test(number, security="tls")).failure is not None
        assert it.destination.breaker.failures
        made = server.connections
        found = await it.test(99)
        assert (found.failure, server.connections) == (Failure.UNAVAILABLE, made)
        assert "fails other accounts too" in found.message
        await it.desk.close()


async def test_the_look_into_sent_passes_the_gate(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}) as server:
        server.account.deliver("Sent", example(message_id="<sent@x.test>"))
        account = Given(options(), server.port, server.account.user, server.account.password)
        endpoint = await account.imap(ROW, account.options_, renew=False)
        gates = Gates(DestinationLimits(0, 0, 1), random.random)
        async with gates.entered(LOOPBACK, server.port, 7):
            assert await lies_in_sent(endpoint, gates, 1, SENT, 0, patience=0.05) is None
        assert server.connections == 0
        assert await lies_in_sent(endpoint, gates, 1, SENT, 0, patience=0.05) is True
        assert await lies_in_sent(endpoint, gates, 1, b"other@x.test", 0, patience=0.05) is False
        assert not gates._gate(LOOPBACK, server.port).destination.open
