"""New mail of an account, handed on: nothing is missed, nothing comes twice but what a crash left open."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, BinaryIO, cast

import pytest

from gateway.cli.remote_new import Asking
from gateway.connectors.remote.polling import NewMessage, TargetFailed, poll
from gateway.control.local import LocalCaller
from gateway.control.operations import Context
from gateway.ingest.writer import Ingest
from gateway.model.errors import InvalidRequest, NotFound, Unavailable
from gateway.store.connectors import accounts
from gateway.store.connectors.accounts import NewConnector
from gateway.store.connectors.rows import Changed
from gateway.store.db import Database
from tests.connectors.conftest import both
from tests.connectors.remote_kit import Hand
from tests.store.helpers import NOW, make_inbox
from tests.support.upstream import (
    DOVECOT,
    GMAIL,
    NETEASE,
    PLAIN,
    YAHOO,
    Cut,
    Do,
    Drop,
    FakeUpstream,
    NilBody,
    Personality,
    bodies,
    digest,
    example,
)


@dataclass
class Taken:
    """A target that keeps what it was given. `stop(UID)`: what it does instead of, or after, taking a message."""

    uids: list[int] = field(default_factory=list)
    contents: dict[int, bytes | None] = field(default_factory=dict)
    messages: list[NewMessage] = field(default_factory=list)
    before: Callable[[int], None] = lambda uid: None
    after: Callable[[int], None] = lambda uid: None

    async def deliver(self, message: NewMessage, content: BinaryIO | None) -> None:
        uid = message.facts.uid
        self.before(uid)
        self.uids.append(uid)
        self.messages.append(message)
        self.contents[uid] = content.read() if content is not None else None
        self.after(uid)


class Crash(BaseException):
    """The process is gone: nothing catches it."""


@dataclass
class Polling:
    """A poller in a store, of an account; each `asking` is as a process that has just begun."""

    server: FakeUpstream
    caller: LocalCaller
    refused: set[str] = field(default_factory=set)

    def asking(self, poller: str = "p", mailbox: str = "INBOX", **wanted: Any) -> Asking:
        async def acall(op: str, *, feed: Any = None, on_frame: Any = None, **params: Any) -> Any:
            if op in self.refused:
                raise Crash
            given = {name: value for name, value in params.items() if value is not None}
            return await self.caller.call(op, given, feed=feed, on_frame=on_frame)

        runtime = cast(Any, SimpleNamespace(acall=acall))
        return Asking(runtime, "work", None, poller, {"mailbox": mailbox, "fetch": True, **wanted})

    async def poll(self, target: Taken | None = None, *, mark_read: bool = False, **wanted: Any) -> Taken:
        target = Taken() if target is None else target
        await poll(self.asking(**wanted), target, mark_read=mark_read)
        return target

    async def cursors(self) -> Mapping[str, int]:
        return {row["poller"]: row["uid"] for row in await self.caller.call("remote.pollers", {"name": "work"})}


@asynccontextmanager
async def polling(db: Database, server: FakeUpstream) -> AsyncIterator[Polling]:
    inbox = await make_inbox(db)
    new = NewConnector(inbox.pod_id, "work", "me@elsewhere.test", inbox_id=inbox.id)
    row = await db.write(lambda tx: accounts.create(tx, new, now=NOW))
    async with server:
        it = Hand(server)
        it.found = type(it.found)(row, it.found.given, it.found.options)

        async def find(word: str, pod_id: object = None) -> Any:
            if word != "work":
                raise NotFound(word)
            return it.found

        desk = cast(Any, SimpleNamespace(connectors=SimpleNamespace(find=find), remote=lambda found, action: it.open()))
        context = Context(db=db, ingest=Ingest(db, now=lambda: NOW), now=lambda: NOW, max_import_size=10**8, desk=desk)
        yield Polling(server, LocalCaller(context))
        assert not server.violations, server.violations


@both
async def test_each_new_message_comes_once_from_the_first_run_on(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 3})) as it:
        assert (await it.poll()).uids == []
        assert await it.cursors() == {"p": 3}
        octets = example(subject="Grüße")
        it.server.deliver("INBOX", octets, flags=["\\Flagged"])
        it.server.deliver("INBOX")
        taken = await it.poll()
        assert taken.uids == [4, 5]
        assert taken.contents[4] == octets
        first = taken.messages[0]
        assert (first.connector, first.poller, first.mailbox) == ("work", "p", "INBOX")
        assert first.uidvalidity == it.server.account.mailbox("INBOX").uidvalidity
        assert (first.facts.subject, first.facts.flags, first.facts.size) == ("Grüße", ("\\Flagged",), len(octets))
        assert (await it.poll()).uids == []
        assert not it.server.writes(), "it only looks"


@pytest.mark.parametrize("kind", [DOVECOT, GMAIL, YAHOO, NETEASE, PLAIN], ids=lambda kind: kind.name)
async def test_from_the_start_all_come_page_after_page(db: Database, kind: Personality) -> None:
    async with polling(db, FakeUpstream(kind, mailboxes={"INBOX": 120})) as it:
        taken = await it.poll(from_start=True)
        box = it.server.account.mailbox("INBOX")
        assert taken.uids == list(box.places)
        assert all(digest(taken.contents[uid] or b"") == digest(box.places[uid].mail.octets) for uid in taken.uids)
        assert (await it.poll(from_start=True)).uids == []
        assert it.server.connections == 4, "three pages, and one that is empty; none while mail is handed on"


@pytest.mark.parametrize("kind", [DOVECOT, NETEASE, PLAIN], ids=lambda kind: kind.name)
async def test_an_empty_folder_is_a_beginning(db: Database, kind: Personality) -> None:
    async with polling(db, FakeUpstream(kind)) as it:
        assert (await it.poll()).uids == []
        it.server.deliver_many(2)
        assert (await it.poll(fetch=False)).uids == [1, 2]


@both
async def test_what_a_target_does_not_take_comes_again_and_nothing_before_it(db: Database) -> None:
    def refuse(uid: int) -> None:
        if uid == 3:
            raise TargetFailed("no")

    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 5})) as it:
        target = Taken(before=refuse)
        with pytest.raises(TargetFailed):
            await it.poll(target, from_start=True, mark_read=True)
        assert (target.uids, await it.cursors()) == ([1, 2], {"p": 2})
        flags = {uid: placed.mail.flags for uid, placed in it.server.account.mailbox("INBOX").places.items()}
        assert [uid for uid, some in flags.items() if "\\Seen" in some] == [1, 2], "what was taken is read"
        assert (await it.poll(mark_read=True)).uids == [3, 4, 5]
        assert all("\\Seen" in placed.mail.flags for placed in it.server.account.mailbox("INBOX").places.values())


async def test_a_crash_between_delivery_and_cursor_repeats_that_message_alone(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 4})) as it:

        def crash_behind(uid: int) -> None:
            if uid == 2:
                it.refused.add("remote.delivered")

        target = Taken(after=crash_behind)
        with pytest.raises(Crash):
            await it.poll(target, from_start=True)
        assert (target.uids, await it.cursors()) == ([1, 2], {"p": 1})
        it.refused.clear()
        target.after = lambda uid: None
        assert (await it.poll(target)).uids == [1, 2, 2, 3, 4]


async def test_whatever_crashes_each_message_comes_and_only_a_crash_repeats_one(db: Database) -> None:
    chance = random.Random(6)
    async with polling(db, FakeUpstream(DOVECOT)) as it:
        await it.poll()
        target, crashes = Taken(), 0
        for _ in range(40):
            it.server.deliver_many(chance.randrange(3))
            if chance.random() < 0.2 and (there := list(it.server.account.mailbox("INBOX").places)):
                it.server.expunge("INBOX", [uid for uid in there if uid in target.uids][:1])

            def maybe(uid: int) -> None:
                if chance.random() < 0.3:
                    raise Crash

            target.before, target.after = chance.choice([(maybe, lambda uid: None), (lambda uid: None, maybe)])
            try:
                await it.poll(target)
            except Crash:
                crashes += 1
        target.before = target.after = lambda uid: None
        await it.poll(target)
        last = it.server.account.mailbox("INBOX").uidnext
        assert sorted(set(target.uids)) == list(range(1, last)), "none is missed"
        assert len(target.uids) - len(set(target.uids)) <= crashes
        assert crashes > 5
        assert target.uids == sorted(target.uids), "in their order"


@pytest.mark.parametrize("from_start", [False, True])
async def test_a_new_uidvalidity_is_told_and_begins_anew(db: Database, from_start: bool) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 3})) as it:
        await it.poll()
        it.server.renumber("INBOX")
        notices: list[str] = []
        target = Taken()
        await poll(it.asking(from_start=from_start), target, notices=notices)
        assert target.uids == ([1, 2, 3] if from_start else [])
        assert len(notices) == 1
        assert "another UIDVALIDITY" in notices[0]
        it.server.deliver("INBOX")
        again: list[str] = []
        await poll(it.asking(from_start=from_start), target, notices=again)
        assert (target.uids[-1], again) == (4, [])


async def test_mail_that_goes_meanwhile_is_no_trouble(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 4})) as it:
        it.server.arm(Do("FETCH", lambda server: server.expunge("INBOX", 2)))
        it.server.arm(Do("FETCH", lambda server: server.expunge("INBOX", 3), nth=2, when="after", where=bodies))
        taken = await it.poll(from_start=True)
        assert 1 in taken.uids
        assert 2 not in taken.uids
        assert taken.uids[-1] == 4
        assert (await it.poll()).uids == []
        it.server.expunge("INBOX", [4])
        assert (await it.poll(mark_read=True)).uids == []


async def test_a_message_that_cannot_be_had_is_named_and_can_be_left_out(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 4})) as it:
        it.server.arm(NilBody(uid=3, times=0))
        target = Taken()
        with pytest.raises(InvalidRequest, match="message 3 and gives nothing of it; --after 3"):
            await it.poll(target, from_start=True)
        assert target.uids == [1, 2], "what came before it was handed on"
        with pytest.raises(InvalidRequest):
            await it.poll(target)
        assert (await it.poll(target, after=3)).uids == [1, 2, 4]


async def test_a_message_that_is_listed_and_never_told_of_is_named_too(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 3})) as it:
        it.server.account.mailbox("INBOX").places[2].mail.fetchable = False
        target = Taken()
        with pytest.raises(InvalidRequest, match="--after 2"):
            await it.poll(target, from_start=True)
        assert target.uids == [1]
        assert (await it.poll(target, after=2)).uids == [1, 3]


async def test_what_came_whole_before_a_cut_is_handed_on(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 5})) as it:
        it.server.arm(Cut("FETCH", octets=50, literal=True, nth=3, where=bodies))
        target = Taken()
        with pytest.raises(Unavailable, match="lost"):
            await it.poll(target, from_start=True)
        assert target.uids == [1, 2]
        assert (await it.poll(target)).uids == [1, 2, 3, 4, 5]
        it.server.arm(Drop("SEARCH"))
        with pytest.raises(Unavailable):
            await it.poll(target)


@both
async def test_two_of_one_name_do_not_go_on_together(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 3})) as it:
        one, other = it.asking(from_start=True), it.asking(from_start=True)
        first = await one.page()
        second = await other.page()
        await one.delivered(first.position, 1)
        with pytest.raises(Changed):
            await other.delivered(second.position, 1)
        first.close()
        second.close()


async def test_pollers_know_their_folder_and_are_forgotten(db: Database) -> None:
    async with polling(db, FakeUpstream(DOVECOT, mailboxes={"INBOX": 2, "Work": 1})) as it:
        await it.poll(poller="one")
        assert (await it.poll(poller="two", mailbox="Work", from_start=True)).uids == [1]
        with pytest.raises(InvalidRequest, match="another folder"):
            await it.poll(poller="one", mailbox="Work")
        assert await it.cursors() == {"one": 2, "two": 1}
        await it.caller.call("remote.forget", {"name": "work", "poller": "one"})
        assert await it.cursors() == {"two": 1}
        with pytest.raises(NotFound):
            await it.caller.call("remote.forget", {"name": "work", "poller": "one"})


@pytest.mark.parametrize(
    "params",
    [
        {"position": {}, "uid": 1},
        {"position": {"raw": "INBOX", "uidvalidity": "1", "uid": 1, "version": 1}, "uid": 1},
        {"position": {"raw": "\u0416", "uidvalidity": 1, "uid": 1, "version": 1}, "uid": 1},
    ],
)
async def test_a_position_that_nobody_told_is_refused(db: Database, params: dict[str, Any]) -> None:
    async with polling(db, FakeUpstream(DOVECOT)) as it:
        with pytest.raises(InvalidRequest):
            await it.caller.call("remote.delivered", {"name": "work", "poller": "p", **params})
