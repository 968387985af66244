"""Fuzz targets of what an upstream IMAP server says: octets to responses, and whole conversations with our client."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

from gateway.outbound.failure import Failure
from gateway.outbound.login import RelayLogin
from gateway.outbound.tls import Security, TlsPolicy
from gateway.upstream.classify import Step, meaning
from gateway.upstream.client import ImapClient
from gateway.upstream.dialogue import Dialogue
from gateway.upstream.endpoint import ImapEndpoint, ImapLimits
from gateway.upstream.errors import UpstreamError
from gateway.upstream.events import Row, Status, Tagged
from gateway.upstream.link import Link
from gateway.upstream.receiving import CHUNK, PART, WHOLE, BodyData, BodyStart, Event, ResponseReader, Unreadable
from gateway.upstream.responses import MAX_TEXT, parse
from gateway.upstream.transcript import MAX_LINE, Transcript
from gateway.upstream.values import FetchedMessage
from gateway.upstream.wants import FetchWants, SearchWants
from gateway.wire.events import Frame

_LIMITS = replace(ImapLimits(), line=4_000, literal=500, message=1_000, greeting=2_000, untagged=500)


def server_responses(data: bytes) -> None:
    """Cutting and reading: pieces make no difference, limits hold, and each response is some event."""
    if len(data) < 2:
        return
    size, mode, octets = data[0] + 1, data[1], data[2:]
    whole = _events([octets], mode)
    assert _events([octets[at : at + size] for at in range(0, len(octets), size)], mode) == whole
    transcript = Transcript()
    for event in whole:
        if isinstance(event, Frame):
            assert len(event.text) <= _LIMITS.line + CHUNK
            assert sum(map(len, event.literals)) <= _LIMITS.literal
            transcript.heard(event.text)
            _read(event)
        elif isinstance(event, BodyStart):
            _read(event.head)
    assert all(len(line) <= MAX_LINE + 10 for _, line in transcript.lines())


def _events(pieces: list[bytes], mode: int) -> list[Event | str]:
    reader = ResponseReader(_LIMITS)
    reader.stream = (None, WHOLE, PART, None)[mode & 3]
    if mode & 4:
        reader.total = None
    found: list[Event | str] = []
    try:
        for piece in pieces:
            reader.feed(piece)
            while (event := reader.next()) is not None:
                if isinstance(event, BodyData) and found and isinstance(found[-1], BodyData):
                    found[-1] = BodyData(found[-1].octets + event.octets)
                else:
                    found.append(event)
    except Unreadable as error:
        found.append(str(error))
    return found


def _read(frame: Frame) -> None:
    event = parse(frame)
    if isinstance(event, Row):
        assert 0 <= event.message.uid < 2**32
    elif isinstance(event, Status | Tagged):
        assert len(event.text) <= MAX_TEXT
        assert event.text.isprintable()
        for step in Step:
            found = meaning(event.text, event.code, step)
            assert isinstance(found.failure, Failure)
            assert found.retry_after is None or 0 <= found.retry_after <= 86_400


class _Peer(asyncio.Transport):
    """Hangs up when all is said; what the client sends makes no difference."""

    def __init__(self, link: Link, pieces: list[bytes]) -> None:
        super().__init__({"ssl_object": object()})
        self._link = link
        self._pieces = pieces
        self._reading = True
        link.connection_made(self)
        asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        if not self._reading:
            return
        if not self._pieces:
            self._link.connection_lost(None)
            return
        self._link.data_received(self._pieces.pop(0))
        asyncio.get_running_loop().call_soon(self._tell)

    def write(self, data: object) -> None: ...

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        self._reading = True
        self._tell()

    def abort(self) -> None:
        self._reading = False


class _Sink:
    ended = False

    async def write(self, octets: bytes) -> None:
        assert octets
        assert not self.ended

    async def finish(self, message: FetchedMessage) -> None:
        assert message.uid
        assert not self.ended
        self.ended = True

    async def abort(self) -> None:
        assert not self.ended
        self.ended = True


def upstream_session(data: bytes) -> None:
    """A client that does all it can with a server that says anything: nothing but its own errors comes out."""
    if len(data) < 2:
        return
    size, octets = data[0] + 1, data[1:]
    asyncio.run(_session([octets[at : at + size] for at in range(0, len(octets), size)]))


async def _session(pieces: list[bytes]) -> None:
    link = Link(_LIMITS)
    endpoint = ImapEndpoint("h", 1, RelayLogin("u", "p"), tls=TlsPolicy(Security.NONE), limits=_LIMITS)
    dialogue = Dialogue(link, endpoint.timeouts, _LIMITS, Transcript())
    dialogue.greeted = True
    client = ImapClient(dialogue, Status("OK", None, ""), endpoint, {}, compress=False)
    _Peer(link, pieces)
    sinks: list[_Sink] = []

    async def sink(_uid: int, _message: FetchedMessage) -> _Sink:
        sinks.append(_Sink())
        return sinks[-1]

    with suppress(UpstreamError):
        await client.log_in()
    for step in (
        lambda: client.list_mailboxes(("MESSAGES",)),
        lambda: client.select(b"x"),
        lambda: client.fetch_bodies(((1, 9),), FetchWants(size=True), sink),
        lambda: client.changes(1, vanished=True),
        lambda: client.search(SearchWants()),
        lambda: client.store(((1, 2),), "add", ["x"], unchanged_since=1),
        lambda: client.copy(((1, 2),), b"y"),
        lambda: client.idle(0.0),
        lambda: client.log_out(),
    ):
        with suppress(UpstreamError):
            await step()
        assert client.selected is None or client.selected.exists >= 0
        client.take_news()
    assert all(one.ended for one in sinks)
    assert client.closed


SAID = (
    b"* OK [CAPABILITY IMAP4rev1 IDLE] in\r\nA1 OK in\r\n", b'* LIST (\\Sent) "/" x\r\n',
    b"* STATUS x (MESSAGES 3)\r\n", b"* 3 EXISTS\r\n", b"* OK [UIDVALIDITY 4] x\r\n",
    b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc FLAGS (x))\r\n",
    b"* 2 FETCH (BODY[] {0}\r\n UID 2)\r\n", b"* VANISHED (EARLIER) 1:4\r\n", b"* VANISHED 2\r\n", b"* SEARCH 1 2\r\n",
    b'* ESEARCH (TAG "A6") UID ALL 1:2\r\n', b"* 1 EXPUNGE\r\n", b"+ go\r\n", b"* BYE x\r\n",
    b"* OK [COPYUID 1 1:2 4:5] x\r\n", b"* CAPABILITY IMAP4rev1 ENABLE QRESYNC PARTIAL MESSAGELIMIT=2 ESEARCH IDLE\r\n",
    b"* 7 UIDFETCH (FLAGS (a]b))\r\n", b"* NO [ALERT] x\r\n", b"* OK [PERMANENTFLAGS (a]b \\*)] x\r\n",
    *(b"A%d OK x\r\n" % number for number in range(1, 14)), b"A2 NO x\r\n", b"A5 OK [MESSAGELIMIT 2 1] x\r\n",
    b"A7 OK [MODIFIED 1] x\r\n", b"A3 OK [READ-ONLY] x\r\n",
)  # fmt: skip
TOKENS = (
    *SAID, b"\r\n", b"\n", b" ", b"(", b")", b'"', b"\\", b"{3}\r\n", b"~{1}\r\n", b"{9999}\r\n", b"* ", b"NIL",
    b"[", b"]", b"BODY[] ", b"FETCH (", b"\0", b"\xff", b"-1", b"99999999999", b"Backoff Time: 5 ms",
)  # fmt: skip
SESSION_SEEDS = (
    b"\xff* OK [CAPABILITY IDLE] x\r\nA1 OK [CAPABILITY CONDSTORE QRESYNC IDLE ESEARCH] in\r\n"
    b"* LIST () NIL x\r\nA2 OK x\r\n* 3 EXISTS\r\nA3 OK x\r\n"
    b"* 1 FETCH (UID 1 RFC822.SIZE 3 BODY[] {3}\r\nabc)\r\nA4 OK x\r\n"
    b"* VANISHED (EARLIER) 1:4\r\nA5 OK x\r\n* ESEARCH (TAG \"A6\") UID ALL 1\r\nA6 OK x\r\nA7 OK [MODIFIED 1] x\r\n"
    b"A8 OK [COPYUID 1 1:2 4:5] x\r\n+ go\r\nA9 OK x\r\n",
    b"\x05" + b"".join(SAID),
)  # fmt: skip
RESPONSE_SEEDS = (
    b"\x03\x05" + b"".join(SAID), b"\xff\x00* OK hi\r\n* 1 FETCH (BODY[] {1}\r\nx)\r\n", b"\x00\x06+ \r\n",
)  # fmt: skip
