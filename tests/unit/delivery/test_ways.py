"""Rules before accounts before the relay; accounts by inbox and address; what is moved between next hops."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.accounts import NOBODY, Account, AccountTable
from gateway.delivery.agenda import Agenda, Places
from gateway.delivery.lanes import Lanes, Pick
from gateway.delivery.routes import NO_CONNECTOR, NO_RELAY, Found, Route, RouteKind, RouteLimits, Routes, Rule
from gateway.delivery.ways import Ways
from gateway.model.ids import InboxId
from gateway.outbound.breaker import LOGIN_REFUSED, Breaker
from gateway.outbound.endpoint import Endpoint
from gateway.submit.errors import NoRoute

ANN, BOB = InboxId(1), InboxId(2)
RELAY = Route.relay("relay", Endpoint("relay.example", 587))
OTHER = Route.relay("other", Endpoint("other.example", 25))
CONNECTOR = Route("connector", RouteKind.CONNECTOR)
WORK = Account(7, "work", ANN, ("ann@corp.example", "sales@corp.example"), RouteLimits(3, 30))
HOME = Account(3, "home", ANN, ("ann@home.example",))
BOBS = Account(9, "bob", BOB, ("bob@corp.example",), use_fallback=True)


def table(*rules: tuple[str, str, Route], default: Route | None = RELAY) -> Routes:
    return Routes(default, [Rule(number, *rule) for number, rule in enumerate(rules, 1)])


def names(found: Found | None) -> tuple[str, str | None, int] | None:
    """Of the way, of the account, of the rule."""
    if found is None:
        return None
    return found.route.name, found.account.name if found.account else None, found.rule.number if found.rule else 0


ACCOUNTS = AccountTable([WORK, HOME, BOBS])


def test_an_address_of_an_account_goes_through_it_where_no_rule_says_otherwise() -> None:
    ways = Ways(table(("*", "inside.example", OTHER), ("sales@corp.example", "*", OTHER)), ACCOUNTS)
    for sender, recipient, expected in (
        ("ann@corp.example", "x@y.example", ("connector:work", "work", 0)),
        ("Ann+list@CORP.example", "x@y.example", ("connector:work", "work", 0)),
        ("ann@home.example", "x@y.example", ("connector:home", "home", 0)),
        ("ann@ours.example", "x@y.example", ("relay", None, 0)),
        ("other@corp.example", "x@y.example", ("relay", None, 0)),
        ("bob@corp.example", "x@y.example", ("relay", None, 0)),  # an account of another inbox
        ("", "x@y.example", ("relay", None, 0)),
        ("ann@corp.example", "x@inside.example", ("other", None, 1)),
        ("sales@corp.example", "x@y.example", ("other", None, 2)),
    ):
        assert names(ways.find(ANN, sender, recipient)) == expected, (sender, recipient)
    assert names(ways.find(None, "ann@corp.example", "x@y.example")) == ("relay", None, 0)
    found = ways.find(ANN, "ann@corp.example", "x@y.example")
    assert found is not None
    assert found.route.limits == RouteLimits(3, 30)


def test_a_rule_that_says_connector() -> None:
    """Its inbox's account with that address, else its oldest one; an inbox that has none is told."""
    ways = Ways(table(("*", "*", CONNECTOR), default=None), ACCOUNTS)
    assert names(ways.find(ANN, "ann@corp.example", "x@y.example")) == ("connector:work", "work", 1)
    assert names(ways.find(ANN, "ann@ours.example", "x@y.example")) == ("connector:home", "home", 1)
    assert names(ways.find(ANN, "", "x@y.example")) == ("connector:home", "home", 1)
    assert ways.refusal(ANN, "ann@ours.example", "x@y.example") is None
    for inbox in (InboxId(5), None):
        refusal = ways.refusal(inbox, "eve@ours.example", "x@y.example")
        assert isinstance(refusal, NoRoute)
        assert str(refusal) == NO_CONNECTOR


def test_without_a_relay_only_what_an_account_sends_is_taken() -> None:
    ways = Ways(table(default=None), ACCOUNTS)
    assert ways.refusal(ANN, "ann@corp.example", "x@y.example") is None
    assert str(ways.refusal(ANN, "ann@ours.example", "x@y.example")) == NO_RELAY


