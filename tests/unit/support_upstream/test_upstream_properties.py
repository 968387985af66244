"""The witness can be believed: its models keep their own rules, and a session is told exactly what happened."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hypothesis import given
from hypothesis import strategies as st

from tests.support.upstream.account import Account, fill
from tests.support.upstream.gmail import GmailAccount
from tests.support.upstream.mail import Mailbox, example
from tests.support.upstream.personality import DOVECOT, GMAIL
from tests.support.upstream.view import View

STEP = st.tuples(st.sampled_from(["deliver", "expunge", "flags", "copy", "move", "labels", "look"]), st.integers(0, 9),
                 st.integers(0, 9), st.integers(0, 9))  # fmt: skip
FLAGS = [set(), {"\\Seen"}, {"\\Flagged"}, {"\\Deleted", "\\Seen"}]


def act(account: Account, step: tuple[str, int, int, int]) -> None:
    """One change by somebody; the numbers choose mailbox, message and target."""
    what, *chosen = step
    boxes = [box for box in account.mailboxes.values() if box.selectable]
    box, to = boxes[chosen[0] % len(boxes)], boxes[chosen[2] % len(boxes)]
    if what == "deliver":
        account.deliver(box.raw, example(chosen[1] + 1), flags=FLAGS[chosen[2] % 4])
    if not box.uids or what in ("deliver", "look"):
        return
    uid = box.uids[chosen[1] % len(box.uids)]
    if what == "expunge":
        account.expunge(box.raw, uid)
    elif what == "flags":
        account.set_flags(box.raw, uid, FLAGS[chosen[2] % 4])
    elif what == "labels" and isinstance(account, GmailAccount):
        account.set_labels(box.raw, uid, [["Work"], ["\\Inbox", "\\Starred"], ["\\Trash"], []][chosen[2] % 4])
    elif what in ("copy", "move"):
        (account.copy if what == "copy" else account.move)(box.raw, uid, to.raw)


def told(box: Mailbox, steps: list[tuple[str, int, int, int]], account: Account, *, vanished: bool) -> Iterator[None]:
    """A client that believes EXISTS, EXPUNGE, VANISHED and FETCH, and nothing else; it looks now and then."""
    view = View.of(box, read_only=True, visible=0)
    known: list[int] = list(view.uids)
    flags = {uid: set(box.places[uid].mail.flags) for uid in known}
    for step in [*steps, ("look", 0, 0, 0)]:
        act(account, step)
        if step[0] != "look":
            continue
        for expunges in (step[1] % 2 == 0, True):
            for line in view.news(expunges=expunges, vanished=vanished, uid=True, modseq=False, uidonly=False):
                text = line.decode()
                if found := re.match(r"VANISHED (.*)", text):
                    gone = {at for part in found[1].split(",") for low, _, high in [part.partition(":")]
                            for at in range(int(low), int(high or low) + 1)}
                    known = [uid for uid in known if uid not in gone]
                elif found := re.match(r"(\d+) EXPUNGE", text):
                    del known[int(found[1]) - 1]
                elif found := re.match(r"(\d+) EXISTS", text):
                    known += box.uids[len(known) - int(found[1]) :]
                    flags |= {uid: set(box.places[uid].mail.flags) for uid in known if uid in box.places}
                elif found := re.match(r"(\d+) FETCH \(UID (\d+) FLAGS \((.*)\)\)", text):
                    assert known[int(found[1]) - 1] == int(found[2])
                    flags[int(found[2])] = set(found[3].split())
        assert tuple(known) == box.uids == view.uids
        assert {uid: flags[uid] for uid in known} == {uid: box.places[uid].mail.flags for uid in known}
        yield


@given(st.lists(STEP, max_size=25), st.booleans(), st.booleans())
def test_a_session_that_believes_what_it_is_told_is_right(
    steps: list[tuple[str, int, int, int]], gmail: bool, vanished: bool
) -> None:
    account = GmailAccount() if gmail else Account()
    fill(account, (GMAIL if gmail else DOVECOT).boxes, {"INBOX": 3})
    assert list(told(account.mailbox("INBOX"), steps, account, vanished=vanished))


@given(st.lists(STEP, max_size=30), st.sampled_from(["archive", "trash", "delete"]))
def test_gmails_rules_hold_after_anything(steps: list[tuple[str, int, int, int]], behaviour: str) -> None:
    account = GmailAccount()
    account.expunge_behaviour = behaviour
    fill(account, GMAIL.boxes, {"INBOX": 2, "Work": 1})
    everything = account.mailbox("[Gmail]/All Mail")
    for step in steps:
        act(account, step)
        for box in account.mailboxes.values():
            assert list(box.uids) == sorted(box.uids)
            assert not {uid for _, uid in box.expunged} & set(box.uids)
            assert all(placed.modseq <= box.highest_modseq for placed in box.places.values())
            label = account.label_of(box)
            for placed in box.places.values():
                assert placed in placed.mail.places
                assert [one.mailbox for one in placed.mail.places].count(box) == 1
                apart = {"\\Trash", "\\Junk"} & set(box.attributes)
                assert not apart or len(placed.mail.places) == 1
                assert apart or placed.mail in [one.mail for one in everything.places.values()]
                assert label is None or label in placed.mail.labels
        for placed in everything.places.values():
            shown = {account.label_of(one.mailbox) for one in placed.mail.places} - {None}
            known = {account.label_of(box) for box in account.mailboxes.values() if box.selectable}
            assert shown == placed.mail.labels & known
            assert ("\\Flagged" in placed.mail.flags) == ("\\Starred" in placed.mail.labels)


@given(st.lists(STEP, max_size=30))
def test_what_changed_is_found_by_its_modseq(steps: list[tuple[str, int, int, int]]) -> None:
    account = Account()
    fill(account, DOVECOT.boxes, {"INBOX": 3})
    half = len(steps) // 2
    for step in steps[:half]:
        act(account, step)
    before = {raw: (box.highest_modseq, box.snapshot()) for raw, box in account.mailboxes.items()}
    for step in steps[half:]:
        act(account, step)
    for raw, box in account.mailboxes.items():
        since, known = before[raw]
        for uid in box.vanished_since(since):
            known.pop(uid, None)
        now = box.snapshot()
        known |= {uid: now[uid] for uid, placed in box.places.items() if placed.modseq > since}
        assert known == now
