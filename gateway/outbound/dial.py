"""TCP connections only to addresses that passed the deny table: resolve, check each, dial the checked one."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final

from .addresses import allowed
from .errors import AddressDenied, ConnectFailed, NameNotFound, OutboundError, ProxyFailed
from .failure import Failure
from .proxy import Proxy, negotiation

Resolver = Callable[[str, int], Awaitable[list[tuple[int, tuple[str, int]]]]]
"""(host, port) -> [(family, (address, port))] in order of preference. OSError when the name has none."""

MOST_ADDRESSES: Final = 8
"""Of one name that are tried: each may take its time."""
_READS: Final = 50


_closed = ""


def close(reason: str) -> None:
    """From now on this process dials nobody and looks no name up (test mode); `reason` is what is said of each try."""
    global _closed
    _closed = reason


async def system_resolver(host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
    """getaddrinfo in the loop's thread pool."""
    if _closed:
        raise OSError(_closed)
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
    proxy: Proxy | None = None,
) -> socket.socket:
    """A connected, non-blocking socket. `patience` (seconds) bounds the name look-up and each address apart.

    The name is resolved once and the checked address dialled, so that a name which changes its answer between check
    and use gains nothing; a proxy is told the checked address too, unless names are its business (`Proxy`). Nothing of
    what the server says first has been read. NameNotFound, AddressDenied, ConnectFailed, ProxyFailed.
    """
    if _closed:
        raise ConnectFailed(f"Connecting to {host} port {port}: {_closed}")
    if proxy is not None and proxy.remote_names and not _is_address(host):
        return await _through(proxy, host, port, patience, resolver)
    usable = await _resolved(host, port, allow_private, patience, resolver)
    failed: OutboundError | None = None
    for family, address in usable:
        try:
            if proxy is not None:
                return await _through(proxy, *address, patience, resolver)
            return await _connect(family, address, patience)
        except TimeoutError:
            failed = ConnectFailed(f"Connecting to {host} port {port}: timed out", Failure.TIMEOUT)
        except OSError as error:
            failed = ConnectFailed(f"Connecting to {host} port {port}: {_reason(error)}")
        except ConnectFailed as error:
            failed = ConnectFailed(f"Connecting to {host} port {port}: {error}", error.failure)
    assert failed is not None
    raise failed


async def _resolved(
    host: str, port: int, allow_private: bool, patience: float, resolver: Resolver
) -> list[tuple[int, tuple[str, int]]]:
    """Addresses that may be dialled, at least one. NameNotFound, AddressDenied."""
    try:
        async with asyncio.timeout(patience):
            found = await resolver(host, port)
    except TimeoutError:
        raise NameNotFound(f"Looking up {host} timed out") from None
    except (OSError, UnicodeError):  # the latter for a label that no name can have
        raise NameNotFound(f"{host} has no address") from None
    if not found:
        raise NameNotFound(f"{host} has no address")
    usable = [(family, address) for family, address in found if allowed(address[0], allow_private=allow_private)]
    if not usable:
        raise AddressDenied(f"{host} leads to a network that is not allowed ({found[0][1][0]})")
    return usable[:MOST_ADDRESSES]


async def _through(proxy: Proxy, host: str, port: int, patience: float, resolver: Resolver) -> socket.socket:
    """A connection with `host` through the proxy. ProxyFailed, ConnectFailed."""
    try:
        sock = await dial(
            proxy.host, proxy.port, allow_private=proxy.allow_private, patience=patience, resolver=resolver
        )
    except OutboundError as error:
        raise ProxyFailed(f"{proxy} cannot be used: {error}") from None
    try:
        async with asyncio.timeout(patience):
            await _negotiate(sock, proxy, host, port)
    except TimeoutError:
        sock.close()
        raise ProxyFailed(f"{proxy} did not answer in time") from None
    except OSError as error:
        sock.close()
        raise ProxyFailed(f"{proxy}: {_reason(error)}") from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _negotiate(sock: socket.socket, proxy: Proxy, host: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    talk = negotiation(proxy, host, port)
    await loop.sock_sendall(sock, talk.start())
    for turn in itertools.count(1):
        if not talk.wants:
            return
        if turn % _READS == 0:  # what is there is read without waiting: an answer without an end would keep the loop
            await asyncio.sleep(0)
        octets = await loop.sock_recv(sock, talk.wants)
        if not octets:
            raise ProxyFailed(f"{proxy} closed the connection")
        if more := talk.feed(octets):
            await loop.sock_sendall(sock, more)


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


def _reason(error: OSError) -> str:
    """The number's text: asyncio's own hides what the system said ("Connect call failed")."""
    return os.strerror(error.errno) if error.errno else "failed"


def _is_address(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
