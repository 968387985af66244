"""An account at a real Dovecot that somebody else works in all the time, and the gateway that follows it."""

from __future__ import annotations

import imaplib
import random
import re
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.gateway import Gateway
from tests.support.upstream import digest, example

BOXES: Final = ("INBOX", "Work")
LEAST: Final = 90
"""So many messages stay in a mailbox: hardly any of them would be a mass removal, which waits for somebody."""
Mail = Counter[tuple[frozenset[str], str]]
"""(flags, SHA-256 of the octets) of each message."""


@contextmanager
def login(dovecot: Dovecot, user: str) -> Iterator[imaplib.IMAP4_SSL]:
    context = ssl.create_default_context(cafile=str(dovecot.ca))
    client = imaplib.IMAP4_SSL("localhost", dovecot.imaps, ssl_context=context, timeout=60)
    client.login(user, dovecot.password)
    try:
        yield client
    finally:
        client.shutdown()


def mail(client: imaplib.IMAP4_SSL, box: str) -> Mail:
    """What is in a mailbox; no UID and no message of it twice is checked by whoever counts."""
    found: Mail = Counter()
    kind, there = client.select(box, readonly=True)
    if kind != "OK" or there == [b"0"]:  # it is not there yet, or empty
        return found
    uids = []
    for row in client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")[1]:
        if isinstance(row, tuple):
            flags = {flag.decode() for flag in imaplib.ParseFlags(row[0])} - {"\\Recent"}
            found[frozenset(flags), digest(row[1])] += 1
            uids.append(int(re.search(rb"UID (\d+)", row[0])[1]))  # type: ignore[index]
    assert uids == sorted(set(uids)), "UIDs rise"
    return found


def contents(found: Mail) -> Counter[str]:
    counted: Counter[str] = Counter()
    for (_, octets), count in found.items():
        counted[octets] += count
    return counted


def fill(dovecot: Dovecot, user: str, count: int) -> None:
    with login(dovecot, user) as client:
        client.create("Work")
        for box in BOXES:
            some = [example() for _ in range(count)]
            client.send(b"".join(b"x APPEND %b {%d+}\r\n%b\r\n" % (box.encode(), len(one), one) for one in some))
            for _ in some:
                while not (line := client.readline()).startswith(b"x "):
                    assert line.startswith(b"* ")
                assert line.startswith(b"x OK"), line


class Other:
    """Another client of the account: appends, expunges, sets flags and moves, until `stop`."""

    def __init__(self, dovecot: Dovecot, user: str, seed: int) -> None:
        self._chance = random.Random(seed)
        self._end = threading.Event()
        self._failed: list[BaseException] = []
        self.done: Counter[str] = Counter()
        self._thread = threading.Thread(target=self._run, args=(dovecot, user), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._end.set()
        self._thread.join(60)
        assert not self._failed, self._failed
        assert {"append", "expunge", "flags", "move"} <= set(self.done), self.done

    def _run(self, dovecot: Dovecot, user: str) -> None:
        try:
            with login(dovecot, user) as client:
                while not self._end.wait(self._chance.uniform(0.005, 0.05)):
                    self._stir(client)
        except BaseException as error:
            self._failed.append(error)

    def _stir(self, client: imaplib.IMAP4_SSL) -> None:
        chance, box = self._chance, self._chance.choice(BOXES)
        what = chance.choice(("append", "append", "expunge", "flags", "flags", "move"))
        if what == "append":
            _ok(client.append(box, chance.choice(("", "\\Seen")), None, example()))
        else:
            _ok(client.select(box))
            uids = client.uid("SEARCH", "ALL")[1][0].split()
            if len(uids) <= LEAST:
                return
            uid = chance.choice(uids).decode()
            if what == "expunge":
                _ok(client.uid("STORE", uid, "+FLAGS.SILENT", "(\\Deleted)"))
                _ok(client.uid("EXPUNGE", uid))
            elif what == "move":
                _ok(client.uid("MOVE", uid, BOXES[box == "INBOX"]))
            else:
                flag = chance.choice(("\\Flagged", "\\Seen", "\\Answered", "work"))
                _ok(client.uid("STORE", uid, chance.choice(("+FLAGS.SILENT", "-FLAGS.SILENT")), f"({flag})"))
        self.done[what] += 1


def _ok(answer: tuple[str, Sequence[object]]) -> None:
    assert answer[0] == "OK", answer


def connect(gateway: Gateway, dovecot: Dovecot, user: str, *, mode: str) -> None:
    gateway.operate(
        "connector.add", name="work", address=user, inbox=gateway.address,
        options={
            "imap": {"host": "localhost", "port": dovecot.imaps, "ca": dovecot.ca.read_text(), "user": user,
                     "secret": dovecot.password, "allow_private": True},
            "sync": {"mode": mode, "vanished": "delete"},
        },
    )  # fmt: skip


def ended_by_itself(gateway: Gateway) -> bool:
    """An import that is done is switched off."""
    shown = gateway.operate("connector.show", name="work")
    return not shown["enabled"] and shown["state"] == "done"


def imported(gateway: Gateway) -> int:
    """Messages in the INBOX here."""
    with gateway.imap() as client:
        return int(client.select("INBOX", readonly=True)[1][0] or b"0")


def until_same(gateway: Gateway, dovecot: Dovecot, user: str, *, seconds: float = 90.0) -> None:
    """Quiet: both sides agree in content and flags, and nothing is there twice."""
    with login(dovecot, user) as there:
        expected = {box: mail(there, box) for box in BOXES}
    found: dict[str, Mail] = {}

    def same() -> bool:
        with gateway.imap() as here:
            found.update((box, mail(here, box)) for box in BOXES)
        return found == expected

    try:
        wait_for(same, "the same mail on both sides", seconds, 0.3)
    except TimeoutError:
        for box in BOXES:
            assert contents(expected[box]) - contents(found[box]) == Counter(), f"{box}: lost"
            assert contents(found[box]) - contents(expected[box]) == Counter(), f"{box}: doubled, or stale"
        assert found == expected, "flags are stale"
    for box in BOXES:
        assert set(contents(found[box]).values()) == {1}, f"{box}: something is there twice"


def killed_at_any_moment(gateway: Gateway, kills: int, chance: random.Random, begin: Callable[[], None]) -> None:
    """Starts and kills; `begin` is called when it has started."""
    for _ in range(kills):
        gateway.start()
        begin()
        time.sleep(chance.uniform(0.0, 1.2))  # nothing is waited for: the kill comes at any moment of a sync
        gateway.kill()
