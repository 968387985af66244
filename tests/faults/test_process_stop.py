"""Stopping and reloading while sessions are busy: goodbyes, exit status 0, and nothing acknowledged is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack

from cryptography import x509

from tests.faults.process_kit import Imap, Smtp, Wire, logged_out, mail, new_inbox, plain, subjects
from tests.servers.process import free_port, port_open, wait_for
from tests.support.gateway import STOP_SECONDS, Gateway

FRESH = True  # to its very end
STARTTLS = free_port()  # IMAP as on port 143
SETTINGS = f"""
[[listener]]
kind = "imap"
address = "127.0.0.1"
port = {STARTTLS}
security = "starttls"
"""
Login = tuple[str, str]


class Writer(threading.Thread):
    """Writes until the connection ends; `kept` is what was acknowledged, `said` what the server said last."""

    def __init__(self, write: Callable[[bytes, int], bytes], kind: str) -> None:
        super().__init__()
        self.kept: list[bytes] = []
        self.started: list[bytes] = []
        self.said = b""
        self.working = threading.Event()
        self._write = write
        self._kind = kind

    def run(self) -> None:
        for number in range(100_000):
            subject = b"%b%d" % (self._kind.encode(), number)
            self.started.append(subject)
            self.said = self._write(subject, (1_000, 400_000)[number % 2])
            if not self.said.startswith((b"x OK", b"250")):
                return
            self.kept.append(subject)
            if number == 3:
                self.working.set()


def _appender(client: Imap, address: str) -> Callable[[bytes, int], bytes]:
    def write(subject: bytes, octets: int) -> bytes:
        message = mail(address, subject.decode(), octets)
        client.send_while_open(b"x APPEND INBOX {%d+}\r\n%b\r\n" % (len(message), message))
        return client.line()

    return write


def _submitter(client: Smtp, sender: str, recipient: str) -> Callable[[bytes, int], bytes]:
    def write(subject: bytes, octets: int) -> bytes:
        said = b""
        for command in (b"MAIL FROM:<%b>" % sender.encode(), b"RCPT TO:<%b>" % recipient.encode(), b"DATA"):
            client.send_while_open(command + b"\r\n")
            said = client.line()
            if not said.startswith((b"25", b"354")):
                return said
        client.send_while_open(mail(sender, subject.decode(), octets) + b".\r\n")
        return client.line()

    return write


def test_a_stop_under_load(gateway: Gateway) -> None:
    """A client that reads nothing is among them: it gets its time, and does not hold the process up beyond that."""
    login: Login = (gateway.address, gateway.key)
    target: Login = new_inbox(gateway, "target@mail.test")
    with ExitStack() as stack:
        writers = [
            Writer(_appender(stack.enter_context(Imap(gateway, target)), target[0]), f"append{n}x") for n in range(3)
        ]
        writers += [
            Writer(_submitter(stack.enter_context(Smtp(gateway, login)), login[0], target[0]), f"submit{n}x")
            for n in range(3)
        ]
        quiet, idling = stack.enter_context(Imap(gateway, login)), stack.enter_context(Imap(gateway, login))
        idling.ok(b"SELECT INBOX")
        idling.idle()
        smtp = stack.enter_context(Smtp(gateway, login))
        stranger, stranger_smtp = stack.enter_context(Imap(gateway)), stack.enter_context(Smtp(gateway))
        assert quiet.append(b"Trash", mail(login[0], "large", 8_000_000)).startswith(b"OK")
        for _ in range(3):
            _stalled(stack, gateway, login)
        half = stack.enter_context(Wire(gateway.imaps, None))  # a handshake that never comes
        for writer in writers:
            writer.start()
        for writer in writers:
            assert writer.working.wait(60)
        gateway.signal(signal.SIGTERM)
        for imap in (quiet, idling, stranger):
            imap.bye()
        for one in (smtp, stranger_smtp):
            assert one.line().startswith(b"421 4.3.2")
            assert one.rest() == b""
        for writer in writers:
            writer.join(60)
            assert not writer.is_alive()
            assert writer.said.startswith((b"* BYE", b"421")) or not writer.said, writer.said
        assert half.rest() == b""
    assert gateway.process is not None
    assert gateway.process.wait(STOP_SECONDS) == 0
    assert not port_open(gateway.imaps)

    gateway.start()
    with logged_out(Imap(gateway, target)) as client:
        found = subjects(client)
    for writer in writers:
        mine = [subject for subject in found if subject.startswith(writer.started[0][:-1])]
        assert len(mine) == len(set(mine))
        assert set(writer.kept) <= set(mine) <= set(writer.started)
    with logged_out(Imap(gateway, login)) as client:
        sent = subjects(client, b"Sent")
    assert sorted(sent) == sorted(subject for subject in found if subject.startswith(b"submit"))


def _stalled(stack: ExitStack, gateway: Gateway, login: Login) -> None:
    """A session in the middle of a message that it does not read on."""
    slow = stack.enter_context(Imap(gateway, login, receive_buffer=4096))
    slow.ok(b"EXAMINE Trash")
    slow.send(b"x FETCH 1 BODY[]\r\n")
    assert b"{" in slow.line()


def test_a_second_signal_ends_the_process_at_once(gateway: Gateway) -> None:
    login = (gateway.address, gateway.key)
    with ExitStack() as stack:
        _stalled(stack, gateway, login)
        client = stack.enter_context(Imap(gateway, login))
        assert client.append(b"Drafts", mail(login[0], "draft")).startswith(b"OK")
        gateway.signal(signal.SIGTERM)
        client.bye()
        gateway.signal(signal.SIGTERM)
        assert gateway.process is not None
        assert gateway.process.wait(STOP_SECONDS) == 130
    gateway.start()
    with logged_out(Imap(gateway, login)) as client:
        assert subjects(client, b"Drafts") == [b"draft"]


# -- SIGHUP

def _serials(gateway: Gateway) -> list[int]:
    """Serial numbers of the certificates that new connections see, port by port."""
    imap, smtp = Wire(STARTTLS, None), Smtp(gateway, tls=False)
    wires: list[Wire] = [imap, smtp, Imap(gateway), Smtp(gateway)]
    imap.line()
    imap.send(b"x STARTTLS\r\n")
    assert imap.line().startswith(b"x OK")
    assert smtp.say("STARTTLS").startswith("220")
    serials = []
    for wire in wires:
        if wire in (imap, smtp):
            wire.start_tls(gateway.tls())
        octets = wire.peer_certificate()
        serials.append(x509.load_der_x509_certificate(octets).serial_number)
        wire.close()
    return serials


def test_a_renewed_certificate_is_served_after_sighup_and_sessions_go_on(gateway: Gateway) -> None:
    login = (gateway.address, gateway.key)
    before = _serials(gateway)
    assert len(set(before)) == 1
    with logged_out(Imap(gateway, login)) as imap, Smtp(gateway, login) as smtp:
        imap.ok(b"SELECT INBOX")
        imap.idle()
        (gateway.data_dir / "tls" / "server.pem").unlink()
        gateway.signal(signal.SIGHUP)
        wait_for(lambda: not set(before) & set(_serials(gateway)), "the new certificate", 60)
        assert len(set(_serials(gateway))) == 1
        assert smtp.submit(login[0], login[0], mail(login[0], "goes-on")).startswith("250")
        assert imap.line() == b"* 1 EXISTS"
        imap.send(b"DONE\r\n")
        assert imap.line().startswith(b"idle OK")
        imap.ok(b"FETCH 1 BODY[]")


def test_limits_taken_over_by_sighup(gateway: Gateway) -> None:
    login = new_inbox(gateway, "crowded@mail.test")
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(Imap(gateway, login))
        gateway.settings += "[limits]\nconnections_per_inbox = 4\n"
        gateway.configure()
        gateway.signal(signal.SIGHUP)
        wait_for(lambda: "connections_per_inbox" in gateway.log_tail(), "the reload", 60)
        with Imap(gateway) as client:
            assert client.refused(f"LOGIN {login[0]} {login[1]}".encode()).startswith(b"NO [LIMIT]")
        with Smtp(gateway) as smtp:
            assert smtp.say("EHLO client.test").startswith("250")
            assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("421 4.7.0 Too many connections")
        Imap(gateway, (gateway.address, gateway.key)).close()  # another inbox has places of its own
    wait_for(lambda: _may_log_in(gateway, login), "a free place", 60)


def _may_log_in(gateway: Gateway, login: Login) -> bool:
    with Imap(gateway) as client:
        return client.ask(f"LOGIN {login[0]} {login[1]}".encode())[-1].startswith(b"OK")
