"""One connection's octets: pulling events from the reader, running one command at a time, gathering output.

A command is a coroutine. It is driven by hand up to its first wait, and only then becomes a task: a NOOP, a FETCH of
flags, a refusal never touch the event loop. All that one dispatch sends leaves in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from gateway.wire.events import Event, Fatal, Limits
from gateway.wire.framing import Reader

from .compression import BadStream, Deflater, Inflater
from .driven import rest
from .peer import Peer

log = structlog.get_logger(__name__)

FLUSH_AT: Final = 64 * 1024  # octets gathered before they are handed over within a command
READ_AHEAD: Final = 64 * 1024  # octets that wait behind a running command before reading pauses
TURN: Final = 32  # commands a connection may run, or pieces unpack, before others get the loop
_BROKEN: Final = Fatal("The compressed data are broken")


class Closed(Exception):
    """The connection has ended while a command waited; nobody is left to answer."""


class Channel:
    """Reader, output and the running command of one connection."""

    __slots__ = (
        "_deflater",
        "_drained",
        "_held",
        "_inflater",
        "_output",
        "_pumping",
        "_reading_paused",
        "_scheduled",
        "_serve",
        "_size",
        "_task",
        "_unpacked",
        "_unpacking",
        "_waiter",
        "_write_paused",
        "between_pages",
        "closed",
        "ended",
        "in_literal",
        "peer",
        "reader",
        "rested",
    )

    def __init__(self, peer: Peer, limits: Limits, serve: Callable[[Event], Coroutine[Any, Any, None]]) -> None:
        self.peer = peer
        self.reader = Reader(limits)
        self._serve = serve
        self._output: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._pumping = self._scheduled = self._held = False
        self._reading_paused = self._write_paused = False
        self._deflater: Deflater | None = None
        self._inflater: Inflater | None = None
        self._unpacking = False  # the client's octets are compressed; False while only its last flush is awaited
        self._unpacked = False  # the last look for an event has given the reader more octets
        self.between_pages: Callable[[], None] | None = None
        """Called where a long command breathes: the session may tell how far it is."""
        self.rested: Callable[[], None] | None = None
        """Called when commands have run and none is left: the session may have news of its own (RFC 5465)."""
        self.in_literal = False
        """The size of a literal was sent, its octets are still under way: nothing else may come between."""
        self.ended = False
        """BYE was sent: nothing is read any more, the connection is closing."""
        self.closed = False
        """The connection is gone."""

    # -- output --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if self.ended:
            return
        self._output.append(data)
        self._size += len(data)
        if self._size >= FLUSH_AT:
            self.flush()

    def flush(self) -> None:
        output = self._output
        if output:
            if not self.closed:
                data = output[0] if len(output) == 1 else b"".join(output)
                self.peer.write(data if self._deflater is None else self._deflater.pack(data))
            output.clear()
            self._size = 0

    @property
    def congested(self) -> bool:
        """The transport holds more than it wants; whoever can wait, waits."""
        return self._write_paused

    async def drain(self) -> None:
        """Hand over the output and wait until the transport wants more. Closed when the connection ended."""
        self.flush()
        while self._write_paused and not self.closed:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self.closed or self.ended:
            raise Closed

    async def breathe(self) -> None:
        """Between two pages of a long command: others get the loop, a slow reader is waited for."""
        if self.between_pages is not None:
            self.between_pages()
        if self._write_paused:
            await self.drain()
        else:
            self.flush()
            await asyncio.sleep(0)
        if self.closed or self.ended:
            raise Closed

    def end(self, last: bytes = b"") -> None:
        """Send `last`, then close; a running command finds out at its next wait.

        In the middle of a literal `last` would be taken for the message's: the connection just ends too early.
        """
        if self.ended:
            return
        if not self.in_literal:
            self.send(last)
        self.flush()
        self.ended = True
        self._wake()
        if not self.closed:
            self.peer.close()

    # -- compression (RFC 4978) ----------------------------------------------------------------------------------

    @property
    def compressed(self) -> bool:
        return self._deflater is not None

    def compress(self) -> None:
        """What was sent so far goes out as it is; all that follows is deflated, both ways."""
        self.flush()
        self._deflater, self._inflater, self._unpacking = Deflater(), Inflater(), True

    def expand(self) -> None:
        """The end of it, behind what was sent, and behind the client's last flush (RFC 8437 4.1)."""
        if self._deflater is None:
            return
        if not self.closed:
            self.peer.write(self._deflater.finish(b"".join(self._output)))
        self._output.clear()
        self._size = 0
        self._deflater, self._unpacking = None, False
        self._settle()

    def _settle(self) -> None:
        """Look for the client's last flush; behind it its octets are plain."""
        inflater = self._inflater
        assert inflater is not None
        try:
            while not inflater.settled:
                piece = inflater.unpack()
                if piece is None:
                    return
                if piece:
                    raise BadStream  # it goes on with commands instead
            self._inflater = None
            self.reader.feed(inflater.rest())
        except BadStream:
            log.info("imap.compression_broken", peer=self.peer.address)
            self.end(b"* BYE %b\r\n" % _BROKEN.text.encode("ascii"))

    @property
    def _ahead(self) -> int:
        """Octets that wait to be looked at."""
        return self.reader.buffered + (0 if self._inflater is None else self._inflater.waiting)

    def _pull(self) -> Event | None:
        """The next event. None: there is none before the reader has more octets, which it has now if `_unpacked`."""
        event = self.reader.next()
        self._unpacked = False
        if event is None and self._unpacking and self._inflater is not None:
            try:
                piece = self._inflater.unpack()
            except BadStream:
                return _BROKEN
            if piece is not None:
                self.reader.feed(piece)
                self._unpacked = True
        return event

    # -- called by the transport ---------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self.ended:
            return
        if self._inflater is None:
            self.reader.feed(data)
        else:
            self._inflater.feed(data)
            if not self._unpacking:
                self._settle()
        if self._waiter is not None:
            self._wake()
        elif self._task is None:
            self.pump()
        elif self._ahead > READ_AHEAD and not self._reading_paused:
            self._reading_paused = True
            self.peer.pause_reading()

    def connection_lost(self) -> None:
        self.closed = self.ended = True
        self._output.clear()
        self._wake()

    def pause(self) -> None:
        self._write_paused = True

    def resume(self) -> None:
        self._write_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._held:
            self._held = False
            asyncio.get_running_loop().call_soon(self.pump)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self.closed:
            self.resume()

    # -- events and commands -------------------------------------------------------------------------------------

    async def next_event(self) -> Event:
        """The next event for a command that reads on itself (APPEND, AUTHENTICATE, IDLE)."""
        while True:
            if self.ended:
                raise Closed
            event = self._pull()
            if event is not None:
                return event
            if self._unpacked:
                await asyncio.sleep(0)  # a message that was packed well has thousands of pieces
                continue
            self.flush()
            self._resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None

    @property
    def busy(self) -> bool:
        return self._task is not None

    @property
    def at_rest(self) -> bool:
        """Nothing happens until the client sends something: no command runs, or it waits for the client's octets."""
        if self._waiter is not None:
            return not self._waiter.done()
        return self._task is None and not self._scheduled

    def pump(self) -> None:
        """Run commands until one waits, input ends, or it is others' turn."""
        if self._pumping or self._task is not None:
            return
        self._pumping = True
        self._scheduled = False
        turn = TURN
        try:
            while self._task is None and not self.ended:
                if self._write_paused:
                    # Its answers wait already: a peer that only sends would fill the memory with more of them.
                    self._held = True
                    break
                if not turn:
                    self._scheduled = True
                    break
                turn -= 1
                event = self._pull()
                if event is not None:
                    self._start(self._serve(event))
                elif not self._unpacked:
                    break
        finally:
            self._pumping = False
        self.flush()
        if self._scheduled:
            asyncio.get_running_loop().call_soon(self.pump)
        if self._scheduled or self._held:
            if self._ahead > READ_AHEAD and not self._reading_paused:
                self._reading_paused = True
                self.peer.pause_reading()
        elif self._task is None:
            self._resume_reading()
            if self.rested is not None:
                self.rested()

    def run(self, job: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `job` as if it were a command, unless one is running: what the client sends meanwhile waits."""
        if self._task is not None or self._pumping or self.ended:
            return
        self._pumping = True
        try:
            self._start(job())
        finally:
            self._pumping = False
        self.flush()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self.ended:
            self._reading_paused = False
            self.peer.resume_reading()

    def _start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            waiting = coroutine.send(None)
        except StopIteration:
            return
        except Closed:
            return
        except Exception as error:
            self._broken(error)
            return
        self.flush()
        self._task = asyncio.get_running_loop().create_task(rest(coroutine, waiting))
        self._task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            error = task.exception()
            if error is not None and not isinstance(error, Closed):
                self._broken(error)
        self.pump()

    def _broken(self, error: BaseException) -> None:
        """The session answers all errors itself: what arrives here is a defect in its own last resort."""
        log.error("imap.session.broken", exc_info=error)
        self.end(b"* BYE Internal error\r\n")
