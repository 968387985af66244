"""What docs/client-setup.md says can be pasted."""

from __future__ import annotations

import imaplib
import re
import smtplib
from pathlib import Path

import pytest

from gateway.app.welcome import client_ports
from gateway.config import load
from tests.servers.process import free_port
from tests.support.gateway import HOST, Gateway, ended

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client-setup.md"
EXAMPLES = [re.sub(r"(?m)^   ", "", found) for found in re.findall(r"(?ms)^ *```toml\n(.*?)^ *```", PAGE.read_text())]
BEHIND_443, MAILSLURP = EXAMPLES


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples_are_configurations(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert load(str(tmp_path / "config.toml"), {}).config.listener


def test_mailslurps_ports_serve(tmp_path: Path) -> None:
    """On other numbers, for tests share the machine."""
    (tmp_path / "config.toml").write_text(MAILSLURP)
    wanted = [(port.protocol, port.port, port.security) for port in
              client_ports(load(str(tmp_path / "config.toml"), {}).config)]
    assert wanted == [("SMTP", 2525, "starttls"), ("SMTP", 2465, "tls"), ("IMAP", 1143, "starttls"),
                      ("IMAP", 8993, "tls")]
    ports = {str(port): free_port() for _, port, _ in wanted}
    gateway = Gateway(tmp_path / "it", readers=0)
    gateway.configure()
    text = gateway.config_file.read_text().partition("[[listener]]")[0] + MAILSLURP
    for known, free in ports.items():
        text = text.replace(known, str(free))
    gateway.config_file.write_text(text)
    gateway.really_init()
    gateway.start()
    try:
        with imaplib.IMAP4_SSL(HOST, ports["8993"], ssl_context=gateway.tls(), timeout=30) as imap:
            imap.login(gateway.address, gateway.key)
        with imaplib.IMAP4(HOST, ports["1143"], timeout=30) as imap:
            imap.starttls(gateway.tls())
            imap.login(gateway.address, gateway.key)
        with smtplib.SMTP_SSL(HOST, ports["2465"], context=gateway.tls(), timeout=30) as smtp:
            smtp.login(gateway.address, gateway.key)
        with smtplib.SMTP(HOST, ports["2525"], timeout=30) as smtp:
            smtp.starttls(context=gateway.tls())
            smtp.login(gateway.address, gateway.key)
    finally:
        ended(gateway)
