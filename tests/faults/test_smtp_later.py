"""Mail that waits, for its time or for consent, on its whole way: here and elsewhere, exactly once, as it was seen."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from gateway.delivery.scheduler import Scheduler
from gateway.model.errors import OverQuota
from gateway.model.flags import DRAFT, SEEN
from gateway.model.ids import KeyId
from gateway.model.permissions import ScopeKind, expand
from gateway.model.rates import Rates
from gateway.model.recipient import Notify, Recipient
from gateway.store import content, inboxes, keys, mailboxes, messages, queue_admin, quota, reports, submissions
from gateway.store.db import Tx
from gateway.store.holds import SCHEDULED, draft_id
from gateway.store.inboxes import InboxSettings
from gateway.store.quota import Limits
from gateway.store.submissions import HERE_LATER, SubmissionNew
from gateway.submit.envelope import Accepted, SubmissionEnvelope
from gateway.submit.errors import RateExceeded
from tests.faults.smtp_kit import USER, principal, run
from tests.faults.smtp_relay import relay
from tests.faults.smtp_store import House, house
from tests.support.queue import claim_due

BOB, EVE = "bob@example.org", "eve@elsewhere.net"
MESSAGE = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\nBcc: z@elsewhere.net\r\nMessage-ID: <1@x>\r\n"
    b"Subject: hi\r\n\r\nhello\r\n"
)
PROPOSES = expand(["read", "draft"])


async def some_turns() -> None:
    """Of the runner, which polls every 20 ms: nothing signals that it finds nothing to send."""
    await asyncio.sleep(0.1)


async def submit(
    it: House, *recipients: str | Recipient, message: bytes = MESSAGE, wait: int | None = None, hold: str | None = None,
    **key: object,
) -> Accepted:  # fmt: skip
    to = tuple(each if isinstance(each, Recipient) else Recipient(each) for each in recipients)
    release = None if wait is None else int(it.now) + wait
    who = principal(inbox_id=it.ann, **key)
    arrival = it.submissions.begin(SubmissionEnvelope(who, USER, to, release_at=release, hold=hold))
    try:
        await arrival.write(message)
        return await arrival.finish()
    finally:
        arrival.abort()


async def release(it: House) -> int:
    rows = await it.rows()
    return await it.db.write(lambda tx: queue_admin.release(tx, rows, int(it.now)))


async def cancel(it: House) -> int:
    rows = await it.rows()
    return await it.db.write(lambda tx: queue_admin.cancel(tx, rows, int(it.now)))


async def quiet(it: House) -> bool:
    return not {"queued", "sending"} & set(await it.states())


def test_everybody_waits_for_the_release_time(tmp_path: Path) -> None:
    """RFC 4865 4.2, 5: not before; those here too. The Sent copy is there at once, as of any submission."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            accepted = await submit(it, BOB, EVE, wait=600)
            assert (accepted.local, accepted.queued) == ((), 2)
            assert len(await it.mail(it.ann, "Sent")) == 1
            [entry] = await it.queue()
            assert entry.submission.release_at == int(it.now) + 600
            assert {person.next_attempt for person in entry.recipients} == {int(it.now) + 600}
            async with it.runner():
                it.now += 599
                await some_turns()
                assert await it.states() == ["queued", "queued"]
                assert peer.taken == []
                it.now += 1
                await it.until(lambda: quiet(it))
            assert await it.states() == ["sent", "sent"]
            [got] = await it.mail(it.bob)
            assert got.octets.startswith(b"Return-Path: <ann@example.org>\r\nReceived: by mail.example.org")
            assert got.octets.endswith(b"\r\n\r\nhello\r\n")
            assert b"Bcc" not in got.octets
            [taken] = peer.taken
            assert taken.octets == got.octets.partition(b"\r\n")[2]

    run(main())


