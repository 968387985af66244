"""Which look answers whom; the clock is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

from gateway.connectors.looks import NOBODY_S, Looks
from gateway.model.ids import MailboxId

INBOX, SENT = MailboxId(1), MailboxId(2)


def looped(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


@looped
async def test_who_asks_before_it_begins_shares_it() -> None:
    looks = Looks()
    assert looks.pause(0.0) == NOBODY_S
    one, other = looks.ask(INBOX, 0.0), looks.ask(None, 0.0)
    assert looks.due(0.0)
    assert looks.begin(0.0) == {INBOX, None}
    assert not looks.wanted
    assert not any(future.done() for future in (one, other))
    looks.done()
    assert one.result()
    assert other.result()


@looped
async def test_who_asks_while_it_runs_has_the_next_and_not_too_soon() -> None:
    looks = Looks(2.0)
    looks.ask(INBOX, 0.0)
    looks.begin(0.0)
    late = looks.ask(SENT, 0.5)
    looks.done()
    assert not late.done()
    assert looks.pause(0.75) == 1.25
    assert not looks.due(1.5)
    assert looks.due(2.0)
    assert looks.begin(2.0) == {SENT}
    looks.done()
    assert late.result()


@looped
async def test_what_was_seen_stands_for_two_seconds() -> None:
    looks = Looks(2.0)
    looks.begin(10.0)
    looks.done()
    assert looks.ask(INBOX, 11.9).result()
    assert not looks.ask(INBOX, 12.0).done()


@looped
async def test_what_failed_was_not_seen() -> None:
    looks = Looks(2.0)
    first = looks.ask(INBOX, 0.0)
    looks.begin(0.0)
    waiting = looks.ask(SENT, 0.5)
    looks.stop()
    assert first.result() is False
    assert waiting.result() is False
    assert not looks.ask(INBOX, 1.0).done()


@looped
async def test_a_session_that_ends_well_leaves_who_it_did_not_hear_to_the_next() -> None:
    looks = Looks(2.0)
    first = looks.ask(INBOX, 0.0)
    looks.begin(0.0)
    looks.done()
    looks.begin(5.0)
    waiting = looks.ask(SENT, 5.0)
    looks.stop(again=True)
    assert first.result()
    assert looks.wanted
    assert looks.begin(7.0) == {SENT}
    looks.done()
    assert waiting.result()


@looped
async def test_who_gave_up_wants_nothing() -> None:
    looks = Looks()
    gone, there = looks.ask(INBOX, 0.0), looks.ask(SENT, 0.0)
    gone.cancel()
    assert looks.begin(0.0) == {SENT}
    there.cancel()
    looks.done()
    last = looks.ask(INBOX, 5.0)
    last.cancel()
    assert not looks.wanted
    assert looks.pause(5.0) == NOBODY_S
