"""The way of a message on PostgreSQL: acceptance's unit over several inboxes, the queue's claims, a bounce."""

from __future__ import annotations

from pathlib import Path

from tests.faults.smtp_kit import USER, envelope_of, principal, run
from tests.faults.smtp_relay import relay
from tests.faults.smtp_store import house

MESSAGE = b"From: ann@example.org\r\nBcc: x@y\r\nSubject: hi\r\n\r\n" + b"line\r\n" * 100_000


def test_local_remote_and_bounced(tmp_path: Path, postgresql_url: str) -> None:
    async def main() -> None:
        async with house(tmp_path, postgresql_url) as it, relay() as peer:
            it.use_relay(peer.port)
            peer.scripts.append({"rcpt2": "550 5.1.1 nobody"})
            who = principal(inbox_id=it.ann)
            to = ("eve@elsewhere.net", "bob@example.org", "nobody@elsewhere.net", "ann@example.org")
            arrival = it.submissions.begin(envelope_of(who, USER, to))
            await arrival.write(MESSAGE)
            accepted = await arrival.finish()
            assert accepted.local == tuple(sorted((it.ann, it.bob)))
            async with it.runner():

                async def settled() -> bool:
                    return await it.states() == ["sent", "sent", "sent", "bounced"]

                await it.until(settled)
            [bobs] = await it.mail(it.bob)
            [own, bounce] = await it.mail(it.ann)
            [sent] = await it.mail(it.ann, "Sent")
            assert bobs.octets == own.octets
            assert b"Bcc" not in bobs.octets
            assert b"Bcc: x@y\r\n" in sent.octets
            assert b"<nobody@elsewhere.net>" in bounce.octets
            assert [mail.recipients for mail in peer.taken] == [["eve@elsewhere.net"]]
            assert peer.taken[0].octets.endswith(b"\r\n\r\n" + b"line\r\n" * 100_000)

    run(main())
