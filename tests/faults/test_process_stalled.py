"""Peers that stall or flood: each is bounded in memory and time, and others are served beside it."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.faults.process_kit import Imap, Smtp, Wire, control, exists, mail, new_inbox, new_source, until_texts
from tests.servers.process import free_port, memory_bytes
from tests.support.gateway import Gateway

FRESH = True  # its memory is measured
STARTTLS = free_port()  # IMAP as on port 143
SETTINGS = f"""
[limits]
write_timeout = 10
login_timeout = 5
handshake_timeout = 1
[[listener]]
kind = "imap"
address = "127.0.0.1"
port = {STARTTLS}
security = "starttls"
"""
MIB = 1 << 20
BIG = 8 * MIB
COPIES = 16


@pytest.fixture(scope="module")
def large(gateway: Gateway) -> tuple[str, str]:
    """An inbox with a folder of 128 MiB, and 500 small messages in INBOX."""
    login = new_inbox(gateway, "large@mail.test")
    with Imap(gateway, login) as client:
        client.ok(b"CREATE Large")
        assert client.append(b"Large", mail(login[0], "large", BIG)).startswith(b"OK")
        client.ok(b"SELECT Large")
        for _ in range(4):  # 1, 2, 4, 8 more: the octets are stored once
            client.ok(b"COPY 1:* Large")
        assert exists(client, b"Large") == COPIES
        message = mail(login[0], "small")
        client.send(b"".join(b"a%d APPEND INBOX {%d+}\r\n%b\r\n" % (n, len(message), message) for n in range(500)))
        assert client.until(b"a499")[-1].startswith(b"a499 OK")
    return login


class Served:
    """A well-behaved client beside the bad ones: everything it asks for it gets."""

    def __init__(self, gateway: Gateway, login: tuple[str, str]) -> None:
        self.imap = Imap(gateway, login)
        self.smtp = Smtp(gateway, login)
        self.address = login[0]
        self.rounds = 0

    def __call__(self) -> None:
        self.rounds += 1
        self.imap.ok(b"SELECT INBOX")
        before = exists(self.imap)
        assert self.smtp.submit(self.address, self.address, mail(self.address, f"r{self.rounds}")).startswith("250")
        assert self.imap.append(b"INBOX", mail(self.address, f"a{self.rounds}")).startswith(b"OK")
        assert exists(self.imap) == before + 2
        self.imap.ok(b"FETCH 1:* (UID FLAGS ENVELOPE)")

    def close(self) -> None:
        self.imap.close()
        self.smtp.close()


@pytest.fixture(scope="module")
def served(gateway: Gateway) -> Iterator[Served]:
    one = Served(gateway, new_inbox(gateway, "served@mail.test"))
    yield one
    one.close()


@pytest.fixture(scope="module")
def silent(gateway: Gateway) -> Iterator[list[tuple[Wire, bytes]]]:
    """Never a TLS handshake, never a login; and what the server says to each before it hangs up.

    Their time runs while other tests do their work.
    """
    with ExitStack() as stack:
        waiting: list[tuple[Wire, bytes]] = []

        def expect(wire: Wire, said: bytes) -> None:
            waiting.append((stack.enter_context(wire), said))

        for port in (gateway.imaps, gateway.smtps):
            for _ in range(20):
                expect(Wire(port, None), b"")
            half = Wire(port, None)
            half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")  # a record's head; the rest never comes
            expect(half, b"")
        imap_plain = Wire(STARTTLS, None)
        expect(imap_plain, b"")
        assert imap_plain.line().startswith(b"* OK ")
        imap_plain.send(b"x STARTTLS\r\n")
        assert imap_plain.line().startswith(b"x OK")
        smtp_plain = Smtp(gateway, tls=False)
        expect(smtp_plain, b"")
        assert smtp_plain.say("EHLO client.test").startswith("250")
        assert smtp_plain.say("STARTTLS").startswith("220")
        still_plain = Wire(STARTTLS, None)
        expect(still_plain, b"* BYE ")
        assert b"LOGINDISABLED" in still_plain.line()
        expect(Imap(gateway), b"* BYE ")
        talking = Imap(gateway)
        expect(talking, b"* BYE ")
        talking.ok(b"NOOP")
        sasl = Imap(gateway)
        expect(sasl, b"* BYE ")
        sasl.send(b"x AUTHENTICATE PLAIN\r\n")
        assert sasl.line() == b"+ "
        expect(Smtp(gateway), b"421 ")
        greeted = Smtp(gateway)
        expect(greeted, b"421 ")
        assert greeted.say("EHLO client.test").startswith("250")
        yield waiting


@pytest.mark.usefixtures("silent")
def test_peers_that_take_nothing_are_held_in_bounds_and_dropped(
    gateway: Gateway, large: tuple[str, str], served: Served
) -> None:
    _warm(gateway, large)
    base = memory_bytes(gateway.pid)
    with ExitStack() as stack:
        stalled = [stack.enter_context(Imap(gateway, large, receive_buffer=4096)) for _ in range(7)]
        for client in stalled:
            client.ok(b"SELECT INBOX")
            client.ok(b"UNSELECT")
        for client in stalled[:4]:
            client.send(b"x SELECT Large\r\ny FETCH 1:* (BODY.PEEK[])\r\n")
        stalled[4].send(b"x SELECT INBOX\r\n" + b"y FETCH 1:* (FLAGS)\r\n" * 4000)
        flooding = [
            threading.Thread(target=stalled[5].send_while_open, args=(b"x SELECT INBOX\r\n" + _fetches(),)),
            threading.Thread(target=stalled[6].send_while_open, args=(b'x LIST "" "*"\r\n' * 400_000,)),
        ]
        for thread in flooding:
            thread.start()
        highest = base
        for _ in range(30):
            served()
            highest = max(highest, memory_bytes(gateway.pid))
        for client in stalled:
            client.wait_cut()
            highest = max(highest, memory_bytes(gateway.pid))
        for thread in flooding:
            thread.join()
    assert highest - base < 24 * MIB, f"{(highest - base) / MIB:.0f} MiB for seven clients that read nothing"
    served()


def _warm(gateway: Gateway, login: tuple[str, str]) -> None:
    """What threads and reader processes keep once they have served anybody is no client's, nor the text for SEARCH."""
    until_texts(gateway, lambda made, due: not due)
    with Imap(gateway, login) as client:
        client.ok(b"EXAMINE INBOX")
        client.send(_fetches(100))
        client.ok(b"NOOP")
        client.ok(b"EXAMINE Large")
        client.ok(b"FETCH 1:4 (BODY.PEEK[])")


