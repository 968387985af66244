"""Flags on two sides: who changed one wins, and where nobody knows, the rules say who."""

from __future__ import annotations

import pytest

from gateway.connectors.plan.flags import (
    NO_FLAGS,
    FlagBatch,
    FlagRules,
    Flags,
    Side,
    applied,
    batches,
    flags_of,
    merge,
)
from gateway.model.flags import ANSWERED, DELETED, FLAGGED, SEEN

TWO_WAY = FlagRules(two_way=True)
PULL = FlagRules()


def test_flags_of_a_server_are_a_mask_and_sorted_keywords() -> None:
    flags = flags_of(["\\seen", "\\FLAGGED", "Work", "$Label1", "\\Recent", "\\*", "work"])
    assert flags == Flags(SEEN | FLAGGED, ("$Label1", "Work"))
    assert flags.names() == ["\\Seen", "\\Flagged", "$Label1", "Work"]


@pytest.mark.parametrize("name", ["a]b", "two words", "", "x" * 256, "é", "par(en", 'qu"ote', "\\Custom", "a\r\nb"])
def test_what_is_no_keyword_here_is_left_alone(name: str) -> None:
    assert flags_of([name]) == NO_FLAGS


def test_the_spelling_of_a_keyword_does_not_depend_on_the_order_told() -> None:
    assert flags_of(["work", "WORK"]) == flags_of(["WORK", "work"])


def test_each_side_s_change_reaches_the_other() -> None:
    merged = merge(Flags(SEEN), Flags(SEEN | FLAGGED, ("mine",)), Flags(ANSWERED, ("theirs",)), TWO_WAY)
    assert merged.here_add == Flags(ANSWERED, ("theirs",))
    assert merged.here_remove == Flags(SEEN)
    assert merged.up_add == Flags(FLAGGED, ("mine",))
    assert merged.up_remove == NO_FLAGS
    assert merged.base == Flags(ANSWERED, ("theirs",))
    assert merged.pushed == Flags(ANSWERED | FLAGGED, ("mine", "theirs"))
    assert applied(Flags(SEEN | FLAGGED, ("mine",)), merged) == merged.pushed


def test_a_flag_taken_away_here_is_taken_away_there() -> None:
    merged = merge(Flags(SEEN, ("x",)), NO_FLAGS, Flags(SEEN, ("X",)), TWO_WAY)
    assert merged.up_remove == Flags(SEEN, ("X",)), "spelled as the server does"
    assert not merged.applies_here
    assert merged.pushed == NO_FLAGS


def test_pull_applies_what_changed_there_and_keeps_what_was_said_here() -> None:
    merged = merge(NO_FLAGS, Flags(FLAGGED, ("mine",)), Flags(SEEN), PULL)
    assert merged.here_add == Flags(SEEN)
    assert merged.here_remove == NO_FLAGS
    assert not merged.goes_up


def test_pull_follows_a_flag_that_goes_upstream() -> None:
    assert merge(Flags(SEEN, ("a",)), Flags(SEEN, ("a", "b")), NO_FLAGS, PULL).here_remove == Flags(SEEN, ("a",))


def test_without_a_base_deleted_is_upstream_s_and_the_rest_is_ours() -> None:
    merged = merge(None, Flags(SEEN | DELETED, ("mine",)), Flags(FLAGGED, ("theirs",)), TWO_WAY)
    assert merged.here_remove == Flags(DELETED)
    assert merged.here_add == NO_FLAGS
    assert merged.up_add == Flags(SEEN, ("mine",))
    assert merged.up_remove == Flags(FLAGGED, ("theirs",))


def test_without_a_base_the_rules_can_say_the_opposite() -> None:
    rules = FlagRules(two_way=True, deleted=Side.LOCAL, others=Side.UPSTREAM)
    merged = merge(None, Flags(SEEN | DELETED, ("mine",)), Flags(FLAGGED, ("theirs",)), rules)
    assert merged.up_add == Flags(DELETED)
    assert merged.here_remove == Flags(SEEN, ("mine",))
    assert merged.here_add == Flags(FLAGGED, ("theirs",))


def test_without_a_base_pull_only_adds() -> None:
    merged = merge(None, Flags(SEEN, ("mine",)), Flags(FLAGGED, ("theirs",)), PULL)
    assert merged.here_add == Flags(FLAGGED, ("theirs",))
    assert merged.here_remove == NO_FLAGS
    assert not merged.goes_up


def test_without_a_base_pull_may_follow_upstream_in_everything() -> None:
    merged = merge(None, Flags(SEEN, ("mine",)), NO_FLAGS, FlagRules(others=Side.UPSTREAM))
    assert merged.here_remove == Flags(SEEN, ("mine",))


def test_what_the_server_cannot_keep_is_not_sent_and_not_lost_here() -> None:
    rules = FlagRules(two_way=True, permanent=frozenset({"\\Seen"}))
    merged = merge(NO_FLAGS, Flags(SEEN | FLAGGED, ("mine",)), NO_FLAGS, rules)
    assert merged.up_add == Flags(SEEN)
    assert not merged.applies_here
    assert merged.pushed == Flags(SEEN)
    again = merge(merged.pushed, Flags(SEEN | FLAGGED, ("mine",)), Flags(SEEN), rules)
    assert not again.goes_up
    assert not again.applies_here


def test_known_keywords_may_be_set_where_new_ones_may_not() -> None:
    closed = FlagRules(two_way=True, permanent=frozenset({"Work"}))
    assert merge(NO_FLAGS, Flags(0, ("play", "work")), NO_FLAGS, closed).up_add == Flags(0, ("work",))
    open_ = FlagRules(two_way=True, permanent=frozenset({"\\*"}))
    assert merge(NO_FLAGS, Flags(SEEN, ("play",)), NO_FLAGS, open_).up_add == Flags(0, ("play",))


def test_flags_that_are_not_synced_are_each_side_s_own() -> None:
    rules = FlagRules(two_way=True, synced=SEEN)
    merged = merge(NO_FLAGS, Flags(DELETED), Flags(FLAGGED), rules)
    assert not merged.goes_up
    assert not merged.applies_here


def test_a_refused_store_is_merged_again_with_what_came_meanwhile() -> None:
    """[MODIFIED]: somebody took \\Flagged away there while we set \\Seen."""
    base, local = Flags(FLAGGED), Flags(FLAGGED | SEEN)
    first = merge(base, local, Flags(FLAGGED), TWO_WAY)
    assert first.up_add == Flags(SEEN)
    again = merge(base, local, NO_FLAGS, TWO_WAY)
    assert again.up_add == Flags(SEEN)
    assert again.here_remove == Flags(FLAGGED)


def test_messages_with_the_same_change_are_one_store() -> None:
    found = batches([(5, Flags(SEEN), NO_FLAGS), (4, Flags(SEEN), NO_FLAGS), (9, NO_FLAGS, Flags(SEEN))], 100)
    assert found == [FlagBatch(((4, 5),), True, Flags(SEEN)), FlagBatch(((9, 9),), False, Flags(SEEN))]


def test_a_store_names_so_many_messages_at_most() -> None:
    found = batches([(uid, Flags(SEEN), Flags(FLAGGED)) for uid in range(1, 6)], 2)
    assert [(batch.adds, batch.uids) for batch in found] == [
        (True, ((1, 2),)), (True, ((3, 4),)), (True, ((5, 5),)),
        (False, ((1, 2),)), (False, ((3, 4),)), (False, ((5, 5),)),
    ]  # fmt: skip