def test_put_off_mail_can_be_cancelled_until_it_is_sent(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            await submit(it, BOB, EVE, wait=600)
            assert await cancel(it) == 2
            it.now += 1_000
            async with it.runner():
                await some_turns()
            assert peer.taken == []
            assert await it.mail(it.bob) == []

    run(main())


def test_aliases_get_one_copy_and_a_full_inbox_gets_it_later(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, BOB, "bob+x@example.org", "ann@example.org", wait=60)
            await it.db.write(lambda tx: quota.set_limits(tx, it.bob, Limits(octets=10)), inboxes=(it.bob,))
            it.now += 60
            async with it.runner():
                await it.until(lambda: quiet(it))
                assert sorted(await it.states()) == ["deferred", "deferred", "sent"]
                [entry] = await it.queue()
                full = [(one.code, one.enhanced) for one in entry.recipients if one.state == "deferred"]
                assert full == [(452, "4.2.2")] * 2
                assert await it.mail(it.bob) == []
                await it.db.write(lambda tx: quota.set_limits(tx, it.bob, Limits()), inboxes=(it.bob,))
                it.now += 100_000

                async def all_sent() -> bool:
                    return set(await it.states()) == {"sent"}

                await it.until(all_sent)
            assert len(await it.mail(it.bob)) == 1
            assert len(await it.mail(it.ann)) == 1

    run(main())


def test_an_inbox_that_is_gone_by_then_is_a_bounce(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, BOB, wait=60, hold="for;60")
            await it.db.write(lambda tx: inboxes.delete_inbox(tx, it.bob, int(it.now)), inboxes=(it.bob,))
            it.now += 60
            async with it.runner():
                await it.until(lambda: quiet(it))
            assert await it.states() == ["bounced"]
            [bounce] = await it.mail(it.ann)
            assert b"bob@example.org" in bounce.octets
            assert b"\r\nFuture-Release-Request: for;60\r\n" in bounce.octets

    run(main())


def test_a_relay_that_hangs_delays_nobody_here(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.stall_at = "mail"
            await submit(it, BOB, EVE, wait=60)
            it.now += 60
            async with it.runner(stop_s=0.1):

                async def here() -> bool:
                    return len(await it.mail(it.bob)) == 1

                await peer.stalled.wait()
                await it.until(here)
                peer.released.set()

    run(main())


def test_a_delivery_here_that_was_cut_is_made_without_a_doubt(tmp_path: Path) -> None:
    """It is one unit with its outcome: whatever the policy for unknown outcomes, it was not made and is made now."""

    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, BOB, wait=60)
            it.now += 60
            now = int(it.now)
            [item] = await it.db.write(lambda tx: claim_due(tx, now, 10, 900, "who died"))
            assert item.domain == HERE_LATER
            async with it.runner(unknown_outcome="hold"):
                await it.until(lambda: quiet(it))
            assert await it.states() == ["sent"]
            assert len(await it.mail(it.bob)) == 1

    run(main())


def test_success_is_told_of_what_was_delivered_later(tmp_path: Path) -> None:
    """RFC 3461 5.2.2: whoever asked for it; the report is somebody else's work (`delivery.desk`)."""

    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, Recipient(BOB, Notify.SUCCESS), wait=60)
            it.now += 60
            async with it.runner():
                await it.until(lambda: quiet(it))
            [owed] = await it.db.read(lambda rx: reports.owed(rx, 10))
            told = await it.db.read(lambda rx: reports.delivered_here(rx, owed))
            assert [each.address for each in told] == [BOB]

    run(main())


