"""Sends mail through an inbox's account: servers and login are asked for when mail goes, a token is renewed once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from gateway.model.errors import GatewayError
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure, refuses_login
from gateway.outbound.verdict import Outcome, Stage, Verdict, clean
from gateway.store.queue import QueueItem

from .accounts import Account
from .carrier import Carried, Carrier, CutBeforeTheDot
from .ports import AccountGone, Accounts, AccountUnavailable
from .routes import Found
from .source import StoredMessage

log = structlog.get_logger(__name__)

PATIENCE_S: Final = 90.0
"""For a login: a token's endpoint has deadlines of its own; this one is for what nobody has thought of."""


class ByAccount:
    """One a process."""

    def __init__(self, accounts: Accounts, carrier: Carrier) -> None:
        self._accounts = accounts
        self._carrier = carrier

    async def carry(self, found: Found, items: Sequence[QueueItem], message: StoredMessage) -> Carried:
        """One attempt. CutBeforeTheDot.

        Where the login is refused all recipients have Verdict.LOGIN: they wait, or take the other way (`attempt`).
        """
        account = found.account
        assert account is not None
        if account.paused:
            return _nobody(items, Outcome(Verdict.LOGIN, Stage.ROUTE, None, "4.7.0", clean(account.paused)))
        try:
            endpoints = await self._endpoints(account, renew=False)
            carried = await self._carry(found, endpoints, items, message)
            if not _token_refused(carried.outcomes):
                return carried
            renewed = await self._endpoints(account, renew=True)
            if not {endpoint.login for endpoint in renewed} - {endpoint.login for endpoint in endpoints}:
                return carried
            return await self._carry(found, renewed, items, message)
        except AccountGone as error:
            log.info("delivery.account_gone", account=account.name)
            said = Outcome(Verdict.LOGIN, Stage.ROUTE, None, "4.7.0", clean(str(error)), at_once=True)
            return _nobody(items, said)
        except AccountUnavailable as error:
            verdict = Verdict.LOGIN if refuses_login(error.failure) else Verdict.TEMPORARY
            log.warning("delivery.account_unavailable", account=account.name, failure=error.failure.value)
            said = Outcome(verdict, Stage.CONNECT, None, "4.7.0", clean(str(error)), failure=error.failure)
            return _nobody(items, said)
        except GatewayError as error:  # the keeper's own store, or settings that contradict themselves
            log.warning("delivery.account_unavailable", account=account.name, reason=str(error))
            return _nobody(items, Outcome(Verdict.TEMPORARY, Stage.ROUTE, None, "4.3.0", clean(str(error))))

    async def _endpoints(self, account: Account, *, renew: bool) -> tuple[Endpoint, ...]:
        try:
            async with asyncio.timeout(PATIENCE_S):
                return tuple(await self._accounts.endpoints(account, renew=renew))
        except TimeoutError:
            raise AccountUnavailable(Failure.TIMEOUT, "The account's login was not at hand in time") from None
        except asyncio.CancelledError:
            raise CutBeforeTheDot from None

    async def _carry(
        self, found: Found, endpoints: tuple[Endpoint, ...], items: Sequence[QueueItem], message: StoredMessage
    ) -> Carried:
        return await self._carrier.carry(replace(found.route, endpoints=endpoints), items, message)


def _nobody(items: Sequence[QueueItem], outcome: Outcome) -> Carried:
    """No server was asked."""
    return Carried([outcome] * len(items), None)


def _token_refused(outcomes: Sequence[Outcome]) -> bool:
    return all(each.verdict is Verdict.LOGIN and each.failure is Failure.AUTH_OAUTH for each in outcomes)
