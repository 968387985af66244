"""kill -9 in the middle of LMTP: what was answered with 250 is there, once; what was not is there once or not at all.

`GATEWAY_SOAK=1` kills more often.
"""

from __future__ import annotations

import random
import smtplib
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clients.test_listeners import listener
from tests.servers.process import free_port
from tests.support.gateway import HOST, Gateway, running
from tests.support.looks import closing, whole
from tests.support.soak import SOAK

KILLS = 20 if SOAK else 3
CLIENTS = 5
LOST = (OSError, smtplib.SMTPException, EOFError)


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture
def gateway(tmp_path: Path, port: int) -> Iterator[Gateway]:
    settings = listener("lmtp", port, "none", 'networks = ["127.0.0.1/32"]')
    with running(Gateway(tmp_path / "gateway", settings, readers=0)) as one:
        yield one


class Load:
    """Servers in front that deliver to two inboxes at once until the gateway dies."""

    def __init__(self, port: int, run: int, recipients: tuple[str, ...], kill_after: int) -> None:
        self.port = port
        self.run = run
        self.recipients = recipients
        self.started: set[str] = set()
        self.answered: Counter[tuple[str, str]] = Counter()  # (inbox, token)
        self.kill_now = threading.Event()
        self._left = kill_after
        self._lock = threading.Lock()

    def deliver(self, number: int) -> None:
        rng = random.Random(f"{self.run}/{number}")
        with suppress(*LOST):
            client = smtplib.LMTP(HOST, self.port, timeout=60)
            try:
                client.ehlo("front.test")
                for count in range(100_000):
                    token = f"k{self.run}x{number}x{count}"
                    self.started.add(token)
                    self._one(client, token, rng.choice((500, 4_000, 60_000, 700_000)))
            finally:
                client.close()

    def _one(self, client: smtplib.LMTP, token: str, octets: int) -> None:
        for command in ("MAIL FROM:<a@front.test>", *(f"RCPT TO:<{to}>" for to in self.recipients)):
            client.docmd(command)
        if client.docmd("DATA")[0] != 354:
            raise EOFError
        line = (token.encode() + b" ") * 8 + b"\r\n"
        head = f"From: a@front.test\r\nSubject: {token}\r\n\r\n".encode()
        client.send(head + line * max(1, octets // len(line)) + b".\r\n")
        for to in self.recipients:
            if client.getreply()[0] == 250:
                with self._lock:
                    self.answered[to, token] += 1
                    self._left -= 1
        if self._left <= 0:
            self.kill_now.set()


def test_what_was_answered_is_there_once(gateway: Gateway, port: int) -> None:
    other, key = gateway.inbox("other@mail.test")
    recipients = (gateway.address, other)
    started: set[str] = set()
    answered: Counter[tuple[str, str]] = Counter()
    for run in range(KILLS):
        load = Load(port, run, recipients, kill_after=random.Random(run).randint(10, 80))
        threads = [threading.Thread(target=load.deliver, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        assert load.kill_now.wait(60), "the clients got nothing done"
        gateway.kill()
        for thread in threads:
            thread.join(60)
        started |= load.started
        answered += load.answered
        gateway.start()
    boxes = {}
    for address, password in ((gateway.address, gateway.key), (other, key)):
        with closing(gateway.imap(address, password)) as client:
            boxes[address] = whole(client, "INBOX")
    for address, box in boxes.items():
        assert {token for to, token in answered if to == address} <= set(box)
        assert set(box) <= started
        assert set(box.values()) == {1}, "something is there twice"
    assert boxes[gateway.address] == boxes[other], "all recipients of a message are one unit"
    assert gateway.stop() == 0
    report = gateway.run("doctor", "--store")
    assert "error" not in report.lower(), report
