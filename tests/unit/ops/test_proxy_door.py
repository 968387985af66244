"""The door behind proxies: who is handed over with which address, and what is cut."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable

import pytest
import uvloop

from gateway.ops import proxy_door
from gateway.ops.proxy_door import ProxyDoor
from gateway.ops.sockets import bind_tcp

HEADER = b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"


class Inside:
    """Keeps what it was handed."""

    def __init__(self) -> None:
        self.admitted: asyncio.Queue[tuple[socket.socket, str]] = asyncio.Queue()

    async def admit(self, sock: socket.socket, peer: str) -> None:
        self.admitted.put_nowait((sock, peer))


def opened(
    inside: Inside, sock: socket.socket, *, trusted: Callable[[str], bool] = lambda peer: True, seconds: float = 30.0
) -> ProxyDoor:
    door = ProxyDoor(sock, trusted, seconds, inside.admit)
    door.open()
    return door


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop])
def runner(request: pytest.FixtureRequest) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=request.param)


async def joined(door: ProxyDoor) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", door.port)


def test_not_an_octet_beyond_the_header_is_read(runner: asyncio.Runner) -> None:
    async def main() -> None:
        inside = Inside()
        door = opened(inside, bind_tcp("127.0.0.1", 0, 5))
        for pieces in ([HEADER + b"rest"], [HEADER[:9], HEADER[9:] + b"re", b"st"], [HEADER, b"rest"]):
            _, writer = await joined(door)
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)
            sock, peer = await inside.admitted.get()
            assert peer == "192.0.2.7"
            sock.setblocking(True)
            assert await asyncio.to_thread(sock.recv, 4, socket.MSG_WAITALL) == b"rest"
            sock.close()
            writer.close()
        door.close()

    with runner:
        runner.run(main())


def test_silence_and_strangers_are_cut(runner: asyncio.Runner) -> None:
    async def main() -> None:
        inside = Inside()
        for trusted, said in ((lambda peer: True, b""), (lambda peer: True, b"P"), (lambda peer: False, HEADER)):
            door = opened(inside, bind_tcp("127.0.0.1", 0, 5), trusted=trusted, seconds=0.05)
            reader, writer = await joined(door)
            writer.write(said)
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                assert said, "only what was never read resets"
            writer.close()
            door.close()
        assert inside.admitted.empty()

    with runner:
        runner.run(main())


def test_the_end_cuts_who_has_not_said_who_comes(runner: asyncio.Runner) -> None:
    async def main() -> None:
        inside = Inside()
        door = opened(inside, bind_tcp("127.0.0.1", 0, 5))
        reader, writer = await joined(door)
        while not door._tasks:  # noqa: ASYNC110 - until the kernel has handed it over
            await asyncio.sleep(0)
        door.close()
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError, match=r".*"):
            await joined(door)

    with runner:
        runner.run(main())


class Exhausted(socket.socket):
    """Has no descriptors left for the first connections."""

    left = 2

    def accept(self) -> tuple[socket.socket, object]:
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


def test_out_of_descriptors_it_waits_and_goes_on(runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_door, "_PAUSE_S", 0.01)

    async def main() -> None:
        inside = Inside()
        sock = Exhausted(fileno=bind_tcp("127.0.0.1", 0, 5).detach())
        door = opened(inside, sock)
        _, writer = await joined(door)
        writer.write(HEADER)
        taken, peer = await inside.admitted.get()
        assert (peer, sock.left) == ("192.0.2.7", 0)
        taken.close()
        writer.close()
        door.close()

    with runner:
        runner.run(main())
