from __future__ import annotations

from pathlib import Path

from gateway.app.welcome import ClientSettings, Port, block

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
