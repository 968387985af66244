"""Debian's Postfix in front, as docs/receiving.md says it word for word, and swaks, hand us mail by LMTP."""

from __future__ import annotations

import re
import shutil
import smtplib
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.test_listeners import listener
from tests.faults.process_kit import PATIENCE
from tests.servers.places import short
from tests.servers.postfix import Postfix, start_postfix
from tests.servers.process import PeerMissing, free_port, wait_for
from tests.support.gateway import HOST, Gateway, running

PAGE = Path(__file__).parents[2] / "docs" / "receiving.md"
SPOOL = "/var/spool/postfix"
SENDER = "eve@elsewhere.test"


def block(page: str, mark: str) -> str:
    """The fenced block of the page that holds `mark`."""
    return next(text for text in re.findall(r"```\w*\n(.*?)```", page, re.DOTALL) if mark in text)


@dataclass
class Front:
    postfix: Postfix
    gateway: Gateway
    tcp: int
    path: str

    def send(self, *recipients: str, octets: bytes = b"", sender: str = SENDER, options: tuple[str, ...] = ()) -> None:
        mail = octets or f"From: {sender}\r\nTo: you\r\nSubject: hello\r\n\r\nbody\r\n".encode()
        with smtplib.SMTP(HOST, self.postfix.smtp, timeout=60) as smtp:
            smtp.ehlo()
            smtp.sendmail(sender, list(recipients), mail, mail_options=options)

    def queue(self) -> str:
        done = subprocess.run(
            ["/usr/sbin/postqueue", "-c", str(self.postfix.queue.parent / "etc"), "-p"],
            capture_output=True, timeout=60, check=False,
        )
        return (done.stdout + done.stderr).decode("utf-8", "replace")

    def flush(self) -> None:
        """What Postfix has deferred is tried now."""
        etc = str(self.postfix.queue.parent / "etc")
        subprocess.run(["/usr/sbin/postqueue", "-c", etc, "-f"], check=True, timeout=60)

    def mail(self, address: str, key: str, mailbox: str = "INBOX") -> list[bytes]:
        client = self.gateway.imap(address, key)
        try:
            total = int(client.select(mailbox, readonly=True)[1][0] or b"0")
            rows = client.fetch("1:*", "(BODY.PEEK[])")[1] if total else []
            return [row[1] for row in rows if isinstance(row, tuple)]
        finally:
            client.logout()

    def arrived(self, address: str, key: str, count: int = 1, mailbox: str = "INBOX") -> list[bytes]:
        wait_for(lambda: len(self.mail(address, key, mailbox)) >= count, f"mail for {address}", PATIENCE)
        return self.mail(address, key, mailbox)


@pytest.fixture(scope="module")
def front(missing: Callable[[str], None]) -> Iterator[Front]:
    """The page's main.cf in a Postfix of our own; its listener on the socket in that Postfix's queue directory."""
    page = PAGE.read_text()
    # Not pytest's directory: the path of a Unix socket has 100 octets.
    directory = Path(tempfile.mkdtemp(prefix="front-", dir=short()))
    try:
        postfix = start_postfix(directory / "postfix", block(page, "virtual_transport"))
    except (PeerMissing, OSError, subprocess.CalledProcessError) as error:
        shutil.rmtree(directory)
        missing(f"Postfix, run by root ({error}),")
    try:
        said = block(page, f'path = "{SPOOL}')
        said = said.replace(SPOOL, str(postfix.queue)).replace('socket = "lmtp"\n', 'mode = "0666"\n')
        tcp = free_port()
        more = listener("lmtp", tcp, "none", 'networks = ["127.0.0.1/32"]')
        with running(Gateway(directory / "gateway", said + more, hostname="mail.example", readers=0)) as gateway:
            yield Front(postfix, gateway, tcp, f"{postfix.queue}/private/gateway-lmtp")
    finally:
        postfix.stop()
        print(postfix.log.read_text(errors="replace")[-4000:])  # shown when a test has failed
        shutil.rmtree(directory)


def test_mail_through_postfix_arrives(front: Front) -> None:
    anna, key = front.gateway.inbox("anna@mail.example")
    front.send(anna)
    (mail,) = front.arrived(anna, key)
    head = mail.split(b"\r\n")
    assert head[:2] == [f"Return-Path: <{SENDER}>".encode(), b"Delivered-To: anna@mail.example"]
    assert re.match(rb"Received: by mail\.example with LMTP id \w+;", head[2])
    assert b"\r\nSubject: hello\r\n" in mail
    assert mail.endswith(b"\r\n\r\nbody\r\n")
    front.send("ANNA+news@mail.example")
    assert b"Delivered-To: ANNA+news@mail.example" in front.arrived(anna, key, 2)[1]


