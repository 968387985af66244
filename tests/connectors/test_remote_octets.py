"""Messages out of an account and into it: octet for octet, in pieces, and what happens when the connection ends."""

from __future__ import annotations

import base64
import itertools
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from email.message import EmailMessage
from typing import Any

import pytest

from gateway.connectors.remote.errors import RemoteFailed, ValidityChanged
from gateway.model.errors import InvalidRequest, NotFound, TooBig
from gateway.outbound.failure import Failure
from tests.connectors.remote_kit import Hand, at, chunks, collected, hand, uid
from tests.connectors.test_remote_actions import everywhere, flags_of, uids_of
from tests.support.upstream import (
    DOVECOT,
    GMAIL,
    HMAIL,
    NETEASE,
    PLAIN,
    Bye,
    Cut,
    Do,
    Drop,
    FakeUpstream,
    NilBody,
    Personality,
    Refuse,
    Stall,
    UpstreamProcess,
    bodies,
    example,
)

pytestmark = pytest.mark.usefixtures("runner")

BIG = 20 * 1024 * 1024
ROOM = 4 * 1024 * 1024
"""Octets that our process may use for a message of 20 MB."""


def letter() -> bytes:
    """A text, a picture and a forwarded message."""
    inner = EmailMessage()
    inner["From"], inner["Subject"] = "c@d.test", "inner"
    inner.set_content("grüße\n", cte="quoted-printable")
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"], mail["Message-ID"] = "a@b.test", "x@y.test", "parts", "<parts@b.test>"
    mail.set_content("Zoë = " + "x" * 200 + "\n", cte="quoted-printable")
    mail.add_attachment(bytes(range(256)) * 40, maintype="image", subtype="png", filename="a.png")
    mail.add_attachment(inner)
    return mail.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@everywhere
async def test_a_message_comes_octet_for_octet(kind: Personality) -> None:
    octets = letter()
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": [example(), octets]})) as it:
        number = uids_of(it.server)[1]
        async with it.open() as actions:
            _, validity, facts = await actions.message("INBOX", at("*"))
            assert (facts.uid, facts.subject) == (number, "parts")
            assert await collected(actions.octets(facts.uid)) == octets
            await actions.message("INBOX", uid(number), expect=validity)
            raw = await collected(actions.octets(number, "2"))
            assert base64.b64decode(raw) == bytes(range(256)) * 40
            assert await collected(actions.octets(number, "2", decoded=True)) == bytes(range(256)) * 40
            text = await collected(actions.octets(number, "1", decoded=True))
            assert text.decode().replace("\r\n", "\n") == "Zoë = " + "x" * 200 + "\n"
            assert b"=C3=AB" in await collected(actions.octets(number, "1"))
            assert await collected(actions.octets(number, "3.1", decoded=True)) == "grüße\r\n".encode()
            for missing in ("4", "2.7"):
                with pytest.raises(NotFound, match=f"no part {missing}"):
                    await collected(actions.octets(number, missing))
        assert "\\Seen" not in flags_of(it.server, number)


async def test_the_part_of_a_message_without_parts_is_decoded_by_its_header() -> None:
    mail = b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\naGVsbG8=\r\n"
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": [mail, example()]})) as it, it.open() as actions:
        await actions.message("INBOX", at("1"))
        assert await collected(actions.octets(1, "1", decoded=True)) == b"hello"
        assert await collected(actions.octets(2, "1", decoded=True)) == b"Hello.\r\n"


async def test_what_is_asked_wrongly_is_refused() -> None:
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 2})) as it, it.open() as actions:
        for part in ("0", "1.", "HEADER", "1 BODY[]", "TEXT]", "1.HEADER"):
            with pytest.raises(InvalidRequest):
                actions.octets(1, part)
        with pytest.raises(InvalidRequest):
            actions.octets(1, decoded=True)
        with pytest.raises(InvalidRequest, match="one message"):
            await actions.message("INBOX", at("1:2"))
        with pytest.raises(NotFound):
            await actions.message("INBOX", uid(77))


@everywhere
async def test_a_message_is_filed_and_found(kind: Personality) -> None:
    octets = letter()
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 2})) as it:
        server = it.server
        async with it.open() as actions:
            filed = await actions.append(
                "INBOX", len(octets), chunks(octets, 100), flags=["\\Seen", "$Kept"], date=1_500_000_000
            )
            assert filed.uid == uids_of(server)[-1], "also where the server does not tell"
            assert filed.uidvalidity == server.account.mailbox("INBOX").uidvalidity
            again = await actions.append("inbox", len(octets), chunks(octets), expect=filed.uidvalidity)
            assert again.uid == uids_of(server)[-1] != filed.uid
            with pytest.raises(ValidityChanged):
                await actions.append("INBOX", len(octets), chunks(octets), expect=filed.uidvalidity + 1)
        mail = server.account.mailbox("INBOX").places[filed.uid].mail
        assert (mail.octets, mail.flags, mail.internal_date) == (octets, {"\\Seen", "$Kept"}, 1_500_000_000)
        assert len(server.commands("APPEND")) == 2


