"""What UPDATE fetches of new messages while other things happen: numbers hold, and nothing is fetched twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.transcripts.harness import Harness, template, until


def test_nothing_is_told_while_new_messages_are_fetched_in_idle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play() -> None:
        async with Harness(tmp_path) as harness:
            client = await harness.logged_in()
            for _ in range(2):
                await harness.deliver(b"Subject: old\r\n\r\nold\r\n")
            await client.run(b"SELECT INBOX")
            await client.run(b"SEARCH RETURN (COUNT UPDATE (UID BINARY.PEEK[1])) ALL")  # decoded, so not on the loop
            gate, asked, offload = asyncio.Event(), asyncio.Event(), harness.db.offload

            async def slowly(*args: Any, **kwargs: Any) -> Any:
                asked.set()
                await gate.wait()
                return await offload(*args, **kwargs)

            monkeypatch.setattr(harness.db, "offload", slowly)
            client.send(b"i IDLE\r\n")
            assert await client.line() == b"+ idling"
            await harness.deliver(b"Subject: new\r\n\r\nnew\r\n")
            assert await client.line() == b"* 3 EXISTS"
            await asked.wait()
            await harness.expunge([1])
            client.send(b"DONE\r\n")
            contexts = client.session.selected.contexts  # type: ignore[union-attr]
            assert contexts is not None
            await until(lambda: not client.session.idling and bool(client.session.selected.view.pending))  # type: ignore[union-attr]
            await asyncio.sleep(0)
            assert contexts.fetching is not None
            assert not client.received
            gate.set()
            lines = await client.until(b"i")
            assert lines[0] == b"* 3 FETCH (UID 3 BINARY[1] {5}"
            assert lines[-1] == b"i OK IDLE terminated"
            assert sorted(line for line in lines[3:-1] if b"ESEARCH" in line or b"EXPUNGE" in line) == [
                b"* 1 EXPUNGE",
                b'* ESEARCH (TAG "x") ADDTO (0 2)',
                b'* ESEARCH (TAG "x") REMOVEFROM (0 1)',
            ]
            assert sum(b"FETCH" in line for line in lines) == 1
            assert await client.run(b"NOOP") == [b"x OK NOOP completed"]

    template()
    asyncio.run(play())
