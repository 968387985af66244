"""An identity provider in one's own network: refused by the real process until its application allows it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.gateway import Gateway
from tests.support.oauth import FakeProvider


@contextmanager
def provider(directory: Path) -> Iterator[FakeProvider]:
    """On a loop of its own, for the command line blocks this one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    made = FakeProvider(directory)
    asyncio.run_coroutine_threadsafe(made.__aenter__(), loop).result(10)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.__aexit__(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_an_identity_provider_in_a_private_network(gateway: Gateway, tmp_path: Path) -> None:
    with provider(tmp_path / "tls") as idp:
        gateway.run(
            "oauth", "add", "idp", "--provider", "custom", "--client-id", "client", "--secret", "the-client-secret",
            "--token-url", idp.url("/token"), "--imap-scope", "mail.imap", "--smtp-scope", "mail.smtp",
        )  # fmt: skip
        login = ("oauth", "login", "idp", "anna@example.test", "--way", "client")
        done = gateway.cli(*login)
        assert done.returncode == 1
        assert "leads to a network that is not allowed" in done.stderr
        assert "gateway oauth set APP --allow-private" in done.stderr
        assert "there is no file nowhere" in gateway.cli("oauth", "set", "idp", "--ca", "nowhere").stderr
        gateway.run("oauth", "set", "idp", "--allow-private")
        assert "certificate" in gateway.cli(*login).stderr
        assert idp.seen == []
        gateway.run("oauth", "set", "idp", "--ca", str(idp.ca_file))
        assert "anna@example.test" in gateway.run(*login)
        [shown] = gateway.json("oauth", "list")
        assert (shown["allow_private"], shown["has_ca"]) == (True, True)
        gateway.run("oauth", "set", "idp", "--no-allow-private")
        assert "is not allowed" in gateway.cli(*login).stderr
