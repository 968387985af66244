"""Whether each host of each relay can be reached, has a certificate that is trusted, and takes our login.

Nothing is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.app.settings import routes
from gateway.config import Config
from gateway.delivery.routes import Route, RouteKind
from gateway.model.errors import ConfigError
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.smtp_transport import SmtpConnection, TransportFailed
from gateway.outbound.verdict import Verdict

from .findings import Finding, problem, warning, well


def check_relay(config: Config) -> Iterator[Finding]:
    """Nothing where there is no relay: the configuration's findings say that."""
    try:
        table = routes(config)
    except ConfigError as error:
        yield warning("relay", str(error), "the service's own log tells whether the relay takes its mail")
        return
    ways = [table.default, *(rule.route for rule in table.rules)]
    relays = {way.name: way for way in ways if way is not None and way.kind is RouteKind.RELAY}
    yield from asyncio.run(_all(list(relays.values())))


async def _all(relays: list[Route]) -> list[Finding]:
    places = [(relay, endpoint) for relay in relays for endpoint in relay.endpoints]
    return list(await asyncio.gather(*(_one(relay, endpoint) for relay, endpoint in places)))


async def _one(relay: Route, endpoint: Endpoint) -> Finding:
    section = "[relay]" if relay.name == "relay" else f'[[relays]] "{relay.name}"'
    area = f"relay {endpoint.host}"
    try:
        await _connect(endpoint)
    except TransportFailed as failed:
        outcome = failed.outcome
        said = outcome.text if outcome.code is None else f"{outcome.code} {outcome.text}"
        if outcome.verdict is Verdict.LOGIN:
            return problem(area, f"it refuses our login: {said}", f"mend user and secret in section {section}")
        if len(relay.endpoints) > 1:
            return warning(
                area, f"mail goes to the other hosts of {relay.name} instead: {said}",
                f"mend hosts, port, security and ca in section {section}, or ask who runs the relay",
            )
        return problem(
            area, f"mail for other domains waits: {said}",
            f"mend host, port, security and ca in section {section}, or ask who runs the relay",
        )
    user = endpoint.login.user if endpoint.login is not None else ""
    return well(area, "it answers" + (f", and takes the login of {user}" if user else ""))


async def _connect(relay: Endpoint) -> None:
    """Greeting, TLS, EHLO, login, QUIT. TransportFailed."""
    await (await SmtpConnection.open(relay)).close()
