"""One copy of sent mail in the account's Sent, and one here, whoever files it."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pytest

from gateway.connectors.options import Options, SmtpLeg
from gateway.connectors.push.sent import SentMail, ask_copy
from gateway.model.flags import SEEN
from gateway.model.ids import SubmissionId
from gateway.store import content, messages, queue, queue_outcome, submissions
from gateway.store.connectors import ops
from gateway.store.db import Database, Rx, Tx
from gateway.store.messages import Columns
from gateway.store.queue import QueueState
from gateway.store.queue_outcome import Result
from tests.connectors.kit import Connected, connected, options, upstream_mail
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS
from tests.store.helpers import staged, submission
from tests.support.upstream import DOVECOT, Drop, FakeUpstream, Refuse, example

ID = "<one@here.test>"


@dataclass
class Clock:
    ahead: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


def sends(host: str = "smtp.corp.test", **leg: str) -> Options:
    found = options(mode="two-way")
    return Options(found.imap, SmtpLeg(host=host, **leg), found.sync)  # type: ignore[arg-type]


async def went_out(here: Connected, local: Local, *, probe: bool, ago: int = 0) -> bytes:
    """The copy in Sent here, and what delivery says of it."""
    octets = await local.append("Sent", example(message_id=ID), flags=SEEN)
    box, (uid,) = await local.box("Sent"), await local.uids("Sent")

    def content(rx: Rx) -> int:
        return int(messages.fetch_rows(rx, box, [uid], Columns.CONTENT_ID)[0][1])

    number = await here.db.read(content)
    now = int(here.clock())
    sent = SentMail(here.inbox.id, number, ID.strip("<>").encode(), now - ago, probe)
    for _ in range(2):
        await here.db.write(lambda tx: ask_copy(tx, here.row.id, "s1", sent, now), inboxes=(here.inbox.id,))
    return octets


async def one_copy(here: Connected, server: FakeUpstream) -> None:
    assert await here.mail("Sent") == upstream_mail(server, "Sent")
    assert sum(upstream_mail(server, "Sent").values()) == 1
    assert not await here.db.read(lambda rx: ops.open_ops(rx, here.row.id))


@pytest.mark.parametrize("when", ["", "before", "after", "told"])
async def test_a_copy_that_the_server_does_not_file_is_put_there(db: Database, when: str) -> None:
    async with FakeUpstream(DOVECOT) as server, connected(db, server, sends(), settings=SETTINGS) as here:
        await here.good_sync()
        local = Local(here)
        await went_out(here, local, probe=False)
        if when:
            server.arm(Drop("APPEND", when=when))
        for _ in range(4):
            await here.sync()
        await one_copy(here, server)


async def test_what_the_server_filed_is_the_copy_here(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT) as server,
        connected(db, server, sends("smtp.gmail.com"), settings=SETTINGS) as here,
    ):
        await here.good_sync()
        local = Local(here)
        octets = await local.append("Sent", example(message_id=ID), flags=SEEN)
        await here.good_sync()
        assert not upstream_mail(server, "Sent"), "it waits for theirs"
        emails = await local.emails("Sent")
        server.account.deliver("Sent", b"Received: by smtp.gmail.com\r\n" + octets, flags=["\\Seen"])
        await here.good_sync()
        await here.good_sync()
        assert await local.emails("Sent") == emails
        assert sum(upstream_mail(server, "Sent").values()) == 1


async def test_no_copy_where_none_is_wanted(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT) as server,
        connected(db, server, sends(sent_copy="never"), settings=SETTINGS, clock=Clock(2_000)) as here,
    ):
        await here.good_sync()
        await Local(here).append("Sent", example(message_id=ID), flags=SEEN)
        await here.good_sync()
        assert not upstream_mail(server, "Sent")
        assert sum((await here.mail("Sent")).values()) == 1


async def test_nobody_files_it_so_ours_goes_up_after_a_while(db: Database) -> None:
    clock = Clock()
    async with (
        FakeUpstream(DOVECOT) as server,
        connected(db, server, sends("smtp.gmail.com"), settings=SETTINGS, clock=clock) as here,
    ):
        await here.good_sync()
        await Local(here).append("Sent", example(message_id=ID), flags=SEEN)
        await here.good_sync()
        clock.ahead = 1_000
        await here.good_sync()
        await one_copy(here, server)


async def submitted(here: Connected, clock: Clock) -> SubmissionId:
    """The copy in Sent here, and its message in the queue, to one recipient elsewhere and one here."""
    await Local(here).append("Sent", example(message_id=ID), flags=SEEN)
    made = staged(example(message_id=ID))
    facts = {"message_id": ID.strip("<>").encode()}
    new = submission(here.inbox.id, "me@corp.test", made, ["you@third.test", "me@third.test"], **facts)

    def unit(tx: Tx) -> SubmissionId:
        content.complete(tx, made, int(clock()))
        return submissions.enqueue(tx, new, int(clock()))

    return await here.db.write(unit)


async def end(here: Connected, number: SubmissionId, *states: str, now: float) -> None:
    def unit(tx: Tx) -> None:
        rows = queue.recipients_of(tx, number)
        results = [Result(row, number, QueueState(state)) for row, state in zip(rows, states, strict=False)]
        queue_outcome.settle(tx, results, int(now))

    await here.db.write(unit)


@pytest.mark.parametrize("sent", [True, False])
async def test_while_the_message_waits_in_the_queue_its_copy_does_too(db: Database, sent: bool) -> None:
    """However long: else the server's own comes beside it. Then the server has its time, if it was given it."""
    clock = Clock()
    async with (
        FakeUpstream(DOVECOT) as server,
        connected(db, server, sends("smtp.gmail.com"), settings=SETTINGS, clock=clock) as here,
    ):
        await here.good_sync()
        number = await submitted(here, clock)
        for ahead in (0, 1_000, 200_000):
            clock.ahead = ahead
            await here.good_sync()
            assert upstream_mail(server, "Sent") == {}
        await end(here, number, "sent" if sent else "bounced", now=clock())
        await here.good_sync()
        assert upstream_mail(server, "Sent") == {}, "another recipient still waits"
        await end(here, number, "sent" if sent else "bounced", "bounced", now=clock())
        await here.good_sync()
        if sent:
            assert upstream_mail(server, "Sent") == {}, "the server may just be filing it"
            clock.ahead += 1_000
            await here.good_sync()
        await one_copy(here, server)


