"""Which way mail goes: rules by sender and recipient, and the default relay where none says otherwise.

The narrowest rule wins wherever it stands in the file: the recipient's side is compared first, then the sender's, as
Postfix's transport maps go before its sender-dependent ones. So a rule for one domain is never shadowed by a general
one, and two rules that say the same are a mistake that the configuration names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from gateway.model.errors import InvalidName
from gateway.outbound.endpoint import Endpoint
from gateway.store.addresses import canonical_domain, spellings

if TYPE_CHECKING:
    from .accounts import Account

_PLAIN: Final = re.compile(r"([a-z0-9_.-]+)(\+[a-z0-9_.+-]*)?@([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)", re.ASCII)
ANY: Final = "*"
NULL_SENDER: Final = "<>"
"""The null reverse-path: receipts and other notices."""


class RouteKind(StrEnum):
    RELAY = "relay"
    LOCAL = "local"  # only inboxes here have such addresses: anything else is refused
    CONNECTOR = "connector"  # by the account that the sender's inbox is connected with
    HOLD = "hold"  # waits for a person
    DISCARD = "discard"  # taken and thrown away
    RETURN = "return"  # to its sender, for the account that was to send it was removed; no rule says so


@dataclass(frozen=True, slots=True)
class RouteLimits:
    """What one relay is asked for at most. `connections` at the same time; `per_minute` messages. 0: no limit."""

    connections: int = 0
    per_minute: int = 0


@dataclass(frozen=True, slots=True)
class Route:
    """`name` stands in logs and in the queue's attempts. `endpoints`: a relay's hosts, the preferred one first."""

    name: str
    kind: RouteKind = RouteKind.RELAY
    endpoints: tuple[Endpoint, ...] = ()
    limits: RouteLimits = RouteLimits()

    @classmethod
    def relay(cls, name: str, *endpoints: Endpoint, limits: RouteLimits | None = None) -> Route:
        return cls(name, RouteKind.RELAY, endpoints, limits or RouteLimits())


@dataclass(frozen=True, slots=True)
class Rule:
    """`number` counts from 1 in the order of the configuration. Patterns in their canonical form."""

    number: int
    sender: str
    recipient: str
    route: Route


@dataclass(frozen=True, slots=True)
class Found:
    """The way of one pair of addresses. `rule` None: no rule fits.

    `account`: whose mail it is; it goes through it, or in its place by a relay. `gone`: of kind RETURN, the account.
    """

    route: Route
    rule: Rule | None = None
    account: Account | None = None
    gone: str = ""


NO_CONNECTOR: Final = "This inbox has no connector"
NO_RELAY: Final = "Mail to other domains needs a relay: set host in section relay of the configuration"
RETURNED: Final = Route("return", RouteKind.RETURN)
ONLY_HERE: Final = "Such addresses are delivered here only, and no inbox has this one"


def canonical_pattern(pattern: str) -> str:
    """`*`, `<>`, an address, a domain, or `.domain` for all below it, as they are compared. InvalidName."""
    text = pattern.strip()
    if text in (ANY, NULL_SENDER):
        return text
    if "@" in text:
        found = spellings(text)
        if not found:
            raise InvalidName("That is no e-mail address")
        return found[0]
    return "." + canonical_domain(text[1:]) if text.startswith(".") else canonical_domain(text)


def keys_of(address: str) -> tuple[str, ...]:
    """Patterns that fit `address`, the narrowest first: itself, it without +detail, its domain, those above, any."""
    if not address:
        return (NULL_SENDER, ANY)
    lower = address.lower()
    if (plain := _PLAIN.fullmatch(lower)) is not None:  # nearly all: a tenth of what the rest costs
        base, detail, domain = plain.groups()
        return (lower, f"{base}@{domain}", *_above(domain)) if detail else (lower, *_above(domain))
    found = spellings(address) or (lower, "@" + lower.rpartition("@")[2])  # an address literal
    return (*found[:-1], *_above(found[-1][1:]))


@lru_cache(maxsize=4096)
def _above(domain: str) -> tuple[str, ...]:
    labels = domain.split(".")
    return (domain, *("." + ".".join(labels[at:]) for at in range(1, len(labels))), ANY)


class Routes:
    """A table of rules, immutable. Where two rules say the same the first one counts."""

    def __init__(self, default: Route | None = None, rules: Iterable[Rule] = ()) -> None:
        self.default = default
        self.rules = tuple(rules)
        self._table: dict[tuple[str, str], Rule] = {}
        for rule in self.rules:
            self._table.setdefault((rule.sender, rule.recipient), rule)

    def find(self, sender: str, recipient: str, *, released: bool = False) -> Found | None:
        """None: nothing carries it. `sender` "" is the null reverse-path; `released`: somebody has let it go."""
        if self._table:
            senders = keys_of(sender)
            for to in keys_of(recipient):
                for whom in senders:
                    rule = self._table.get((whom, to))
                    if rule is not None and not (released and rule.route.kind is RouteKind.HOLD):
                        return Found(rule.route, rule)
        return None if self.default is None else Found(self.default)
