"""Which server takes mail for a domain. One relay for all today; connectors and MX routes join the same table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.outbound.endpoint import Endpoint


@dataclass(frozen=True, slots=True)
class Route:
    """`name` stands in logs and in the queue's attempts."""

    name: str
    endpoint: Endpoint


@dataclass(frozen=True, slots=True)
class Routes:
    """Exact domains first, then the default. Domains are lower case."""

    default: Route | None = None
    by_domain: Mapping[str, Route] = field(default_factory=dict)

    def route(self, domain: str) -> Route | None:
        return self.by_domain.get(domain.lower(), self.default)

    def covers(self, domain: str) -> bool:
        """What acceptance asks before it takes a recipient."""
        return self.route(domain) is not None
