"""THREAD's algorithms: the RFC's rules one by one, and hostile references."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.threading import Message, threads
from gateway.wire.search import Algorithm
from gateway.wire.search_results import threads as rendered


def tree(algorithm: Algorithm, *messages: Message) -> str:
    return rendered(threads(algorithm, messages))[len("* THREAD") :].decode().strip()


def mail(uid: int, *links: int, subject: bytes = b"", reply: bool = False, date: int = 0) -> Message:
    """`links`: own id, then references. Without `date` mail is as old as its number."""
    return Message(uid, date or uid, subject, reply, links or (0,))


def references(*messages: Message) -> str:
    return tree(Algorithm.REFERENCES, *messages)


def test_a_chain_and_siblings():
    assert references(mail(1, 11), mail(2, 12, 11), mail(3, 13, 11, 12)) == "(1 2 3)"
    assert references(mail(1, 11), mail(2, 12, 11), mail(3, 13, 11)) == "(1 (2)(3))"
    assert references() == ""


def test_a_child_may_come_first_and_siblings_are_sorted_by_date():
    assert references(mail(1, 12, 11, date=9), mail(2, 11, date=5), mail(3, 13, 11, date=7)) == "(2 (3)(1))"


def test_a_missing_parent_holds_its_children_together():
    """RFC 5256 4: `((3)(5))`; step (3): an only child comes up to the root."""
    assert references(mail(3, 13, 11), mail(5, 15, 11)) == "((3)(5))"
    assert references(mail(3, 13, 11)) == "(3)"
    assert references(mail(3, 13, 11, 10), mail(5, 15, 11, 10, 9)) == "((3)(5))"


def test_the_dummies_between_go():
    assert references(mail(1, 11), mail(2, 15, 11, 12, 13)) == "(1 2)"
    assert references(mail(1, 11), mail(2, 15, 11, 12), mail(3, 16, 11, 13)) == "(1 (2)(3))"


def test_equal_ids_count_once_and_none_not_at_all():
    assert references(mail(1, 11), mail(2, 11), mail(3, 12, 11), mail(4, 0), mail(5, 0)) == "(1 3)(2)(4)(5)"


def test_loops_are_not_made():
    assert references(mail(1, 11, 12), mail(2, 12, 11)) == "(2 1)"
    assert references(mail(1, 11, 11)) == "(1)"
    assert references(mail(1, 11, 12, 13), mail(2, 12, 13, 11), mail(3, 13, 11, 12)) == "(2 3 1)"


def test_the_last_reference_is_the_parent_whatever_another_list_said():
    assert references(mail(1, 11), mail(2, 12), mail(3, 20, 11, 13), mail(4, 13, 12)) == "(1)(2 4 3)"


def test_subjects_gather_threads():
    """Step (5)."""
    assert references(mail(1, subject=b"X"), mail(2, subject=b"X", reply=True)) == "(1 2)"
    assert references(mail(1, subject=b"X", reply=True), mail(2, subject=b"X")) == "(2 1)"
    assert references(mail(1, subject=b"X"), mail(2, subject=b"X")) == "((1)(2))"
    assert references(mail(1, subject=b"X"), mail(2, subject=b"X"), mail(3, subject=b"X")) == "((1)(2)(3))"
    assert references(mail(1), mail(2)) == "(1)(2)"  # an empty subject is nobody's
    dummy = (mail(1, 11, 10, subject=b"X"), mail(2, 12, 10, subject=b"X"))
    assert references(*dummy, mail(3, subject=b"X")) == "((1)(2)(3))"
    assert references(*dummy, mail(4, 14, 20, subject=b"X"), mail(5, 15, 20, subject=b"X")) == "((1)(2)(4)(5))"


def test_refs_looks_at_no_subject_and_puts_the_thread_with_the_newest_mail_last():
    messages = (mail(1, 11, subject=b"X", date=1), mail(2, 0, subject=b"X", date=5), mail(3, 13, 11, date=9))
    assert tree(Algorithm.REFS, *messages) == "(2)(1 3)"
    assert references(*messages) == "((1 3)(2))"


def test_ordered_subject():
    """RFC 5256 3: no grandchildren; threads by the date of their first message."""
    messages = [mail(1, subject=b"B", date=5), mail(2, subject=b"A", date=7), mail(3, subject=b"B", date=9)]
    messages += [mail(4, subject=b"B", date=2), mail(5, subject=b"", date=1), mail(6, subject=b"", date=3)]
    assert tree(Algorithm.ORDEREDSUBJECT, *messages) == "(5 6)(4 (1)(3))(2)"


LINKS = st.lists(st.integers(0, 8), min_size=1, max_size=5)


@given(
    st.lists(st.tuples(LINKS, st.integers(0, 3), st.sampled_from([b"", b"X", b"Y"]), st.booleans()), max_size=12),
    st.sampled_from(Algorithm),
)
def test_each_message_stands_once_in_every_tree(
    mails: list[tuple[list[int], int, bytes, bool]], algorithm: Algorithm
):
    messages = [
        Message(uid, date, subject, reply, [links[0], *(link or 9 for link in links[1:])])
        for uid, (links, date, subject, reply) in enumerate(mails, 1)
    ]
    tokens = threads(algorithm, messages)
    assert sorted(token for token in tokens if token > 0) == [message.uid for message in messages]
    assert tokens.count(-1) == tokens.count(-2)
    text = rendered(tokens)
    assert b"()" not in text
    assert b"( " not in text


def deep(count: int) -> Sequence[Message]:
    return [mail(uid, uid, uid - 1) if uid > 1 else mail(1, 1) for uid in range(1, count + 1)]


def hung_on_the_end(count: int) -> Sequence[Message]:
    """A long chain, and then mail whose references hang its root below what stands at its end, again and again."""
    return [*deep(count), *(mail(uid, uid, count, 1) for uid in range(count + 1, 2 * count))]


def dummies(count: int) -> Sequence[Message]:
    """A chain of messages that are not there, a hundred more with each mail, and many children at its end."""
    chain = [mail(uid, uid, *range(uid * 100, uid * 100 + 101)) for uid in range(1, count)]
    return [*chain, *(mail(uid, uid, count * 100) for uid in range(count, 2 * count))]


@pytest.mark.parametrize("made", [deep, hung_on_the_end, dummies])
def test_hostile_references_cost_no_stack(made):
    messages = made(3000)
    tokens = threads(Algorithm.REFERENCES, messages)
    assert sum(token > 0 for token in tokens) == len(messages)