def test_what_goes_out_is_what_the_approver_saw(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            accepted = await submit(it, BOB, EVE, permissions=PROPOSES)
            [entry] = await it.queue()
            assert accepted.held_as == entry.submission.uuid
            assert {(person.state, person.hold_reason) for person in entry.recipients} == {("held", "approval")}
            [draft] = await it.mail(it.ann, "Drafts")
            assert draft.flags & DRAFT
            assert await it.mail(it.ann, "Sent") == []
            again = await submit(it, BOB, EVE, permissions=PROPOSES)
            assert (again.submission, again.held_as) == (None, accepted.held_as), "a retry is told the same"
            async with it.runner():
                it.now += 400_000  # longer than mail is tried
                await some_turns()
                assert await it.states() == ["held", "held"]
                assert await release(it) == 2
                await it.until(lambda: quiet(it))
            assert await it.states() == ["sent", "sent"]
            [got] = await it.mail(it.bob)
            [sent] = await it.mail(it.ann, "Sent")
            assert await it.mail(it.ann, "Drafts") == []
            assert (sent.octets, sent.flags) == (draft.octets, SEEN)
            assert b"\r\nBcc: eve@elsewhere.net\r\n\r\nhello" in draft.octets, "who gets it, not who is said to"
            assert b"z@elsewhere.net" not in draft.octets
            public = draft.octets.replace(b"Bcc: eve@elsewhere.net\r\n", b"")
            assert [mail.octets for mail in peer.taken] == [public]
            assert got.octets == b"Return-Path: <ann@example.org>\r\n" + public
            assert await release(it) == 0

    run(main())


def test_consent_does_not_hurry_what_was_put_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, BOB, wait=600, permissions=PROPOSES)
            await release(it)
            [entry] = await it.queue()
            assert [(one.state, one.next_attempt) for one in entry.recipients] == [("queued", int(it.now) + 600)]
            assert await it.mail(it.ann, "Drafts") == []

    run(main())


