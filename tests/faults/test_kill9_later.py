"""kill -9 while drafts are let go, cancelled and sent at their time: each message is sent once, or not at all.

`GATEWAY_SOAK=1` kills more often.
"""

from __future__ import annotations

import imaplib
import random
import smtplib
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.model import moments
from tests.servers.process import wait_for
from tests.support.gateway import Gateway, running
from tests.support.looks import closing, subjects
from tests.support.soak import SOAK

RUNS = 15 if SOAK else 2
EACH = 24
PATIENCE_S = 60
LOST = (OSError, imaplib.IMAP4.error, smtplib.SMTPException, EOFError)


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running(Gateway(tmp_path / "gateway", readers=0)) as one:
        yield one


def _mail(address: str, name: str, *fields: str) -> bytes:
    lines = [f"From: {address}", f"To: {address}", f"Subject: {name}", f"Message-ID: <{name}@kill.test>", *fields]
    return "\r\n".join([*lines, "", name * 10, ""]).encode()


def _expunged(client: imaplib.IMAP4_SSL) -> bool:
    """Whether the server has told of an EXPUNGE since this was asked last."""
    responses: dict[str, object] = client.untagged_responses  # type: ignore[assignment]
    return responses.pop("EXPUNGE", None) is not None


def _settled(gateway: Gateway) -> None:
    """Until nothing is due: what was let go is delivered."""
    wait_for(lambda: {row["state"] for row in gateway.json("queue", "list")} <= {"held"}, "the queue", PATIENCE_S)


class Clients:
    """Two that decide about the same drafts until the server dies; what they were told of is remembered."""

    def __init__(self, gateway: Gateway, kill_after: int) -> None:
        self.gateway = gateway
        self.sent: set[str] = set()
        self.cancelled: set[str] = set()
        self.kill_now = threading.Event()
        self._left = kill_after
        self._lock = threading.Lock()

    def _told(self, names: set[str], name: str) -> None:
        with self._lock:
            names.add(name)
            self._left -= 1
            if self._left <= 0:
                self.kill_now.set()

    def decide(self, seed: int) -> None:
        rng = random.Random(seed)
        with suppress(*LOST), closing(self.gateway.imap()) as client:
            client.select("Drafts")
            while True:
                numbers = client.uid("SEARCH", "KEYWORD", "$PendingApproval")[1][0].split()
                if not numbers:
                    return
                uid = rng.choice(numbers).decode()
                rows = client.uid("FETCH", uid, "BODY.PEEK[HEADER.FIELDS (Subject)]")[1]
                if not isinstance(rows[0], tuple):
                    continue  # the other was faster
                name = rows[0][1].split(b"Subject: ")[1].strip().decode()
                if rng.random() < 0.5:
                    if client.uid("MOVE", uid, "Outbox")[0] == "OK" and _expunged(client):
                        self._told(self.sent, name)
                else:
                    client.uid("STORE", uid, "+FLAGS.SILENT", "(\\Deleted)")
                    _expunged(client)
                    if client.uid("EXPUNGE", uid)[0] == "OK" and _expunged(client):
                        self._told(self.cancelled, name)


def test_each_draft_is_sent_once_or_not_at_all(gateway: Gateway) -> None:
    proposes = gateway.new_key("--inbox", gateway.address, "--permissions", "read,draft")
    names: set[str] = set()
    sent: set[str] = set()
    cancelled: set[str] = set()
    for run in range(RUNS):
        with gateway.smtp(key=proposes) as client:
            for number in range(EACH):
                name = f"held{run}x{number}"
                names.add(name)
                client.sendmail(gateway.address, [gateway.address], _mail(gateway.address, name))
        clients = Clients(gateway, kill_after=random.Random(run).randint(2, EACH // 2))
        threads = [threading.Thread(target=clients.decide, args=(run * 2 + each,)) for each in range(2)]
        for thread in threads:
            thread.start()
        assert clients.kill_now.wait(PATIENCE_S), "the clients got nothing done"
        gateway.kill()
        for thread in threads:
            thread.join(PATIENCE_S)
        # Two sessions may decide about one draft in the same moment: who is told EXPUNGE need not have been the one.
        sent |= clients.sent - clients.cancelled
        cancelled |= clients.cancelled - clients.sent
        gateway.start()
    _settled(gateway)
    with gateway.imap() as client:
        delivered, copies, drafts = (subjects(client, box) for box in ("INBOX", "Sent", "Drafts"))
    delivered = [name for name in delivered if name in names]
    assert len(delivered) == len(set(delivered)), "something was sent twice"
    assert sorted(delivered) == sorted(copies), "what was sent is in Sent, and nothing else is"
    assert not set(delivered) & set(drafts), "a draft is there that was sent"
    assert sent <= set(delivered)
    assert not cancelled & set(delivered)
    held = {row["recipient"] for row in gateway.json("queue", "list", "--state", "held")} if drafts else set()
    assert len(gateway.json("queue", "list", "--state", "held")) == len(drafts)
    assert held <= {gateway.address}
    assert gateway.stop() == 0
    assert "error" not in gateway.run("doctor", "--store").lower()


def test_scheduled_drafts_around_a_crash(gateway: Gateway) -> None:
    names = set()
    for run in range(RUNS):
        with gateway.imap() as client:
            for number in range(EACH):
                name = f"later{run}x{number}"
                names.add(name)
                due = moments.rfc5322(int(time.time()) + 3)
                mail = _mail(gateway.address, name, f"X-Send-At: {due}")
                assert client.append("Drafts", "(\\Draft)", None, mail)[0] == "OK"
            client.select("INBOX")
            end = time.monotonic() + PATIENCE_S
            while not any(name.startswith(f"later{run}x") for name in subjects(client, "INBOX")):
                assert time.monotonic() < end, "nothing was sent"
        gateway.kill()  # some are delivered, some released, some not looked at yet
        gateway.start()
    end = time.monotonic() + PATIENCE_S
    with gateway.imap() as client:
        while subjects(client, "Drafts"):
            assert time.monotonic() < end, subjects(client, "Drafts")
    _settled(gateway)
    with gateway.imap() as client:
        assert sorted(name for name in subjects(client, "INBOX") if name in names) == sorted(names)
        assert sorted(subjects(client, "Sent")) == sorted(names)
    assert gateway.stop() == 0
    assert "error" not in gateway.run("doctor", "--store").lower()
