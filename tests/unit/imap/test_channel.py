"""The channel: commands without a wait cost no task, output is gathered, backpressure works both ways."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from gateway.imap.channel import READ_AHEAD, TURN, Channel, Closed
from gateway.wire.events import BEFORE_LOGIN, Event, Frame, Line, after_login


class FakePeer:
    address = "192.0.2.1"
    secure = True

    def __init__(self) -> None:
        self.log: list[Any] = []

    def write(self, data: bytes) -> None:
        self.log.append(data)

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.log.append(name)


Serve = Callable[[Channel, Event], Awaitable[None]]


def channel_with(serve: Serve, limits: Any = BEFORE_LOGIN) -> tuple[Channel, FakePeer]:
    peer = FakePeer()

    def start(event: Event) -> Coroutine[Any, Any, None]:
        async def run() -> None:
            await serve(channel, event)

        return run()

    channel = Channel(peer, limits, start)  # type: ignore[arg-type]
    return channel, peer


async def echo(channel: Channel, event: Event) -> None:
    assert isinstance(event, Frame)
    channel.send(event.text + b"\r\n")


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_commands_that_do_not_wait_run_at_once_and_leave_in_one_write() -> None:
    async def run() -> None:
        channel, peer = channel_with(echo)
        tasks = asyncio.all_tasks()
        channel.data_received(b"a 1\r\nb 2\r\nc")
        assert asyncio.all_tasks() == tasks
        assert peer.log == [b"a 1\r\nb 2\r\n"]
        channel.data_received(b" 3\r\n")
        assert peer.log[1:] == [b"c 3\r\n"]

    asyncio.run(run())


def test_a_waiting_command_holds_those_behind_it_and_reading() -> None:
    async def run() -> None:
        gate = asyncio.Event()

        async def serve(channel: Channel, event: Event) -> None:
            assert isinstance(event, Frame)
            if event.text == b"a wait":
                channel.send(b"first ")
                await gate.wait()
            await echo(channel, event)

        channel, peer = channel_with(serve, after_login(10))
        channel.data_received(b"a wait\r\nb 2\r\n")
        assert peer.log == [b"first "]
        assert channel.busy
        assert not channel.at_rest
        channel.data_received(b"c 3\r\n" * READ_AHEAD)
        assert peer.log == [b"first ", "pause_reading"]
        gate.set()
        await turns(10 + READ_AHEAD // TURN)
        assert b"".join(part for part in peer.log if isinstance(part, bytes)).count(b"c 3\r\n") == READ_AHEAD
        assert "resume_reading" in peer.log
        assert channel.at_rest

    asyncio.run(run())


def test_many_commands_in_one_packet_share_the_loop() -> None:
    async def run() -> None:
        channel, peer = channel_with(echo)
        other: list[int] = []
        asyncio.get_running_loop().call_soon(lambda: other.append(len(peer.log)))
        channel.data_received(b"a 1\r\n" * (3 * TURN))
        assert len(peer.log) == 1
        await turns()
        assert other == [1]  # somebody else ran after the first turn
        assert b"".join(peer.log) == b"a 1\r\n" * (3 * TURN)

    asyncio.run(run())


def test_drain_waits_for_the_transport() -> None:
    async def run() -> None:
        async def serve(channel: Channel, event: Event) -> None:
            channel.pause()
            channel.send(b"1")
            await channel.drain()
            channel.send(b"2")

        channel, peer = channel_with(serve)
        channel.data_received(b"a x\r\n")
        await turns()
        assert peer.log == [b"1"]
        channel.resume()
        await turns()
        assert peer.log == [b"1", b"2"]

    asyncio.run(run())


def test_a_peer_that_reads_no_answers_gets_no_more_of_them() -> None:
    async def run() -> None:
        channel, peer = channel_with(echo, after_login(10))
        channel.pause()
        channel.data_received(b"a 1\r\n" * READ_AHEAD)
        await turns()
        assert peer.log == ["pause_reading"]
        channel.resume()
        await turns(10 + READ_AHEAD // TURN)
        assert b"".join(part for part in peer.log if isinstance(part, bytes)).count(b"a 1\r\n") == READ_AHEAD

    asyncio.run(run())


@pytest.mark.parametrize("lost", [True, False])
def test_the_end_of_the_connection_reaches_a_waiting_command(lost: bool) -> None:
    async def run() -> None:
        seen: list[str] = []

        async def serve(channel: Channel, event: Event) -> None:
            channel.reader.expect_line()
            try:
                await channel.next_event()
            except Closed:
                seen.append("closed")
                raise

        channel, peer = channel_with(serve)
        channel.data_received(b"a x\r\n")
        assert channel.at_rest
        if lost:
            channel.connection_lost()
        else:
            channel.end(b"* BYE\r\n")
        await turns()
        assert seen == ["closed"]
        assert not channel.busy
        assert peer.log == ([] if lost else [b"* BYE\r\n", "close"])
        channel.data_received(b"b y\r\n")
        assert not channel.busy

    asyncio.run(run())


def test_a_command_reads_its_own_line() -> None:
    async def run() -> None:
        lines: list[bytes] = []

        async def serve(channel: Channel, event: Event) -> None:
            if isinstance(event, Frame) and event.text == b"a idle":
                channel.reader.expect_line()
                line = await channel.next_event()
                assert isinstance(line, Line)
                lines.append(line.data)
            else:
                await echo(channel, event)

        channel, peer = channel_with(serve)
        channel.data_received(b"a idle\r\n")
        channel.data_received(b"DONE\r\nb 2\r\n")
        await turns()
        assert lines == [b"DONE"]
        assert peer.log == [b"b 2\r\n"]

    asyncio.run(run())


@pytest.mark.parametrize("waited", [True, False])
def test_a_defect_in_the_session_ends_the_connection(waited: bool) -> None:
    async def run() -> None:
        async def serve(channel: Channel, event: Event) -> None:
            if waited:
                await asyncio.sleep(0)
            raise RuntimeError("defect")

        channel, peer = channel_with(serve)
        channel.data_received(b"a x\r\nb y\r\n")
        await turns()
        assert peer.log == [b"* BYE Internal error\r\n", "close"]
        assert not channel.busy

    asyncio.run(run())
