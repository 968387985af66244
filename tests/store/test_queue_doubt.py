"""What the history says of recipients whose mail may have been handed on, and which way an account's mail goes."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.control.operations import Context, run
from gateway.delivery.accounts import Account, AccountTable
from gateway.delivery.notify import Ended
from gateway.delivery.policy import Decision
from gateway.delivery.ports import NoAccounts, SendReport
from gateway.delivery.recorder import Recorder
from gateway.delivery.routes import Route, RouteKind, Routes, Rule
from gateway.delivery.telling import Attempted
from gateway.ingest.writer import Ingest
from gateway.outbound.endpoint import Endpoint
from gateway.outbound.failure import Failure
from gateway.outbound.sent_copy import AccountCopy
from gateway.outbound.verdict import Outcome, Stage, Verdict
from gateway.store import addresses, queue_admin, queue_doubt
from gateway.store.db import Database, Tx
from gateway.store.queue import QueueItem, QueueState

from .helpers import NOW, make_inbox
from .queue_kit import claim, end, send, show
from .test_queue_operations import NoStream

LOST = Outcome(Verdict.UNKNOWN, Stage.FINAL_DOT, None, "4.4.2", "Connection lost at final-dot", failure=Failure.LOST)
TAKEN = Outcome(Verdict.SENT, Stage.FINAL_DOT, 250, "2.0.0", "ok")


class NoNotices:
    async def after(self, ended: Ended, now: int) -> None:
        return None


class Told(NoAccounts):
    def __init__(self) -> None:
        self.reports: list[SendReport] = []

    def report(self, tx: Tx, report: SendReport) -> None:
        self.reports.append(report)


async def attempt(
    db: Database, account: Account, items: list[QueueItem], outcomes: list[Outcome], *, fallback: bool = False
) -> list[SendReport]:
    """Written down as the runner does; what the keeper of the account was told."""
    told = Told()
    recorder = Recorder(db, NoNotices(), owner="me", clock=lambda: float(NOW), accounts=told)  # type: ignore[arg-type]
    decisions = [
        Decision(QueueState.SENT, 250, "2.0.0", each.text) if each.verdict is Verdict.SENT
        else Decision(QueueState.DEFERRED, each.code, each.enhanced, each.text, NOW + 60)
        for each in outcomes
    ]  # fmt: skip
    attempted = Attempted(account, outcomes, "smtp.gmail.com ESMTP", fallback)
    await recorder.write(Ended(items, decisions, "smtp.gmail.com", b"", attempted))
    return told.reports


async def test_which_are_doubtful_and_who_let_them_go(db: Database) -> None:
    inbox = await make_inbox(db)
    account = Account(1, "work", inbox.id, ("ann@account.test",))
    submission = await send(db, inbox, "a@x.test", "b@x.test", "c@x.test", size=99)
    items = await claim(db)
    rows = [item.recipient_id for item in items]
    [report] = await attempt(db, account, items, [LOST, LOST, TAKEN])
    assert (report.sent, report.failure, report.copy) == (True, Failure.LOST, AccountCopy.FILED)
    assert (report.submission_id, report.message_id, report.size) == (submission, None, 99)
    assert await db.read(lambda rx: queue_doubt.doubtful(rx, rows)) == {rows[0]: False, rows[1]: False}
    assert [str(event.state) for event in (await show(db, submission)).attempts].count("unknown") == 2
    await db.write(lambda tx: queue_admin.retry(tx, [rows[1]], NOW + 1, "somebody"))
    assert await db.read(lambda rx: queue_doubt.doubtful(rx, rows)) == {rows[0]: False, rows[1]: True}
    # The third one was sent under the same Message-ID, so that a copy of it may be the third one's.
    assert not await db.read(lambda rx: queue_doubt.alone(rx, submission, rows[:2]))


async def test_a_lapsed_lease_is_a_doubt_too_and_a_refusal_is_none(db: Database) -> None:
    inbox = await make_inbox(db)
    submission = await send(db, inbox, "a@x.test", "b@x.test", "c@x.test", message_id=b"m@x", size=99)
    first, second, _ = await claim(db, owner="dead")
    await end(db, second, "bounced", owner="dead")
    again = await claim(db, now=NOW + 60)
    rows = [item.recipient_id for item in again]
    assert first.recipient_id in rows
    assert second.recipient_id not in rows
    assert await db.read(lambda rx: queue_doubt.doubtful(rx, rows)) == dict.fromkeys(rows, False)
    assert await db.read(lambda rx: queue_doubt.alone(rx, submission, rows))
    assert not await db.read(lambda rx: queue_doubt.alone(rx, submission, rows[:1])), "the other is in doubt too"
    assert await db.read(lambda rx: queue_doubt.message(rx, submission)) == (b"m@x", 99)


async def test_what_the_relay_did_in_its_place_is_no_doubt_about_the_account(db: Database) -> None:
    inbox = await make_inbox(db)
    account = Account(1, "work", inbox.id, ("ann@account.test",), use_fallback=True)
    await send(db, inbox, "a@x.test")
    items = await claim(db)
    [report] = await attempt(db, account, items, [LOST], fallback=True)
    assert (report.sent, report.fallback, report.copy) == (False, True, AccountCopy.NONE)
    assert await db.read(lambda rx: queue_doubt.doubtful(rx, [items[0].recipient_id])) == {}


async def test_nobody_is_told_of_rows_that_are_somebody_elses_by_now(db: Database) -> None:
    inbox = await make_inbox(db)
    account = Account(1, "work", inbox.id, ("ann@account.test",))
    await send(db, inbox, "a@x.test")
    items = await claim(db, owner="other")
    assert await attempt(db, account, items, [LOST]) == []
    assert await db.read(lambda rx: queue_doubt.doubtful(rx, [items[0].recipient_id])) == {}


@pytest.mark.parametrize(
    ("sender", "recipient", "expected"),
    [
        ("ann@account.test", "eve@x.test", {"way": "connector", "connector": "work", "why": "address of account work"}),
        ("ANN+list@account.test", "eve@x.test", {"way": "connector", "connector": "work"}),
        ("anna@example.test", "eve@x.test", {"way": "relay", "relay": "relay", "why": "the relay of section relay"}),
        ("stranger@account.test", "eve@x.test", {"way": "relay"}),
        ("ann@account.test", "eve@inside.test", {"way": "relay", "relay": "inside", "why": "not believe it (DMARC)"}),
        ("anna@example.test", "eve@inside.test", {"way": "relay", "relay": "inside", "why": "to inside.test"}),
        ("anna@example.test", "eve@mine.test", {"way": "connector", "connector": "work", "rule": 2}),
        ("ben@example.test", "eve@mine.test", {"way": "connector", "reply": "550 5.7.1"}),
        ("ben@paused.test", "eve@x.test", {"way": "relay", "connector": "spare", "why": "Log in anew"}),
        ("<>", "eve@x.test", {"way": "relay"}),
    ],
)  # fmt: skip
async def test_queue_route_tells_the_account(
    db: Database, sender: str, recipient: str, expected: dict[str, Any]
) -> None:
    ann, ben = await make_inbox(db), await make_inbox(db, "ben@example.test")
    await db.write(lambda tx: addresses.add_address(tx, ann.id, "ann@account.test", "external", now=NOW))
    await db.write(lambda tx: addresses.add_address(tx, ben.id, "ben@paused.test", "external", now=NOW))
    inside = Route.relay("inside", Endpoint("inside.test", 25))
    table = Routes(
        Route.relay("relay", Endpoint("relay.test", 25)),
        [Rule(1, "*", "inside.test", inside), Rule(2, "*", "mine.test", Route("connector", RouteKind.CONNECTOR))],
    )
    accounts = AccountTable([Account(1, "work", ann.id, ("ann@account.test",))])
    if "paused" in sender:
        accounts = AccountTable(
            [Account(2, "spare", ben.id, ("ben@paused.test",), use_fallback=True, paused="Log in anew")]
        )
    context = Context(
        db, Ingest(db, now=lambda: float(NOW)), lambda: float(NOW), 1000,
        routes=lambda: table, accounts=lambda: accounts,
    )  # fmt: skip
    shown = await run(context, NoStream(), "queue.route", {"sender": sender, "recipient": recipient})
    assert expected.get("why", "") in shown["why"]
    others = {key: value for key, value in expected.items() if key != "why"}
    assert {key: shown.get(key) for key in others} == others
