"""Bodies against a scripted peer: streamed into sinks whatever the order of items, and nothing lost or made up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.model.sequence import Ranges
from gateway.outbound.failure import Failure
from gateway.upstream.client import ImapClient
from gateway.upstream.endpoint import ImapLimits
from gateway.upstream.errors import Closed, Refused
from gateway.upstream.link import ENOUGH
from gateway.upstream.values import Bodies, FetchedMessage
from gateway.upstream.wants import FLAGS_ONLY, FetchWants
from tests.unit.upstream.script import Talk, talk

X = frozenset({"x"})


class Kept:
    """Sinks that keep what they are given. `log`: in which order."""

    def __init__(self, unwanted: tuple[int, ...] = (), fail_at: str = "") -> None:
        self.log: list[Any] = []
        self.bodies: dict[int, bytes] = {}
        self._unwanted = unwanted
        self._fail_at = fail_at

    async def open(self, uid: int, message: FetchedMessage) -> One | None:
        self.log.append(("open", uid, message))
        return None if uid in self._unwanted else One(self)

    def failing(self, what: str) -> None:
        if what == self._fail_at:
            raise OSError("the disk is full")


class One:
    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._octets = b""

    async def write(self, octets: bytes) -> None:
        await asyncio.sleep(0)
        self._kept.failing("write")
        self._octets += octets

    async def finish(self, message: FetchedMessage) -> None:
        self._kept.failing("finish")
        self._kept.log.append(("finish", message))
        self._kept.bodies[message.uid] = self._octets

    async def abort(self) -> None:
        self._kept.log.append("abort")


BEGIN = "C: A1 UID FETCH 4:6 (UID FLAGS BODY.PEEK[])\n"


def load(
    script: str,
    kept: Kept,
    uids: Ranges = ((4, 6),),
    wants: FetchWants = FLAGS_ONLY,
    **options: Any,
) -> Bodies:
    async def work(client: ImapClient) -> Bodies:
        return await client.fetch_bodies(uids, wants, kept.open)

    return talk(script, work, **options)


def test_bodies_in_any_order() -> None:
    kept = Kept()
    script = """
    S: * 1 FETCH (UID 4 FLAGS (x) BODY[] {9}
    S: * 2 BYE
    S: )
    S: * 2 FETCH (BODY[] {0}
    S:  UID 5 FLAGS (x))
    S: * 3 FETCH (FLAGS (x) BODY[] "a\\"b" UID 6)
    S: A1 OK x
    """
    assert load(BEGIN + script, kept) == Bodies(frozenset({4, 5, 6}))
    assert kept.bodies == {4: b"* 2 BYE\r\n", 5: b"", 6: b'a"b'}
    assert kept.log == [
        ("open", 4, FetchedMessage(4, flags=X)), ("finish", FetchedMessage(4, flags=X)),
        ("open", 0, FetchedMessage(0)), ("finish", FetchedMessage(5, flags=X)),
        ("open", 6, FetchedMessage(6, flags=X)), ("finish", FetchedMessage(6, flags=X)),
    ]  # fmt: skip


def test_bodies_of_uidfetch() -> None:
    kept = Kept()
    assert load(BEGIN + "S: * 4 UIDFETCH (BODY[] {1}\nS: x FLAGS ())\nS: A1 OK x", kept).finished == {4}


def test_what_is_missing_is_told() -> None:
    kept = Kept()
    script = "S: * 1 FETCH (UID 4 BODY[] NIL)\nS: * 2 FETCH (UID 5 FLAGS (x))\nS: A1 OK x"
    assert load(BEGIN + script, kept) == Bodies(frozenset(), (FetchedMessage(4), FetchedMessage(5, flags=X)))
    assert kept.log == []


def test_flags_that_change_meanwhile_are_not_a_missing_body() -> None:
    wants = FetchWants(size=True)
    begin = BEGIN.replace("FLAGS", "FLAGS RFC822.SIZE")
    script = "S: * 2 FETCH (UID 5 FLAGS (x))\nS: * 1 FETCH (UID 4 RFC822.SIZE 1 BODY[] {1}\nS: a)\nS: A1 OK x"
    assert load(begin + script, Kept(), wants=wants) == Bodies(frozenset({4}))


def test_attributes_that_come_apart_are_put_together() -> None:
    kept = Kept()
    script = "S: * 1 FETCH (UID 4 FLAGS (x))\nS: * 1 FETCH (UID 4 BODY[] {1}\nS: a)\nS: A1 OK x"
    load(BEGIN + script, kept)
    assert kept.log[-1] == ("finish", FetchedMessage(4, flags=X))


@pytest.mark.parametrize("row", ["* 1 FETCH (BODY[] {1}\nS: a)", "* 1 FETCH (BODY[] NIL)", '* 1 FETCH (BODY[] "a")'])
def test_who_asks_for_one_knows_which_it_is(row: str) -> None:
    kept = Kept()
    found = load(f"C: A1 UID FETCH 4 (UID FLAGS BODY.PEEK[])\nS: {row}\nS: A1 OK x", kept, ((4, 4),))
    assert [*found.finished, *(message.uid for message in found.missing)] == [4]


def test_a_body_of_nobody_is_given_up() -> None:
    kept = Kept()
    script = "S: * 1 FETCH (BODY[] {1}\nS: a FLAGS ())\nS: * 2 FETCH (BODY[] {1}\nS: b UID 9)\nS: A1 OK x"
    assert load(BEGIN + script, kept) == Bodies(frozenset())
    assert kept.log == [("open", 0, FetchedMessage(0)), "abort", ("open", 0, FetchedMessage(0)), "abort"]


def test_what_was_not_asked_for_is_not_opened() -> None:
    kept = Kept()
    script = "S: * 9 FETCH (UID 9 BODY[] {1}\nS: a)\n" + 2 * "S: * 4 FETCH (UID 4 BODY[] {1}\nS: a)\n" + "S: A1 OK x"
    assert load(BEGIN + script, kept).finished == {4}
    assert [entry[0] for entry in kept.log] == ["open", "finish"]


def test_what_nobody_wants_is_thrown_away() -> None:
    kept = Kept(unwanted=(4,))
    script = "S: * 4 FETCH (UID 4 BODY[] {1}\nS: a)\nS: * 5 FETCH (UID 5 BODY[] {1}\nS: a)\nS: A1 OK x"
    assert load(BEGIN + script, kept) == Bodies(frozenset({5}))


def test_a_body_over_the_limit() -> None:
    kept = Kept()
    script = (
        "S: * 4 FETCH (UID 4 BODY[] {11}\nS: 12345678901 FLAGS (x))\nS: * 5 FETCH (UID 5 BODY[] {1}\nS: a)\nS: A1 OK x"
    )
    found = load(BEGIN + script, kept, limits=replace(ImapLimits(), message=10))
    assert found == Bodies(frozenset({5}), too_big=(FetchedMessage(4, flags=X),))


def test_the_rest_of_a_response_that_cannot_be_read() -> None:
    kept = Kept()
    script = (
        "S: * 4 FETCH (UID 4 BODY[] {1}\nS: a X "
        + "y" * 200_000
        + ")\nS: * 5 FETCH (UID 5 BODY[] {1}\nS: a)\nS: A1 OK x"
    )
    assert load(BEGIN + script, kept).finished == {5}
    assert kept.log[1] == "abort"


@pytest.mark.parametrize("fail_at", ["write", "finish"])
def test_what_a_sink_raises_cuts_the_connection(fail_at: str) -> None:
    kept = Kept(fail_at=fail_at)

    async def main() -> None:
        talking = Talk(BEGIN + "S: * 4 FETCH (UID 4 BODY[] {1}\nS: a)\nS: A1 OK x")
        with pytest.raises(OSError, match="disk"):
            await talking.client.fetch_bodies(((4, 6),), FetchWants(), kept.open)
        assert talking.client.closed
        assert talking.peer.closed
        assert kept.log[-1:] == (["abort"] if fail_at == "write" else kept.log[-1:])
        assert kept.bodies == {}

    asyncio.run(main())


def test_a_connection_that_ends_within_a_body() -> None:
    kept = Kept()
    with pytest.raises(Closed) as error:
        load(BEGIN + "S: * 4 FETCH (UID 4 BODY[] {10}\nS: a\nX:", kept)
    assert error.value.failure is Failure.LOST
    assert kept.log == [("open", 4, FetchedMessage(4)), "abort"]


def test_two_bodies_of_one_message_are_an_error() -> None:
    with pytest.raises(Closed) as error:
        load(BEGIN + "S: * 4 FETCH (UID 4 BODY[] {1}\nS: a BODY[] {1}\nS: b)\nS: A1 OK x", Kept())
    assert error.value.failure is Failure.PROTOCOL


def test_a_refusal_after_some() -> None:
    async def work(client: ImapClient) -> None:
        kept = Kept()
        with pytest.raises(Refused) as error:
            await client.fetch_bodies(((4, 6),), FetchWants(), kept.open)
        assert error.value.failure is Failure.UNAVAILABLE
        assert kept.bodies == {4: b"a"}
        await client.noop()

    talk(BEGIN + "S: * 4 FETCH (UID 4 BODY[] {1}\nS: a)\nS: A1 NO [UNAVAILABLE] x\nC: A2 NOOP\nS: A2 OK x", work)


def test_a_part_at_a_time() -> None:
    script = """
    S: * 6 FETCH (UID 6 BODY[] {1}
    S: a)
    S: A1 OK [MESSAGELIMIT 1 6] x
    C: A2 UID FETCH 4:5 (UID FLAGS BODY.PEEK[])
    S: * 4 FETCH (UID 4 BODY[] {1}
    S: a)
    S: A2 OK x
    """
    assert load(BEGIN + script, Kept(), capabilities="MESSAGELIMIT=1").finished == {4, 6}


def test_the_server_waits_while_a_sink_is_slow() -> None:
    async def main() -> None:
        size = 4 * ENOUGH
        talking = Talk(BEGIN)
        release = asyncio.Event()

        class Slow(One):
            async def write(self, octets: bytes) -> None:
                await release.wait()
                await super().write(octets)

        kept = Kept()

        async def sink(_uid: int, _message: FetchedMessage) -> Slow:
            return Slow(kept)

        loading = asyncio.ensure_future(talking.client.fetch_bodies(((4, 6),), FetchWants(), sink))
        await asyncio.sleep(0)
        left = b"* 4 FETCH (UID 4 BODY[] {%d}\r\n" % size + b"x" * size + b")\r\nA1 OK x\r\n"
        most = 0
        while not loading.done():
            while left and not talking.peer.paused:
                talking.link.data_received(left[:10_000])
                left = left[10_000:]
            most = max(most, talking.link.reader.buffered)
            if talking.peer.paused:
                release.set()
            await asyncio.sleep(0)
        assert (await loading).finished == {4}
        assert len(kept.bodies[4]) == size
        assert talking.peer.pauses >= 2
        assert most <= ENOUGH + 10_000

    asyncio.run(main())


def part(script: str, section: str, *, decoded: bool = False, **options: Any) -> bytes:
    async def work(client: ImapClient) -> bytes:
        return b"".join([octets async for octets in client.fetch_part(4, section, decoded=decoded)])

    return talk(script, work, **options)


@pytest.mark.parametrize(
    ("command", "answer", "section", "decoded", "octets"),
    [
        ("BODY.PEEK[1.2]", "(UID 4 BODY[1.2] {3}\nS: abc)", "1.2", False, b"abc"),
        ("BODY.PEEK[]", "(BODY[] {0}\nS:  UID 4)", "", False, b""),
        ("BODY.PEEK[HEADER]", '(UID 4 BODY[HEADER] "abc")', "HEADER", False, b"abc"),
        ("BODY.PEEK[1.MIME]", "(UID 4 BODY[1.MIME] {3}\nS: abc)", "1.MIME", False, b"abc"),
        ("BINARY.PEEK[2]", "(UID 4 BINARY[2] ~{3}\nS: a\0c)", "2", True, b"a\0c"),
    ],
)
def test_parts(command: str, answer: str, section: str, decoded: bool, octets: bytes) -> None:
    script = f"C: A1 UID FETCH 4 (UID {command})\nS: * 7 FETCH (UID 9 FLAGS ())\nS: * 4 FETCH {answer}\nS: A1 OK x"
    assert part(script, section, decoded=decoded) == octets


@pytest.mark.parametrize("answer", ["", "S: * 4 FETCH (UID 4 BODY[1] NIL)\n", "S: * 4 FETCH (UID 4 FLAGS ())\n"])
def test_no_part(answer: str) -> None:
    with pytest.raises(Refused):
        part(f"C: A1 UID FETCH 4 (UID BODY.PEEK[1])\n{answer}S: A1 OK x", "1")


@pytest.mark.parametrize("section", ["0", "1.", ".1", "1]", "HEADER.FIELDS (X)", "1\r\n", "TEXT.1", "1.0", "MIME"])
def test_no_section(section: str) -> None:
    with pytest.raises(Refused):
        part("", section)


def test_a_part_over_the_limit() -> None:
    with pytest.raises(Closed):
        part(
            "C: A1 UID FETCH 4 (UID BODY.PEEK[1])\nS: * 4 FETCH (UID 4 BODY[1] {11}\n",
            "1",
            limits=replace(ImapLimits(), message=10),
        )


def test_a_body_that_nobody_asked_for_is_collected_within_its_limit() -> None:
    async def work(client: ImapClient) -> None:
        await client.noop()

    talk("C: A1 NOOP\nS: * 4 FETCH (UID 4 BODY[] {2}\nS: ab)\nS: A1 OK x", work)
    with pytest.raises(Closed):
        talk("C: A1 NOOP\nS: * 4 FETCH (UID 4 BODY[] {99999999}\n", work)
