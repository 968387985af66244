"""The queue in words: why a recipient waits, and a submission's story."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.control.operations.queue_words import next_of, story, why
from gateway.model.ids import ContentId, InboxId, SubmissionId
from gateway.store.queue import QueueState
from gateway.store.queue_admin import Attempt, QueueEntry, Recipient, Submission
from gateway.store.queue_list import Listed

NOW = 1_800_000_000


class Live:
    def __init__(self, reason: str | None) -> None:
        self.reason = reason

    def next_hops(self) -> list[Any]:
        return []

    def why(self, inbox_id: int, sender: str, recipient: str) -> str | None:
        return self.reason


def listed(state: str, *, at: int | None = NOW, text: str | None = None, reason: str | None = None) -> Listed:
    return Listed(
        1, "uuid", InboxId(1), "ann@x.test", "eve@y.test", "y.test", QueueState(state), 1, at,
        451 if text else None, "4.7.1" if text else None, text.encode() if text else None, reason, NOW, NOW + 9,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("each", "live", "words"),
    [
        (listed("held", reason="approval"), None, "waits for somebody's consent"),
        (listed("held", reason="outcome", text="lost"), None, "its last attempt may have delivered it: 451 4.7.1 lost"),
        (listed("held", reason="route", text="Held by rule 2"), None, "451 4.7.1 Held by rule 2"),
        (listed("held", reason="route"), None, "held by a rule of the routes"),
        (listed("held"), None, "held"),
        (listed("held", reason="scheduled"), None, "a draft that is sent at its time"),
        (listed("sending"), Live("closed"), "is being sent"),
        (listed("queued", at=NOW + 60), Live("closed"), "waits for its time"),
        (listed("deferred", at=NOW + 60, text="greylisted"), Live("closed"), "451 4.7.1 greylisted"),
        (listed("deferred", text="greylisted"), Live("relay is not asked"), "relay is not asked"),
        (listed("deferred", text="greylisted"), Live(None), "451 4.7.1 greylisted"),
        (listed("queued"), None, "waits its turn"),
        (listed("bounced", text="no"), None, "451 4.7.1 no"),
        (listed("cancelled"), None, ""),
    ],
)
def test_why(each: Listed, live: Live | None, words: str) -> None:
    assert why(each, live, NOW) == words


def test_when_it_goes_by_itself() -> None:
    assert next_of(listed("deferred", at=NOW + 60)) == NOW + 60
    assert next_of(listed("held", at=None, reason="scheduled")) == NOW + 9
    assert next_of(listed("held", at=None, reason="approval")) is None
    assert next_of(listed("sent")) is None


def recipient(number: int, state: str, **changes: Any) -> Recipient:
    values: dict[str, Any] = {
        "id": number, "submission_id": SubmissionId(1), "address": f"r{number}@y.test", "domain": "y.test",
        "state": QueueState(state), "attempts": 0, "next_attempt": None, "lease_until": None,
        "code": None, "enhanced": None, "text": None, "hold_reason": None, "notify": None,
        "orcpt": None, "delay_told": None,
    }  # fmt: skip
    return Recipient(**{**values, **changes})


def test_a_story_is_told_in_the_order_of_time() -> None:
    submission = Submission(
        inbox_id=InboxId(1), key_id=None, mail_from="ann@x.test", content_id=ContentId(1), size=86, id=SubmissionId(1),
        uuid="uuid", created_at=NOW, finished_at=None,
    )
    entry = QueueEntry(
        submission,
        (
            recipient(1, "sent", code=250, enhanced="2.1.5", text=b"Delivered to the inbox"),
            recipient(2, "held", hold_reason="approval"),
            recipient(3, "sent"),
        ),
        (
            Attempt(2, NOW, "held", None, None, b"approval", None),
            Attempt(3, NOW + 5, "deferred", 451, "4.7.1", b"later \xff", "mx.y.test"),
            Attempt(3, NOW + 90, "interrupted", None, None, b"not known", None),
            Attempt(3, NOW + 90, "sent", 250, "2.0.0", b"ok", "mx.y.test"),
        ),
    )
    told: Any = story(entry)
    assert [(each["event"], each["recipient"]) for each in told] == [
        ("accepted", None), ("delivered", "r1@y.test"), ("held", "r2@y.test"), ("deferred", "r3@y.test"),
        ("interrupted", "r3@y.test"), ("sent", "r3@y.test"),
    ]  # fmt: skip
    assert told[0]["text"] == "86 octets"
    assert told[2]["text"] == "waits for somebody's consent"
    assert (told[3]["remote"], told[3]["text"]) == ("mx.y.test", "later \N{REPLACEMENT CHARACTER}")
    assert told[-1]["at"] == "2027-01-15T08:01:30Z"
