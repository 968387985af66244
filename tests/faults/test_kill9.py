"""kill -9 in the middle of appends and submissions: everything acknowledged is there once, nothing is half there.

`GATEWAY_SOAK=1` kills more often.
"""

from __future__ import annotations

import imaplib
import random
import smtplib
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.gateway import Gateway, running
from tests.support.looks import closing, whole
from tests.support.soak import SOAK

KILLS = 25 if SOAK else 3
LOST = (OSError, imaplib.IMAP4.error, smtplib.SMTPException, EOFError)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(Gateway(tmp_path / "gateway")) as one:
        yield one


def _mail(address: str, token: str, octets: int) -> bytes:
    line = (token.encode() + b" ") * 8 + b"\r\n"
    head = f"From: {address}\r\nTo: {address}\r\nSubject: {token}\r\nMessage-ID: <{token}@kill.test>\r\n\r\n".encode()
    return head + line * max(1, octets // len(line))


class Load:
    """Clients that write until the server dies, and remember what was acknowledged."""

    def __init__(self, gateway: Gateway, run: int, kill_after: int) -> None:
        self.gateway = gateway
        self.run = run
        self.started: set[str] = set()
        self.acknowledged: set[str] = set()
        self._lock = threading.Lock()
        self._left = kill_after
        self.kill_now = threading.Event()

    def _acknowledge(self, token: str) -> None:
        with self._lock:
            self.acknowledged.add(token)
            self._left -= 1
            if self._left <= 0:
                self.kill_now.set()

    def _tokens(self, kind: str, number: int) -> Iterator[tuple[str, int]]:
        rng = random.Random(f"{self.run}{kind}{number}")
        for count in range(100_000):
            token = f"{kind}{self.run}x{number}x{count}"
            self.started.add(token)
            yield token, rng.choice((500, 4_000, 60_000, 700_000))  # in one unit, and staged over several

    def append(self, number: int) -> None:
        with suppress(*LOST), closing(self.gateway.imap()) as client:
            for token, octets in self._tokens("append", number):
                if client.append("Trash", "", None, _mail(self.gateway.address, token, octets))[0] == "OK":  # type: ignore[arg-type]
                    self._acknowledge(token)

    def submit(self, number: int) -> None:
        with suppress(*LOST):
            client = self.gateway.smtp()
            try:
                for token, octets in self._tokens("submit", number):
                    client.sendmail(
                        self.gateway.address, [self.gateway.address], _mail(self.gateway.address, token, octets)
                    )
                    self._acknowledge(token)
            finally:
                client.close()


def test_what_was_acknowledged_survives(gateway: Gateway) -> None:
    acknowledged: set[str] = set()
    started: set[str] = set()
    for run in range(KILLS):
        load = Load(gateway, run, kill_after=random.Random(run).randint(5, 60))
        work: list[tuple[Callable[[int], None], int]] = [(load.append, n) for n in range(4)]
        work += [(load.submit, n) for n in range(4)]
        threads = [threading.Thread(target=target, args=(n,)) for target, n in work]
        for thread in threads:
            thread.start()
        assert load.kill_now.wait(60), "the clients got nothing done"
        gateway.kill()
        for thread in threads:
            thread.join(60)
        acknowledged |= load.acknowledged
        started |= load.started
        gateway.start()

    with gateway.imap() as client:
        appended = whole(client, "Trash")
        delivered = whole(client, "INBOX")
        sent = whole(client, "Sent")
    assert {token for token in acknowledged if token.startswith("append")} <= set(appended)
    assert {token for token in acknowledged if token.startswith("submit")} <= set(delivered)
    assert delivered == sent, "the delivery and the Sent copy are one unit"
    for box in (appended, delivered):
        assert set(box) <= started
        assert set(box.values()) == {1}, "something is there twice"

    assert gateway.stop() == 0
    report = gateway.run("doctor", "--store")
    assert "error" not in report.lower(), report


def test_flags_and_expunges_survive(gateway: Gateway) -> None:
    client = gateway.imap()
    for number in range(20):
        client.append("INBOX", "", None, _mail(gateway.address, f"flag{number}", 500))  # type: ignore[arg-type]
    client.select("INBOX")
    client.store("1:10", "+FLAGS", "(\\Flagged $Kept)")
    client.store("11:15", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.copy("1:3", "Spam")
    gateway.kill()
    client.shutdown()
    gateway.start()
    with gateway.imap() as client:
        assert client.select("INBOX")[1] == [b"15"]
        flagged = client.uid("SEARCH", "KEYWORD $Kept FLAGGED")[1][0]
        assert flagged.split() == [str(n).encode() for n in range(1, 11)]
        uids = client.uid("SEARCH", "ALL")[1][0]
        assert uids.split() == [str(n).encode() for n in (*range(1, 11), *range(16, 21))]
        assert client.select("Spam")[1] == [b"3"]
        client.append("INBOX", "", None, _mail(gateway.address, "later", 500))  # type: ignore[arg-type]
        client.select("INBOX")
        assert client.uid("SEARCH", "SUBJECT later")[1] == [b"21"]
