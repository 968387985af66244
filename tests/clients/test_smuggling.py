"""No crafted DATA or BDAT gives two messages: not here, and not behind a Postfix that we relay to.

The next hop of that Postfix notes what arrives at the very end; each message bears a mark of its own, and what it tries
to smuggle bears another.
"""

from __future__ import annotations

import email
import email.policy
import shutil
import smtplib
import socket
import subprocess
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.servers.places import short
from tests.servers.postfix import start_postfix
from tests.servers.process import PeerMissing, free_port, wait_for
from tests.support.gateway import HOST, Gateway, running

BARE = [
    b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n", b"\r\r\n.\r\r\n", b"\r\n.\r\r\n",
    b"\0\r\n.\0\r\n",
    b"\r\n\0.\r\n", b"\n.\r", b"\r\n.\0\n",
]  # fmt: skip
ENDS = [b"\r\n.\r\n", b"\r\n..\r\n", b"\r\n.\r\n.\r\n"]  # lines as any others to BDAT
RELAY = '[relay]\nhost = "127.0.0.1"\nport = {port}\nsecurity = "none"\nallow_private = true\n'


class Sink:
    """aiosmtpd's handler: keeps what arrives."""

    def __init__(self) -> None:
        self.mail: list[bytes] = []
        self.lock = threading.Lock()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        with self.lock:
            assert isinstance(envelope.content, bytes)
            self.mail.append(envelope.content)
        return "250 2.0.0 taken"


@dataclass
class Way:
    gateway: Gateway
    sink: Sink
    address: str
    key: str

    def client(self) -> smtplib.SMTP_SSL:
        client = smtplib.SMTP_SSL(HOST, self.gateway.smtps, context=self.gateway.tls(), timeout=30)
        client.login(self.address, self.key)
        return client

    def message(self, mark: str, attack: bytes, *, binary: bool = False) -> bytes:
        """A message that would be two if `attack` were taken for its end."""
        label = b"Content-Transfer-Encoding: binary\r\n" if binary else b""
        return (
            f"From: {self.address}\r\nTo: eve@elsewhere.test\r\nSubject: {mark}\r\nMIME-Version: 1.0\r\n"
            f"Content-Type: application/octet-stream\r\n".encode() + label + b"\r\nfirst" + attack
            + f"MAIL FROM:<{self.address}>\r\nRCPT TO:<smuggled@elsewhere.test>\r\nDATA\r\nFrom: {self.address}\r\n"
            f"Subject: smuggled\r\n\r\nsecond {mark}\r\n".encode()
        )

    def arrived(self, mark: str) -> bytes:
        """The message with this mark, once it is there."""

        def found() -> list[bytes]:
            with self.sink.lock:
                return [octets for octets in self.sink.mail if f"Subject: {mark}".encode() in octets]

        wait_for(lambda: bool(found()), f"the message {mark}")
        [octets] = found()
        return octets


@pytest.fixture(scope="module")
def way(missing: Callable[[str], None]) -> Iterator[Way]:
    directory = Path(tempfile.mkdtemp(prefix="smuggling-", dir=short()))
    sink = Sink()
    end = Controller(sink, hostname="127.0.0.1", port=free_port())
    end.start()
    try:
        try:
            postfix = start_postfix(directory / "postfix", f"relayhost = [127.0.0.1]:{end.port}\n")
        except (PeerMissing, OSError, subprocess.CalledProcessError) as error:
            missing(f"Postfix, run by root ({error}),")
        try:
            with running(Gateway(directory / "gateway", RELAY.format(port=postfix.smtp), readers=0)) as gateway:
                yield Way(gateway, sink, gateway.address, gateway.key)
        finally:
            postfix.stop()
    finally:
        end.stop()
        shutil.rmtree(directory)


def mark() -> str:
    return uuid.uuid4().hex


