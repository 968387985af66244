"""The PROXY protocol, versions 1 and 2: a proxy's word about who connects, before anything else is said, TLS too.

After HAProxy's specification (haproxy.org, doc/proxy-protocol.txt): version 1 is one line of text, version 2 a binary
block. Both are read strictly, for whoever sends them decides whose address is throttled: what is wrong in any way is
no header. The reader is pure: octets in, a header or "not yet" out, in any chunking.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

MAX_LINE: Final = 107
"""Octets of a version 1 header with its CRLF (section 2.1): what the longest one can have."""
MAX_BLOCK: Final = 536
"""Octets of a version 2 header that are taken: what a sender may rely on to arrive in one segment (2.2), TLVs too."""

_SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
_FIXED: Final = 16  # signature, version and command, family and protocol, two octets of length
_TEXT: Final = b"PROXY "
_UNKNOWN: Final = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*)?\r\n")
_LINE: Final = re.compile(rb"PROXY TCP([46]) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n")
_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")

_LOCAL, _PROXY = 0, 1
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_STREAM: Final = 1
_LENGTHS: Final = {_UNSPEC: 0, _INET: 12, _INET6: 36, _UNIX: 216}


class NoProxyHeader(Exception):
    """What came is no PROXY header, or one that contradicts itself."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """`source` is the client's (address, port); None when the proxy speaks for itself or does not know: then the
    connection is what it seems to be. `octets`: how many of the input it took."""

    source: tuple[str, int] | None
    octets: int


def read_header(octets: bytes) -> ProxyHeader | None:
    """The header that `octets` begin with; None: more must come, and all of these belong to it. NoProxyHeader."""
    if octets.startswith(_SIGNATURE[: len(octets)]):
        return _block(octets)
    if octets.startswith(_TEXT[: len(octets)]):
        return _line(octets)
    raise NoProxyHeader


def _line(octets: bytes) -> ProxyHeader | None:
    end = octets.find(b"\r\n", 0, MAX_LINE) + 2
    if end < 2:
        if len(octets) >= MAX_LINE:
            raise NoProxyHeader
        return None
    line = octets[:end]
    if _UNKNOWN.fullmatch(line):
        return ProxyHeader(None, end)
    match = _LINE.fullmatch(line)
    if match is None:
        raise NoProxyHeader
    family, source, target, *ports = match.groups()
    address = _address(family == b"4", source)
    _address(family == b"4", target)
    numbers = [int(port) for port in ports if _PORT.fullmatch(port)]
    if len(numbers) != 2 or max(numbers) > 65535:
        raise NoProxyHeader
    return ProxyHeader((address, numbers[0]), end)


def _address(version4: bool, text: bytes) -> str:
    try:
        return str(IPv4Address(text.decode()) if version4 else IPv6Address(text.decode()))
    except ValueError:
        raise NoProxyHeader from None


def _block(octets: bytes) -> ProxyHeader | None:
    if len(octets) > 12 and (octets[12] >> 4 != 2 or octets[12] & 15 > _PROXY):
        raise NoProxyHeader  # at once: what waits for more would wait for nothing
    if len(octets) < _FIXED:
        return None
    size = _FIXED + int.from_bytes(octets[14:16], "big")
    if size > MAX_BLOCK:
        raise NoProxyHeader
    family, transport = octets[13] >> 4, octets[13] & 15
    if octets[12] & 15 == _PROXY:
        _check_family(family, transport, size)
    if len(octets) < size:
        return None
    if octets[12] & 15 == _LOCAL or family not in (_INET, _INET6):
        return ProxyHeader(None, size)
    wide = 16 if family == _INET6 else 4
    source = octets[_FIXED : _FIXED + wide]
    address = IPv6Address(source) if family == _INET6 else IPv4Address(source)
    port = int.from_bytes(octets[_FIXED + 2 * wide : _FIXED + 2 * wide + 2], "big")
    _check_extras(octets[_FIXED + _LENGTHS[family] : size])
    return ProxyHeader((str(address), port), size)


def _check_family(family: int, transport: int, size: int) -> None:
    """A connection that is proxied to a stream socket is a stream of a known family, and its addresses are there."""
    if family not in _LENGTHS or size - _FIXED < _LENGTHS[family]:
        raise NoProxyHeader
    if transport != _STREAM and (family, transport) != (_UNSPEC, 0):
        raise NoProxyHeader


def _check_extras(extras: bytes) -> None:
    """Type, length, value (2.2.3): nothing of them is used, but lengths that lie make the whole header a lie."""
    at = 0
    while at < len(extras):
        if at + 3 > len(extras):
            raise NoProxyHeader
        at += 3 + int.from_bytes(extras[at + 1 : at + 3], "big")
    if at != len(extras):
        raise NoProxyHeader
