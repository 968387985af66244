"""Behind a proxy that says who comes: on every kind of listener, before TLS, and from nobody else."""

from __future__ import annotations

import imaplib
import os
import re
import shutil
import smtplib
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from tests.clients.test_listeners import listener
from tests.faults.process_kit import PATIENCE
from tests.servers.process import free_port, port_open, stop, wait_for
from tests.support.gateway import HOST, Gateway, running

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
BEHIND = 'proxy_networks = ["127.0.0.1/32"]'
CLIENT, WIDE = "192.0.2.77", "2001:db8::77"


def line(source: str) -> bytes:
    six = 6 if ":" in source else 4
    return f"PROXY TCP{six} {source} {source} 40000 993\r\n".encode()


def block(source: str) -> bytes:
    packed = ip_address(source).packed
    body = packed * 2 + struct.pack("!HH", 40000, 993) + b"\x04\0\x02hi"  # and a TLV that means nothing
    return SIGNATURE + bytes((0x21, 0x21 if len(packed) == 16 else 0x11)) + struct.pack("!H", len(body)) + body


LOCAL = SIGNATURE + b"\x20\0\0\0"


def joined(port: int, header: bytes, source: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection((HOST, port), timeout=PATIENCE, source_address=(source, 0))
    sock.sendall(header)
    return sock


class Imap(imaplib.IMAP4):
    """imaplib over a connection that is there."""

    def __init__(self, sock: socket.socket) -> None:
        self._joined = sock
        super().__init__()

    def _create_socket(self, timeout: Any) -> socket.socket:
        return self._joined


class Smtp(smtplib.SMTP):
    def __init__(self, sock: socket.socket) -> None:
        self._joined = sock
        super().__init__(HOST, 1)

    def _get_socket(self, host: str, port: int, timeout: Any) -> socket.socket:
        return self._joined


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {name: free_port() for name in ("imaps", "imap", "smtps", "smtp", "lmtp", "named")}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Gateway]:
    settings = (
        listener("imap", ports["imaps"], "tls", BEHIND)
        + listener("imap", ports["imap"], "starttls", BEHIND)
        + listener("submission", ports["smtps"], "tls", BEHIND)
        + listener("submission", ports["smtp"], "starttls", BEHIND)
        + listener("lmtp", ports["lmtp"], "none", BEHIND, 'networks = ["192.0.2.0/24"]')
        + listener("imap", ports["named"], "tls", BEHIND, 'networks = ["192.0.2.0/24"]')
        + "[limits]\nhandshake_timeout = 2\nconnections_per_ip = 3\n[auth]\nfailures_per_minute = 2\n"
    )
    with running(Gateway(tmp_path_factory.mktemp("gateway"), settings, readers=0)) as served:
        yield served


def logged(gateway: Gateway, peer: str) -> bool:
    return f'"{peer}"' in gateway.log_file.read_text(errors="replace")


