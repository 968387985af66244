"""Our client and a real Dovecot: in the clear, over TLS, after STARTTLS; everything a connector does with a server."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from gateway.model.sequence import from_numbers
from gateway.outbound.failure import Failure
from gateway.outbound.login import Mechanism, RelayLogin
from gateway.outbound.tls import Security
from gateway.upstream import names
from gateway.upstream.client import ImapClient
from gateway.upstream.errors import Closed, Refused
from gateway.upstream.reading import ALL
from gateway.upstream.transcript import Transcript
from gateway.upstream.values import Appended, Copied
from gateway.upstream.wants import FetchWants, SearchWants
from tests.faults.upstream_kit import Kept, kept_open, run, settings
from tests.servers.dovecot import Dovecot, running_dovecot
from tests.servers.process import PeerMissing

SMALL = b"Message-ID: <%d@x>\r\nSubject: number %d\r\n\r\nText of %d\r\n"
_COMPRESS = """
mail_plugins = zlib
protocol imap {
  mail_plugins = zlib imap_zlib
}
"""
LARGE = 20 * 1024 * 1024


@pytest.fixture(scope="module")
def dovecot(missing: Callable[[str], None]) -> Iterator[Dovecot]:
    try:
        with running_dovecot(_COMPRESS) as server:
            yield server
    except PeerMissing as absent:
        missing(str(absent))


async def connect(
    dovecot: Dovecot, user: str, security: Security = Security.TLS, mechanism: Mechanism = Mechanism.AUTO,
    *, password: str | None = None, compress: bool = False, transcript: Transcript | None = None,
) -> ImapClient:  # fmt: skip
    port = dovecot.imaps if security is Security.TLS else dovecot.imap
    login = RelayLogin(user, password or dovecot.password, mechanism)
    endpoint = settings(port, login, security, ca=dovecot.ca)
    return kept_open(await ImapClient.connect(endpoint, compress=compress, transcript=transcript))


async def pieces(octets: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(octets), 100_000):
        yield octets[at : at + 100_000]


async def append(client: ImapClient, octets: bytes, *flags: str, raw: bytes = b"INBOX") -> int:
    made = await client.append(raw, flags, 1_000_000_000, len(octets), pieces(octets))
    assert isinstance(made, Appended)
    return made.uid


@pytest.mark.parametrize("security", list(Security))
def test_a_life(dovecot: Dovecot, security: Security) -> None:
    async def main() -> None:
        client = await connect(dovecot, f"life-{security}", security)
        assert client.enabled == {"QRESYNC"}
        assert client.server_id["name"] == "Dovecot"
        assert (client.tls_info is not None) is (security is not Security.NONE)
        listed = {mailbox.raw: mailbox for mailbox in await client.list_mailboxes(("MESSAGES", "UIDNEXT"))}
        assert "\\sent" in listed[b"Sent"].attributes
        assert listed[b"INBOX"].status is not None
        assert listed[b"INBOX"].status.messages == 0
        space = await client.namespace()
        assert space is not None
        assert space.personal == ((b"", "/"),)
        uids = [await append(client, SMALL % (n, n, n), "\\Seen", f"k{n}") for n in range(5)]
        selected = await client.select(b"INBOX")
        assert (selected.exists, selected.uidnext, selected.read_only) == (5, uids[-1] + 1, False)
        assert selected.highest_modseq is not None
        assert selected.permanent_flags is not None
        assert "\\*" in selected.permanent_flags
        wants = FetchWants(internal_date=True, size=True, modseq=True, header=("Message-ID",))
        rows = [message async for message in client.fetch(ALL, wants)]
        assert [message.uid for message in rows] == uids
        assert rows[3].flags == {"\\Seen", "k3"}
        assert rows[3].header == b"Message-ID: <3@x>\r\n\r\n"
        assert rows[3].internal_date == 1_000_000_000
        kept = Kept()
        told = await client.fetch_bodies(ALL, wants, kept.open)
        assert told.finished == set(uids)
        assert kept.bodies[uids[4]] == SMALL % (4, 4, 4)
        assert kept.messages[uids[4]] == rows[4]
        assert b"".join([part async for part in client.fetch_part(uids[1], "TEXT")]) == b"Text of 1\r\n"
        assert b"".join([part async for part in client.fetch_part(uids[1], "1", decoded=True)]) == b"Text of 1\r\n"
        with pytest.raises(Refused):
            _ = [part async for part in client.fetch_part(9999, "")]
        assert await client.search(SearchWants(subject="number 3")) == ((uids[3], uids[3]),)
        assert await client.search(SearchWants(header=(("Message-ID", "<2@x>"),))) == ((uids[2], uids[2]),)
        assert await client.search(SearchWants(text="größer")) == ()
        await client.unselect()
        assert client.selected is None
        await client.log_out()

    run(main())


def test_bodies_of_all_sizes(dovecot: Dovecot) -> None:
    async def main() -> None:
        client = await connect(dovecot, "sizes")
        large = b"Subject: large\r\n\r\n" + random.Random(5).randbytes(LARGE // 2).hex().encode()
        nothing = await append(client, b"\r\n")
        uid = await append(client, large)
        await client.select(b"INBOX", read_only=True)
        kept = Kept()
        told = await client.fetch_bodies(ALL, FetchWants(size=True), kept.open)
        assert told.finished == {nothing, uid}
        assert kept.bodies == {nothing: b"\r\n", uid: large}
        assert kept.largest <= 65_536
        assert b"".join([part async for part in client.fetch_part(nothing, "TEXT")]) == b""
        assert b"".join([part async for part in client.fetch_part(uid, "TEXT")]) == large[18:]
        with pytest.raises(Refused):
            await client.store(ALL, "add", ["\\Seen"])
        await client.log_out()

    run(main())


def test_changes_are_seen(dovecot: Dovecot) -> None:
    async def main() -> None:
        client, other = await connect(dovecot, "changes"), await connect(dovecot, "changes", Security.STARTTLS)
        uids = [await append(client, SMALL % (n, n, n)) for n in range(8)]
        selected = await client.select(b"INBOX")
        await other.select(b"INBOX")
        since = selected.highest_modseq
        assert since is not None
        await other.store(((uids[1], uids[1]),), "set", ["\\Flagged", "xy"])
        await other.store(from_numbers([uids[2], uids[7]]), "add", ["\\Deleted"])
        await other.expunge(from_numbers([uids[2], uids[7]]))
        await client.select(b"INBOX")
        found = await client.changes(since, FetchWants(), vanished=True)
        assert {message.uid: message.flags for message in found.messages} == {uids[1]: {"\\Flagged", "xy"}}
        assert found.vanished == from_numbers([uids[2], uids[7]])
        await client.noop()
        client.take_news()
        await other.store(((uids[0], uids[0]),), "add", ["\\Seen"])
        refused = await client.store(from_numbers(uids[:2]), "add", ["mine"], unchanged_since=since)
        assert refused == from_numbers(uids[:2])
        await client.noop()
        fresh = client.selected.highest_modseq if client.selected else None
        rows = [message.modseq async for message in client.fetch(from_numbers(uids[:1]), FetchWants(modseq=True))]
        assert rows[0] is not None
        assert await client.store(from_numbers(uids[:1]), "add", ["mine"], unchanged_since=rows[0]) == ()
        assert fresh is not None
        await client.log_out()
        await other.log_out()

    run(main())


def test_idle_hears_at_once(dovecot: Dovecot) -> None:
    async def main() -> None:
        client, other = await connect(dovecot, "idle"), await connect(dovecot, "idle")
        uids = [await append(other, SMALL % (n, n, n)) for n in range(3)]
        await client.select(b"INBOX")
        await other.select(b"INBOX")
        for work in (
            lambda: append(other, SMALL % (9, 9, 9)),
            lambda: other.store(((uids[0], uids[0]),), "add", ["\\Flagged"]),
            lambda: other.move(((uids[1], uids[1]),), b"Trash"),
        ):
            idling = asyncio.ensure_future(client.idle(60))
            while not client._idling.active:  # noqa: ASYNC110 it is told to nobody
                await asyncio.sleep(0)
            await work()
            assert await idling
            assert client.take_news()
        assert client.selected is not None
        assert client.selected.exists == 3
        idling = asyncio.ensure_future(client.idle(60))
        client.interrupt()
        assert not await idling
        assert not await client.idle(0.05)
        await client.noop()
        await client.log_out()
        await other.log_out()

    run(main())


def test_copy_move_and_folders(dovecot: Dovecot) -> None:
    async def main() -> None:
        client = await connect(dovecot, "folders")
        raw = names.encode("Ördner & 日本/x")
        await client.create(raw)
        await client.subscribe(raw)
        assert "Ördner & 日本/x" in {mailbox.name for mailbox in await client.list_mailboxes()}
        with pytest.raises(Refused) as error:
            await client.create(raw)
        assert error.value.code == "ALREADYEXISTS"
        uids = [await append(client, SMALL % (n, n, n)) for n in range(4)]
        selected = await client.select(b"INBOX")
        copied = await client.copy(from_numbers(uids[:2]), raw)
        assert isinstance(copied, Copied)
        assert set(copied.uids) == set(uids[:2])
        moved = await client.move(from_numbers(uids[2:3]), raw)
        assert isinstance(moved, Copied)
        assert set(moved.uids) == {uids[2]}
        status = await client.status(raw)
        assert (status.messages, status.uidvalidity) == (3, copied.uidvalidity)
        with pytest.raises(Refused) as error:
            await client.copy(from_numbers(uids[:1]), b"nowhere")
        assert error.value.failure is Failure.FOLDER_MISSING
        with pytest.raises(Refused) as error:
            await client.select(b"nowhere")
        assert error.value.failure is Failure.FOLDER_MISSING
        assert client.selected is None
        await client.rename(raw, b"other")
        await client.unsubscribe(raw)
        assert (await client.select(b"other")).exists == 3
        await client.unselect()
        await client.delete(b"other")
        assert (await client.select(b"INBOX")).uidvalidity == selected.uidvalidity
        await client.log_out()

    run(main())


def test_compressed(dovecot: Dovecot) -> None:
    async def main() -> None:
        transcript = Transcript()
        client = await connect(dovecot, "compressed", compress=True, transcript=transcript)
        assert any(line.endswith("COMPRESS DEFLATE") for _, line in transcript.lines())
        octets = (
            b"Subject: x\r\n\r\n"
            + b"Much of the same.\r\n" * 50_000
            + random.Random(1).randbytes(200_000).hex().encode()
        )
        uids = [await append(client, octets), await append(client, SMALL % (1, 1, 1))]
        await client.select(b"INBOX")
        assert await client.search() == from_numbers(uids)
        kept = Kept()
        await client.fetch_bodies(ALL, FetchWants(), kept.open)
        assert kept.bodies == {uids[0]: octets, uids[1]: SMALL % (1, 1, 1)}
        assert not await client.idle(0.05)
        await client.log_out()

    run(main())


def test_thousands_of_messages(dovecot: Dovecot) -> None:
    async def main() -> None:
        client = await connect(dovecot, "many")
        for n in range(20):
            await append(client, SMALL % (n, n, n))
        await client.select(b"INBOX")
        for raw in (b"INBOX",) * 7:
            await client.copy(ALL, raw)  # twice as many each time
        rows = [message.uid async for message in client.fetch(ALL, FetchWants(internal_date=True, size=True))]
        assert len(rows) == 20 * 2**7
        assert await client.search() == from_numbers(rows)
        found = await client.changes(0, vanished=True)
        assert len(found.messages) == len(rows)
        await client.log_out()

    run(main())


def test_a_wrong_password(dovecot: Dovecot) -> None:
    """The last one, for Dovecot lets an address wait that was wrong."""

    async def main() -> None:
        for mechanism in (Mechanism.PLAIN, Mechanism.LOGIN):
            transcript = Transcript()
            with pytest.raises(Closed) as error:
                await connect(dovecot, "bob", mechanism=mechanism, password="wr0ng-one", transcript=transcript)
            assert error.value.failure is Failure.AUTH_REJECTED
            assert "wr0ng" not in str(transcript.lines())

    run(main())
