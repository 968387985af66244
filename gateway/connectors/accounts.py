"""How the accounts of connectors are reached now: options as stored, passwords opened, tokens fresh."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.model.errors import ConfigError, GatewayError
from gateway.oauth.errors import OAuthError, Transient
from gateway.oauth.service import LASTING
from gateway.oauth.tokens import AccessToken
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.store.connectors.rows import ConnectorRow
from gateway.store.sealing import Unsealable
from gateway.store.vault import Vault
from gateway.upstream.endpoint import ImapEndpoint
from gateway.upstream.errors import UpstreamError

from . import given as givens
from . import secrets
from .endpoints import imap_endpoint, smtp_endpoint
from .given import Given
from .options import ImapLeg, Options, SmtpLeg
from .presets import provider_of
from .resolve import resolve

NO_LOGIN: Final = "No password is set, and nobody has logged in at the provider"


class Tokens(Protocol):
    """Access tokens by grant (`gateway.oauth.service`)."""

    async def token(self, grant_id: int, *, lasting: float = LASTING) -> AccessToken:
        """One that the provider has not ended yet; where it is to be replaced and lasts no `lasting` seconds, the next
        one. OAuthError, NotFound, ConfigError."""

    async def invalidate(self, grant_id: int, token: AccessToken) -> None:
        """The server refused it: the next one is another one."""


@dataclass(frozen=True, slots=True)
class Reach:
    """What all accounts share: our name in EHLO, and how large a message may be, in octets."""

    hostname: str
    max_message: int


class ConnectorAccounts:
    """Of one process. It keeps the token last used by each grant, to say which one was refused."""

    def __init__(self, vault: Vault, tokens: Tokens, reach: Reach) -> None:
        self._vault = vault
        self._tokens = tokens
        self._reach = reach
        self._used: dict[int, AccessToken] = {}

    def options(self, row: ConnectorRow) -> Options:
        """Without secrets. InvalidRequest: what is stored breaks a rule that is newer."""
        return resolved(row, givens.from_json(row.options))

    def is_oauth(self, row: ConnectorRow) -> bool:
        return row.grant_id is not None

    async def imap(self, row: ConnectorRow, options: Options, *, renew: bool) -> ImapEndpoint:
        """Where mail is read. `renew`: the token that was used last was refused. UpstreamError."""
        return self._imap(*await self._opened(row, renew))

    async def imap_ahead(self, row: ConnectorRow, options: Options) -> ImapEndpoint:
        """The same by a token that lasts as long as one may be had. UpstreamError."""
        return self._imap(*await self._opened(row, False, lasting=math.inf))

    def _imap(self, leg: Options, token: AccessToken | None) -> ImapEndpoint:
        if not (token or leg.imap.secret):  # an empty password would count as a wrong one there
            raise UpstreamError(Failure.AUTH_REJECTED, NO_LOGIN)
        made = self.imap_of(leg.imap, token.text if token else "")
        return replace(made, login_ends=token.expires_at if token else None)

    async def smtp(self, row: ConnectorRow, *, renew: bool) -> Endpoint:
        """Where mail is sent. UpstreamError."""
        leg, token = await self._opened(row, renew)
        return self.smtp_of(leg.smtp, token.text if token else "")

    def imap_of(self, leg: ImapLeg, token: str) -> ImapEndpoint:
        """Of options that are not stored; `token` "" for a password."""
        return imap_endpoint(leg, token or leg.secret.reveal(), token=bool(token), max_message=self._reach.max_message)

    def smtp_of(self, leg: SmtpLeg, token: str) -> Endpoint:
        return smtp_endpoint(leg, token or leg.secret.reveal(), token=bool(token), hostname=self._reach.hostname)

    async def token(self, grant_id: int, *, renew: bool, lasting: float = LASTING) -> AccessToken:
        """One that lasts `lasting` seconds, or the next one. OAuthError, NotFound, ConfigError."""
        used = self._used.get(grant_id)
        if renew and used is not None:
            await self._tokens.invalidate(grant_id, used)
        made = self._used[grant_id] = await self._tokens.token(grant_id, lasting=lasting)
        return made

    async def _opened(
        self, row: ConnectorRow, renew: bool, lasting: float = LASTING
    ) -> tuple[Options, AccessToken | None]:
        """The options with their passwords, and a token where the account has a grant."""
        try:
            options = resolved(row, givens.from_json(row.options, await secrets.opened(self._vault, row)))
            grant = row.grant_id
            token = None if grant is None else await self.token(grant, renew=renew, lasting=lasting)
        except OAuthError as error:
            wait = error.retry_after if isinstance(error, Transient) else None
            raise UpstreamError(error.failure, str(error), said=error.code, retry_after=wait) from None
        except (ConfigError, Unsealable) as error:  # of this server: nobody but its administrator can mend it
            raise UpstreamError(Failure.UNAVAILABLE, str(error)) from None
        return options, token


def resolved(row: ConnectorRow, given: Given) -> Options:
    """What holds for a stored connector. InvalidRequest names it where a rule of today refuses what is stored."""
    try:
        return resolve(given, row.provider or provider_of(row.address), row.address)
    except GatewayError as error:
        raise type(error)(f"Connector {row.name}: {error}") from None
