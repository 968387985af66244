"""The real process whose relay is behind a proxy, and a sender with an address elsewhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.outbound.proxy import ProxyKind
from tests.faults.smtp_relay import Relay, relay
from tests.support.gateway import Gateway, running
from tests.support.proxies import TestProxy, proxy

SECRET = "canary-5b1c"
_SETTINGS = """
[relay]
host = "127.0.0.1"
port = {relay}
security = "none"
allow_private = true
proxy = "{kind}://zoe@127.0.0.1:{proxy}"
proxy_secret = "{secret}"
[queue]
first_retry = 1
"""


@contextmanager
def servers(kind: ProxyKind) -> Iterator[tuple[Relay, TestProxy]]:
    """A relay and a proxy on a thread of their own."""
    made, between = Relay(), TestProxy(login=("zoe", SECRET))
    ready = threading.Event()
    end: list[Callable[[], object]] = []

    async def serve() -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        end.append(lambda: loop.call_soon_threadsafe(over.set))
        async with relay(made), proxy(kind, between):
            ready.set()
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield made, between
    finally:
        end[0]()
        thread.join()


def until_done(gateway: Gateway) -> None:
    """The queue is empty."""

    async def drained() -> None:
        async with asyncio.timeout(60):
            while gateway.json("queue", "list"):  # noqa: ASYNC110 - another process's store
                await asyncio.sleep(0.05)

    asyncio.run(drained())


@pytest.mark.parametrize("kind", list(ProxyKind))
def test_a_relay_behind_a_proxy(tmp_path: Path, kind: ProxyKind) -> None:
    """An address elsewhere that no account has goes to the relay; the password at the proxy is shown to nobody."""
    with servers(kind) as (there, between):
        settings = _SETTINGS.format(relay=there.port, kind=kind, proxy=between.port, secret=SECRET)
        with running(Gateway(tmp_path / "gateway", settings, readers=0)) as gateway:
            gateway.run("address", "add", "me@account.test", "--inbox", gateway.address, "--external")
            client = gateway.smtp()
            for sender in (gateway.address, "me@account.test"):
                client.sendmail(sender, ["eve@far.test"], f"From: {sender}\r\nSubject: hi\r\n\r\nbody\r\n")
            client.quit()
            until_done(gateway)
            shown = gateway.json("queue", "route", "me@account.test", "eve@far.test")
            assert (shown["way"], shown["relay"]) == ("relay", "relay")
            assert "connector" not in shown
            doctor = gateway.cli("doctor")
            assert "it answers" in doctor.stdout
            assert SECRET not in gateway.run("config", "show") + gateway.log_tail(1_000_000) + doctor.stdout
        assert sorted(mail.mail_from for mail in there.taken) == sorted([gateway.address, "me@account.test"])
        assert set(between.asked) == {("127.0.0.1", there.port)}
        assert set(between.logins) == {("zoe", SECRET)}
