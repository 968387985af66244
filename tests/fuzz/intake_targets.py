"""Targets of what comes from servers and proxies in front: the PROXY header, and the octets of LMTP's DATA."""

from __future__ import annotations

import re

from gateway.ops.proxy_protocol import MAX_BLOCK, NoProxyHeader, read_header
from gateway.smtp.lmtp_data import DeliveryDecoder

PROXY_SEEDS = (
    b"PROXY TCP4 192.0.2.1 192.0.2.2 40000 993\r\n", b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", b"PROXY UNKNOWN x\r\n",
    b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c" + bytes(12),
    b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x2a" + bytes(36) + b"\x04\0\x03abc",
)  # fmt: skip
PROXY_TOKENS = (
    b"PROXY ", b"TCP4 ", b"TCP6 ", b"UNKNOWN", b"\r\n", b" ", b"::", b".", b"\r\n\r\n\0\r\nQUIT\n", b"\x21\x11",
)  # fmt: skip
DATA_SEEDS = (
    b"\x01a\r\n..b\r\n.\r\nRSET\r\n", b"\x02a\n.\nb\r\n.\r\n", b"\x03.\r\r\n.\r\n", b"\x01\0\r\n.\0\r\n\r\n.\r\n",
)  # fmt: skip
DATA_TOKENS = (b"\r", b"\n", b"\r\n", b".", b"..", b"\0", b"\r\n.\r\n", b"x")


def proxy_header(octets: bytes) -> None:
    """A header, "not yet" or a refusal; of a header all that is shorter is "not yet", and what follows is not its."""
    try:
        found = read_header(octets)
    except NoProxyHeader:
        return
    if found is None:
        assert len(octets) < MAX_BLOCK
        return
    assert read_header(octets[: found.octets]) == found
    assert read_header(octets[: found.octets - 1]) is None


def lmtp_data(octets: bytes) -> None:
    """The first octet is the size of the chunks: what comes of them is what comes of the whole."""
    if not octets:
        return
    size, stream = octets[0] % 9 + 1, octets[1:]
    whole, pieces = DeliveryDecoder(1_000), DeliveryDecoder(1_000)
    at_once = whole.feed(stream)
    fed, at = b"", 0
    while at < len(stream) and not pieces.finished:
        fed += pieces.feed(stream[at : at + size])
        at += size
    assert pieces.finished == whole.finished
    if not whole.finished:
        return
    assert pieces.violated == whole.violated
    assert pieces.rest + stream[at:] == whole.rest
    if not whole.violated and not whole.too_big:
        assert fed == at_once
        assert re.search(rb"(?<!\r)\n", fed) is None
