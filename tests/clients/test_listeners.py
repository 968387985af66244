"""Listeners beyond the defaults: STARTTLS, plain ports for a proxy and for old devices, networks, names."""

from __future__ import annotations

import imaplib
import json
import re
import smtplib
import socket
import ssl
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers.process import free_port
from tests.support.gateway import HOST, Gateway, running


def listener(kind: str, port: int, security: str, *more: str) -> str:
    lines = ["[[listener]]", f'kind = "{kind}"', 'address = "127.0.0.1"', f"port = {port}", f'security = "{security}"']
    return "\n".join([*lines, *more]) + "\n"


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    names = "imap-starttls imap-none smtp-none smtp-device device-net strangers lmtp-starttls lmtp-tls"
    return {name: free_port() for name in names.split()}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, ports: dict[str, int]) -> Iterator[Gateway]:
    settings = (
        listener("imap", ports["imap-starttls"], "starttls")
        + listener("imap", ports["imap-none"], "none")
        + listener("submission", ports["smtp-none"], "none")
        + listener("submission", ports["smtp-device"], "starttls", "allow_plaintext = true")
        + listener("submission", ports["device-net"], "none", "allow_plaintext = true", 'networks = ["127.0.0.1/32"]')
        + listener("lmtp", ports["lmtp-starttls"], "starttls", 'networks = ["127.0.0.1/32"]')
        + listener("lmtp", ports["lmtp-tls"], "tls", 'networks = ["127.0.0.1/32"]')
        + listener("imap", ports["strangers"], "tls", 'networks = ["192.0.2.0/24"]')
    )
    with running(Gateway(tmp_path_factory.mktemp("gateway"), settings, readers=0)) as served:
        yield served


def test_imap_starttls(gateway: Gateway, ports: dict[str, int]) -> None:
    client = imaplib.IMAP4(HOST, ports["imap-starttls"], timeout=30)
    assert "LOGINDISABLED" in client.capabilities
    with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
        client.login(gateway.address, gateway.key)
    assert client.starttls(gateway.tls())[0] == "OK"
    assert "LOGINDISABLED" not in client.capabilities
    client.login(gateway.address, gateway.key)
    client.logout()


def test_ports_for_a_proxy_on_this_machine_take_logins_without_tls(gateway: Gateway, ports: dict[str, int]) -> None:
    client = imaplib.IMAP4(HOST, ports["imap-none"], timeout=30)
    assert "STARTTLS" not in client.capabilities
    client.login(gateway.address, gateway.key)
    client.logout()
    with smtplib.SMTP(HOST, ports["smtp-none"], timeout=30) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        smtp.login(gateway.address, gateway.key)
        smtp.sendmail(gateway.address, [gateway.address], f"From: {gateway.address}\r\n\r\nx\r\n".encode())


def test_a_device_without_tls_may_send_where_that_is_allowed(gateway: Gateway, ports: dict[str, int]) -> None:
    with smtplib.SMTP(HOST, ports["smtp-device"], timeout=30) as smtp:
        smtp.ehlo()
        assert smtp.has_extn("starttls")
        assert smtp.has_extn("auth")
        smtp.login(gateway.address, gateway.key)
    with smtplib.SMTP(HOST, ports["smtp-device"], timeout=30) as smtp:
        smtp.starttls(context=gateway.tls())
        smtp.login(gateway.address, gateway.key)


def test_a_port_without_encryption_is_for_its_networks_alone_and_doctor_warns(
    gateway: Gateway, ports: dict[str, int]
) -> None:
    with smtplib.SMTP(HOST, ports["device-net"], timeout=30) as smtp:
        smtp.login(gateway.address, gateway.key)
        smtp.sendmail(gateway.address, [gateway.address], f"From: {gateway.address}\r\n\r\nx\r\n".encode())
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.SMTP(HOST, ports["device-net"], timeout=30, source_address=("127.0.0.7", 0))
    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (421, b"4.7.0")
    report = json.loads(gateway.cli("doctor", "--json").stdout)  # it fails, for it is a stranger on one port
    said = [row["text"] for row in report if row["level"] == "warning"]
    warned = [text for text in said if "takes logins without encryption" in text]
    assert [text.split()[1] for text in warned] == [str(ports["smtp-device"]), str(ports["device-net"])]


