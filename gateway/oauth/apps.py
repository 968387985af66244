"""Applications: what a provider knows us as, with secrets that are sealed on the way in and never given out."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gateway.model.errors import InvalidRequest
from gateway.model.ports import Clock
from gateway.store.connectors import oauth_apps
from gateway.store.connectors.oauth_apps import AppRow, AppValues
from gateway.store.db import Database, Tx
from gateway.store.sealing import Sealer
from gateway.store.vault import Vault

from . import jwt
from .providers import provider

MAX_CLIENT_ID = 1_000
MAX_SECRET = 4_000


@dataclass(frozen=True, slots=True)
class AppSpec:
    """What people enter.

    `secret`: a client secret. `key`: a private key in PEM, with `certificate` in PEM (Microsoft) or `key_name`, the
    key's id (a service account). `endpoints`: `providers.ENDPOINTS`. `redirect`: the address that the provider sends
    browsers to; None: a loopback one.
    """

    provider: str
    client_id: str
    tenant: str = ""
    secret: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key_name: str = ""
    endpoints: Mapping[str, str] = field(default_factory=dict)
    redirect: str | None = None


def google_service_account(text: str) -> AppSpec:
    """From the JSON file that Google's console gives. InvalidRequest, which shows nothing of it."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.get("type") != "service_account":
        raise InvalidRequest("This is no key file of a Google service account")
    names = ("client_email", "private_key", "private_key_id")
    wanted = [value for name in names if isinstance(value := values.get(name), str) and value]
    if len(wanted) < len(names):
        raise InvalidRequest("The key file lacks client_email, private_key or private_key_id")
    # The token URL in the file is not used: whoever hands in a file does not say where assertions go.
    return AppSpec(provider="google", client_id=wanted[0], key=wanted[1], key_name=wanted[2])


class Apps:
    """Making and changing them."""

    def __init__(self, db: Database, vault: Vault, clock: Clock) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock

    async def create(self, name: str, spec: AppSpec) -> AppRow:
        """AlreadyExists, InvalidRequest, ConfigError when secrets cannot be sealed."""
        key_name = _checked(spec)
        row_uuid = str(uuid.uuid4())

        def unit(tx: Tx, sealer: Sealer) -> AppRow:
            values = _sealed(sealer, row_uuid, spec, key_name, None)
            return oauth_apps.create(tx, row_uuid, name, spec.provider, values, int(self._clock()))

        return await self._vault.write(unit)

    async def change(self, name: str, spec: AppSpec) -> AppRow:
        """All values anew; a secret or key that is not given stays as it was. Its grants are tried again at once.

        NotFound, InvalidRequest (another provider's application is another application), ConfigError.
        """
        key_name = _checked(spec, changing=True)

        def unit(tx: Tx, sealer: Sealer) -> AppRow:
            before = oauth_apps.named(tx, name)
            if before.provider != spec.provider:
                raise InvalidRequest("The provider of an application cannot be changed: add another application")
            values = _sealed(sealer, before.uuid, spec, key_name, before)
            return oauth_apps.change(tx, before.id, values, int(self._clock()))

        return await self._vault.write(unit)


def _checked(spec: AppSpec, *, changing: bool = False) -> str:
    """The key's name. InvalidRequest for what could never work."""
    where = provider(spec.provider, spec.tenant, spec.endpoints)
    if not 0 < len(spec.client_id) <= MAX_CLIENT_ID or not spec.client_id.isascii() or not spec.client_id.isprintable():
        raise InvalidRequest("A client id has printable ASCII characters")
    if len(spec.secret) > MAX_SECRET or not spec.secret.isprintable():
        raise InvalidRequest("A client secret is one line of printable characters")
    if spec.key:
        jwt.private_key(spec.key)
        if where.name == "microsoft" and not spec.certificate:
            raise InvalidRequest("A certificate's private key needs the certificate, by which Microsoft knows it")
    if spec.certificate and not spec.key and not changing:
        raise InvalidRequest("The certificate needs its private key")
    if spec.redirect is not None:
        check_redirect(spec.redirect)
    return jwt.thumbprint(spec.certificate) if spec.certificate else spec.key_name


def check_redirect(url: str) -> None:
    """InvalidRequest unless it is https, or http to this machine (RFC 8252 7.3)."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host, parts = None, urlsplit("")
    local = parts.scheme == "http" and host in {"127.0.0.1", "localhost", "::1"}
    fits = url.isascii() and url.isprintable() and " " not in url and len(url) <= 2_000 and not parts.fragment
    if not host or not fits or not (parts.scheme == "https" or local) or parts.username is not None:
        raise InvalidRequest("A redirect address is https://…, or http://127.0.0.1:PORT/ or http://localhost:PORT/")


def _sealed(sealer: Sealer, row_uuid: str, spec: AppSpec, key_name: str, before: AppRow | None) -> AppValues:
    secret = sealer.seal(spec.secret, oauth_apps.secret_place(row_uuid)) if spec.secret else None
    key = sealer.seal(spec.key, oauth_apps.key_place(row_uuid)) if spec.key else None
    if before is not None:
        secret, key = secret or before.secret_sealed, key or before.key_sealed
        key_name = key_name or before.key_name
    return AppValues(
        client_id=spec.client_id, tenant=spec.tenant, secret_sealed=secret, key_sealed=key, key_name=key_name,
        endpoints=dict(spec.endpoints), redirect=spec.redirect,
    )  # fmt: skip
