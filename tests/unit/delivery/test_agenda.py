"""Who may start: places, shares, fairness between senders, rates and breakers, without a queue or a server."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.delivery.agenda import CEILING, Agenda, NextHop, Places
from gateway.delivery.lanes import MOST, Lane, Lanes, Pick

NOW = 1000.0
SMALL = Places(total=4, each=3, ahead=1, recipients=2, rows=100)


def filled(places: Places = SMALL, **hops: int) -> Agenda[Pick]:
    """An agenda with so many recipients for each next hop, all of inbox 1, each a submission of its own."""
    agenda: Agenda[Pick] = Agenda(places)
    for name, count in hops.items():
        for number in range(count):
            agenda.hop(name).lanes.add(1, number, number)
    return agenda


def claim(agenda: Agenda[Pick], now: float = NOW) -> list[Pick]:
    picks = agenda.to_claim(now)
    for pick in picks:
        agenda.claimed(pick)
        agenda.hop(pick.hop).ready.append(pick)
    return picks


def started(agenda: Agenda[Pick], now: float = NOW) -> list[tuple[NextHop[Pick], Pick]]:
    """All that may start now, with its first job."""
    found = []
    while (begun := agenda.start(now)) is not None:
        found.append(begun)
    return found


def test_recipients_of_one_submission_go_together() -> None:
    lane = Lane()
    for recipient, submission in enumerate([7, 7, 7, 8, 7]):
        lane.add(submission, recipient)
    assert [lane.take(2) for _ in range(4)] == [(7, (0, 1)), (7, (2,)), (8, (3,)), (7, (4,))]
    assert len(lane) == 0


def test_a_lane_forgets_what_was_taken() -> None:
    lane = Lane()
    for number in range(20_000):
        lane.add(number, number)
    assert [lane.take(1)[0] for _ in range(15_000)] == list(range(15_000))
    assert len(lane) == 5_000
    assert len(lane._recipients) < 10_000


def test_a_full_lane_is_said_to_be_full() -> None:
    lanes = Lanes()
    for number in range(MOST + 1):
        lanes.add(1, number, number)
    assert (lanes.waiting, lanes.full) == (MOST, True)
    lanes.add(2, 1, 1)
    assert lanes.waiting == MOST + 1, "another sender's lane has room"


def test_senders_take_turns() -> None:
    lanes = Lanes()
    for number in range(50_000):
        lanes.add(1, number, number)
    lanes.add(2, 60_000, 60_000)
    lanes.add(3, 60_001, 60_001)
    lanes.add(3, 60_002, 60_002)
    taken = list(lanes.take("hop", 6, 50))
    assert [pick.inbox_id for pick in taken] == [1, 2, 3, 1, 3, 1]
    assert lanes.waiting == 50_000 - 3


def test_claims_stop_at_what_is_needed_soon() -> None:
    agenda = filled(one=1000, two=1)
    picks = claim(agenda)
    assert Counter(pick.hop for pick in picks) == {"one": 6, "two": 1}
    assert claim(agenda) == [], "there is enough at hand"
    assert (agenda.ready, agenda.waiting) == (7, 994)


def test_a_unit_claims_so_many_rows_at_most_and_the_next_hop_comes_first_then() -> None:
    agenda = filled(replace(SMALL, rows=2), one=10, two=10)
    assert [pick.hop for pick in claim(agenda)] == ["one", "one"]
    assert [pick.hop for pick in claim(agenda)] == ["two", "two"]


def test_each_next_hop_has_its_places_and_all_together_theirs() -> None:
    agenda = filled(one=10, two=10)
    claim(agenda)
    assert Counter(hop.name for hop, _ in started(agenda)) == {"one": 2, "two": 2}
    assert agenda.running == 4


def test_one_that_hangs_never_keeps_another_from_its_first_attempt() -> None:
    agenda = filled(a=10, b=10)
    claim(agenda)
    assert len(started(agenda)) == 4, "all places are taken, by attempts that never end"
    for name in "cdefgh":
        agenda.hop(name).lanes.add(1, 1, 1)
        claim(agenda)
        assert [hop.name for hop, _ in started(agenda)] == [name]


def test_first_attempts_beyond_the_places_end_somewhere() -> None:
    agenda = filled(replace(SMALL, total=1), **{f"hop{n}": 2 for n in range(CEILING + 5)})
    while claim(agenda):
        pass
    assert len(started(agenda)) == CEILING


def test_places_are_shared_once_another_wants_more() -> None:
    agenda = filled(replace(SMALL, each=4), one=100)
    claim(agenda)
    running = started(agenda)
    assert len(running) == 4
    for number in range(10):
        agenda.hop("two").lanes.add(1, number, number)
    claim(agenda)
    assert [hop.name for hop, _ in started(agenda)] == ["two"], "its first goes beyond the places"
    one = running[0][0]
    for _ in range(2):
        assert agenda.next_job(one, NOW) is None, "it has more than its share"
        agenda.ended(one)
    assert agenda.next_job(one, NOW) is not None
    assert [hop.name for hop, _ in started(agenda)] == ["two"]


def test_an_open_breaker_stops_claims_and_starts_and_gives_back() -> None:
    agenda = filled(down=10, up=10)
    claim(agenda)
    down = agenda.hop("down")
    down.breaker.failed(NOW, "refused", 0.5)
    assert {hop.name for hop, _ in started(agenda)} == {"up"}
    assert {pick.hop for pick in agenda.surrender(NOW)} == {"down"}
    assert {pick.hop for pick in claim(agenda)} <= {"up"}
    assert agenda.wait(NOW) == 5
    [probe] = [pick for pick in claim(agenda, NOW + 5) if pick.hop == "down"]
    assert [job for hop, job in started(agenda, NOW + 5) if hop is down] == [probe]
    assert agenda.wait(NOW + 5) is None, "the probe's end is the event to wait for"
    down.breaker.answered()
    assert len([pick for pick in claim(agenda, NOW + 5) if pick.hop == "down"]) > 1


def test_a_rate_is_waited_for() -> None:
    agenda = filled(slow=10)
    agenda.tune("slow", None, 6)
    assert len(claim(agenda)) == 1
    assert len(started(agenda)) == 1
    assert claim(agenda) == []
    assert agenda.wait(NOW) == 10
    assert len(claim(agenda, NOW + 10)) == 1
    assert len(started(agenda, NOW + 10)) == 1


def test_limits_of_its_own() -> None:
    agenda = filled(replace(SMALL, total=20), own=100)
    agenda.tune("own", 7, None)
    while claim(agenda):
        pass
    assert len(started(agenda)) == 7
    agenda.places = replace(SMALL, total=20, each=9)
    assert agenda.hop("own").each == 7
    agenda.tune("own", None, None)
    assert agenda.hop("own").each == 9


def test_a_new_look_replaces_what_was_known() -> None:
    agenda = filled(one=3, two=3)
    lanes = Lanes()
    lanes.add(1, 1, 1)
    agenda.adopt({"two": lanes, "three": Lanes()})
    assert {hop.name: hop.lanes.waiting for hop in agenda.hops()} == {"one": 0, "two": 1, "three": 0}


def test_idle_next_hops_are_forgotten() -> None:
    agenda: Agenda[Pick] = Agenda(SMALL)
    agenda.hop("down").breaker.failed(NOW, "refused", 0.5)
    for number in range(3_000):
        agenda.hop(f"hop{number}")
    names = [hop.name for hop in agenda.hops()]
    assert len(names) <= 1_001
    assert "down" in names


class Scheduling(RuleBasedStateMachine):
    """Any order of events: limits hold, nothing is lost or doubled, and nothing that could start waits for ever."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.agenda: Agenda[Pick] = Agenda(SMALL)
        self.added: set[int] = set()
        self.finished: set[int] = set()
        self.working: list[tuple[NextHop[Pick], Pick]] = []

    @rule(name=st.sampled_from("abcdef"), inbox=st.integers(1, 3), count=st.integers(1, 9), together=st.booleans())
    def mail_comes(self, name: str, inbox: int, count: int, together: bool) -> None:
        first = len(self.added)
        for number in range(first, first + count):
            self.added.add(number)
            self.agenda.hop(name).lanes.add(inbox, first if together else number, number)

    @rule()
    def claimed(self) -> None:
        claim(self.agenda, self.now)

    @rule()
    def starts(self) -> None:
        self.working += started(self.agenda, self.now)

    @precondition(lambda self: self.working)
    @rule(data=st.data(), answer=st.sampled_from(["answered", "failed", "lost"]))
    def attempt_ends(self, data: st.DataObject, answer: str) -> None:
        place = data.draw(st.integers(0, len(self.working) - 1))
        hop, pick = self.working.pop(place)
        self.finished |= set(pick.recipients)
        if answer == "answered":
            hop.breaker.answered()
        else:
            getattr(hop.breaker, answer)(self.now, answer, 0.5)
        job = self.agenda.next_job(hop, self.now)
        if job is None:
            self.agenda.ended(hop)
        else:
            self.working.append((hop, job))

    @rule()
    def given_back(self) -> None:
        for pick in self.agenda.surrender(self.now):
            for recipient in pick.recipients:
                self.agenda.hop(pick.hop).lanes.add(pick.inbox_id, pick.submission_id, recipient)

    @rule(seconds=st.sampled_from([1.0, 20.0, 1000.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def limits_hold(self) -> None:
        running = Counter(hop.name for hop, _ in self.working)
        assert all(count <= SMALL.each for count in running.values())
        assert sum(running.values()) <= SMALL.total + len(running)
        assert self.agenda.running == len(self.working)

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        ready = [number for hop in self.agenda.hops() for pick in hop.ready for number in pick.recipients]
        working = [number for _, pick in self.working for number in pick.recipients]
        here = ready + working + list(self.finished)
        assert len(here) == len(set(here))
        assert len(here) + self.agenda.waiting == len(self.added)

    def teardown(self) -> None:
        """However it stands: when servers answer, all ends."""
        for _ in range(10_000):
            if self.finished == self.added:
                return
            claim(self.agenda, self.now)
            self.working += started(self.agenda, self.now)
            assert self.working or self.agenda.wait(self.now), "nothing runs and nothing is waited for"
            self.now += self.agenda.wait(self.now) or 0.0
            for hop, pick in self.working:
                hop.breaker.answered()
                self.finished |= set(pick.recipients)
                self.agenda.ended(hop)
            self.working.clear()
        raise AssertionError("it never ended")


Scheduling.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestScheduling = Scheduling.TestCase
