"""`ImapClient`: one connection to an upstream server, as the connector's worker, test steps and actions use it.

Everything is async; one command at a time (a second one meanwhile is a defect: RuntimeError); errors are UpstreamErrors
only: Refused leaves the connection as it is, all others close it, and so does a cancellation. Nothing is retried here.

UIDs are `Ranges`, mailboxes raw names. `search` gives Ranges; `fetch` and `fetch_part` are async generators (whoever
stops early uses `contextlib.aclosing` and loses the connection); `fetch_bodies` returns Bodies, its sink may be None
for what is not wanted, and is asked for UID 0 where the server puts the UID behind the body (`finish` knows it);
`idle(seconds)` returns whether there is news; `namespace()` is None where it is not offered; rows that the server tells
without a UID are in the News with UID 0; `Selected.uidvalidity` is 0 where the server tells none.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Final

from gateway import __version__
from gateway.model.sequence import Ranges
from gateway.outbound.dial import Resolver, system_resolver
from gateway.outbound.tls_peer import TlsFacts

from . import bodies, folders, login, opening, reading, writing
from .bodies import OpenSink
from .dialogue import Dialogue
from .endpoint import ImapEndpoint
from .errors import Refused, UpstreamError
from .events import Identity, Namespaces, Response, Status
from .idle import Idling
from .transcript import Transcript
from .values import Appended, Bodies, Changes, Copied, FetchedMessage, ListedMailbox, MailboxStatus, News, Selected
from .wants import EVERYTHING, FLAGS_ONLY, FetchWants, SearchWants

CLIENT_ID: Final = {"name": "mail-gateway", "version": __version__}


class ImapClient:
    """Made by `connect` (logged in) or `open` (greeted)."""

    __slots__ = ("_client_id", "_compress", "_dialogue", "_endpoint", "_idling", "greeting", "login_by", "server_id")

    def __init__(
        self, dialogue: Dialogue, greeting: Status, endpoint: ImapEndpoint, client_id: Mapping[str, str], compress: bool
    ) -> None:
        self._dialogue = dialogue
        self._endpoint = endpoint
        self._client_id = client_id
        self._compress = compress
        self._idling = Idling(dialogue)
        self.greeting = greeting.text
        self.login_by = ""
        """The mechanism of the login, for people; "": the server knew us (PREAUTH)."""
        self.server_id: Mapping[str, str] = {}
        """What the server answered to ID."""

    # Life.

    @classmethod
    async def connect(
        cls,
        endpoint: ImapEndpoint,
        *,
        resolver: Resolver = system_resolver,
        transcript: Transcript | None = None,
        client_id: Mapping[str, str] | None = None,
        compress: bool = False,
        distrust: Collection[str] = (),
    ) -> ImapClient:
        """A connection that is logged in. UpstreamError."""
        client = await cls.open(
            endpoint, resolver=resolver, transcript=transcript, client_id=client_id, compress=compress,
            distrust=distrust,
        )  # fmt: skip
        await client.log_in()
        return client

    @classmethod
    async def open(
        cls,
        endpoint: ImapEndpoint,
        *,
        resolver: Resolver = system_resolver,
        transcript: Transcript | None = None,
        client_id: Mapping[str, str] | None = None,
        compress: bool = False,
        distrust: Collection[str] = (),
    ) -> ImapClient:
        """A connection that was greeted and is encrypted, nobody logged in: for those who test it step by step.

        `client_id`: what ID tells. `compress`: COMPRESS=DEFLATE where offered: for much mail, not for IDLE (120 KB a
        connection). `distrust`: capabilities that this account shall not use, whatever the server says.
        """
        dialogue, greeting = await opening.open_dialogue(endpoint, resolver, transcript)
        dialogue.distrusted |= {name.upper() for name in distrust}
        return cls(dialogue, greeting, endpoint, CLIENT_ID if client_id is None else client_id, compress)

    async def log_in(self) -> None:
        """Logs in, once, and agrees on what both sides can. UpstreamError; `refuses_login` knows what it means."""
        dialogue = self._dialogue
        try:
            await self._identify()
            if dialogue.preauth:
                dialogue.link.reader.total = None
            else:
                self.login_by = await login.log_in(dialogue, self._endpoint)
                await self._identify()
            await self._enable()
            if self._compress and dialogue.has("COMPRESS=DEFLATE"):
                await self._start_compression()
        except BaseException:
            dialogue.abort()
            raise

    async def _identify(self) -> None:
        def claim(event: Response) -> bool:
            if isinstance(event, Identity):
                self.server_id = event.fields
                return True
            return False

        await login.identify(self._dialogue, self._client_id, claim)

    async def _enable(self) -> None:
        """QRESYNC, or CONDSTORE; UIDONLY where commands touch a part at a time: so Yahoo shows the whole mailbox."""
        dialogue = self._dialogue
        wanted = [name for name in ("QRESYNC", "CONDSTORE") if dialogue.has(name)][:1]
        if dialogue.has("UIDONLY") and reading.message_limit(dialogue) is not None:
            wanted.append("UIDONLY")
        if wanted and dialogue.has("ENABLE"):
            try:
                await dialogue.run(b"ENABLE", *(name.encode("ascii") for name in wanted))
            except Refused:
                dialogue.distrusted |= set(wanted)
        if "QRESYNC" not in dialogue.enabled:
            dialogue.distrusted |= {"QRESYNC"}

    async def _start_compression(self) -> None:
        try:
            await self._dialogue.run(b"COMPRESS", b"DEFLATE")
        except Refused:
            self._dialogue.distrusted |= {"COMPRESS=DEFLATE"}
            return
        self._dialogue.link.compress()

    async def log_out(self) -> None:
        """LOGOUT if the server still listens; never raises for what it answers."""
        dialogue = self._dialogue
        if not dialogue.closed and not dialogue.busy:
            with suppress(UpstreamError):  # gone already, as was wanted
                await dialogue.run(b"LOGOUT", patience=dialogue.times.logout)
        dialogue.abort()

    def abort(self) -> None:
        """Cuts the connection now, whatever runs."""
        self._dialogue.abort()

    @property
    def closed(self) -> bool:
        return self._dialogue.closed or self._dialogue.link.lost

    # What is known of the server.

    @property
    def capabilities(self) -> frozenset[str]:
        return self._dialogue.capabilities

    def has(self, name: str) -> bool:
        """Offered, and not distrusted. QRESYNC also has to be enabled."""
        return self._dialogue.has(name.upper())

    def distrust(self, name: str) -> None:
        """From now on as if it were not offered, for this connection."""
        self._dialogue.distrusted |= {name.upper()}

    @property
    def enabled(self) -> frozenset[str]:
        return self._dialogue.enabled

    @property
    def tls_info(self) -> TlsFacts | None:
        return opening.tls_facts(self._dialogue.link)

    # Mailboxes.

    async def namespace(self) -> Namespaces | None:
        return await folders.namespace(self._dialogue)

    async def list_mailboxes(self, status: Collection[str] = ()) -> list[ListedMailbox]:
        """See `folders.list_mailboxes`. `status`: of `folders.STATUS_ITEMS`."""
        return await folders.list_mailboxes(self._dialogue, status)

    async def select(self, raw: bytes, *, read_only: bool = False) -> Selected:
        return await folders.select(self._dialogue, raw, read_only=read_only)

    async def unselect(self) -> None:
        await folders.unselect(self._dialogue)

    @property
    def selected(self) -> Selected | None:
        """As last heard: `exists` and `highest_modseq` move on."""
        return self._dialogue.mailbox.selected

    def take_news(self) -> News:
        """What was told unasked since the last time."""
        return self._dialogue.mailbox.take()

    async def status(self, raw: bytes, items: Iterable[str] = folders.STATUS_ITEMS) -> MailboxStatus:
        return await folders.status(self._dialogue, raw, items)

    async def create(self, raw: bytes) -> None:
        await folders.named(self._dialogue, b"CREATE", raw)

    async def delete(self, raw: bytes) -> None:
        await folders.named(self._dialogue, b"DELETE", raw)

    async def rename(self, raw: bytes, to: bytes) -> None:
        await folders.named(self._dialogue, b"RENAME", raw, to)

    async def subscribe(self, raw: bytes) -> None:
        await folders.named(self._dialogue, b"SUBSCRIBE", raw)

    async def unsubscribe(self, raw: bytes) -> None:
        await folders.named(self._dialogue, b"UNSUBSCRIBE", raw)

    # Messages of the selected mailbox.

    def fetch(self, uids: Ranges, wants: FetchWants = FLAGS_ONLY) -> AsyncIterator[FetchedMessage]:
        """Only messages with a UID in `uids`: `n:*` past the end gives the last message, which nobody asked for."""
        return reading.fetch(self._dialogue, uids, wants)

    async def changes(
        self,
        since: int,
        wants: FetchWants = FLAGS_ONLY,
        *,
        vanished: bool = False,
        uids: Ranges = reading.ALL,
    ) -> Changes:
        return await reading.changes(self._dialogue, since, wants, vanished=vanished, uids=uids)

    async def fetch_bodies(self, uids: Ranges, wants: FetchWants, sink: OpenSink) -> Bodies:
        return await bodies.fetch_bodies(self._dialogue, uids, wants, sink)

    def fetch_part(self, uid: int, section: str, *, decoded: bool = False) -> AsyncIterator[bytes]:
        return bodies.fetch_part(self._dialogue, uid, section, decoded=decoded)

    async def search(self, wants: SearchWants = EVERYTHING) -> Ranges:
        return await reading.search(self._dialogue, wants)

    async def store(
        self, uids: Ranges, op: str, flags: Collection[str], *, unchanged_since: int | None = None
    ) -> Ranges:
        """`op`: add, remove or set. The UIDs that the server refused, for they had changed since."""
        return await writing.store_flags(self._dialogue, uids, op, flags, unchanged_since)

    async def store_labels(self, uids: Ranges, op: str, labels: Iterable[str]) -> None:
        await writing.store_labels(self._dialogue, uids, op, labels)

    async def copy(self, uids: Ranges, raw: bytes) -> Copied | None:
        return await writing.copy(self._dialogue, b"COPY", uids, raw)

    async def move(self, uids: Ranges, raw: bytes) -> Copied | None:
        """UID MOVE; Refused (`bad`) where it is not offered."""
        return await writing.copy(self._dialogue, b"MOVE", uids, raw)

    async def expunge(self, uids: Ranges) -> None:
        await writing.expunge(self._dialogue, uids)

    async def append(
        self, raw: bytes, flags: Collection[str], internal_date: int | None, size: int, octets: AsyncIterator[bytes]
    ) -> Appended | None:
        return await writing.append(self._dialogue, raw, flags, internal_date, size, octets)

    # Waiting.

    async def noop(self) -> None:
        await self._dialogue.run(b"NOOP")

    async def idle(self, seconds: float) -> bool:
        """Waits for news at most so long; True if there is some. Refused; Closed."""
        return await self._idling.idle(seconds)

    def interrupt(self) -> None:
        """Ends the IDLE that runs, or the next one before it begins."""
        self._idling.interrupt()
