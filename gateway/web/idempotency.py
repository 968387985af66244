"""Idempotency-Key: a request that is sent again is answered again, and carried out once.

    async def send(..., once: Once) -> Any:
        async def work(keep: Keep) -> Sent: ...   # calls keep(tx, answer) in its unit
        return await once.run(work, 201)

Nothing is written before the unit that carries the request out, so a crash leaves no key that is taken and has no
answer. The same key with another body is 409, and so is one whose request is under way in this process; between
processes the unit that comes second is undone, and its sender gets the first one's answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Annotated, Any, Final

from fastapi import Depends, Header, Request
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gateway.model.errors import AuthenticationFailed, InvalidRequest
from gateway.store import idempotency
from gateway.store.db import Tx
from gateway.store.idempotency import Done, DoneBefore

from .services import WebServices

MOST: Final = 255
LARGE: Final = 65_536
"""Octets of a body that is not hashed or read on the loop."""
REPLAYED: Final = {"Idempotency-Replayed": "true"}
_KEY: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")

Keep = Callable[[Tx, BaseModel], None]
"""In the unit that carries the request out, with its answer."""


class Attempt:
    """One request, which may be known."""

    def __init__(self, services: WebServices, under_way: set[bytes], digest: bytes | None, body: bytes) -> None:
        self._services = services
        self._under_way = under_way
        self._digest = digest
        self._body = body

    async def run(self, work: Callable[[Keep], Awaitable[BaseModel]], status: int = 200) -> Any:
        """What `work` answers, or was answered with before. HTTPException 409, and what `work` raises."""
        digest = self._digest
        if digest is None:
            return await work(_forget)
        if digest in self._under_way:
            raise HTTPException(409, "A request with this Idempotency-Key is under way", {"Retry-After": "1"})
        self._under_way.add(digest)
        try:
            if (known := await self._known(digest)) is not None:
                return known

            def keep(tx: Tx, answer: BaseModel) -> None:
                done = Done(self._body, status, answer.model_dump_json(by_alias=True).encode())
                idempotency.take(tx, digest, done, int(self._services.clock()))

            try:
                return await work(keep)
            except DoneBefore:  # by another process
                if (known := await self._known(digest)) is not None:
                    return known
                raise
        finally:
            self._under_way.discard(digest)

    async def _known(self, digest: bytes) -> Response | None:
        now = int(self._services.clock())
        done = await self._services.db.tiny(lambda rx: idempotency.find(rx, digest, now))
        if done is None:
            return None
        if done.body != self._body:
            raise HTTPException(409, "This Idempotency-Key was used for another request")
        return Response(done.answer, done.status, REPLAYED, "application/json")


async def _attempt(
    request: Request,
    idempotency_key: Annotated[
        str | None, Header(description="Makes a repeated request harmless, for 24 hours: any text of your own")
    ] = None,
) -> Attempt:
    services: WebServices = request.app.state.services
    state = request.app.state
    if not hasattr(state, "under_way"):
        state.under_way = set()
    if idempotency_key is None:
        return Attempt(services, state.under_way, None, b"")
    if len(idempotency_key) > MOST or not _KEY.fullmatch(idempotency_key):
        raise InvalidRequest(f"Idempotency-Key: 1 to {MOST} printable ASCII characters")
    who = request.scope["state"].get("caller")
    if who is None:
        raise AuthenticationFailed("The request has no API key")
    octets = await request.body()
    what = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    body = _digest(what, octets) if len(octets) <= LARGE else await asyncio.to_thread(_digest, what, octets)
    return Attempt(services, state.under_way, _digest(b"%d\n" % who.key_id, idempotency_key.encode()), body)


def _digest(what: bytes, octets: bytes) -> bytes:
    made = sha256(what)
    made.update(octets)
    return made.digest()


def _forget(tx: Tx, answer: BaseModel) -> None:
    """Nobody will ask again."""


Once = Annotated[Attempt, Depends(_attempt)]
