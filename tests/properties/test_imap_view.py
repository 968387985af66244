"""Two views over one mailbox against a model that is only lists: what a client can conclude is always what is true."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.imap import flag_change, mailbox_state, view
from gateway.imap.flag_change import FlagChange
from gateway.imap.mailbox_state import Delta, MailboxState, Row
from gateway.imap.view import Updates, View
from gateway.model import sequence
from gateway.model.ids import InboxId, MailboxId, UidValidity
from tests.support.calls import calls
from tests.support.soak import examples


class Client:
    """A mail client that believes each response and nothing else."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.uids = list(view.uids[: view.length])
        self.flags = {uid: view.mask_of(uid) for uid in self.uids}

    def receive(self, updates: Updates, *, expunge: bool, limit: int) -> None:
        assert expunge or not updates.expunged
        assert len(updates.expunged) + len(updates.flags) <= limit
        vanished = [self.uids.pop(number - 1) for number in updates.expunged]
        assert tuple(vanished) == updates.vanished
        for uid in vanished:
            del self.flags[uid]
        if updates.exists is not None:
            assert updates.exists > len(self.uids)
            while len(self.uids) < updates.exists:  # asks FETCH n (UID FLAGS) at once
                uid = self.view.uids[len(self.uids)]
                self.uids.append(uid)
                self.flags[uid] = self.view.mask_of(uid)
        for number, uid, mask, _ in updates.flags:
            assert self.uids[number - 1] == uid
            self.flags[uid] = mask


