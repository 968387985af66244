"""One command and its answer: deadlines, endings, floods, cancellation, fairness, compression."""

from __future__ import annotations

import asyncio
import random
import zlib
from dataclasses import replace

import pytest

from gateway.outbound.failure import Failure
from gateway.upstream.client import ImapClient
from gateway.upstream.endpoint import ImapLimits
from gateway.upstream.errors import Closed, Refused
from tests.unit.upstream.script import AT_ONCE, Talk, talk


async def noop(client: ImapClient) -> None:
    await client.noop()


def failed(script: str, **options: object) -> Closed:
    with pytest.raises(Closed) as error:
        talk(script, noop, **options)
    return error.value


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("C: A1 NOOP\nX:", Failure.LOST),
        ("C: A1 NOOP\nS: * 1 EXI\nX:", Failure.LOST),
        ("C: A1 NOOP\nS: A2 OK x", Failure.PROTOCOL),
        ("C: A1 NOOP\nS: * LIST () NIL {9999999}\n", Failure.PROTOCOL),
        ("C: A1 NOOP\nS: * BYE bye\nX:", Failure.BYE),
        ("C: A1 NOOP\nS: * BYE [UNAVAILABLE] bye\nX:", Failure.UNAVAILABLE),
        ("C: A1 NOOP\nS: * BYE Request is throttled. Suggested Backoff Time: 5000 milliseconds\nX:", Failure.THROTTLED),
    ],
)
def test_endings(script: str, failure: Failure) -> None:
    assert failed(script).failure is failure


@pytest.mark.parametrize(
    "script", ["C: A1 NOOP", "C: A1 NOOP\nS- * OK half a li", "C: A1 NOOP\nS: * 1 EXISTS\nS- * X {5}"]
)
def test_silence_ends_it(script: str) -> None:
    assert failed(script, times=AT_ONCE).failure is Failure.TIMEOUT


def test_how_long_to_stay_away_comes_out() -> None:
    error = failed("C: A1 NOOP\nS: * BYE throttled. Suggested Backoff Time: 5000 milliseconds\nX:")
    assert error.retry_after == 5
    with pytest.raises(Refused) as refused:
        talk("C: A1 NOOP\nS: A1 BAD Request is throttled. Suggested Backoff Time: 7000 milliseconds", noop)
    assert (refused.value.retry_after, refused.value.bad, refused.value.failure) == (7, True, Failure.THROTTLED)


def test_octets_that_trickle_do_not_keep_it_alive() -> None:
    async def main() -> None:
        talking = Talk("C: A1 NOOP", times=AT_ONCE)

        async def trickle() -> None:
            while True:
                talking.link.data_received(b"x")
                await asyncio.sleep(0.001)

        drip = asyncio.ensure_future(trickle())
        with pytest.raises(Closed) as error:
            await talking.client.noop()
        assert error.value.failure is Failure.TIMEOUT
        drip.cancel()

    asyncio.run(main())


def test_a_flood_ends_it() -> None:
    script = "C: A1 NOOP\n" + "S: * 1 EXISTS\n" * 30
    assert failed(script, limits=replace(ImapLimits(), untagged=20)).failure is Failure.PROTOCOL


def test_a_bye_between_commands_is_known_at_the_next() -> None:
    async def main() -> None:
        talking = Talk("S: * BYE Too many connections\nX:")
        await asyncio.sleep(0)
        assert talking.client.closed
        with pytest.raises(Closed) as error:
            await talking.client.noop()
        assert error.value.failure is Failure.LIMIT
        with pytest.raises(Closed) as error:
            await talking.client.noop()
        assert error.value.failure is Failure.LIMIT

    asyncio.run(main())


def test_an_answer_to_nothing_is_an_error() -> None:
    async def main() -> None:
        talking = Talk("S: A1 OK too early")
        await asyncio.sleep(0)
        with pytest.raises(Closed) as error:
            await talking.client.noop()
        assert error.value.failure is Failure.PROTOCOL
        assert talking.peer.closed

    asyncio.run(main())


def test_while_nobody_reads_the_peer_waits() -> None:
    async def main() -> None:
        talking = Talk("C: A1 NOOP\nS: A1 OK x")
        while not talking.peer.paused:
            talking.link.data_received(b"* OK nothing\r\n" * 1000)
        await talking.client.noop()
        assert not talking.peer.paused
        talking.done()

    asyncio.run(main())


def test_cancelled_means_closed() -> None:
    async def main() -> None:
        talking = Talk("C: A1 NOOP")
        asking = asyncio.ensure_future(talking.client.noop())
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert talking.peer.closed
        with pytest.raises(Closed):
            await talking.client.noop()

    asyncio.run(main())


