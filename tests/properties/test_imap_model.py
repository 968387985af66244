"""Two to four clients with random commands of all that there is, against a model of dictionaries, on both databases.

What a client believes is built only from what it was told, and is held against the model after each command; what is
told of a search, a list, a copy is what the model says. At the end a newcomer finds what the model has, and the
store's own check finds nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gateway.imap import teller
from gateway.store import check
from tests.support.model_round import Rounds
from tests.support.soak import examples
from tests.support.world import World

STEPS = 40
# What is there twice is drawn more often: what goes while somebody must not be told is where most can go wrong.
OPERATIONS = [
    *("store", "store_more", "doom", "expunge", "expunge_more", "vanish", "deliver", "append", "replace", "copy"),
    *("move", "move_more", "fetch", "fetch_more", "search", "search_more", "sort", "thread", "context"),
    *("multisearch", "race", "round", "create", "delete", "rename", "subscribe", "list", "status", "metadata"),
    *("quota", "select", "select_more", "close", "noop", "idle", "idle_more", "enable", "unauthenticate", "leave"),
]

HABITS = [
    *((), ("UTF8=ACCEPT",), ("CONDSTORE",), ("QRESYNC",), ("QRESYNC",), ("QRESYNC", "IMAP4rev2")),
    ("UIDONLY", "QRESYNC"),
]
"""What a client enables whenever it connects."""


@pytest.fixture
def world_settings() -> dict[str, object]:
    return {"unauthenticate": True}


class Machine(RuleBasedStateMachine):
    """An example: rules are the operations, each with a client and a seed for all else that it draws."""

    world: World

    def __init__(self) -> None:
        super().__init__()
        self.play = Rounds(self.world.harness)
        self.failed = True

    @initialize(
        habits=st.lists(st.sampled_from(HABITS), min_size=2, max_size=4),
        mails=st.sampled_from([0, 3, 8]),
        page=st.sampled_from([1, 2, 4000]),
    )
    def begin(self, habits: list[tuple[str, ...]], mails: int, page: int) -> None:
        # Pages of few changes, so that what may happen between two of them does.
        self.world.monkeypatch.setattr(teller, "TELL_PAGE", page)
        self.world.monkeypatch.setattr(teller, "IDLE_PAGE", page)
        address = f"p{next(self.world.number)}@example.org"
        self.world.runner.run(self.play.begin(address, habits, mails))
        self.failed = False

    def step(self, operation: str, who: int, seed: int) -> None:
        me = self.play.pictures[who % len(self.play.pictures)]
        self.failed = True
        self.world.runner.run(getattr(self.play, f"do_{operation}")(me, Random(seed)))
        self.failed = False

    def teardown(self) -> None:
        if not self.failed:
            self.world.runner.run(self.play.end())


def _rule_of(operation: str) -> Callable[..., None]:
    def step(self: Machine, who: int, seed: int) -> None:
        self.step(operation.removesuffix("_more"), who, seed)

    step.__name__ = operation
    return rule(who=st.integers(0, 3), seed=st.integers(0, 2**32 - 1))(step)


for _operation in OPERATIONS:
    setattr(Machine, _operation, _rule_of(_operation))


def test_all_clients_agree_with_the_model(world: World) -> None:
    machine = type("Machine", (Machine,), {"world": world})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples(120), stateful_step_count=STEPS, suppress_health_check=list(HealthCheck)
        ),
    )
    assert not world.runner.run(world.harness.db.read(check.check))
