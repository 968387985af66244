"""The HTTP side: its settings, and what it is given of the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from gateway.auth.authenticator import Authenticator
from gateway.config import Config
from gateway.control import operations
from gateway.control.frames import Frame
from gateway.control.operations import Context, Stream
from gateway.model.ports import Freshness, Metrics
from gateway.store.trigrams import Trigrams
from gateway.submit.accept import Submissions
from gateway.submit.drafting import Drafting

from .doctor import check_certificate, check_ports, check_relay
from .doctor.findings import Finding
from .listeners import SourceGate
from .welcome import base_url, client_settings, client_setup

if TYPE_CHECKING:
    from gateway.web.bridge import WebFactory
    from gateway.web.guard import Guard
    from gateway.web.listening import Listening
    from gateway.web.samples import Samples
    from gateway.web.services import WebServices, WebSettings

BODY_OF_MESSAGE: Final = 2
"""A message in JSON is base64, and its parts have names: a request may be so many times as large."""


class _Quiet:
    """An operation without a caller that sends more, or listens before its end."""

    async def receive(self) -> Frame | None:
        return None

    async def send(self, frame: Frame) -> None:
        return None


def settings(config: Config) -> WebSettings:
    from gateway.web.services import WebSettings

    limits = config.limits
    return WebSettings(
        base_url=base_url(config),
        hostname=config.server.hostname,
        max_message_size=limits.max_message_size,
        max_body=BODY_OF_MESSAGE * limits.max_message_size,
        handshake_timeout=limits.handshake_timeout,
        write_timeout=limits.write_timeout,
        requests_per_second=config.web.requests_per_second,
        request_burst=config.web.request_burst,
        private_accounts=config.web.private_accounts,
    )


class Web:
    """Makes the connections of each listener for one application. The framework is imported at the first of them:
    who has no such port does without."""

    def __init__(
        self, config: Config, context: Context, authenticator: Authenticator, submissions: Submissions,
        drafting: Drafting, gate: SourceGate, metrics: Metrics, trigrams: Trigrams | None, freshness: Freshness,
    ) -> None:  # fmt: skip
        self._config = config
        self._context = context
        self._authenticator = authenticator
        self._submissions = submissions
        self._drafting = drafting
        self._gate = gate
        self._metrics = metrics
        self._trigrams = trigrams
        self._freshness = freshness
        self._application: Guard | None = None
        self._listening: Listening | None = None
        self._samples: Samples | None = None

    def __call__(self) -> WebFactory:
        from gateway.web.app import application
        from gateway.web.bridge import WebFactory

        chosen = settings(self._config)
        if self._application is None:
            self._application = application(self._services(chosen))
        return WebFactory(self._application, chosen, self._gate, self._stop)

    async def _stop(self) -> None:
        """Who listens is told that it ends. May be repeated."""
        if self._listening is not None:
            await self._listening.stop()
            await self._listening.close()
        if self._samples is not None:
            await self._samples.stop()

    def _services(self, chosen: WebSettings) -> WebServices:
        from gateway.web.listening import Listening
        from gateway.web.passkeys import Passkeys
        from gateway.web.people import People
        from gateway.web.samples import Samples
        from gateway.web.services import WebServices

        context = self._context
        assert context.desk is not None  # a serving process has one
        listening = self._listening = Listening(context.db, context.now)
        listening.start()
        samples = self._samples = Samples(self._operate, context.now)
        samples.start()
        return WebServices(
            db=context.db, ingest=context.ingest, authenticator=self._authenticator, submissions=self._submissions,
            drafting=self._drafting, operate=self._operate, clock=context.now, settings=chosen,
            metrics=self._metrics, gate=self._gate, audit=self._context.audit, setup=client_setup(self._config),
            people=People(context.db, context.now), passkeys=Passkeys(chosen.base_url, context.db), listening=listening,
            vault=context.desk.vault,
            client_settings=self._client_settings, findings=self._findings, samples=samples,
            trigrams=self._trigrams, freshness=self._freshness,
        )  # fmt: skip

    def _client_settings(self, address: str) -> dict[str, object]:
        return client_settings(self._config, address, None).as_dict()

    async def _findings(self) -> list[dict[str, str]]:
        """What doctor says of what can be looked at from inside, without sending any mail."""
        found = await asyncio.to_thread(lambda: [finding.as_dict() for finding in self._looked_at()])
        for broken in await operations.run(self._context, _Quiet(), "store.check", {}):
            text, remedy = f"{broken['text']} ({broken['code']})", broken["remedy"]
            found.append({"area": "store", "level": "problem", "text": text, "remedy": remedy})
        return found

    def _looked_at(self) -> Iterator[Finding]:
        yield from check_certificate(self._config)
        yield from check_ports(self._config)
        yield from check_relay(self._config)

    async def _operate(self, name: str, params: Mapping[str, Any], stream: Stream | None = None) -> Any:
        return await operations.run(self._context, stream or _Quiet(), name, params)
