"""Two real processes on one PostgreSQL share accounts elsewhere: one is frozen, one is killed; nothing comes twice."""

from __future__ import annotations

import asyncio
import base64
import os
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.store.connectors import accounts
from gateway.store.db import StoreSettings, open_database
from tests.faults.connector_kit import contents, fill, login, mail
from tests.servers import postgres
from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.gateway import Gateway, two_nodes
from tests.support.upstream import example

ACCOUNTS = 3
MESSAGES = 60
TAKEN_OVER = 60.0
"""Seconds until a test says that nobody takes over; a node is dead 20 seconds after its last sign of life."""


@pytest.fixture
def url(cluster: postgres.Cluster) -> Iterator[str]:
    name = f"nodes{uuid.uuid4().hex[:8]}"
    cluster.execute(f"CREATE DATABASE {name}")
    yield cluster.url(name)
    cluster.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.fixture
def nodes(tmp_path: Path, url: str) -> Iterator[tuple[Gateway, Gateway]]:
    """The first one runs; both may be started and stopped."""
    first, second = (Gateway(tmp_path / name, readers=0) for name in ("first", "second"))
    key = base64.b64encode(os.urandom(32)).decode()
    with two_nodes(first, second, {"GATEWAY_STORE__URL": url, "GATEWAY_STORE__MASTER_KEY": key}) as both:
        yield both


class Shared:
    """Accounts at one Dovecot, and who follows them."""

    def __init__(self, dovecot: Dovecot, url: str) -> None:
        self._dovecot, self._url = dovecot, url
        self.users = [f"{uuid.uuid4().hex[:8]}@elsewhere.test" for _ in range(ACCOUNTS)]
        self.inboxes: dict[str, tuple[str, str]] = {}

    def connect(self, node: Gateway) -> None:
        for number, user in enumerate(self.users):
            fill(self._dovecot, user, MESSAGES)
            self.inboxes[user] = node.inbox(f"shared{number}@mail.test")
            node.operate(
                "connector.add", name=f"c{number}", address=user, inbox=self.inboxes[user][0],
                options={"imap": {"host": "localhost", "port": self._dovecot.imaps, "ca": self._dovecot.ca.read_text(),
                                  "user": user, "secret": self._dovecot.password, "allow_private": True}},
            )  # fmt: skip

    def more(self, count: int) -> None:
        for user in self.users:
            with login(self._dovecot, user) as there:
                for _ in range(count):
                    there.append("INBOX", "", None, example())  # type: ignore[arg-type]

    def owners(self) -> dict[str, str | None]:
        async def read() -> dict[str, str | None]:
            db = open_database(self._url, StoreSettings())
            await db.start()
            try:
                return {row.name: row.node_id for row in await db.read(accounts.page)}
            finally:
                await db.close()

        return asyncio.run(read())

    def until_owned(self, node: Gateway) -> None:
        """All of them by this one."""
        place = str(node.data_dir.absolute())
        wait_for(
            lambda: all(owner is not None and owner.endswith(place) for owner in self.owners().values()),
            "the take-over", TAKEN_OVER, 0.5,
        )  # fmt: skip

    def until_here(self, node: Gateway) -> None:
        """Each inbox has the account's mail, each message once."""
        for user in self.users:
            with login(self._dovecot, user) as there:
                expected = contents(mail(there, "INBOX"))
            assert set(expected.values()) == {1}

            def same(user: str = user, expected: object = expected) -> bool:
                with node.imap(*self.inboxes[user]) as here:
                    return contents(mail(here, "INBOX")) == expected

            wait_for(same, f"the mail of {user}", 60, 0.3)


def test_who_is_frozen_or_killed_loses_its_accounts_and_nothing_is_doubled(
    nodes: tuple[Gateway, Gateway], dovecot: Dovecot, url: str
) -> None:
    first, second = nodes
    shared = Shared(dovecot, url)
    shared.connect(first)  # which begins at once: it is frozen in the middle of it
    first.signal(signal.SIGSTOP)
    assert all(owner is None or owner.endswith(str(first.data_dir.absolute())) for owner in shared.owners().values())
    second.start()
    shared.until_owned(second)
    shared.more(2)
    shared.until_here(second)
    first.signal(signal.SIGCONT)  # it believes that all are its own, and has something to write
    shared.more(2)
    shared.until_here(second)
    shared.until_here(first)
    shared.until_owned(second)
    second.kill()
    shared.until_owned(first)
    shared.more(2)
    shared.until_here(first)
    second.start()
    shared.more(1)
    shared.until_here(second)
    shared.until_owned(first)
    assert first.json("doctor", "--store")