class TwoViews(RuleBasedStateMachine):
    @initialize(
        size=st.integers(0, 6),
        logged=st.sampled_from([0, 2, 4096]),
        patched=st.sampled_from([0, 2, 500]),
        scanned=st.sampled_from([1, 2, 50_000]),
        scattered=st.sampled_from([0, 100]),
    )
    def start(self, size: int, logged: int, patched: int, scanned: int, scattered: int) -> None:
        mailbox_state.LOGGED_UIDS = logged  # type: ignore[misc]
        mailbox_state.PATCHED = patched  # type: ignore[misc]
        view.SCANNED = scanned  # type: ignore[misc]
        flag_change.SCATTERED = view.SCATTERED = scattered  # type: ignore[misc,attr-defined]
        self.state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
        self.truth = dict.fromkeys(range(1, size + 1), 0)
        self.modseqs = dict.fromkeys(self.truth, 1)
        self.uidnext, self.modseq, self.applied = size + 1, 1, 1
        self.gone: list[tuple[int, int]] = []
        self.state.load([(uid, 0, 1) for uid in self.truth])
        self.state.loaded(1)
        self.clients = [Client(View(self.state)) for _ in range(2)]

    def teardown(self) -> None:
        mailbox_state.LOGGED_UIDS = 4096  # type: ignore[misc]
        mailbox_state.PATCHED = 500  # type: ignore[misc]
        view.SCANNED = 50_000  # type: ignore[misc]

    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        self.modseq += 1
        for _ in range(count):
            self.truth[self.uidnext] = 0
            self.modseqs[self.uidnext] = self.modseq
            self.uidnext += 1

    @rule(data=st.data(), mask=st.integers(0, 31))
    def store(self, data: st.DataObject, mask: int) -> None:
        if not self.truth:
            return
        self.modseq += 1
        for uid in data.draw(st.lists(st.sampled_from(sorted(self.truth)), min_size=1, unique=True)):
            self.truth[uid] = mask
            self.modseqs[uid] = self.modseq

    @rule(data=st.data())
    def expunge(self, data: st.DataObject) -> None:
        if not self.truth:
            return
        self.modseq += 1
        for uid in data.draw(st.lists(st.sampled_from(sorted(self.truth)), min_size=1, unique=True)):
            del self.truth[uid], self.modseqs[uid]
            self.gone.append((uid, self.modseq))

    @rule(overlap=st.booleans())
    def wake(self, overlap: bool) -> None:
        since = 0 if overlap else self.applied
        made = self.state.prepare(
            [(uid, self.truth[uid], at) for uid, at in self.modseqs.items() if at > since],
            sequence.from_numbers(uid for uid, at in self.gone if at > since),
            highest_modseq=self.modseq,
            uidnext=self.uidnext,
        )
        self.numbers_hold()  # a thread prepares: nobody sees anything of it
        delta = self.state.commit(made)
        self.applied = self.modseq
        for client in self.clients:
            client.view.note(delta)

    @rule(
        which=st.integers(0, 1),
        data=st.data(),
        change=st.builds(FlagChange, st.sampled_from([0, -1, ~5]), st.sampled_from([0, 1, 4, 5])),
        silent=st.booleans(),
    )
    def store_own(self, which: int, data: st.DataObject, change: FlagChange, silent: bool) -> None:
        """A session stores flags: by itself where the state is current, else the state looks at the store."""
        client = self.clients[which]
        there = [uid for uid in client.uids if uid in self.truth and uid not in client.view.pending]
        if not there:
            return
        uids = sequence.from_numbers(data.draw(st.lists(st.sampled_from(there), min_size=1, unique=True)))
        flags_known = client.view.flags_known(uids)
        wanted = {uid: change.of(self.truth[uid]) for uid in sequence.numbers_of(uids) if uid in self.truth}
        changed = [uid for uid, mask in wanted.items() if mask != self.truth[uid]]
        if changed:
            since, current = self.modseq, self.applied == self.modseq
            self.modseq += 1
            for uid in changed:
                self.truth[uid], self.modseqs[uid] = wanted[uid], self.modseq
            if current:
                assert self.state.change_flags(uids, change, self.modseq, len(changed) + 1) is None
                delta = self.state.change_flags(uids, change, self.modseq, len(changed))
                assert delta is not None
                assert delta.flags == tuple(changed)
                self.applied = self.modseq
                for each in self.clients:
                    each.view.note(delta)
            else:
                self.wake(overlap=False)
            knows_all = client.view.knows_own(since, self.modseq)
        else:
            knows_all = False
        rows, known = client.view.rows(uids), flags_known()
        if silent:  # it reckons what it can, and is told the rest
            for uid in sequence.numbers_of(uids):
                if uid in client.flags:
                    client.flags[uid] = change.of(client.flags[uid])
            shown = {
                uid: mask for _, uid, mask, at in rows
                if changed and at == self.modseq and uid in known and change.of(known[uid]) == mask
            }  # fmt: skip
        else:
            shown = {uid: mask for _, uid, mask, _ in rows}
            for number, uid, mask, _ in rows:
                assert client.uids[number - 1] == uid
                client.flags[uid] = mask
        if not knows_all:
            client.view.told(shown)

    @rule(which=st.integers(0, 1), data=st.data())
    def expunge_own(self, which: int, data: st.DataObject) -> None:
        """The same for an expunge, where the state is current."""
        if not self.truth or self.applied != self.modseq:
            return
        doomed = data.draw(st.lists(st.sampled_from(sorted(self.truth)), min_size=1, unique=True))
        uids = sequence.from_numbers(doomed)
        assert self.state.remove((*uids, (self.uidnext, self.uidnext)), self.modseq + 1) is None
        self.modseq += 1
        for uid in doomed:
            del self.truth[uid], self.modseqs[uid]
            self.gone.append((uid, self.modseq))
        delta = self.state.remove(uids, self.modseq)
        assert delta is not None
        assert sorted(delta.expunged) == sorted(doomed)
        self.applied = self.modseq
        for each in self.clients:
            each.view.note(delta)

    @rule(which=st.integers(0, 1), expunge=st.booleans(), limit=st.sampled_from([1, 2, 3, 100]))
    def sync(self, which: int, expunge: bool, limit: int) -> None:
        """One page; what happens before the next one is any other rule."""
        client = self.clients[which]
        client.receive(client.view.updates(expunge=expunge, limit=limit), expunge=expunge, limit=limit)

    @rule(which=st.integers(0, 1), limit=st.sampled_from([1, 2, 3, 100]))
    def sync_fully(self, which: int, limit: int) -> None:
        self.wake(overlap=False)
        pages = 0
        while not self.clients[which].view.quiet:  # a round that changes interrupted is followed by one more
            pages += 1
            assert pages <= 3 * (len(self.truth) + len(self.gone) + 2)
            self.sync(which, expunge=True, limit=limit)
        client = self.clients[which]
        assert client.uids == sorted(self.truth)
        assert client.flags == self.truth
        assert client.view.uids is self.state.uids
        assert client.view.updates(expunge=True) == Updates()

    @invariant()
    def numbers_hold(self) -> None:
        for client in getattr(self, "clients", ()):
            seen = client.view
            assert list(seen.uids[: seen.length]) == client.uids
            assert seen.uids_in(seen.by_uid(sequence.SequenceSet(((1, sequence.STAR),)))).tolist() == client.uids
            for number, uid in enumerate(client.uids, 1):
                assert seen.number_of(uid) == number
                assert uid in self.truth or any(uid == gone for gone, _ in self.gone)

    @invariant()
    def arrays_agree(self) -> None:
        if hasattr(self, "state"):
            state = self.state
            assert len(state.uids) == len(state.masks) == len(state.modseqs)
            first = next((i for i, mask in enumerate(state.masks) if not mask & 1), None)
            assert state.first_unseen() == first


