"""What senders are told: relays that refuse, defer or accept, with and without DSN; and what comes back as a report."""

from __future__ import annotations

import asyncio
import email
import email.policy
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import Message
from pathlib import Path
from typing import Any, cast

import pytest

from gateway.delivery import bounces
from gateway.delivery.bounces import Notices
from gateway.delivery.debts import Debts
from gateway.delivery.desk import ReportDesk
from gateway.delivery.dsn import Composed, Notice
from gateway.delivery.routes import Route, RouteKind, Routes
from gateway.delivery.settings import DeliverySettings
from gateway.model.errors import TookTooLong, Unavailable
from gateway.model.ids import ContentId, InboxId
from gateway.model.recipient import Notify, Recipient
from gateway.store import inboxes, quota
from gateway.store import reports as stored_reports
from gateway.store.quota import Limits
from gateway.submit.envelope import SubmissionEnvelope
from tests.faults.smtp_kit import USER, principal, run
from tests.faults.smtp_relay import Relay, relay
from tests.faults.smtp_store import House, house

MESSAGE = (
    b"From: ann@example.org\r\nTo: eve@elsewhere.net\r\nMessage-ID: <orig@example.org>\r\nSubject: hi\r\n\r\n"
    b"the body\r\n"
)
EVE, JOE = "eve@elsewhere.net", "joe@elsewhere.net"


async def submit(it: House, *recipients: Recipient | str, message: bytes = MESSAGE, **changes: Any) -> None:
    named = tuple(each if isinstance(each, Recipient) else Recipient(each) for each in recipients)
    inbox, sender = changes.pop("inbox", it.ann), changes.pop("mail_from", USER)
    arrival = it.submissions.begin(SubmissionEnvelope(principal(inbox_id=inbox), sender, named, **changes))
    await arrival.write(message)
    await arrival.finish()


async def settled(it: House) -> bool:
    return not {"queued", "sending"} & set(await it.states())


async def sent_to_relay(it: House, peer: Relay, *recipients: Recipient | str, **changes: Any) -> None:
    """Until each recipient has an end, or a time for its next attempt."""
    it.use_relay(peer.port)
    async with it.runner():
        await submit(it, *recipients, **changes)
        await it.until(lambda: settled(it))


@asynccontextmanager
async def desk(it: House, **settings: Any) -> AsyncIterator[ReportDesk]:
    """Who looks at reports and tells of delays; `work` does what there is to do."""
    notices = Notices(it.db, it.ingest, hostname="mail.example.org")
    debts = Debts(it.db, notices, DeliverySettings(**settings), clock=it.clock)
    yield ReportDesk(it.db, debts, clock=it.clock)


async def reports(it: House, inbox: InboxId | None = None) -> list[Message]:
    """What is in the inbox, each a report in which another library finds no fault."""
    found = []
    for stored in await it.mail(it.ann if inbox is None else inbox):
        message = email.message_from_bytes(stored.octets, policy=email.policy.default)
        assert not message.defects
        assert message.get_content_type() == "multipart/report"
        assert message["Return-Path"] == "<>"
        found.append(message)
    return found


def blocks(report: Message) -> list[Message]:
    return cast("list[Message]", cast("list[Message]", report.get_payload())[1].get_payload())


def returned(report: Message) -> Message:
    return cast("list[Message]", report.get_payload())[2]


