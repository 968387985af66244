"""kill -9 while a provider is asked: at each moment nothing is lost that anybody could have kept."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from gateway.oauth.errors import ReauthRequired
from gateway.store.db import open_database
from gateway.store.migrate import migrate
from tests.support.oauth import Answer, FakeProvider
from tests.support.oauth.world import SETTINGS, Clock, node

REFRESH = """
import asyncio, sys
from pathlib import Path
from gateway.oauth import parts
from gateway.outbound.http import HttpClient, HttpSettings
from gateway.outbound.tls import ClientContexts, TlsPolicy
from gateway.store.db import open_database
from gateway.store.master_key import KeyFile
from gateway.store.vault import Vault

async def main(place, ca, grant, now):
    db = open_database(f"sqlite:///{place}/gateway.db")
    await db.start()
    http = HttpClient(ClientContexts(), HttpSettings(allow_private=True, tls=TlsPolicy(ca_file=Path(ca))))
    oauth = parts.make(db, Vault(db, KeyFile(Path(place) / "master.key")), http, clock=lambda: float(now))
    print((await oauth.tokens.token(int(grant))).text, flush=True)
    await asyncio.get_running_loop().create_future()

asyncio.run(main(*sys.argv[1:]))
"""


async def scene(place: Path, *, moment: str, rotates: bool) -> None:
    """A process asks and is killed at `moment`; another one goes on."""
    url, key, clock = f"sqlite:///{place}/gateway.db", place / "master.key", Clock()
    await migrate(url)
    async with FakeProvider(place / "tls") as provider:
        provider.rotates = rotates
        db = open_database(url)
        await db.start()
        async with node(db, provider, key, clock=clock) as made:
            await made.app()
            row = await made.log_in()
        await db.close()

        clock.now += 3600
        provider.arrived.clear()
        if moment == "before":
            provider.gate.clear()
        if moment == "between":
            provider.script.append(Answer(stall=True, after=True))
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", REFRESH, str(place), str(provider.ca_file), str(row.id), str(clock.now),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert child.stdout is not None
        used = ""
        if moment == "after":
            used = (await child.stdout.readline()).decode().strip()
        else:
            await provider.arrived.wait()
        child.send_signal(signal.SIGKILL)
        await child.wait()
        provider.script.clear()
        if moment == "before":  # the request goes with the process
            provider.seen.clear()
            for task in list(provider._tasks):
                task.cancel()
            provider.gate.set()

        db = open_database(url)
        await db.start()
        try:
            async with node(db, provider, key, clock=clock) as made:
                if moment == "after":
                    assert (await made.token(row)).text == used, "what was used had been stored"
                    assert await made.refresh_token(row) in provider.refresh
                    return
                clock.now += SETTINGS.lease + 1
                if moment == "between" and rotates:
                    with pytest.raises(ReauthRequired):
                        await made.token(row)
                    told = await made.row(row)
                    assert "cut off between the provider's answer and our storing it" in (told.last_error or "")
                    assert told.refresh_sealed == row.refresh_sealed
                else:
                    assert (await made.token(row)).text == provider.issued[-1]
                    assert await made.refresh_token(row) in provider.refresh
        finally:
            await db.close()


@pytest.mark.parametrize("rotates", [True, False])
@pytest.mark.parametrize("moment", ["before", "between", "after"])
def test_a_kill_while_a_provider_is_asked(tmp_path: Path, moment: str, rotates: bool) -> None:
    asyncio.run(scene(tmp_path, moment=moment, rotates=rotates))
