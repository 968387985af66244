"""Which mailboxes the sources of ESEARCH mean (RFC 7377 2.2, RFC 5465 6)."""

from __future__ import annotations

import pytest

from gateway.imap.multi_search import Sources
from gateway.wire.commands import Scope, Source

BOXES = ("INBOX", "INBOX/a", "a", "a/b", "a/b/c", "ab", "z")


def meant(*sources: Source) -> list[str]:
    found = Sources(sources)
    return [name for name in BOXES if found.mean(name, subscribed=name == "z", selected=name == "ab")]


@pytest.mark.parametrize(
    ("sources", "names"),
    [
        ([Source(Scope.INBOXES)], ["INBOX"]),
        ([Source(Scope.PERSONAL)], list(BOXES)),
        ([Source(Scope.SUBSCRIBED), Source(Scope.SELECTED)], ["ab", "z"]),
        ([Source(Scope.MAILBOXES, ("a", "z", "nowhere"))], ["a", "z"]),
        ([Source(Scope.SUBTREE, ("a",))], ["a", "a/b", "a/b/c"]),
        ([Source(Scope.SUBTREE_ONE, ("a",))], ["a", "a/b"]),
        ([Source(Scope.SUBTREE_ONE, ("a",)), Source(Scope.SUBTREE, ("a/b", "INBOX"))],
         ["INBOX", "INBOX/a", "a", "a/b", "a/b/c"]),
        ([Source(Scope.SUBTREE, ("",)), Source(Scope.SUBTREE_ONE, ("",)), Source(Scope.MAILBOXES, ("",))], []),
        ([], []),
    ],
)  # fmt: skip
def test_sources(sources: list[Source], names: list[str]) -> None:
    assert meant(*sources) == names


def test_thousands_of_sources_are_one_look_a_mailbox() -> None:
    """A line holds 8,000 of them, and an inbox 10,000 mailboxes: together they held the loop for minutes."""
    many = [Source(Scope.INBOXES)] * 8000 + [Source(Scope.SUBTREE, tuple(f"n{at}" for at in range(1000)))]
    found = Sources(many)
    assert [name for at in range(10_000) if found.mean(name := f"box{at}/n1", subscribed=False, selected=False)] == []
    assert found.mean("n999/x", subscribed=False, selected=False)
