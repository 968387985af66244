"""AgentMail's labels, pages over several inboxes, and what of a reply is its writer's: pure."""

from __future__ import annotations

import json

import pytest

from gateway.access.changing import Marks
from gateway.access.listing import Cursor
from gateway.model.errors import InvalidRequest
from gateway.model.mailbox import JUNK, TRASH
from gateway.web import problems
from gateway.web.agentmail.across import Piece, merged
from gateway.web.agentmail.errors import as_theirs, told
from gateway.web.agentmail.keys import OURS, THEIRS
from gateway.web.agentmail.labels import FIXED, Change, change
from gateway.web.agentmail.parts import from_token, listed, paged, to_token
from gateway.web.agentmail.values import extracted
from gateway.web.problems import kind_of_status


@pytest.mark.parametrize(
    ("add", "remove", "wanted"),
    [
        (["unread"], [], Change(Marks((), ("\\Seen",)))),
        ([], ["unread"], Change(Marks(("\\Seen",), ()))),
        (["starred", "Lead"], ["old"], Change(Marks(("\\Flagged", "Lead"), ("old",)))),
        (["both", "UNREAD"], ["Both", "unread"], Change(Marks(("\\Seen",), ("Both",)))),
        (["trash", "spam"], [], Change(Marks(), TRASH)),
        (["spam"], ["trash"], Change(Marks(), JUNK)),
        ([], ["Trash"], Change(Marks(), None, frozenset({TRASH}))),
        ([], ["trash", "spam"], Change(Marks(), None, frozenset({TRASH, JUNK}))),
        (["read"], [], Change(Marks(("read",), ()))),
    ],
)
def test_what_labels_change(add: list[str], remove: list[str], wanted: Change) -> None:
    assert change(add, remove) == wanted


@pytest.mark.parametrize("label", [*sorted(FIXED), "Sent", "a b", "", "\\Seen", "\\Deleted", "a\0", "é", "x" * 256])
def test_labels_that_are_refused_on_either_side(label: str) -> None:
    for add, remove in (([label], []), ([], [label])):
        with pytest.raises(InvalidRequest):
            change(add, remove)


def test_one_order_of_several_inboxes() -> None:
    one = Piece([(Cursor(9, 1, "a"), "9a"), (Cursor(5, 2, "b"), "5b")], None)
    two = Piece([(Cursor(9, 1, "c"), "9c"), (Cursor(7, 1, "d"), "7d")], None)
    assert merged([one, two], 3, rising=False) == (["9c", "9a", "7d"], Cursor(7, 1, "d"))
    assert merged([one, two], 4, rising=False) == (["9c", "9a", "7d", "5b"], None)
    assert merged([one, two], 1, rising=True) == (["5b"], Cursor(5, 2, "b"))
    assert merged([], 5, rising=False) == ([], None)


def test_nothing_is_told_behind_what_was_not_looked_at() -> None:
    far = Piece([(Cursor(9, 1, "a"), "9a"), (Cursor(2, 1, "b"), "2b")], None)
    short = Piece([(Cursor(8, 1, "c"), "8c")], Cursor(6, 1, ""))
    assert merged([far, short], 10, rising=False) == (["9a", "8c"], Cursor(6, 1, ""))
    nothing: Piece[str] = Piece([], Cursor(3, 0, "\U0010ffff"))
    assert merged([far, nothing], 10, rising=True) == (["2b"], Cursor(3, 0, "\U0010ffff"))


def test_pages_of_what_is_in_memory() -> None:
    items = [(number, f"n{number}") for number in range(7)]
    for rising in (True, False):
        seen: list[tuple[int, str]] = []
        token = None
        while True:
            page, said = paged(items, 3, token, lambda item: item, rising=rising)
            assert said["count"] == len(page) <= 3
            seen += page
            token = said["next_page_token"]
            if token is None:
                break
        assert seen == (items if rising else items[::-1])
    assert paged([], 3, to_token(1, "x"), lambda item: item)[0] == []
    for bad in ("", "é", "W10", to_token("a", 1), to_token(True, "x"), to_token(2**63, "x")):
        with pytest.raises(InvalidRequest, match="page_token"):
            from_token(bad, int, str)


def test_several_values_of_a_parameter_in_either_form() -> None:
    assert listed(["a", "b"]) == ["a", "b"]
    assert listed(['["a","b"]']) == ["a", "b"]
    assert listed(["[a", '["b"]', "[" * 5000]) == ["[a", "b", "[" * 5000]
    assert listed(None) is None


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("Just go.\n\nOn Mon, 1 Jan 2026 10:00:00 +0000, Ann <a@b.test> wrote:\n> What\n> now?\n", "Just go."),
        ("Ja\n\nAm 1.1.2026 um 10:00 schrieb Anna:\n> Was?\n", "Ja"),
        ("Yes\n\nOn Monday somebody with a name\nthat is long wrote:\n> x", "Yes"),
        ("> quoted\nand answered", "> quoted\nand answered"),
        ("Top\n-----Original Message-----\nFrom: x", "Top"),
        ("No quote at all\n", "No quote at all"),
        ("", ""),
        ("> only a quote", ""),
    ],
)
def test_what_the_writer_added(text: str, own: str) -> None:
    assert extracted(text) == own


def test_errors_bear_their_names() -> None:
    assert told(kind_of_status(422), "x").status_code == 400
    assert told(kind_of_status(404), "x").status_code == 404
    assert b'"name":"NotFoundError"' in bytes(told(kind_of_status(404), "x").body)


def test_what_the_door_refuses_is_told_in_their_words() -> None:
    refused = problems.response(kind_of_status(429), "Too many requests", headers={"Retry-After": "7"})
    made = as_theirs(refused)
    assert (made.status_code, made.headers["retry-after"]) == (429, "7")
    document = json.loads(bytes(made.body))
    assert (document["name"], document["message"]) == ("RateLimitError", "Too many requests")
    assert {"code", "fix", "docs"} <= document.keys()


def test_permissions_are_theirs_or_ours() -> None:
    assert {"label_spam_read", "label_trash_read", "label_blocked_read", "label_unauthenticated_read"} <= set(THEIRS)
    assert not set(THEIRS) & OURS
