"""Random histories of labels against sets: what bears a label is in its mailbox, once, with one EMAILID."""

from __future__ import annotations

import asyncio
import itertools
import os
from typing import Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.model.ids import MailboxId
from gateway.store import mailboxes, messages
from gateway.store.connectors import accounts, lease, moves
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.moves import LabelChange
from gateway.store.connectors.rows import RemoteFolder
from gateway.store.connectors.window import Target
from gateway.store.db import Database
from tests.store.helpers import NOW, assert_consistent, make_inbox

from .kit import LIFE, NODE, VALIDITY, Account, arrival

NAMES: Final = ("INBOX", "Work", "Home", "Archive")
HISTORIES: Final = 300 if os.environ.get("GATEWAY_SOAK") else 15
UIDS: Final = (1, 2, 3)
_inboxes = itertools.count()
Labels = frozenset[int]
"""Numbers of NAMES."""

SOME = st.frozensets(st.integers(0, len(NAMES) - 1), min_size=1)
STEPS = st.one_of(
    st.tuples(st.just("label"), st.dictionaries(st.sampled_from(UIDS), SOME, min_size=1)),
    st.tuples(st.just("expunge"), st.tuples(st.sampled_from(UIDS), st.integers(0, len(NAMES) - 1))),
)


def test_histories(db: Database, runner: asyncio.Runner) -> None:
    runner.run(_joined(db))

    @settings(max_examples=HISTORIES, suppress_health_check=list(HealthCheck))
    @given(st.dictionaries(st.sampled_from(UIDS), SOME, min_size=1), st.lists(STEPS, max_size=12))
    def histories(first: dict[int, Labels], steps: list[tuple[str, object]]) -> None:
        runner.run(_history(db, first, steps))

    histories()


async def _joined(db: Database) -> None:
    await db.write(lambda tx: lease.join(tx, NODE, LIFE, NOW, 1_000_000))


async def _history(db: Database, first: dict[int, Labels], steps: list[tuple[str, object]]) -> None:
    number = next(_inboxes)
    inbox = await make_inbox(db, f"n{number}@example.test")
    new = NewConnector(inbox.pod_id, f"c{number}", f"n{number}@elsewhere.test", inbox_id=inbox.id)
    row = await db.write(lambda tx: accounts.create(tx, new, now=NOW))
    claim = await db.write(lambda tx: lease.claim_one(tx, row.id, NODE, LIFE, NOW))
    assert claim is not None
    account = Account(db, inbox, row, claim)
    for name in NAMES[1:]:
        await account.write(lambda tx, name=name: mailboxes.create(tx, inbox.id, name, now=NOW))
    boxes = [await account.box(name) for name in NAMES]
    folder = await account.folder("All", local=None)
    arrivals = [
        arrival(uid, *[boxes[label] for label in sorted(labels)], text=f"n{number}-{uid}", labels=_names(labels))
        for uid, labels in first.items()
    ]
    made = await account.bring(folder, arrivals)
    emails = {place.uid: place.email_id for place in made.places}
    labels, living = dict(first), dict(first)
    for what, value in steps:
        if what == "label":
            assert isinstance(value, dict)
            wanted = {uid: each for uid, each in value.items() if uid in first}
            await _label(account, folder, boxes, wanted, labels, living)
        else:
            assert isinstance(value, tuple)
            uid, box = value
            if uid in living and box in living[uid]:
                await _expunge(account, folder, boxes[box], uid)
                living[uid] -= {box}
        await _compare(account, folder, boxes, emails, labels, living)
    await assert_consistent(db)


async def _label(
    account: Account, folder: RemoteFolder, boxes: list[MailboxId], wanted: dict[int, Labels],
    labels: dict[int, Labels], living: dict[int, Labels],
) -> None:  # fmt: skip
    changes = [
        LabelChange(uid, _names(each), [Target(boxes[label], NAMES[label]) for label in sorted(each)])
        for uid, each in wanted.items()
    ]
    lost = {uid for uid, each in wanted.items() if each - labels[uid] and not living[uid]}
    for _ in range(2):  # as after a crash that hid the commit
        seen = await account.modseq()
        done = await account.write(
            lambda tx, seen=seen: moves.relabel(tx, account.claim, folder.id, VALIDITY, changes, upto=seen, now=NOW)
        )
        assert (done.left, set(done.lost)) == ((), lost)
    for uid, each in wanted.items():
        if uid not in lost:
            living[uid] = (living[uid] & each) | (each - labels[uid])
            labels[uid] = each


async def _expunge(account: Account, folder: RemoteFolder, box: MailboxId, uid: int) -> None:
    place = next(each for each in (await account.stands(folder, [uid]))[uid] if each.mailbox_id == box)
    await account.write(
        lambda tx: messages.expunge(tx, account.inbox.id, box, [place.local_uid], only_deleted=False, now=NOW)
    )


async def _compare(
    account: Account, folder: RemoteFolder, boxes: list[MailboxId], emails: dict[int, str],
    labels: dict[int, Labels], living: dict[int, Labels],
) -> None:  # fmt: skip
    for number, name in enumerate(NAMES):
        here = sorted(emails[uid] for uid, each in living.items() if number in each)
        assert sorted((await account.email_ids(name)).values()) == here
    stands = await account.stands(folder, labels)
    assert {uid: {place.mailbox_id for place in each} for uid, each in stands.items()} == {
        uid: {boxes[label] for label in each} for uid, each in labels.items()
    }
    assert {uid: row.labels for uid, row in (await account.remote(folder)).items()} == {
        uid: _names(each) for uid, each in labels.items()
    }


def _names(labels: Labels) -> tuple[str, ...]:
    return tuple(sorted(NAMES[label] for label in labels))
