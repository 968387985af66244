"""LIST patterns."""

from __future__ import annotations

import pytest

from gateway.wire.pattern import Matcher


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "a/b/c", True),
        ("*", "INBOX", True),
        ("%", "a", True),
        ("%", "a/b", False),
        ("a/%", "a/b", True),
        ("a/%", "a", False),
        ("a/%", "a/b/c", False),
        ("a%", "a", True),
        ("a*", "a/b", True),
        ("%/%", "a/b", True),
        ("*b", "a/b", True),
        ("*b", "a/bc", False),
        ("a*c%e", "abcde", True),
        ("a*c%e", "abc/e", False),
        ("%*", "a/b", True),
        ("%%", "a/b", False),
        ("%%", "ab", True),
        ("", "a", False),
        ("", "", True),
        ("*", "", True),
        ("inbox", "INBOX", True),
        ("InB%", "INBOX", True),
        ("inbox/x", "INBOX/x", True),
        ("inbox/X", "INBOX/x", False),
        ("inbox/%", "INBOX/x", True),
        ("INBOX/%", "INBOX/x/y", False),
        ("inbox*", "INBOX/x", True),
        ("inb*", "INBOXES", False),
        ("INB*", "INBOXES", True),
        ("inb%", "INBOX/x", False),
        ("a/%", "a/", True),
        ("a/%", "ab", False),
        ("inbox", "INBOXES", False),
        ("A", "a", False),
        ("Entw\u0075\u0308rfe", "Entw\u00fcrfe", True),
        ("[a-z].+", "b", False),
    ],
)
def test_matching(pattern: str, name: str, matches: bool):
    assert Matcher("", pattern).matches(name) is matches


def test_a_reference_stands_before_the_pattern():
    assert Matcher("a/", "%").matches("a/b")
    assert not Matcher("a/", "%").matches("b")


def test_hostile_patterns_take_one_step_a_character():
    """The matcher looks each character of the name up once: `a*a*a*…b` costs no more than `*`."""

    class Counting(dict):
        steps = 0

        def get(self, key, default=None):
            Counting.steps += 1
            return super().get(key, default)

    matcher = Matcher("", "*a%" * 300 + "b")
    matcher._moves = Counting(matcher._moves)
    assert not matcher.matches("a" * 1000)
    assert Counting.steps == 1000
