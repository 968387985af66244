"""Which failures are waited out, and which stop an account."""

from __future__ import annotations

import pytest

from gateway.connectors.plan.backoff import HINT_MOST, NETWORK, PROVEN_S, REFUSED, Backoff
from gateway.connectors.plan.standing import (
    AUTH_AGAIN_S,
    AUTH_SPAN_S,
    PROTOCOL_ERRORS,
    REMAPS_IN_A_ROW,
    Account,
    Remaps,
    Standing,
)
from gateway.outbound.failure import Failure, refuses_login


def test_waits_grow_and_have_an_end() -> None:
    backoff = Backoff()
    waits = [backoff.failed(NETWORK, 1.0) for _ in range(9)]
    assert waits[:4] == [2.0, 6.0, 18.0, 54.0]
    assert waits[-1] == NETWORK.most
    assert backoff.failures == 9


def test_chance_spreads_them() -> None:
    backoff = Backoff()
    backoff.failed(NETWORK, 1.0)
    assert backoff.failed(NETWORK, 0.0) == NETWORK.least


def test_the_server_s_wish_is_followed_up_to_a_quarter_of_an_hour() -> None:
    assert Backoff().failed(REFUSED, 0.0, 290.0) == 290.0
    assert Backoff().failed(REFUSED, 0.0, 90_000.0) == HINT_MOST
    assert Backoff().failed(REFUSED, 0.0, 1.0) == REFUSED.least
    assert Backoff().failed(REFUSED, 0.0, -5.0) == REFUSED.least


@pytest.mark.parametrize(
    ("synced", "lived", "forgotten"), [(True, PROVEN_S, True), (True, 5.0, False), (False, 9e9, False)]
)
def test_only_a_session_that_proved_itself_ends_it(synced: bool, lived: float, forgotten: bool) -> None:
    backoff = Backoff()
    backoff.failed(NETWORK, 1.0)
    assert backoff.ended(synced=synced, lived=lived) is forgotten
    assert (backoff.failures == 0) is forgotten


def test_each_failure_that_does_not_refuse_a_login_is_waited_out() -> None:
    for failure in Failure:
        if refuses_login(failure):
            continue
        verdict = Account().failed(failure, 1000.0, 0.5)
        assert verdict.standing in (Standing.BACKOFF, Standing.THROTTLED), failure
        assert verdict.until is not None
        assert verdict.until > 1000.0
        assert verdict.news
        assert not verdict.refresh


def test_throttling_is_shown_as_such_and_its_hint_followed() -> None:
    verdict = Account().failed(Failure.THROTTLED, 0.0, 0.0, hint=200.0)
    assert (verdict.standing, verdict.until) == (Standing.THROTTLED, 200.0)
    assert Account().failed(Failure.BYE, 0.0, 0.0, hint=200.0).standing is Standing.THROTTLED
    assert Account().failed(Failure.LIMIT, 0.0, 0.0).standing is Standing.THROTTLED


def test_only_what_is_the_server_s_counts_against_it() -> None:
    assert Account().failed(Failure.REFUSED, 0.0, 0.0).counts
    assert not Account().failed(Failure.MAILBOX_UNREACHABLE, 0.0, 0.0).counts
    assert not Account().failed(Failure.AUTH_REJECTED, 0.0, 0.0).counts


def test_a_login_is_believed_to_be_refused_after_three_times_in_a_quarter_of_an_hour() -> None:
    account = Account()
    first = account.failed(Failure.AUTH_REJECTED, 0.0, 0.5)
    second = account.failed(Failure.AUTH_REJECTED, 400.0, 0.5)
    third = account.failed(Failure.AUTH_REJECTED, 800.0, 0.5)
    assert [one.standing for one in (first, second, third)] == [Standing.BACKOFF] * 3
    last = account.failed(Failure.AUTH_REJECTED, AUTH_SPAN_S, 0.0)
    assert (last.standing, last.until, last.news) == (Standing.AUTH_FAILED, AUTH_SPAN_S + AUTH_AGAIN_S, True)
    daily = account.failed(Failure.AUTH_REJECTED, 100_000.0, 0.0)
    assert (daily.standing, daily.until, daily.news) == (Standing.AUTH_FAILED, 100_000.0 + AUTH_AGAIN_S, False)


def test_a_token_is_renewed_in_between_and_not_tried_daily() -> None:
    account = Account(oauth=True)
    first = account.failed(Failure.AUTH_OAUTH, 0.0, 0.5)
    assert first.refresh
    assert first.until is not None
    assert first.until <= 5.0, "a token that had just expired"
    second = account.failed(Failure.AUTH_OAUTH, 5.0, 0.5)
    assert second.refresh
    assert second.until is not None
    assert second.until > 300.0
    account.failed(Failure.AUTH_OAUTH, 500.0, 0.5)
    assert account.failed(Failure.AUTH_OAUTH, AUTH_SPAN_S, 0.5).until is None


def test_a_login_that_succeeds_in_between_starts_anew() -> None:
    account = Account()
    for at in (0.0, 400.0, 800.0):
        account.failed(Failure.AUTH_REJECTED, at, 0.5)
    assert account.logged_in()
    assert not account.logged_in()
    assert account.failed(Failure.AUTH_REJECTED, 2000.0, 0.5).standing is Standing.BACKOFF


def test_an_outage_between_refused_logins_is_no_refusal() -> None:
    account = Account()
    account.failed(Failure.AUTH_REJECTED, 0.0, 0.5)
    for at in range(1, 50):
        assert account.failed(Failure.TIMEOUT, at * 100.0, 0.5).standing is Standing.BACKOFF


def test_a_clock_set_back_does_not_shorten_the_quarter_of_an_hour() -> None:
    account = Account()
    account.failed(Failure.AUTH_REJECTED, 1000.0, 0.5)
    for at in (0.0, 100.0, 200.0):
        assert account.failed(Failure.AUTH_REJECTED, at, 0.5).standing is Standing.BACKOFF


def test_a_server_that_speaks_no_imap_is_left_alone() -> None:
    account = Account()
    verdicts = [account.failed(Failure.PROTOCOL, 0.0, 0.5) for _ in range(PROTOCOL_ERRORS)]
    assert [one.standing for one in verdicts[:-1]] == [Standing.BACKOFF] * (PROTOCOL_ERRORS - 1)
    assert (verdicts[-1].standing, verdicts[-1].until) == (Standing.QUARANTINED, None)
    account.mended()
    assert account.standing is Standing.OK
    assert account.failed(Failure.PROTOCOL, 0.0, 0.5).standing is Standing.BACKOFF


def test_a_good_session_forgives() -> None:
    account = Account()
    for _ in range(PROTOCOL_ERRORS - 1):
        account.failed(Failure.PROTOCOL, 0.0, 0.5)
    account.ended(synced=True, lived=PROVEN_S)
    assert account.failed(Failure.PROTOCOL, 0.0, 1.0).standing is Standing.BACKOFF


def test_uidvalidities_that_never_stay() -> None:
    remaps = Remaps()
    assert [remaps.happened(float(at)) for at in range(REMAPS_IN_A_ROW)] == [False] * (REMAPS_IN_A_ROW - 1) + [True]
    assert not remaps.happened(1e9), "after a quiet day it begins anew"
    assert remaps.count == 1