@pytest.mark.parametrize("rule", ["auto", "always", "never"])
def test_the_sent_copy_of_what_was_approved(tmp_path: Path, rule: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            settings = InboxSettings(rule)  # type: ignore[arg-type]
            await it.db.write(lambda tx: inboxes.change_settings(tx, it.ann, settings=settings, name=None))
            await submit(it, BOB, permissions=PROPOSES)
            await release(it)
            assert await it.mail(it.ann, "Drafts") == []
            assert len(await it.mail(it.ann, "Sent")) == (rule != "never")

    run(main())


def test_a_full_inbox_proposes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await it.db.write(lambda tx: quota.set_limits(tx, it.ann, Limits(octets=10)), inboxes=(it.ann,))
            with pytest.raises(OverQuota):
                await submit(it, BOB, permissions=PROPOSES)
            assert await it.queue() == []

    run(main())


async def schedule(it: House, *, key: KeyId) -> None:
    """A draft to be sent in ten minutes, as APPEND keeps it (tests/transcripts/scheduled.txt)."""
    writer = it.ingest.writer(max_size=10_000)
    await writer.write(MESSAGE.replace(b"1@x", draft_id().encode() + b"@x"))
    staged = await writer.finish()
    name = draft_id()
    new = SubmissionNew(
        inbox_id=it.ann, key_id=key, mail_from=USER, content_id=staged.content_id, release_at=int(it.now) + 600,
        draft=name, later=(Recipient(BOB),), hold_reason="scheduled",
    )  # fmt: skip

    def unit(tx: Tx) -> None:
        box = mailboxes.by_name(tx, it.ann, "Drafts")
        assert box is not None
        now = int(it.now)
        content.complete(tx, staged, now)
        messages.append(
            tx, box.id, it.ann, staged, internal_date=now, now=now, keywords=(SCHEDULED,), email_id=name
        )
        submissions.enqueue(tx, new, now)

    await it.db.write(unit, inboxes=(it.ann,))


async def key_of(it: House) -> KeyId:
    made = await it.db.write(
        lambda tx: keys.insert_key(
            tx, key_id="k", hash="", name="laptop", scope=ScopeKind.INBOX, permissions=expand(["send"]),
            now=int(it.now), inbox_id=it.ann,
        )
    )
    return made.id


def test_a_scheduled_draft_goes_at_its_time(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await schedule(it, key=await key_of(it))
            task = asyncio.create_task(Scheduler(it.db, it.clock, poll_s=0.02, gather_s=0.0).run())
            async with it.runner():
                it.now += 599
                await some_turns()
                assert len(await it.mail(it.ann, "Drafts")) == 1
                it.now += 1

                async def arrived() -> bool:
                    return len(await it.mail(it.bob)) == 1

                await it.until(arrived)
            task.cancel()
            assert await it.mail(it.ann, "Drafts") == []
            assert len(await it.mail(it.ann, "Sent")) == 1

    run(main())


def test_two_schedulers_send_it_once(tmp_path: Path, postgresql_url: str) -> None:
    async def main() -> None:
        async with house(tmp_path, postgresql_url) as it:
            key = await key_of(it)
            for _ in range(5):
                await schedule(it, key=key)
            it.now += 600
            schedulers = [Scheduler(it.db, it.clock) for _ in range(3)]
            await asyncio.gather(*(scheduler.send_due() for scheduler in schedulers))
            assert await it.states() == ["queued"] * 5
            assert len(await it.mail(it.ann, "Sent")) == 5

    run(main())


def test_rates_refuse_for_a_while_and_keep_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            it.now = 1_800_000_000.0 - 1_800_000_000 % 86_400
            numbers = iter(range(100))

            async def send(*recipients: str, **key: Any) -> None:
                await submit(it, *recipients, message=MESSAGE.replace(b"1@x", b"%d@x" % next(numbers)), **key)

            limited: dict[str, Any] = {"rates": Rates(per_hour=3)}
            await send(BOB, "ann@example.org", **limited)
            with pytest.raises(RateExceeded):
                await send(BOB, "ann@example.org", **limited)
            assert len(await it.mail(it.bob)) == 1
            assert len(await it.queue()) == 1
            await send(BOB, **limited)
            with pytest.raises(RateExceeded):
                await send(BOB, **limited)
            await send(BOB, key_id=2)  # another key of the same inbox
            it.now += 3_600
            with pytest.raises(RateExceeded):
                await send(BOB, **limited)
            it.now += 1_200  # a third of what was sent is past
            await send(BOB, **limited)
            # the inbox as a whole, whatever key it is; mail for later and mail for consent count too
            settings = InboxSettings(rates=Rates(per_day=2))
            await it.db.write(lambda tx: inboxes.change_settings(tx, it.ann, settings=settings, name=None))
            it.submissions.directory.forget()
            await send(BOB, key_id=3, wait=60)
            await send(BOB, key_id=4, permissions=PROPOSES)
            with pytest.raises(RateExceeded):
                await send(BOB, key_id=5)

    run(main())


def test_a_large_message_beyond_a_rate_is_refused_before_it_has_come(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, BOB, rates=Rates(per_day=1))
            who = principal(inbox_id=it.ann, rates=Rates(per_day=1))
            arrival = it.submissions.begin(SubmissionEnvelope(who, USER, (Recipient(BOB),)))
            with pytest.raises(RateExceeded):
                await arrival.write(MESSAGE.replace(b"1@x", b"2@x") + b"line\r\n" * 20_000)
            arrival.abort()

    run(main())


def test_a_retry_is_not_charged_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            for _ in range(3):
                await submit(it, BOB, rates=Rates(per_hour=1))
            assert len(await it.mail(it.bob)) == 1

    run(main())


def test_binary_mail_for_later_is_text_here(tmp_path: Path) -> None:
    """As it is at once (RFC 3030 3, RFC 3516 6): what IMAP shows has lines."""

    async def main() -> None:
        async with house(tmp_path) as it:
            octets = bytes(range(256)) * 40
            fields = b"MIME-Version: 1.0\r\nContent-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary"
            message = MESSAGE.partition(b"\r\n\r\n")[0] + b"\r\n" + fields + b"\r\n\r\n" + octets
            who = principal(inbox_id=it.ann)
            envelope = SubmissionEnvelope(who, USER, (Recipient(BOB),), release_at=int(it.now) + 60, body_binary=True)
            arrival = it.submissions.begin(envelope)
            await arrival.write(message)
            await arrival.finish()
            it.now += 60
            async with it.runner():
                await it.until(lambda: quiet(it))
            [got] = await it.mail(it.bob)
            header, _, body = got.octets.partition(b"\r\n\r\n")
            assert b"Content-Transfer-Encoding: base64" in header
            assert base64.b64decode(body) == octets

    run(main())
