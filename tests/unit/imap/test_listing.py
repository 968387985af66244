"""What LIST answers, as a function of an inbox's names: against a simple model, and in bounded turns."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from gateway.imap import listing
from gateway.imap.listing import Catalogue, Rules, responses, status_values
from gateway.imap.settings import LIST_WORK
from gateway.model.names import parents
from gateway.store.listing import Listed
from gateway.wire import commands as c
from gateway.wire import render
from gateway.wire.pattern import Matcher

LEVELS = st.lists(st.sampled_from(["a", "b", "ab", "a!", "INBOX"]), min_size=1, max_size=4).map("/".join)
PATTERNS = st.lists(st.sampled_from(["*", "%", "a%", "*b", "%/b", "a/*", "INBOX", "a/b", ""]), min_size=1, max_size=3)


def row(name: str, **values: object) -> Listed:
    empty = Listed(name, 0, 0, None, 1, 0, 0, 1, 7, 0, 1, "Fx", 0, 0)
    return empty._replace(**values)  # type: ignore[arg-type]


def lines(command: c.List, catalogue: Catalogue, **rules: object) -> list[str]:
    found = b"".join(responses(command, catalogue, Rules(name=render.mailbox, **rules)))  # type: ignore[arg-type]
    return found.decode().splitlines()


def matched(name: str, patterns: list[str]) -> bool:
    """The simple meaning of a pattern: `%` stands for whatever has no delimiter."""
    for pattern in patterns:
        levels, wanted = name.split("/"), pattern.split("/")
        if "*" in pattern:
            if fnmatchcase(name, pattern):
                return True
        elif len(levels) == len(wanted) and all(
            fnmatchcase(level, want.replace("%", "*")) for level, want in zip(levels, wanted, strict=True)
        ):
            return True
    return False


@given(names=st.sets(LEVELS, max_size=12), patterns=PATTERNS)
def test_recursive_match_shows_what_rfc_5258_3_3_says(names: set[str], patterns: list[str]) -> None:
    shown = [p for p in patterns if p]
    found = {
        place[0]: place[1:]
        for place in listing.recursive(names, [Matcher("", pattern) for pattern in shown])
        if place is not None
    }
    every = names | {parent for name in names for parent in parents(name)}
    expected = {}
    for name in every:
        below = [other for other in names if other.startswith(name + "/")]
        if not matched(name, shown):
            continue
        if name in names:
            expected[name] = (True, bool(below))
        elif any(not matched(other, shown) for other in below):
            expected[name] = (False, True)
    assert found == expected


@given(names=st.sets(LEVELS, max_size=12), patterns=PATTERNS)
def test_each_name_that_matches_is_listed_once(names: set[str], patterns: list[str]) -> None:
    catalogue = Catalogue([row(name) for name in names])
    found = lines(c.List(b"t", "", tuple(patterns), extended=True), catalogue)
    told = [line.rpartition('" ')[2] for line in found]
    assert len(told) == len(set(told))
    assert set(told) == {name for name in names if matched(name, [p for p in patterns if p])}
    assert told == listing.sorted_names(told)


def test_names_of_many_levels_cost_bounded_turns_and_no_memory_of_their_ancestors() -> None:
    """Twenty thousand subscriptions of a hundred levels have two million ancestors."""
    names = [f"{number}/" + "/".join("abcdefghij" * 9) for number in range(300)]
    matcher = Matcher("", "*zzz")
    work = 0
    turns = 0
    for place in listing.recursive(names, [matcher]):
        assert place is None
        turns += 1
    for name in names:
        work += len(name) + sum(map(len, parents(name)))
    assert turns >= work // (LIST_WORK + 300 * 100) > 10


def test_a_long_answer_comes_in_pieces() -> None:
    catalogue = Catalogue([row(f"mailbox-{number:05}") for number in range(5000)])
    pieces = list(responses(c.List(b"t", "", ("*",)), catalogue, Rules(name=render.mailbox)))
    assert len(pieces) > 5
    assert max(map(len, pieces)) < 40_000
    assert b"".join(pieces).count(b"* LIST ") == 5000


def test_status_values() -> None:
    found = row("x", messages=3, octets=2**40, object_id="Fid", deleted=2, deleted_octets=9, highest_modseq=5)
    values = status_values(("MAILBOXID", "RECENT", "SIZE", "APPENDLIMIT", "HIGHESTMODSEQ"), 77)
    assert values(found) == b"(MAILBOXID (Fid) RECENT 0 SIZE 1099511627776 APPENDLIMIT 77 HIGHESTMODSEQ 5)"
    assert status_values(("MESSAGES",), 77)(found) == b"(MESSAGES 3)"
    assert status_values(("RECENT", "APPENDLIMIT"), 77)(found) == b"(RECENT 0 APPENDLIMIT 77)"
    assert status_values(("DELETED", "DELETED-STORAGE"), 77)(found) == b"(DELETED 2 DELETED-STORAGE 9)"


def test_what_lies_below_a_name_follows_it() -> None:
    names = ["a!", "a/b", "INBOX/x", "a", "INBOX", "a/b/c", "A"]
    assert listing.sorted_names(names) == ["INBOX", "A", "INBOX/x", "a", "a/b", "a/b/c", "a!"]
