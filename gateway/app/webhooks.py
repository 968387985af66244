"""Delivery of webhooks, whether or not there is a port for HTTP: they are in the store."""

from __future__ import annotations

import time

from gateway.config import Config
from gateway.model.ports import Metrics
from gateway.outbound.http import HttpClient
from gateway.outbound.tls import TlsPolicy, contexts
from gateway.store.db import Database
from gateway.store.vault import Vault
from gateway.web.webhooks.runner import WebhookRunner
from gateway.web.webhooks.sender import Sender
from gateway.web.webhooks.settings import WebhookSettings


def settings(config: Config) -> WebhookSettings:
    return WebhookSettings(allow_private=config.web.webhook_private, tls=TlsPolicy(ca_file=config.web.webhook_ca))


async def deliver(config: Config, db: Database, vault: Vault, metrics: Metrics) -> None:
    """Until it is cancelled."""
    chosen = settings(config)
    http = HttpClient(contexts, chosen.http)
    try:
        sender = Sender(http, vault, chosen, time.time, metrics)
        await WebhookRunner(db, sender, chosen, clock=time.time, metrics=metrics).run()
    finally:
        await http.close()
