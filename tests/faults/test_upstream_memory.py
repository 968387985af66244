"""What a connection in IDLE costs: thousands of accounts wait at once, and hardly anything else is kept of them."""

from __future__ import annotations

import asyncio
import gc
import os
from pathlib import Path
from typing import Final

import pytest

from gateway.outbound.login import RelayLogin
from gateway.outbound.tls import Security
from gateway.upstream.client import ImapClient
from tests.faults.upstream_kit import kept_open, run, settings
from tests.support.authority import Authority
from tests.support.soak import SOAK
from tests.support.upstream.account import PASSWORD, USER
from tests.support.upstream.process import UpstreamProcess

CONNECTIONS = 1000 if SOAK else 200
GATE = 48 * 1024
"""Octets a connection; some 29,000 are measured, most of them OpenSSL's. A buffer of asyncio's TLS alone is 256 KiB."""

WORK: Final = 300_000
"""Octets that something else uses for a moment before each connection, which must not become the connection's."""


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
def test_memory_of_connections_in_idle(tmp_path: Path) -> None:
    ca = Authority(tmp_path)
    leaf = ca.leaf()

    async def main(port: int) -> int:
        endpoint = settings(port, RelayLogin(USER, PASSWORD), Security.TLS, ca=ca.file)

        async def waiting() -> asyncio.Future[bool]:
            assert len(bytearray(b"x" * WORK)) == WORK
            client = kept_open(await ImapClient.connect(endpoint))
            await client.select(b"INBOX")
            idling = asyncio.ensure_future(client.idle(600))
            while not client._idling.active:  # noqa: ASYNC110 it is told to nobody
                await asyncio.sleep(0)
            return idling

        tasks = [await waiting() for _ in range(20)]
        before = resident()
        tasks += [await waiting() for _ in range(CONNECTIONS)]
        grown = resident() - before
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return grown

    with UpstreamProcess("--tls", str(leaf.file), "--messages", "10") as upstream:
        assert run(main(upstream.port)) < CONNECTIONS * GATE
