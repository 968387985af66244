"""Who waits for what before a connection is tried, and who goes first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any

import pytest

from gateway.connectors.gates import Gates, HostAway, HostBusy
from gateway.connectors.plan.destination import LEAST_ACCOUNTS, DestinationLimits

HOST, PORT = "imap.elsewhere.test", 993


def looped(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def gates(per_minute: int = 0, burst: int = 0, connections: int = 0) -> Gates:
    return Gates(DestinationLimits(per_minute, burst, connections), lambda: 0.5)


@looped
async def test_who_is_patient_for_a_while_is_told_that_all_places_are_taken() -> None:
    some = gates(connections=1)
    async with some.entered(HOST, PORT, 1):
        with pytest.raises(HostBusy, match=r"All 1 connections to imap.elsewhere.test are in use") as caught:
            async with some.entered(HOST, PORT, 2, patience=0.02):
                raise AssertionError("there is no place")
        assert caught.value.full
    async with some.entered(HOST, PORT, 2, patience=0.02):
        pass


@looped
async def test_who_gave_up_took_no_place() -> None:
    some = gates(connections=1)
    async with some.entered(HOST, PORT, 1):
        with pytest.raises(HostBusy):
            async with some.entered(HOST, PORT, 2, patience=0):
                raise AssertionError("there is no place")
    for account in range(3, 6):
        async with some.entered(HOST, PORT, account, patience=0.02):
            pass


@looped
async def test_who_is_told_of_the_rate_knows_that_it_is_the_rate() -> None:
    some = gates(per_minute=1, burst=1)
    async with some.entered(HOST, PORT, 1):
        pass
    with pytest.raises(HostBusy, match=r"Other accounts of imap.elsewhere.test are logging in") as caught:
        async with some.entered(HOST, PORT, 2, patience=0.02):
            raise AssertionError("one a minute")
    assert not caught.value.full


@looped
async def test_who_is_waited_for_goes_before_those_that_are_not() -> None:
    """A start of many accounts: of two places that become free, at most one is given to them before."""
    some = gates(connections=1)
    order: list[str] = []
    free = asyncio.Event()

    async def work(name: str, patience: float | None) -> None:
        async with some.entered(HOST, PORT, 1, patience=patience):
            order.append(name)

    async def first() -> None:
        async with some.entered(HOST, PORT, 1):
            await free.wait()

    holder = asyncio.create_task(first())
    await asyncio.sleep(0)  # one turn of the loop: it is in
    workers = [asyncio.create_task(work(f"worker {number}", None)) for number in range(20)]
    await asyncio.sleep(0)  # … they are waiting
    person = asyncio.create_task(work("person", 30.0))
    await asyncio.sleep(0)  # … and so is the person
    free.set()
    await asyncio.gather(holder, person, *workers)
    assert order.index("person") <= 1
    assert len(order) == 21


@looped
async def test_nobody_waits_for_the_end_of_an_outage() -> None:
    some = gates()
    for account in range(LEAST_ACCOUNTS):
        some.failed(HOST, PORT, account, "connection refused", counts=True)
    for patience in (None, 30.0):
        with pytest.raises(HostAway, match="fails other accounts too: connection refused"):
            async with some.entered(HOST, PORT, 99, patience=patience):
                raise AssertionError("it is away")


@looped
async def test_an_outage_that_begins_while_somebody_waits_ends_the_waiting() -> None:
    some = gates(connections=1)
    async with some.entered(HOST, PORT, 1):

        async def person() -> None:
            async with some.entered(HOST, PORT, 2, patience=30.0):
                raise AssertionError("it is away")

        waiting = asyncio.create_task(person())
        await asyncio.sleep(0)  # one turn of the loop: it is waiting
        for account in range(LEAST_ACCOUNTS):
            some.failed(HOST, PORT, account, "connection refused", counts=True)
    with pytest.raises(HostAway):
        await waiting
