"""What the control socket carries: lines of JSON, and octets announced by such a line.

A frame is an object on a line of its own, or octets: the line `{"octets": n}` with exactly n octets after it. Both
sides send frames in order, so a message streams through without base64 and without a file both sides can open.

A conversation is one request: `{"op": name, "params": {…}}`, then what the operation reads as frames up to
`{"end": true}`; answers are any number of `{"event": {…}}` and octets, then one `{"result": …}` or
`{"error": {"kind": …, "text": …}}`, upon which the caller closes.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from gateway.model.errors import InvalidRequest

T = TypeVar("T")

Json = Any
"""What `json` can say: None, bool, int, float, str, list, dict."""

Frame = dict[str, Json] | bytes

LINE_LIMIT: Final = 1 << 20  # a frame of JSON; lists are sent as one event an item, so this is ample
CHUNK_LIMIT: Final = 256 * 1024  # octets in one frame: what the store stages in one unit
_UNIX_PATH_LIMIT: Final = 100  # sun_path has 108 octets, the last one NUL


class Link:
    """Frames over one pair of asyncio streams; a reader must have been made with `limit=LINE_LIMIT`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, frame: Frame) -> None:
        """Queue `frame` and wait while the peer is slow. ConnectionError when it has gone."""
        if isinstance(frame, bytes):
            if len(frame) > CHUNK_LIMIT:
                raise InvalidRequest(f"A frame may have {CHUNK_LIMIT} octets at most")
            self._writer.write(b'{"octets":%d}\n' % len(frame) + frame)
        else:
            self._writer.write(json.dumps(frame, separators=(",", ":")).encode() + b"\n")
        await self._writer.drain()

    async def receive(self) -> Frame | None:
        """The next frame, None at the end of the stream; InvalidRequest for what is no frame."""
        try:
            line = await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise InvalidRequest("The stream ended inside a line") from None
            return None
        except asyncio.LimitOverrunError:
            raise InvalidRequest(f"A line may have {LINE_LIMIT} octets at most") from None
        try:
            value = json.loads(line)
        except ValueError:
            raise InvalidRequest("A line is no JSON") from None
        if not isinstance(value, dict):
            raise InvalidRequest("A line must hold a JSON object")
        if "octets" not in value:
            return value
        length = value["octets"]
        if type(length) is not int or not 0 <= length <= CHUNK_LIMIT:
            raise InvalidRequest(f"octets must be a number up to {CHUNK_LIMIT}")
        try:
            return await self._reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise InvalidRequest("The stream ended inside octets") from None

    async def discard(self) -> None:
        """Read and forget until the peer closes: closing first would cut off an answer it has not read yet."""
        while await self._reader.read(CHUNK_LIMIT):
            pass

    async def close(self) -> None:
        """Flush and close; a peer that has gone already is no error."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


async def with_unix_path(path: Path, use: Callable[[str], Awaitable[T]]) -> T:
    """Call `use` with a name of `path` that fits a socket address, however deep the directory lies."""
    if len(os.fsencode(path)) <= _UNIX_PATH_LIMIT:
        return await use(str(path))
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        return await use(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
