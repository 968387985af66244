"""What a client that comes back is told: how far its numbers match, the forms of responses, long sets."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imap.mailbox_state import Delta, MailboxState, Row
from gateway.imap.resync import changed_since, last_match
from gateway.imap.session import Session
from gateway.imap.telling import Form, form_of, vanished
from gateway.imap.view import View
from gateway.model import sequence
from gateway.model.ids import InboxId, MailboxId, UidValidity
from gateway.model.sequence import Ranges

UIDS = st.sets(st.integers(1, 30))


def test_the_example_of_the_rfc() -> None:
    """RFC 7162 3.2.5.2: only UIDs divisible by three exist."""
    uids = range(3, 30_010, 3)
    numbers = ((5000, 5000), (7500, 7500), (9000, 9000), (9990, 9999))
    known = ((15_000, 15_000), (22_500, 22_500), (27_000, 27_000), *((uid, uid) for uid in range(29_970, 29_998, 3)))
    assert last_match(uids, len(uids), numbers, known) == 29_997
    assert last_match(uids, len(uids), ((4, 4), (12, 12)), ((8, 8), (24, 24))) == 0
    assert last_match([2, 4, 6, 8, 25], 5, ((4, 5),), ((8, 8), (24, 24))) == 8


@given(uids=UIDS, known=UIDS, numbers=UIDS)
def test_the_last_match_is_that_of_all_pairs(uids: set[int], known: set[int], numbers: set[int]) -> None:
    listed = sorted(uids)
    pairs = list(zip(sorted(numbers), sorted(known), strict=False))
    if not pairs:
        return
    matching = [uid for number, uid in pairs if number <= len(listed) and listed[number - 1] == uid]
    both = (sequence.from_numbers(number for number, _ in pairs), sequence.from_numbers(uid for _, uid in pairs))
    assert last_match(listed, len(listed), *both) == max(matching, default=0)


def test_a_set_of_four_billion_numbers_costs_nothing() -> None:
    everything = ((1, 2**32 - 1),)
    assert last_match(range(1, 1001), 1000, everything, everything) == 1000
    assert last_match(range(2, 1002), 1000, everything, everything) == 0
    assert last_match([], 0, everything, everything) == 0


@given(left=UIDS, right=UIDS)
def test_sets_of_numbers(left: set[int], right: set[int]) -> None:
    a, b = sequence.from_numbers(left), sequence.from_numbers(right)
    assert sequence.intersect(a, b) == sequence.from_numbers(left & right)
    assert sequence.without(a, b) == sequence.from_numbers(left - right)


TEXT = {1: b"\\Seen"}.__getitem__


@pytest.mark.parametrize(
    ("enabled", "expunged", "changed", "stored", "moved_on"),
    [
        (
            set(),
            b"* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n",
            b"* 1 FETCH (UID 9 FLAGS (\\Seen))\r\n",
            b"* 1 FETCH (FLAGS (\\Seen))\r\n",
            b"",
        ),
        (
            {"CONDSTORE"},
            b"* 2 EXPUNGE\r\n* 2 EXPUNGE\r\n",
            b"* 1 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (7))\r\n",
            b"* 1 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (7))\r\n",
            b"* 1 FETCH (UID 9 MODSEQ (7))\r\n",
        ),
        (
            {"CONDSTORE", "QRESYNC"},
            b"* VANISHED 4:5\r\n",
            b"* 1 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (7))\r\n",
            b"* 1 FETCH (UID 9 FLAGS (\\Seen) MODSEQ (7))\r\n",
            b"* 1 FETCH (UID 9 MODSEQ (7))\r\n",
        ),
        (
            {"UIDONLY"},
            b"* VANISHED 4:5\r\n",
            b"* 9 UIDFETCH (FLAGS (\\Seen))\r\n",
            b"* 9 UIDFETCH (FLAGS (\\Seen))\r\n",
            b"",
        ),
        (
            {"UIDONLY", "CONDSTORE"},
            b"* VANISHED 4:5\r\n",
            b"* 9 UIDFETCH (FLAGS (\\Seen) MODSEQ (7))\r\n",
            b"* 9 UIDFETCH (FLAGS (\\Seen) MODSEQ (7))\r\n",
            b"* 9 UIDFETCH (MODSEQ (7))\r\n",
        ),
    ],
)
def test_the_form_follows_what_is_enabled(
    enabled: set[str], expunged: bytes, changed: bytes, stored: bytes, moved_on: bytes
) -> None:
    form = form_of(enabled)
    assert form.expunged([2, 2], [4, 5]) == expunged
    assert form.changed([(1, 9, 1, 7)], TEXT) == changed
    assert form.stored([(1, 9, 1, 7)], TEXT, by_uid=False) == stored
    if form.modseqs:
        assert form.moved_on([(1, 9, 7)]) == moved_on


def test_long_sets_are_lines_of_a_length_that_clients_take() -> None:
    uids: Ranges = tuple((4_000_000_000 + uid, 4_000_000_000 + uid) for uid in range(1, 4001, 2))
    lines = vanished(uids, earlier=True).split(b"\r\n")
    assert lines.pop() == b""
    assert len(lines) > 1
    assert all(line.startswith(b"* VANISHED (EARLIER) ") and len(line) < 8192 for line in lines)
    assert b",".join(line[len("* VANISHED (EARLIER) ") :] for line in lines).decode() == sequence.render(uids)
    assert vanished(()) == b""
    assert Form(vanished=True).expunged([], []) == b""


CHANGE = st.tuples(st.sampled_from(["add", "flags", "expunge", "look"]), st.integers(0, 29))


@given(loaded=st.integers(0, 20), during=st.sets(st.integers(0, 19)), steps=st.lists(CHANGE, max_size=25))
def test_the_record_of_a_state_finds_what_a_look_at_all_messages_finds(
    loaded: int, during: set[int], steps: list[tuple[str, int]]
) -> None:
    """Also what changed while the state was loaded, and by a view that has not been told of an expunge."""
    state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
    state.load((uid, 0, 6 if uid - 1 in during else uid % 5 + 1) for uid in range(1, loaded + 1))
    state.loaded(5)
    commit(state, 6, [(uid, 0, 6) for uid in range(1, loaded + 1) if uid - 1 in during])
    state.followed()
    view = View(state)
    for modseq, (what, at) in enumerate(steps, 7):
        uid = state.uids[at % len(state)] if len(state) else 0
        if what == "add":
            commit(state, modseq, [(state.uidnext, 0, modseq)])
        elif what == "look":
            view = View(state)
        elif uid and what == "flags":
            commit(state, modseq, [(uid, modseq, modseq)])
        elif uid:
            view.note(commit(state, modseq, [], ((uid, uid),)))
    everything = [(0, view.length)] if view.length else []
    for since in range(state.highest_modseq + 1):
        found = asyncio.run(changed_since(SESSION, view, everything, since))
        places = [at for start, stop in found for at in range(start, stop)]
        assert places == [at for at, modseq in enumerate(view.modseqs_of(0, view.length)) if modseq > since]
        assert all(stop < start for (_, stop), (start, _) in pairwise(found))
        halves = [(at, at + 1) for at in range(0, view.length, 2)]
        some = asyncio.run(changed_since(SESSION, view, halves, since))
        assert [at for start, stop in some for at in range(start, stop)] == [at for at in places if at % 2 == 0]


def commit(state: MailboxState, modseq: int, rows: list[Row], expunged: Ranges = ()) -> Delta:
    uidnext = max([state.uidnext, *(uid + 1 for uid, _, _ in rows)])
    return state.commit(state.prepare(rows, expunged, highest_modseq=modseq, uidnext=uidnext))


SESSION = cast("Session", SimpleNamespace(channel=None))
"""Nothing is asked of it before thousands of messages were looked at."""
