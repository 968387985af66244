"""A client that only applies what it is told (RFC 5267 4.3) has the results that a new search would give, in order."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.wire.events import Frame
from gateway.wire.tokens import Cursor
from tests.support.soak import examples
from tests.support.world import World
from tests.transcripts.harness import Client, Harness, until
from tests.transcripts.messages import LETTERS

_COMMANDS = {
    b"s1": (b"UID SEARCH RETURN (UPDATE (UID PREVIEW) ALL) FLAGGED", b"UID SEARCH RETURN (ALL) FLAGGED"),
    b"s2": (b"SEARCH RETURN (UPDATE ALL) UNFLAGGED SUBJECT p", b"SEARCH RETURN (ALL) UNFLAGGED SUBJECT p"),
    b"s3": (
        b"UID SORT RETURN (UPDATE ALL) (REVERSE SUBJECT DATE) UTF-8 OR FLAGGED SEEN",
        b"UID SORT RETURN (ALL) (REVERSE SUBJECT DATE) UTF-8 OR FLAGGED SEEN",
    ),
    b"s4": (b"SORT RETURN (UPDATE (FLAGS UID) ALL) (FROM) UTF-8 SEEN", b"SORT RETURN (ALL) (FROM) UTF-8 SEEN"),
}
_ESEARCH = re.compile(rb'\* ESEARCH \(TAG "([^"]+)"\)( UID)?(.*)\Z')
_FETCH = re.compile(rb"\* (\d+) FETCH \(UID (\d+) ")
_DATA = re.compile(rb" (?:ALL ([0-9:,]+)|(ADDTO|REMOVEFROM) \(([0-9:, ]+)\))")

STEP = st.one_of(
    st.tuples(st.just("deliver"), st.sampled_from(sorted(LETTERS)), st.sampled_from([0, 1, 4, 5])),
    st.tuples(st.just("store"), st.sampled_from("+-"), st.sampled_from(["\\Flagged", "\\Seen", "$Any"])),
    st.tuples(st.just("expunge"), st.integers(0, 20), st.none()),
    st.tuples(st.just("own"), st.sampled_from("+-"), st.sampled_from(["\\Flagged", "\\Seen"])),
    st.tuples(st.just("run"), st.sampled_from(["NOOP", "FETCH 1:* FLAGS", "SEARCH ALL", "UID SEARCH ALL"]), st.none()),
    st.tuples(st.just("idle"), st.none(), st.none()),
)


class Results:
    """What a client makes of the responses. Results of numbers are kept as numbers, and follow EXPUNGE."""

    def __init__(self, uids: Iterable[int] = ()) -> None:
        self.held: dict[bytes, list[int]] = {}
        self.uids: list[int | None] = list(uids)
        """Of each message number, None while it is not known."""

    def take(self, line: bytes) -> None:
        gone = re.fullmatch(rb"\* (\d+) EXPUNGE", line)
        if gone is not None:
            number = int(gone[1])
            del self.uids[number - 1]
            for tag in (b"s2", b"s4"):
                held = self.held.get(tag, [])
                assert number not in held, "REMOVEFROM must come before EXPUNGE"
                self.held[tag] = [each - (each > number) for each in held]
        exists = re.fullmatch(rb"\* (\d+) EXISTS", line)
        if exists is not None:
            self.uids += [None] * (int(exists[1]) - len(self.uids))
        fetched = _FETCH.match(line)
        if fetched is not None:
            at, uid = int(fetched[1]) - 1, int(fetched[2])
            assert self.uids[at] in {None, uid}, "what is fetched has the number that it was told under"
            self.uids[at] = uid
        found = _ESEARCH.match(line)
        if found is None:
            return
        tag, data = found[1], found[3]
        assert (found[2] is not None) == (tag in {b"s1", b"s3"})
        for all_, kind, pairs in _DATA.findall(data):
            if all_:
                self.held[tag] = numbers(all_)
                continue
            words = pairs.split(b" ")
            for position, listed in zip(map(int, words[::2]), words[1::2], strict=True):
                self.change(tag, kind == b"ADDTO", position, numbers(listed))

    def change(self, tag: bytes, adds: bool, position: int, listed: list[int]) -> None:
        held = self.held[tag]
        assert (position == 0) == (tag in {b"s1", b"s2"})
        if adds:
            assert not set(held) & set(listed)
            held[max(position - 1, 0) : max(position - 1, 0)] = listed
        elif position:
            assert held[position - 1 : position - 1 + len(listed)] == listed
            del held[position - 1 : position - 1 + len(listed)]
        else:
            assert set(listed) <= set(held)
            self.held[tag] = [each for each in held if each not in listed]
        if not position:
            self.held[tag].sort()


def numbers(text: bytes) -> list[int]:
    """A sequence set in the order given."""
    pairs = Cursor.of(Frame(text, ())).sequence_set().pairs
    return [number for low, high in pairs for number in range(low, high + 1)]


@given(
    begin=st.lists(st.tuples(st.sampled_from(sorted(LETTERS)), st.sampled_from([0, 1, 4, 5])), max_size=6),
    steps=st.lists(st.tuples(STEP, st.integers(0, 2**16)), max_size=14),
)
@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_client_that_is_told_knows(
    sqlite_world: World,
    begin: list[tuple[str, int]],
    steps: list[tuple[tuple[str, object, object], int]],
) -> None:
    box = f"box{next(sqlite_world.number)}"
    sqlite_world.runner.run(_play(sqlite_world.harness, box, begin, steps))


async def _play(
    harness: Harness, box: str, begin: list[tuple[str, int]], steps: list[tuple[tuple[str, object, object], int]]
) -> None:
    told, other = await harness.logged_in(), await harness.logged_in()
    await told.run(b"CREATE " + box.encode())
    for name, flags in begin:
        await harness.deliver(LETTERS[name], box, flags=flags)
    uids = list(range(1, len(begin) + 1))
    for client in (told, other):
        await client.run(b"SELECT " + box.encode())
    results = Results(uids)
    for tag, (command, _) in _COMMANDS.items():
        results.held[tag] = []
        told.send(tag + b" " + command + b"\r\n")
        for line in await told.until(tag):
            results.take(line)

    async def listen(command: bytes) -> None:
        for line in await told.run(command):
            results.take(line)

    for (kind, what, more), chosen in steps:
        some = b",".join(b"%d" % uid for at, uid in enumerate(uids) if chosen >> at & 1)
        if kind == "deliver":
            uids.append(await harness.deliver(LETTERS[str(what)], box, flags=int(str(more))))
        elif kind == "store" and some:
            await other.run(b"UID STORE %b %bFLAGS.SILENT (%b)" % (some, str(what).encode(), str(more).encode()))
        elif kind == "own" and some:
            await listen(b"UID STORE %b %bFLAGS.SILENT (%b)" % (some, str(what).encode(), str(more).encode()))
        elif kind == "expunge" and uids:
            await harness.expunge([uids.pop(int(str(what)) % len(uids))], box)
        elif kind == "run" and (uids or "1:*" not in str(what)):
            await listen(str(what).encode())
        elif kind == "idle":
            await _idle(told, results)
    await listen(b"NOOP")
    for tag, (_, command) in _COMMANDS.items():
        fresh = Results()
        for line in await told.run(command):
            if line.startswith(b"* ESEARCH"):
                listed = _DATA.findall(line)
                fresh.held[tag] = numbers(listed[0][0]) if listed else []
        assert results.held[tag] == fresh.held[tag], tag
    for client in (told, other):
        await client.run(b"LOGOUT")


async def _idle(client: Client, results: Results) -> None:
    """Everything that is told in IDLE until nothing more comes."""
    client.send(b"i IDLE\r\n")
    await until(lambda: b"+ idling" in client.received)
    for _ in range(20):
        await asyncio.sleep(0)
    client.send(b"DONE\r\n")
    for line in await client.until(b"i"):
        results.take(line)
