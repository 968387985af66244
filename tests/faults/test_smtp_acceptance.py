"""Acceptance on a real store: what is kept where, what is changed, and what a broken client leaves behind."""

from __future__ import annotations

import asyncio
import smtplib
from pathlib import Path

import pytest

from gateway.model.errors import SenderNotAuthorized, TooBig
from gateway.model.flags import SEEN
from gateway.store import content, inboxes, mailboxes, messages
from gateway.store.db import Tx
from gateway.store.inboxes import InboxSettings
from gateway.submit.envelope import Accepted
from gateway.submit.errors import BadMessage, NoRoute, UnknownRecipient
from tests.faults.smtp_kit import SECRET, USER, certificates, door, envelope_of, principal, run
from tests.faults.smtp_store import House, house

HEADER = (
    b"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\n"
    b"Bcc: secret@example.org,\r\n eve@elsewhere.net\r\nSubject: hi\r\n"
)
BODY = b"\r\nhello\r\n"
MESSAGE = HEADER + BODY


async def submit(
    it: House, message: bytes, *recipients: str, mail_from: str = USER, step: int = 7, **key: object
) -> Accepted:
    who = principal(inbox_id=it.ann, **key)
    arrival = it.submissions.begin(envelope_of(who, mail_from, recipients))
    try:
        for start in range(0, len(message), step):
            await arrival.write(message[start : start + step])
        return await arrival.finish()
    finally:
        arrival.abort()


def test_local_delivery_and_sent_copy(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            accepted = await submit(it, MESSAGE, "bob@example.org", "Bob+list@EXAMPLE.org")
            assert accepted.local == (it.bob,), "two addresses of one inbox are one delivery"
            assert accepted.queued == 0
            [got] = await it.mail(it.bob)
            [sent] = await it.mail(it.ann, "Sent")
            assert await it.mail(it.ann) == []
            assert sent.flags == SEEN
            assert got.flags == 0
            trace = b"Received: by mail.example.org with ESMTPSA id " + accepted.trace_id.encode()
            assert got.octets.startswith(b"Return-Path: <ann@example.org>\r\n" + trace)
            assert sent.octets.startswith(trace)
            assert b"Bcc" not in got.octets
            assert b"eve@elsewhere" not in got.octets
            assert HEADER in sent.octets, "the client's own octets, Bcc too"
            for octets in (got.octets, sent.octets):
                assert octets.endswith(BODY)
                assert octets.count(b"\r\nDate: Fri, 15 Jan 2027 08:00:00 +0000\r\n") == 1
                assert octets.count(b"\r\nMessage-ID: <") == 1
            assert await it.states() == ["sent", "sent"], "the history"

    run(main())


def test_date_and_message_id_of_the_client_stay(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            message = b"DATE: x\r\nmessage-id: <1@x>\r\nFrom: ann@example.org\r\n\r\nbody\r\n"
            await submit(it, message, "bob@example.org")
            [got] = await it.mail(it.bob)
            assert got.octets.endswith(message)
            assert got.octets.lower().count(b"\r\ndate:") == 1

    run(main())


def test_remote_recipients_are_queued_without_bcc(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            with pytest.raises(NoRoute, match="relay"):
                await submit(it, MESSAGE, "eve@elsewhere.net")
            assert await it.mail(it.ann, "Sent") == [], "nothing of a refused message is kept"
            it.use_relay(25)
            accepted = await submit(it, MESSAGE, "eve@elsewhere.net", "bob@example.org")
            assert accepted.queued > 0
            [entry] = await it.queue()
            assert [(person.address, person.state) for person in entry.recipients] == [
                ("bob@example.org", "sent"), ("eve@elsewhere.net", "queued")
            ]
            assert entry.submission.mail_from == USER
            assert entry.submission.inbox_id == it.ann
            assert len(await it.mail(it.bob)) == 1

    run(main())


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b"From: eve@example.org\r\n", SenderNotAuthorized),
        (b"From: bob@example.org\r\n", SenderNotAuthorized),
        (b"From: ann@example.org, bob@example.org\r\n", SenderNotAuthorized),
        (b'From: "ann@example.org" <bob@example.org>\r\n', SenderNotAuthorized),
        (b"From: ann@example.org\r\nSender: bob@example.org\r\n", SenderNotAuthorized),
        (b"From: ann@example.org\r\nResent-From: bob@example.org\r\n", SenderNotAuthorized),
        (b"From: ann@example.org\r\nFrom: ann@example.org\r\n", BadMessage),
        (b"Subject: none\r\n", BadMessage),
        (b"From: \r\n", BadMessage),
        (b"From: ann\r\n", BadMessage),
        (b"From: undisclosed:;\r\n", BadMessage),
    ],
)
def test_authors_belong_to_the_key(tmp_path: Path, header: bytes, error: type[Exception]) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            with pytest.raises(error):
                await submit(it, header + b"\r\nx\r\n", "bob@example.org")
            assert await it.mail(it.bob) == []

    run(main())


