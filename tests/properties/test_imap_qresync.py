"""Clients that leave at any moment and come back (RFC 7162), beside others, against a model of dictionaries."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from gateway.imap import teller
from tests.support.resync_example import FLAGS, Example
from tests.support.soak import examples
from tests.support.world import World

FIXTURE = [HealthCheck.function_scoped_fixture]
KINDS = ["qresync", "condstore", "uidonly", "plain"]
# How often: an expunge that is withheld is where most can go wrong.
WEIGHTS = {
    "store": 5, "fetch": 3, "vanish": 3, "search": 2, "expunge": 2, "leave": 2, "append": 1, "deliver": 1, "move": 1,
    "copy": 1, "noop": 1, "idle": 1, "missed": 1, "close": 1, "prune": 0.3, "restart": 0.05,
}  # fmt: skip


def step(random: Random) -> tuple[int, str, int | None, list[Any]]:
    """(which client, operation, how many lines of its responses arrive before the connection goes, arguments)."""

    def at() -> int:
        return random.randrange(10)

    def truth() -> bool:
        return random.random() < 0.5

    def flags() -> frozenset[str]:
        return frozenset(random.sample(FLAGS, random.choice([0, 1, 1, 2])))

    operation = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    arguments: list[Any] = {
        "store": lambda: [
            *(random.choice(["", "+", "+", "-"]), truth(), truth(), flags(), at(), at()),
            random.choice([None, None, 0, 1, 2, 4]),
        ],
        "fetch": lambda: [random.choice(["FLAGS", "MODSEQ", "(FLAGS MODSEQ)", "BODY[TEXT]"]), at(), at()],
        "vanish": lambda: [at()],
        "search": lambda: [truth(), random.randrange(5)],
        "expunge": lambda: [random.choice([None, (at(), at())])],
        "append": lambda: [flags()],
        "deliver": lambda: [flags()],
        "move": lambda: [truth(), at(), at()],
        "copy": lambda: [truth(), at(), at()],
        "missed": lambda: [random.randrange(5)],
        "prune": lambda: [random.randrange(3)],
    }.get(operation, list)()
    return random.randrange(4), operation, random.choice([*[None] * 9, 0, 1, 2]), arguments


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=4),
    # Drawn by itself: what hypothesis draws is too much alike for expunges, stores and departures to meet.
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(5, 40),
    page=st.sampled_from([1, 2, 4000]),
)
@settings(max_examples=examples(75), suppress_health_check=FIXTURE)
def test_all_converge(
    world: World, monkeypatch: pytest.MonkeyPatch, kinds: list[str], seed: int, count: int, page: int
) -> None:
    """Pages of few changes, so that what may happen between two of them does."""
    monkeypatch.setattr(teller, "TELL_PAGE", page)
    monkeypatch.setattr(teller, "IDLE_PAGE", page)
    world.runner.run(play(world, kinds, Random(seed), count))


async def play(world: World, kinds: list[str], random: Random, count: int) -> None:
    example = Example(world.harness, f"box{next(world.number)}", kinds)
    await example.begin()
    for _ in range(count):
        who, operation, cut, arguments = step(random)
        note(f"{who % len(kinds)} {operation} {arguments} {'' if cut is None else f'cut after {cut}'}")
        me = example.clients[who % len(kinds)]
        await example.ready(me)
        await getattr(example, f"do_{operation}")(me, cut, *arguments)
        me.check()
    await example.end()


@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    page=st.sampled_from([1, 2, 4000]),
)
@settings(max_examples=examples(40), suppress_health_check=FIXTURE)
def test_all_converge_when_all_talk_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch, kinds: list[str], seed: int, page: int
) -> None:
    """Pipelined commands of all clients and changes from elsewhere: nobody knows in which order they happen."""
    monkeypatch.setattr(teller, "TELL_PAGE", page)
    world.runner.run(talk(world, kinds, Random(seed)))


async def talk(world: World, kinds: list[str], random: Random) -> None:
    example = Example(world.harness, f"box{next(world.number)}", kinds)
    await example.begin()
    for me in example.clients:
        await example.ready(me)
    for _ in range(4):
        await example.round(random)
