"""How much a key or an inbox may send: recipients an hour and a day, in windows that slide: pure.

Two fixed periods stand for a sliding one: what was sent in the last period counts by the share of it that the window
still covers. That is exact for an even sender and never lets more than twice a limit through within one period.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gateway.model.permissions import Principal
from gateway.model.rates import Rates
from gateway.store.rates import Sent

from .identity import Sender
from .settings import SubmitSettings

HOUR: Final = 3_600
DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class Charge:
    """One counter that a submission must pass."""

    subject: str
    period: int
    limit: int


def charges(key_id: int, key: Rates, inbox_id: int, inbox: Rates) -> Iterator[Charge]:
    """The counters of a submission, always in the same order: two that share some never wait for each other."""
    for subject, rates in ((f"i{inbox_id}", inbox), (f"k{key_id}", key)):
        for period, limit in ((DAY, rates.per_day), (HOUR, rates.per_hour)):
            if limit:
                yield Charge(subject, period, limit)


def charges_of(principal: Principal, sender: Sender, settings: SubmitSettings) -> tuple[Charge, ...]:
    """What counts for a submission: its key's limits and those of the inbox that it is from, else the usual ones."""
    key, inbox = principal.rates.over(settings.key_rates), sender.rates.over(settings.inbox_rates)
    return tuple(charges(principal.key_id, key, sender.author, inbox))


def in_window(sent: Sent, period: int, now: int) -> float:
    """Recipients in the `period` seconds before `now`."""
    left = max(0, period - (now - sent.start))  # of the period before
    return sent.count + sent.before * left / period


def exceeded(charge: Charge, sent: Sent, now: int) -> bool:
    """`sent` with what is to be sent now."""
    return in_window(sent, charge.period, now) > charge.limit