def change(state: MailboxState, rows: list[Row], expunged: sequence.Ranges, *, at: int, uidnext: int) -> Delta:
    return state.commit(state.prepare(rows, expunged, highest_modseq=at, uidnext=uidnext))


TestTwoViews = TwoViews.TestCase
TestTwoViews.settings = settings(max_examples=examples(300), stateful_step_count=30)


def test_an_own_change_hides_none_of_others() -> None:
    state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
    state.load([(1, 0, 1), (2, 0, 1)])
    state.loaded(1)
    first, second = View(state), View(state)
    assert state.change_flags(((1, 1),), FlagChange(-1, 1), 2, 1) is not None
    assert first.knows_own(1, 2)
    assert first.quiet
    assert state.change_flags(((2, 2),), FlagChange(-1, 4), 3, 1) is not None
    assert not second.knows_own(2, 3), "it has not been told of the first one's"
    second.told({2: 4})
    assert second.updates(expunge=True).flags == ((1, 1, 1, 2),)
    assert first.updates(expunge=True).flags == ((2, 2, 4, 3),)
    assert not first.knows_own(3, 4), "the state stands elsewhere"


ROW = st.tuples(st.integers(1, 3), st.integers(0, 3), st.integers(1, 4))
"""(steps to the next UID, flags, MODSEQ)"""


@given(
    st.lists(ROW, min_size=1, max_size=40),
    st.lists(st.tuples(st.integers(1, 100), st.integers(0, 60)), min_size=1, max_size=4),
    st.builds(FlagChange, st.sampled_from([0, -1, ~1, ~3]), st.integers(0, 3)),
    st.none() | st.integers(0, 4),
    st.sampled_from([0, 100]),
)
def test_a_change_of_ranges_is_that_of_each_message(
    made: list[tuple[int, int, int]],
    asked: list[tuple[int, int]],
    change: FlagChange,
    unchanged_since: int | None,
    scattered: int,
) -> None:
    flag_change.SCATTERED = scattered  # type: ignore[misc]
    rows, uid = [], 0
    for step, mask, modseq in made:
        uid += step
        rows.append((uid, mask, modseq))
    ranges = sequence.normalise((low, low + more) for low, more in asked)
    state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
    state.load(rows)
    state.loaded(4)
    state.first_unseen()
    limit = 4 if unchanged_since is None else unchanged_since
    changed = [
        uid for uid, mask, modseq in rows
        if sequence.contains(ranges, uid) and change.of(mask) != mask and modseq <= limit
    ]  # fmt: skip
    assert state.change_flags(ranges, change, 5, len(changed) + 1, unchanged_since=unchanged_since) is None
    if not changed:
        return
    delta = state.change_flags(ranges, change, 5, len(changed), unchanged_since=unchanged_since)
    assert delta is not None
    assert delta.flags == tuple(changed)
    after = [(uid, change.of(mask), 5) if uid in changed else (uid, mask, modseq) for uid, mask, modseq in rows]
    assert list(zip(state.uids, state.masks, state.modseqs, strict=True)) == after
    unseen = [index for index, (_, mask, _) in enumerate(after) if not mask & 1]
    assert state.first_unseen() == (unseen[0] if unseen else None)


