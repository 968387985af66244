"""One delivery: a signed POST to a webhook's URL, and what came of it."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlsplit

from gateway.model.errors import InvalidRequest
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.outbound.http import HttpAnswer, HttpFailed
from gateway.store import webhooks
from gateway.store.sealing import Unsealable
from gateway.store.vault import Vault
from gateway.store.webhooks import Webhook

from . import signing
from .dialects import SIGNED_AS
from .settings import WebhookSettings

GONE: Final = 410
_BUSY: Final = frozenset({429, 503})
_WHY: Final = {
    "redirect": "It answered with a redirect, which is not followed: set the URL that it leads to",
    "gone": "It answered 410 Gone: the webhook was switched off",
    "secret": "Its secret cannot be opened: rotate it",
}


class Post(Protocol):
    """`outbound.http.HttpClient`."""

    async def post(self, url: str, octets: bytes, *, headers: dict[str, str]) -> HttpAnswer: ...


@dataclass(frozen=True, slots=True)
class Sent:
    """`asked`: seconds after which the receiver wants to be asked again. `over`: it wants nothing more, ever."""

    ok: bool
    status: int | None
    failure: str | None
    duration_ms: int
    answer: bytes | None = None
    asked: float = 0.0
    over: bool = False


@dataclass(frozen=True, slots=True)
class Secrets:
    updated_at: int
    keys: tuple[tuple[str, int | None], ...]
    """(secret, until when it signs)"""
    headers: dict[str, str]


class Sender:
    """One a process."""

    def __init__(
        self, http: Post, vault: Vault, settings: WebhookSettings, clock: Clock, metrics: Metrics = NULL_METRICS
    ) -> None:
        self._http = http
        self._vault = vault
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._known: dict[int, Secrets] = {}
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(settings.per_host))

    def forget(self) -> None:
        """Webhooks were changed."""
        self._known.clear()
        self._hosts = defaultdict(
            lambda: asyncio.Semaphore(self._settings.per_host),
            {host: gate for host, gate in self._hosts.items() if gate.locked()},
        )

    async def send(self, webhook: Webhook, event_id: str, body: bytes) -> Sent:
        """Never raises for what the receiver does."""
        host = urlsplit(webhook.url).hostname or ""
        async with self._hosts[host]:
            begun = time.monotonic()
            try:
                secrets = await self._secrets(webhook)
            except (Unsealable, InvalidRequest):
                return self._told(Sent(False, None, _WHY["secret"], 0))
            at = int(self._clock())
            keys = [secret for secret, until in secrets.keys if until is None or at < until]
            headers = secrets.headers | {"Content-Type": "application/json"}
            headers |= signing.header_fields(keys, event_id, at, body, SIGNED_AS[webhook.dialect])
            try:
                answer = await self._http.post(webhook.url, body, headers=headers)
            except (HttpFailed, InvalidRequest) as error:
                return self._told(Sent(False, None, str(error), _ms(begun)))
            return self._told(_judged(answer, _ms(begun)))

    async def _secrets(self, webhook: Webhook) -> Secrets:
        known = self._known.get(webhook.id)
        if known is not None and known.updated_at == webhook.updated_at:
            return known
        if webhook.signing_secret is None:
            raise InvalidRequest("The webhook has no secret")
        vault, row = self._vault, webhook.uuid
        keys: list[tuple[str, int | None]] = [
            (await vault.open(webhook.signing_secret, webhooks.secret_place(row)), None)
        ]
        if webhook.former_secret is not None and webhook.former_until is not None:
            former = await vault.open(webhook.former_secret, webhooks.former_place(row))
            keys.append((former, webhook.former_until))
        headers: dict[str, str] = {}
        if webhook.headers_sealed is not None:
            headers = json.loads(await vault.open(webhook.headers_sealed, webhooks.headers_place(row)))
        found = self._known[webhook.id] = Secrets(webhook.updated_at, tuple(keys), headers)
        return found

    def _told(self, sent: Sent) -> Sent:
        self._metrics.count("webhook_attempts_total", result="ok" if sent.ok else "failed")
        return sent


def _judged(answer: HttpAnswer, duration_ms: int) -> Sent:
    status = answer.status
    if 200 <= status < 300:
        return Sent(True, status, None, duration_ms, answer.body)
    if status == GONE:
        return Sent(False, status, _WHY["gone"], duration_ms, answer.body, over=True)
    if 300 <= status < 400:
        return Sent(False, status, _WHY["redirect"], duration_ms, answer.body)
    asked = answer.headers.get("retry-after", "") if status in _BUSY else ""
    seconds = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else 0.0
    return Sent(False, status, f"It answered {status}", duration_ms, answer.body, seconds)


def _ms(begun: float) -> int:
    return round((time.monotonic() - begun) * 1000)

