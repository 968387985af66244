"""How an account is reached: by a password, or by a token and for how long."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import replace
from typing import cast

import pytest

from gateway.connectors.accounts import ConnectorAccounts, Reach
from gateway.connectors.ports import Accounts
from gateway.oauth.errors import ReauthRequired
from gateway.oauth.tokens import AccessToken
from gateway.outbound.failure import Failure
from gateway.store.vault import Vault
from gateway.upstream.errors import UpstreamError
from tests.connectors.remote_kit import ROW

STORED = json.dumps({"imap": {"host": "imap.corp.example"}})
OF_GRANT = replace(ROW, grant_id=7, options=STORED)


class Tokens:
    """A token that ends at 100, and to who wants it to last the next one, which ends at 200."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.refused: list[AccessToken] = []
        self.withdrawn = False

    async def token(self, grant_id: int, *, lasting: float = 60.0) -> AccessToken:
        assert grant_id == 7
        self.asked.append(lasting)
        if self.withdrawn:
            raise ReauthRequired("Log in again")
        return AccessToken("next", 200.0) if lasting > 60 else AccessToken("first", 100.0)

    async def invalidate(self, grant_id: int, token: AccessToken) -> None:
        self.refused.append(token)


def accounts(tokens: Tokens) -> ConnectorAccounts:
    vault = cast(Vault, None)  # there is no secret to open
    return ConnectorAccounts(vault, tokens, Reach("mail.test", 1_000_000))


def test_a_token_is_told_with_its_end_and_the_one_ahead_lasts() -> None:
    async def go() -> None:
        tokens = Tokens()
        made: Accounts = accounts(tokens)
        options = made.options(OF_GRANT)
        now = await made.imap(OF_GRANT, options, renew=False)
        assert (now.login.secret, now.login.is_token, now.login_ends) == ("first", True, 100.0)
        ahead = await made.imap_ahead(OF_GRANT, options)
        assert (ahead.login.secret, ahead.login_ends) == ("next", 200.0)
        assert tokens.asked[1] == math.inf
        await made.imap(OF_GRANT, options, renew=True)
        assert [token.text for token in tokens.refused] == ["next"], "the one that was used last"

    asyncio.run(go())


def test_a_grant_that_is_gone_says_so_ahead_too() -> None:
    async def go() -> None:
        tokens = Tokens()
        tokens.withdrawn = True
        made = accounts(tokens)
        with pytest.raises(UpstreamError) as caught:
            await made.imap_ahead(OF_GRANT, made.options(OF_GRANT))
        assert caught.value.failure is Failure.AUTH_OAUTH

    asyncio.run(go())
