"""MOVE to Outbox while something else decides about the draft: what is not sent does not look as if it were."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.model.ids import InboxId, MailboxId, SubmissionId
from gateway.store import drafts, holds, queue_admin
from gateway.store.db import Rx, Tx
from gateway.store.queue import recipients_of
from tests.transcripts.harness import NOW, Harness
from tests.transcripts.play import play

MESSAGE = b"From: a@example.org\r\nMessage-ID: <1@x>\r\nSubject: x\r\n\r\nbody\r\n"
Meanwhile = Callable[[Tx, SubmissionId], object]


def cancel(tx: Tx, submission: SubmissionId) -> object:
    return queue_admin.cancel(tx, recipients_of(tx, submission), NOW)


def release(tx: Tx, submission: SubmissionId) -> object:
    return drafts.release(tx, submission, NOW)


@pytest.mark.parametrize(
    ("meanwhile", "state", "left"),
    [(cancel, "cancelled", {"Outbox": b"1", "Sent": b"0"}), (release, "queued", {"Outbox": b"0", "Sent": b"1"})],
)
def test_what_was_decided_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meanwhile: Meanwhile, state: str, left: dict[str, bytes]
) -> None:
    """Somebody was faster, between the look at what waits and the unit that lets it go."""
    found: list[SubmissionId] = []
    look, let_go = holds.waiting_in, drafts.release

    def looked(rx: Rx, inbox: InboxId, mailbox: MailboxId) -> dict[int, SubmissionId]:
        waiting = look(rx, inbox, mailbox)
        found.extend(waiting.values())
        return waiting

    def too_late(tx: Tx, submission: SubmissionId, now: int, by: str = "") -> int:
        monkeypatch.setattr(drafts, "release", let_go)
        assert found == [submission]
        meanwhile(tx, submission)
        return let_go(tx, submission, now, by)

    async def body(harness: Harness) -> None:
        await harness.submit("draft", MESSAGE, ["x@elsewhere.net"])
        client = await harness.logged_in()
        await client.run(b"SELECT Drafts")
        monkeypatch.setattr(holds, "waiting_in", looked)
        monkeypatch.setattr(drafts, "release", too_late)
        assert (await client.run(b"MOVE 1 Outbox"))[-1].startswith(b"x OK")
        assert await harness.waiting() == [f"x@elsewhere.net {state}"]
        await client.run(b"UNSELECT")
        for name, count in {"Drafts": b"0", **left}.items():
            [status, _] = await client.run(b"STATUS %s (MESSAGES)" % name.encode())
            assert status.endswith(b"(MESSAGES %s)" % count), status

    play(tmp_path, body)
