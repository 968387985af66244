"""The PROXY protocol's reader: headers of both versions in any chunking, and lies of every kind."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ops.proxy_protocol import MAX_BLOCK, MAX_LINE, NoProxyHeader, ProxyHeader, read_header

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PORTS = st.integers(0, 65535)
V4, V6 = st.ip_addresses(v=4), st.ip_addresses(v=6)


def block(command: int, family: int, payload: bytes, length: int | None = None) -> bytes:
    size = struct.pack("!H", len(payload) if length is None else length)
    return SIGNATURE + bytes((command, family)) + size + payload


def tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind,)) + struct.pack("!H", len(value)) + value


TLVS = st.lists(st.builds(tlv, st.integers(0, 255), st.binary(max_size=40)), max_size=5).map(b"".join)


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, tuple[str, int] | None]:
    """A right header and what it says."""
    six = draw(st.booleans())
    source, target = draw(V6 if six else V4), draw(V6 if six else V4)
    port, other = draw(PORTS), draw(PORTS)
    shape = draw(st.sampled_from(["line", "unknown", "block", "local", "unspec", "unix"]))
    if shape == "line":
        return f"PROXY TCP{6 if six else 4} {source} {target} {port} {other}\r\n".encode(), (str(source), port)
    if shape == "unknown":
        rest = draw(st.sampled_from(["", f" {source} {target} {port} {other}", " whatever it be"]))
        return f"PROXY UNKNOWN{rest}\r\n".encode(), None
    if shape == "block":
        payload = source.packed + target.packed + struct.pack("!HH", port, other) + draw(TLVS)
        return block(0x21, 0x21 if six else 0x11, payload), (str(source), port)
    if shape == "local":
        return block(0x20, draw(st.integers(0, 255)), draw(st.binary(max_size=100))), None
    if shape == "unspec":
        return block(0x21, 0x00, draw(TLVS)), None
    return block(0x21, 0x31, draw(st.binary(min_size=216, max_size=216)) + draw(TLVS)), None


@given(headers(), st.binary(max_size=50))
def test_a_header_is_read_whatever_comes_behind_and_not_before_it_is_whole(
    header: tuple[bytes, tuple[str, int] | None], rest: bytes
) -> None:
    octets, source = header
    assert read_header(octets + rest) == ProxyHeader(source, len(octets))
    for cut in range(len(octets)):
        assert read_header(octets[:cut]) is None


@given(st.binary(max_size=700))
def test_whatever_comes_is_a_header_or_refused_within_its_limit(octets: bytes) -> None:
    for start in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"):
        try:
            found = read_header(start + octets)
        except NoProxyHeader:
            continue
        if found is None:
            assert len(start + octets) < (MAX_BLOCK if start.startswith(b"\r") or not start else MAX_LINE)
        else:
            assert found.octets <= MAX_BLOCK


@given(headers().filter(lambda header: header[0].startswith(b"PROXY TCP")), st.data())
def test_a_line_with_a_blank_too_many_is_none(
    header: tuple[bytes, tuple[str, int] | None], data: st.DataObject
) -> None:
    octets, _ = header
    at = data.draw(st.integers(0, len(octets) - 1))
    try:
        assert read_header(octets[:at] + b" " + octets[at:]) is None  # CR and LF are apart: its end has not come
    except NoProxyHeader:
        assert octets[:at] != octets[:-1]


@pytest.mark.parametrize(
    "octets",
    [
        b"GET / HTTP/1.0\r\n", b"EHLO x\r\n", b"\x16\x03\x01", b"proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n", b"PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n",
        b"PROXY TCP4 ::1 ::1 1 2\r\n", b"PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", b"PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n",
        b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        b"PROXY UNKNOWNX\r\n", b"PROXY UNKNOWN \0\r\n", b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n\r\n",
        b"PROXY " + b"x" * 200,
        SIGNATURE[:-1] + b"X", SIGNATURE + b"\x11", SIGNATURE + b"\x22", SIGNATURE + b"\x2f",
    ],
)
def test_what_is_no_header(octets: bytes) -> None:
    with pytest.raises(NoProxyHeader):
        read_header(octets)


ADDRESSES = IPv4Address("192.0.2.1").packed * 2 + b"\0\1\0\2"
WIDE = IPv6Address("2001:db8::1").packed * 2 + b"\0\1\0\2"


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(block(0x21, 0x11, ADDRESSES, 11), id="shorter than its addresses"),
        pytest.param(block(0x21, 0x21, WIDE, 35), id="shorter than its IPv6 addresses"),
        pytest.param(block(0x21, 0x31, bytes(215)), id="a Unix address too short"),
        pytest.param(block(0x21, 0x11, ADDRESSES, 65535), id="longer than anybody needs"),
        pytest.param(block(0x21, 0x11, ADDRESSES + bytes(MAX_BLOCK)), id="over the limit"),
        pytest.param(block(0x20, 0x00, b"", MAX_BLOCK - 15), id="a health check over the limit"),
        pytest.param(block(0x21, 0x12, ADDRESSES), id="datagrams"),
        pytest.param(block(0x21, 0x10, ADDRESSES), id="no transport"),
        pytest.param(block(0x21, 0x41, ADDRESSES), id="no such family"),
        pytest.param(block(0x21, 0x11, ADDRESSES + b"\x04"), id="half an extra"),
        pytest.param(block(0x21, 0x11, ADDRESSES + b"\x04\0\x05abc"), id="an extra that lies"),
        pytest.param(block(0x21, 0x11, ADDRESSES + b"\x04\0\x02abc"), id="rubbish behind an extra"),
    ],
)
def test_blocks_that_lie(octets: bytes) -> None:
    with pytest.raises(NoProxyHeader):
        read_header(octets)


def test_the_longest_line_passes_and_one_octet_more_does_not() -> None:
    longest = b"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535".ljust(MAX_LINE - 2, b"x") + b"\r\n"
    assert read_header(longest) == ProxyHeader(None, MAX_LINE)
    with pytest.raises(NoProxyHeader):
        read_header(longest[:-2] + b"x\r\n")
    assert read_header(longest[: MAX_LINE - 1]) is None
