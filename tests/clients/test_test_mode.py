"""Test mode on the real process, through what people use of it: `gateway.testing`."""

from __future__ import annotations

import http.client
import imaplib
import json
import re
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.testing import MailServer, MailServerError
from gateway.wire import sasl_client
from tests.support.gateway import Gateway

PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
COMMAND = [sys.executable, "-m", "gateway"]


@pytest.fixture(scope="module")
def process() -> Iterator[MailServer]:
    with MailServer.start() as server:
        yield server


@pytest.fixture
def server(process: MailServer) -> MailServer:
    process.clear()
    return process


def send(server: MailServer, sender: str, recipient: str, subject: str) -> None:
    with server.smtp(sender) as smtp:
        smtp.sendmail(sender, [recipient], f"From: {sender}\r\nSubject: {subject}\r\n\r\nText\r\n".encode())


def test_any_address_is_an_inbox_of_whoever_writes_and_is_written_to(server: MailServer) -> None:
    with server.smtp("login@a.example") as smtp:  # one logs in, another one writes, a third is written to
        text = b"From: noreply@b.example\r\nSubject: Hi\r\n\r\nText\r\n"
        smtp.sendmail("noreply@b.example", ["Somebody@C.example", "x+tag@d.example"], text)
    found = server.wait_for("somebody@c.example")
    assert found["subject"] == "Hi"
    assert found.get_content().strip() == "Text"
    assert len(server.messages("x+tag@d.example")) == 1
    send(server, "x@d.example", "x+other@d.example", "To a part of an address that is there")
    assert len(server.messages("x+other@d.example")) == 1
    assert server.messages("x@d.example") == []
    assert [message["subject"] for message in server.messages("noreply@b.example", mailbox="Sent")] == ["Hi"]


def test_what_can_be_no_inbox_is_refused_and_nothing_leaves(server: MailServer) -> None:
    with server.smtp("a@a.example") as smtp, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        smtp.sendmail("a@a.example", ["a@[192.0.2.1]"], b"From: a@a.example\r\n\r\n")
    assert all(code == 550 for code, _ in refused.value.recipients.values())


def test_wait_for_is_over_when_the_mail_comes(server: MailServer) -> None:
    send(server, "a@a.example", "b@b.example", "First news")
    send(server, "other@a.example", "b@b.example", "Second News")
    assert server.wait_for("b@b.example", subject="news")["subject"] == "Second News"
    assert server.wait_for("b@b.example", sender="A@a.example", subject="FIRST")["subject"] == "First news"
    latest = server.latest("b@b.example")
    assert latest is not None
    assert latest["subject"] == "Second News"
    with pytest.raises(TimeoutError, match="Second News"):
        server.wait_for("b@b.example", subject="Third", timeout=0.05)
    assert server.latest("nobody@b.example") is None


def test_mail_that_comes_later_ends_the_waiting(server: MailServer) -> None:
    sender = subprocess.Popen(
        [sys.executable, "-c",
         "import smtplib, ssl, sys; port, key, ca = sys.argv[1:]\n"
         "with smtplib.SMTP_SSL('localhost', int(port), context=ssl.create_default_context(cafile=ca)) as smtp:\n"
         "    smtp.login('a@a.example', key)\n"
         "    smtp.sendmail('a@a.example', ['late@b.example'], b'From: a@a.example\\r\\nSubject: Late\\r\\n\\r\\n')",
         str(server.ports["smtps"]), server.key, server.ca_file],
    )  # fmt: skip
    assert server.wait_for("late@b.example", timeout=60)["subject"] == "Late"
    assert sender.wait(60) == 0


def test_a_connected_client_sees_what_comes_and_that_all_is_cleared(server: MailServer) -> None:
    imap = server.imap("live@b.example")
    imap.select("INBOX")
    send(server, "a@a.example", "live@b.example", "News")
    imap.noop()
    assert imap.response("EXISTS")[1][-1] == b"1"
    server.clear()
    imap.noop()
    assert imap.response("EXPUNGE")[1] == [b"1"]
    imap.logout()
    assert server.messages("a@a.example", mailbox="Sent") == []


def test_the_same_mail_twice_is_two(server: MailServer) -> None:
    for _ in range(2):
        send(server, "a@a.example", "twice@b.example", "Same")
    assert len(server.messages("twice@b.example")) == 2


def test_a_wrong_key_opens_nothing(server: MailServer) -> None:
    imap = imaplib.IMAP4_SSL(server.host, server.ports["imaps"], ssl_context=server.tls(), timeout=30)
    wrong = server.key[:-1] + ("a" if server.key[-1] != "a" else "b")
    with pytest.raises(imaplib.IMAP4.error):
        imap.login("a@a.example", wrong)
    imap.login("a@a.example", server.key)
    imap.logout()