def test_the_work_for_a_range_is_not_one_call_a_message() -> None:
    state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
    state.load([(uid, 0, 1) for uid in range(1, 3001)])
    state.loaded(1)
    view, everything = View(state), ((1, 3000),)

    def own() -> None:
        assert len(view.flags_known(everything)()) == 3000
        assert state.change_flags(everything, FlagChange(-1, 2), 2, 3000) is not None
        assert view.knows_own(1, 2)
        assert len(view.rows(everything)) == 3000
        assert view.updates(expunge=True) == Updates()

    assert calls(own) < 100


def test_the_work_for_scattered_messages_is_not_a_few_calls_each() -> None:
    """Every other one of 40,000, which is one unit of STORE."""
    flag_change.SCATTERED = view.SCATTERED = 100  # type: ignore[misc,attr-defined]
    state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
    state.load([(uid, uid % 3, 1) for uid in range(1, 6001)])
    state.loaded(1)
    one, odd = View(state), tuple((uid, uid) for uid in range(1, 6001, 2))
    known = one.flags_known(odd)
    assert calls(lambda: one.flags_known(odd)) < 100
    assert calls(lambda: state.change_flags(odd, FlagChange(-1, 4), 2, 3000)) < 5 * 3000  # four to find each
    assert known() == {uid: uid % 3 for uid in range(1, 6001, 2)}
    assert list(state.masks) == [uid % 3 | uid % 2 * 4 for uid in range(1, 6001)]


def test_told_flags_are_not_repeated_unless_changed_again() -> None:
    state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
    state.load([(1, 0, 1), (2, 0, 1)])
    state.loaded(1)
    view = View(state)
    view.note(change(state, [(1, 1, 2), (2, 4, 2)], (), at=2, uidnext=3))
    view.told({1: 1, 2: 1})
    assert view.updates(expunge=True) == Updates(flags=((2, 2, 4, 2),))
    view.note(change(state, [(1, 0, 3)], (), at=3, uidnext=3))
    assert view.updates(expunge=True) == Updates(flags=((1, 1, 0, 3),))


def test_pages_begin_with_expunges_and_end_when_all_is_told() -> None:
    state = MailboxState(InboxId(1), MailboxId(1), UidValidity(1))
    state.load([(uid, 0, 1) for uid in range(1, 8)])
    state.loaded(1)
    view = View(state)
    view.note(change(state, [(3, 1, 2), (6, 1, 2), (8, 0, 2)], ((1, 2), (5, 5)), at=2, uidnext=9))
    assert view.updates(expunge=True, limit=2) == Updates(expunged=(2, 4), vanished=(2, 5), more=True)
    assert view.updates(expunge=True, limit=2) == Updates((1,), (1,), 5, ((1, 3, 1, 2),), True)
    view.note(change(state, [], ((3, 3),), at=3, uidnext=9))
    assert view.updates(expunge=False, limit=2) == Updates(flags=((3, 6, 1, 2),))
    assert view.updates(expunge=True, limit=2) == Updates(expunged=(1,), vanished=(3,))
    assert view.updates(expunge=True) == Updates()