def test_one_notice_of_all_that_failed_in_one_go(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            peer.scripts.append({"mail": "550 5.7.1 not you"})
            wish = Recipient(JOE, Notify.FAILURE, "rfc822;Joe+2Bx@elsewhere.net")
            await sent_to_relay(it, peer, EVE, wish, envelope_id="QQ 1")
            [report] = await reports(it)
            about, eve, joe = blocks(report)
            assert about["Original-Envelope-Id"] == "QQ 1"
            assert about["Reporting-MTA"] == "dns; mail.example.org"
            assert (eve["Final-Recipient"], eve["Original-Recipient"]) == (f"rfc822; {EVE}", None)
            assert joe["Original-Recipient"] == "rfc822; Joe+x@elsewhere.net"
            assert (joe["Action"], joe["Status"]) == ("failed", "5.7.1")
            assert joe["Diagnostic-Code"] == "smtp; 550 5.7.1 not you"
            assert joe["Remote-MTA"] == "dns; 127.0.0.1"
            assert returned(report).get_content_type() == "text/rfc822-headers"

    run(main())


@pytest.mark.parametrize("notify", [Notify.NEVER, Notify.SUCCESS, Notify.DELAY])
def test_who_does_not_want_to_know_of_failure(tmp_path: Path, notify: Notify) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            peer.scripts.append({"mail": "550 5.7.1 not you"})
            await sent_to_relay(it, peer, Recipient(EVE, notify))
            assert await it.states() == ["bounced"]
            assert await reports(it) == []

    run(main())


def test_only_those_who_want_to_know_are_in_the_notice(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            peer.scripts.append({"mail": "550 5.7.1 not you"})
            await sent_to_relay(it, peer, Recipient(EVE, Notify.NEVER), JOE)
            [report] = await reports(it)
            assert [block["Final-Recipient"] for block in blocks(report)[1:]] == [f"rfc822; {JOE}"]

    run(main())


@pytest.mark.parametrize(
    ("ret", "size", "kind"),
    [("FULL", 100, "message/rfc822"), ("FULL", 1_100_000, "text/rfc822-headers"), ("HDRS", 100, "text/rfc822-headers"),
     (None, 100, "text/rfc822-headers")],
)  # fmt: skip
def test_what_comes_back_is_what_ret_asks_for(tmp_path: Path, ret: Any, size: int, kind: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            peer.scripts.append({"mail": "550 5.7.1 not you"})
            body = b"".join(b"line %d\r\n" % number for number in range(size // 8))
            await sent_to_relay(it, peer, EVE, message=MESSAGE + body, ret=ret)
            [report] = await reports(it)
            part = returned(report)
            assert part.get_content_type() == kind
            [stored] = await it.mail(it.ann)
            assert (b"\r\nthe body\r\n" + body in stored.octets) == (kind == "message/rfc822")
            assert b"Message-ID: <orig@example.org>" in stored.octets

    run(main())


def test_a_hop_that_tells_nobody_is_told_of(tmp_path: Path) -> None:
    """RFC 3461 5.2.2 (b): without DSN there, "relayed" is the last notice, and the header alone comes back."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            await sent_to_relay(it, peer, Recipient(EVE, Notify.SUCCESS, f"rfc822;{EVE}"), JOE, ret="FULL")
            assert await it.states() == ["sent", "sent"]
            assert not any("NOTIFY" in line or "ORCPT" in line or "RET=" in line for line in peer.commands)
            [report] = await reports(it)
            [eve] = blocks(report)[1:]
            assert (eve["Action"], eve["Status"]) == ("relayed", "2.0.0")
            assert eve["Original-Recipient"] == f"rfc822; {EVE}"
            assert returned(report).get_content_type() == "text/rfc822-headers"

    run(main())


def test_a_hop_that_offers_dsn_takes_the_duty_over(tmp_path: Path) -> None:
    """RFC 3461 5.2.1 and its example 10.3: all wishes go on, and success is the next hop's to report."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            peer.extensions.append("DSN")
            both = Recipient(EVE, Notify.SUCCESS | Notify.FAILURE, f"rfc822;{EVE}")
            await sent_to_relay(it, peer, both, ret="HDRS", envelope_id="QQ314159")
            assert await it.states() == ["sent"]
            assert await reports(it) == []
            [mail] = [line for line in peer.commands if line.startswith("MAIL")]
            assert {"RET=HDRS", "ENVID=QQ314159"} <= set(mail.split())
            [rcpt] = [line for line in peer.commands if line.startswith("RCPT")]
            assert rcpt == f"RCPT TO:<{EVE}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;{EVE}"

    run(main())


def test_a_hop_that_offers_dsn_and_refuses_leaves_failure_to_us(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            peer.extensions.append("DSN")
            peer.scripts.append({"rcpt": "550 no such recipient"})
            await sent_to_relay(it, peer, Recipient(EVE, Notify.FAILURE))
            [report] = await reports(it)
            [eve] = blocks(report)[1:]
            assert (eve["Action"], eve["Status"]) == ("failed", "5.0.0")
            assert eve["Diagnostic-Code"] == "smtp; 550 no such recipient"

    run(main())


@pytest.mark.parametrize("kind", [RouteKind.HOLD, RouteKind.DISCARD])
def test_nobody_is_told_of_what_is_held_or_thrown_away(tmp_path: Path, kind: RouteKind) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, desk(it, delay_notice=10) as desk_:
            it.routes = Routes(Route(kind.value, kind))
            async with it.runner():
                await submit(it, Recipient(EVE, Notify(7)))
                await it.until(lambda: settled(it))
            it.now += 100
            await desk_.work()
            assert await reports(it) == []

    run(main())


def test_a_delay_is_told_of_once(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it, delay_notice=4000) as desk_:
            peer.scripts.append({"rcpt": "450 4.2.1 try later"})
            quiet = Recipient(JOE, Notify.FAILURE)
            await sent_to_relay(it, peer, EVE, quiet)
            assert await it.states() == ["deferred", "deferred"]
            it.now += 3999
            await desk_.work()
            assert await reports(it) == []
            it.now += 401  # the next look
            await desk_.work()
            [report] = await reports(it)
            [eve] = blocks(report)[1:]
            assert eve["Final-Recipient"] == f"rfc822; {EVE}"
            assert (eve["Action"], eve["Status"]) == ("delayed", "4.2.1")
            assert eve["Diagnostic-Code"] == "smtp; 450 4.2.1 try later"
            assert eve["Will-Retry-Until"] == "Wed, 20 Jan 2027 08:00:00 +0000"
            it.now += 50_000
            await desk_.work()
            assert len(await reports(it)) == 1

    run(main())


def test_a_delay_without_any_attempt_is_told_of(tmp_path: Path) -> None:
    """Nothing goes to a next hop that cannot be reached: its mail is late all the same."""

    async def main() -> None:
        async with house(tmp_path) as it, desk(it, delay_notice=10) as desk_:
            it.use_relay(1)
            await submit(it, EVE)
            it.now += 100
            await desk_.work()
            [report] = await reports(it)
            [eve] = blocks(report)[1:]
            assert (eve["Action"], eve["Status"], eve["Diagnostic-Code"]) == ("delayed", "4.0.0", None)

    run(main())


def test_no_notice_of_delay_where_it_is_switched_off(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, desk(it, delay_notice=0) as desk_:
            it.use_relay(1)
            await submit(it, EVE)
            it.now += 100_000
            await desk_.work()
            assert await reports(it) == []

    run(main())


def test_delivery_here_is_told_of_where_it_was_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, desk(it) as desk_:
            bob = Recipient("bob@example.org", Notify.SUCCESS, "rfc822;Bob@example.org")
            others = (Recipient("bob+quiet@example.org", Notify.FAILURE), "bob+more@example.org")
            await submit(it, bob, *others, envelope_id="E1")
            await desk_.work()
            await desk_.work()
            [report] = await reports(it)
            about, found = blocks(report)
            assert about["Original-Envelope-Id"] == "E1"
            assert (found["Action"], found["Status"]) == ("delivered", "2.1.5")
            assert found["Original-Recipient"] == "rfc822; Bob@example.org"
            assert found["Diagnostic-Code"] is None
            assert "Message-ID: <orig@example.org>" in cast("str", returned(report).get_payload())
            [entry] = await it.queue()
            assert [event.state for event in entry.attempts] == ["told"]

    run(main())


@pytest.mark.parametrize("gone", ["sender", "null", "nothing"])
def test_nobody_left_to_tell(tmp_path: Path, gone: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, desk(it, delay_notice=10) as desk_:
            it.use_relay(1)
            sender = "" if gone == "null" else USER
            here = Recipient("bob@example.org", Notify.FAILURE if gone == "nothing" else Notify.SUCCESS)
            await submit(it, here, Recipient(EVE, Notify.FAILURE if gone == "nothing" else None), mail_from=sender)
            if gone == "sender":
                await it.db.write(lambda tx: inboxes.delete_inbox(tx, it.ann, now=int(it.now)))
            it.now += 100
            await desk_.work()
            await desk_.work()
            assert await it.mail(it.ann) == []

    run(main())


@pytest.mark.parametrize("bounced", [True, False])
def test_no_notice_about_a_report(tmp_path: Path, bounced: bool) -> None:
    """A report with a reverse-path of its own is somebody's mistake: still it brings about no other report."""

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it, delay_notice=10) as desk_:
            peer.scripts.append({"mail": "550 no"} if bounced else {"mail": "450 later"})
            head = b"Content-Type: multipart/report; boundary=b\r\nAuto-Submitted: auto-replied\r\n"
            await sent_to_relay(it, peer, EVE, message=head + MESSAGE)
            it.now += 100
            await desk_.work()
            await desk_.work()
            assert await reports(it) == []

    run(main())


def test_notices_come_to_a_full_inbox(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, desk(it, delay_notice=10) as desk_:
            it.use_relay(1)
            await submit(it, EVE, Recipient("bob@example.org", Notify.SUCCESS))
            full = Limits(octets=0, messages=0)
            await it.db.write(lambda tx: quota.set_limits(tx, it.ann, full), inboxes=(it.ann,))
            it.now += 100
            await desk_.work()
            assert [block["Action"] for report in await reports(it) for block in blocks(report)[1:]] == [
                "delivered", "delayed",
            ]  # fmt: skip

    run(main())


def test_a_defect_of_notices_does_not_send_mail_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What becomes of the mail is written down all the same, and the next notice is made."""

    def broken(_: Notice) -> Composed:
        raise RuntimeError("defect")

    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            with monkeypatch.context() as defect:
                defect.setattr(bounces, "compose", broken)
                await sent_to_relay(it, peer, *(Recipient(to, Notify.SUCCESS) for to in (EVE, "bob@example.org")))
                await desk_.work()
            assert (await it.states()) == ["sent", "sent"]
            assert len(peer.taken) == 1
            assert await reports(it) == []
            await submit(it, Recipient("bob@example.org", Notify.SUCCESS), message=MESSAGE.replace(b"orig@", b"next@"))
            await desk_.work()
            assert len(await reports(it)) == 1

    run(main())


# -- reports that come in

REPORT = (
    b"From: MAILER-DAEMON@far.test\r\nTo: ann@example.org\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    b"--b\r\n\r\nIt failed.\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    b"Reporting-MTA: dns; far.test\r\n\r\nFinal-Recipient: rfc822; Eve@Elsewhere.net\r\nAction: %b\r\n"
    b"Status: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such user\r\n"
    b"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <orig@example.org>\r\nSubject: hi\r\n\r\n\r\n--b--\r\n"
)


async def comes_back(it: House, octets: bytes, *, to: str = USER) -> None:
    """Somebody's mail here: its author is bob, the reverse-path null."""
    message = octets.replace(b"From: MAILER-DAEMON@far.test", b"From: bob@example.org")
    await submit(it, to, message=message, inbox=it.bob, mail_from="")


async def story(it: House) -> tuple[str, list[str]]:
    entry = (await it.queue())[0]
    return str(entry.recipients[0].state), [event.state for event in entry.attempts]


@pytest.mark.parametrize(
    ("action", "state"),
    [(b"failed", "bounced"), (b"delayed", "sent"), (b"delivered", "sent"), (b"relayed", "sent")],
)
def test_a_report_tells_the_history(tmp_path: Path, action: bytes, state: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            await sent_to_relay(it, peer, EVE)
            await comes_back(it, REPORT % action)
            await desk_.work()
            event = "bounced" if action == b"failed" else action.decode()
            assert await story(it) == (state, ["sent", event])
            told = (await it.queue())[0].attempts[-1]
            assert (told.code, told.enhanced, told.text, told.remote) == (550, "5.1.1", b"no such user", "far.test")
            await desk_.work()
            assert await story(it) == (state, ["sent", event])

    run(main())


def test_a_foreign_bounce_tells_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            await sent_to_relay(it, peer, EVE)
            await comes_back(
                it,
                b"X-Failed-Recipients: eve@elsewhere.net\r\nFrom: MAILER-DAEMON@far.test\r\nSubject: failed\r\n\r\n"
                b"This message was created automatically.\r\n\r\n  eve@elsewhere.net\r\n"
                b"    550 5.1.1 User unknown\r\n\r\n--- copy ---\r\n\r\nMessage-ID: <orig@example.org>\r\n",
            )
            await desk_.work()
            assert await story(it) == ("bounced", ["sent", "bounced"])

    run(main())


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ((b"Eve@Elsewhere.net", b"other@elsewhere.net"), USER),
        ((b"<orig@example.org>", b"<unknown@example.org>"), USER),
        ((b"", b""), "bob@example.org"),
    ],
)
def test_a_report_of_something_else_tells_nothing(tmp_path: Path, change: tuple[bytes, bytes], to: str) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            await sent_to_relay(it, peer, EVE)
            await comes_back(it, (REPORT % b"failed").replace(*change) if change[0] else REPORT % b"failed", to=to)
            await desk_.work()
            assert await story(it) == ("sent", ["sent"])

    run(main())


def test_a_forged_report_ends_nothing_that_waits(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            peer.scripts.append({"rcpt": "450 4.2.1 later"})
            await sent_to_relay(it, peer, EVE)
            await comes_back(it, REPORT % b"failed")
            await desk_.work()
            assert await story(it) == ("deferred", ["deferred"])

    run(main())


def test_the_envelope_id_names_the_submission(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            await sent_to_relay(it, peer, Recipient(EVE, None, "rfc822;Alias@elsewhere.net"), envelope_id="E 1")
            report = (REPORT % b"failed").replace(
                b"dns; far.test\r\n\r\nFinal-Recipient: rfc822; Eve@Elsewhere.net",
                b"dns; far.test\r\nOriginal-Envelope-Id: E 1\r\n\r\nOriginal-Recipient: rfc822;alias@elsewhere.net\r\n"
                b"Final-Recipient: rfc822; forwarded@third.test",
            )
            await comes_back(it, report.replace(b"Message-ID", b"X-Gone"))
            await desk_.work()
            assert await story(it) == ("bounced", ["sent", "bounced"])

    run(main())


@pytest.mark.parametrize("error", [Unavailable("a process died"), TookTooLong("a minute"), RuntimeError("defect")])
def test_a_report_that_nobody_can_read_holds_up_no_other(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            await sent_to_relay(it, peer, EVE)
            await comes_back(it, REPORT % b"delayed")
            await comes_back(it, REPORT.replace(b"Subject: Und", b"Subject: Another und") % b"failed")
            [(first, _), _] = await it.db.read(lambda rx: stored_reports.due(rx, 9))
            offload = it.db.offload_bulk

            async def dies_of_the_first(job: Any, inbox_id: InboxId, content_id: ContentId) -> Any:
                if content_id == first:
                    raise error
                return await offload(job, inbox_id, content_id)

            monkeypatch.setattr(it.db, "offload_bulk", dies_of_the_first)
            await desk_.work()
            assert await story(it) == ("bounced", ["sent", "bounced"])
            assert await it.db.read(lambda rx: stored_reports.due(rx, 9)) == []

    run(main())


def test_while_the_store_is_away_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            await sent_to_relay(it, peer, EVE)
            await comes_back(it, REPORT % b"failed")

            async def away(*_: Any) -> Any:
                raise Unavailable("away")

            with monkeypatch.context() as outage:
                outage.setattr(it.db, "offload_bulk", away)
                outage.setattr(it.db, "read", away)
                with pytest.raises(Unavailable):
                    await desk_.work()
            await desk_.work()
            assert await story(it) == ("bounced", ["sent", "bounced"])

    run(main())


def test_it_runs_by_itself(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer, desk(it) as desk_:
            task = asyncio.create_task(desk_.run())
            await sent_to_relay(it, peer, EVE)
            await comes_back(it, REPORT % b"failed")

            async def bounced() -> bool:
                return (await story(it))[0] == "bounced"

            await it.until(bounced)
            task.cancel()
            await asyncio.wait([task])

    run(main())


def test_all_of_it_on_postgresql(tmp_path: Path, postgresql_url: str) -> None:
    async def main() -> None:
        async with house(tmp_path, postgresql_url) as it, relay() as peer, desk(it, delay_notice=10) as desk_:
            peer.scripts.append({"rcpt2": "450 4.2.1 later"})
            told = [Recipient(to, Notify.SUCCESS | Notify.DELAY) for to in (EVE, JOE, "bob@example.org")]
            await sent_to_relay(it, peer, *told, envelope_id="E1")
            it.now += 100
            await comes_back(it, REPORT % b"failed")
            await desk_.work()
            await desk_.work()
            entry = (await it.queue())[0]
            assert {each.address: str(each.state) for each in entry.recipients} == {
                EVE: "bounced", JOE: "deferred", "bob@example.org": "sent",
            }  # fmt: skip
            assert [event.state for event in entry.attempts] == ["sent", "deferred", "bounced", "told"]
            mail = [email.message_from_bytes(each.octets) for each in await it.mail(it.ann)]
            ours = [each for each in mail if each["Auto-Submitted"]]
            assert [each["Action"] for report in ours for each in blocks(report)[1:]] == [
                "relayed", "delivered", "delayed",
            ]  # fmt: skip

    run(main())