def test_an_unknown_recipient_is_refused_while_the_client_waits(front: Front) -> None:
    ben, key = front.gateway.inbox("ben@mail.example")
    with smtplib.SMTP(HOST, front.postfix.smtp, timeout=60) as smtp:
        refused = smtp.sendmail(SENDER, [ben, "nobody@mail.example"], b"Subject: x\r\n\r\nx\r\n")
    code, text = refused["nobody@mail.example"]
    assert code == 550
    assert b"5.1.1" in text
    front.arrived(ben, key)
    with smtplib.SMTP(HOST, front.postfix.smtp, timeout=60) as smtp, pytest.raises(smtplib.SMTPRecipientsRefused):
        smtp.sendmail(SENDER, ["x@elsewhere.test"], b"Subject: x\r\n\r\nx\r\n")


def test_a_full_inbox_waits_in_front_and_harms_nobody(front: Front) -> None:
    cleo, cleos = front.gateway.inbox("cleo@mail.example")
    dora, doras = front.gateway.inbox("dora@mail.example")
    front.gateway.run("inbox", "set", cleo, "--quota-storage", "2K")
    large = b"From: eve@elsewhere.test\r\nSubject: large\r\n\r\n" + b"x" * 4000 + b"\r\n"
    front.send(cleo, dora, octets=large)
    assert b"Delivered-To" not in front.arrived(dora, doras)[0]
    wait_for(lambda: "452 4.2.2" in front.queue(), "Postfix tells why it waits", PATIENCE)
    assert front.mail(cleo, cleos) == []
    front.gateway.run("inbox", "set", cleo, "--quota-storage", "none")
    front.flush()
    front.arrived(cleo, cleos)
    assert len(front.mail(dora, doras)) == 1


def test_a_message_in_utf8(front: Front) -> None:
    emil, key = front.gateway.inbox("emil@mail.example")
    octets = "From: Jörg <jörg@elsewhere.test>\r\nSubject: Grüße\r\n\r\nÄpfel\r\n".encode()
    front.send(emil, octets=octets, options=("SMTPUTF8", "BODY=8BITMIME"))
    (mail,) = front.arrived(emil, key)
    assert b"with UTF8LMTP id" in mail
    head, _, body = octets.partition(b"\r\n\r\n")
    assert all(line in mail for line in head.split(b"\r\n"))
    assert mail.endswith(b"\r\n\r\n" + body)


def test_what_smuggles_never_becomes_two_messages(front: Front) -> None:
    """Whatever Postfix makes of a lone dot between odd line ends: nobody gets what was hidden behind it."""
    fred, key = front.gateway.inbox("fred@mail.example")
    gina, ginas = front.gateway.inbox("gina@mail.example")
    hidden = f"MAIL FROM:<evil@x.test>\r\nRCPT TO:<{gina}>\r\nDATA\r\nSubject: hidden\r\n\r\nx\r\n".encode()
    ends = (b"\n", b"\r", b"\r\n")
    for before in ends:
        for after in ends:
            if before + after == b"\r\n\r\n":
                continue
            with smtplib.LMTP(HOST, front.tcp, timeout=60) as lmtp:
                lmtp.ehlo("front.test")
                for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{fred}>"):
                    assert lmtp.docmd(command)[0] == 250
                assert lmtp.docmd("DATA")[0] == 354
                lmtp.send(b"Subject: x\r\n\r\nx" + before + b"." + after + hidden + b".\r\n")
                assert lmtp.getreply()[0] == 550
    assert front.mail(fred, key) == front.mail(gina, ginas) == []


@pytest.fixture
def swaks(missing: Callable[[str], None]) -> Callable[..., bytes]:
    def run(*options: str) -> bytes:
        if shutil.which("swaks") is None:
            missing("swaks")
        command = ["swaks", "--protocol", "LMTP", "--from", SENDER, "--header", "Subject: from swaks", *options]
        return subprocess.run(command, capture_output=True, timeout=60, check=False).stdout

    return run


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_swaks(front: Front, swaks: Callable[..., bytes], way: str) -> None:
    hans, key = front.gateway.inbox(f"hans-{way}@mail.example")
    ida, idas = front.gateway.inbox(f"ida-{way}@mail.example")
    front.gateway.run("inbox", "set", ida, "--quota-messages", "1")
    place = ("--server", HOST, "--port", str(front.tcp)) if way == "tcp" else ("--socket", front.path)
    swaks(*place, "--to", ida)
    said = swaks(*place, "--to", f"{hans},nobody@mail.example,x@elsewhere.test,{ida}")
    assert b" LHLO " in said
    for reply in (b"<** 550 5.1.1 ", b"<** 550 5.7.1 ", b"<-  250 2.0.0 Delivered as ", b"<** 452 4.2.2 "):
        assert reply in said, said.decode()
    assert len(front.mail(hans, key)) == 1
    assert len(front.mail(ida, idas)) == 1


def test_only_the_named_networks_may_hand_mail_on(front: Front) -> None:
    with pytest.raises(smtplib.SMTPConnectError) as refused:
        smtplib.LMTP(HOST, front.tcp, source_address=("127.0.0.9", 0))
    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (421, b"4.7.0")


