"""How webhooks are delivered. Times in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gateway.outbound.http import HttpSettings
from gateway.outbound.tls import TlsPolicy

DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """`first`, `longest`: between attempts, which grow fourfold; `give_up`: a webhook that has failed for so long is
    switched off. `per_host`, `lanes`: deliveries at once to one host, and in all."""

    allow_private: bool = False
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    first: float = 5.0
    longest: float = 4 * 3600.0
    give_up: int = 5 * DAY
    per_host: int = 8
    lanes: int = 64
    timeout: float = 15.0
    lease: int = 60
    former_secret: int = DAY

    @property
    def http(self) -> HttpSettings:
        return HttpSettings(
            allow_private=self.allow_private, tls=self.tls, total=self.timeout, max_answer=16 * 1024, cut=True,
            agent="mail-gateway-webhooks",
        )  # fmt: skip


def delay(settings: WebhookSettings, attempts: int, chance: float, asked: float = 0.0) -> float:
    """Seconds after `attempts` (1 and more) failed ones. `chance` (0-1) is for a fifth either way; `asked`: what the
    receiver wants, which counts as far as it is within the longest."""
    plain = min(settings.first * 4.0 ** min(attempts - 1, 20), settings.longest)
    return max(plain * (0.8 + 0.4 * chance), min(asked, settings.longest))
