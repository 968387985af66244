"""Allow and block lists at submission: to whom an inbox may write, and whose mail it takes from others here."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.model.errors import GatewayError
from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind
from gateway.store import lists
from gateway.store.lists import Direction, Place, Verdict
from gateway.submit.accept import Submissions
from gateway.submit.errors import Blocked
from gateway.submit.settings import SubmitSettings
from tests.faults.smtp_kit import envelope_of, principal, run
from tests.faults.smtp_store import House, house

ANN, BOB, AWAY = "ann@example.org", "bob@example.org", "x@elsewhere.net"


async def put(it: House, inbox: InboxId, way: Direction, verdict: Verdict, pattern: str) -> None:
    place = Place(ScopeKind.INBOX, PodId(0), inbox)
    await it.db.write(lambda tx: lists.put(tx, place, way, verdict, pattern, now=1))


async def send(
    it: House, *recipients: str, sender: str = ANN, extra: bytes = b"", by: Submissions | None = None
) -> str:
    """Nothing, or the text of the refusal; RCPT is asked first, as a session does."""
    submissions = by or it.submissions
    inbox = it.ann if sender == ANN else it.bob
    who = principal(inbox_id=inbox, inbox_address=sender)
    try:
        for recipient in recipients:
            await submissions.check_recipient(who, sender, recipient)
        arrival = submissions.begin(envelope_of(who, sender, recipients))
        await arrival.write(b"From: %s\r\n" % sender.encode() + extra + b"\r\nhello\r\n")
        await arrival.finish()
    except GatewayError as error:
        return str(error)
    return ""


async def count(it: House, inbox: InboxId, mailbox: str = "INBOX") -> int:
    return len(await it.mail(inbox, mailbox))


def test_to_whom_an_inbox_may_write(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(1)
            assert await send(it, AWAY) == ""
            await put(it, it.ann, Direction.SEND, Verdict.BLOCK, "elsewhere.net")
            who = principal(inbox_id=it.ann)
            with pytest.raises(Blocked):
                await it.submissions.check_recipient(who, ANN, AWAY)
            with pytest.raises(Blocked):
                await it.submissions.check_recipient(who, "", AWAY)
            await it.submissions.check_recipient(who, ANN, BOB)
            await put(it, it.ann, Direction.SEND, Verdict.ALLOW, AWAY)
            assert await send(it, AWAY) == ""
            assert "A list does not let" in await send(it, AWAY, BOB), "who allows one allows nobody else"
            assert len(await it.queue()) == 2

    run(main())


def test_a_list_that_changes_between_rcpt_and_the_end_holds(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.use_relay(1)
            arrival = it.submissions.begin(envelope_of(principal(inbox_id=it.ann), ANN, [AWAY]))
            await arrival.write(b"From: ann@example.org\r\n\r\nhello\r\n")
            await put(it, it.ann, Direction.SEND, Verdict.BLOCK, "elsewhere.net")
            with pytest.raises(Blocked):
                await arrival.finish()
            assert await it.queue() == []

    run(main())


def test_mail_from_another_inbox_here(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await put(it, it.bob, Direction.RECEIVE, Verdict.BLOCK, "example.org")
            assert await send(it, BOB) == ""
            assert [await count(it, it.bob, name) for name in ("INBOX", "Spam")] == [0, 1]
            assert await send(it, BOB, sender=BOB) == ""
            assert await count(it, it.bob) == 1, "what somebody writes to himself is welcome"
            strict = Submissions(it.db, it.ingest, it.clock, SubmitSettings(hostname="x.test", blocked="refuse"))
            assert "does not take mail" in await send(it, BOB, ANN, by=strict)
            await strict.drain()
            assert [await count(it, it.bob), await count(it, it.ann)] == [1, 0], "all of it or nothing"

    run(main())


def test_an_answer_to_what_the_inbox_has_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await put(it, it.bob, Direction.RECEIVE, Verdict.ALLOW, "corp.example")
            assert await send(it, ANN, sender=BOB, extra=b"Message-ID: <asked@example.org>\r\n") == ""
            assert await send(it, BOB, extra=b"In-Reply-To: <asked@example.org>\r\n") == ""
            assert await send(it, BOB, extra=b"In-Reply-To: <other@example.org>\r\n") == ""
            assert [await count(it, it.bob, name) for name in ("INBOX", "Spam")] == [1, 1]
            await put(it, it.bob, Direction.REPLY, Verdict.BLOCK, ANN)
            assert await send(it, BOB, extra=b"References: <asked@example.org>\r\n") == ""
            assert [await count(it, it.bob, name) for name in ("INBOX", "Spam")] == [1, 2]

    run(main())
