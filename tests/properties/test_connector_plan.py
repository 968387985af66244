"""What sync decides, against a server that changes meanwhile, lies about MODSEQs, and a client that is killed anywhere.

The model has no octets and no time: a folder is UIDs with a message and flags, our side the rows that units stored.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connectors.plan import flags as plan_flags
from gateway.connectors.plan import folder as plan
from gateway.connectors.plan import labels, vanish, windows
from gateway.connectors.plan.flags import FlagRules, Flags, Side
from gateway.connectors.plan.names import local_names, remote_name
from gateway.connectors.plan.roles import ROLES, resolve
from gateway.model.flags import SYSTEM_MASK
from gateway.model.names import validate
from gateway.model.sequence import Ranges, count, from_numbers, numbers_of
from gateway.upstream.values import ListedMailbox
from tests.support.soak import examples

WORDS = ("a", "B", "$c")
FLAGS = st.builds(
    lambda mask, words: Flags(mask, tuple(sorted(words))), st.integers(0, SYSTEM_MASK), st.sets(st.sampled_from(WORDS))
)
RULES = st.builds(FlagRules, st.booleans(), st.none(), st.sampled_from(Side), st.sampled_from(Side))


def add(flags: Flags, other: Flags) -> Flags:
    return Flags(flags.mask | other.mask, tuple(sorted({*flags.keywords, *other.keywords})))


def take(flags: Flags, other: Flags) -> Flags:
    return Flags(flags.mask & ~other.mask, tuple(sorted({*flags.keywords} - {*other.keywords})))


@given(base=st.none() | FLAGS, local=FLAGS, remote=FLAGS, rules=RULES)
@settings(max_examples=examples(300))
def test_merged_flags_agree_and_merging_again_does_nothing(
    base: Flags | None, local: Flags, remote: Flags, rules: FlagRules
) -> None:
    merged = plan_flags.merge(base, local, remote, rules)
    here = take(add(local, merged.here_add), merged.here_remove)
    there = take(add(remote, merged.up_add), merged.up_remove)
    assert plan_flags.applied(local, merged) == here
    assert merged.base == remote
    assert merged.pushed == there
    if rules.two_way:
        assert here == there
    else:
        assert there == remote
    again = plan_flags.merge(merged.pushed, here, there, rules)
    assert not again.goes_up
    assert not again.applies_here


@given(base=FLAGS, local=FLAGS, remote=FLAGS)
def test_no_change_of_either_side_is_undone(base: Flags, local: Flags, remote: Flags) -> None:
    merged = plan_flags.merge(base, local, remote, FlagRules(two_way=True))
    here = plan_flags.applied(local, merged)
    for bit in (1, 2, 4, 8, 16):
        changed = {bool(side.mask & bit) for side in (local, remote) if (side.mask ^ base.mask) & bit}
        assert bool(here.mask & bit) == (changed.pop() if changed else bool(base.mask & bit))
    for word in WORDS:
        before = word in base.keywords
        changed = {word in side.keywords for side in (local, remote) if (word in side.keywords) != before}
        assert (word in here.keywords) == (changed.pop() if changed else before)


@given(st.lists(st.tuples(st.integers(1, 40), FLAGS, FLAGS), unique_by=lambda one: one[0]), st.integers(1, 5))
def test_batches_say_exactly_what_was_asked(changes: list[tuple[int, Flags, Flags]], most: int) -> None:
    said = []
    for batch in plan_flags.batches(changes, most):
        uids = list(numbers_of(batch.uids))
        assert 0 < len(uids) <= most
        said += [(uid, batch.adds, batch.flags) for uid in uids]
    asked = [(uid, True, adds) for uid, adds, _ in changes if adds]
    asked += [(uid, False, less) for uid, _, less in changes if less]
    assert sorted(said) == sorted(asked)


UIDS = st.sets(st.integers(1, 60)).map(from_numbers)


@given(UIDS, st.integers(1, 60), st.integers(1, 60), st.integers(1, 9))
def test_windows_cover_everything_once(listed: Ranges, cursor: int, target: int, most: int) -> None:
    seen: list[int] = []
    while (window := windows.forward_window(listed, cursor, target, most)) is not None:
        uids = list(numbers_of(window.uids))
        assert len(uids) <= most
        assert all(cursor <= uid < window.cursor for uid in uids)
        assert cursor < window.cursor <= target
        seen += uids
        cursor = window.cursor
    back: list[int] = []
    low, floor = target, min(target, 3)
    while (window := windows.backfill_window(listed, low, floor, most)) is not None:
        uids = list(numbers_of(window.uids))
        assert len(uids) <= most
        assert floor <= window.cursor < low
        assert all(window.cursor <= uid < low for uid in uids)
        back = uids + back
        low = window.cursor
    assert back == [uid for uid in numbers_of(listed) if floor <= uid < target]


@given(UIDS, st.integers(1, 60), st.integers(1, 60), st.integers(1, 9))
def test_forward_leaves_none_out(listed: Ranges, cursor: int, target: int, most: int) -> None:
    wanted = [uid for uid in numbers_of(listed) if cursor <= uid < target]
    seen: list[int] = []
    while (window := windows.forward_window(listed, cursor, target, most)) is not None:
        seen += numbers_of(window.uids)
        cursor = window.cursor
    assert seen == wanted


@given(UIDS, st.integers(1, 9))
def test_pieces_are_the_whole(ranges: Ranges, most: int) -> None:
    found = [list(numbers_of(piece)) for piece in windows.pieces(ranges, most)]
    assert [uid for piece in found for uid in piece] == list(numbers_of(ranges))
    assert all(len(piece) == most for piece in found[:-1])


Identities = list[vanish.Identity]
IDENTITIES = st.lists(
    st.builds(
        vanish.Identity,
        st.none() | st.sampled_from("123"),
        st.none() | st.sampled_from("ab"),
        st.none() | st.integers(1, 2),
        st.none() | st.integers(1, 2),
    ),
    max_size=8,
)


@given(IDENTITIES, IDENTITIES)
def test_matching_pairs_each_once_and_only_what_is_alike(old: Identities, new: Identities) -> None:
    found = vanish.match(old, new)
    assert sorted([left for left, _ in found.pairs] + list(found.old)) == list(range(len(old)))
    assert sorted([right for _, right in found.pairs] + list(found.new)) == list(range(len(new)))
    for left, right in found.pairs:
        one, other = old[left], new[right]
        if one.strong is not None and other.strong is not None:
            assert one.strong == other.strong
        else:
            assert one.weak is not None
            assert one.weak == other.weak
    for left in found.old:  # whatever is left over has no partner left
        for right in found.new:
            one, other = old[left], new[right]
            assert one.strong is None or one.strong != other.strong
            assert (one.strong and other.strong) or one.weak is None or one.weak != other.weak


LABELS = st.sets(st.sampled_from("abcd")).map(frozenset)


@given(st.none() | LABELS, LABELS, LABELS, st.booleans())
def test_merged_labels_agree(
    base: frozenset[str] | None, local: frozenset[str], remote: frozenset[str], two_way: bool
) -> None:
    merged = labels.merge_labels(base, local, remote, two_way=two_way)
    here = (local | merged.here_add) - merged.here_remove
    there = (remote | merged.up_add) - merged.up_remove
    assert here == there if two_way else there == remote
    again = labels.merge_labels(there, here, there, two_way=two_way)
    assert again == labels.LabelMerge(frozenset(), frozenset(), frozenset(), frozenset())


@given(
    st.lists(
        st.tuples(st.text(max_size=12) | st.sampled_from(["Sent", "INBOX", "inbox", "Trash", "INBOX.Sent"]),
                  st.sampled_from([None, "/", "."]), st.sets(st.sampled_from(["\\sent", "\\trash", "\\junk"]))),
        unique_by=lambda one: one[0].encode("utf-8", "surrogatepass"), max_size=8,
    ),
    st.sampled_from(["", "INBOX."]),
    st.sampled_from(["", "Other account"]),
)  # fmt: skip
def test_every_folder_has_a_mailbox_of_its_own(
    folders: list[tuple[str, str | None, set[str]]], prefix: str, below: str
) -> None:
    listed = [
        ListedMailbox(name.encode("utf-8", "surrogatepass"), name, delimiter, frozenset(attributes))
        for name, delimiter, attributes in folders
    ]
    roles = resolve(listed)
    assert all(roles.of[raw] == role for role, raw in roles.by.items())
    assert set(roles.by) <= set(ROLES)
    names = local_names(listed, roles.of, prefix=prefix, below=below)
    assert names.keys() == {one.raw for one in listed}
    assert len(set(names.values())) == len(names)
    for name in names.values():
        assert validate(name) == name
    known = local_names(listed[::-1], {}, prefix=prefix, below=below, known=names)
    assert known == names, "what was named stays"


LEVEL = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=5)


@given(st.lists(LEVEL, min_size=1, max_size=3))
def test_a_name_sent_up_comes_down_as_itself(levels: list[str]) -> None:
    levels[0] = "x" + levels[0]  # not INBOX, and no role
    local = "/".join(levels)
    for delimiter, prefix in (("/", ""), (".", "INBOX.")):
        remote = remote_name(local, delimiter=delimiter, prefix=prefix)
        assert remote is not None
        listed = ListedMailbox(remote.encode(), remote, delimiter, frozenset())
        assert local_names([listed], {}, prefix=prefix) == {listed.raw: local}


# A folder, a client that follows it, and what happens to both.


@dataclass
class Server:
    """One folder. `trouble`: what it does wrong."""

    trouble: str
    uidvalidity: int = 1
    uidnext: int = 1
    modseq: int = 1
    messages: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    """UID -> (who, flags, MODSEQ)"""
    gone: dict[int, int] = field(default_factory=dict)
    next_message: int = 1

    def _tick(self) -> int:
        if self.trouble != "frozen":
            self.modseq += 1
        return self.modseq

    def append(self, gap: int = 0) -> None:
        self.uidnext += gap
        self.messages[self.uidnext] = (self.next_message, 0, self._tick())
        self.uidnext += 1
        self.next_message += 1

    def expunge(self, pick: int) -> None:
        if self.messages:
            uid = sorted(self.messages)[pick % len(self.messages)]
            del self.messages[uid]
            self.gone[uid] = self._tick()

    def flag(self, pick: int, value: int) -> None:
        if self.messages:
            uid = sorted(self.messages)[pick % len(self.messages)]
            self.messages[uid] = (self.messages[uid][0], value, self._tick())

    def renumber(self) -> None:
        self.uidvalidity += 1
        self.messages = {
            uid: (who, flags, self._tick()) for uid, (who, flags, _) in enumerate(self.messages.values(), start=1)
        }
        self.gone = {}
        self.uidnext = len(self.messages) + 1

    def seen(self) -> plan.Seen:
        told = None if self.trouble == "none" else self.modseq
        return plan.Seen(self.uidvalidity, self.uidnext, len(self.messages), told)

    def listed(self) -> Ranges:
        return from_numbers(self.messages)


@dataclass
class Client:
    """What its units have stored, and how often it stored each message."""

    state: plan.FolderState = field(default_factory=plan.FolderState)
    rows: dict[int, tuple[int, int]] = field(default_factory=dict)
    stored: list[int] = field(default_factory=list)


TROUBLES = {
    "none": plan.PassRules(condstore=True),  # advertises CONDSTORE and tells no HIGHESTMODSEQ
    "plain": plan.PassRules(),
    "condstore": plan.PassRules(condstore=True),
    "qresync": plan.PassRules(qresync=True, condstore=True),
    "clipped": plan.PassRules(qresync=True, condstore=True),  # VANISHED leaves some out
    "frozen": plan.PassRules(condstore=True),
}


class Killed(Exception):
    pass


class Sync:
    """One pass: SELECT, and steps until it rests. The server goes on changing between what we ask."""

    def __init__(self, server: Server, client: Client, chance: Random, busy: float, kill: float) -> None:
        self.server, self.client, self.chance, self.busy, self.kill = server, client, chance, busy, kill

    def meanwhile(self) -> None:
        """Time passes: somebody else is at work, or we are killed."""
        if self.chance.random() < self.kill:
            raise Killed
        while self.chance.random() < self.busy:
            act(self.server, self.chance)

    def run(self) -> None:
        rules, server, client = TROUBLES[self.server.trouble], self.server, self.client
        seen = server.seen()
        done = plan.PassSoFar()
        for _ in range(500):
            self.meanwhile()
            if server.uidvalidity != seen.uidvalidity:
                raise Killed  # a server ends a session whose mailbox it made anew
            step = plan.next_step(client.state, seen, rules, 0.0, done)
            match step:
                case plan.Rest(first_time):
                    if first_time:
                        client.state = plan.settled(client.state)
                    return
                case plan.TakeSnapshot(state):
                    client.state = state
                case plan.Remap(_, state):
                    self.remap(state)
                case plan.Distrust():
                    client.state = plan.distrusted(client.state)
                case plan.Forward(low, target):
                    before = client.state
                    present = self.forward(low, target)
                    done = replace(done, frozen=done.frozen or plan.frozen(before, seen, present))
                case plan.Backfill(low, floor):
                    self.backfill(low, floor)
                case plan.AskChanges():
                    self.changes(step)
                case plan.CompareUids():
                    self.compare()
                    done = replace(done, compared=True)
                case plan.LookAtFlags():
                    self.look()
                    client.state = plan.looked(client.state, step, 0.0)
                    done = replace(done, looked=True)
        raise AssertionError("a pass that never ends")

    def fetch(self, uids: Ranges) -> None:
        for uid in numbers_of(uids):
            self.meanwhile()
            if uid in self.server.messages and uid not in self.fetched:
                self.fetched[uid] = self.server.messages[uid][:2]

    def store(self) -> None:
        """The window's unit."""
        for uid, row in self.fetched.items():
            assert uid not in self.client.rows, "stored twice"
            self.client.rows[uid] = row
            self.client.stored.append(row[0])

    def forward(self, low: int, target: int) -> int:
        listed = self.server.listed()
        window = windows.forward_window(listed, low, target, 3)
        assert window is not None
        self.fetched: dict[int, tuple[int, int]] = {}
        self.fetch(windows.only_new(window.uids, from_numbers(self.client.rows)))
        self.store()
        self.client.state = plan.forwarded(self.client.state, window.cursor, count(window.uids))
        return count(window.uids)

    def backfill(self, low: int, floor: int) -> None:
        window = windows.backfill_window(self.server.listed(), low, floor, 3)
        assert window is not None
        self.fetched = {}
        self.fetch(windows.only_new(window.uids, from_numbers(self.client.rows)))
        self.store()
        self.client.state = plan.backfilled(self.client.state, window.cursor)

    def changes(self, step: plan.AskChanges) -> None:
        below = self.client.state.uidnext
        for uid, (_, flags, modseq) in self.server.messages.items():
            if modseq > step.since and uid in self.client.rows:
                self.client.rows[uid] = (self.client.rows[uid][0], flags)
        gone = 0
        if step.vanished:
            clip = max(self.server.messages, default=0) if self.server.trouble == "clipped" else below
            log = self.server.gone.items()
            told = [uid for uid, modseq in log if modseq > step.since and uid < below and uid <= clip]
            gone = sum(uid in self.client.rows for uid in told)
            for uid in told:
                self.client.rows.pop(uid, None)
        self.client.state = plan.changed(self.client.state, step, gone=gone)

    def compare(self) -> None:
        state = self.client.state
        listed = self.server.listed()
        found = vanish.compare(from_numbers(self.client.rows), listed, state.backfill_low, state.uidnext)
        for uid in numbers_of(found.gone):
            del self.client.rows[uid]
        self.fetched = {}
        self.fetch(found.holes)
        self.store()
        self.client.state = plan.compared(state, sum(uid < state.uidnext for uid in numbers_of(listed)), 0.0)

    def look(self) -> None:
        for uid, (_, flags, _) in self.server.messages.items():
            if uid in self.client.rows:
                self.client.rows[uid] = (self.client.rows[uid][0], flags)

    def remap(self, state: plan.FolderState) -> None:
        old = sorted(self.client.rows)
        new = sorted(self.server.messages)
        found = vanish.match(
            [vanish.Identity(str(self.client.rows[uid][0])) for uid in old],
            [vanish.Identity(str(self.server.messages[uid][0])) for uid in new],
        )
        self.client.rows = {new[right]: self.server.messages[new[right]][:2] for _, right in found.pairs}
        self.client.state = state


