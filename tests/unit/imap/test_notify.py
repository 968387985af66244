"""NOTIFY's limits, an outage, and a peer that reads nothing; the order in which changed names are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.imap import inbox_watch, notify, settings
from gateway.imap.inbox_state import InboxState
from gateway.model.errors import Unavailable
from gateway.store import mailboxes
from gateway.store.db import Tx
from gateway.store.listing import Listed
from tests.transcripts.harness import NOW, Client, Harness
from tests.transcripts.play import play


def begin(directory: Path, body: Callable[[Harness, Client], Awaitable[None]]) -> None:
    async def begun(harness: Harness) -> None:
        await body(harness, await harness.logged_in())

    play(directory, begun)


async def create(harness: Harness, *names: str) -> None:
    """Somebody else makes mailboxes, in one unit."""

    def unit(tx: Tx) -> None:
        for name in names:
            mailboxes.create(tx, harness.inbox, name, now=NOW)

    await harness.db.write(unit, inboxes=(harness.inbox,))


def test_too_many_mailboxes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "NOTIFY_MOST", 4)

    async def body(harness: Harness, client: Client) -> None:
        lines = await client.run(b"NOTIFY SET STATUS (personal (MessageNew MessageExpunge))")
        assert lines == [b"x NO [NOTIFICATIONOVERFLOW] These are too many mailboxes to watch"]
        assert client.session.notify is None
        assert not harness.states.inboxes._by_inbox  # nobody watches, nothing is read
        few = b"(mailboxes (INBOX Sent) (MessageNew MessageExpunge))"
        lines = await client.run(b"NOTIFY SET (personal (MailboxName)) " + few)
        assert lines == [b"x OK NOTIFY completed"]

    begin(tmp_path, body)


def test_who_is_too_far_behind_is_told_so_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "NEWS_KEPT", 3)

    async def body(harness: Harness, client: Client) -> None:
        await client.run(b"NOTIFY SET (personal (MailboxName)) (inboxes (MessageNew MessageExpunge))")
        client.session.channel.pause()
        await create(harness, "a", "b", "c", "d")
        await harness.deliver(b"Subject: x\r\n\r\n")
        await asyncio.sleep(0)
        client.session.channel.resume()
        client.session.writable()
        assert (await client.line()).startswith(b"* OK [NOTIFICATIONOVERFLOW] ")
        await harness.deliver(b"Subject: x\r\n\r\n")
        assert await client.run(b"NOOP") == [b"x OK NOOP completed"]
        assert not harness.states.inboxes._by_inbox

    begin(tmp_path, body)


def test_an_outage_delays_the_news(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_watch, "RETRY_AFTER", 0.0)

    async def body(harness: Harness, client: Client) -> None:
        await client.run(b"NOTIFY SET (personal (MailboxName))")
        looks = 0

        def away(*args: Any, **kwargs: Any) -> Any:
            nonlocal looks
            looks += 1
            raise Unavailable("The store is away")

        with monkeypatch.context() as patch:
            patch.setattr(inbox_watch, "_some", away)
            patch.setattr(inbox_watch, "_all", away)
            await create(harness, "a")
            async with asyncio.timeout(10):
                while looks < 3:  # noqa: ASYNC110 - any number of turns
                    await asyncio.sleep(0)
        assert await client.line() == b'* LIST (\\HasNoChildren) "/" a'

    begin(tmp_path, body)


def row(number: int, name: str) -> Listed:
    return Listed(name, 0, 0, None, number, 0, 0, 1, number, 0, 1, f"F{number}", 0, 0)


def told(before: list[Listed], after: list[Listed]) -> list[tuple[str, str]]:
    state = InboxState()
    state.load(before, ())
    gone = {each.id for each in before} - {each.id for each in after}
    state.apply(after, gone)
    assert {name: found.id for name, found in state.by_name.items()} == {each.name: each.id for each in after}
    return [(named.name, named.old_name) for named in state.named_after(0)]


def test_a_tree_is_renamed_by_one_event() -> None:
    before = [row(1, "a"), row(2, "a/b"), row(3, "a/b/c")]
    assert told(before, [row(1, "z"), row(2, "z/b"), row(3, "z/b/c")]) == [("z", "a")]
    # a child that went elsewhere is told first, by the name it is known by
    assert told(before, [row(1, "z"), row(2, "y"), row(3, "y/c")]) == [("y", "a/b"), ("z", "a")]


def test_names_that_are_exchanged_are_told_again() -> None:
    state = InboxState()
    state.load([row(1, "a"), row(2, "b")], ())
    state.apply([row(1, "b"), row(2, "a")], ())
    names = [(named.name, named.old_name) for named in state.named_after(0)]
    assert names[:2] == [("b", "a"), ("a", "b")]
    assert set(names[2:]) == {("a", ""), ("b", "")}
    assert set(state.changed_after(0)) == {1, 2}  # and their counters, which a client would have mixed up


def test_who_leaves_a_name_is_told_before_who_takes_it() -> None:
    before = [row(1, "a"), row(2, "b"), row(3, "b/x"), row(4, "c")]
    after = [row(1, "b"), row(2, "c"), row(3, "c/x"), row(4, "d")]
    assert told(before, after) == [("d", "c"), ("c", "b"), ("b", "a")]
    # below it too: "d/e" was somewhere else before "a" became "d"
    assert told([row(1, "a"), row(2, "d/e")], [row(1, "d"), row(2, "f")]) == [("f", "d/e"), ("d", "a")]
    moved = [row(1, "a"), row(2, "x")], [row(1, "z"), row(2, "a/b")]
    assert told(*moved) == [("z", "a"), ("a/b", "x")]


def test_what_went_with_exchanged_names_is_told_not_to_be_there() -> None:
    """They went in a circle, and what came with "a" to "b" went on to "c": who heard of "a/x" hears that it did not."""
    state = InboxState()
    state.load([row(1, "a"), row(2, "a/x"), row(3, "b"), row(4, "c")], ())
    state.apply([row(1, "b"), row(2, "b/x"), row(3, "c"), row(4, "a")], ())
    events = list(state.named_after(0))
    assert [(event.name, event.old_name) for event in events[:3]] == [("b", "a"), ("a", "c"), ("c", "b")]
    assert [(event.old_name, event.was_selectable) for event in events if event.name == "c/x"] == [("", True)]


def test_a_look_that_finds_nothing_takes_no_stamp_back() -> None:
    """Or what comes next would have a stamp of which everybody was told."""
    state = InboxState()
    state.load([row(1, "a"), row(2, "b")], ())
    assert state.apply([row(1, "a")._replace(messages=1)], ())
    assert state.apply([], [2])
    told = state.stamp
    assert not state.apply([row(1, "a")._replace(messages=1)], ())
    assert state.stamp == told
    assert state.apply([row(1, "a")._replace(messages=2)], ())
    assert list(state.changed_after(told)) == [1]


def test_a_mailbox_renamed_twice_is_followed(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        await create(harness, "a")
        await client.run(b"NOTIFY SET (personal (MailboxName))")
        (watch,) = harness.states.inboxes._by_inbox.values()
        client.session.channel.pause()
        for old, new in (("a", "b"), ("b", "c")):
            await harness.db.write(partial(mailboxes.rename, inbox_id=harness.inbox, old=old, new=new, now=NOW))
            watch.woken(None)
            await watch.fresh()
        client.session.channel.resume()
        assert await client.run(b"NOOP") == [
            b'* LIST (\\HasNoChildren) "/" b ("OLDNAME" (a))',  # not \NonExistent: what was "a" is still there
            b'* LIST (\\HasNoChildren) "/" c ("OLDNAME" (b))',
            b"x OK NOOP completed",
        ]

    begin(tmp_path, body)


def test_created_and_deleted_affect_the_parent() -> None:
    assert told([row(1, "a")], [row(1, "a"), row(2, "a/b")]) == [("a/b", ""), ("a", "")]
    assert told([row(1, "a"), row(2, "a/b")], [row(1, "a")]) == [("a/b", ""), ("a", "")]
    assert told([row(1, "a")], [row(1, "a")._replace(messages=1)]) == []
