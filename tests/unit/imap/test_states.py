"""The registry of mailbox states: loads, wake-ups, memory, outages, records that are gone."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from gateway.imap import states as states_module
from gateway.imap.mailbox_state import Delta, MailboxState, Prepared
from gateway.imap.settings import ImapSettings
from gateway.imap.states import SharedState, States
from gateway.model.errors import NotFound, Unavailable
from gateway.model.mailbox import Mailbox
from gateway.store import changes, mailboxes
from tests.transcripts.harness import Harness, until
from tests.transcripts.play import play


class Listener:
    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.gone = 0

    def mailbox_changed(self, delta: Delta) -> None:
        self.deltas.append(delta)

    def mailbox_gone(self) -> None:
        self.gone += 1


async def row(harness: Harness, name: str = "INBOX") -> Mailbox:
    found = await harness.db.read(lambda rx: mailboxes.by_name(rx, harness.inbox, name))
    assert found is not None
    return found


def test_a_load_in_pages_and_what_came_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "LOAD_PAGE", 2)

    async def body(harness: Harness) -> None:
        for _ in range(5):
            await harness.deliver(b"x: y\r\n\r\n")
        mailbox = await row(harness)
        first, second = await asyncio.gather(harness.states.open(mailbox), harness.states.open(mailbox))
        assert first is second
        assert first.state.uids.tolist() == [1, 2, 3, 4, 5]
        listener = Listener()
        harness.states.watch(first, listener)
        await harness.deliver(b"x: y\r\n\r\n")
        await harness.expunge([2])
        await until(lambda: first.state.uids.tolist() == [1, 3, 4, 5, 6])
        assert sum(delta.appended for delta in listener.deltas) == 1
        assert [uid for delta in listener.deltas for uid in delta.expunged] == [2]
        harness.states.unwatch(first, listener)
        await harness.deliver(b"x: y\r\n\r\n")
        assert first.stale  # nobody looks, nobody asks the store
        assert (await harness.states.open(mailbox)).state.uids.tolist() == [1, 3, 4, 5, 6, 7]

    play(tmp_path, body)


def test_a_mailbox_that_is_deleted(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        mailbox = await row(harness, "Trash")
        shared = await harness.states.open(mailbox)
        listener = Listener()
        harness.states.watch(shared, listener)
        await harness.delete_mailbox("Trash")
        await until(lambda: listener.gone == 1)
        with pytest.raises(NotFound):
            await harness.states.open(mailbox)
        harness.states.unwatch(shared, listener)

    play(tmp_path, body)


def test_old_expunges_are_found_by_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "LOAD_PAGE", 2)
    asked = changes.changes_since

    def forgetful(*args: Any) -> changes.MailboxChanges:
        found = asked(*args)
        return changes.MailboxChanges(
            found.highest_modseq, found.uidnext, found.flags, (), found.exists, found.keywords, complete=False
        )

    async def body(harness: Harness) -> None:
        for _ in range(5):
            await harness.deliver(b"x: y\r\n\r\n")
        shared = await harness.states.open(await row(harness))
        monkeypatch.setattr(changes, "changes_since", forgetful)
        await harness.expunge([1, 4])
        await harness.deliver(b"x: y\r\n\r\n")
        await shared.fresh()
        assert shared.state.uids.tolist() == [2, 3, 5, 6]

    play(tmp_path, body)


def test_large_changes_are_prepared_off_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "CHANGE_CUT", 2)
    places: list[bool] = []
    prepare = MailboxState.prepare

    def watched(*args: Any, **kwargs: Any) -> Prepared:
        places.append(threading.current_thread() is threading.main_thread())
        return prepare(*args, **kwargs)

    async def body(harness: Harness) -> None:
        for _ in range(8):
            await harness.deliver(b"x: y\r\n\r\n")
        mailbox = await row(harness)
        shared = await harness.states.open(mailbox)
        monkeypatch.setattr(MailboxState, "prepare", watched)

        async def caught_up(uids: list[int]) -> None:
            """As a session does that knows its own change of one message, and not what came with it."""
            await harness.expunge(uids)
            await shared.catch_up(shared.state.highest_modseq + 1, rows=1)

        await caught_up([1])
        assert places == [True]
        await caught_up([2, 4, 6])
        assert places == [True, False]
        assert shared.state.uids.tolist() == [3, 5, 7, 8]
        await harness.deliver(b"x: y\r\n\r\n")
        await shared.fresh()
        assert places == [True, False, False]
        assert shared.state.uids.tolist() == [3, 5, 7, 8, 9]

    play(tmp_path, body)


def test_the_memory_of_states_nobody_selects_is_bounded(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        registry = States(harness.db, ImapSettings(state_bytes=5000))
        listener = Listener()
        opened: list[SharedState] = []
        for name in ("INBOX", "Sent", "Drafts", "Trash"):
            shared = await registry.open(await row(harness, name))
            registry.watch(shared, listener)
            opened.append(shared)
        for shared in opened:
            registry.unwatch(shared, listener)
        again = [await registry.open(await row(harness, name)) for name in ("Drafts", "Trash", "INBOX")]
        assert again[0] is opened[2]
        assert again[1] is opened[3]
        assert again[2] is not opened[0]

    play(tmp_path, body)


def test_an_outage_delays_what_sessions_hear(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states_module, "RETRY_AFTER", 0.0)

    async def body(harness: Harness) -> None:
        shared = await harness.states.open(await row(harness))
        listener = Listener()
        harness.states.watch(shared, listener)
        reads: list[int] = []
        working = harness.db.read

        async def away(query: Any) -> Any:
            reads.append(1)
            if len(reads) < 3:
                raise Unavailable("away")
            return await working(query)

        monkeypatch.setattr(harness.db, "read", away)
        await harness.deliver(b"x: y\r\n\r\n")
        await until(lambda: len(shared.state) == 1)
        assert len(reads) == 3
        harness.states.unwatch(shared, listener)

    play(tmp_path, body)