async def test_a_message_without_an_id_is_filed_all_the_same() -> None:
    octets = b"Subject: none\r\n\r\nx\r\n"
    for kind in (HMAIL, PLAIN, NETEASE.without("UIDPLUS")):
        async with hand(FakeUpstream(kind)) as it, it.open() as actions:
            filed = await actions.append("INBOX", len(octets), chunks(octets))
            assert (filed.uid, len(uids_of(it.server))) == (None, 1)


async def test_too_big_is_said_before_anything_is_sent() -> None:
    async def never() -> AsyncIterator[bytes]:
        raise AssertionError("nothing may be asked for")
        yield b""

    async with hand(FakeUpstream(GMAIL)) as it, it.open() as actions:
        with pytest.raises(TooBig, match="35651584"):
            await actions.append("INBOX", 35_651_585, never())
        with pytest.raises(InvalidRequest):
            await actions.append("INBOX", 0, never())
        assert not it.server.commands("APPEND")


async def test_octets_that_end_early_file_nothing() -> None:
    async with hand(FakeUpstream(DOVECOT)) as it:
        with pytest.raises(RemoteFailed) as caught:
            async with it.open() as actions:
                await actions.append("INBOX", 1_000, chunks(b"x" * 999))
        assert caught.value.failure is Failure.LOST
        assert "not known" not in str(caught.value)
        assert uids_of(it.server) == []


CUTS: list[tuple[Any, str, Failure, str]] = [
    (lambda: Cut("FETCH", octets=500, literal=True, where=bodies), "download", Failure.LOST, "closed the connection"),
    (lambda: Bye("SEARCH"), "download", Failure.BYE, "Server shutting down"),
    (lambda: Refuse("FETCH", "NO [UNAVAILABLE] later", where=bodies), "download", Failure.UNAVAILABLE, "outage"),
    (lambda: Drop("LITERAL"), "append", Failure.LOST, "closed the connection"),
    (lambda: Drop("APPEND"), "append", Failure.LOST, "The message is not there."),
    (lambda: Drop("MOVE"), "move", Failure.LOST, "closed the connection"),
    (lambda: Drop("COPY"), "copy", Failure.LOST, "look into Work before you go on"),
    (lambda: Refuse("MOVE", "NO [OVERQUOTA] Quota exceeded"), "move", Failure.LIMIT, "quota"),
    (lambda: Refuse("AUTH", "NO [AUTHENTICATIONFAILED] no"), "status", Failure.AUTH_REJECTED, "user name and password"),
    (lambda: Refuse("OPEN", "NO [THROTTLED] Backoff Time: 4000 ms"), "move", Failure.THROTTLED, "pause of 4 seconds"),
]


async def done(actions: Any, action: str, octets: bytes) -> None:
    if action == "download":
        await actions.message("INBOX", at("1"))
        await collected(actions.octets(1))
    elif action == "append":
        await actions.append("INBOX", len(octets), chunks(octets))
    elif action == "move":
        await actions.move("INBOX", at("1"), "Work")
    elif action == "copy":
        await actions.copy("INBOX", at("1"), "Work")
    else:
        await actions.status("INBOX")


@pytest.mark.parametrize(
    ("fault", "action", "failure", "said"), CUTS, ids=[f"{number}-{row[1]}" for number, row in enumerate(CUTS)]
)
async def test_failures_have_their_class_and_advice(fault: Any, action: str, failure: Failure, said: str) -> None:
    octets = example(body="hello\r\n" * 500)
    kind = DOVECOT.without("LITERAL+")
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": [octets], "Work": 0}, faults=[fault()])) as it:
        with pytest.raises(RemoteFailed) as caught:
            async with it.open() as actions:
                await done(actions, action, octets)
        assert caught.value.failure is failure
        assert said in str(caught.value)
        assert str(caught.value).startswith(f"{failure.value}: ")
        async with it.open() as actions:  # the next one is not concerned
            await done(actions, action, octets)


@pytest.mark.parametrize("kind", [DOVECOT, HMAIL], ids=lambda kind: kind.name)
async def test_a_message_whose_answer_was_lost_is_looked_for_and_found(kind: Personality) -> None:
    octets = letter()
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": [octets]})) as it:
        it.server.arm(Drop("APPEND", when="after"))
        async with it.open() as actions:
            filed = await actions.append("INBOX", len(octets), chunks(octets))
            assert (filed.uid, uids_of(it.server)) == (2, [1, 2]), "not the one that was there before"
            assert (await actions.message("INBOX", uid(2)))[2].subject == "parts"
        assert it.server.connections == 2


