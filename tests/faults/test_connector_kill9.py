"""kill -9 while an account is synced, at arbitrary moments, with a real Dovecot where somebody else is at work.

Afterwards both sides have the same: nothing lost, nothing doubled, nothing stale. `GATEWAY_SOAK=1` kills more often.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.connector_kit import (
    BOXES,
    Other,
    connect,
    contents,
    ended_by_itself,
    fill,
    imported,
    killed_at_any_moment,
    login,
    mail,
    until_same,
)
from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.gateway import Gateway, ended
from tests.support.soak import SOAK
from tests.support.upstream import example

KILLS = 25 if SOAK else 5
MESSAGES = 1_500 if SOAK else 300


@pytest.fixture
def user(dovecot: Dovecot) -> str:
    name = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    fill(dovecot, name, MESSAGES // 2)
    return name


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    """Initialised; afterwards the store is whole."""
    one = Gateway(tmp_path / "gateway", readers=0)
    one.init()
    try:
        yield one
        ended(one)
        report = one.run("doctor", "--store")
        assert "error" not in report.lower(), report
    finally:
        if one.process is not None:
            one.kill()


@pytest.mark.parametrize("mode", ["pull", "import"])
def test_killed_in_each_mode(gateway: Gateway, dovecot: Dovecot, user: str, mode: str) -> None:
    chance = random.Random(mode)
    gateway.start()
    connect(gateway, dovecot, user, mode=mode)
    gateway.kill()
    other = Other(dovecot, user, seed=7)
    # An import that has ended begins anew: it must find that all is here.
    killed_at_any_moment(gateway, KILLS, chance, lambda: gateway.operate("connector.enable", name="work"))
    gateway.start()
    assert imported(gateway) > 0
    other.stop()
    if mode == "import":
        wait_for(lambda: ended_by_itself(gateway), "the end of the import", 60, 0.2)
        gateway.operate("connector.enable", name="work")
        wait_for(lambda: ended_by_itself(gateway), "the end of the last import", 60, 0.2)
    until_same(gateway, dovecot, user)


def test_killed_while_new_uids_are_learnt(gateway: Gateway, dovecot: Dovecot, user: str) -> None:
    """A mailbox that was made anew, with a few more in it: those come, and nothing comes twice."""
    gateway.start()
    connect(gateway, dovecot, user, mode="pull")
    until_same(gateway, dovecot, user)
    emails = {box: email_ids(gateway, box) for box in BOXES}
    gateway.kill()
    with login(dovecot, user) as there:
        before = contents(mail(there, "Work"))
        there.create("Anew")
        there.select("Work")
        assert there.uid("COPY", "1:*", "Anew")[0] == "OK"
        there.unselect()
        assert there.delete("Work")[0] == "OK"
        assert there.rename("Anew", "Work")[0] == "OK"
        for _ in range(5):
            there.append("Work", "", None, example())  # type: ignore[arg-type]
        assert len(contents(mail(there, "Work"))) == len(before) + 5
    chance = random.Random(3)
    killed_at_any_moment(gateway, KILLS, chance, lambda: None)
    gateway.start()
    until_same(gateway, dovecot, user)
    for box in BOXES:
        more = email_ids(gateway, box) - emails[box]
        assert len(more) == (5 if box == "Work" else 0), "the same messages as before, and what is new"
        assert emails[box] <= email_ids(gateway, box)


def email_ids(gateway: Gateway, box: str) -> set[bytes]:
    with gateway.imap() as client:
        client.select(box, readonly=True)
        return {bytes(row).split(b"EMAILID (")[1] for row in client.uid("FETCH", "1:*", "(EMAILID)")[1]}  # type: ignore[arg-type]