def act(server: Server, chance: Random) -> None:
    kind = chance.choice(("append", "append", "gap", "expunge", "flag"))
    match kind:
        case "append":
            server.append()
        case "gap":
            server.append(chance.randrange(1, 5))
        case "expunge":
            server.expunge(chance.randrange(100))
        case "flag":
            server.flag(chance.randrange(100), chance.randrange(32))


@pytest.mark.parametrize("trouble", TROUBLES)
@given(seed=st.integers(0, 1 << 32))
@settings(max_examples=examples(150), deadline=None)
def test_after_quiet_both_sides_agree_and_nothing_was_stored_twice(trouble: str, seed: int) -> None:
    chance = Random(seed)
    server, client = Server(trouble), Client()
    for _ in range(chance.randrange(12)):
        server.append(chance.randrange(3))
    busy, kill = chance.choice((0.0, 0.2, 0.5)), chance.choice((0.0, 0.02, 0.1))
    for _ in range(chance.randrange(1, 8)):
        with contextlib.suppress(Killed):
            Sync(server, client, chance, busy, kill).run()
        for _ in range(chance.randrange(4)):
            act(server, chance)
        if chance.random() < 0.15:
            server.renumber()
    if trouble == "frozen":  # flags that change where MODSEQ stays are only seen once it was caught lying
        server.append()
    for _ in range(3):
        Sync(server, client, chance, 0.0, 0.0).run()
    assert {uid: row[:2] for uid, row in client.rows.items()} == {
        uid: row[:2] for uid, row in server.messages.items()
    }
    assert client.state.phase is plan.Phase.LIVE
    assert len(client.stored) == len(set(client.stored)), "a message was stored twice"
