"""What a person pastes: from a terminal, where the browser may be faster, or from a pipe."""

from __future__ import annotations

import asyncio
import io
import os
import pty
import sys

import pytest

from gateway.cli.logging_in import _dialogue, _line
from gateway.oauth.errors import LoginRefused


def test_a_line_from_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, follower = pty.openpty()
    with os.fdopen(follower, "r") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)

        async def work() -> str:
            faster = asyncio.ensure_future(_line())
            await asyncio.sleep(0)
            faster.cancel()  # the browser came first: nobody reads on
            await asyncio.gather(faster, return_exceptions=True)
            reading = asyncio.ensure_future(_line())
            await asyncio.sleep(0)
            os.write(leader, b"http://127.0.0.1/?co")
            await asyncio.sleep(0)
            os.write(leader, b"de=x\n")
            return await reading

        assert asyncio.run(work()) == "http://127.0.0.1/?code=x\n"
        assert _dialogue(listen=True).ask_pasted is not None
    os.close(leader)


def test_a_line_from_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("code\n"))
    assert asyncio.run(_line()) == "code\n"
    with pytest.raises(LoginRefused, match="Nothing was pasted"):
        asyncio.run(_line())
    assert _dialogue(listen=True).ask_pasted is None, "without a terminal the browser alone can answer"
    assert _dialogue(listen=False).ask_pasted is not None
