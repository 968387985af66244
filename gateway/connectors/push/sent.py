"""The account's Sent: one copy of what was sent from here, whoever files it.

Delivery leaves an operation when a message went out through the account and its server does not file it, or nobody
knows whether it does (a probe: look after 5 and 30 seconds, and remember). Sent is always searched for the Message-ID
before anything is put there. A copy in Sent here of which nothing is known yet waits, as long as the server may still
file its own; that one then stands for ours, or ours is put up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.connectors.work import Work
from gateway.model.errors import NotFound
from gateway.model.flags import SEEN
from gateway.model.ids import ContentId, InboxId, MailboxId
from gateway.model.mailbox import SENT as ROLE
from gateway.model.sequence import numbers_of
from gateway.outbound.sent_copy import PROBES, SentPolicy, files_sent
from gateway.store import content, messages, queue_account
from gateway.store.connectors import adopt, ops, places, state
from gateway.store.connectors.moves import Key
from gateway.store.connectors.ops import Op, OpState
from gateway.store.connectors.own_copies import OwnCopies
from gateway.store.connectors.rows import ConnectorId, RemoteFolder
from gateway.store.db import Rx, Tx, WakeKind
from gateway.store.messages import Columns
from gateway.upstream.wants import SearchWants

from .appending import Outgoing, append
from .ledger import SENT, Item, Ledger
from .remote import opened

GRACE_S: Final = 900
"""How long a server may take to show what it filed; also of a copy that our queue knows nothing of.

Nobody tells when a mail program sent a message elsewhere and keeps its copy here: no row says whether the account's
server took it, so there is nothing better than a time.
"""
_GIVEN_UP_S: Final = 7 * 86_400


@dataclass(frozen=True, slots=True)
class SentMail:
    """What went out, at `at` (Unix seconds); `message_id` without brackets. `probe`: nobody knows whether the server
    files it."""

    inbox_id: InboxId
    content_id: int
    message_id: bytes
    at: int
    probe: bool


def ask_copy(tx: Tx, connector_id: ConnectorId, submission: str, sent: SentMail, now: int) -> None:
    """A message went out through the account: its copy in the account's Sent is to be seen to. Twice is once."""
    payload = {
        "content": sent.content_id, "message_id": sent.message_id.decode("utf-8", "surrogateescape"),
        "at": sent.at, "probe": sent.probe,
    }  # fmt: skip
    not_before = int(sent.at + PROBES[0]) if sent.probe else 0
    ops.ask(tx, connector_id, f"{SENT}:{submission}", SENT, payload, not_before=not_before, now=now)
    tx.wake(sent.inbox_id, kind=WakeKind.CONNECTOR)


async def run(work: Work, ledger: Ledger) -> None:
    """Operations that delivery left, as far as they are due."""
    for op in [op for op in ledger.open if op.kind == SENT and op.state is OpState.PLANNED]:
        if op.not_before <= work.now and op.key not in ledger.used and await _done(work, ledger, op):
            ledger.used.add(op.key)
            await ledger.finish(op)


async def _done(work: Work, ledger: Ledger, op: Op) -> bool:
    """False: it is put off."""
    at, probe = op.payload["at"], op.payload["probe"]
    number = ContentId(op.payload["content"])
    if not await work.db.read(lambda rx: content.exists(rx, number)):
        return True  # it was deleted here meanwhile
    message_id = op.payload["message_id"].encode("utf-8", "surrogateescape")
    row = folder(work)
    if row is None or await opened(work, row, anew=True) is None:
        await _later(work, ledger, op, work.now + 600)
        return bool(work.now - at > _GIVEN_UP_S)
    if await _lies_there(work, message_id):
        if probe:
            await _remember(work, True)
        return True
    if probe and work.now < at + PROBES[-1]:
        await _later(work, ledger, op, int(at + PROBES[-1]) + 1)
        return False
    if probe:
        await _remember(work, False)
    one = await work.db.read(lambda rx: _copy(rx, op, row))
    return one is None or await append(work, ledger, row, one)