def test_haproxy_as_the_page_says(
    gateway: Gateway, ports: dict[str, int], tmp_path: Path, missing: Callable[[str], None]
) -> None:
    """docs/receiving.md word for word but for the addresses; its health checks are served too."""
    program = shutil.which("haproxy", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        missing("haproxy")
        return
    page = (Path(__file__).parents[2] / "docs" / "receiving.md").read_text()
    block = next(text for text in re.findall(r"```\w*\n(.*?)```", page, re.DOTALL) if "frontend imaps" in text)
    front = free_port()
    said = block.replace("bind :993", f"bind 127.0.0.1:{front}").replace("192.0.2.10:1993", f"{HOST}:{ports['imaps']}")
    config = tmp_path / "haproxy.cfg"
    config.write_text("defaults\n    timeout connect 5s\n    timeout client 31m\n" + said)
    process = subprocess.Popen([program, "-db", "-f", str(config)], stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: port_open(front), "haproxy")
        sock = socket.create_connection((HOST, front), timeout=PATIENCE, source_address=("127.0.0.44", 0))
        imap = Imap(gateway.tls().wrap_socket(sock, server_hostname=HOST))
        imap.login(gateway.address, gateway.key)
        imap.logout()
        assert logged(gateway, "127.0.0.44")
    finally:
        stop(process)


@pytest.mark.parametrize("header", [line, block])
@pytest.mark.parametrize("source", [CLIENT, WIDE])
def test_every_listener_knows_the_client(gateway: Gateway, ports: dict[str, int], header: Any, source: str) -> None:
    tls = gateway.tls()
    secured = tls.wrap_socket(joined(ports["imaps"], header(source)), server_hostname=HOST)
    imap = Imap(secured)
    imap.login(gateway.address, gateway.key)
    imap.logout()
    imap = Imap(joined(ports["imap"], header(source)))
    imap.host = HOST
    imap.starttls(tls)
    imap.login(gateway.address, gateway.key)
    imap.logout()
    secured = tls.wrap_socket(joined(ports["smtps"], header(source)), server_hostname=HOST)
    with Smtp(secured) as smtp:
        smtp.login(gateway.address, gateway.key)
        smtp.sendmail(gateway.address, [gateway.address], f"From: {gateway.address}\r\n\r\nx\r\n".encode())
    with Smtp(joined(ports["smtp"], header(source))) as smtp:
        smtp.starttls(context=tls)
        smtp.login(gateway.address, gateway.key)
    assert logged(gateway, source)


def test_header_and_tls_in_one_packet_and_in_many(gateway: Gateway, ports: dict[str, int]) -> None:
    tls = gateway.tls()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    machine = tls.wrap_bio(incoming, outgoing, server_hostname=HOST)
    with pytest.raises(ssl.SSLWantReadError):
        machine.do_handshake()
    hello = outgoing.read()
    for pieces in ([block(CLIENT) + hello], [bytes((octet,)) for octet in block(CLIENT)] + [hello]):
        for port in (ports["imaps"], ports["smtps"]):
            with socket.create_connection((HOST, port), timeout=PATIENCE) as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for piece in pieces:
                    sock.sendall(piece)
                assert sock.recv(5)[:3] == b"\x16\x03\x03", "the server's hello"


def test_a_health_check_of_the_proxy_is_served(gateway: Gateway, ports: dict[str, int]) -> None:
    with joined(ports["smtp"], LOCAL) as sock:
        assert sock.recv(100).startswith(b"220 ")


@pytest.mark.parametrize("port", ["imaps", "imap", "smtps", "smtp", "lmtp"])
@pytest.mark.parametrize(
    "octets",
    [b"EHLO x\r\n", b"PROXY TCP4 192.0.2.1 192.0.2.1 1 99999\r\n", SIGNATURE + b"\x21\x11\xff\xff", b"P", b""],
    ids=["none", "wrong", "a lie", "half", "silence"],
)
def test_a_proxy_that_does_not_say_who_comes_is_cut(
    gateway: Gateway, ports: dict[str, int], port: str, octets: bytes
) -> None:
    with joined(ports[port], octets) as sock, suppress(ConnectionResetError):  # what it said was not read
        assert sock.recv(100) == b""


@pytest.mark.parametrize("port", ["imaps", "imap", "smtps", "smtp", "lmtp"])
def test_nobody_else_may_connect_with_or_without_a_header(gateway: Gateway, ports: dict[str, int], port: str) -> None:
    for octets in (line(CLIENT), block(CLIENT), b"NOOP\r\n", b""):
        with suppress(ConnectionError), joined(ports[port], octets, "127.0.0.2") as sock:
            assert sock.recv(100) == b""
    assert logged(gateway, "127.0.0.2")


def test_a_header_where_none_is_expected_is_no_command(gateway: Gateway) -> None:
    with joined(gateway.submission, b"") as sock, sock.makefile("rb") as file:
        assert file.readline().startswith(b"220 ")
        sock.sendall(line(CLIENT))
        assert file.readline().startswith(b"421 4.7.0")
    with joined(gateway.imaps, line(CLIENT)) as sock, suppress(ConnectionResetError):
        assert b"IMAP4rev1" not in sock.recv(1000), "the handshake fails"


def test_networks_are_about_the_client_behind_the_proxy(gateway: Gateway, ports: dict[str, int]) -> None:
    tls = gateway.tls()
    tls.wrap_socket(joined(ports["named"], line(CLIENT)), server_hostname=HOST).close()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        tls.wrap_socket(joined(ports["named"], line("198.51.100.1")), server_hostname=HOST)
    with joined(ports["lmtp"], line(CLIENT)) as sock:
        assert sock.recv(100).endswith(b" LMTP\r\n")
    with joined(ports["lmtp"], line("198.51.100.1")) as sock:
        assert sock.recv(100).startswith(b"421 4.7.0 Not from your address")


def test_the_clients_address_has_its_connections_not_the_proxys(gateway: Gateway, ports: dict[str, int]) -> None:
    held = [joined(ports["smtp"], line("192.0.2.50")) for _ in range(3)]
    assert all(sock.recv(100).startswith(b"220 ") for sock in held)
    with joined(ports["smtp"], line("192.0.2.50")) as sock:
        assert sock.recv(100).startswith(b"421 4.7.0 Too many connections")
    with joined(ports["smtp"], line("192.0.2.51")) as sock:
        assert sock.recv(100).startswith(b"220 ")
    for sock in held:
        sock.close()


def test_failed_logins_slow_the_client_not_the_proxy(gateway: Gateway, ports: dict[str, int]) -> None:
    def login(source: str, key: str) -> int:
        with Smtp(joined(ports["smtp"], line(source))) as smtp:
            smtp.starttls(context=gateway.tls())
            try:
                return smtp.login(gateway.address, key)[0]
            except smtplib.SMTPAuthenticationError as error:
                return error.smtp_code

    assert [login("192.0.2.60", "wrong") for _ in range(2)] == [535, 454]  # smtplib tries PLAIN, then LOGIN
    assert login("192.0.2.61", gateway.key) == 235
