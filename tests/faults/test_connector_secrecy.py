"""A password goes in the clear only where nobody can read it on the way, and an empty one is never tried."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.connectors.accounts import NO_LOGIN, Reach
from gateway.connectors.desk import Desk
from gateway.connectors.probe_imap import probe_imap
from gateway.connectors.probe_smtp import probe_smtp
from gateway.connectors.resolve import resolve
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.outbound.login import RelayLogin
from gateway.outbound.proxy import Proxy
from gateway.outbound.tls import Security, TlsPolicy
from gateway.store.db import open_database
from gateway.store.master_key import KeyFile
from gateway.store.migrate import migrate
from gateway.upstream.endpoint import ImapEndpoint
from tests.faults.smtp_peer import Peer
from tests.support.proxies import proxy
from tests.support.upstream import DOVECOT, FakeUpstream
from tests.unit.connectors.test_options import tables

SECRET = "correct horse"
CLEAR = TlsPolicy(Security.NONE)


@pytest.mark.parametrize("through", [False, True], ids=["at once", "through a proxy"])
def test_a_password_of_imap_in_the_clear(through: bool) -> None:
    async def go() -> None:
        async with FakeUpstream(DOVECOT) as server, proxy("socks5") as between:
            server.account.password = SECRET
            end = ImapEndpoint(
                "127.0.0.1", server.port, RelayLogin(server.account.user, SECRET), CLEAR, allow_private=True
            )
            if through:
                end = replace(end, proxy=Proxy.of_url(f"socks5://127.0.0.1:{between.port}", allow_private=True))
            probe = await probe_imap(end, provider="custom", name="work")
            assert probe.success is not through, probe.logs
            if through:
                assert probe.failure is Failure.LOGIN_DISABLED
                assert not any(command.name in ("LOGIN", "AUTHENTICATE") for command in server.log)

    asyncio.run(go())


@pytest.mark.parametrize("through", [False, True], ids=["at once", "through a proxy"])
def test_a_password_of_smtp_in_the_clear(through: bool) -> None:
    async def go() -> None:
        peer = Peer(extensions=("AUTH PLAIN LOGIN",))
        server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
        async with server, proxy("http") as between:
            port = server.sockets[0].getsockname()[1]
            end = Endpoint("127.0.0.1", port, CLEAR, RelayLogin("me", SECRET), allow_private=True)
            if through:
                end = replace(end, proxy=Proxy.of_url(f"http://127.0.0.1:{between.port}", allow_private=True))
            probe = await probe_smtp(end, sender="me@corp.example", provider="custom", name="work")
            assert probe.success is not through, probe.logs
            verbs = [verb for turn in peer.verbs() for verb in turn]
            assert ("AUTH" in verbs) is not through
            if through:
                assert probe.failure is Failure.LOGIN_DISABLED
                assert "not encrypted" in probe.message

    asyncio.run(go())


def test_without_a_password_nobody_is_asked(tmp_path: Path) -> None:
    async def go() -> None:
        await migrate(f"sqlite:///{tmp_path / 'gateway.db'}")
        db = open_database(f"sqlite:///{tmp_path / 'gateway.db'}")
        await db.start()
        async with FakeUpstream(DOVECOT) as server:
            desk = Desk.open(db, KeyFile(tmp_path / "master.key"), Reach("us.example", 1000), clock=lambda: 0.0)
            options = resolve(
                tables(imap={"host": "127.0.0.1", "port": server.port, "security": "none", "allow_private": True}),
                "custom", "me@corp.example",
            )  # fmt: skip
            [probe] = await desk.test_options(options, address="me@corp.example", provider="custom")
            assert (probe.failure, probe.message) == (Failure.AUTH_REJECTED, NO_LOGIN)
            assert server.connections == 0
            await desk.close()
        await db.close()

    asyncio.run(go())
