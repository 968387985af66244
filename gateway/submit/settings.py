"""What acceptance is told by the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.model.permissions import WhatIsBlocked
from gateway.model.rates import UNSAID, Rates


@dataclass(frozen=True, slots=True)
class SubmitSettings:
    """`hostname` stands in trace fields; `max_message_size` counts the octets that the client sends.

    `same_mail_s`: for how long the same mail is known when it comes again; 0: never. `future_release_s`: how far ahead
    mail may be scheduled; 0: not at all. `inbox_rates`, `key_rates`: of those that have none of their own.
    `max_recipients`: of one scheduled draft.
    """

    hostname: str = "localhost"
    max_message_size: int = 10_485_760
    blocked: WhatIsBlocked = "spam"  # of inboxes that do not say
    same_mail_s: int = 3_600
    future_release_s: int = 30 * 86_400
    inbox_rates: Rates = UNSAID
    key_rates: Rates = UNSAID
    max_recipients: int = 50
