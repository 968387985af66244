"""IDLE against a scripted peer: news, time, interruption, refusal, silence."""

from __future__ import annotations

import asyncio

import pytest

from gateway.outbound.failure import Failure
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Closed, Refused
from tests.unit.upstream.script import AT_ONCE, Talk, talk

OPEN = 'C: A1 SELECT "x"\nS: * 9 EXISTS\nS: A1 OK x\n'
LONG = 600.0


def idle(script: str, seconds: float = LONG, **options: object) -> tuple[bool, int | None]:
    async def work(client: ImapClient) -> tuple[bool, int | None]:
        await client.select(b"x")
        return await client.idle(seconds), client.take_news().exists

    return talk(OPEN + script, work, "IDLE", **options)


async def until_granted(client: ImapClient) -> None:
    while not client._idling.active:  # noqa: ASYNC110 it is told to nobody
        await asyncio.sleep(0)


def test_news_end_it() -> None:
    script = """
    C: A2 IDLE
    S: * OK Still here
    S: + go
    S: * OK Still here
    S: * 10 EXISTS
    C: DONE
    S: * 11 EXISTS
    S: A2 OK x
    """
    assert idle(script) == (True, 11)


def test_time_ends_it() -> None:
    assert idle("C: A2 IDLE\nS: + go\nC: DONE\nS: A2 OK x", 0.01) == (False, None)


def test_news_between_select_and_idle_need_none() -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        await client.noop()
        assert await client.idle(LONG)

    talk(OPEN + "C: A2 NOOP\nS: * 10 EXISTS\nS: A2 OK x", work, "IDLE")


def test_what_nobody_needs_to_know_does_not_end_it() -> None:
    script = "C: A2 IDLE\nS: + go\nS: * 9 EXISTS\nS: * 0 RECENT\nS: * OK [HIGHESTMODSEQ 5] x\nC: DONE\nS: A2 OK x"
    assert idle(script, 0.05) == (False, None)


@pytest.mark.parametrize("answer", ["NO [LIMIT] not now", "BAD unknown command"])
def test_a_refusal_is_not_followed_by_done(answer: str) -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        with pytest.raises(Refused):
            await client.idle(LONG)
        await client.noop()

    talk(OPEN + f"C: A2 IDLE\nS: A2 {answer}\nC: A3 NOOP\nS: A3 OK x", work, "IDLE")


def test_without_idle_it_is_not_tried() -> None:
    async def work(client: ImapClient) -> None:
        with pytest.raises(Refused):
            await client.idle(LONG)

    talk("", work)


def test_somebody_needs_the_connection() -> None:
    async def main() -> None:
        talking = Talk(OPEN + "C: A2 IDLE\nS: + go\nC: DONE\nS: A2 OK x\nC: A3 NOOP\nS: A3 OK x", "IDLE")
        client = talking.client
        await client.select(b"x")
        idling = asyncio.ensure_future(client.idle(LONG))
        await until_granted(client)
        client.interrupt()
        assert not await idling
        await client.noop()
        client.interrupt()
        assert not await client.idle(LONG)  # the next one does not begin
        talking.done()

    asyncio.run(main())


def test_an_interruption_while_it_begins() -> None:
    async def main() -> None:
        talking = Talk("C: A1 IDLE\nS: + go\nC: DONE\nS: A1 OK x", "IDLE")
        idling = asyncio.ensure_future(talking.client.idle(LONG))
        await asyncio.sleep(0)
        talking.client.interrupt()
        assert not await idling
        talking.done()

    asyncio.run(main())


def test_a_dead_connection_shows_at_done() -> None:
    with pytest.raises(Closed) as error:
        idle("C: A2 IDLE\nS: + go\nC: DONE", 0.01, times=AT_ONCE)
    assert error.value.failure is Failure.TIMEOUT


def test_no_plus() -> None:
    with pytest.raises(Closed) as error:
        idle("C: A2 IDLE", times=AT_ONCE)
    assert error.value.failure is Failure.TIMEOUT


def test_the_server_ends_it() -> None:
    with pytest.raises(Closed) as error:
        idle("C: A2 IDLE\nS: + go\nS: * BYE Session invalidated - AccessTokenExpired\nC: DONE\nX:")
    assert (error.value.failure, error.value.said) == (Failure.BYE, "Session invalidated - AccessTokenExpired")


def test_the_connection_ends() -> None:
    with pytest.raises(Closed) as error:
        idle("C: A2 IDLE\nS: + go\nX:")
    assert error.value.failure is Failure.LOST


@pytest.mark.parametrize("line", ["A2 OK x", "+ what", "A9 OK x"])
def test_what_does_not_belong_into_idle(line: str) -> None:
    with pytest.raises(Closed) as error:
        idle(f"C: A2 IDLE\nS: + go\nS: {line}")
    assert error.value.failure is Failure.PROTOCOL


def test_a_cancelled_idle_drops_the_connection() -> None:
    async def main() -> None:
        talking = Talk("C: A1 IDLE\nS: + go", "IDLE")
        idling = asyncio.ensure_future(talking.client.idle(LONG))
        await until_granted(talking.client)
        idling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await idling
        assert talking.client.closed
        assert talking.peer.closed

    asyncio.run(main())
