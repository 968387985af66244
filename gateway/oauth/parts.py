"""All of OAuth as one thing that `app` builds and closes."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.outbound.http import Http
from gateway.store.db import Database
from gateway.store.vault import Vault

from .apps import Apps
from .endpoint import Endpoint
from .logins import Logins
from .refreshing import Refresher, TokenSettings
from .service import TokenService


@dataclass(frozen=True, slots=True)
class OAuth:
    """`tokens` must be closed, before `http` and the store are."""

    apps: Apps
    logins: Logins
    tokens: TokenService


def make(
    db: Database,
    vault: Vault,
    http: Http,
    *,
    clock: Clock,
    settings: TokenSettings | None = None,
    metrics: Metrics = NULL_METRICS,
) -> OAuth:
    endpoint = Endpoint(http, clock)
    refresher = Refresher(db, vault, endpoint, clock=clock, settings=settings, metrics=metrics)
    tokens = TokenService(db, vault, refresher, clock=clock, settings=settings)
    logins = Logins(db, vault, endpoint, clock=clock, changed=tokens.forget)
    return OAuth(Apps(db, vault, clock), logins, tokens)