def test_recipients(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            who = principal(inbox_id=it.ann)
            it.use_relay(25)
            await it.submissions.check_recipient(who, USER, "BOB@example.org")
            await it.submissions.check_recipient(who, USER, "x@elsewhere.net")
            for address in ("bbo@example.org", "postmaster"):
                with pytest.raises(UnknownRecipient):
                    await it.submissions.check_recipient(who, USER, address)
            await it.submissions.check_sender(who, "ann+tag@example.org")
            await it.submissions.check_sender(who, "")
            with pytest.raises(SenderNotAuthorized):
                await it.submissions.check_sender(who, "bob@example.org")

    run(main())


def test_sent_copy_settings(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            message = b"Message-ID: <1@x>\r\n" + MESSAGE

            async def setting(value: str) -> None:
                await it.db.write(
                    lambda tx: inboxes.change_settings(tx, it.ann, settings=InboxSettings(value), name=None)  # type: ignore[arg-type]
                )

            await setting("never")
            await submit(it, message, "bob@example.org")
            assert await it.mail(it.ann, "Sent") == []
            await setting("auto")
            await submit(it, message + b"another\r\n", "bob@example.org")
            assert len(await it.mail(it.ann, "Sent")) == 1
            await submit(it, message, "bob@example.org", mail_from="")
            assert len(await it.mail(it.ann, "Sent")) == 1, "a receipt leaves no copy"
            # The key's rule wins over the inbox's, both ways.
            await submit(it, MESSAGE, "bob@example.org", sent_copy="never")
            assert len(await it.mail(it.ann, "Sent")) == 1
            await setting("never")
            await submit(it, MESSAGE, "bob@example.org", sent_copy="always")
            assert len(await it.mail(it.ann, "Sent")) == 2

    run(main())


def test_client_copy_and_ours_are_one(tmp_path: Path) -> None:
    """Whichever comes first, Sent holds the client's copy once."""

    async def main() -> None:
        async with house(tmp_path) as it:

            async def client_append(message: bytes) -> None:
                writer = it.ingest.writer(max_size=10**6)
                await writer.write(message)
                staged = await writer.finish()

                def unit(tx: Tx) -> None:
                    sent = mailboxes.by_role(tx, it.ann, "\\Sent")
                    assert sent is not None
                    content.complete(tx, staged, int(it.now))
                    messages.append(tx, sent.id, it.ann, staged, internal_date=1, now=int(it.now))

                await it.db.write(unit, inboxes=(it.ann,))

            after = b"Message-ID: <after@x>\r\n" + MESSAGE
            await submit(it, after, "bob@example.org")
            await client_append(after)
            assert [copy.octets for copy in await it.mail(it.ann, "Sent")] == [after]
            before = b"Message-ID: <before@x>\r\n" + MESSAGE
            await client_append(before)
            await submit(it, before, "bob@example.org")
            assert [copy.octets for copy in await it.mail(it.ann, "Sent")] == [after, before]

    run(main())


def test_sent_mailbox_is_made_when_missing(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await it.db.write(lambda tx: mailboxes.delete(tx, it.ann, "Sent", now=1))
            await submit(it, MESSAGE, "bob@example.org")
            assert len(await it.mail(it.ann, "Sent")) == 1

    run(main())


def test_large_message_is_staged_and_exact(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            body = b"\r\n" + b"".join(b"line %d \xe9\r\n" % number for number in range(60_000))
            await submit(it, HEADER + body, "bob@example.org", "ann@example.org", step=50_000)
            [bobs] = await it.mail(it.bob)
            [anns] = await it.mail(it.ann)
            [sent] = await it.mail(it.ann, "Sent")
            assert bobs.octets == anns.octets
            assert bobs.octets.endswith(body)
            assert sent.octets.endswith(body)
            assert HEADER in sent.octets
            with pytest.raises(TooBig):
                await submit(it, HEADER + body * 3, "bob@example.org", step=50_000)

    run(main())


def test_message_without_a_body(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it:
            await submit(it, b"From: ann@example.org\r\nSubject: only this\r\n", "bob@example.org")
            [got] = await it.mail(it.bob)
            assert b"Subject: only this\r\n" in got.octets
            with pytest.raises(BadMessage):
                await submit(it, b"", "bob@example.org")
            with pytest.raises(BadMessage, match="too large"):
                await submit(it, b"From: ann@example.org\r\nX: " + b"x" * 300_000, "bob@example.org", step=10_000)

    run(main())


def test_cancelled_after_the_final_dot_is_kept_once(tmp_path: Path) -> None:
    """The client drops while the commit runs: it was told nothing, and all of the message is there or nothing."""

    async def main() -> None:
        async with house(tmp_path) as it:
            task = asyncio.create_task(submit(it, MESSAGE, "bob@example.org", step=10_000))
            writing = asyncio.Event()
            real = it.db.write

            async def slow(*args: object, **kwargs: object) -> object:
                writing.set()
                await asyncio.sleep(0)
                return await real(*args, **kwargs)  # type: ignore[arg-type]

            it.db.write = slow  # type: ignore[assignment,method-assign]
            await writing.wait()
            writing.clear()
            while not it.submissions.background._tasks:  # noqa: ASYNC110 - until the commit has begun, and not a turn longer
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await it.submissions.drain()
            it.db.write = real  # type: ignore[method-assign]
            assert len(await it.mail(it.bob)) == 1
            assert len(await it.mail(it.ann, "Sent")) == 1

    run(main())


def test_smtplib_to_store(tmp_path: Path) -> None:
    """The whole way in: smtplib, TLS, the session, acceptance, the store; a drop in the middle leaves nothing."""
    tls = certificates(tmp_path)

    async def main() -> None:
        async with (
            house(tmp_path) as it,
            door(tls, who=principal(inbox_id=it.ann), acceptor=it.submissions) as entrance,
        ):

            def send() -> None:
                with smtplib.SMTP_SSL("localhost", entrance.server.port, context=tls.client) as client:
                    client.login(USER, SECRET)
                    client.sendmail(USER, ["bob@example.org"], MESSAGE)
                    for sender, message in (("bob@example.org", MESSAGE), (USER, b"From: bob@example.org\r\n\r\nx")):
                        with pytest.raises(smtplib.SMTPException) as refused:
                            client.sendmail(sender, ["bob@example.org"], message)
                        assert "Sender not authorized" in str(refused.value)
                    with pytest.raises(smtplib.SMTPRecipientsRefused) as unknown:
                        client.sendmail(USER, ["bbo@example.org"], MESSAGE)
                    assert unknown.value.recipients["bbo@example.org"][0] == 550
                    with pytest.raises(smtplib.SMTPRecipientsRefused) as remote:
                        client.sendmail(USER, ["x@elsewhere.net"], MESSAGE)
                    assert b"relay" in remote.value.recipients["x@elsewhere.net"][1]

            await asyncio.to_thread(send)
            async with entrance.client() as client:
                await client.login()
                await client.envelope()
                client.writer.write(MESSAGE + b"x" * 600_000)
                await client.writer.drain()
            await entrance.server.wait_empty()
            assert len(await it.mail(it.bob)) == 1
            assert len(await it.mail(it.ann, "Sent")) == 1

    run(main())