def _copy(rx: Rx, op: Op, row: RemoteFolder) -> Outgoing | None:
    """The copy in Sent here, which has Bcc; what went out, where there is none. None: it was deleted meanwhile."""
    number, message_id = ContentId(op.payload["content"]), op.payload["message_id"].encode("utf-8", "surrogateescape")
    item = Item(op.id)
    mine = OwnCopies(rx).take(row.mailbox_id, message_id) if row.mailbox_id is not None else None
    if mine is not None and row.mailbox_id is not None:
        item = Item(0, (row.mailbox_id, mine[0]), mine[1])
        number = ContentId(messages.fetch_rows(rx, row.mailbox_id, [mine[0]], Columns.CONTENT_ID)[0][1])
    try:  # not the size of the submission: fields were put on top and taken out
        size = content.content_row(rx, number).size
    except NotFound:
        return None
    return Outgoing(number, size, op.payload["at"], (SEEN, ()), message_id, item)


async def _later(work: Work, ledger: Ledger, op: Op, at: int) -> None:
    ledger.used.add(op.key)
    await work.unit(
        lambda tx: ops.put_off(
            tx, work.claim, op.id, "waiting", "Sent is looked at again", not_before=at, not_done=True, now=work.now
        )
    )


async def _remember(work: Work, files: bool) -> None:
    await work.unit(lambda tx: state.files_sent(tx, work.claim, files, now=work.now))


async def _lies_there(work: Work, message_id: bytes) -> list[int]:
    """UIDs in the selected folder."""
    text = f"<{message_id.decode('utf-8', 'surrogateescape')}>"
    try:
        return list(numbers_of(await work.search(SearchWants(header=(("Message-ID", text),)))))
    except UnicodeEncodeError:
        return []


def stays_here(work: Work) -> bool:
    """Nobody wants a copy of ours in the account."""
    smtp = work.options.smtp
    return smtp.enabled and SentPolicy(smtp.sent_copy) is SentPolicy.NEVER


async def settled(work: Work, ledger: Ledger, to: RemoteFolder, one: Outgoing, label: str | None = None) -> bool | None:
    """Of a message that is new in Sent here. True: it is known upstream now. False: it waits. None: put it up."""
    if one.message_id is None:
        return None
    if await opened(work, to, anew=True) is None:
        return False
    validity = to.uidvalidity or 0
    uids = await _lies_there(work, one.message_id)

    def query(rx: Rx) -> list[int]:
        known = places.places_of(rx, to.id, validity, uids)
        return [uid for uid in uids if uid not in known]

    free = await work.db.read(query) if uids else []
    if free:
        uid, place = free[0], one.item.place
        assert place is not None
        flags = (one.flags[0], one.flags[1])

        def unit(tx: Tx) -> None:
            adopt.placed(
                tx, work.claim, Key(to.id, validity, uid), (MailboxId(place[0]), place[1], one.item.email), flags,
                label=label, now=work.now,
            )  # fmt: skip

        await work.unit(unit)
        return True
    smtp = work.options.smtp
    if uids or not smtp.enabled:
        return None
    text = one.message_id.decode("utf-8", "surrogateescape")
    if any(op.kind == SENT and op.payload["message_id"] == text and op.key not in ledger.used for op in ledger.open):
        return False
    files = files_sent(smtp.host, "")
    files = work.row.files_sent if files is None else files
    if SentPolicy(smtp.sent_copy) is not SentPolicy.AUTO or files is False:
        return None
    message_id = one.message_id
    known = await work.db.read(lambda rx: queue_account.submitted(rx, work.claim.inbox_id, message_id))
    if known is not None and known.waits:  # however long: the server may file what it is given in days
        return False
    if known is not None and known.sent_at is None:  # no server was given it
        return None
    since = one.internal_date if known is None or known.sent_at is None else max(one.internal_date, known.sent_at)
    return False if work.now - since < GRACE_S else None


def folder(work: Work) -> RemoteFolder | None:
    live = (row for row in work.folders.values() if not row.gone and row.uidvalidity is not None)
    return next((row for row in live if row.role == ROLE), None)