async def test_a_probe_finds_what_the_server_filed_and_remembers(db: Database) -> None:
    clock = Clock()
    async with (
        FakeUpstream(DOVECOT) as server,
        connected(db, server, sends(), settings=SETTINGS, clock=clock) as here,
    ):
        await here.good_sync()
        octets = await went_out(here, Local(here), probe=True)
        await here.good_sync()
        assert not upstream_mail(server, "Sent")
        clock.ahead = 10
        await here.good_sync()
        assert not upstream_mail(server, "Sent"), "absent after 5 seconds is not absent yet"
        assert (await here.read_row()).files_sent is None
        server.account.deliver("Sent", octets, flags=["\\Seen"])
        clock.ahead = 40
        await here.good_sync()
        await here.good_sync()
        assert (await here.read_row()).files_sent is True
        await one_copy(here, server)


async def test_a_probe_that_finds_nothing_puts_ours_there_and_remembers(db: Database) -> None:
    clock = Clock()
    async with (
        FakeUpstream(DOVECOT, faults=[Refuse("APPEND", "NO not now")]) as server,
        connected(db, server, sends(), settings=SETTINGS, clock=clock) as here,
    ):
        await here.good_sync()
        await went_out(here, Local(here), probe=True)
        for ahead in (10, 40, 50, 60):
            clock.ahead = ahead
            await here.good_sync()
        assert (await here.read_row()).files_sent is False
        await one_copy(here, server)
