"""aiohttp's connections made by us; imported with aiohttp, at the first request.

`_create_connection` is the one method that aiohttp's own connectors differ by. It is not public: a test holds that it
is still what asks for a connection, for if it were not, aiohttp would dial by itself.
"""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import BaseConnector
from aiohttp.client_proto import ResponseHandler

Connect = Callable[[Callable[[], ResponseHandler], str, int, ssl.SSLContext], Awaitable[Any]]


class DialledConnector(BaseConnector):
    """Each request has a connection of its own."""

    def __init__(self, connect: Connect) -> None:
        super().__init__(force_close=True, limit=0)
        self._connect_to = connect

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:  # noqa: ASYNC109
        protocol: ResponseHandler = await self._connect_to(self._factory, req.url.raw_host, req.url.port, req.ssl)
        return protocol
