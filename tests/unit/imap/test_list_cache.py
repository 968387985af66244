"""Kept answers of LIST: only for their inbox, spelling and version of the tree, and bounded."""

from __future__ import annotations

from dataclasses import replace

from gateway.imap.list_cache import MAX_ANSWER, ListCache, Question, Recording, question_of
from gateway.model.ids import InboxId
from gateway.wire import commands as c

LIST = c.List(b"a1", "", ("*",))


def question(inbox: int = 1, *, utf8: bool = False, command: c.List | c.Lsub = LIST) -> Question:
    found = question_of(InboxId(inbox), utf8, command)
    assert found is not None
    return found


def test_an_answer_holds_for_its_inbox_spelling_question_and_version() -> None:
    cache = ListCache()
    cache.put(question(), 7, b"answer")
    assert cache.get(question(command=replace(LIST, tag=b"b9")), 7) == b"answer"
    assert cache.get(question(), 8) is None
    for other in (
        question(2),
        question(utf8=True),
        question(command=c.Lsub(b"a1", "", "*")),
        question(command=replace(LIST, patterns=("%",))),
        question(command=replace(LIST, reference="x")),
        question(command=replace(LIST, selection=frozenset({"SUBSCRIBED"}))),
        question(command=replace(LIST, returns=frozenset({"SUBSCRIBED"}))),
        question(command=replace(LIST, extended=True)),
    ):
        assert cache.get(other, 7) is None
    cache.put(question(), 8, b"newer")
    assert cache.get(question(), 7) is None
    assert cache.get(question(), 8) == b"newer"


def test_what_depends_on_more_than_names_is_not_kept() -> None:
    for command in (
        replace(LIST, status=("MESSAGES",)),
        replace(LIST, metadata=("/shared/comment",)),
        replace(LIST, patterns=("x" * 600, "y" * 600)),
        replace(LIST, reference="x" * 1001),
        c.Lsub(b"a1", "", "x" * 1001),
    ):
        assert question_of(InboxId(1), False, command) is None


def test_the_least_recently_used_go_first() -> None:
    cache = ListCache(most=3 * 5000)
    for inbox in (1, 2, 3):
        cache.put(question(inbox), 1, b"x" * 800)
    assert cache.get(question(1), 1) is not None
    cache.put(question(4), 1, b"x" * 800)
    assert [inbox for inbox in (1, 2, 3, 4) if cache.get(question(inbox), 1)] == [1, 3, 4]
    cache.put(question(5), 1, b"x" * 20_000)  # more than all of the room
    assert not any(cache.get(question(inbox), 1) for inbox in range(6))


def test_only_whole_answers_of_bounded_length_are_kept() -> None:
    cache = ListCache()
    cut_off = Recording(cache, question(), 1)
    cut_off.add(b"half")
    assert cache.get(question(), 1) is None
    long = Recording(cache, question(), 1)
    for _ in range(3):
        long.add(b"x" * (MAX_ANSWER // 2))
    long.keep()
    assert cache.get(question(), 1) is None
    whole = Recording(cache, question(), 1)
    whole.add(b"one ")
    whole.add(b"two")
    whole.keep()
    assert cache.get(question(), 1) == b"one two"
    Recording(cache, None, 1).keep()
