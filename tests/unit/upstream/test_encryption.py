"""TLS without sockets: octets in pieces of any size, endings, and handshakes that fail."""

from __future__ import annotations

import asyncio
import random
import ssl
from contextlib import suppress
from typing import Any

import pytest

from gateway.upstream.encryption import SPACE, Encryption
from tests.support.authority import Authority


class Lower(asyncio.Transport):
    """The loop's transport, up to what the server of the test takes from it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.aborted = False

    def write(self, data: Any) -> None:
        assert not self.aborted
        self.sent += data

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted


class Taken:
    """What the receiver is told."""

    def __init__(self) -> None:
        self.octets = bytearray()
        self.transport: asyncio.BaseTransport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: memoryview) -> None:
        assert self.transport is not None
        self.octets += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True

    def pause_writing(self) -> None:
        raise AssertionError

    resume_writing = pause_writing


class Pair:
    """A server and our side of it, and the octets between them, which the test moves in pieces."""

    def __init__(self, server: ssl.SSLContext, client: ssl.SSLContext, piece: int) -> None:
        self.lower, self.taken, self.piece = Lower(), Taken(), piece
        self.ours = Encryption(self.taken, client, "upstream.test")
        self.ours.connection_made(self.lower)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.server = server.wrap_bio(self._in, self._out, server_side=True)
        self.heard = bytearray()

    def move(self, serve: Any) -> None:
        """All that either side has for the other one, until both are silent; `serve` is what the server does."""
        while True:
            sent, self.lower.sent = bytes(self.lower.sent), bytearray()
            self._in.write(sent)
            with suppress(ssl.SSLWantReadError):
                serve()
            octets = self._out.read()
            for start in range(0, len(octets), self.piece):
                some = octets[start : start + self.piece]
                self.ours.get_buffer(-1)[: len(some)] = some
                self.ours.buffer_updated(len(some))
            if not self.lower.sent and not octets:
                return

    def hear(self) -> None:
        while octets := self.server.read(65_536):
            self.heard += octets

    async def shaken(self) -> None:
        task = asyncio.ensure_future(self.ours.shake(30))
        await asyncio.sleep(0)
        self.move(self.server.do_handshake)
        await task


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def contexts(ca: Authority, version: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    client = ssl.create_default_context(cafile=str(ca.file))
    client.maximum_version = version
    return ca.leaf("upstream.test").server(), client


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("piece", [1, 1_000, len(SPACE)])
def test_all_octets_come_whatever_the_pieces(ca: Authority, version: ssl.TLSVersion, piece: int) -> None:
    chance = random.Random(4)
    there, here = chance.randbytes(200_001), chance.randbytes(150_003)

    async def main() -> None:
        pair = Pair(*contexts(ca, version), piece)
        await pair.shaken()
        assert pair.taken.transport is pair.ours
        assert pair.ours.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
        pair.server.write(there)
        pair.ours.write(here[:100_000])
        pair.ours.write(here[100_000:])
        pair.move(pair.hear)
        assert pair.taken.octets == there
        assert pair.heard == here

    asyncio.run(main())


def test_the_servers_goodbye_ends_it_after_what_it_said(ca: Authority) -> None:
    async def main() -> None:
        pair = Pair(*contexts(ca, ssl.TLSVersion.TLSv1_3), 4_096)
        await pair.shaken()
        pair.server.write(b"* BYE\r\n")
        pair.move(pair.server.unwrap)
        assert pair.taken.octets == b"* BYE\r\n"
        assert pair.lower.aborted
        pair.ours.connection_lost(None)
        assert pair.taken.lost
        pair.ours.write(b"nobody is there")
        assert pair.ours.is_closing()

    asyncio.run(main())


def test_what_is_no_tls_any_more_cuts_it(ca: Authority) -> None:
    async def main() -> None:
        pair = Pair(*contexts(ca, ssl.TLSVersion.TLSv1_3), 4_096)
        await pair.shaken()
        SPACE[:20] = b"* OK in the clear..."
        pair.ours.buffer_updated(20)
        assert pair.lower.aborted
        assert not pair.taken.octets

    asyncio.run(main())


def test_handshakes_that_fail_say_why_and_cut(ca: Authority) -> None:
    async def main() -> None:
        server, _ = contexts(ca, ssl.TLSVersion.TLSv1_3)
        stranger = Pair(server, ssl.create_default_context(cadata=None), 4_096)
        task = asyncio.ensure_future(stranger.ours.shake(30))
        await asyncio.sleep(0)
        with pytest.raises(ssl.SSLError):
            stranger.move(stranger.server.do_handshake)  # our alert
        with pytest.raises(ssl.SSLCertVerificationError):
            await task
        assert stranger.lower.aborted
        assert stranger.taken.transport is None

        gone = Pair(*contexts(ca, ssl.TLSVersion.TLSv1_3), 4_096)
        task = asyncio.ensure_future(gone.ours.shake(30))
        await asyncio.sleep(0)
        gone.ours.connection_lost(None)
        with pytest.raises(ConnectionResetError):
            await task

        silent = Pair(*contexts(ca, ssl.TLSVersion.TLSv1_3), 4_096)
        with pytest.raises(TimeoutError):
            await silent.ours.shake(0)
        assert silent.lower.aborted

    asyncio.run(main())
