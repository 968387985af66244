"""A full inbox: mail to it is refused with 452 4.2.2 and nothing of it is kept, but a bounce always comes home."""

from __future__ import annotations

import asyncio
import smtplib
from pathlib import Path

import pytest

from gateway.model.errors import OverQuota
from gateway.model.ids import InboxId
from gateway.store import quota
from gateway.store.quota import Limits
from tests.faults.smtp_kit import SECRET, USER, certificates, door, envelope_of, principal, run
from tests.faults.smtp_relay import relay
from tests.faults.smtp_store import House, house

MESSAGE = b"From: Ann <ann@example.org>\r\nSubject: hi\r\n\r\nhello\r\n"


async def limit(it: House, inbox: InboxId, limits: Limits) -> None:
    await it.db.write(lambda tx: quota.set_limits(tx, inbox, limits), inboxes=(inbox,))


async def submit(it: House, *recipients: str) -> None:
    arrival = it.submissions.begin(envelope_of(principal(inbox_id=it.ann), USER, recipients))
    try:
        await arrival.write(MESSAGE)
        await arrival.finish()
    finally:
        arrival.abort()


def test_a_full_inbox_refuses_and_nobody_keeps_half_of_it(tmp_path: Path) -> None:
    async def main() -> None:
        tls = certificates(tmp_path)
        async with (
            house(tmp_path) as it,
            door(tls, who=principal(inbox_id=it.ann), acceptor=it.submissions) as entrance,
        ):
            await limit(it, it.bob, Limits(messages=1))

            def send() -> None:
                with smtplib.SMTP_SSL("localhost", entrance.server.port, context=tls.client) as client:
                    client.login(USER, SECRET)
                    client.sendmail(USER, ["bob@example.org"], MESSAGE)
                    with pytest.raises(smtplib.SMTPDataError) as refused:
                        client.sendmail(USER, ["ann@example.org", "bob@example.org"], MESSAGE)
                    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (452, b"4.2.2")

            await asyncio.to_thread(send)
            assert len(await it.mail(it.bob)) == 1
            assert await it.mail(it.ann) == []
            assert len(await it.mail(it.ann, "Sent")) == 1
            # the sender's own inbox has to take the copy
            await limit(it, it.ann, Limits(octets=1))
            with pytest.raises(OverQuota):
                await submit(it, "ann@example.org")
            await limit(it, it.ann, Limits())
            await limit(it, it.bob, Limits(messages=2))
            await submit(it, "bob@example.org")
            assert len(await it.mail(it.bob)) == 2

    run(main())


def test_a_bounce_comes_home_to_a_full_inbox(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append({"rcpt": "550 5.1.1 nobody"})
            await submit(it, "eve@elsewhere.net")
            await limit(it, it.ann, Limits(octets=0, messages=0))

            async def bounced() -> bool:
                return await it.states() == ["bounced"]

            async with it.runner():
                await it.until(bounced)
            [bounce] = await it.mail(it.ann)
            assert b"5.1.1" in bounce.octets

    run(main())
