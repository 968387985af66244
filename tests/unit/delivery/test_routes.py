"""Which rule wins, what a route that leads to no server makes of a recipient, and whose turn it is among hosts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.hosts import PAUSES, Hosts
from gateway.delivery.policy import decide, unasked
from gateway.delivery.routes import (
    NO_CONNECTOR,
    NO_RELAY,
    ONLY_HERE,
    Found,
    Route,
    RouteKind,
    Routes,
    Rule,
    canonical_pattern,
    keys_of,
)
from gateway.delivery.schedule import Schedule
from gateway.delivery.ways import Ways
from gateway.model.errors import InvalidName
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.verdict import Verdict
from gateway.store.addresses import spellings
from gateway.submit.errors import NoRoute, UnknownRecipient

RELAY = Route.relay("relay", Endpoint("relay.example", 587))
OTHER = Route.relay("other", Endpoint("other.example", 25))
HOLD = Route("hold", RouteKind.HOLD)
DISCARD = Route("discard", RouteKind.DISCARD)


def routes(*rules: tuple[str, str, Route], default: Route | None = RELAY) -> Routes:
    return Routes(default, [Rule(number, *rule) for number, rule in enumerate(rules, 1)])


def way(table: Routes, sender: str, recipient: str) -> tuple[str, int] | None:
    found = table.find(sender, recipient)
    return None if found is None else (found.route.name, found.rule.number if found.rule else 0)


def refusal(table: Routes, sender: str, recipient: str) -> NoRoute | UnknownRecipient | None:
    return Ways(table).refusal(None, sender, recipient)


def test_patterns_that_fit_an_address_narrowest_first() -> None:
    assert keys_of("Ann+x@Sub.Example.ORG") == (
        "ann+x@sub.example.org", "ann@sub.example.org", "sub.example.org", ".example.org", ".org", "*",
    )  # fmt: skip
    assert keys_of("zoë@bücher.example")[1:] == ("xn--bcher-kva.example", ".example", "*")
    assert keys_of("") == ("<>", "*")
    assert keys_of("ann@[192.0.2.1]")[:2] == ("ann@[192.0.2.1]", "[192.0.2.1]")


DOMAINS = ["Example.org", "x", "-a.b", "a..b", "[1.2.3.4]", "ü.de"]


@given(st.text("aZ9.+_-@é\"\\[]", max_size=12), st.sampled_from(DOMAINS))
def test_the_short_way_says_what_the_long_one_says(local: str, domain: str) -> None:
    address = f"{local}@{domain}"
    long = spellings(address)
    assert keys_of(address)[-1] == "*"
    if long:
        assert keys_of(address)[: len(long) - 1] == long[:-1]
        assert keys_of(address)[len(long) - 1] == long[-1][1:]
    else:
        assert keys_of(address)[0] == address.lower()


def test_patterns_are_compared_in_one_spelling() -> None:
    assert canonical_pattern(" .Bücher.Example ") == ".xn--bcher-kva.example"
    assert canonical_pattern("Ann@Example.ORG") == "ann@example.org"
    assert canonical_pattern("*") == "*"
    assert canonical_pattern("<>") == "<>"
    for wrong in ("", "a b", "x@", "-x.example", "@"):
        with pytest.raises(InvalidName):
            canonical_pattern(wrong)


def test_the_narrowest_recipient_wins_then_the_narrowest_sender() -> None:
    table = routes(
        ("*", "*", DISCARD), ("ann@example.org", "*", OTHER), ("*", "example.net", HOLD),
        ("example.org", "example.net", OTHER), ("*", ".example.net", DISCARD), ("*", "eve@example.net", RELAY),
        ("<>", "*", HOLD),
    )  # fmt: skip
    assert way(table, "bob@example.org", "x@elsewhere.net") == ("discard", 1)
    assert way(table, "ann@example.org", "x@elsewhere.net") == ("other", 2)
    assert way(table, "ann+tag@example.org", "x@elsewhere.net") == ("other", 2)
    assert way(table, "bob@example.com", "x@example.net") == ("hold", 3)
    assert way(table, "ann@example.org", "x@example.net") == ("other", 4), "the sender decides between equals only"
    assert way(table, "ann@example.org", "x@a.b.example.net") == ("discard", 5)
    assert way(table, "ann@example.org", "eve+x@Example.NET") == ("relay", 6)
    assert way(table, "", "x@elsewhere.net") == ("hold", 7)


def test_subdomains_are_not_the_domain_itself() -> None:
    table = routes(("*", ".example.net", OTHER))
    assert way(table, "a@b.example", "x@example.net") == ("relay", 0)
    assert way(table, "a@b.example", "x@notexample.net") == ("relay", 0)
    assert way(table, "a@b.example", "x@sub.example.net") == ("other", 1)


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_file_says_nothing(chance: random.Random) -> None:
    rules = [
        ("*", "*", DISCARD), ("ann@example.org", "*", OTHER), ("*", "example.net", HOLD), (".org", ".net", RELAY),
        ("example.org", "*", HOLD), ("*", ".net", DISCARD),
    ]  # fmt: skip
    mixed = chance.sample(rules, len(rules))
    for sender in ("ann@example.org", "bob@example.org", "x@y.example", ""):
        for recipient in ("a@example.net", "a@b.net", "a@b.example"):
            one, other = routes(*rules).find(sender, recipient), routes(*mixed).find(sender, recipient)
            assert one is not None
            assert other is not None
            assert one.route is other.route


def said(refusal: Exception | None) -> tuple[type, str]:
    return (type(refusal), str(refusal))


def test_what_acceptance_is_told() -> None:
    assert said(refusal(Routes(), "a@b", "x@elsewhere.net")) == (NoRoute, NO_RELAY)
    assert refusal(routes(), "a@b", "x@elsewhere.net") is None
    table = routes(
        ("*", "hold.net", HOLD), ("*", "away.net", DISCARD), ("*", "here.net", Route("local", RouteKind.LOCAL)),
        ("ann@example.org", "*", Route("connector", RouteKind.CONNECTOR)), ("*", "other.net", OTHER), default=None,
    )  # fmt: skip
    assert refusal(table, "bob@example.org", "x@hold.net") is None
    assert refusal(table, "bob@example.org", "x@away.net") is None
    assert refusal(table, "bob@example.org", "x@other.net") is None
    assert said(refusal(table, "bob@example.org", "x@here.net")) == (UnknownRecipient, ONLY_HERE)
    assert said(refusal(table, "bob@example.org", "x@elsewhere.net")) == (NoRoute, NO_RELAY)
    assert said(refusal(table, "ann@example.org", "x@elsewhere.net")) == (NoRoute, NO_CONNECTOR)


def test_released_mail_goes_past_hold_and_nothing_else() -> None:
    table = routes(("*", "x.net", HOLD), ("ann@example.org", "*", OTHER), ("*", "y.net", DISCARD))
    for sender, recipient, name in (
        ("ann@example.org", "a@x.net", "other"), ("bob@example.org", "a@x.net", "relay"), ("b@c", "a@y.net", "discard"),
    ):  # fmt: skip
        found = table.find(sender, recipient, released=True)
        assert found is not None
        assert found.route.name == name


@pytest.mark.parametrize(
    ("kind", "state", "verdict", "text"),
    [
        (RouteKind.HOLD, "held", Verdict.HELD, "Held by rule 7 of the routes"),
        (RouteKind.DISCARD, "sent", Verdict.SENT, "Discarded by rule 7 of the routes"),
        (RouteKind.LOCAL, "bounced", Verdict.PERMANENT, ONLY_HERE),
        (RouteKind.CONNECTOR, "deferred", Verdict.TEMPORARY, NO_CONNECTOR),
    ],
)
def test_routes_that_lead_to_no_server(kind: RouteKind, state: str, verdict: Verdict, text: str) -> None:
    outcome = unasked(Found(Route(kind.value, kind), Rule(7, "*", "*", Route(kind.value, kind))))
    assert outcome is not None
    assert (outcome.verdict, outcome.text) == (verdict, text)
    decision = decide(
        outcome, attempts=0, created_at=0, now=0, schedule=Schedule(), unknown_outcome="resend", progress=False,
        chance=0.5,
    )  # fmt: skip
    assert (decision.state, decision.text) == (state, text)
    assert unasked(Found(RELAY)) is None


def test_hosts_rest_and_come_back() -> None:
    now = 1000.0
    one, two = Endpoint("one.example", 25), Endpoint("two.example", 25)
    route = Route.relay("both", one, two)
    hosts = Hosts(lambda: now)
    assert hosts.in_order(route) == [one, two]
    hosts.failed([one])
    assert hosts.in_order(route) == [two, one]
    hosts.failed([two])
    hosts.failed([one])
    assert hosts.in_order(route) == [two, one], "whose rest ends sooner"
    now += PAUSES[0]
    assert hosts.in_order(route) == [two, one]
    now += PAUSES[1]
    assert hosts.in_order(route) == [one, two], "both have rested"
    hosts.failed([one])
    hosts.worked(one)
    assert hosts.in_order(route) == [one, two]
    hosts.failed([one])
    hosts.failed([two])
    now += PAUSES[0]
    assert hosts.in_order(route) == [one, two], "it worked meanwhile: counted anew"
    hosts.forget()
    hosts.failed([two])
    assert hosts.in_order(Route.relay("other", two, one)) == [one, two], "known to every relay that names it"
    assert hosts.in_order(HOLD) == []
