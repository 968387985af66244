"""Who is told what after an attempt: each rule of RFC 3461 5.2, and that no notice brings about another."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.delivery.notify import Ended, is_report, owed, wishes
from gateway.delivery.policy import Decision
from gateway.model.ids import ContentId, InboxId, SubmissionId
from gateway.model.recipient import Notify
from gateway.store.queue import QueueItem, QueueState

HEADER = b"From: ann@example.org\r\n\r\n"
SENT = Decision(QueueState.SENT, 250, "2.0.0", "ok")
TAKEN_OVER = Decision(QueueState.SENT, 250, "2.0.0", "ok", notifies=True)
BOUNCED = Decision(QueueState.BOUNCED, 550, "5.1.1", "no")
DEFERRED = Decision(QueueState.DEFERRED, 450, "4.2.1", "later", 99)
HELD = Decision(QueueState.HELD, None, None, "held", hold_reason="route")
ALL = Notify.SUCCESS | Notify.FAILURE | Notify.DELAY


def item(row: int, notify: Notify | None = None, **changes: Any) -> QueueItem:
    values: dict[str, Any] = {
        "recipient_id": row, "submission_id": SubmissionId(1), "submission_uuid": "u", "inbox_id": InboxId(1),
        "key_id": None, "mail_from": "ann@example.org", "content_id": ContentId(1), "envelope_id": None,
        "smtputf8": False, "body8bit": False, "bodybinary": False, "ret": None, "release_at": None,
        "address": f"a{row}@x.test", "domain": "x.test", "notify": None if notify is None else int(notify),
        "orcpt": None, "delay_told": None, "attempts": 0, "created_at": 1, "interrupted": False, **changes,
    }  # fmt: skip
    return QueueItem(**values)


def told(*pairs: tuple[QueueItem, Decision], remote: str | None = "mx.test", header: bytes = HEADER) -> dict[str, Any]:
    """Action -> rows."""
    ended = Ended([each for each, _ in pairs], [decision for _, decision in pairs], remote, header)
    return {action: sorted(letter.rows) for action, letter in owed(ended).items()}


@pytest.mark.parametrize(
    ("decision", "notify", "action"),
    [
        (BOUNCED, None, "failed"), (BOUNCED, Notify.FAILURE, "failed"), (BOUNCED, ALL, "failed"),
        (BOUNCED, Notify.NEVER, None), (BOUNCED, Notify.SUCCESS, None), (BOUNCED, Notify.DELAY, None),
        (SENT, None, None), (SENT, Notify.FAILURE, None), (SENT, Notify.NEVER, None), (SENT, Notify.SUCCESS, "relayed"),
        (TAKEN_OVER, Notify.SUCCESS, None), (TAKEN_OVER, ALL, None),
        (DEFERRED, ALL, None), (HELD, ALL, None),
    ],
)  # fmt: skip
def test_each_wish(decision: Decision, notify: Notify | None, action: str | None) -> None:
    assert told((item(1, notify), decision)) == ({} if action is None else {action: [1]})


def test_what_was_thrown_away_was_handed_to_nobody() -> None:
    assert told((item(1, ALL), SENT), remote=None) == {}


def test_one_notice_for_all_to_whom_the_same_happened() -> None:
    pairs = [(item(1), BOUNCED), (item(2, Notify.SUCCESS), SENT), (item(3), BOUNCED), (item(4, Notify.NEVER), BOUNCED)]
    assert told(*pairs) == {"failed": [1, 3], "relayed": [2]}


def test_a_refusal_of_ours_is_told_of() -> None:
    [letter] = owed(Ended([item(1, orcpt="rfc822;A1@x")], [BOUNCED], None, HEADER)).values()
    [status] = letter.statuses
    assert (status.address, status.code, status.remote, status.orcpt) == ("a1@x.test", 550, None, "rfc822;A1@x")


def test_nobody_is_told_of_a_null_sender() -> None:
    assert told((item(1, ALL, mail_from=""), BOUNCED)) == {}


@pytest.mark.parametrize(
    ("header", "report"),
    [
        (b"Content-Type: multipart/report\r\nAuto-Submitted: auto-replied\r\n\r\n", True),
        (b"Auto-Submitted: auto-generated (x)\r\nContent-Type:\r\n Multipart/Report; a=b\r\n\r\n", True),
        (b"Content-Type: multipart/report\r\nAuto-Submitted: no\r\n\r\n", False),
        (b"Content-Type: multipart/report\r\nAuto-Submitted: No; x=y\r\n\r\n", False),
        (b"Content-Type: multipart/report\r\n\r\n", False),
        (b"Content-Type: text/plain\r\nAuto-Submitted: auto-generated\r\n\r\n", False),
        (b"", False),
    ],
)
def test_no_notice_about_a_report(header: bytes, report: bool) -> None:
    assert is_report(header) is report
    assert told((item(1), BOUNCED), header=header) == ({} if report else {"failed": [1]})


def test_who_said_nothing_wants_to_know_of_failure_and_delay() -> None:
    assert [wishes(None, wish) for wish in (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY)] == [False, True, True]
    assert [wishes(int(Notify.DELAY), wish) for wish in (Notify.SUCCESS, Notify.FAILURE, Notify.DELAY)] == [
        False, False, True,
    ]  # fmt: skip
    assert not any(wishes(0, wish) for wish in Notify if wish)