def envelope(client: smtplib.SMTP_SSL, sender: str, parameters: str = "") -> None:
    assert client.docmd("MAIL", f"FROM:<{sender}>{parameters}")[0] == 250
    assert client.docmd("RCPT", "TO:<eve@elsewhere.test>")[0] == 250


def bdat(client: smtplib.SMTP_SSL, octets: bytes, *, cut: int) -> tuple[int, bytes]:
    """`octets` in two chunks that leave at once; the reply that ends the message."""
    client.send(b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (cut, octets[:cut], len(octets) - cut, octets[cut:]))
    first, second = client.getreply(), client.getreply()
    return second if first[0] == 250 else first


def sound(way: Way, client: smtplib.SMTP_SSL) -> None:
    """The session stands where it should, and nothing smuggled went anywhere, here or at the end."""
    assert client.docmd("RSET")[0] == 250
    assert client.docmd("NOOP")[0] == 250
    last = mark()
    client.sendmail(way.address, ["eve@elsewhere.test"], way.message(last, b"\r\n"))
    way.arrived(last)
    client.quit()
    wait_for(lambda: way.gateway.json("queue", "list") == [], "the queue")
    with way.sink.lock:
        assert not any(octets.split(b"\r\n\r\n")[0].count(b"Subject: smuggled") for octets in way.sink.mail)
    sent = way.gateway.imap(way.address, way.key)
    try:
        sent.select("Sent", readonly=True)
        assert sent.search(None, "HEADER", "Subject", "smuggled")[1] == [b""]
    finally:
        sent.logout()


@pytest.mark.parametrize("attack", BARE)
def test_data_refuses(way: Way, attack: bytes) -> None:
    client = way.client()
    envelope(client, way.address)
    assert client.docmd("DATA")[0] == 354
    client.send(way.message(mark(), attack) + b".\r\n")
    assert client.getreply()[0] == 550
    assert client.docmd("NOOP")[0] == 250  # what followed was never a command
    client.quit()


@pytest.mark.parametrize("attack", BARE)
def test_bdat_refuses_the_same_in_text(way: Way, attack: bytes) -> None:
    client = way.client()
    envelope(client, way.address)
    octets = way.message(mark(), attack)
    assert bdat(client, octets, cut=octets.index(b"first") + 6)[0] == 550
    while client.docmd("RSET")[0] != 250:  # the second chunk's 503, where the first was refused
        pass
    client.quit()


def test_what_bdat_takes_is_one_message_everywhere(way: Way) -> None:
    """Lines with dots as they are; binary content in base64, for this Postfix takes no BINARYMIME."""
    client = way.client()
    sent: dict[str, bytes] = {}
    for attack in ENDS:
        one = mark()
        sent[one] = way.message(one, attack)
        envelope(client, way.address)
        assert bdat(client, sent[one], cut=sent[one].index(attack) + 2)[0] == 250
    for attack in [*BARE, *ENDS]:
        one = mark()
        sent[one] = way.message(one, attack, binary=True)
        envelope(client, way.address, " BODY=BINARYMIME")
        assert bdat(client, sent[one], cut=sent[one].index(attack) + 1)[0] == 250
    for one, octets in sent.items():
        parsed = email.message_from_bytes(way.arrived(one), policy=email.policy.compat32)
        said = parsed.get_payload(decode=True)
        assert isinstance(said, bytes)
        assert said == octets.split(b"\r\n\r\n", 1)[1]
    sound(way, client)


def test_a_session_that_drops_in_a_chunk_sends_nothing(way: Way) -> None:
    client = way.client()
    envelope(client, way.address)
    lost = mark()
    octets = way.message(lost, ENDS[0])
    client.send(b"BDAT %d LAST\r\n%b" % (len(octets) + 1, octets))
    assert client.sock is not None
    client.sock.shutdown(socket.SHUT_WR)
    client.close()
    sound(way, way.client())
    with way.sink.lock:
        assert not any(lost.encode() in mail for mail in way.sink.mail)
