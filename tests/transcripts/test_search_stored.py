"""The transcripts that search, once more: now the text of each message is made as soon as it came (`maintain.texts`).

As `test_transcripts` plays them no text is stored, and each SEARCH decodes what it looks at. The answers are the same.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gateway.maintain.texts import TextBuilder

from .harness import NOW
from .test_transcripts import HERE, Run, play, url

__all__ = ["url"]

SEARCHING = [
    path for path in sorted(HERE.glob("*.txt"))
    if "SEARCH" in (text := path.read_text("utf-8")) and "! deliver " in text
]  # fmt: skip


@pytest.mark.parametrize("path", SEARCHING, ids=lambda path: path.stem)
def test_stored_text_answers_alike(path: Path, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step = Run.step
    made = 0

    async def then_make_texts(run: Run, line: str) -> None:
        nonlocal made
        await step(run, line)
        if line.startswith("! deliver "):
            made += await TextBuilder(run.harness.db, lambda: NOW, owner="transcript").catch_up()

    monkeypatch.setattr(Run, "step", then_make_texts)
    asyncio.run(play(path.name, path.read_text("utf-8").splitlines(), tmp_path, url))
    assert made
