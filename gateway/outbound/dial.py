"""TCP connections only to addresses that passed the deny table: resolve, check each, dial the checked one."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable

from .addresses import allowed
from .errors import AddressDenied, ConnectFailed, NameNotFound

Resolver = Callable[[str, int], Awaitable[list[tuple[int, tuple[str, int]]]]]
"""(host, port) -> [(family, (address, port))] in order of preference. OSError when the name has none."""


async def system_resolver(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
    """getaddrinfo in the loop's thread pool."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(int(family), (str(address[0]), int(address[1]))) for family, _, _, _, address in found]


async def dial(
    host: str,
    port: int,
    *,
    allow_private: bool,
    patience: float,
    resolver: Resolver = system_resolver,
) -> socket.socket:
    """A connected, non-blocking socket. `patience` (seconds) bounds the name look-up and each address apart.

    The name is resolved once and the checked address dialled, so that a name which changes its answer between check
    and use gains nothing. NameNotFound, AddressDenied, ConnectFailed.
    """
    try:
        async with asyncio.timeout(patience):
            found = await resolver(host, port)
    except TimeoutError:
        raise NameNotFound(f"Looking up {host} timed out") from None
    except OSError:
        raise NameNotFound(f"{host} has no address") from None
    usable = [(family, address) for family, address in found if allowed(address[0], allow_private=allow_private)]
    if not found:
        raise NameNotFound(f"{host} has no address")
    if not usable:
        raise AddressDenied(f"{host} leads to a network that is not allowed ({found[0][1][0]})")
    reason = ""
    for family, address in usable:
        try:
            return await _connect(family, address, patience)
        except TimeoutError:
            reason = "timed out"
        except OSError as error:
            # The number's text: asyncio's own hides what the system said ("Connect call failed").
            reason = os.strerror(error.errno) if error.errno else "failed"
    raise ConnectFailed(f"Connecting to {host} port {port}: {reason}")


async def _connect(family: int, address: tuple[str, int], patience: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        async with asyncio.timeout(patience):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
