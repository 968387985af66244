"""kill -9 at each step of a delivery: nothing is lost, and twice comes only what the relay had and never told us.

One process is killed at one step after the other; the relay says how far it got, and what it took.
"""

from __future__ import annotations

import asyncio
import smtplib
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.faults.smtp_relay import Relay, relay
from tests.support.gateway import Gateway, running

BEFORE_THE_DOT = ("greeting", "ehlo", "mail", "rcpt", "data", "body")
EACH = 6  # messages a step: one is on its way, some are claimed, the rest waits
_RELAY = """
[relay]
host = "127.0.0.1"
port = {port}
security = "none"
allow_private = true
[queue]
per_destination = 1
unknown_outcome = "{policy}"
"""


class Peer:
    """A scripted relay on a loop of its own."""

    def __init__(self) -> None:
        self.relay = Relay()
        self._loop = asyncio.new_event_loop()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self._thread.start()
        assert self._ready.wait(20)

    async def _serve(self) -> None:
        async with relay(self.relay):
            self._ready.set()
            await self._end.wait()

    def wait(self, event: Callable[[], asyncio.Event]) -> None:
        async def waiting() -> None:
            await event().wait()

        found: Future[None] = asyncio.run_coroutine_threadsafe(waiting(), self._loop)
        found.result(60)

    def call(self, work: Callable[[], object]) -> None:
        async def calling() -> None:
            work()

        asyncio.run_coroutine_threadsafe(calling(), self._loop).result(60)

    def new(self) -> None:
        """From here on all goes well, for connections that come."""

        def renew() -> None:
            self.relay.released.set()
            self.relay.stall_at = ""
            self.relay.hold = None
            self.relay.scripts.clear()
            self.relay.stalled, self.relay.released = asyncio.Event(), asyncio.Event()
            self.relay.at_dot = asyncio.Event()

        self.call(renew)

    @property
    def taken(self) -> Counter[str]:
        """Recipients of messages that the relay had whole, whether we heard of it or not."""
        return Counter(to for mail in [*self.relay.taken, *self.relay.unsure] for to in mail.recipients)

    def close(self) -> None:
        self.call(self._end.set)
        self._thread.join(20)
        self._loop.close()


