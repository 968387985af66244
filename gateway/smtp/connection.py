"""One connection: lines in, grouped replies out, TLS, time limits and the ways it ends. The commands are `session`'s.

A subclass of aiosmtpd's protocol, which gives the life cycle. Its command loop is not used: it echoes and logs what
clients send, answers line by line, puts exception texts on the wire and has none of our limits. Nor are asyncio's
streams: `intake` refuses a line at its limit, and hands a message's octets on without a copy.
aiosmtpd is pinned, and a test holds the private methods and attributes that are used here.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import traceback
from abc import ABC, abstractmethod
from typing import Final, cast

import structlog
from aiosmtpd.smtp import SMTP

from .data import SlowBudget
from .intake import EndlessLine, Intake, LineTooLong
from .ports import SubmissionServices

log = structlog.get_logger(__name__)

LOCAL: Final = "local"
"""Who comes over a Unix socket."""
INPUT_BUFFER: Final = 65_536  # octets; reading pauses at twice that, so 128 KiB is all a stranger can make us keep
_LINES_A_TURN: Final = 64  # pipelined commands before other connections get the loop
_REPLIES_KEPT: Final = 256  # queued replies of a client that pipelines; then it has to read some
_CLOSE_GRACE_S: Final = 5.0  # a peer that does not read is cut, whatever is still to be sent


def _peer_of(transport: asyncio.BaseTransport) -> str:
    """Who comes: an IP address, or LOCAL. Empty when the system does not know any more: uvloop asks when we do, and
    of a peer that has reset its connection there is only what it had sent, which is still to be read.
    """
    peername = transport.get_extra_info("peername")
    if isinstance(peername, tuple):
        return str(peername[0])
    sock = transport.get_extra_info("socket")
    return LOCAL if sock is not None and sock.family == socket.AF_UNIX else ""


class Disconnected(Exception):
    """The peer is gone, or the connection was ended from our side."""


class TooSlow(Exception):
    """In DATA, fewer octets a second than the limit asks."""


class Connection(SMTP, ABC):
    """Octets and time. `run()` is the subclass's; it is the connection's one task."""

    def __init__(
        self, services: SubmissionServices, tls: ssl.SSLContext | None, *, implicit_tls: bool, trusted: bool = False
    ) -> None:
        loop = asyncio.get_running_loop()
        # Not SMTP.__init__: it inspects every member of the class for each connection (about 0.4 ms) and holds
        # options that are not used here. What its methods that we keep read is set below; a test watches the list.
        asyncio.StreamReaderProtocol.__init__(
            self,
            asyncio.StreamReader(loop=loop),  # stays empty
            client_connected_cb=self._cb_client_connected,
            loop=loop,
        )
        self.loop = loop
        self._intake = Intake()
        self._in_message = False  # what arrives is a message's
        self._ended = False  # nothing more will arrive
        self._held_back = False  # the transport does not read
        self._more: asyncio.Future[None] | None = None  # who waits for input
        self._drained: asyncio.Future[None] | None = None  # set while the peer does not read
        self.services = services
        self.settings = services.settings
        self.session = None
        self.envelope = None
        self.transport = None
        self._timeout_duration = min(self.settings.login_s, self.settings.session_s, self.settings.idle_s)
        self._timeout_handle = None
        self._original_transport = None
        self._handler_coroutine = None
        self._tls_context = tls
        self.encrypted = implicit_tls
        self._trusted = trusted
        self.peer = ""
        self.logged_in = False
        self._out: list[bytes] = []
        self._reading = False
        self._ending: str | None = None
        self._lines_this_turn = 0
        self._cut_handle: asyncio.TimerHandle | None = None
        started = loop.time()
        self._timer_at = started + self._timeout_duration
        self._data_end: float | None = None  # when the wait for a message's octets has been too long
        self._session_end = started + self.settings.session_s
        self._login_end = started + self.settings.login_s
        self._idle_end = self._login_end

    # -- life cycle (asyncio calls these)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not self.peer:  # else a proxy has said whose connection it is
            self.peer = _peer_of(transport)
        super().connection_made(transport)  # starts _handle_client as a task

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)  # cancels the task
        if self._cut_handle is not None:
            self._cut_handle.cancel()

    def data_received(self, data: bytes) -> None:
        self._intake.feed(data, whole=self._in_message)
        if not self._held_back and len(self._intake) > 2 * INPUT_BUFFER and self._wire is not None:
            self._held_back = True
            self._wire.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """What was pipelined before the end still runs until the transport is closed; aiosmtpd would cancel at once."""
        self._ended = True
        self._wake()
        return False

    def pause_writing(self) -> None:
        self._drained = self.loop.create_future()

    def resume_writing(self) -> None:
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    def _wake(self, error: Exception | None = None) -> None:
        more, self._more = self._more, None
        if more is None or more.done():
            return
        if error is None:
            more.set_result(None)
        else:
            more.set_exception(error)

    async def _handle_client(self) -> None:
        try:
            if self._ending is None:
                await self.run()
        except (Disconnected, ConnectionError):
            log.debug("smtp.disconnected", peer=self.peer)
        except Exception as error:
            self.reply(f"421 4.3.0 Internal error, reported as {self.report(error)}")
        finally:
            self._say_goodbye()

    @abstractmethod
    async def run(self) -> None:
        """The session: from the greeting to the end. Disconnected when the peer has gone."""

    def report(self, error: BaseException) -> str:
        """Logs a defect and returns its id. The exception's text stays out of it: it may hold mail or a secret."""
        error_id = secrets.token_hex(6)
        stack = traceback.extract_tb(error.__traceback__)[-8:]
        frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in stack]
        log.error("smtp.internal_error", error_id=error_id, kind=type(error).__name__, frames=frames)
        self.services.metrics.count("smtp_internal_errors")
        return error_id

    @property
    def _wire(self) -> asyncio.Transport | None:
        # A cast, for uvloop's transports are no subclasses of asyncio's.
        return cast("asyncio.Transport | None", self.transport)

    @property
    def may_log_in(self) -> bool:
        """Under TLS, or on a listener where keys may travel readable."""
        return self.encrypted or self._trusted

    @property
    def offers_tls(self) -> bool:
        return not self.encrypted and self._tls_context is not None

    # -- replies

    def reply(self, line: str) -> None:
        """Queues one reply; several go out in one write when the client pipelines (RFC 2920 3.2)."""
        self._out.append(line.encode("ascii", "replace") + b"\r\n")

    async def push(self, status: str | bytes) -> None:
        """aiosmtpd's way to answer, for the handlers inherited from it."""
        self.reply(status if isinstance(status, str) else status.decode("ascii", "replace"))

    async def flush(self) -> None:
        """Sends what is queued and waits while the peer does not read."""
        if self._out and self._wire is not None:
            self._wire.write(b"".join(self._out) if len(self._out) > 1 else self._out[0])
            self._out.clear()
        if self._drained is not None:
            self._reading = True  # a peer that does not read is waited for like one that does not write
            try:
                await self._drained
            finally:
                self._reading = False

    # -- input

    async def read_line(self, limit: int, auth_limit: int = 0) -> bytes | None:
        """The next line with its end, or None, at once, for one that is longer than its limit. Disconnected.

        `auth_limit` is that of a line that begins with AUTH.
        """
        if self._ending is not None:
            raise Disconnected
        intake = self._intake
        if not intake.has_line or len(self._out) >= _REPLIES_KEPT:
            await self.flush()
            self._lines_this_turn = 0
        else:
            self._lines_this_turn += 1
            if self._lines_this_turn >= _LINES_A_TURN:
                self._lines_this_turn = 0
                await asyncio.sleep(0)
        self._idle_end = self.loop.time() + self.settings.idle_s
        while True:
            try:
                line = intake.line(limit, auth_limit)
            except LineTooLong:
                return None
            except EndlessLine:
                self.reply("421 4.7.0 Line too long")
                raise Disconnected from None
            if not self.logged_in and intake.line_octets > self.settings.login_octets:
                self.reply("421 4.7.0 Too much data before login")
                raise Disconnected
            if line is not None:
                self._resume()
                return line
            await self._arrival()

    async def _arrival(self) -> None:
        """Waits until something comes. Disconnected when nothing will; what `_wake` is told."""
        if self._ended:
            raise Disconnected
        self._resume()
        self._more = self.loop.create_future()
        self._reading = True
        try:
            await self._more
        finally:
            self._reading = False

    def _resume(self) -> None:
        if self._held_back and len(self._intake) <= INPUT_BUFFER and self._wire is not None:
            self._held_back = False
            self._wire.resume_reading()

    # -- TLS

    async def start_tls(self) -> None:
        """RFC 3207: the handshake, and nothing that came before it survives it. Disconnected when it fails."""
        await self.flush()
        if self._wire is None or self._tls_context is None:
            raise Disconnected
        # The loop's own start_tls swaps the protocols before it first waits, so that no octet can slip in between
        # this line and the handshake: all that was sent in the clear, even pipelined behind STARTTLS, is gone.
        self._intake.clear()
        try:
            transport = await self.loop.start_tls(
                self._wire,
                self,
                self._tls_context,
                server_side=True,
                ssl_handshake_timeout=self.settings.handshake_s,
            )
        except (OSError, ssl.SSLError, TimeoutError):
            self.services.metrics.count("smtp_tls_failures")
            raise Disconnected from None
        if transport is None:
            raise Disconnected
        self.transport = transport
        self.encrypted = True

    # -- ends

    def _timeout_cb(self) -> None:
        """One timer a connection: it looks whether the time has really come, and sleeps on otherwise."""
        now = self.loop.time()
        if now >= self._session_end:
            self.end("421 4.4.2 Session time limit reached")
        elif not self.logged_in and now >= self._login_end:
            self.end("421 4.4.2 Login took too long")
        elif now >= self._idle_end and self._reading:
            self.end("421 4.4.2 Idle too long")
        else:
            if self._data_end is not None and now >= self._data_end:
                self._wake(TooSlow())
            ends = [self._session_end, max(self._idle_end, now + 1.0)]
            if not self.logged_in:
                ends.append(self._login_end)
            if self._data_end is not None:
                ends.append(self._data_end)
            self._look_again(max(min(ends) - now, 0.01))

    def _look_again(self, seconds: float) -> None:
        self._timer_at = self.loop.time() + seconds
        self._reset_timeout(seconds)

    def end(self, reply: str) -> None:
        """Ends the session: at once while it waits for the client, else after the running command's own reply."""
        if self._ending is None:
            self._ending = reply
            if self._reading and self._handler_coroutine is not None:
                self._handler_coroutine.cancel()

    def _say_goodbye(self) -> None:
        """Whatever the reason: the last replies are written, the transport is closed and, if need be, cut."""
        transport = self._wire
        if transport is None:
            return
        if self._ending is not None:
            self.reply(self._ending)
        if self._out and not transport.is_closing():
            transport.write(b"".join(self._out))
        self._out.clear()
        transport.close()
        self._cut_handle = self.loop.call_later(_CLOSE_GRACE_S, transport.abort)

    def cut(self) -> None:
        """Ends the connection now, whatever is still to be said."""
        if self._wire is not None:
            self._wire.abort()

    # -- DATA

    def begin_message(self) -> None:
        """What arrives from now on is taken by `read_some`."""
        self._in_message = True

    def count_before_login(self, octets: int) -> int:
        """Octets of a chunk (BDAT) count as those of lines do: all that a stranger has made us read, these too."""
        self._intake.line_octets += octets
        return self._intake.line_octets

    def end_message(self, rest: bytes) -> None:
        """Gives back what was read beyond the end of a message: pipelined commands."""
        self._in_message = False
        self._intake.unread(rest)

    async def read_some(self, budget: SlowBudget, most: int | None = None) -> bytes:
        """The next octets of a message, `most` of them. Disconnected, TooSlow."""
        if self._ending is not None:
            raise Disconnected
        began = waited = 0.0
        while not (chunk := self._intake.piece(most)):
            if self._out:
                await self.flush()  # a client that pipelines may wait for these replies before it goes on
            now = self.loop.time()
            began = began or now
            self._idle_end = began + self.settings.idle_s
            self._data_end = began + budget.left
            if self._data_end < self._timer_at:
                self._look_again(self._data_end - now)
            try:
                await self._arrival()
            finally:
                self._data_end = None
            waited = self.loop.time() - began
        self._resume()
        budget.arrived(len(chunk), waited)
        return chunk
