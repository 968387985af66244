"""Random histories: other clients, faults, syncs in between. After quiet both sides have the same."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gateway.store.db import Database
from tests.connectors.kit import connected, octets_digest, options, upstream_mail
from tests.connectors.test_kill import OUT_OF_SIGHT, digests
from tests.support.soak import examples
from tests.support.upstream import (
    CYRUS,
    DOVECOT,
    DOVECOT_BARE,
    EXCHANGE,
    FASTMAIL,
    HMAIL,
    ICLOUD,
    PLAIN,
    YAHOO,
    ZOHO,
    Bye,
    Cut,
    Do,
    Drop,
    FakeUpstream,
    Fault,
    Refuse,
    Twice,
    bodies,
)

SERVERS = (CYRUS, DOVECOT, DOVECOT_BARE, EXCHANGE, FASTMAIL, HMAIL, ICLOUD, PLAIN, YAHOO, ZOHO)
BOXES = ("INBOX", "Work", "Lists")


@pytest.mark.parametrize("seed", range(examples(20)))
async def test_pull_after_any_history(db: Database, seed: int) -> None:
    chance = random.Random(seed)
    personality = chance.choice(SERVERS)
    boxes = {name: chance.randrange(40) for name in BOXES}
    async with (
        FakeUpstream(personality, mailboxes=boxes) as server,
        connected(db, server, options(vanished="delete")) as here,
    ):
        for _ in range(chance.randrange(2, 6)):
            for _ in range(chance.randrange(12)):
                act(server, chance)
            if chance.random() < 0.7:
                server.arm(fault(chance))
            await here.sync()
            server.disarm()
        here.supervisor.confirm(here.row.id)
        for _ in range(4):
            here.supervisor.confirm(here.row.id)
            await here.sync()
        lost = await here.db.read(lambda rx: {octets_digest(rx, row[0]) for row in rx.all(OUT_OF_SIGHT)})
        for name in BOXES:
            expected, found = upstream_mail(server, name), await here.mail(name)
            assert expected - found == Counter(), f"{personality.name} {name}: lost, or stale"
            assert digests(found - expected).keys() <= lost, f"{personality.name} {name}: doubled, or stale"
            assert set(digests(found).values()) <= {1}, f"{personality.name} {name}: doubled"


def fault(chance: random.Random) -> Fault:
    nth, when = chance.randrange(1, 5), chance.choice(("before", "after", "told"))
    return chance.choice(
        [
            Cut("FETCH", octets=chance.randrange(3_000), where=bodies, nth=nth),
            Drop(chance.choice(("SEARCH", "OPEN", "FETCH", "LIST")), when=when, nth=nth),
            Bye("FETCH", nth=nth),
            Refuse(chance.choice(("SEARCH", "FETCH", "OPEN")), nth=nth),
            Twice("FETCH", nth=nth),
            Do(chance.choice(("FETCH", "SEARCH", "OPEN")), lambda server: act(server, chance), nth=nth, times=6),
            Do("FETCH", lambda server: server.renumber("INBOX"), nth=nth),
        ]
    )


def act(server: FakeUpstream, chance: random.Random) -> None:
    account = server.account
    name = chance.choice(BOXES)
    uids = sorted(account.mailbox(name).places)
    match chance.randrange(7):
        case 0 | 1:
            account.deliver(name)
        case 2 if uids:
            account.expunge(name, chance.sample(uids, min(len(uids), chance.randrange(1, 4))))
        case 3 | 4 if uids:
            account.set_flags(name, chance.choice(uids), chance.sample(["\\Seen", "\\Flagged", "work", "$x"], 2))
        case 5 if uids:
            account.move(name, chance.choice(uids), chance.choice(BOXES))
        case 6 if chance.random() < 0.15:
            account.renumber(name, first=chance.randrange(1, 50))


