"""LMTP over a real store: who gets what, a status for each recipient, and what may not come in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.model.ids import InboxId, PodId
from gateway.model.permissions import ScopeKind
from gateway.ops.metrics import PrometheusMetrics
from gateway.store import addresses, inboxes, lists, mailboxes, pods, quota, reports
from gateway.store.db import Tx
from gateway.store.lists import Direction, Place, Verdict
from gateway.store.quota import Limits
from tests.faults.lmtp_kit import MAIL, MAX_SIZE, SENDER, LmtpClient, Post, post
from tests.faults.smtp_kit import run

DONE = "250 2.0.0 Delivered as "


def codes(replies: list[str]) -> list[str]:
    return [reply[:9] for reply in replies]


async def blocks(it: Post, inbox: InboxId, verdict: Verdict, pattern: str, way: Direction = Direction.RECEIVE) -> None:
    place = Place(ScopeKind.INBOX, PodId(0), inbox)
    await it.house.db.write(lambda tx: lists.put(tx, place, way, verdict, pattern, now=1))


def test_what_is_offered_and_what_is_not_lmtp(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            assert await client.lhlo() == "\n".join(
                [
                    "250-mail.example.org", "250-PIPELINING", f"250-SIZE {MAX_SIZE}", "250-8BITMIME", "250-SMTPUTF8",
                    "250 ENHANCEDSTATUSCODES",
                ]
            )
            for line, reply in {
                "EHLO x": "500 5.5.1 This is LMTP: say LHLO",
                "HELO x": "500 5.5.1 This is LMTP: say LHLO",
                "NOOP": "250 2.0.0 OK",
                "VRFY bob": "252 2.5.0 Send to it and see",
                "EXPN staff": "502 5.5.1 EXPN is not offered",
                "AUTH PLAIN AGEAYg==": "500 5.5.2 Command not recognized",
                "STARTTLS": "502 5.5.1 TLS is not offered here",
                "RCPT TO:<bob@example.org>": "503 5.5.1 Need MAIL command",
                "DATA": "503 5.5.1 Need MAIL command",
            }.items():
                assert await client.say(line) == reply
            assert await client.say("QUIT") == "221 2.0.0 Bye"

    run(main())


def test_a_message_is_taken_as_it_is_with_its_trace_on_top(tmp_path: Path) -> None:
    odd = b"Return-Path: <forged@example.org>\r\nSubject: no From, but\r\nBcc: secret@example.net\r\n\r\n" + b"x" * 5000

    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            assert codes(await client.deliver("bob@example.org", octets=odd)) == ["250 2.0.0"]
            (mail,) = await it.house.mail(it.house.bob)
            head = mail.octets.split(b"\r\n")
            assert head[0] == b"Return-Path: <eve@elsewhere.net>"
            assert head[1] == b"Delivered-To: bob@example.org"
            assert head[2].startswith(b"Received: by mail.example.org with LMTP id ")
            assert head[4:] == [*odd.split(b"\r\n")[1:], b""]
            assert codes(await client.deliver("Bob+tag@example.org", sender="")) == ["250 2.0.0"]
            (_, mail) = await it.house.mail(it.house.bob)
            assert mail.octets.startswith(b"Return-Path: <>\r\nDelivered-To: Bob+tag@example.org\r\n")

    run(main())


def test_each_recipient_has_a_status_of_its_own(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            house = it.house

            def settle(tx: Tx) -> None:
                addresses.add_address(tx, house.bob, "sales@example.org")
                quota.set_limits(tx, house.ann, Limits(octets=100))
                pod = pods.pods(tx)[0]
                gone = inboxes.create_inbox(tx, pod.id, "gone@example.org", now=1)
                inboxes.delete_inbox(tx, gone.id, 2)

            await house.db.write(settle)
            await client.say(f"MAIL FROM:<{SENDER}>")
            for recipient, code in {
                "bob@example.org": "250 2.1.5", "nobody@example.org": "550 5.1.1", "gone@example.org": "550 5.1.1",
                "x@elsewhere.net": "550 5.7.1", "ann@example.org": "250 2.1.5", "sales+x@Example.ORG": "250 2.1.5",
                "postmaster": "550 5.1.1",
            }.items():
                assert (await client.say(f"RCPT TO:<{recipient}>"))[:9] == code, recipient
            assert (await client.say("DATA")).startswith("354")
            client.writer.write(MAIL + b".\r\nNOOP\r\n")
            replies = [await client.reply() for _ in range(4)]  # three recipients, and NOOP
            assert codes(replies) == ["250 2.0.0", "452 4.2.2", "250 2.0.0", "250 2.0.0"]
            (mail,) = await house.mail(house.bob)
            assert b"Delivered-To" not in mail.octets, "with several recipients none is told of another"
            assert await house.mail(house.ann) == []
            assert codes(await client.deliver("ann@example.org")) == ["452 4.2.2"]
            assert codes(await client.deliver("bob@example.org", "bob@example.org")) == ["250 2.0.0"] * 2
            assert len(await house.mail(house.bob)) == 2, "an inbox gets a message once"

    run(main())


def test_a_catch_all_takes_what_no_other_address_does(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            await it.house.db.write(lambda tx: addresses.add_address(tx, it.house.ann, "@example.org"))
            assert codes(await client.deliver("whoever@example.org")) == ["250 2.0.0"]
            (mail,) = await it.house.mail(it.house.ann)
            assert b"\r\nDelivered-To: whoever@example.org\r\n" in mail.octets

    run(main())


def test_a_message_for_many_is_one_content(tmp_path: Path) -> None:
    names = [f"user{number}@example.org" for number in range(105)]

    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            pod = await it.house.db.read(lambda rx: pods.pods(rx)[0])
            await it.house.db.write(
                lambda tx: [inboxes.create_inbox(tx, pod.id, name, now=1).id for name in names] and None
            )
            await client.say(f"MAIL FROM:<{SENDER}>")
            answers = [(await client.say(f"RCPT TO:<{name}>"))[:9] for name in names]
            assert answers == ["250 2.1.5"] * 100 + ["452 4.5.3"] * 5
            assert (await client.say("DATA")).startswith("354")
            client.writer.write(MAIL + b".\r\n")
            replies = [await client.reply() for _ in range(100)]
            assert len(set(replies)) == 1
            assert replies[0].startswith(DONE)
            await it.house.sound()

    run(main())


def test_loops_end_here(tmp_path: Path) -> None:
    hops = b"".join(b"Received: by x%d\r\n" % number for number in range(101))

    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            assert codes(await client.deliver("bob@example.org", octets=hops + MAIL)) == ["554 5.4.6"]
            assert codes(await client.deliver("bob@example.org", octets=hops[len(b"Received: by x0\r\n"):] + MAIL)) == [
                "250 2.0.0"
            ]
            been = b"Delivered-To: BOB@Example.org\r\n" + MAIL
            replies = await client.deliver("bob@example.org", "ann@example.org", "bob+x@example.org", octets=been)
            assert codes(replies) == ["554 5.4.6", "250 2.0.0", "250 2.0.0"]
            big = b"Delivered-To: bob@example.org\r\n" + MAIL + b"x" * 300_000
            assert codes(await client.deliver("bob@example.org", octets=big)) == ["554 5.4.6"]
            assert len(await it.house.mail(it.house.bob)) == 2

    run(main())


def test_what_is_blocked_goes_to_spam(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            house = it.house
            assert codes(await client.deliver("bob@example.org")) == ["250 2.0.0"]
            await blocks(it, house.bob, Verdict.BLOCK, "elsewhere.net")
            replies = await client.deliver("bob@example.org", "ann@example.org")
            assert codes(replies) == ["250 2.0.0"] * 2, "at once, though the first mail was looked up a moment ago"
            assert [len(await house.mail(house.bob, name)) for name in ("INBOX", "Spam")] == [1, 1]
            assert len(await house.mail(house.ann)) == 1
            await house.db.write(lambda tx: lists.remove(
                tx, Place(ScopeKind.INBOX, PodId(0), house.bob), Direction.RECEIVE, "elsewhere.net"
            ))
            await client.deliver("bob@example.org")
            assert [len(await house.mail(house.bob, name)) for name in ("INBOX", "Spam")] == [2, 1]

    run(main())


def test_a_missing_folder_for_spam_is_made(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            house = it.house
            spam = await house.db.read(lambda rx: mailboxes.by_role(rx, house.bob, "\\Junk"))
            assert spam is not None
            await house.db.write(lambda tx: mailboxes.delete(tx, house.bob, "Spam", now=2))
            await blocks(it, house.bob, Verdict.ALLOW, "corp.example")
            assert codes(await client.deliver("bob@example.org")) == ["250 2.0.0"]
            made = await house.db.read(lambda rx: mailboxes.by_role(rx, house.bob, "\\Junk"))
            assert made is not None
            assert made.messages == 1

    run(main())


def test_what_is_blocked_is_refused_where_that_is_set(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path, submit={"blocked": "refuse"}) as it, it.client() as client:
            house = it.house
            await blocks(it, house.bob, Verdict.BLOCK, "eve@elsewhere.net")
            replies = await client.deliver("bob@example.org", "ann@example.org", sender="bounce@list.example")
            assert codes(replies) == ["550 5.7.1", "250 2.0.0"], "From counts as the envelope does"
            assert [len(await house.mail(house.bob, name)) for name in ("INBOX", "Spam")] == [0, 0]
            assert codes(await client.deliver("bob@example.org", sender="")) == ["250 2.0.0"]
            assert len(await house.mail(house.bob, "Spam")) == 1, "nobody would hear of a bounce that is refused"

    run(main())


def test_a_from_field_of_thousands_is_read_as_far_as_it_matters(tmp_path: Path) -> None:
    many = b"From: " + b",\r\n ".join(b"x%d@far%d.example" % (n, n) for n in range(7000)) + b"\r\n\r\nbody\r\n"

    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            await blocks(it, it.house.bob, Verdict.BLOCK, "far5.example")
            await blocks(it, it.house.ann, Verdict.BLOCK, "far5000.example")
            assert codes(await client.deliver("bob@example.org", "ann@example.org", octets=many)) == ["250 2.0.0"] * 2
            assert len(await it.house.mail(it.house.bob, "Spam")) == len(await it.house.mail(it.house.ann)) == 1

    run(main())


def test_an_inbox_may_say_itself_what_becomes_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path, submit={"blocked": "refuse"}) as it, it.client() as client:
            house = it.house
            for inbox in (house.ann, house.bob):
                await blocks(it, inbox, Verdict.BLOCK, "elsewhere.net")
            spam = inboxes.InboxSettings(blocked="spam")
            await house.db.write(lambda tx: inboxes.change_settings(tx, house.bob, settings=spam, name=None))
            assert codes(await client.deliver("bob@example.org", "ann@example.org")) == ["250 2.0.0", "550 5.7.1"]
            assert len(await house.mail(house.bob, "Spam")) == 1
            stored = await house.db.read(lambda rx: inboxes.inbox_by_id(rx, house.bob))
            assert stored is not None
            assert stored.settings == spam

    run(main())


def test_reports_are_noted_with_their_delivery(tmp_path: Path) -> None:
    report = MAIL.replace(b"Subject", b"Content-Type: multipart/report; report-type=delivery-status\r\nSubject")

    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            await client.deliver("bob@example.org", octets=MAIL)
            assert await it.house.db.read(lambda rx: reports.due(rx, 10)) == []
            await client.deliver("bob@example.org", octets=report, sender="")
            assert [inbox for _, inbox in await it.house.db.read(lambda rx: reports.due(rx, 10))] == [it.house.bob]

    run(main())


def test_sizes(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            assert (await client.say(f"MAIL FROM:<{SENDER}> SIZE={MAX_SIZE + 1}")).startswith("552 5.3.4")
            body = MAIL + b"x" * MAX_SIZE
            assert codes(await client.deliver("bob@example.org", "ann@example.org", octets=body)) == ["552 5.3.4"] * 2
            assert codes(await client.deliver("bob@example.org")) == ["250 2.0.0"]
            await client.envelope("bob@example.org", "ann@example.org")
            client.writer.write(b"x" * (2 * MAX_SIZE + 100_000))
            assert codes([await client.reply(), await client.reply()]) == ["552 5.3.4"] * 2
            assert await client.reply() == "", "who sends on and on is cut"
            assert len(await it.house.mail(it.house.bob)) == 1

    run(main())


def test_a_large_message_for_full_inboxes_is_not_staged(tmp_path: Path) -> None:
    async def main() -> None:
        metrics = PrometheusMetrics()
        async with post(tmp_path, metrics=metrics) as it, it.client() as client:
            await it.house.db.write(lambda tx: quota.set_limits(tx, it.house.bob, Limits(messages=0)))
            big = MAIL + b"x" * 1_000_000
            assert codes(await client.deliver("bob@example.org", octets=big)) == ["452 4.2.2"]
            assert codes(await client.deliver("bob@example.org", "ann@example.org", octets=big)) == [
                "452 4.2.2", "250 2.0.0",
            ]
            looped = b"Delivered-To: ann@example.org\r\n" + big
            replies = await client.deliver("ann@example.org", "bob@example.org", octets=looped)
            assert codes(replies) == ["554 5.4.6", "452 4.2.2"], "each is told its own reason"
            assert 'lmtp_messages_total{result="accepted"} 1.0' in metrics.page().decode()
            assert 'lmtp_messages_total{result="refused"} 2.0' in metrics.page().decode()

    run(main())


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_line_ends_of_all_kinds_are_stored(tmp_path: Path, end: bytes) -> None:
    lines = b"From: eve@elsewhere.net" + end + b"Subject: x" + end + end + b"one\0" + end + b"..two" + end

    async def main() -> None:
        async with post(tmp_path) as it, it.client() as client:
            assert codes(await client.deliver("bob@example.org", octets=lines)) == ["250 2.0.0"]
            (mail,) = await it.house.mail(it.house.bob)
            expected = lines.replace(b"\n", b"\r\n") if end == b"\n" else lines
            expected = expected.replace(b"\r\n..two", b"\r\n.two") if end == b"\r\n" else expected
            assert expected.rstrip(b"\r\n") in mail.octets

    run(main())


SMUGGLED = b"MAIL FROM:<evil@elsewhere.net>\r\nRCPT TO:<ann@example.org>\r\nDATA\r\nFrom: x\r\n\r\nsmuggled\r\n"


LINE_ENDS = (b"\n", b"\r", b"\r\n", b"\n\0", b"\r\n\0", b"\0\n", b"\0\r\n", b"\r\0\n")
END = b"\r\n.\r\n"
LONE_DOTS = [dot for one in LINE_ENDS for other in LINE_ENDS if END not in (dot := one + b"." + other)]


def test_no_message_is_two(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path, max_errors=1000) as it, it.client() as client:
            for dot in LONE_DOTS:
                octets = MAIL + b"text" + dot + SMUGGLED
                replies = await client.deliver("bob@example.org", "ann@example.org", octets=octets)
                assert codes(replies) == ["550 5.6.0"] * 2, dot
                assert await client.say("NOOP") == "250 2.0.0 OK"
            assert await it.house.mail(it.house.bob) == await it.house.mail(it.house.ann) == []

    run(main())


def test_bad_input_is_answered_and_nothing_kept(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path, max_errors=100) as it, it.client() as client:
            for line, reply in {
                b"MAIL FROM:<a@b> SIZE=x\r\n": "501 5.5.4",
                b"MAIL FROM:<a@b> SIZE=%d\r\n" % (MAX_SIZE * 9): "552 5.3.4",
                b"MAIL FROM:<a@b> NONSENSE=1\r\n": "555 5.5.4",
                b"MAIL FROM:<a@b> BODY=QUOTED\r\n": "501 5.5.4",
                b"MAIL FROM:a b\r\n": "501 5.1.7",
                b"MAIL FROM:<\xff@b>\r\n": "501 5.5.2",
                b"MAIL FROM:<j\xc3\xb6rg@b>\r\n": "553 5.6.7",
                b"X" * 5000 + b"\r\n": "500 5.5.2",
                b"\0\r\n": "500 5.5.2",
                b"BDAT 7 LAST\r\nRSET x\n": "502 5.5.1",
                b"MAIL FROM:<a@b> BODY=BINARYMIME\r\n": "501 5.5.4",
                b"MAIL FROM:<a@b> HOLDFOR=60\r\n": "555 5.5.4",
            }.items():
                assert (await client.say(line))[:9] == reply, line[:40]
            assert (await client.say("MAIL FROM:<a@b>")).startswith("250")
            for line, reply in {
                b"RCPT TO:<bob@example.org> NONSENSE\r\n": "555 5.5.4",
                b"RCPT TO:<bob@example.org\r\n": "501 5.1.3",
                b"RCPT TO:<>\r\n": "501 5.1.3",
                b"DATA now\r\n": "501 5.5.4",
                b"DATA\r\n": "503 5.5.1",
            }.items():
                assert (await client.say(line))[:9] == reply, line[:40]
            assert codes(await client.say("RSET") and await client.deliver("bob@example.org")) == ["250 2.0.0"]

    run(main())


def test_pipelined_commands_and_a_client_that_drops(tmp_path: Path) -> None:
    commands = b"MAIL FROM:<%s>\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<no@example.org>\r\nDATA\r\n" % SENDER.encode()

    async def main() -> None:
        metrics = PrometheusMetrics()
        async with post(tmp_path, metrics=metrics) as it:
            async with it.client() as client:
                client.writer.write(commands)
                replies = [await client.reply() for _ in range(4)]
                assert codes(replies) == ["250 2.1.0", "250 2.1.5", "550 5.1.1", "354 End d"]
                client.writer.write(MAIL + b".\r\nRSET\r\n" + commands)
                assert codes([await client.reply() for _ in range(6)])[:2] == ["250 2.0.0", "250 2.0.0"]
                client.writer.write(MAIL)  # and no end
            await it.server.wait_empty()
            async with it.client() as other:
                assert codes(await other.deliver()) == ["250 2.0.0"]
            assert len(await it.house.mail(it.house.bob)) == 2
            page = metrics.page().decode()
            assert 'gateway_lmtp_messages_total{result="accepted"} 2.0' in page
            assert 'gateway_lmtp_messages_total{result="refused"} 1.0' in page

    run(main())


def test_a_slow_sender_is_told_so(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path, slow_window_s=0.2, slow_octets=1000) as it, it.client() as client:
            await client.envelope("bob@example.org")
            client.writer.write(b"From: x\r\n")
            assert (await client.reply()).startswith("421 4.4.2")
            assert await it.house.mail(it.house.bob) == []

    run(main())


def test_the_server_says_goodbye_and_keeps_what_it_has_begun(tmp_path: Path) -> None:
    async def main() -> None:
        async with post(tmp_path) as it:
            reader, writer = await asyncio.open_unix_connection(str(it.path))
            client = LmtpClient(reader, writer)
            await client.reply()
            closing = asyncio.ensure_future(it.server.close(grace_s=5))
            assert (await client.reply()).startswith("421 4.3.2")
            await closing
            writer.transport.abort()

    run(main())
