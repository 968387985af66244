"""All Mail of a Gmail account is shown in IMAP later, or hidden: the same mail by other folders, none of it twice."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from gateway.store import messages
from gateway.store.db import Database
from gateway.store.messages import Columns
from tests.connectors.conftest import both
from tests.connectors.kit import Connected, all_mail, connected, options
from tests.connectors.local_changes import Local
from tests.connectors.push_kit import SETTINGS, settle
from tests.support.upstream import GMAIL, Drop, FakeUpstream, example

ALL, TRASH = "[Gmail]/All Mail", "[Gmail]/Trash"
HIDDEN = GMAIL.replace(boxes=tuple(
    (name, ("\\All", "\\Noselect")) if name == ALL else (name, attributes) for name, attributes in GMAIL.boxes
))  # fmt: skip
MODES = pytest.mark.parametrize("mode", ["pull", "two-way"])


def show(server: FakeUpstream) -> None:
    account = server.account
    account.mailbox(ALL).attributes = ("\\All",)
    mails = {place.mail for box in account.mailboxes.values() for place in box.places.values()}
    for mail in sorted(mails, key=lambda one: one.number):
        if not any(place.mailbox.raw in (TRASH, "[Gmail]/Spam") for place in mail.places):
            account._settle(mail, quiet=True)  # type: ignore[attr-defined]
    account.notify()


def hide(server: FakeUpstream) -> None:
    server.account.mailbox(ALL).attributes = ("\\All", "\\Noselect")
    server.account.notify()


def bodies(server: FakeUpstream) -> int:
    return sum(b"BODY.PEEK[]" in one.raw for one in server.log)


async def counts(here: Connected) -> dict[str, int]:
    found = await all_mail(here.db, here.inbox.id)
    return {name: sum(mail.values()) for name, mail in found.items() if mail}


async def emails(here: Connected) -> Counter[str]:
    """How many messages of each mailbox; and that those with the same octets are one message."""
    local, found = Local(here), Counter[str]()
    for name in await counts(here):
        found.update({f"{name} {one}": 1 for one in await local.emails(name)})
    return found


def some(server: FakeUpstream) -> None:
    """In folders alone: three in the inbox, of which one bears another label; one that is only labelled."""
    for labels in (["\\Inbox"], ["\\Inbox"], ["\\Inbox", "Work"], ["Work"]):
        uid = server.account.deliver("INBOX", labels=labels, flags=["\\Seen"])
        if "\\Inbox" not in labels:
            server.account.expunge("INBOX", uid)
    server.account.deliver(TRASH)


def mailboxes() -> dict[str, Any]:
    return {"Work": 0}


@both
@MODES
async def test_all_mail_is_shown(db: Database, mode: str) -> None:
    async with (
        FakeUpstream(HIDDEN, mailboxes=mailboxes()) as server,
        connected(db, server, options(mode=mode), settings=SETTINGS) as here,
    ):
        some(server)
        await here.good_sync()
        assert bodies(server)
        before, every = await counts(here), await emails(here)
        assert before == {"INBOX": 3, "Work": 2, "Trash": 1}
        show(server)
        server.log.clear()
        found = await here.good_sync()
        assert (await counts(here), await emails(here)) == (before, every)
        assert not bodies(server), "no octet of it came again"
        assert any("All Mail is shown" in note for note in found.run.notes)
        await settle(here)
        assert (await counts(here), await emails(here)) == (before, every)
        server.account.set_labels(ALL, min(server.account.mailbox(ALL).places), ["Work"])
        new = server.account.deliver(ALL, labels=["\\Inbox", "Work"])
        await here.good_sync()
        assert await counts(here) == {"INBOX": 3, "Work": 4, "Trash": 1}
        server.account.set_flags(ALL, new, ["\\Flagged"])
        await here.good_sync()
        assert await counts(here) == {"INBOX": 3, "Work": 4, "Trash": 1}


@both
@MODES
async def test_all_mail_is_hidden_and_shown_again(db: Database, mode: str) -> None:
    async with (
        FakeUpstream(GMAIL, mailboxes=mailboxes()) as server,
        connected(db, server, options(mode=mode), settings=SETTINGS) as here,
    ):
        some(server)
        server.account.deliver(ALL, labels=[])
        await here.good_sync()
        before, every = await counts(here), await emails(here)
        assert before == {"INBOX": 3, "Work": 2, "Trash": 1, "Archive": 1}
        for change in (hide, show, hide, show):
            change(server)
            server.log.clear()
            found = await here.good_sync()
            assert (await counts(here), await emails(here)) == (before, every)
            assert not bodies(server), "no octet of it came again"
            assert any("All Mail is" in note for note in found.run.notes)
            quiet = await here.good_sync()
            assert (quiet.run.imported, quiet.run.pushed) == (0, 0)
            assert (await counts(here), await emails(here)) == (before, every)
        hide(server)
        await here.good_sync()
        server.account.deliver("INBOX")
        server.account.copy("INBOX", min(server.account.mailbox("INBOX").places), "Work")
        await here.good_sync()
        now = {"INBOX": 4, "Work": 3, "Trash": 1, "Archive": 1}
        assert await counts(here) == now
        show(server)
        await settle(here)
        assert await counts(here) == now


@MODES
async def test_what_changed_while_it_was_switched(db: Database, mode: str) -> None:
    async with (
        FakeUpstream(HIDDEN, mailboxes=mailboxes()) as server,
        connected(db, server, options(mode=mode, vanished="delete"), settings=SETTINGS) as here,
    ):
        some(server)
        await here.good_sync()
        first, second, third = sorted(server.account.mailbox("INBOX").places)
        show(server)
        of = {place.mail: uid for uid, place in server.account.mailbox(ALL).places.items()}
        uid = [of[server.account.mailbox("INBOX").places[one].mail] for one in (first, second, third)]
        server.account.set_flags(ALL, uid[0], ["\\Seen", "\\Flagged"])
        server.account.set_labels(ALL, uid[1], [])
        server.account.move(ALL, uid[2], TRASH)
        await here.good_sync()
        assert await counts(here) == {"INBOX": 1, "Work": 1, "Trash": 2, "Archive": 1}
        assert [set(flags) for flags, _ in await here.mail()] == [{"\\Seen", "\\Flagged"}]
        await settle(here)
        assert await counts(here) == {"INBOX": 1, "Work": 1, "Trash": 2, "Archive": 1}


@pytest.mark.parametrize("personality", [HIDDEN, GMAIL], ids=["shown", "hidden"])
async def test_what_changed_here_meanwhile_goes_up(db: Database, personality: Any) -> None:
    """Flags and a move, and what was filed, of which nobody told us Gmail's id."""
    async with (
        FakeUpstream(personality, mailboxes=mailboxes()) as server,
        connected(db, server, options(mode="two-way"), settings=SETTINGS) as here,
    ):
        some(server)
        await here.good_sync()
        local = Local(here)
        await local.append("INBOX", example(message_id="<filed@x.test>"))
        await here.good_sync()
        assert await counts(here) == {"INBOX": 4, "Work": 2, "Trash": 1}
        await local.flag("Work", (await local.uids("Work"))[:1], "remove", "\\Seen")
        alone = [uid for uid in await local.uids() if await _email(local, uid) not in await local.emails("Work")]
        await local.move("INBOX", alone[:1], "Work")
        (show if personality is HIDDEN else hide)(server)
        server.log.clear()
        await settle(here)
        assert await counts(here) == {"INBOX": 3, "Work": 3, "Trash": 1}
        inbox, work = server.account.mailbox("INBOX"), server.account.mailbox("Work")
        assert (len(inbox.places), len(work.places)) == (3, 3)
        assert sum(place.mail.flags == set() for place in work.places.values()) == 1
        assert not [one for one in server.log if one.name == "APPEND"]


