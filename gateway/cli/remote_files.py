"""Messages of an account between the server and files: in pieces, whole or not at all."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from gateway.control.frames import Frame
from gateway.maintain.octets import ToCrlf
from gateway.model.errors import AlreadyExists, InvalidRequest

from .runtime import Runtime

Json = Any
_PIECE: Final = 256 * 1024
_NOBODY_ELSE: Final = 0o077


def downloaded(runtime: Runtime, output: Path | None, wanted: Mapping[str, Json]) -> dict[str, Json]:
    """A message into `output` or to standard output; what it was. AlreadyExists."""
    if output is None:
        return _into(runtime, sys.stdout.buffer, wanted)
    with whole_file(output) as file:
        return _into(runtime, file, wanted)


def _into(runtime: Runtime, file: BinaryIO, wanted: Mapping[str, Json]) -> dict[str, Json]:
    async def take(frame: Frame) -> None:
        if isinstance(frame, bytes):
            await asyncio.to_thread(file.write, frame)

    done: dict[str, Json] = runtime.call("remote.download", on_frame=take, **wanted)
    file.flush()
    return done


@contextmanager
def whole_file(path: Path, *, replace: bool = False) -> Iterator[BinaryIO]:
    """A new file at `path`, which is there when all of it is. AlreadyExists unless `replace`."""
    if not replace and os.path.lexists(path):
        raise AlreadyExists(f"{path} exists already")
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        if replace:
            os.replace(name, path)
        else:
            try:
                os.link(name, path)
            except FileExistsError:
                raise AlreadyExists(f"{path} exists already") from None
    finally:
        Path(name).unlink(missing_ok=True)


def _umask() -> int:
    """There is no way to ask without setting it."""
    mask = os.umask(_NOBODY_ELSE)
    os.umask(mask)
    return mask


def appended(runtime: Runtime, source: Path, wanted: Mapping[str, Json]) -> dict[str, Json]:
    """Send the file `source`, or standard input for `-`, with CRLF at its lines' ends; where it is now."""
    with _opened(source) as file:
        ends = ToCrlf()
        size = sum(len(ends.feed(piece)) for piece in iter(lambda: file.read(_PIECE), b""))
        if not size:
            raise InvalidRequest("The message is empty")
        file.seek(0)
        filed: dict[str, Json] = runtime.call("remote.append", size=size, feed=_pieces(file), **wanted)
    return filed


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    """A file that can be read twice: its size has to be known before its first octet is sent."""
    if str(source) != "-":
        with source.open("rb") as file:
            yield file
        return
    with tempfile.TemporaryFile() as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled, _PIECE)
        spooled.seek(0)
        yield spooled


async def _pieces(file: BinaryIO) -> AsyncIterator[Frame]:
    ends = ToCrlf()
    while piece := await asyncio.to_thread(file.read, _PIECE // 2):  # a line end may become two octets
        yield ends.feed(piece)
