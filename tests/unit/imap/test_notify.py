"""NOTIFY's limits, an outage, and a peer that reads nothing; the order in which changed names are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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


def test_created_and_deleted_affect_the_parent() -> None:
    assert told([row(1, "a")], [row(1, "a"), row(2, "a/b")]) == [("a/b", ""), ("a", "")]
    assert told([row(1, "a"), row(2, "a/b")], [row(1, "a")]) == [("a/b", ""), ("a", "")]
    assert told([row(1, "a")], [row(1, "a")._replace(messages=1)]) == []