async def _email(local: Local, uid: int) -> str:
    box = await local.box("INBOX")
    return await local.db.read(lambda rx: messages.fetch_rows(rx, box, [uid], Columns.EMAIL_ID)[0][1])


@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_it_is_cut_off(db: Database, nth: int) -> None:
    async with (
        FakeUpstream(HIDDEN, mailboxes=mailboxes()) as server,
        connected(db, server, options(mode="two-way"), settings=SETTINGS) as here,
    ):
        some(server)
        await here.good_sync()
        before, every = await counts(here), await emails(here)
        for change in (show, hide, show):
            change(server)
            server.arm(Drop("UID FETCH", when="told", nth=nth))
            await here.sync()
            await here.restart()
            await settle(here)
            assert (await counts(here), await emails(here)) == (before, every)


async def test_what_changed_here_in_the_archive_while_it_was_hidden_goes_up(db: Database) -> None:
    async with (
        FakeUpstream(GMAIL, mailboxes=mailboxes()) as server,
        connected(db, server, options(mode="two-way"), settings=SETTINGS) as here,
    ):
        server.account.deliver("INBOX", labels=["\\Inbox"])
        uid = server.account.deliver(ALL)
        await here.good_sync()
        hide(server)
        await here.good_sync()
        local = Local(here)
        await local.flag("Archive", await local.uids("Archive"), "add", "\\Seen")
        await settle(here)
        assert not server.account.mailbox(ALL).places[uid].mail.flags
        show(server)
        await settle(here)
        assert server.account.mailbox(ALL).places[uid].mail.flags == {"\\Seen"}
        assert await counts(here) == {"INBOX": 1, "Archive": 1}


async def test_flags_that_differ_are_merged(db: Database) -> None:
    """Both sides changed the same message while All Mail was being shown."""
    async with (
        FakeUpstream(HIDDEN, mailboxes=mailboxes()) as server,
        connected(db, server, options(mode="two-way"), settings=SETTINGS) as here,
    ):
        uid = server.account.deliver("INBOX", labels=["\\Inbox"])
        await here.good_sync()
        local = Local(here)
        await local.flag("INBOX", await local.uids(), "add", "\\Answered")
        server.account.set_flags("INBOX", uid, ["\\Flagged"])
        show(server)
        await settle(here)
        ((flags, _),) = await here.mail()
        assert set(flags) == {"\\Answered", "\\Flagged"}
        ((place),) = server.account.mailbox(ALL).places.values()
        assert place.mail.flags == {"\\Answered", "\\Flagged"}
