from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.dns_records import records
from gateway.app.welcome import client_ports
from gateway.config import Config, load
from gateway.model.errors import ConfigError, InvalidName

NAMED = '[server]\nhostname = "mail.example.org"\n'
IMAP = '[[listener]]\nkind = "imap"\nport = 1993\npublic_port = 993\n'
PLAIN = '[[listener]]\nkind = "submission"\naddress = "127.0.0.1"\nport = 2465\npublic_port = 465\nsecurity = "none"\n'
DEVICE = (
    '[[listener]]\nkind = "submission"\naddress = "10.0.0.1"\nport = 25\nsecurity = "none"\nallow_plaintext = true\n'
    'networks = ["10.0.0.0/8"]\n'
)
WEB = '[[listener]]\nkind = "web"\nport = {}\n'


def made(tmp_path: Path, text: str) -> Config:
    (tmp_path / "config.toml").write_text(text)
    return load(str(tmp_path / "config.toml"), {}).config


def test_the_records_of_a_domain(tmp_path: Path) -> None:
    """Behind a proxy on 993, 465 and 443; a device's port is nobody's to find."""
    config = made(tmp_path, NAMED + '[web]\nbase_url = "https://mail.example.org"\n' + IMAP + PLAIN + DEVICE
                  + WEB.format(8443))
    wanted = records(config, "Example.ORG.")
    assert [record.line() for record in wanted.records] == [
        "_imaps._tcp.example.org. 3600 IN SRV 0 1 993 mail.example.org.",
        "_imap._tcp.example.org. 3600 IN SRV 0 0 0 .",
        "_submissions._tcp.example.org. 3600 IN SRV 0 1 465 mail.example.org.",
        "_submission._tcp.example.org. 3600 IN SRV 0 0 0 .",
        "_pop3s._tcp.example.org. 3600 IN SRV 0 0 0 .",
        "_pop3._tcp.example.org. 3600 IN SRV 0 0 0 .",
        "autoconfig.example.org. 3600 IN CNAME mail.example.org.",
        "autodiscover.example.org. 3600 IN CNAME mail.example.org.",
        "_autodiscover._tcp.example.org. 3600 IN SRV 0 0 443 mail.example.org.",
    ]
    assert "certificate" in wanted.notes[0]
    assert [(port.port, port.security) for port in client_ports(config)] == [(993, "tls"), (465, "tls"), (25, "none")]


def test_what_cannot_be_found_has_no_record_and_a_reason(tmp_path: Path) -> None:
    config = made(tmp_path, NAMED + IMAP)
    wanted = records(config, "bücher.example")
    assert wanted.domain == "xn--bcher-kva.example"
    assert not [record for record in wanted.records if record.type == "CNAME"]
    assert "kind web" in wanted.notes[0]
    wanted = records(made(tmp_path, NAMED + IMAP + WEB.format(8443)), "example.org")
    assert [record.value for record in wanted.records if "autodiscover" in record.name] == [
        "0 0 8443 mail.example.org."]
    assert "8443" in wanted.notes[0]
    wanted = records(made(tmp_path, NAMED + IMAP + WEB.format(8443) + "public_port = 443\n"), "example.org")
    assert len([record for record in wanted.records if record.type == "CNAME"]) == 2


def test_there_must_be_a_domain_and_a_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidName):
        records(made(tmp_path, NAMED), "a b")
    for hostname in ("localhost", "192.0.2.1"):
        with pytest.raises(ConfigError):
            records(made(tmp_path, f'[server]\nhostname = "{hostname}"\n'), "example.org")
