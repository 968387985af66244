"""What to do next with a folder."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.connectors.plan.folder import (
    DAY,
    HOUR,
    OFTEN,
    RECENT,
    AskChanges,
    Backfill,
    CompareUids,
    Distrust,
    FolderState,
    Forward,
    LookAtFlags,
    PassRules,
    PassSoFar,
    Phase,
    Remap,
    Rest,
    Retreat,
    Seen,
    Strategy,
    TakeSnapshot,
    backfilled,
    changed,
    compared,
    distrusted,
    forwarded,
    frozen,
    looked,
    needs_pass,
    next_step,
    only_grew,
    retreated,
    settled,
    strategy,
)
from gateway.upstream.values import MailboxStatus

NOW = 1_000_000.0
QRESYNC = PassRules(qresync=True, condstore=True)
CONDSTORE = PassRules(condstore=True)
PLAIN = PassRules()
SEEN = Seen(uidvalidity=7, uidnext=101, exists=60, highest_modseq=500)
LIVE = FolderState(Phase.LIVE, 7, 101, 500, True, 60, 1, 1, NOW, NOW, NOW)


def test_a_new_folder_begins_with_a_snapshot() -> None:
    step = next_step(FolderState(), SEEN, QRESYNC, NOW)
    assert isinstance(step, TakeSnapshot)
    assert step.state == FolderState(Phase.BACKFILL, 7, 101, 500, True, 60, 101, 1, NOW, NOW, NOW)


def test_then_older_mail_is_fetched_and_then_it_rests() -> None:
    state = FolderState(Phase.BACKFILL, 7, 101, 500, True, 60, 101, 1, NOW, NOW, NOW)
    assert next_step(state, SEEN, QRESYNC, NOW) == Backfill(101, 1)
    state = backfilled(state, 40)
    assert next_step(state, SEEN, QRESYNC, NOW) == Backfill(40, 1)
    state = backfilled(state, 0)
    assert state.backfill_low == 1
    assert next_step(state, SEEN, QRESYNC, NOW) == Rest(first_time=True)
    assert next_step(settled(state), SEEN, QRESYNC, NOW) == Rest()


def test_an_empty_folder_is_live_at_once() -> None:
    seen = Seen(7, 1, 0, 1)
    step = next_step(FolderState(), seen, QRESYNC, NOW)
    assert isinstance(step, TakeSnapshot)
    assert next_step(step.state, seen, QRESYNC, NOW) == Rest(first_time=True)


def test_new_mail_comes_before_changes_and_these_before_older_mail() -> None:
    state = replace(LIVE, phase=Phase.BACKFILL, backfill_low=50)
    seen = Seen(7, 104, 63, 510)
    assert next_step(state, seen, QRESYNC, NOW) == Forward(101, 104)
    state = forwarded(state, 104, 3)
    assert next_step(state, seen, QRESYNC, NOW) == AskChanges(500, 510, vanished=True)
    assert next_step(state, seen, CONDSTORE, NOW) == AskChanges(500, 510, vanished=False)
    state = changed(state, AskChanges(500, 510, vanished=True))
    assert next_step(state, seen, QRESYNC, NOW) == Backfill(50, 1)
    assert isinstance(next_step(state, seen, replace(QRESYNC, backfill=False), NOW), Rest)


def test_the_modseq_of_the_snapshot_is_stored_not_one_seen_later() -> None:
    step = AskChanges(500, 510, vanished=True)
    assert changed(LIVE, step).highest_modseq == 510


def test_what_condstore_does_not_tell_is_found_by_the_number_of_messages() -> None:
    seen = replace(SEEN, exists=58, highest_modseq=501)
    state = changed(LIVE, AskChanges(500, 501, vanished=False))
    step = next_step(state, seen, CONDSTORE, NOW)
    assert step == CompareUids("the number of messages is another one")
    assert isinstance(next_step(compared(state, 58, NOW), seen, CONDSTORE, NOW), Rest)


def test_vanished_that_leaves_some_out_is_noticed() -> None:
    seen = replace(SEEN, exists=55, highest_modseq=501)
    state = changed(LIVE, AskChanges(500, 501, vanished=True), gone=5)
    assert isinstance(next_step(state, seen, QRESYNC, NOW), Rest)
    state = changed(LIVE, AskChanges(500, 501, vanished=True), gone=3)
    assert isinstance(next_step(state, seen, QRESYNC, NOW), CompareUids)


def test_one_came_and_one_went() -> None:
    seen = Seen(7, 102, 60, None)
    state = forwarded(LIVE, 102, 1)
    assert isinstance(next_step(state, seen, PLAIN, NOW), CompareUids)


@pytest.mark.parametrize("now", [NOW + 8 * DAY, NOW - 1])
@pytest.mark.parametrize("rules", [QRESYNC, CONDSTORE, PLAIN])
def test_full_looks_are_due_from_time_to_time_and_when_the_clock_was_set_back(rules: PassRules, now: float) -> None:
    assert next_step(LIVE, SEEN, rules, now) == CompareUids("it is time")
    assert next_step(compared(LIVE, 60, now), SEEN, rules, now) == LookAtFlags(None)


def test_one_pass_compares_once() -> None:
    """Somebody expunges while we list: the next SELECT says so."""
    seen = replace(SEEN, exists=58)
    state = compared(LIVE, 57, NOW)
    assert isinstance(next_step(state, seen, QRESYNC, NOW, PassSoFar(compared=True)), Rest)
    assert isinstance(next_step(state, replace(SEEN, exists=57), QRESYNC, NOW), Rest)


def test_without_modseq_flags_are_looked_at() -> None:
    assert next_step(LIVE, SEEN, PLAIN, NOW) == LookAtFlags(RECENT)
    assert next_step(LIVE, SEEN, PLAIN, NOW, PassSoFar(looked=True)) == Rest()
    step = next_step(LIVE, SEEN, PLAIN, NOW + HOUR, PassSoFar(looked=True))
    assert step == LookAtFlags(OFTEN)
    assert isinstance(step, LookAtFlags)
    assert next_step(looked(LIVE, step, NOW + HOUR), SEEN, PLAIN, NOW + HOUR, PassSoFar(looked=True)) == Rest()
    later = replace(LIVE, listed_at=NOW + 13 * HOUR)
    step = next_step(later, SEEN, PLAIN, NOW + 13 * HOUR)
    assert step == LookAtFlags(None)
    assert isinstance(step, LookAtFlags)
    assert looked(later, step, NOW + 13 * HOUR).recent_flags_at == NOW + 13 * HOUR
    assert looked(LIVE, LookAtFlags(RECENT), NOW + 1) == LIVE


def test_somebody_may_ask_for_everything_to_be_compared() -> None:
    rules = replace(QRESYNC, asked_at=NOW + 5)
    assert isinstance(next_step(LIVE, SEEN, rules, NOW), Rest), "not before he asked"
    step = next_step(LIVE, SEEN, rules, NOW + 6)
    assert isinstance(step, CompareUids)
    state = compared(LIVE, 60, NOW + 6)
    assert next_step(state, SEEN, rules, NOW + 6) == LookAtFlags(None)
    state = looked(state, LookAtFlags(None), NOW + 6)
    assert isinstance(next_step(state, SEEN, rules, NOW + 7), Rest)


def test_another_uidvalidity_starts_a_remap_whatever_else_is_due() -> None:
    seen = replace(SEEN, uidvalidity=8, uidnext=3, exists=2)
    step = next_step(replace(LIVE, listed_at=0.0), seen, QRESYNC, NOW)
    assert isinstance(step, Remap)
    assert step.state == FolderState(Phase.BACKFILL, 8, 3, 500, True, 2, 3, 1, NOW, NOW, NOW)
    assert next_step(step.state, seen, QRESYNC, NOW) == Backfill(3, 1)


def test_a_uidnext_that_goes_back_makes_the_cursor_go_back() -> None:
    seen = replace(SEEN, uidnext=90, exists=50)
    assert next_step(LIVE, seen, QRESYNC, NOW) == Retreat(90)
    state = retreated(LIVE, 90)
    assert isinstance(next_step(state, seen, QRESYNC, NOW), CompareUids)
    assert next_step(state, replace(seen, uidnext=92), QRESYNC, NOW) == Forward(90, 92)
    assert retreated(replace(LIVE, backfill_low=95), 90).backfill_low == 90


def test_a_remap_that_was_cut_off_goes_on() -> None:
    state = replace(LIVE, phase=Phase.REMAP)
    step = next_step(state, SEEN, QRESYNC, NOW)
    assert isinstance(step, Remap)
    assert step.state == state


@pytest.mark.parametrize(
    "seen",
    [replace(SEEN, highest_modseq=None), replace(SEEN, highest_modseq=0), replace(SEEN, highest_modseq=499)],
)  # fmt: skip
def test_modseqs_that_lie_are_not_believed_again(seen: Seen) -> None:
    assert isinstance(next_step(LIVE, seen, CONDSTORE, NOW), Distrust)
    state = distrusted(LIVE)
    assert strategy(state, seen, QRESYNC) is Strategy.PLAIN
    assert not isinstance(next_step(state, seen, QRESYNC, NOW), Distrust)
    assert not isinstance(next_step(LIVE, seen, PLAIN, NOW), Distrust), "nobody asked for MODSEQs"


def test_messages_that_come_without_a_higher_modseq() -> None:
    seen = replace(SEEN, uidnext=103)
    assert frozen(LIVE, seen, 1)
    assert not frozen(LIVE, seen, 0), "a gap in the UIDs"
    assert not frozen(LIVE, replace(seen, highest_modseq=501), 1)
    state = forwarded(LIVE, 103, 1)
    assert isinstance(next_step(state, seen, CONDSTORE, NOW, PassSoFar(frozen=True)), Distrust)
    assert not isinstance(next_step(distrusted(state), seen, CONDSTORE, NOW, PassSoFar(frozen=True)), Distrust)


def test_a_new_uidvalidity_gives_modseqs_another_chance() -> None:
    step = next_step(distrusted(LIVE), replace(SEEN, uidvalidity=8), CONDSTORE, NOW)
    assert isinstance(step, Remap)
    assert step.state.modseq_ok


def test_strategies() -> None:
    assert strategy(LIVE, SEEN, QRESYNC) is Strategy.QRESYNC
    assert strategy(LIVE, SEEN, CONDSTORE) is Strategy.CONDSTORE
    assert strategy(LIVE, SEEN, PLAIN) is Strategy.PLAIN
    assert strategy(LIVE, replace(SEEN, highest_modseq=None), QRESYNC) is Strategy.PLAIN


@pytest.mark.parametrize(
    ("status", "needed"),
    [
        (MailboxStatus(messages=60, uidnext=101, uidvalidity=7, highest_modseq=500), False),
        (MailboxStatus(messages=60, uidnext=101), False),
        (MailboxStatus(messages=61, uidnext=101), True),
        (MailboxStatus(messages=60, uidnext=102), True),
        (MailboxStatus(messages=60, uidnext=101, uidvalidity=8), True),
        (MailboxStatus(messages=60, uidnext=101, highest_modseq=501), True),
        (MailboxStatus(messages=60, uidnext=101, highest_modseq=0), False),
        (MailboxStatus(), True),
        (MailboxStatus(messages=60), False),
    ],
)
def test_what_status_says_of_a_folder_that_is_not_selected(status: MailboxStatus, needed: bool) -> None:
    assert needs_pass(LIVE, status) is needed


@pytest.mark.parametrize(
    ("status", "grew"),
    [
        (MailboxStatus(messages=60, uidnext=101, uidvalidity=7), True),
        (MailboxStatus(messages=63, uidnext=104, uidvalidity=7), True),
        (MailboxStatus(messages=62, uidnext=104, uidvalidity=7), False),
        (MailboxStatus(messages=59, uidnext=101, uidvalidity=7), False),
        (MailboxStatus(messages=60, uidnext=101, uidvalidity=8), False),
        (MailboxStatus(messages=60, uidvalidity=7), False),
        (MailboxStatus(), False),
    ],
)
def test_status_may_show_that_nothing_is_gone(status: MailboxStatus, grew: bool) -> None:
    assert only_grew(LIVE, status) is grew
    unknown = replace(LIVE, exists=-1)
    assert not only_grew(unknown, MailboxStatus(messages=60, uidnext=162, uidvalidity=7)), "who knows what was there"


def test_status_of_a_folder_that_is_not_live_says_nothing() -> None:
    same = MailboxStatus(messages=60, uidnext=101, uidvalidity=7, highest_modseq=500)
    assert needs_pass(replace(LIVE, phase=Phase.BACKFILL), same)
    assert not needs_pass(distrusted(LIVE), replace(same, highest_modseq=900))
