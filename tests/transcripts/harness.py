"""IMAP sessions over an in-memory transport and a real store, for transcripts and anybody else's tests.

    async with Harness(path) as harness:
        client = harness.connect()
        client.send(b"a LOGIN a@example.org full\\r\\n")
        assert await client.line() ...
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

from gateway.imap.services import ImapServices
from gateway.imap.session import Session
from gateway.imap.settings import ImapSettings
from gateway.imap.states import States
from gateway.ingest.writer import Ingest
from gateway.model.errors import AuthenticationFailed, Throttled, Unavailable
from gateway.model.ids import InboxId, KeyId, MailboxId, PodId
from gateway.model.permissions import Principal, ScopeKind, expand
from gateway.model.recipient import Recipient
from gateway.store import check, cleanup, content, inboxes, keys, mailboxes, messages, pods, quota
from gateway.store.db import Database, Tx, open_database
from gateway.store.inboxes import Inbox
from gateway.store.migrate import migrate
from gateway.store.quota import Limits
from gateway.submit.accept import Submissions
from gateway.submit.drafting import Drafting
from gateway.submit.envelope import SubmissionEnvelope
from gateway.submit.settings import SubmitSettings
from gateway.wire import scram
from tests.support.queue import entries

NOW = 1_700_000_000
PATIENCE = 10.0  # seconds until a missing response is a failure; nothing waits this long when it passes
KEYS = {
    "full": ("read", "write", "draft", "send"),
    "read": ("read",),
    "draft": ("draft",),
    "readdraft": ("read", "draft"),
    "send": ("send",),
    "admin": ("read", "write", "draft", "send", "admin"),
}
"""Secrets, which are also the names of what their keys may do; "admin" opens everything, the others one inbox."""


@cache
def template() -> Path:
    """An empty migrated store, made once a process."""
    path = Path(tempfile.mkdtemp(prefix="imap-store-")) / "gateway.db"
    atexit.register(shutil.rmtree, path.parent, ignore_errors=True)
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(migrate(f"sqlite:///{path}"))
    finally:
        loop.close()
    return path


async def until(condition: Callable[[], bool]) -> None:
    """Run the loop until `condition` holds; it is asked after each turn of the loop."""
    async with asyncio.timeout(PATIENCE):
        await asyncio.sleep(0)
        while not condition():  # noqa: ASYNC110 - any number of things may make it true
            await asyncio.sleep(0)


SCRAM = scram.Parameters(b"salt", 4096)
BINDINGS = {"tls-exporter": b"exported" * 4, "tls-server-end-point": b"certificate"}
"""What both ends of a connection's TLS know."""


@cache
def verifiers() -> dict[str, scram.Verifier]:
    return {secret: scram.derive(secret, SCRAM) for secret in KEYS}


class Keys:
    """An authenticator over `KEYS`; `down` and `slow` are our outage and a throttled peer."""

    def __init__(self, owners: dict[str, InboxId]) -> None:
        self._owners = owners
        self.asked: list[tuple[str, str, str]] = []

    async def authenticate(self, user: str, secret: str, peer: str, /) -> Principal:
        self.asked.append((user, secret, peer))
        if secret == "down":
            raise Unavailable("The store is away")
        if secret == "slow":
            raise Throttled("Too many failures")
        if user not in self._owners or secret not in KEYS:
            raise AuthenticationFailed("No")
        if secret == "send":
            await asyncio.sleep(0)  # one key takes the slow road
        return self._principal(user, secret)

    def _principal(self, user: str, secret: str) -> Principal:
        permissions = expand(KEYS[secret])
        inbox = self._owners[user]
        scope = ScopeKind.ALL if secret == "admin" else ScopeKind.INBOX
        return Principal(KeyId(1), secret, scope, PodId(1), inbox, user, permissions, None)

    async def scram_parameters(self) -> scram.Parameters:
        return SCRAM

    async def prove(self, user: str, proof: scram.Proof | None, peer: str, /) -> tuple[Principal, bytes]:
        self.asked.append((user, "", peer))
        for secret, verifier in verifiers().items():
            signature = proof.signature(verifier) if proof is not None and user in self._owners else None
            if signature is not None:
                return self._principal(user, secret), signature
        raise AuthenticationFailed("No")


