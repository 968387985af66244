"""Untagged METADATA when the store is away, when there is much to tell, and once nobody listens any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.imap import metadata_news
from gateway.model.errors import Unavailable
from gateway.store import entries, mailboxes
from gateway.store.db import Tx
from tests.transcripts.harness import NOW, Client, Harness
from tests.transcripts.play import play


def begin(directory: Path, body: Callable[[Harness, Client], Awaitable[None]]) -> None:
    async def begun(harness: Harness) -> None:
        client = await harness.logged_in()
        await client.run(b"ENABLE METADATA")
        await body(harness, client)

    play(directory, begun)


async def note(harness: Harness, *mailboxes_noted: str, entry: str = "/shared/x") -> None:
    """Somebody else writes an entry of each of these mailboxes, a unit each."""
    for name in mailboxes_noted:

        def unit(tx: Tx, name: str = name) -> None:
            found = mailboxes.by_name(tx, harness.inbox, name)
            assert found is not None
            entries.change(tx, harness.inbox, found.id, {entry: b"1"})

        await harness.db.write(unit, inboxes=(harness.inbox,))


def test_an_outage_delays_the_news_and_spoils_no_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(harness: Harness, client: Client) -> None:
        def down(*args: Any, **kwargs: Any) -> Any:
            raise Unavailable("away")

        await note(harness, "INBOX")
        with monkeypatch.context() as patch:
            patch.setattr(entries, "changed_since", down)
            assert await client.run(b"NOOP") == [b"x OK NOOP completed"]
        assert await client.run(b"NOOP") == [b"* METADATA INBOX /shared/x", b"x OK NOOP completed"]

    begin(tmp_path, body)


def test_much_news_comes_in_pages_and_each_of_it_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(harness: Harness, client: Client) -> None:
        monkeypatch.setattr(metadata_news, "_PAGE", 3)
        names = ["INBOX", "Sent", "Trash", "Drafts", "Spam"]
        for entry in ("/shared/a", "/shared/b"):
            await note(harness, *names, entry=entry)
        lines = await client.run(b"NOOP")
        assert lines.pop() == b"x OK NOOP completed"
        told = [line.split(b" ", 3)[2:] for line in lines]
        assert sorted(told) == sorted(
            [name.encode(), entry] for name in names for entry in (b"/shared/a", b"/shared/b")
        )
        assert await client.run(b"NOOP") == [b"x OK NOOP completed"]

    begin(tmp_path, body)


def test_a_session_that_is_over_hears_nothing(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        news = client.session.metadata_news
        assert news is not None
        client.session.connection_lost()
        assert client.session.metadata_news is None
        news.stale = False
        await note(harness, "INBOX")
        assert not news.stale

    begin(tmp_path, body)


def test_mail_is_no_news_of_entries(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        await harness.deliver(b"Subject: x\r\n\r\nhi\r\n")
        await harness.db.write(
            lambda tx: mailboxes.create(tx, harness.inbox, "new", now=NOW), inboxes=(harness.inbox,)
        )
        assert await client.run(b"NOOP") == [b"x OK NOOP completed"]

    begin(tmp_path, body)
