"""The control socket of a running server: who may speak on it, and what it answers."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import struct
from pathlib import Path
from typing import Final

import structlog

from gateway.model.errors import GatewayError, InvalidRequest, NoPermission

from .frames import LINE_LIMIT, Frame, Json, Link, with_unix_path
from .operations import Asker, Context, run

log = structlog.get_logger(__name__)

MAX_CONVERSATIONS: Final = 32  # only the owner can connect; a script that forks too much must not take the server down
FAREWELL_S: Final = 10.0  # a caller reads its answer and closes; one that hangs is cut
REQUEST_TIMEOUT_S: Final = 10.0  # a peer that connects and says nothing keeps no place


class _LinkStream:
    """An operation's view of the conversation: frames in up to `end`, events and octets out."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ended = False

    async def receive(self) -> Frame | None:
        if self._ended:
            return None
        frame = await self._link.receive()
        if frame is None:
            raise InvalidRequest("The stream ended before its end frame")
        if isinstance(frame, dict) and frame.get("end") is True:
            self._ended = True
            return None
        return frame

    async def send(self, frame: Frame) -> None:
        await self._link.send(frame if isinstance(frame, bytes) else {"event": frame})


class ControlServer:
    """Serves `operations` on a Unix socket: mode 0600, and only to our own user and root (SO_PEERCRED)."""

    def __init__(self, context: Context, path: Path) -> None:
        self._context = context
        self._path = path
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Bind and listen. The caller holds the data directory's lock, so a socket left there is a dead one."""
        self._path.unlink(missing_ok=True)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:

            async def bind(name: str) -> None:
                old = os.umask(0o177)
                try:
                    sock.bind(name)
                finally:
                    os.umask(old)

            await with_unix_path(self._path, bind)
            self._server = await asyncio.start_unix_server(self._accept, sock=sock, limit=LINE_LIMIT)
        except BaseException:
            sock.close()
            raise

    async def close(self) -> None:
        """Stop accepting, end what runs (an operation is a series of store units: none is left half done)."""
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        link = Link(reader, writer)
        try:
            answer = await self._answer(link, writer)
            if answer is not None:
                await link.send(answer)
                async with asyncio.timeout(FAREWELL_S):
                    await link.discard()
        except (ConnectionError, TimeoutError):
            log.info("control.peer_gone")
        finally:
            await link.close()
            self._tasks.discard(task)

    async def _answer(self, link: Link, writer: asyncio.StreamWriter) -> dict[str, Json] | None:
        op = ""
        try:
            asker = self._authorise(writer)
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                request = await link.receive()
            if request is None:
                return None  # somebody looked whether we serve
            op, params = _request(request)
            result = await run(self._context, _LinkStream(link), op, params, asker)
            log.info("control.done", op=op)
            return {"result": result}
        except TimeoutError:
            return _refusal(InvalidRequest("No request came"))
        except GatewayError as error:
            log.info("control.refused", op=op, error=type(error).__name__, text=str(error))
            return _refusal(error)
        except ConnectionError:
            raise
        except Exception:
            error_id = secrets.token_hex(4)
            log.exception("control.defect", op=op, error_id=error_id)
            return {"error": {"kind": "Defect", "text": f"Unexpected failure; the server's log has {error_id}"}}

    def _authorise(self, writer: asyncio.StreamWriter) -> Asker:
        if len(self._tasks) > MAX_CONVERSATIONS:
            raise InvalidRequest("Too many commands at once")
        peer = writer.get_extra_info("socket")
        credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        _pid, uid, _gid = struct.unpack("3i", credentials)
        if uid not in (0, os.geteuid()):
            raise NoPermission("Only the server's own user and root may control it")
        return Asker(uid)


def _request(frame: Frame) -> tuple[str, dict[str, Json]]:
    if not isinstance(frame, dict):
        raise InvalidRequest("A request starts with a JSON object")
    op, params = frame.get("op"), frame.get("params", {})
    if not isinstance(op, str) or not isinstance(params, dict):
        raise InvalidRequest("A request has op (a text) and params (an object)")
    return op, params


def _refusal(error: GatewayError) -> dict[str, Json]:
    return {"error": {"kind": type(error).__name__, "text": str(error)}}
