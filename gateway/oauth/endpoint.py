"""Requests to a provider's endpoints: who we are, what we ask for. One POST each; answers are `answers`'s."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.model.errors import InvalidRequest
from gateway.model.ports import Clock
from gateway.outbound.failure import Failure
from gateway.outbound.http import Http, HttpAnswer, HttpFailed
from gateway.store.connectors import oauth_apps
from gateway.store.connectors.oauth_apps import AppRow
from gateway.store.vault import Vault

from . import answers, jwt
from .errors import AppMisconfigured, Transient
from .providers import Leg, Provider, Way, provider
from .tokens import DeviceAnswer, TokenAnswer

_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_SECRET: Final = ("refresh_token", "client_secret", "client_assertion", "code", "code_verifier", "device_code")


@dataclass(frozen=True, slots=True)
class Client:
    """An application with its secrets opened, for as long as a request takes."""

    app: AppRow
    provider: Provider
    secret: str = field(default="", repr=False)
    key: str = field(default="", repr=False)


def provider_of(app: AppRow) -> Provider:
    """InvalidRequest when the row names one that does not exist."""
    return provider(app.provider, app.tenant, app.endpoints)


async def open_client(vault: Vault, app: AppRow) -> Client:
    """MissingKey, Unsealable when its secrets cannot be opened."""
    secret = key = ""
    if app.secret_sealed is not None:
        secret = await vault.open(app.secret_sealed, oauth_apps.secret_place(app.uuid))
    if app.key_sealed is not None:
        key = await vault.open(app.key_sealed, oauth_apps.key_place(app.uuid))
    return Client(app, provider_of(app), secret, key)


class Endpoint:
    """All that is asked of providers. Every failure is an OAuthError; the network's are `Transient`."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock

    async def exchange(self, client: Client, code: str, verifier: str, redirect: str) -> TokenAnswer:
        """An authorisation code for tokens (RFC 6749 4.1.3, RFC 7636 4.5)."""
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier,
        }  # fmt: skip
        return await self._tokens(client, form)

    async def refresh(self, client: Client, refresh: str) -> TokenAnswer:
        """RFC 6749 6. The scopes stay as they were granted."""
        return await self._tokens(client, {"grant_type": "refresh_token", "refresh_token": refresh})

    async def client_credentials(self, client: Client) -> TokenAnswer:
        """RFC 6749 4.4."""
        client.provider.way(Way.CLIENT_CREDENTIALS)
        form = {"grant_type": "client_credentials"}
        if client.provider.own_scopes:
            form["scope"] = client.provider.own_scopes
        return await self._tokens(client, form)

    async def service_account(self, client: Client, user: str) -> TokenAnswer:
        """A service account that acts as `user` (RFC 7523 2.1)."""
        where = client.provider
        where.way(Way.SERVICE_ACCOUNT)
        if not client.key:
            raise AppMisconfigured(f"{where.title}: a service account needs its private key", code="no_key")
        assertion = jwt.service_account_assertion(
            client.key, client.app.key_name, client.app.client_id, user, where.own_scopes, where.token_url,
            self._clock(),
        )  # fmt: skip
        answer = await self._post(where, where.token_url, {"grant_type": _JWT_GRANT, "assertion": assertion})
        return answers.token_answer(where, answer, self._clock(), [assertion])

    async def device(self, client: Client, legs: frozenset[Leg]) -> DeviceAnswer:
        """A code that somebody types at another device (RFC 8628 3.1)."""
        where = client.provider
        where.way(Way.DEVICE)
        form = {"client_id": client.app.client_id, "scope": " ".join(where.asks(legs))}
        return answers.device_answer(where, await self._post(where, where.device_url, form), self._clock())

    async def device_tokens(self, client: Client, device_code: str) -> TokenAnswer:
        """RFC 8628 3.4; `Pending` until its owner has finished."""
        return await self._tokens(client, {"grant_type": _DEVICE_GRANT, "device_code": device_code})

    async def _tokens(self, client: Client, form: Mapping[str, str]) -> TokenAnswer:
        where, form = client.provider, {**form, **self._credentials(client)}
        answer = await self._post(where, where.token_url, form)
        return answers.token_answer(where, answer, self._clock(), [form[name] for name in _SECRET if name in form])

    def _credentials(self, client: Client) -> dict[str, str]:
        """RFC 6749 2.3.1 in the body, which all of these providers take; RFC 7523 2.2 with a certificate."""
        app = client.app
        form = {"client_id": app.client_id}
        if client.key:
            form["client_assertion_type"] = _BEARER
            form["client_assertion"] = jwt.client_assertion(
                client.key, app.key_name, app.client_id, client.provider.token_url, self._clock()
            )
        elif client.secret:
            form["client_secret"] = client.secret
        return form

    async def _post(self, where: Provider, url: str, form: Mapping[str, str]) -> HttpAnswer:
        try:
            return await self._http.post_form(url, form, reach=where.reach)
        except HttpFailed as error:
            text = f"{where.title}: {error}"
            if error.failure is Failure.DENIED and not where.reach.allow_private:
                text += "; gateway oauth set APP --allow-private allows private networks"
            raise Transient(error.failure, text, code=str(error.failure)) from None
        except InvalidRequest as error:
            raise AppMisconfigured(f"{where.title}: {error}", code="url") from None


