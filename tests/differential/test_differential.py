"""The same mail on our server and on Dovecot: the parsed answers are equal, but for the rows of `accepted.py`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.differential import corpora
from tests.differential.accepted import ACCEPTED, Difference, differences
from tests.differential.client import Answer, Value
from tests.differential.comparisons import FETCHES, NUMBERS, SECTIONS, TREES
from tests.differential.conftest import Judge, Pair
from tests.differential.corpora import Mail
from tests.support.soak import SOAK

_PARTS = 200  # of one message whose sections are compared; the message of 10,000 parts has them all alike
_AT_ONCE = 20  # sections a command
_PLACES = 12  # numbers of a part: those of a message nested more deeply are not compared each


def compare_fetches(pair: Pair, judge: Judge, item: bytes) -> None:
    ours, theirs = pair.ours.fetch(item), pair.theirs.fetch(item)
    assert len(ours) == len(theirs) == len(pair.mails)
    for number, mail in enumerate(pair.mails, 1):
        assert ours[number].keys() == theirs[number].keys()
        for question, value in theirs[number].items():
            for found in differences(mail.name, mail.octets, question, ours[number][question], value):
                judge.see(found)


def parts_of(body: Value) -> Iterator[tuple[int, ...]]:
    """The numbers of all parts of a message, from its BODY (RFC 3501 6.4.5)."""
    stack = [(body, ())]
    while stack:
        message, path = stack.pop()
        assert isinstance(message, tuple)
        children = (
            [child for child in message if isinstance(child, tuple)] if isinstance(message[0], tuple) else [message]
        )
        for number, part in enumerate(children, 1):
            place = (*path, number)
            yield place
            if isinstance(part[0], tuple):
                stack.append((part, place))
            elif len(part) > 8 and isinstance(part[8], tuple) and part[0] == b"message":
                stack.append((part[8], place))


def compare_sections(pair: Pair, judge: Judge) -> None:
    bodies = pair.ours.fetch(b"BODY"), pair.theirs.fetch(b"BODY")
    for number, mail in enumerate(pair.mails, 1):
        ours, theirs = (set(parts_of(answers[number]["BODY"])) for answers in bodies)
        parts = [part for part in sorted(ours | theirs)[:_PARTS] if len(part) <= _PLACES]
        for at in range(0, len(parts), _AT_ONCE):
            names = [b".".join(b"%d" % place for place in part) for part in parts[at : at + _AT_ONCE]]
            items = b" ".join(b"BODY.PEEK[%b%b]" % (name, what) for name in names for what in SECTIONS)
            answers = [client.fetch(items, b"%d" % number)[number] for client in (pair.ours, pair.theirs)]
            compare_parts(mail, judge, *answers)


def compare_parts(mail: Mail, judge: Judge, ours: Answer, theirs: Answer) -> None:
    assert ours.keys() == theirs.keys()
    for question, value in theirs.items():
        if value == b"" and ours[question] is None:
            continue  # there is no such part, or no message in it: NIL and "" both say so (parsing.md)
        for found in differences(mail.name, mail.octets, question, ours[question], value):
            judge.see(found)


def compare_numbers(pair: Pair, judge: Judge, command: bytes) -> None:
    ours, theirs = pair.ours.numbers(command), pair.theirs.numbers(command)
    question = command.decode()
    if not question.startswith("SEARCH"):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            if one != other:
                mail = pair.mails[one - 1]
                judge.see(Difference(mail.name, mail.octets, question, (one, other), None, b"%d" % one, b"%d" % other))
        return
    for number in sorted(set(ours) ^ set(theirs)):
        mail = pair.mails[number - 1]
        judge.see(Difference(mail.name, mail.octets, question, (), None, number in ours, number in theirs))


@pytest.mark.parametrize("item", FETCHES, ids=bytes.decode)
def test_items(pair: Pair, judge: Judge, item: bytes) -> None:
    compare_fetches(pair, judge, item)
    judge.check()


def test_every_part(pair: Pair, judge: Judge) -> None:
    compare_sections(pair, judge)
    judge.check()


def test_searches(pair: Pair, judge: Judge) -> None:
    for command in NUMBERS:
        compare_numbers(pair, judge, command)
    judge.check()


def test_trees(pair: Pair, judge: Judge) -> None:
    for command in TREES:
        ours, theirs = pair.ours.tree(command), pair.theirs.tree(command)
        for found in differences("", b"", command.decode(), ours, theirs):
            judge.see(found)
    judge.check()


def test_no_row_is_out_of_date(pair: Pair, judge: Judge) -> None:
    """Runs last: a row of the table that nothing fell under says what is no longer so."""
    stale = [row for row in ACCEPTED if row not in judge.used]
    assert not stale, "\n".join(f"{row.reason}: {row.mails}" for row in stale)


@pytest.mark.skipif(not SOAK, reason="a long run: make soak")
def test_recombined(open_pair: Callable[..., Pair], mails: list[Mail], judge: Judge) -> None:
    """Each message cut off, damaged and inside others."""
    small = [mail for mail in mails if not mail.large]
    made = list(corpora.recombined(small))
    for at in range(0, len(made), 500):
        pair = open_pair(made[at : at + 500])
        for item in FETCHES:
            compare_fetches(pair, judge, item)
        compare_sections(pair, judge)
    judge.check()
