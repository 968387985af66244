"""BDAT (RFC 3030): a message in chunks of told size. The octets of a chunk are never read as commands."""

from __future__ import annotations

import ssl
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.submit.envelope import Accepted
from gateway.submit.intake import Delivered

from .chunks import Chunks, parse_bdat
from .connection import Disconnected, TooSlow
from .data import SlowBudget
from .login import LoginConnection
from .ports import Acceptance, SubmissionServices
from .replies import TOO_BIG

Kept = Accepted | Delivered

MAX_DRAIN: Final = 2
"""A message over the limit is read to its end up to this many times the limit."""
RESET_FIRST: Final = "503 5.5.1 Send RSET first"
"""RFC 3030 2: after a refused BDAT, or DATA where BDAT is needed, nobody knows what the client takes for sent."""


class ChunkingConnection(LoginConnection):
    """A connection that takes messages by BDAT. The transaction's envelope is the subclass's."""

    def __init__(
        self, services: SubmissionServices, tls: ssl.SSLContext | None, *, implicit_tls: bool, trusted: bool = False
    ) -> None:
        super().__init__(services, tls, implicit_tls=implicit_tls, trusted=trusted)
        self._chunks: Chunks | None = None
        self._spoilt = False  # until RSET

    @property
    @abstractmethod
    def _in_transaction(self) -> bool:
        """MAIL was accepted."""

    @abstractmethod
    def _no_message(self) -> str | None:
        """The reply when no message may come now, for there is no envelope; else None."""

    @abstractmethod
    def _begin(self) -> tuple[Acceptance[Kept], bool]:
        """The envelope's message begins; whether it may be binary."""

    @abstractmethod
    def _end_transaction(self) -> None:
        """Forgets the envelope."""

    @abstractmethod
    def _settle(self, acceptance: Acceptance[Kept], accepted: Kept | None) -> None:
        """Replies when it is kept, drops it when not."""

    async def _bdat(self, argument: bytes) -> None:
        chunk = await self._announced(argument)
        if chunk is None:
            return
        size, last = chunk
        refusal = RESET_FIRST if self._spoilt else self._no_message()
        if refusal is None and self._received + size > self.settings.max_message_size:
            refusal = TOO_BIG
        if refusal is not None:
            await self._skip(size)
            if self._in_transaction:
                self._spoil()
            self._fail(refusal)
            return
        chunks = self._chunks
        if chunks is None:
            acceptance, binary = self._begin()
            chunks = self._chunks = Chunks(acceptance, binary=binary)
        await self._receive(size, chunks.write)
        await self._have(chunks, last, f"250 2.0.0 {size} octets received")

    async def _have(self, chunks: Chunks, last: bool, more: str) -> None:
        """A chunk has been read, from wherever: the one reply to its command; `more` where another is to follow."""
        if last:
            await chunks.end()
        if chunks.checker.violated:
            self._spoil()
            self._fail("550 5.6.0 The message holds a bare CR, a bare LF or a NUL")
        elif chunks.failed is not None:
            self._spoil()
            raise chunks.failed
        elif last:
            await self._keep(chunks.acceptance)
        else:
            self.reply(more)

    async def _refuse_bdat(self, argument: bytes, refusal: str) -> None:
        """In a state that has no BDAT: its octets are read past all the same."""
        chunk = await self._announced(argument)
        if chunk is not None:
            await self._skip(chunk[0])
            self._fail(refusal)

    async def _announced(self, argument: bytes) -> tuple[int, bool] | None:
        """What the command says. None: it was answered. Disconnected when more follows than anybody reads past."""
        chunk = parse_bdat(argument)
        if chunk is None:
            self._fail("501 5.5.4 Syntax: BDAT octets [LAST]")
            self.end("421 5.5.4 Where the next command begins cannot be known")
            return None
        if not self.logged_in and self.count_before_login(chunk[0]) > self.settings.login_octets:
            self.reply("421 4.7.0 Too much data before login")
            raise Disconnected
        if chunk[0] > MAX_DRAIN * self.settings.max_message_size:
            self.reply(TOO_BIG)
            raise Disconnected
        return chunk

    @property
    def _received(self) -> int:
        return self._chunks.checker.size if self._chunks is not None else 0

    async def _keep(self, acceptance: Acceptance[Kept]) -> None:
        self._chunks = None
        self._end_transaction()
        accepted: Kept | None = None
        try:
            accepted = await acceptance.finish()
        finally:
            self._settle(acceptance, accepted)

    def _drop_chunks(self) -> None:
        """What came of a message in chunks is of no use any more."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            self._settle(chunks.acceptance, None)

    def _spoil(self) -> None:
        self._drop_chunks()
        self._spoilt = True

    async def _skip(self, size: int) -> None:
        async def nowhere(piece: bytes) -> None:
            return

        await self._receive(size, nowhere)

    async def _receive(self, size: int, sink: Callable[[bytes], Awaitable[None]]) -> None:
        """Reads so many octets, whatever becomes of them; what follows are commands again."""
        budget = SlowBudget(self.settings.slow_window_s, self.settings.slow_octets)
        self.begin_message()
        try:
            while size:
                piece = await self.read_some(budget, size)
                size -= len(piece)
                await sink(piece)
        except TooSlow:
            self.reply("421 4.4.2 Data arrive too slowly")
            raise Disconnected from None
        self.end_message(b"")
