"""The way of a message on PostgreSQL: acceptance's unit over several inboxes, the queue's claims, a bounce."""

from __future__ import annotations

from pathlib import Path

from gateway.model.ids import PodId
from gateway.model.permissions import ScopeKind
from gateway.store import lists, quota
from gateway.store.lists import Direction, Place, Verdict
from gateway.store.quota import Limits
from tests.faults.lmtp_kit import MAIL, post
from tests.faults.smtp_kit import USER, envelope_of, principal, run
from tests.faults.smtp_relay import relay
from tests.faults.smtp_store import house


def test_mail_from_a_server_in_front(tmp_path: Path, postgresql_url: str) -> None:
    """One unit for both inboxes, also when one of them is full; lists are asked in this engine's words too."""

    async def main() -> None:
        async with post(tmp_path, postgresql_url) as it, it.client() as client:
            to = ("bob@example.org", "ann@example.org")
            assert [reply[:3] for reply in await client.deliver(*to)] == ["250", "250"]
            await it.house.db.write(lambda tx: quota.set_limits(tx, it.house.ann, Limits(messages=1)))
            assert [reply[:9] for reply in await client.deliver(*to)] == ["250 2.0.0", "452 4.2.2"]
            place = Place(ScopeKind.INBOX, PodId(0), it.house.bob)
            await it.house.db.write(
                lambda tx: lists.put(tx, place, Direction.RECEIVE, Verdict.ALLOW, "corp.example", now=1)
            )
            answer = b"References: <a@b> <c@d>\r\n"
            assert [reply[:3] for reply in await client.deliver("bob@example.org", octets=answer + MAIL)] == ["250"]
            boxes = [len(await it.house.mail(it.house.bob, name)) for name in ("INBOX", "Spam")]
            assert (boxes, len(await it.house.mail(it.house.ann))) == ([2, 1], 1)

    run(main())


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