def test_a_login_by_proof_makes_the_inbox_too(server: MailServer) -> None:
    exchange = sasl_client.scram_sha_256("proven@b.example", server.key, b"nonce-of-a-test")
    imap = imaplib.IMAP4_SSL(server.host, server.ports["imaps"], ssl_context=server.tls(), timeout=30)
    sent = []

    def answer(challenge: bytes) -> bytes | None:
        sent.append(exchange.send(challenge) if sent else next(exchange))
        return sent[-1]

    imap.authenticate("SCRAM-SHA-256", answer)
    assert imap.select("INBOX")[0] == "OK"
    imap.logout()


def test_ports_with_starttls_take_logins_without_it(server: MailServer) -> None:
    settings = server.imap_settings("plain@b.example", security="starttls")
    with imaplib.IMAP4(settings.host, settings.port, timeout=30) as imap:
        imap.login(settings.user, settings.password)
    settings = server.smtp_settings("plain@b.example", security="starttls")
    with smtplib.SMTP(settings.host, settings.port, timeout=30) as smtp:
        smtp.starttls(context=server.tls())
        smtp.login(settings.user, settings.password)


def test_the_greeting_says_what_it_is(server: MailServer) -> None:
    with socket.create_connection((server.host, server.ports["smtp"]), timeout=30) as sock:
        assert b"TEST MODE" in sock.makefile("rb").readline()


def test_the_page_can_be_pasted(tmp_path: Path) -> None:
    """Word for word, by a run of pytest of its own."""
    conftest, example = re.findall(r"(?ms)^```python\n(.*?)^```", PAGE.read_text())
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_shop.py").write_text(example)
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
                          cwd=tmp_path, capture_output=True, text=True, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_it_brings_nothing_along() -> None:
    script = "import sys, gateway.testing; print(*(one for one in sys.modules if one[:7] in ('gateway', '_pytest')))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["gateway", "gateway.testing"]


def serve(*options: str, said: int = 2) -> subprocess.CompletedProcess[str]:
    """A start that must fail at once."""
    done = subprocess.run([*COMMAND, *options], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
    assert done.returncode == said, done.stdout + done.stderr
    return done


def test_mail_in_earnest_and_test_mode_never_share_a_directory(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "real")
    gateway.init()
    refused = serve("serve", "--test-mode", "--free-ports", "--data-dir", str(gateway.data_dir), said=1)
    assert "was not made by test mode" in refused.stderr
    kept = tmp_path / "test"
    first = announced(kept)
    gateway.config_file.write_text(gateway.config_file.read_text().replace(str(gateway.data_dir), str(kept)))
    for command in (("serve",), ("init",), ("key", "list")):
        refused = serve("--config", str(gateway.config_file), *command, said=1)
        assert "made by gateway serve --test-mode" in refused.stderr
    assert announced(kept)["key"] != first["key"]


def announced(data_dir: Path) -> dict[str, object]:
    """Start it, and let standard input end."""
    done = subprocess.run(
        [*COMMAND, "serve", "--test-mode", "--free-ports", "--json", "--until-eof", "--data-dir", str(data_dir)],
        input="", capture_output=True, text=True, timeout=60, check=True,
    )
    assert "TEST MODE" in done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_what_was_not_given_a_directory_leaves_none() -> None:
    command = [*COMMAND, "serve", "--test-mode", "--free-ports", "--json", "--until-eof"]
    done = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=True)
    assert not Path(json.loads(done.stdout)["data_dir"]).exists()


def test_its_options_are_for_it_alone() -> None:
    assert "--free-ports is for --test-mode" in serve("serve", "--free-ports").stderr
    assert "in earnest" in serve("serve", "--init", "--test-mode").stderr


@pytest.mark.parametrize("op", ["test.clear", "test.messages"])
def test_mail_in_earnest_is_not_cleared(gateway: Gateway, op: str) -> None:
    params = {} if op == "test.clear" else {"inbox": gateway.address}
    with pytest.raises(Exception, match="test-mode alone"):
        gateway.operate(op, **params)


def test_the_http_api_is_there_when_it_is_asked_for() -> None:
    with MailServer.start(web=True) as server:
        send(server, "a@a.example", "b@b.example", "Hi")
        asked = http.client.HTTPSConnection(server.host, server.ports["web"], context=server.tls(), timeout=30)
        asked.request("GET", "/api/v1/setup/settings?inbox=b@b.example", headers={"x-api-key": server.key})
        found = json.loads(asked.getresponse().read())
        asked.close()
    assert {port["port"] for port in found["ports"]} == {server.ports["imaps"], server.ports["smtps"]}


def test_a_start_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho no disk >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    with pytest.raises(MailServerError, match="no disk"):
        MailServer.start()
