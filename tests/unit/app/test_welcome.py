from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.app.settings import tls_files
from gateway.app.welcome import ClientSettings, Port, block, client_setup
from gateway.config import Config, Store, Tls
from tests.support.authority import Authority

PORTS = (Port("IMAP", "mail.example", 1993, "SSL/TLS"), Port("SMTP", "mail.example", 1465, "SSL/TLS"),
         Port("SMTP", "mail.example", 1587, "STARTTLS"))


def test_the_block_has_everything_a_mail_program_asks_for() -> None:
    text = block(ClientSettings("a@mail.example", "gw_secret", PORTS, Path("/d/ca.pem"), "AB:CD"))
    for wanted in ("a@mail.example", "gw_secret", "port 1993  SSL/TLS", "port 1587  STARTTLS", "/d/ca.pem", "AB:CD"):
        assert wanted in text
    assert "curl --cacert '/d/ca.pem' --user 'a@mail.example:gw_secret' 'imaps://mail.example:1993/'" in text


def test_the_python_check_is_python() -> None:
    text = block(ClientSettings("a@mail.example", None, PORTS, None, None))
    script = text.partition("<<'EOF'\n")[2].partition("EOF")[0]
    compile(script, "check", "exec")
    assert "ssl.create_default_context()" in script


def test_a_key_is_not_shown_again_and_never_by_repr() -> None:
    assert "gateway key create --inbox a@mail.example" in block(
        ClientSettings("a@mail.example", None, PORTS, None, None)
    )
    assert "gw_secret" not in repr(ClientSettings("a@mail.example", "gw_secret", PORTS, None, None))


def test_without_an_implicit_tls_port_there_is_nothing_to_paste() -> None:
    assert "curl" not in block(ClientSettings("a@mail.example", "k", PORTS[2:], None, None))


def test_a_profile_is_signed_by_a_certificate_that_phones_trust(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    leaf = authority.leaf("mail.example").file
    setup = client_setup(Config(tls=Tls(certificate=leaf, key=leaf)))
    assert setup.ca() is None
    assert setup.sign is not None
    signed = tmp_path / "signed"
    signed.write_bytes(setup.sign(b"<plist>\n\x00</plist>"))
    command = ["openssl", "cms", "-verify", "-binary", "-inform", "DER", "-in", str(signed), "-CAfile",
               str(authority.file), "-purpose", "any"]  # fmt: skip
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"<plist>\n\x00</plist>"


def test_a_profile_of_the_local_ca_brings_it_and_is_not_signed(tmp_path: Path) -> None:
    config = Config(store=Store(data_dir=tmp_path))
    assert client_setup(config).sign is None
    tls_files(config)
    assert client_setup(config).ca() == x509.load_pem_x509_certificate(
        (tmp_path / "tls" / "ca.pem").read_bytes()
    ).public_bytes(Encoding.DER)


def test_files_that_are_no_certificate_leave_the_profile_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "none.pem"
    path.write_text("nothing")
    sign = client_setup(Config(tls=Tls(certificate=path, key=path))).sign
    assert sign is not None
    assert sign(b"x") == b"x"
    assert client_setup(Config(tls=Tls(certificate=path, key=path, ca=path))).ca() is None
