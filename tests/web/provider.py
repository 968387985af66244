"""A provider of OAuth logins beside tests whose clients block their own loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.oauth import FakeProvider
from tests.support.oauth.world import SCOPES


@contextmanager
def running_provider(directory: Path) -> Iterator[FakeProvider]:
    """On a loop of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    made = FakeProvider(directory)

    async def start() -> None:
        await made.__aenter__()

    async def stop() -> None:
        await made.__aexit__()

    asyncio.run_coroutine_threadsafe(start(), loop).result(10)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def known(gateway: Gateway, provider: FakeProvider) -> None:
    """The gateway has an application there: the one of provider `custom`."""
    if not any(app["provider"] == "custom" for app in gateway.operate("oauth.app.list")):
        gateway.operate(
            "oauth.app.create", name="app", provider="custom", client_id="client", secret="the-client-secret",
            allow_private=True, ca=Path(provider.ca_file).read_text(), **provider.endpoints, **SCOPES,
        )  # fmt: skip
