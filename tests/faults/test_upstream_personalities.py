"""Our client and servers of every kind: the same mail, the same flags, whatever they offer, and nothing they forbid."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.model.sequence import Ranges, count, from_numbers
from gateway.outbound.failure import Failure
from gateway.outbound.login import RelayLogin
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Closed, Refused, UpstreamError
from gateway.upstream.reading import ALL
from gateway.upstream.values import FetchedMessage
from gateway.upstream.wants import FetchWants, SearchWants
from tests.faults.upstream_kit import PATIENT, SHORT_FETCH, Kept, kept_open, run, settings
from tests.support.upstream import (
    DOVECOT,
    GMAIL,
    M365,
    NETEASE,
    PERSONALITIES,
    YAHOO,
    Backwards,
    Bomb,
    Bye,
    Cut,
    Deaf,
    Drip,
    EmptyBody,
    FakeUpstream,
    Fault,
    Flood,
    MissingBody,
    NilBody,
    NoUid,
    PermutedCopyuid,
    Personality,
    Refuse,
    Silent,
    Stall,
    Twice,
    Unlisted,
    WrongLength,
    bodies,
    digest,
)
from tests.support.upstream.account import PASSWORD, TOKEN, USER

EVERYTHING = FetchWants(internal_date=True, size=True, modseq=True, ids=True, labels=True, header=("Subject",))
KINDS = list(PERSONALITIES.values()) if isinstance(PERSONALITIES, dict) else list(PERSONALITIES)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def login(kind: Personality) -> RelayLogin:
    token = "AUTH=PLAIN" not in kind.before and "LOGINDISABLED" in kind.before
    return RelayLogin(USER, TOKEN if token else PASSWORD, token=token)


async def opened(server: FakeUpstream, **options: Any) -> ImapClient:
    """Logged in, INBOX selected."""
    times = options.pop("times", PATIENT)
    client = kept_open(
        await ImapClient.connect(settings(server.port, login(server.personality), times=times), **options)
    )
    await client.select(b"INBOX")
    return client


async def rows(client: ImapClient, wants: FetchWants = EVERYTHING, uids: Ranges = ALL) -> dict[int, FetchedMessage]:
    found: dict[int, FetchedMessage] = {}
    async for message in client.fetch(uids, wants):
        assert message.uid not in found
        found[message.uid] = message
    return found


async def pieces(octets: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(octets), 7):
        yield octets[at : at + 7]


def there(server: FakeUpstream) -> dict[int, Any]:
    return dict(server.mailbox("INBOX").places)


@every_kind
def test_reading(kind: Personality) -> None:
    async def main() -> None:
        async with FakeUpstream(kind, mailboxes={"INBOX": 12}) as server:
            uids = sorted(there(server))
            server.set_flags("INBOX", uids[2], ["\\Seen", "a]b"])
            server.expunge("INBOX", uids[5])
            client = await opened(server)
            assert client.selected is not None
            assert client.selected.exists == 11
            kept = Kept()
            told = await client.fetch_bodies(ALL, EVERYTHING, kept.open)
            assert told.finished == set(there(server))
            assert {uid: digest(octets) for uid, octets in kept.bodies.items()} == {
                uid: digest(placed.mail.octets) for uid, placed in there(server).items()
            }
            found = await rows(client)
            assert set(found) == set(there(server))
            for uid, message in found.items():
                assert message == kept.messages[uid]
                assert message.flags == there(server)[uid].mail.flags
                assert message.header is not None
                assert message.header.startswith(b"Subject: ")
            assert await client.search() == from_numbers(there(server))
            assert count(await client.search(SearchWants(seen=True))) == 1
            assert not [message async for message in client.fetch(((10**9, 4294967295),))]
            await client.log_out()
            assert not server.violations

    run(main())


@every_kind
def test_listing(kind: Personality) -> None:
    async def main() -> None:
        async with FakeUpstream(kind, mailboxes={"INBOX": 3}) as server:
            client = kept_open(await ImapClient.connect(settings(server.port, login(kind))))
            found = {mailbox.raw.decode("latin-1"): mailbox for mailbox in await client.list_mailboxes(("MESSAGES",))}
            assert set(found) == set(server.account.mailboxes)
            for raw, box in server.account.mailboxes.items():
                assert {name.lower() for name in box.attributes} <= found[
                    raw
                ].attributes or not kind.quirks.attributes_always
                assert found[raw].selectable == box.selectable
            inbox = next(mailbox for raw, mailbox in found.items() if raw.upper() == "INBOX")
            status = inbox.status or await client.status(inbox.raw, ("MESSAGES",))
            assert status.messages == 3
            assert (await client.namespace() is not None) is client.has("NAMESPACE")
            await client.log_out()
            assert not server.violations

    run(main())


@every_kind
def test_writing(kind: Personality) -> None:
    async def main() -> None:
        async with FakeUpstream(kind, mailboxes={"INBOX": 6}) as server:
            uids = sorted(there(server))
            client = await opened(server)
            assert await client.store(from_numbers(uids[:3]), "add", ["\\Flagged"]) == ()
            await client.store(from_numbers(uids[:1]), "remove", ["\\Flagged"])
            assert ["\\Flagged" in there(server)[uid].mail.flags for uid in uids] == [
                False,
                True,
                True,
                False,
                False,
                False,
            ]
            made = b"Message-ID: <new@here>\r\nSubject: new\r\n\r\nText\r\n"
            target = client.selected.raw if client.selected else b""
            appended = await client.append(target, ["\\Seen"], 1_000_000_000, len(made), pieces(made))
            (new,) = set(there(server)) - set(uids)
            assert there(server)[new].mail.octets == made
            assert appended is None or appended.uid == new
            place = kind.prefix.encode() + b"New &- folder"
            await client.create(place)
            copied = await client.copy(((uids[0], uids[0]),), place)
            assert copied is None or set(copied.uids) == {uids[0]}
            if client.has("MOVE"):
                moved = await client.move(((uids[1], uids[1]),), place)
                assert moved is None or set(moved.uids) == {uids[1]}
                assert uids[1] not in there(server) or kind.gmail
            await client.rename(place, place + b"s")
            await client.delete(place + b"s")
            if client.has("UIDPLUS"):
                await client.store(((uids[2], uids[2]),), "add", ["\\Deleted"])
                await client.expunge(((uids[2], uids[2]),))
                assert uids[2] not in there(server)
            await client.log_out()
            assert not server.violations

    run(main())


@every_kind
def test_news(kind: Personality) -> None:
    async def main() -> None:
        async with FakeUpstream(kind, mailboxes={"INBOX": 4}) as server:
            client = await opened(server)
            if not client.has("IDLE"):
                server.deliver("INBOX")
                await client.noop()
                assert client.take_news().exists == 5
                await client.log_out()
                return
            idling = asyncio.ensure_future(client.idle(60))
            await server.until_idle()
            server.deliver("INBOX")
            assert await idling
            assert client.take_news().exists == 5
            idling = asyncio.ensure_future(client.idle(60))
            await server.until_idle()
            client.interrupt()
            assert not await idling
            if not kind.quirks.idle_hides_expunge:
                idling = asyncio.ensure_future(client.idle(60))
                await server.until_idle()
                server.expunge("INBOX", sorted(there(server))[0])
                assert await idling
                news = client.take_news()
                assert news.expunged == 1
                assert client.selected is not None
                assert client.selected.exists == 4
            await client.log_out()
            assert not server.violations

    run(main())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "QRESYNC" in kind.after], ids=lambda kind: kind.name)
def test_what_changed_since(kind: Personality) -> None:
    async def main() -> None:
        async with FakeUpstream(kind, mailboxes={"INBOX": 8}) as server:
            client = await opened(server)
            assert client.selected is not None
            since = client.selected.highest_modseq
            assert since is not None
            uids = sorted(there(server))
            server.set_flags("INBOX", uids[1], ["\\Answered"])
            server.expunge("INBOX", [uids[2], uids[7]])
            client.take_news()
            asked = client.has("QRESYNC")
            found = await client.changes(since, vanished=asked)
            assert [(message.uid, message.flags) for message in found.messages] == [(uids[1], {"\\Answered"})]
            assert found.vanished == (from_numbers([uids[2], uids[7]]) if asked else None)
            await client.log_out()
            assert not server.violations

    run(main())


def test_yahoo_shows_all() -> None:
    async def main() -> None:
        kind = YAHOO.quirk(visible=10, message_limit=7)
        kind = kind.replace(after=kind.after.replace("MESSAGELIMIT=1000", "MESSAGELIMIT=7"))
        async with FakeUpstream(kind, mailboxes={"INBOX": 40}) as server:
            server.expunge("INBOX", sorted(there(server))[3:20:2])
            client = await opened(server)
            assert client.enabled == {"UIDONLY"}
            assert set(await rows(client)) == set(there(server))
            assert await client.search() == from_numbers(there(server))
            kept = Kept()
            uids = from_numbers(sorted(there(server))[:7])
            assert (await client.fetch_bodies(uids, FetchWants(), kept.open)).finished == set(sorted(there(server))[:7])
            await client.store(uids, "add", ["\\Seen"])
            assert sum("\\Seen" in placed.mail.flags for placed in there(server).values()) == 7
            assert not server.violations
            client.abort()

    run(main())


def test_gmail_labels() -> None:
    async def main() -> None:
        async with FakeUpstream(GMAIL, mailboxes={"INBOX": 2}) as server:
            client = await opened(server)
            (uid, *_) = sorted(there(server))
            await client.store_labels(((uid, uid),), "add", ["\\Starred", "Ä b"])
            labels = (await rows(client))[uid].labels
            assert labels is not None
            assert {"\\Starred", "Ä b"} <= labels
            assert not server.violations
            client.abort()

    run(main())


def test_netease_wants_to_know_who_we_are() -> None:
    async def main() -> None:
        async with FakeUpstream(NETEASE, mailboxes={"INBOX": 1}) as server:
            client = kept_open(await ImapClient.connect(settings(server.port, login(NETEASE)), distrust=["id"]))
            with pytest.raises(Refused):
                await client.select(b"INBOX")
            client.abort()
            (await opened(server)).abort()

    run(main())


@pytest.mark.parametrize(
    ("fault", "missing"),
    [
        (NilBody("FETCH", where=bodies), {2}),
        (MissingBody("FETCH", where=bodies), {2}),
        (Unlisted("FETCH", where=bodies), set()),
        (EmptyBody("FETCH", where=bodies), set()),
        (Twice("FETCH", where=bodies), set()),
        (Backwards("FETCH", where=bodies), set()),
        (Drip("FETCH", where=bodies, octets=50, seconds=0), set()),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
def test_bodies_that_are_not_as_they_should_be(fault: Any, missing: set[int]) -> None:
    async def main() -> None:
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}, faults=[fault]) as server:
            if hasattr(fault, "uid"):
                fault.uid = 2
            client = await opened(server)
            kept = Kept()
            told = await client.fetch_bodies(ALL, EVERYTHING, kept.open)
            assert fault.fired
            assert {message.uid for message in told.missing} == missing
            gone = {2} if isinstance(fault, Unlisted) else missing
            assert told.finished == {1, 2, 3} - gone
            for uid in told.finished:
                empty = uid == 2 and isinstance(fault, EmptyBody)
                assert kept.bodies[uid] == (b"" if empty else there(server)[uid].mail.octets)
                assert kept.messages[uid].header is not None
            assert kept.aborted == 0
            await client.noop()
            client.abort()

    run(main())


def test_bodies_of_nobody_knows_whom() -> None:
    async def main() -> None:
        async with FakeUpstream(
            DOVECOT, mailboxes={"INBOX": 3}, faults=[NoUid("FETCH", where=bodies, times=0)]
        ) as server:
            client = await opened(server)
            kept = Kept()
            assert not (await client.fetch_bodies(ALL, FetchWants(), kept.open)).finished
            assert kept.aborted == 3
            assert (await client.fetch_bodies(((2, 2),), FetchWants(), kept.open)).finished == {2}
            client.abort()

    run(main())


@pytest.mark.parametrize(
    ("fault", "failures"),
    [
        (Cut("FETCH", octets=99, where=bodies), {Failure.LOST}),
        (Cut("FETCH", octets=9, literal=True, where=bodies, clean=True), {Failure.LOST}),
        (Stall("FETCH", octets=9, literal=True, where=bodies), {Failure.TIMEOUT}),
        (Bomb("FETCH", where=bodies), {Failure.PROTOCOL}),
        (WrongLength("FETCH", where=bodies, by=4), {Failure.PROTOCOL, Failure.TIMEOUT}),
        (WrongLength("FETCH", where=bodies, by=5000), {Failure.PROTOCOL, Failure.TIMEOUT}),
        (Bye("FETCH", where=bodies), {Failure.BYE}),
        (Flood("FETCH", where=bodies), {Failure.PROTOCOL}),
        (Flood("FETCH", text=b"* OK x\r\n", start=b"", where=bodies), {Failure.PROTOCOL}),
        (Refuse("FETCH", "NO [UNAVAILABLE] Server error", where=bodies), {Failure.UNAVAILABLE}),
        (Refuse("FETCH", "BAD User is authenticated but not connected.", where=bodies), {Failure.MAILBOX_UNREACHABLE}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Fault) else "",
)
def test_what_ends_it(fault: Fault, failures: set[Failure]) -> None:
    async def main() -> None:
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}, faults=[fault]) as server:
            client = await opened(server, times=SHORT_FETCH)
            kept = Kept()
            with pytest.raises(UpstreamError) as error:
                await client.fetch_bodies(ALL, FetchWants(), kept.open)
            assert error.value.failure in failures
            assert client.closed is isinstance(error.value, Closed)
            for uid, octets in kept.bodies.items():
                assert octets == there(server)[uid].mail.octets or isinstance(fault, WrongLength)
            client.abort()
            if fault.reached.is_set():
                server.disarm()
                again = await opened(server)
                assert len(await rows(again)) == 3
                again.abort()

    run(main())


def test_sessions_end_and_begin() -> None:
    async def main() -> None:
        async with FakeUpstream(M365, mailboxes={"INBOX": 1}) as server:
            client = await opened(server)
            idling = asyncio.ensure_future(client.idle(60))
            await server.until_idle()
            server.bye()
            with pytest.raises(Closed) as error:
                await idling
            assert (error.value.failure, "AccessTokenExpired" in error.value.said) == (Failure.BYE, True)
            await server.stop()
            with pytest.raises(Closed) as error:
                await opened(server)
            assert error.value.failure is Failure.REFUSED
            await server.start()
            server.refuse_login = "NO AUTHENTICATE failed."
            with pytest.raises(Closed) as error:
                await opened(server)
            assert error.value.failure is Failure.AUTH_OAUTH
            server.refuse_login = ""
            server.max_connections = 1
            client = await opened(server)
            with pytest.raises(UpstreamError) as refused:
                await opened(server)
            assert refused.value.failure is Failure.LIMIT
            client.abort()

    run(main())


def test_a_deaf_idle_is_seen_by_who_compares() -> None:
    async def main() -> None:
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 1}, faults=[Deaf("IDLE")]) as server:
            client = await opened(server)
            idling = asyncio.ensure_future(client.idle(60))
            await server.until_idle()
            server.deliver("INBOX")
            client.interrupt()
            await idling
            await client.noop()
            assert client.selected is not None
            assert client.selected.exists == 2
            client.abort()

    run(main())


def test_answers_that_say_nothing() -> None:
    async def main() -> None:
        faults: list[Fault] = [Silent("LIST"), Silent("LSUB"), Silent("SEARCH"), PermutedCopyuid("COPY")]
        async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 2, "x": 0}, faults=faults) as server:
            client = await opened(server)
            assert await client.list_mailboxes() == []
            assert await client.search() == ()
            copied = await client.copy(((1, 2),), b"x")
            assert copied is not None
            assert copied.uids == {1: 2, 2: 1}
            client.abort()

    run(main())