def test_lists_at_once_by_the_command_line(front: Front) -> None:
    jana, key = front.gateway.inbox("jana@mail.example")
    with smtplib.LMTP(front.path, timeout=60) as lmtp:
        lmtp.sendmail(SENDER, [jana], b"Subject: one\r\n\r\nx\r\n")
        front.gateway.run("list", "add", "receive", "block", "elsewhere.test", "--inbox", jana, "--reason", "spam")
        lmtp.sendmail(SENDER, [jana], b"Subject: two\r\n\r\nx\r\n")
        front.gateway.run("list", "add", "receive", "allow", SENDER, "--inbox", jana)
        lmtp.sendmail(SENDER, [jana], b"Subject: three\r\n\r\nx\r\n")
    assert [len(front.mail(jana, key, name)) for name in ("INBOX", "Spam")] == [2, 1]
    rows = front.gateway.json("list", "list", "--inbox", jana)
    assert [(row["direction"], row["verdict"], row["pattern"], row["reason"]) for row in rows] == [
        ("receive", "allow", SENDER, None), ("receive", "block", "elsewhere.test", "spam"),
    ]
    assert front.gateway.json("list", "check", "receive", "x@elsewhere.test", "--inbox", jana) == {
        "allowed": False, "why": "block elsewhere.test, scope inbox", "entry": rows[1],
    }
    said = front.gateway.run("list", "check", "receive", "x@other.test", "--inbox", jana)
    assert said == f"Receive: x@other.test is blocked for {jana} (scope inbox allows others only).\n"
    assert front.gateway.json("inbox", "show", jana)["blocked"] is None
    front.gateway.run("inbox", "set", jana, "--blocked", "refuse")
    with smtplib.LMTP(front.path, timeout=60) as lmtp:
        with pytest.raises(smtplib.SMTPDataError) as refused:
            lmtp.sendmail("x@elsewhere.test", [jana], b"Subject: four\r\n\r\nx\r\n")
        assert refused.value.smtp_code == 550
    front.gateway.run("inbox", "set", jana, "--blocked", "default")
    assert front.gateway.json("inbox", "show", jana)["blocked"] is None
    front.gateway.run("list", "remove", "receive", SENDER, "--inbox", jana)
    front.gateway.run("list", "remove", "receive", "elsewhere.test", "--inbox", jana)
    again = front.gateway.cli("list", "remove", "receive", "elsewhere.test", "--inbox", jana)
    assert again.returncode == 1
    assert "There is no entry for elsewhere.test" in again.stderr


def test_a_crash_loses_nothing_that_postfix_took(front: Front) -> None:
    kurt, key = front.gateway.inbox("kurt@mail.example")
    subjects = {f"crash{number}".encode() for number in range(40)}
    for number, subject in enumerate(sorted(subjects)):
        front.send(kurt, octets=b"Subject: %s\r\n\r\nx\r\n" % subject)
        if number == 20:
            front.gateway.kill()
            Path(front.path).unlink()  # Postfix finds nobody at all
    front.gateway.start()

    def there() -> list[bytes]:
        found = (re.search(rb"\r\nSubject: (\w+)\r\n", mail) for mail in front.mail(kurt, key))
        return [match[1] for match in found if match is not None]

    def all_there() -> bool:
        front.flush()
        return subjects <= set(there())

    wait_for(all_there, "all mail", PATIENCE)
    wait_for(lambda: "Mail queue is empty" in front.queue(), "an empty queue", PATIENCE)
    twice = len(there()) - len(subjects)
    assert twice <= 20, "only what was under way when it died may come again: Postfix has 20 connections at most"


def test_the_socket_is_replaced_when_nobody_answers_and_only_then(front: Front) -> None:
    second = front.gateway.cli("serve")
    assert second.returncode == 1  # the data directory is held
    front.gateway.kill()
    assert Path(front.path).is_socket(), "a crash leaves it"
    front.gateway.start()
    with smtplib.LMTP(front.path, timeout=60) as lmtp:
        assert lmtp.noop()[0] == 250
    assert front.gateway.stop() == 0
    assert not Path(front.path).exists()
    Path(front.path).write_text("something else")
    with pytest.raises(RuntimeError, match="File exists"):
        front.gateway.start()
    Path(front.path).unlink()
    front.gateway.start()


@pytest.mark.parametrize("way", ["unix", "tcp"])
def test_many_at_once_by_smtp_source(front: Front, way: str) -> None:
    """Postfix's load generator: ten sessions, each message arrives once."""
    source = "/usr/sbin/smtp-source"
    address, key = front.gateway.inbox(f"many-{way}@mail.example")
    place = f"unix:{front.path}" if way == "unix" else f"inet:127.0.0.1:{front.tcp}"
    command = [source, "-L", "-s", "10", "-m", "200", "-l", "4000", "-f", SENDER, "-t", address, place]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    client = front.gateway.imap(address, key)
    assert client.select("INBOX", readonly=True)[1] == [b"200"]
    client.logout()
