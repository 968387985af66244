"""What is gone upstream, whether it is believed, and who is who again."""

from __future__ import annotations

import pytest

from gateway.connectors.plan.vanish import (
    Belief,
    Compared,
    Identity,
    Matched,
    Vanished,
    believe,
    believe_listing,
    compare,
    match,
    moved,
    treatment,
)


def test_comparing_uids_within_what_was_fetched() -> None:
    found = compare(((5, 9), (12, 12)), ((1, 6), (8, 8), (10, 11), (20, 20)), 5, 15)
    assert found == Compared(gone=((7, 7), (9, 9), (12, 12)), holes=((10, 11),))
    assert compare(((5, 9),), ((1, 20),), 5, 10, excused=()).holes == ()
    assert compare((), ((1, 20),), 5, 10, excused=((5, 8),)).holes == ((9, 9),)
    assert compare(((5, 9),), (), 10, 10).gone == ((5, 9),), "what was matched is known below what was fetched"
    assert compare(((5, 9),), (), 10, 8).gone == ((5, 7),)
    assert compare((), (), 1, 1) == Compared((), ())


@pytest.mark.parametrize(
    ("gone", "known", "exists", "belief"),
    [(0, 100, 100, Belief.APPLY), (50, 100, 50, Belief.APPLY), (51, 100, 49, Belief.ASK_AGAIN),
     (51, 1000, 949, Belief.APPLY), (300, 1000, 700, Belief.ASK_AGAIN), (3, 3, 0, Belief.ASK_AGAIN),
     (1, 1, 0, Belief.APPLY), (3, 3, 2, Belief.APPLY), (0, 0, 0, Belief.APPLY)],
)  # fmt: skip
def test_many_at_once_are_looked_at_again(gone: int, known: int, exists: int, belief: Belief) -> None:
    assert believe(gone, known, exists, asked_again=False) is belief
    again = believe(gone, known, exists, asked_again=True)
    assert again is (Belief.HOLD if belief is Belief.ASK_AGAIN else belief)
    assert believe(gone, known, exists, asked_again=True, confirmed=True) is Belief.APPLY


@pytest.mark.parametrize(
    ("listed", "known", "belief"),
    [(10, 10, Belief.APPLY), (12, 10, Belief.APPLY), (5, 10, Belief.APPLY), (4, 10, Belief.ASK_AGAIN),
     (0, 10, Belief.ASK_AGAIN), (0, 1, Belief.ASK_AGAIN), (0, 0, Belief.APPLY), (1, 2, Belief.APPLY)],
)  # fmt: skip
def test_an_empty_list_of_folders_is_not_believed(listed: int, known: int, belief: Belief) -> None:
    assert believe_listing(listed, known, asked_again=False) is belief
    if belief is Belief.ASK_AGAIN:
        assert believe_listing(listed, known, asked_again=True) is Belief.HOLD


def test_two_way_mirrors_deletions_and_pull_follows_its_policy() -> None:
    assert treatment(Vanished.KEEP, two_way=True, deletes=True) is Vanished.DELETE
    assert treatment(Vanished.KEEP, two_way=True, deletes=False) is Vanished.KEEP
    assert treatment(Vanished.TRASH, two_way=False, deletes=True) is Vanished.TRASH


def weak(message_id: str, date: int = 1, size: int = 10, strong: str | None = None) -> Identity:
    return Identity(strong, message_id, date, size)


def test_messages_are_known_again_by_the_server_s_id() -> None:
    old = [weak("a", strong="1"), weak("b", strong="2")]
    new = [weak("b", strong="2"), weak("x", strong="1")]
    assert match(old, new) == Matched(((0, 1), (1, 0)), (), ())


def test_messages_with_other_ids_are_other_messages() -> None:
    assert match([weak("a", strong="1")], [weak("a", strong="2")]) == Matched((), (0,), (0,))


def test_without_ids_by_message_id_date_and_size() -> None:
    old = [weak("a"), weak("b"), weak("c", size=5)]
    new = [weak("b"), weak("a"), weak("c", size=6)]
    assert match(old, new) == Matched(((0, 1), (1, 0)), (2,), (2,))


def test_messages_that_look_the_same_are_paired_by_their_order() -> None:
    assert match([weak("a")] * 3, [weak("a")] * 2) == Matched(((0, 0), (1, 1)), (2,), ())


def test_one_side_without_ids_is_matched_by_the_rest() -> None:
    old = [weak("a"), weak("a", strong="1")]
    assert match(old, [weak("a", strong="1"), weak("a", strong="2")]).pairs == ((0, 1), (1, 0))
    assert match([weak("a", strong="1")], [weak("a")]).pairs == ((0, 0),)


@pytest.mark.parametrize("one", [Identity(), Identity(message_id="a"), Identity(message_id="a", internal_date=1),
                                 Identity(message_id="", internal_date=1, size=1)])  # fmt: skip
def test_what_says_too_little_matches_nothing(one: Identity) -> None:
    assert match([one], [one]) == Matched((), (0,), (0,))


def test_a_message_gone_here_and_new_there_was_moved() -> None:
    gone = [(1, "k"), (2, "k"), (3, None), (4, "other")]
    assert moved(gone, [(10, "k"), (11, None), (12, "new")]) == [(1, 10)]
    assert moved(gone, [(10, "k"), (11, "k")]) == [(1, 10), (2, 11)]
