"""Under systemd: ports that it bound and passed, and units that it reads without complaint."""

from __future__ import annotations

import configparser
import imaplib
import shutil
import smtplib
import socket
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.clients.mail import new_message
from tests.servers.places import short
from tests.support.gateway import HOST, Gateway

ROOT = Path(__file__).parents[2]
UNITS = sorted(path for path in (ROOT / "systemd").iterdir() if path.suffix in {".service", ".socket"})
KINDS = {"imaps": ("imap", "tls"), "submissions": ("submission", "tls"), "submission": ("submission", "starttls")}
UNUSED = 1  # the listener's own port, when it has a socket


@pytest.fixture
def sockets() -> Iterator[dict[str, socket.socket]]:
    bound = {name: socket.create_server(("127.0.0.1", 0), backlog=16) for name in KINDS}
    yield bound
    for one in bound.values():
        one.close()


def listeners() -> str:
    return "".join(
        f'[[listener]]\nkind = "{kind}"\nport = {UNUSED}\nsecurity = "{security}"\nsocket = "{name}"\n'
        for name, (kind, security) in KINDS.items()
    )


def test_ports_passed_by_systemd_outlive_the_process(
    make_gateway: Callable[..., Gateway], sockets: dict[str, socket.socket]
) -> None:
    gateway = make_gateway(listeners(), sockets=sockets)
    gateway.start()
    ports = {name: one.getsockname()[1] for name, one in sockets.items()}
    address, key, trust = gateway.address, gateway.key, gateway.tls()
    with smtplib.SMTP_SSL(HOST, ports["submissions"], context=trust, timeout=30) as smtp:
        smtp.login(address, key)
        smtp.sendmail(address, [address], new_message(address, address).as_bytes())
    with smtplib.SMTP(HOST, ports["submission"], timeout=30) as smtp:
        smtp.starttls(context=trust)
        smtp.login(address, key)
    gateway.imap().logout()  # the listeners of its own serve beside those
    assert gateway.stop() == 0

    with (
        socket.create_connection((HOST, ports["imaps"]), timeout=30) as early,
        socket.create_connection((HOST, ports["submission"]), timeout=30) as clear,
    ):
        gateway.start()  # whoever came while nothing ran has waited in the port's queue
        with trust.wrap_socket(early, server_hostname=HOST) as greeted:
            assert greeted.recv(4) == b"* OK"
        assert clear.recv(3) == b"220"
    client = imaplib.IMAP4_SSL(HOST, ports["imaps"], ssl_context=trust, timeout=30)
    client.login(address, key)
    assert client.select("INBOX")[1] == [b"1"]
    client.logout()


def test_a_unix_socket_of_systemds_takes_mail_and_stays(make_gateway: Callable[..., Gateway]) -> None:
    place = Path(tempfile.mkdtemp(prefix="lmtp-", dir=short()))  # a Unix socket's path is short
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
            bound.bind(str(place / "lmtp"))
            bound.listen(16)
            said = f'[[listener]]\nkind = "lmtp"\nsocket = "lmtp"\npath = "{place}/lmtp"\n'
            gateway = make_gateway(said, sockets={"lmtp": bound})
            gateway.start()
            with smtplib.LMTP(str(place / "lmtp"), timeout=30) as lmtp:
                assert lmtp.sendmail("eve@elsewhere.test", [gateway.address], b"Subject: x\r\n\r\nx\r\n") == {}
            reached = [row for row in gateway.json("doctor") if row["area"] == f"{place}/lmtp"]
            assert [(row["level"], row["text"]) for row in reached] == [("ok", "lmtp (none) accepts connections")]
            assert gateway.stop() == 0
            assert (place / "lmtp").is_socket()
    finally:
        shutil.rmtree(place)


def test_a_tcp_socket_of_systemds_for_lmtp_needs_networks(
    make_gateway: Callable[..., Gateway], sockets: dict[str, socket.socket]
) -> None:
    gateway = make_gateway('[[listener]]\nkind = "lmtp"\nsocket = "imaps"\nsecurity = "none"\n', sockets=sockets)
    with pytest.raises(RuntimeError, match="the socket imaps is for LMTP over TCP; it needs networks"):
        gateway.start()
    gateway.process = None


def test_a_unix_socket_of_systemds_is_behind_no_proxy(make_gateway: Callable[..., Gateway]) -> None:
    """Who connects to it has no address that could be a proxy's."""
    place = Path(tempfile.mkdtemp(prefix="lmtp-", dir=short()))
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as bound:
            bound.bind(str(place / "lmtp"))
            bound.listen(16)
            said = (
                '[[listener]]\nkind = "lmtp"\nsocket = "lmtp"\nsecurity = "none"\nnetworks = ["192.0.2.1/32"]\n'
                'proxy_networks = ["127.0.0.1/32"]\n'
            )
            gateway = make_gateway(said, sockets={"lmtp": bound})
            with pytest.raises(RuntimeError, match="the socket lmtp has no addresses, so it has no proxy_networks"):
                gateway.start()
            gateway.process = None
    finally:
        shutil.rmtree(place)


def test_a_socket_that_was_not_passed_is_named(
    make_gateway: Callable[..., Gateway], sockets: dict[str, socket.socket]
) -> None:
    sockets.pop("submission").close()
    gateway = make_gateway(listeners(), sockets=sockets)
    with pytest.raises(RuntimeError, match=r"listener: systemd passed no socket named submission \(FileDescriptorName"):
        gateway.start()
    gateway.process = None


def test_the_documents_name_the_sockets_that_the_units_have() -> None:
    found = {}
    for unit in UNITS:
        if unit.suffix == ".socket":
            parsed = configparser.ConfigParser()
            parsed.read(unit)
            assert parsed["Socket"]["Service"] == "gateway.service"
            found[parsed["Socket"]["FileDescriptorName"]] = parsed["Socket"]["ListenStream"]
    path = found.pop("lmtp")
    receiving = (ROOT / "docs" / "receiving.md").read_text()
    assert f'socket = "lmtp"\npath = "{path}"' in receiving
    assert "systemctl enable --now gateway-lmtp.socket" in receiving
    assert found == {"imaps": "993", "submissions": "465", "submission": "587"}
    text = (ROOT / "docs" / "operation.md").read_text().split("### Ports from systemd")[1]
    example = tomllib.loads(text.split("```toml")[1].split("```")[0])["listener"][0]
    assert found[example["socket"]] == str(example["port"])
    for name, port in found.items():
        assert f'"{name}" for {port}' in text or example["socket"] == name
        assert f"gateway-{name}.socket" in text


def test_systemd_reads_the_units(tmp_path: Path, missing: Callable[[str], None]) -> None:
    if shutil.which("systemd-analyze") is None:
        missing("systemd-analyze")
    for unit in UNITS:
        text = unit.read_text().replace("/opt/gateway/.venv/bin/gateway", "/bin/true")  # it must exist to be verified
        (tmp_path / unit.name).write_text(text.replace("User=gateway\nGroup=gateway\n", ""))
    command = ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    complaints = [line for line in done.stderr.splitlines() if "gateway" in line]
    assert (done.returncode, complaints) == (0, []), done.stderr