async def test_a_message_that_cannot_be_looked_for_is_left_open() -> None:
    async def lost(octets: bytes, *faults: Any) -> str:
        async with hand(FakeUpstream(DOVECOT, faults=[Drop("APPEND", when="after"), *faults])) as it:
            with pytest.raises(RemoteFailed) as caught:
                async with it.open() as actions:
                    await actions.append("INBOX", len(octets), chunks(octets))
            assert caught.value.failure is Failure.LOST
            return str(caught.value)

    unknown = "search for it before trying again"
    assert unknown in await lost(b"Subject: no id\r\n\r\nx\r\n")
    assert unknown in await lost(letter(), Refuse("AUTH", nth=2))
    assert unknown in await lost(letter(), Do("STATUS", lambda server: server.renumber("INBOX"), nth=2))


async def test_a_move_that_ends_in_the_middle_says_where_the_messages_are() -> None:
    for command in ("STORE", "COPY"):
        async with hand(FakeUpstream(HMAIL, mailboxes={"INBOX": 2, "Work": 0})) as it:
            it.server.arm(Drop(command))
            with pytest.raises(RemoteFailed) as caught:
                async with it.open() as actions:
                    await actions.move("INBOX", at("1:2"), "Work")
            told = "2 were copied to Work, and are where they were too" in str(caught.value)
            assert told is (command == "STORE")
            assert (len(uids_of(it.server)), len(uids_of(it.server, "Work"))) == (2, 2 if told else 0)


async def test_a_copy_that_is_refused_in_the_middle_tells_how_far_it_came() -> None:
    kind = DOVECOT.replace(after=DOVECOT.after + " MESSAGELIMIT=2")
    async with hand(FakeUpstream(kind, mailboxes={"INBOX": 5, "Work": 0})) as it:
        it.server.arm(Refuse("COPY", "NO [OVERQUOTA] full", nth=2))
        with pytest.raises(RemoteFailed, match="2 of 5 messages were copied before"):
            async with it.open() as actions:
                await actions.copy("INBOX", at("1:5"), "Work")
        assert len(uids_of(it.server, "Work")) == 2


async def test_a_body_that_the_server_does_not_give_is_not_an_empty_one() -> None:
    server = FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}, faults=[NilBody(times=0)])
    async with hand(server) as it, it.open() as actions:
        await actions.message("INBOX", at("1"))
        with pytest.raises(NotFound):
            await collected(actions.octets(1))


async def test_a_server_that_stalls_is_left_at_its_deadline() -> None:
    from tests.connectors.kit import TIMES

    times = type(TIMES)(*(0.3,) * 9)
    async with hand(FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}, faults=[Stall("SEARCH")]), times=times) as it:
        with pytest.raises(RemoteFailed) as caught:
            async with it.open() as actions:
                await actions.message("INBOX", at("1"))
        assert caught.value.failure is Failure.TIMEOUT


class _Process:
    """What `Hand` needs of a server in a process of its own."""

    def __init__(self, upstream: UpstreamProcess) -> None:
        from tests.support.upstream.account import Account

        self.personality, self.port, self.account = DOVECOT, upstream.port, Account()


def big() -> AsyncIterator[bytes]:
    line = b"x" * 1_022 + b"\r\n"

    async def produced() -> AsyncIterator[bytes]:
        yield b"Subject: big\r\nMessage-ID: <big@b.test>\r\n\r\n"
        for _ in range(BIG // 65_536):
            yield line * 64

    return produced()


async def test_twenty_megabytes_pass_through_without_being_held() -> None:
    size = len(b"Subject: big\r\nMessage-ID: <big@b.test>\r\n\r\n") + BIG
    with UpstreamProcess() as upstream:
        it = Hand(_Process(upstream))  # type: ignore[arg-type]
        tracemalloc.start()
        try:
            async with it.open() as actions:
                filed = await actions.append("INBOX", size, big())
                tracemalloc.reset_peak()
                await actions.message("INBOX", uid(filed.uid or 0))
                passed = 0
                async with aclosing(actions.octets(filed.uid or 0)) as parts:
                    async for part in parts:
                        passed += len(part)
            assert passed == size
            assert tracemalloc.get_traced_memory()[1] < ROOM
            tracemalloc.reset_peak()
            async with it.open() as actions:
                await actions.append("INBOX", size, big())
            assert tracemalloc.get_traced_memory()[1] < ROOM
        finally:
            tracemalloc.stop()
        assert [found for found, _ in itertools.groupby(upstream.call("digests").values())] == [2]