class Watch:
    """Notes the live sessions as auth's registry does."""

    def __init__(self) -> None:
        self.ends: list[Callable[[str], None]] = []

    def add(self, principal: Principal, end: Callable[[str], None], /) -> Handle:
        self.ends.append(end)
        return Handle(self, end)


class Handle:
    def __init__(self, watch: Watch, end: Callable[[str], None]) -> None:
        self._watch, self._end = watch, end

    def close(self) -> None:
        if self._end in self._watch.ends:
            self._watch.ends.remove(self._end)


class Account:
    """A `Freshness` over an account that exists in a test's mind: each look does what was put into `finds`."""

    def __init__(self) -> None:
        self.finds: list[Callable[[], Awaitable[object]]] = []
        self.looked: list[MailboxId | None] = []
        self.open = asyncio.Event()
        self.open.set()

    def wanted(self, inbox_id: InboxId, /) -> bool:
        return True

    async def look(self, inbox_id: InboxId, mailbox_id: MailboxId | None, /) -> None:
        self.looked.append(mailbox_id)
        await self.open.wait()
        found, self.finds = self.finds, []
        for find in found:
            await find()


class Timers:
    """A `call_later` whose time only moves when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waiting: list[Timer] = []

    def call_later(self, delay: float, action: Callable[[], None]) -> Timer:
        timer = Timer(self, self.now + delay, action)
        self.waiting.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for timer in [timer for timer in self.waiting if timer.at <= self.now]:
            if timer in self.waiting:
                self.waiting.remove(timer)
                timer.action()


class Timer:
    def __init__(self, timers: Timers, at: float, action: Callable[[], None]) -> None:
        self._timers, self.at, self.action = timers, at, action

    def cancel(self) -> None:
        if self in self._timers.waiting:
            self._timers.waiting.remove(self)


class Client:
    """The client's end of one connection, and the server's `Peer`."""

    def __init__(self, services: ImapServices, *, secure: bool, starttls: bool, address: str) -> None:
        self.address = address
        self.secure = secure
        self.received = bytearray()
        self.writes: list[bytes] = []
        self.closed = self.aborted = self.reading_paused = self.tls_started = False
        self._packer: Any = None
        self._unpacker: Any = None
        self._news = asyncio.Event()
        self.session = Session(services, self, can_start_tls=starttls)
        self.session.greet()

    # Peer

    @property
    def can_bind(self) -> bool:
        return self.secure

    def channel_binding(self, kind: str) -> bytes | None:
        return BINDINGS.get(kind)

    def write(self, data: bytes) -> None:
        assert not self.closed, "written after close"
        self.writes.append(data)
        if self._unpacker is not None:
            data = self._unpacker.decompress(data)
            if self._unpacker.eof:
                data += self._unpacker.unused_data
                self._unpacker = None
        self.received += data
        self._news.set()

    def close(self) -> None:
        self.closed = True
        self._news.set()

    def abort(self) -> None:
        self.aborted = self.closed = True
        self._news.set()
        self.session.connection_lost()

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False

    def start_tls(self) -> None:
        self.tls_started = self.secure = True

    # What a test does

    def send(self, data: bytes) -> None:
        if self._packer is not None:
            data = self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)
        self.session.channel.data_received(data)

    def compress(self) -> None:
        """From now on both directions are deflated (RFC 4978)."""
        self._packer, self._unpacker = zlib.compressobj(wbits=-15), zlib.decompressobj(-15)

    def expand(self) -> None:
        """What is sent is plain again; what comes is, behind the end of its stream."""
        self._packer = None

    async def line(self) -> bytes:
        """The next line without its CRLF; AssertionError when none comes."""
        while b"\r\n" not in self.received:
            assert not self.closed, f"closed; unread {bytes(self.received)!r}"
            await self._wait()
        end = self.received.index(b"\r\n")
        line = bytes(self.received[:end])
        del self.received[: end + 2]
        return line

    async def octets(self, count: int) -> bytes:
        """The next `count` octets."""
        while len(self.received) < count:
            assert not self.closed, f"closed; unread {bytes(self.received)!r}"
            await self._wait()
        found = bytes(self.received[:count])
        del self.received[:count]
        return found

    async def until(self, tag: bytes) -> list[bytes]:
        """Lines up to and with the one of `tag`."""
        lines = [await self.line()]
        while not lines[-1].startswith(tag + b" "):
            lines.append(await self.line())
        return lines

    async def run(self, command: bytes) -> list[bytes]:
        """Send `x <command>` and return its lines."""
        self.send(b"x " + command + b"\r\n")
        return await self.until(b"x")

    async def login(self, key: str = "full", user: str = "a@example.org") -> None:
        lines = await self.run(f"LOGIN {user} {key}".encode())
        assert lines[-1].startswith(b"x OK"), lines

    async def wait_closed(self) -> None:
        while not self.closed:
            await self._wait()

    async def settle(self) -> None:
        """Until the session waits for its client."""
        await until(lambda: self.session.channel.at_rest)

    async def _wait(self) -> None:
        self._news.clear()
        async with asyncio.timeout(PATIENCE):
            await self._news.wait()


class Harness:
    """A store with inboxes a@example.org and b@example.org, and sessions on it.

    `url` is that of an empty, migrated store; without one it is an SQLite store in `directory`.
    """

    def __init__(self, directory: Path, *, url: str = "", **settings: object) -> None:
        self._url = url or f"sqlite:///{directory / 'gateway.db'}"
        if not url:
            shutil.copy(template(), directory / "gateway.db")
        self._settings = ImapSettings(**settings)  # type: ignore[arg-type]
        self.clients: list[Client] = []
        self.timers = Timers()
        self.watch = Watch()

    async def __aenter__(self) -> Harness:
        self.db: Database = open_database(self._url)
        await self.db.start()

        def make(tx: Tx) -> list[Inbox]:
            pod = pods.create_pod(tx, "test", now=NOW)
            pods.create_domain(tx, pod.id, "example.org", now=NOW)
            return [inboxes.create_inbox(tx, pod.id, f"{name}@example.org", now=NOW) for name in "ab"]

        made = await self.db.write(make)
        self.inboxes: dict[str, InboxId] = {inbox.address: inbox.id for inbox in made}
        self.inbox = self.inboxes["a@example.org"]
        self._serve()
        return self

    def _serve(self) -> None:
        self.ingest = Ingest(self.db, now=lambda: NOW)
        self.states = States(self.db, self._settings)
        self.states.start()
        self.keys = Keys(self.inboxes)
        settings = SubmitSettings(hostname="mail.example.org", max_recipients=3)
        self.submissions = Submissions(
            self.db, self.ingest, lambda: NOW, settings, not_carried=lambda inbox, sender, recipient: None
        )
        self.services = ImapServices(
            drafting=Drafting(
                self.db, self.submissions.directory, lambda: NOW, settings,
                not_carried=self.submissions.not_carried, token=self.submissions.token,
            ),
            db=self.db,
            ingest=self.ingest,
            authenticator=self.keys,
            states=self.states,
            settings=self._settings,
            clock=lambda: NOW,
            sessions=self.watch,
            hostname="mail.example.org",
            call_later=self.timers.call_later,
        )

    def look_on_access(self) -> Account:
        """From now on sessions begin whose client waits for looks at an account."""
        account = Account()
        self.services = replace(self.services, freshness=account)
        return account

    async def restart(self) -> None:
        """All that is held in memory goes."""
        await self._stop()
        await self.db.close()
        self.db = open_database(self._url)
        await self.db.start()
        self._serve()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._stop()
        await self.submissions.drain()
        try:
            if error is None:
                findings = await self.db.read(check.check)
                assert not findings, findings
        finally:
            await self.db.close()

    async def _stop(self) -> None:
        for client in self.clients:
            client.session.connection_lost()
        for client in self.clients:
            await until(lambda: not client.session.channel.busy)  # noqa: B023 - awaited here
        self.clients.clear()
        await self.states.close()

    def connect(self, *, secure: bool = True, starttls: bool = False, address: str = "192.0.2.1") -> Client:
        client = Client(self.services, secure=secure, starttls=starttls, address=address)
        self.clients.append(client)
        return client

    async def logged_in(self, key: str = "full", user: str = "a@example.org") -> Client:
        client = self.connect()
        assert (await client.line()).startswith(b"* OK")
        await client.login(key, user)
        return client

    # What happens beside the sessions: deliveries, other servers' work

    async def deliver(
        self, octets: bytes, mailbox: str = "INBOX", *, flags: int = 0, keywords: Iterable[str] = (), date: int = NOW
    ) -> int:
        """A message arrives; its UID."""
        writer = self.ingest.writer(max_size=1 << 26)
        for at in range(0, len(octets), 50_000):
            await writer.write(octets[at : at + 50_000])
        staged = await writer.finish()

        def unit(tx: Tx) -> int:
            target = mailboxes.by_name(tx, self.inbox, mailbox)
            assert target is not None
            content.complete(tx, staged, NOW)
            return messages.append(
                tx, target.id, self.inbox, staged, internal_date=date, flags=flags, keywords=tuple(keywords), now=NOW
            ).uid

        return await self.db.write(unit, inboxes=(self.inbox,))

    async def submit(self, key: str, message: bytes, recipients: Iterable[str], sender: str = "a@example.org") -> None:
        """Somebody submits a message with that key."""
        principal = await self.keys.authenticate(sender, key, "")
        arrival = self.submissions.begin(SubmissionEnvelope(principal, sender, tuple(map(Recipient, recipients))))
        await arrival.write(message)
        await arrival.finish()

    async def store_key(self) -> None:
        """The row of the key that all have, as what is done in its name later looks for it."""

        def unit(tx: Tx) -> None:
            if keys.key_by_key_id(tx, "full") is not None:
                return
            made = keys.insert_key(
                tx, key_id="full", hash="", name="full", scope=ScopeKind.INBOX, permissions=expand(KEYS["full"]),
                now=NOW, inbox_id=self.inbox,
            )
            assert made.id == 1

        await self.db.write(unit)

    async def waiting(self) -> list[str]:
        """Each recipient with its state and why it is held, in order."""
        found = await self.db.read(entries)
        return [
            f"{person.address} {person.state}" + (f":{person.hold_reason}" if person.hold_reason else "")
            for entry in found
            for person in entry.recipients
        ]

    async def all_recipients(self) -> list[int]:
        found = await self.db.read(entries)
        return [person.id for entry in found for person in entry.recipients]

    async def expunge(self, uids: list[int], mailbox: str = "INBOX") -> None:
        def unit(tx: Tx) -> None:
            target = mailboxes.by_name(tx, self.inbox, mailbox)
            assert target is not None
            messages.expunge(tx, self.inbox, target.id, uids, only_deleted=False, now=NOW)

        await self.db.write(unit, inboxes=(self.inbox,))

    async def flag(self, uids: list[int], mask: int, mailbox: str = "INBOX") -> None:
        """Another one adds flags."""

        def unit(tx: Tx) -> None:
            target = mailboxes.by_name(tx, self.inbox, mailbox)
            assert target is not None
            messages.store_flags(tx, self.inbox, target.id, uids, "add", mask)

        await self.db.write(unit, inboxes=(self.inbox,))

    async def names(self) -> dict[MailboxId, str]:
        """Of all mailboxes of a@example.org."""
        rows = await self.db.read(lambda rx: mailboxes.list_mailboxes(rx, self.inbox))
        return {row.id: row.name for row in rows}

    async def prune(self, keep: int, mailbox: str = "INBOX") -> None:
        """Forget the expunges of a mailbox but the last `keep`."""

        def unit(tx: Tx) -> None:
            target = mailboxes.by_name(tx, self.inbox, mailbox)
            assert target is not None
            cleanup.prune_record(tx, self.inbox, target.id, keep, 1000)

        await self.db.write(unit, inboxes=(self.inbox,))

    async def limit(self, limits: Limits) -> None:
        """An administrator sets the quota of a@example.org."""
        await self.db.write(lambda tx: quota.set_limits(tx, self.inbox, limits), inboxes=(self.inbox,))

    async def delete_mailbox(self, name: str) -> None:
        await self.db.write(lambda tx: mailboxes.delete(tx, self.inbox, name, now=NOW), inboxes=(self.inbox,))
