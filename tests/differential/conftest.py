"""Our server and Dovecot, both with the same mail, for a module of comparisons."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.differential import corpora
from tests.differential.accepted import ACCEPTED, Accepted, Difference
from tests.differential.client import Client
from tests.differential.corpora import Mail
from tests.servers.dovecot import Dovecot
from tests.support.gateway import Gateway


@dataclass
class Pair:
    """The two servers, each with `mails` in the selected mailbox, numbered from 1."""

    mails: Sequence[Mail]
    ours: Client
    theirs: Client


class Judge:
    """Sorts differences into accepted and others."""

    def __init__(self) -> None:
        self.used: set[Accepted] = set()
        self.others: list[Difference] = []

    def see(self, found: Difference) -> None:
        for row in ACCEPTED:
            if row.covers(found):
                self.used.add(row)
                return
        self.others.append(found)

    def check(self) -> None:
        """Fail with all differences seen that are not accepted."""
        others, self.others = self.others, []
        assert not others, f"{len(others)} differences:\n" + "\n".join(map(str, others[:40]))


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


@pytest.fixture(scope="module")
def mails(missing: Callable[[str], None]) -> list[Mail]:
    for name in corpora.missing():
        missing(f"the corpus {name}")
    return corpora.for_both()


@pytest.fixture(scope="module")
def open_pair(
    tmp_path_factory: pytest.TempPathFactory, dovecot: Dovecot
) -> Iterator[Callable[..., Pair]]:
    """`open_pair(mails)`: both servers with these messages in a mailbox of its own."""
    with ExitStack() as stack:
        gateway = Gateway(tmp_path_factory.mktemp("ours"))
        gateway.init()
        gateway.start()
        stack.callback(_end, gateway)
        number, user = 0, f"{uuid.uuid4().hex[:8]}@differential.test"

        def connect(port: int, ca: Path, user: str, password: str, mailbox: str, mails: Sequence[Mail]) -> Client:
            client = Client(port, ssl.create_default_context(cafile=str(ca)), user, password)
            stack.callback(client.close)
            client.command(b"CREATE " + mailbox.encode())
            client.append(mailbox, [mail.octets for mail in mails])
            client.command(b"SELECT " + mailbox.encode())
            return client

        def open_one(mails: Sequence[Mail]) -> Pair:
            nonlocal number
            number += 1
            mailbox = f"corpus{number}"
            ours = connect(gateway.imaps, gateway.ca_file, gateway.address, gateway.key, mailbox, mails)
            theirs = connect(dovecot.imaps, dovecot.ca, user, dovecot.password, mailbox, mails)
            return Pair(mails, ours, theirs)

        yield open_one


def _end(gateway: Gateway) -> None:
    status = gateway.stop()
    assert status == 0, gateway.log_tail()
    assert not gateway.defects(), gateway.log_tail()


@pytest.fixture(scope="module")
def pair(open_pair: Callable[..., Pair], mails: list[Mail]) -> Pair:
    return open_pair(mails)