def test_mail_that_somebody_let_go_is_not_held_twice_and_still_leaves_through_the_account() -> None:
    ways = Ways(table(("*", "*", Route("hold", RouteKind.HOLD))), ACCOUNTS)
    assert names(ways.find(ANN, "ann@corp.example", "x@y.example")) == ("hold", None, 1)
    assert names(ways.find(ANN, "ann@corp.example", "x@y.example", released=True)) == ("connector:work", "work", 0)


def test_the_relay_takes_over_only_where_it_may_and_there_is_one() -> None:
    refused = {"connector:work", "connector:bob"}
    for default, expected in ((RELAY, ("relay", "bob", 0)), (None, ("connector:bob", "bob", 0))):
        ways = Ways(table(default=default), ACCOUNTS, refused.__contains__)
        assert names(ways.find(BOB, "bob@corp.example", "x@y.example")) == expected
        assert names(ways.find(ANN, "ann@corp.example", "x@y.example")) == ("connector:work", "work", 0)
    paused = AccountTable([Account(1, "bob", BOB, ("bob@corp.example",), use_fallback=True, paused="why")])
    assert names(Ways(table(), paused).find(BOB, "bob@corp.example", "x@y.example")) == ("relay", "bob", 0)
    well = Ways(table(), ACCOUNTS)
    assert names(well.find(BOB, "bob@corp.example", "x@y.example")) == ("connector:bob", "bob", 0)


def test_an_account_that_is_switched_off_stands_back_for_one_that_works() -> None:
    off = Account(1, "old", ANN, ("ann@corp.example",), paused="old is switched off")
    ways = Ways(table(default=None), AccountTable([off, WORK, HOME]))
    assert names(ways.find(ANN, "ann@corp.example", "x@y.example")) == ("connector:work", "work", 0)
    assert ways.refusal(ANN, "ann@corp.example", "x@y.example") is None
    alone = Ways(table(("*", "z.example", CONNECTOR), default=RELAY), AccountTable([off]))
    for sender, recipient in (("ann@corp.example", "x@y.example"), ("ann@ours.example", "x@z.example")):
        assert str(alone.refusal(ANN, sender, recipient)) == "old is switched off"
    assert alone.refusal(ANN, "ann@ours.example", "x@y.example") is None
    assert alone.refusal(BOB, "ann@corp.example", "x@y.example") is None


def test_accounts_of_one_name_have_next_hops_of_their_own() -> None:
    twins = AccountTable([Account(1, "work", ANN, ("a@x.example",)), Account(2, "work", BOB, ("b@x.example",)), HOME])
    assert [twins.route(each).name for each in twins] == ["connector:work#1", "connector:work#2", "connector:home"]
    assert twins.by_hop("connector:work#2") == next(each for each in twins if each.inbox_id == BOB)
    assert twins.by_hop("connector:work") is None
    assert not NOBODY


def test_a_refused_login_is_told_from_a_server_that_is_away() -> None:
    breaker = Breaker()
    assert not breaker.refused(0)
    breaker.failed(0, "away", 0.5)
    assert not breaker.refused(1)
    breaker.reset()
    breaker.failed(0, "no", 0.5, LOGIN_REFUSED)
    assert breaker.refused(1)
    assert not breaker.refused(61), "then somebody may try whether it holds again"


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 9)), max_size=30), st.integers(0, 5))
def test_what_is_moved_is_all_there_and_in_order(rows: list[tuple[int, int, int]], taken: int) -> None:
    agenda: Agenda[Pick] = Agenda(Places())
    alone = Lanes()
    for number, (inbox, submission, _) in enumerate(rows):
        agenda.hop("from").lanes.add(inbox, submission, number)
        alone.add(inbox, submission, number)
    for lanes in (agenda.hop("from").lanes, alone):
        list(lanes.take("x", taken, 2))
    left = alone.waiting
    agenda.move("from", "to")
    assert (agenda.hop("from").lanes.waiting, agenda.hop("to").lanes.waiting) == (0, left)
    by_inbox: dict[int, list[int]] = {}
    for pick in agenda.hop("to").lanes.take("to", 100, 1):
        by_inbox.setdefault(pick.inbox_id, []).extend(pick.recipients)
    assert sum(map(len, by_inbox.values())) == left
    assert all(numbers == sorted(numbers) for numbers in by_inbox.values())
    agenda.move("nobody", "to")