def test_others_run_while_much_is_parsed() -> None:
    async def main() -> None:
        talking = Talk("C: A1 UID FETCH 1:4294967295 (UID FLAGS)")
        client = talking.client
        turns = 0

        async def count() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def rows() -> int:
            return len([message async for message in client.fetch(((1, 4294967295),))])

        fetching = asyncio.ensure_future(rows())
        await asyncio.sleep(0)
        talking.link.data_received(
            b"".join(b"* %d FETCH (UID %d FLAGS ())\r\n" % (n, n) for n in range(1, 5001)) + b"A1 OK x\r\n"
        )
        other = asyncio.ensure_future(count())
        assert await fetching == 5000
        other.cancel()
        assert turns >= 20
        talking.done()

    asyncio.run(main())


def test_log_out() -> None:
    async def main() -> None:
        talking = Talk("C: A1 LOGOUT\nS: * BYE see you\nS: A1 OK x")
        await talking.client.log_out()
        assert talking.peer.closed
        await talking.client.log_out()
        talking.done()

    asyncio.run(main())


@pytest.mark.parametrize("script", ["C: A1 LOGOUT", "C: A1 LOGOUT\nX:", "C: A1 LOGOUT\nS: A1 BAD what", "X:"])
def test_log_out_never_fails(script: str) -> None:
    async def main() -> None:
        talking = Talk(script, times=AT_ONCE)
        await asyncio.sleep(0)
        await talking.client.log_out()
        assert talking.client.closed

    asyncio.run(main())


class Compressed:
    """The other end of COMPRESS=DEFLATE."""

    def __init__(self, talking: Talk) -> None:
        self._talking = talking
        self._pack = zlib.compressobj(wbits=-15)
        self._unpack = zlib.decompressobj(-15)
        self.heard = b""
        talking.peer.write = self._heard  # type: ignore[method-assign]

    def _heard(self, octets: bytes) -> None:
        self.heard += self._unpack.decompress(octets)

    def tell(self, octets: bytes, size: int = 0) -> int:
        packed = self._pack.compress(octets) + self._pack.flush(zlib.Z_SYNC_FLUSH)
        size = size or len(packed)
        for at in range(0, len(packed), size):
            self._talking.link.data_received(packed[at : at + size])
        return len(packed)


def compressed() -> tuple[Talk, Compressed]:
    talking = Talk("")
    talking.link.compress()
    return talking, Compressed(talking)


def test_compression() -> None:
    async def main() -> None:
        script = (
            'C: A1 LOGIN "bob" "secret"\nS: A1 OK [CAPABILITY COMPRESS=DEFLATE] x\nC: A2 COMPRESS DEFLATE\nS: A2 OK x'
        )
        talking = Talk(script, logged_in=False)
        talking.client._compress = True
        await talking.client.log_in()
        other = Compressed(talking)
        asking = asyncio.ensure_future(talking.client.noop())
        await asyncio.sleep(0)
        assert other.heard == b"A3 NOOP\r\n"
        other.tell(b"* OK hello\r\nA3 OK x\r\n", 1)
        await asking

    asyncio.run(main())


def test_compression_refused() -> None:
    async def main() -> None:
        script = """
        C: A1 LOGIN "bob" "secret"
        S: A1 OK [CAPABILITY COMPRESS=DEFLATE] x
        C: A2 COMPRESS DEFLATE
        S: A2 NO x
        C: A3 NOOP
        S: A3 OK x
        """
        talking = Talk(script, logged_in=False)
        talking.client._compress = True
        await talking.client.log_in()
        await talking.client.noop()
        talking.done()

    asyncio.run(main())


def test_a_bomb_is_inflated_no_further_than_it_is_read() -> None:
    async def main() -> None:
        talking, other = compressed()
        asking = asyncio.ensure_future(talking.client.noop())
        await asyncio.sleep(0)
        sent = other.tell(b"x" * 64_000_000)
        assert sent < 100_000
        most = 0
        while not asking.done():
            most = max(most, talking.link.reader.buffered)
            await asyncio.sleep(0)
        with pytest.raises(Closed) as error:
            await asking
        assert error.value.failure is Failure.PROTOCOL
        assert most <= ImapLimits().line + 100_000

    asyncio.run(main())


def test_what_does_not_inflate() -> None:
    async def main() -> None:
        talking, _ = compressed()
        asking = asyncio.ensure_future(talking.client.noop())
        await asyncio.sleep(0)
        talking.link.data_received(random.Random(5).randbytes(1000))
        with pytest.raises(Closed):
            await asking

    asyncio.run(main())