@pytest.fixture(params=["resend", "hold"])
def policy(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def pair(tmp_path: Path, policy: str) -> Iterator[tuple[Gateway, Peer]]:
    with ExitStack() as stack:
        peer = Peer()
        stack.callback(peer.close)
        settings = _RELAY.format(port=peer.relay.port, policy=policy)
        yield stack.enter_context(running(Gateway(tmp_path / "gateway", settings, readers=0))), peer


def submit(gateway: Gateway, names: list[str]) -> None:
    client = gateway.smtp()
    for name in names:
        octets = f"From: {gateway.address}\r\nMessage-ID: <{name}@kill.test>\r\nSubject: {name}\r\n\r\nbody\r\n"
        client.sendmail(gateway.address, [f"{name}@far.test"], octets)
    smtplib.SMTP.close(client)


def rows(gateway: Gateway, state: str | None = None) -> list[dict[str, Any]]:
    return list(gateway.json("queue", "list", *(["--state", state] if state else [])))


def wait_until_done(gateway: Gateway, *, but: int = 0) -> None:
    """Until nothing is left but `but` held recipients."""
    with closing(sqlite3.connect(f"file:{gateway.data_dir / 'gateway.db'}?mode=ro", uri=True)) as store:
        asyncio.run(_drained(store, but))


async def _drained(store: sqlite3.Connection, but: int) -> None:
    query = "SELECT state, count(*) FROM queue_recipient WHERE state NOT IN ('sent', 'bounced', 'cancelled') GROUP BY 1"
    async with asyncio.timeout(60):
        while dict(store.execute(query)) != ({"held": but} if but else {}):  # noqa: ASYNC110 - another process's store
            await asyncio.sleep(0.02)


def test_killed_before_the_dot_all_comes_once(pair: tuple[Gateway, Peer], policy: str) -> None:
    """With "hold" what a crash interrupts waits for a person all the same: its row does not tell how far it got."""
    gateway, peer = pair
    expected: list[str] = []
    for stage in BEFORE_THE_DOT if policy == "resend" else ("greeting", "body"):
        if stage == "ehlo":  # a new connection: else the kept one of the step before is used
            assert gateway.stop() == 0
            gateway.start()
        if stage == "body":  # DATA has its 354, and the relay reads nothing of what follows
            peer.call(lambda: setattr(peer.relay, "scripts", type(peer.relay.scripts)([{"body": "421 4.3.2 late"}])))
        peer.call(lambda stage=stage: setattr(peer.relay, "stall_at", stage))  # type: ignore[misc]
        names = [f"{stage}{number}" for number in range(EACH)]
        submit(gateway, names)
        peer.wait(lambda: peer.relay.stalled)
        gateway.kill()
        peer.new()
        gateway.start()
        expected += names
        if policy == "hold":
            held = wait_for_held(gateway)
            assert [row["hold_reason"] for row in held] == ["outcome"]
            assert gateway.json("queue", "release", "--all", "--yes") == {"recipients": 1}
        wait_until_done(gateway)
        assert peer.taken == Counter(f"{name}@far.test" for name in expected), stage
    story = gateway.json("queue", "show", rows(gateway, "sent")[0]["id"])["history"]
    assert [event["event"] for event in story][:2] == ["accepted", "interrupted"]


def wait_for_held(gateway: Gateway) -> list[dict[str, Any]]:
    wait_until_done(gateway, but=1)
    return rows(gateway, "held")


@pytest.mark.parametrize("heard", [False, True], ids=["after the dot", "outcome not written"])
def test_killed_after_the_dot_one_comes_again_and_is_counted(
    pair: tuple[Gateway, Peer], policy: str, heard: bool
) -> None:
    gateway, peer = pair
    names = [f"dot{number}" for number in range(EACH)]
    peer.call(lambda: setattr(peer.relay, "hold", asyncio.Event()))
    submit(gateway, names)
    peer.wait(lambda: peer.relay.at_dot)
    claimed = len(rows(gateway, "sending"))
    assert claimed > 1 or policy == "hold"
    assert claimed == 1 or policy == "resend", "what a crash would hold is no more than was begun"
    if heard:
        with closing(sqlite3.connect(gateway.data_dir / "gateway.db", isolation_level=None)) as store:
            store.execute("BEGIN IMMEDIATE")  # the outcome cannot be written while we hold this
            peer.call(lambda: peer.relay.hold and peer.relay.hold.set())
            peer.call(lambda: setattr(peer.relay, "stall_at", ""))
            gateway.kill()
            store.execute("ROLLBACK")
    else:
        peer.call(lambda: setattr(peer.relay, "stall_at", "final-dot"))
        peer.call(lambda: peer.relay.hold and peer.relay.hold.set())
        peer.wait(lambda: peer.relay.stalled)
        gateway.kill()
    peer.new()
    gateway.start()
    if policy == "hold":
        [held] = wait_for_held(gateway)
        assert (held["recipient"], held["hold_reason"]) == ("dot0@far.test", "outcome")
        assert peer.taken == Counter(f"{name}@far.test" for name in names), "the others came, that one not again"
        assert gateway.json("queue", "cancel", held["id"]) == {"recipients": 1}
        return
    wait_until_done(gateway)
    assert peer.taken == Counter(f"{name}@far.test" for name in names) + Counter(["dot0@far.test"])
    shown = gateway.json("queue", "show", rows(gateway, "sent")[0]["id"])
    assert [event["event"] for event in shown["history"]] == ["accepted", "interrupted", "sent"]
    counted = f"gateway_delivery_repeated_total {claimed}.0"
    assert counted in metrics(gateway), "all that was claimed counts as possibly repeated"


def metrics(gateway: Gateway) -> str:
    with urlopen(f"http://127.0.0.1:{gateway.health}/metrics", timeout=30) as page:
        return str(page.read().decode())
