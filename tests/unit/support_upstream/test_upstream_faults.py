"""Each fault of the scripted upstream, on the wire."""

from __future__ import annotations

import ast
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.support.upstream import (
    DOVECOT,
    Backwards,
    Bomb,
    Bye,
    Cut,
    Deaf,
    Do,
    Drip,
    Drop,
    EmptyBody,
    FakeUpstream,
    Fault,
    Flood,
    MissingBody,
    NilBody,
    NoUid,
    OtherBody,
    PermutedCopyuid,
    Refuse,
    Rewrite,
    Silent,
    Stall,
    Twice,
    Unlisted,
    WrongLength,
    bodies,
    example,
    zero_exists,
)
from tests.unit.support_upstream.raw import Raw, connected, selected

MAIL = example(1, body="0123456789\r\n")


def with_selected(test: Callable[[FakeUpstream, Raw], Awaitable[None]], *faults: Fault) -> FakeUpstream:
    """`test` with three messages in INBOX, which is selected; the faults are armed then."""
    server = FakeUpstream(DOVECOT, mailboxes={"INBOX": [MAIL, example(2), example(3)]})

    async def run() -> None:
        async with server, selected(server) as client:
            server.arm(*faults)
            await test(server, client)

    asyncio.run(run())
    return server


FETCH = "f UID FETCH 1 (UID BODY.PEEK[])"
OK = "f OK UID FETCH completed"
SIZE = len(MAIL)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (NilBody(), ["* 1 FETCH (UID 1 BODY[] NIL)", OK]),
        (EmptyBody(), ["* 1 FETCH (UID 1 BODY[] {0}\r\n)", OK]),
        (OtherBody(octets=b"X: y\r\n"), [f"* 1 FETCH (UID 1 BODY[] {{{SIZE + 6}}}\r\nX: y\r\n{MAIL.decode()})", OK]),
        (MissingBody(), ["* 1 FETCH (UID 1)", OK]),
        (Unlisted(), [OK]),
        (Silent("FETCH"), [OK]),
        (Twice(), [f"* 1 FETCH (UID 1 BODY[] {{{SIZE}}}\r\n{MAIL.decode()})"] * 2 + [OK]),
        (NoUid(), [f"* 1 FETCH (BODY[] {{{SIZE}}}\r\n{MAIL.decode()})", OK]),
        (Backwards(), [f"* 1 FETCH (BODY[] {{{SIZE}}}\r\n{MAIL.decode()} UID 1)", OK]),
        (Refuse("FETCH", "NO [UNAVAILABLE] later"), ["f NO [UNAVAILABLE] later"]),
        (Refuse("FETCH", "BAD Request is throttled", where=bodies), ["f BAD Request is throttled"]),
        (Drip("FETCH", octets=50, seconds=0.0), [f"* 1 FETCH (UID 1 BODY[] {{{SIZE}}}\r\n{MAIL.decode()})", OK]),
        (Bye("FETCH", "Going down"), ["* BYE Going down"]),
        (Drop("FETCH"), []),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
def test_one_answer_is_wrong_and_the_next_is_right(fault: Fault, expected: list[str]) -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert await client.ask(FETCH) == expected
        if expected and expected[-1].startswith("f "):
            assert await client.ask(FETCH) == [f"* 1 FETCH (UID 1 BODY[] {{{SIZE}}}\r\n{MAIL.decode()})", OK]
        assert fault.fired == 1

    with_selected(test, fault)


@pytest.mark.parametrize(("by", "told"), [(-5, SIZE - 5), (7, SIZE + 7)])
def test_a_literal_of_another_length_than_it_says(by: int, told: int) -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(FETCH.encode() + b"\r\nn NOOP\r\n")
        assert await client.line() == f"* 1 FETCH (UID 1 BODY[] {{{told}}}\r\n".encode()
        assert (await client.reader.readuntil(b"n OK NOOP completed\r\n")).startswith(MAIL + b")\r\nf OK")

    with_selected(test, WrongLength(by=by))


def test_a_literal_bomb() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(FETCH.encode() + b"\r\n")
        assert await client.line() == b"* 1 FETCH (UID 1 BODY[] {4294967295}\r\n"

    with_selected(test, Bomb())


@pytest.mark.parametrize("clean", [True, False])
def test_cut_within_a_body(clean: bool) -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(FETCH.encode() + b"\r\n")
        start = f"* 1 FETCH (UID 1 BODY[] {{{SIZE}}}\r\n".encode()
        assert await client.reader.readexactly(len(start) + 9) == start + MAIL[:9]
        if clean:
            assert await client.rest() == b""
        else:
            with pytest.raises(ConnectionResetError):
                await client.rest()

    with_selected(test, Cut("FETCH", octets=9, literal=True, clean=clean))


def test_stalled_until_it_is_released() -> None:
    fault = Stall("FETCH", octets=4)

    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(FETCH.encode() + b"\r\n")
        await fault.reached.wait()
        assert await client.reader.readexactly(4) == b"* 1 "
        fault.released.set()
        assert (await client.until("f "))[-1] == OK

    with_selected(test, fault)


def test_a_stall_ends_with_its_client() -> None:
    fault = Stall("SELECT")

    async def run() -> None:
        async with FakeUpstream(faults=[fault]) as server:
            async with connected(server) as client:
                await client.login()
                client.send(b"s SELECT INBOX\r\n")
                await fault.reached.wait()
            await server.until(lambda: not server.sessions)

    asyncio.run(run())


