"""What becomes of mail in the account once it is here; never in mode pull."""

from __future__ import annotations

import pytest

from gateway.store.db import Database
from tests.connectors.kit import Content, connected, options, upstream_mail
from tests.support.upstream import DOVECOT, HMAIL, Drop, FakeUpstream, Refuse


def octets(mail: Content) -> list[str]:
    return sorted(digest for (_, digest), count in mail.items() for _ in range(count))


@pytest.mark.parametrize("mode", ["two-way", "import"])
async def test_marked_as_read(db: Database, mode: str) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 12}) as server,
        connected(db, server, options(mode=mode, imap={"after_fetch": "seen"})) as here,
    ):
        await here.until(lambda: all("\\Seen" in flags for flags, _ in upstream_mail(server)), "marked")
        await here.until(lambda: _all(here, 12), "all of them")


async def _all(here: object, count: int) -> bool:
    return sum((await here.mail()).values()) == count  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("personality", [DOVECOT, HMAIL], ids=lambda one: one.name)
async def test_moved_away(db: Database, personality: object) -> None:
    async with FakeUpstream(personality, mailboxes={"INBOX": 12}) as server:  # type: ignore[arg-type]
        before = octets(upstream_mail(server))
        wanted = options(mode="two-way", imap={"after_fetch": "move", "after_fetch_folder": "Done"})
        async with connected(db, server, wanted) as here:
            await here.good_sync()
            assert octets(upstream_mail(server, "Done")) == before
            assert octets(await here.mail()) == before
            server.account.deliver()
            await here.good_sync()
            await here.good_sync()
            assert len(octets(upstream_mail(server, "Done"))) == 13
            assert len(octets(await here.mail())) == 13
            assert not await here.mail("Done")


@pytest.mark.parametrize("nth", range(1, 4))
@pytest.mark.parametrize("command", ["STORE", "EXPUNGE"])
async def test_deleted_there_and_kept_here_wherever_it_is_cut_off(db: Database, command: str, nth: int) -> None:
    fault = Drop(command, nth=nth, when="after")
    async with FakeUpstream(DOVECOT, mailboxes={"INBOX": 12}, faults=[fault]) as server:
        before = octets(upstream_mail(server))
        async with connected(db, server, options(mode="two-way", imap={"after_fetch": "delete"})) as here:
            for _ in range(3):
                await here.sync()
            assert fault.fired
            assert octets(await here.mail()) == before, "not one lost, not one twice"
            assert not upstream_mail(server)


async def test_a_refusal_leaves_the_mail_on_both_sides(db: Database) -> None:
    async with (
        FakeUpstream(DOVECOT, mailboxes={"INBOX": 3}, faults=[Refuse("MOVE", "NO no", times=0)]) as server,
        connected(
            db, server, options(mode="two-way", imap={"after_fetch": "move", "after_fetch_folder": "Done"})
        ) as here,
    ):
        result = await here.good_sync()
        assert len(upstream_mail(server)) == 3
        assert sum((await here.mail()).values()) == 3
        assert any("refused" in note for note in result.run.notes)