def test_lmtp_under_tls(gateway: Gateway, ports: dict[str, int]) -> None:
    address, key = gateway.inbox("lmtp@mail.test")
    mail = b"Subject: under TLS\r\n\r\nx\r\n"
    with smtplib.LMTP(HOST, ports["lmtp-starttls"], timeout=30) as lmtp:
        lmtp.starttls(context=gateway.tls())
        assert not lmtp.has_extn("starttls")
        assert lmtp.sendmail("eve@elsewhere.test", [address], mail) == {}
    lmtp = smtplib.LMTP(timeout=30)
    lmtp.sock = gateway.tls().wrap_socket(socket.create_connection((HOST, ports["lmtp-tls"])), server_hostname=HOST)
    assert lmtp.getreply()[0] == 220
    assert lmtp.sendmail("eve@elsewhere.test", [address], mail) == {}
    lmtp.quit()
    client = gateway.imap(address, key)
    client.select("INBOX")
    fields = client.fetch("1:2", "(BODY.PEEK[HEADER.FIELDS (RECEIVED)])")[1]
    assert [b"with LMTPS id" in row[1] for row in fields if isinstance(row, tuple)] == [True, True]
    client.logout()


def test_a_stranger_is_refused_before_the_handshake(gateway: Gateway, ports: dict[str, int]) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        imaplib.IMAP4_SSL(HOST, ports["strangers"], ssl_context=gateway.tls(), timeout=30)


def test_a_new_certificate_is_served_after_a_reload(make_gateway: Callable[..., Gateway], tmp_path: Path) -> None:
    from tests.clients.test_command_line import wait_for_log
    from tests.servers.tls import make_certificates

    gateway = make_gateway()
    gateway.start()
    gateway.imap().logout()
    ca, certificate, key = make_certificates(tmp_path)
    gateway.config_file.write_text(
        gateway.config_file.read_text() + f'[tls]\ncertificate = "{certificate}"\nkey = "{key}"\n'
    )
    wait_for_log(gateway, "app.reloaded")
    trust = ssl.create_default_context(cafile=str(ca))
    client = imaplib.IMAP4_SSL(HOST, gateway.imaps, ssl_context=trust, timeout=30)
    client.login(gateway.address, gateway.key)
    client.logout()
    with smtplib.SMTP_SSL(HOST, gateway.smtps, context=trust, timeout=30) as smtp:
        smtp.login(gateway.address, gateway.key)


def test_an_address_has_its_connections_on_all_ports_together(make_gateway: Callable[..., Gateway]) -> None:
    from tests.clients.test_command_line import wait_for_log

    gateway = make_gateway("[limits]\nconnections_per_ip = 2\n")
    gateway.start()
    with gateway.smtp() as smtp:
        imap = gateway.imap()
        assert _open_connections(gateway) == {"imap": 1.0, "smtp": 1.0}
        with pytest.raises(OSError, match=r".*"):  # closed before the handshake: reset or end of file
            imaplib.IMAP4_SSL(HOST, gateway.imaps, ssl_context=gateway.tls(), timeout=30)
        with pytest.raises(smtplib.SMTPConnectError) as refused:
            smtplib.SMTP(HOST, gateway.submission, timeout=30)
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (421, b"4.7.0")
        gateway.config_file.write_text(gateway.config_file.read_text().replace("_ip = 2", "_ip = 4"))
        wait_for_log(gateway, "app.reloaded")
        with gateway.smtp():
            gateway.imap().logout()
        imap.logout()
        smtp.noop()


def _open_connections(gateway: Gateway) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{gateway.health}/metrics", timeout=30) as page:
        text = page.read().decode()
    return {kind: float(figure) for kind, figure in re.findall(r"^gateway_(\w+)_open_connections (\S+)$", text, re.M)}
