"""Connections of actions: short, one an account at a time, beside the one that syncs."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace

import pytest

from gateway.connectors.gates import Gates
from gateway.connectors.options import ImapLeg
from gateway.connectors.plan.destination import LEAST_ACCOUNTS, DestinationLimits
from gateway.connectors.remote.door import AccountLocks
from gateway.connectors.remote.errors import RemoteFailed
from gateway.model.errors import CannotChange, InvalidRequest, LimitReached
from gateway.outbound.failure import Failure
from gateway.outbound.login import RelayLogin
from gateway.store.connectors.rows import ConnectorId, ConnectorRow
from gateway.store.db import Database
from gateway.upstream.endpoint import ImapEndpoint
from tests.connectors.kit import Given, Options, connected, options
from tests.connectors.remote_kit import Hand, at, hand
from tests.support.upstream import DOVECOT, M365, FakeUpstream

pytestmark = pytest.mark.usefixtures("runner")


async def test_actions_of_an_account_are_done_one_after_another() -> None:
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 9})) as it:
        it.server.max_connections = 1
        open_ = 0

        async def act(place: int) -> None:
            nonlocal open_
            async with it.open() as actions:
                open_ += 1
                assert open_ == 1
                await actions.flag("add", "INBOX", at(str(place)), ["seen"])
                open_ -= 1

        await asyncio.gather(*(act(place) for place in range(1, 9)))
        assert it.server.connections == 8
        assert not it.ways.locks._turns, "nothing is kept of accounts that nobody uses"


async def test_who_waits_too_long_is_told() -> None:
    async with hand(FakeUpstream(DOVECOT)) as it, it.open():
        with pytest.raises(LimitReached, match="under way"):
            async with it.open(wait=0.05):
                raise AssertionError("two at once")
    async with AccountLocks().held(ConnectorId(1)), it.ways.locks.held(ConnectorId(1), wait=0.05):
        pass  # other accounts, other processes


async def test_an_action_that_fails_or_is_given_up_leaves_the_account_free() -> None:
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 1})) as it:
        with pytest.raises(ZeroDivisionError):
            async with it.open():
                raise ZeroDivisionError

        async def endless() -> None:
            async with it.open():
                await asyncio.Event().wait()

        task = asyncio.create_task(endless())
        await it.server.until(lambda: it.server.connections == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with it.open() as actions:
            assert len(await actions.folders()) > 1


async def test_a_connector_that_is_off_or_reads_no_mail_is_left_alone() -> None:
    async with hand(FakeUpstream(DOVECOT), enabled=False) as it:
        with pytest.raises(CannotChange, match="gateway connector enable work"):
            async with it.open():
                raise AssertionError("it is off")
        it.found = replace(it.found, row=replace(it.found.row, enabled=True), options=Options(imap=ImapLeg(False)))
        with pytest.raises(InvalidRequest, match="no IMAP side"):
            async with it.open():
                raise AssertionError("nothing is read")
        assert it.server.connections == 0


@dataclass
class _Tokens(Given):
    """Good tokens once they are renewed so often; 9: never."""

    good_after: int = 1

    async def imap(self, row: ConnectorRow, options: Options, *, renew: bool) -> ImapEndpoint:
        made = await super().imap(row, options, renew=renew)
        secret = self.password if self.renewed >= self.good_after else "ended"
        return replace(made, login=RelayLogin(self.user, secret, token=True))

    def is_oauth(self, row: ConnectorRow) -> bool:
        return True


@pytest.mark.parametrize(("good_after", "tried"), [(0, 1), (1, 2), (9, 2)])
async def test_a_token_that_was_refused_is_renewed_once(good_after: int, tried: int) -> None:
    async with hand(FakeUpstream(M365, mailboxes={"INBOX": 1})) as it:
        account = it.server.account
        it.accounts = _Tokens(options(), it.server.port, account.user, account.token, good_after=good_after)
        if good_after < 9:
            async with it.open() as actions:
                assert (await actions.status("INBOX")).status is not None
        else:
            with pytest.raises(RemoteFailed, match="gateway connector login work") as caught:
                async with it.open():
                    raise AssertionError("nobody can log in")
            assert caught.value.failure is Failure.AUTH_OAUTH
        assert it.server.connections == tried


def limited(it: Hand, *, connections: int = 0, per_minute: int = 0) -> Gates:
    gates = Gates(DestinationLimits(per_minute, 1, connections), random.random)
    it.ways = replace(it.ways, gates=gates, patience=0.05)
    return gates


async def test_an_action_waits_for_a_place_and_not_for_ever() -> None:
    async with hand(FakeUpstream(DOVECOT)) as it:
        gates, leg = limited(it, connections=1), it.found.options.imap
        async with gates.entered(leg.host, leg.port, 7):
            with pytest.raises(RemoteFailed, match=r"^limit: All 1 connections .* host_connections") as caught:
                async with it.open():
                    raise AssertionError("there is no place")
            assert caught.value.failure is Failure.LIMIT
        assert it.server.connections == 0
        async with it.open() as actions:
            assert await actions.folders()
        async with it.open():
            pass


async def test_an_action_logs_in_no_faster_than_a_worker() -> None:
    async with hand(FakeUpstream(DOVECOT)) as it:
        limited(it, per_minute=1)
        async with it.open():
            pass
        with pytest.raises(RemoteFailed, match=r"^throttled: .* logins_per_minute"):
            async with it.open():
                raise AssertionError("one a minute")
        assert it.server.connections == 1


async def test_what_fails_actions_is_known_of_the_host_and_so_is_its_end() -> None:
    server = FakeUpstream(DOVECOT, mailboxes={"INBOX": 1})
    async with server:
        it, hosts = Hand(server), [Hand(server) for _ in range(LEAST_ACCOUNTS)]
        port, it.accounts.port = it.accounts.port, 1
        for number, each in enumerate(hosts):
            each.ways, each.accounts.port = it.ways, 1  # where nobody listens
            each.found = replace(each.found, row=replace(each.found.row, id=ConnectorId(number + 10)))
            with pytest.raises(RemoteFailed, match=r"^refused: "):
                async with each.open():
                    raise AssertionError("nobody is there")
        it.accounts.port = port
        with pytest.raises(RemoteFailed, match=r"^unavailable: .* fails other accounts too: .* try again in") as caught:
            async with it.open():
                raise AssertionError("it is away")
        assert caught.value.retry_after
        assert server.connections == 0
        leg = it.found.options.imap
        breaker = it.ways.gates._gate(leg.host, leg.port).destination.breaker
        breaker.until = 0.0  # the pause is over
        async with it.open():
            assert not breaker.failures
        async with it.open():
            pass


async def test_a_wrong_password_says_nothing_of_the_host() -> None:
    async with hand(FakeUpstream(DOVECOT)) as it:
        it.accounts.password = "wrong"
        for number in range(LEAST_ACCOUNTS + 2):
            it.found = replace(it.found, row=replace(it.found.row, id=ConnectorId(number)))
            with pytest.raises(RemoteFailed) as caught:
                async with it.open():
                    raise AssertionError("it is refused")
            assert caught.value.failure is Failure.AUTH_REJECTED
            assert any("AUTHENTICATE" in line or "LOGIN" in line for _, line in caught.value.log)


async def test_an_action_goes_on_beside_a_sync_that_listens(db: Database) -> None:
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3, "Work": 0}) as server:
        server.max_connections = 2
        async with connected(db, server, options(push=True)) as here:
            await here.good_sync()
            await server.until_idle("INBOX")
            it = Hand(server)
            async with it.open() as actions:
                await actions.move("INBOX", at("1"), "Work")
            await here.until(lambda: work_has(here), "the move here")
        assert server.connections == 2


async def work_has(here: object) -> bool:
    return bool(await here.mail("Work"))  # type: ignore[attr-defined]