def _fetches(count: int = 4000) -> bytes:
    return b"y FETCH 1:* (FLAGS ENVELOPE)\r\n" * count


def test_a_slow_reader_gets_every_octet(gateway: Gateway, large: tuple[str, str]) -> None:
    """Backpressure holds the answer back, it loses nothing."""
    with Imap(gateway, large, receive_buffer=4096) as client:
        client.ok(b"EXAMINE Large")
        client.send(b"x FETCH 1 (BODY.PEEK[])\r\n")
        size = int(client.line().rpartition(b"{")[2].rstrip(b"}"))
        assert client.exactly(size) == mail(large[0], "large", BIG)
        assert client.until(b"x")[-1].startswith(b"x OK")


def test_silent_peers_are_dropped(silent: list[tuple[Wire, bytes]], served: Served) -> None:
    served()
    for wire, said in silent:
        rest = wire.rest()
        # An alert of TLS may be the last octets of a handshake that did not come about.
        assert rest.startswith(said) if said else rest == b"" or rest[:1] == b"\x15", rest
        assert rest.count(b"\r\n") == bool(said)
    served()


def test_ten_thousand_pipelined_commands_get_their_answers_in_order(gateway: Gateway, served: Served) -> None:
    with Imap(gateway, (gateway.address, gateway.key)) as client:
        flood = b"".join(b"n%d NOOP\r\n" % number for number in range(10_000))
        client.send_and_hear(flood)
        assert [client.line() for _ in range(10_000)] == [b"n%d OK NOOP completed" % n for n in range(10_000)]
        client.ok(b"SELECT INBOX")
    with Smtp(gateway, (gateway.address, gateway.key)) as client:
        client.send(b"NOOP\r\n" * 10_000)
        answers = client.rest().split(b"\r\n")
        assert answers[0].startswith(b"250")
        assert answers[-2].startswith(b"421"), "NOOP for ever is no sending of mail"
    served()


@contextmanager
def many_files(count: int) -> Iterator[None]:
    """Where users may have 1024 files open unless they ask for more, as Debian has it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_connections_that_say_nothing_do_not_keep_others_out(gateway: Gateway, served: Served) -> None:
    source = new_source()
    with many_files(4096), ExitStack() as stack:
        for _ in range(500):
            for port in (gateway.imaps, gateway.smtps):
                stack.enter_context(Wire(port, None, source=source))
        served()
    served()
    assert control(gateway, "inbox.show", address="served@mail.test")["messages"] > 0