@pytest.mark.parametrize("when", ["after", "told"])
def test_what_is_done_and_not_told(when: str) -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        told = await client.ask("c UID COPY 1 Archive")
        assert [line.startswith("c OK [COPYUID") for line in told] == ([] if when == "after" else [True])
        assert await client.line() == b""

    server = with_selected(test, Drop("COPY", when=when))
    assert len(server.snapshot()["Archive"]) == 1


def test_uidvalidity_changes_in_the_middle() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert (await client.ask("a UID FETCH 1 UID"))[-1].startswith("a OK")
        assert (await client.ask("b UID FETCH 2 UID"))[0].startswith("* BYE")

    server = with_selected(test, Do("FETCH", lambda server: server.renumber("INBOX", first=100), nth=2))
    assert list(server.snapshot()["INBOX"]) == [100, 101, 102]


def test_the_nth_time_and_for_how_long() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        answers = [(await client.ask(f"n{number} NOOP"))[-1].split()[1] for number in range(5)]
        assert answers == ["OK", "NO", "NO", "OK", "OK"]
        server.arm(Refuse("", times=0))
        assert [(await client.ask("x CHECK"))[-1].split()[1] for _ in range(3)] == ["NO"] * 3

    with_selected(test, Refuse("NOOP", nth=2, times=2))


def test_faults_compose() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        found = await client.ask("f UID FETCH 1:3 (UID BODY.PEEK[])")
        assert found[0] == "* 1 FETCH (UID 1 BODY[] NIL)"
        assert [line.split(" ")[1] for line in found[1:-1]] == ["3", "3"]

    with_selected(test, NilBody(uid=1), Unlisted(uid=2), Rewrite("FETCH", lambda line: line), _TwiceThird())


class _TwiceThird(Twice):
    def items(self, uid: int, items: list[tuple[str, bytes]]) -> list[list[tuple[str, bytes]]]:
        return super().items(uid, items) if uid == 3 else [items]


def test_exists_drops_to_zero_and_list_is_empty_once() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert "* 0 EXISTS" in await client.ask("a SELECT INBOX")
        assert "* 3 EXISTS" in await client.ask("b SELECT INBOX")
        assert await client.ask('c LIST "" *') == ["c OK LIST completed"]
        assert len(await client.ask('d LIST "" *')) > 1

    with_selected(test, zero_exists("OPEN"), Silent("LIST"))


def test_a_permuted_copyuid() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        told = await client.ask("m UID MOVE 1:2 Archive")
        assert told[0].split("]")[0].endswith(" 1:2 2,1")

    server = with_selected(test, PermutedCopyuid("MOVE"))
    assert list(server.snapshot()["Archive"]) == [1, 2]


def test_a_deaf_idle() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling\r\n"
        server.deliver()
        client.send(b"DONE\r\n")
        assert await client.until("i ") == ["* 4 EXISTS", "i OK IDLE completed"]

    with_selected(test, Deaf())


def test_heartbeats_and_nonsense_in_idle() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(b"i IDLE\r\n")
        await client.line()
        for line in ("OK Still here", "99 EXPUNGE"):
            server.push(line)
            assert await client.line() == f"* {line}\r\n".encode()
        client.send(b"DONE\r\n")
        assert await client.until("i ") == ["i OK IDLE completed"]

    with_selected(test)


def test_a_literal_is_refused_before_it_is_sent() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        assert await client.ask("a APPEND INBOX {1000}") == ["a NO [TOOBIG] too much"]
        assert await client.ask("b NOOP") == ["b OK NOOP completed"]

    with_selected(test, Refuse("LITERAL", "NO [TOOBIG] too much"))


def test_a_greeting_without_end() -> None:
    async def run() -> None:
        async with FakeUpstream(faults=[Flood("GREETING")]) as server, connected(server) as client:
            octets = await client.reader.readexactly(2_000_000)
            assert octets.startswith(b"* OK xxx")
            assert b"\n" not in octets

    asyncio.run(run())


def test_bye_by_itself() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        client.send(b"i IDLE\r\n")
        await client.line()
        async with selected(server) as other:
            await server.until_idle()
            server.bye()
            assert await client.line() == b"* BYE Session invalidated - AccessTokenExpired\r\n"
            assert await other.line() == b"* BYE Session invalidated - AccessTokenExpired\r\n"
            assert await client.line() == await other.line() == b""

    with_selected(test)


def test_it_shares_no_code_with_what_it_witnesses() -> None:
    for file in (Path(__file__).parents[2] / "support" / "upstream").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] == "gateway"], file


def test_throttled_in_the_providers_words() -> None:
    async def test(server: FakeUpstream, client: Raw) -> None:
        server.throttle("FETCH", times=2)
        assert [await client.ask(f"{tag} UID FETCH 1 UID") for tag in "abc"] == [
            [f"a {DOVECOT.backoff}"], [f"b {DOVECOT.backoff}"], ["* 1 FETCH (UID 1)", "c OK UID FETCH completed"]]

    with_selected(test)


def test_what_happens_during_a_command_may_wait() -> None:
    async def late(server: FakeUpstream) -> None:
        await server.until_command("NOOP")
        server.deliver()

    async def test(server: FakeUpstream, client: Raw) -> None:
        async with selected(server) as other:
            client.send(b"f UID FETCH 1 UID\r\n")
            await server.until_command("FETCH")
            await other.ask("n NOOP")
            assert await client.until("f ") == ["* 1 FETCH (UID 1)", "* 4 EXISTS", OK]

    with_selected(test, Do("FETCH", late, when="after"))
