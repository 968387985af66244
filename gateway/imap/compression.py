"""COMPRESS=DEFLATE (RFC 4978): both directions of one connection, bounded in what a turn of the loop may unpack.

A kilobyte of deflate can stand for a megabyte. `Inflater` therefore keeps what came in as it is and unpacks a piece
each time it is asked, so that the reader's limits on lines, literals and commands hold for unpacked octets, and what
waits in memory is one piece at most beside the compressed octets, for which the transport is paused as ever.
"""

from __future__ import annotations

import zlib
from typing import Final

PIECE: Final = 65_536
"""Octets unpacked at once: some 0.2 ms."""

LEVEL: Final = 3
"""60 to 100 MB/s of responses; a third larger than the best level, at a quarter of its time."""

_RAW: Final = -15  # no zlib header (RFC 4978 4), the largest window: clients may use it, so ours is as large
_MEMORY: Final = 5  # 144 KiB for the compressor instead of 256; the ratio of mail suffers by 1 %
_SYNC: Final = b"\x00\x00\xff\xff"  # how the octets of a flush end (RFC 1951 3.2.4, an empty stored block)


class BadStream(Exception):
    """What the client sends is not deflate, or goes on behind the stream's end."""


class Deflater:
    """The server's octets. One flush an answer: the client can read all of it at once."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.compressobj(LEVEL, zlib.DEFLATED, _RAW, _MEMORY)

    def pack(self, data: bytes) -> bytes:
        return self._stream.compress(data) + self._stream.flush(zlib.Z_SYNC_FLUSH)

    def finish(self, data: bytes) -> bytes:
        """`data` and the end of the stream: what follows is not compressed (RFC 8437 4.1)."""
        return self._stream.compress(data) + self._stream.flush(zlib.Z_FINISH)


class Inflater:
    """The client's octets: `feed` what came in, `unpack` a piece whenever the reader has nothing left."""

    __slots__ = ("_before", "_full", "_input", "_stream")

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(_RAW)
        self._input = bytearray()
        self._before = b""  # the last octets that were unpacked: a marker may begin there
        self._full = False  # the last piece was cut: the stream may hold octets of its own still

    def feed(self, data: bytes) -> None:
        self._input += data

    @property
    def waiting(self) -> int:
        """Compressed octets that were not looked at yet."""
        return len(self._input)

    def unpack(self) -> bytes | None:
        """The next piece, which may be empty; None when there is none before more is fed. BadStream.

        Goes no further than the end of one flush, so that a client whose last command ends the compression may have
        sent more behind it, which is not deflate any more: that is `rest`.
        """
        if not self._full and not self._input:
            return None
        if self._stream.eof:
            raise BadStream
        packed = b"" if self._full else bytes(self._input[: self._end_of_flush()])
        try:
            piece = self._stream.decompress(packed, PIECE)
        except zlib.error:
            raise BadStream from None
        if packed:
            used = len(packed) - len(self._stream.unconsumed_tail) - len(self._stream.unused_data)
            self._before = (self._before + packed[:used])[-len(_SYNC) :]
            del self._input[:used]
        self._full = len(piece) == PIECE and not self._stream.eof
        return piece

    def _end_of_flush(self) -> int:
        before = self._before[1:]
        found = (before + self._input).find(_SYNC)
        return len(self._input) if found < 0 else found + len(_SYNC) - len(before)

    @property
    def settled(self) -> bool:
        """All that was unpacked ends with a flush or with the stream: the compression may end here."""
        return not self._full and (self._stream.eof or self._before == _SYNC or not self._before)

    def rest(self) -> bytes:
        """What was fed and lies behind the part that was unpacked."""
        return bytes(self._input)
