"""The BDAT phase without sockets (RFC 3030): the command's grammar, and what a message in chunks may hold."""

from __future__ import annotations

import io
import re
from typing import Final

from gateway.model.errors import GatewayError
from gateway.submit.envelope import Accepted
from gateway.submit.intake import Delivered

from .ports import Acceptance

_BDAT: Final = re.compile(rb"([0-9]{1,20})(?:[ \t]+(LAST))?\Z", re.IGNORECASE)
_HEADER_END: Final = b"\r\n\r\n"
_ALLOWED: Final = (None, "\r\n")  # kinds of line end
_WORTH_WRITING: Final = 16_384  # octets; smaller pieces wait for each other, or each would be an object of its own


def parse_bdat(argument: bytes) -> tuple[int, bool] | None:
    """(octets, LAST). None: nobody knows how many octets follow, and where the next command begins."""
    found = _BDAT.match(argument)
    return (int(found[1]), found[2] is not None) if found is not None else None


class ChunkChecker:
    """Looks at a message's octets as they come, in any chunking.

    A text message is held to what DATA takes: no NUL, no bare CR or LF, for it may go on by DATA, where others might
    take them for its end ("SMTP smuggling"). With BODY=BINARYMIME that holds for the header only, whose end must be
    the same one for everybody who reads it.
    """

    __slots__ = ("_binary", "_body", "_line_ends", "_tail", "size", "violated")

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary
        self._body = False  # of a binary message: anything goes
        self._tail = b"\r\n"  # what the header's end may begin with; the first line starts a line too
        self._line_ends = io.IncrementalNewlineDecoder(None, translate=False)
        self.size = 0
        self.violated = False

    def feed(self, piece: bytes) -> None:
        self.size += len(piece)
        if self._body or not piece:
            return
        if self._binary:
            seen = self._tail + piece
            end = seen.find(_HEADER_END)
            if end >= 0:
                self._body = True
                piece = piece[: end + len(_HEADER_END) - len(self._tail)]
            self._tail = seen[-3:]
        self._look(piece, final=self._body)

    def finish(self) -> None:
        """No more comes: a CR at the end was a bare one."""
        self._look(b"", final=True)

    def _look(self, octets: bytes, *, final: bool) -> None:
        self._line_ends.decode(octets.decode("latin-1"), final)
        if self._line_ends.newlines not in _ALLOWED or b"\0" in octets:
            self.violated = True


class Chunks:
    """One message by BDAT on its way in. `failed`: nothing more is written of it, whatever comes."""

    __slots__ = ("_held", "acceptance", "checker", "failed")

    def __init__(self, acceptance: Acceptance[Accepted | Delivered], *, binary: bool) -> None:
        self.acceptance = acceptance
        self.checker = ChunkChecker(binary=binary)
        self.failed: GatewayError | None = None
        self._held = bytearray()

    @property
    def refused(self) -> bool:
        """Nothing will become of it, whatever else comes."""
        return self.failed is not None or self.checker.violated

    async def write(self, piece: bytes) -> None:
        """Never fails: the octets have to be read to their end all the same."""
        if self.refused:
            return
        self.checker.feed(piece)
        if self._held or len(piece) < _WORTH_WRITING:
            self._held += piece
            if len(self._held) < _WORTH_WRITING:
                return
            piece = bytes(self._held)
            self._held.clear()
        await self._pass_on(piece)

    async def end(self) -> None:
        """The last chunk was read."""
        self.checker.finish()
        if self._held and not self.refused:
            await self._pass_on(bytes(self._held))

    async def _pass_on(self, piece: bytes) -> None:
        if self.checker.violated:
            return
        try:
            await self.acceptance.write(piece)
        except GatewayError as error:
            self.failed = error
