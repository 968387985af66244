"""Whether the relay can be reached, has a certificate that is trusted, and takes our login. Nothing is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.app.settings import relay_endpoint
from gateway.config import Config
from gateway.model.errors import ConfigError
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.smtp_transport import SmtpConnection, TransportFailed
from gateway.outbound.verdict import Verdict

from .findings import Finding, problem, warning, well


def check_relay(config: Config) -> Iterator[Finding]:
    """Nothing where there is no relay: the configuration's findings say that."""
    try:
        relay = relay_endpoint(config)
    except ConfigError as error:
        yield warning("relay", str(error), "the service's own log tells whether the relay takes its mail")
        return
    if relay is None:
        return
    area = f"relay {relay.host}"
    try:
        asyncio.run(_connect(relay))
    except TransportFailed as failed:
        outcome = failed.outcome
        said = outcome.text if outcome.code is None else f"{outcome.code} {outcome.text}"
        if outcome.verdict is Verdict.LOGIN:
            yield problem(area, f"it refuses our login: {said}", "mend user and secret in section [relay]")
        else:
            yield problem(
                area, f"mail for other domains waits: {said}",
                "mend host, port, security and ca in section [relay], or ask who runs the relay",
            )
        return
    yield well(area, "it answers" + (f", and takes the login of {config.relay.user}" if config.relay.user else ""))


async def _connect(relay: Endpoint) -> None:
    """Greeting, TLS, EHLO, login, QUIT. TransportFailed."""
    await (await SmtpConnection.open(relay)).close()
