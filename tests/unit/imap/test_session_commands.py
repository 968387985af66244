"""Progress that a command tells, and the language that a range names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.imap.session_commands import spoken
from gateway.model.errors import Unavailable
from tests.transcripts.harness import Harness
from tests.transcripts.play import play


def test_progress_names_the_running_command(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        client = await harness.logged_in()
        session = client.session
        client.send(b"A142 NOOP\r\n")
        await client.until(b"A142")
        session.progress(8, 17)  # RFC 9585's own numbers
        session.progress()
        session.progress(3, 0)
        session.progress(20, 17)
        session.channel.in_literal = True
        session.progress(9, 17)
        session.channel.flush()
        assert bytes(client.received).split(b"\r\n") == [
            b'* OK [INPROGRESS ("A142" 8 17)] Still working',
            b'* OK [INPROGRESS ("A142" NIL NIL)] Still working',
            b'* OK [INPROGRESS ("A142" NIL NIL)] Still working',
            b'* OK [INPROGRESS ("A142" 17 17)] Still working',
            b"",
        ]
        client.received.clear()

    play(tmp_path, body, progress=0.0)


def test_progress_waits_its_time(tmp_path: Path) -> None:
    async def body(harness: Harness) -> None:
        client = await harness.logged_in()
        client.send(b"a NOOP\r\n")
        await client.until(b"a")
        for done in range(100):
            client.session.progress(done, 100)
        client.session.channel.flush()
        assert not client.received

    play(tmp_path, body, progress=3600.0)


def test_an_outage_between_two_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was begun is a whole response: the tagged one begins a line."""

    async def body(harness: Harness) -> None:
        client = await harness.logged_in()
        offload = harness.db.offload
        answers = iter([True, False])

        async def failing(*job: Any) -> Any:
            if not next(answers):
                raise Unavailable("The store is away")
            return await offload(*job)

        monkeypatch.setattr(harness.db, "offload", failing)
        lines = await client.run(b"URLFETCH nonsense nonsense")
        assert [line.split(b" ")[:2] for line in lines] == [[b"*", b"URLFETCH"], [b"x", b"NO"]]

    play(tmp_path, body)


@pytest.mark.parametrize(("ranges", "found"), [
    (("EN",), "EN"), (("en-GB-oed",), "EN"), (("fr", "de", "En-ca"), "EN"), (("*",), "EN"),
    (("i-default",), "i-default"), (("DEFAULT",), "EN"), (("i",), None), (("english",), None), (("fr", "de"), None),
    ((), None),
])  # fmt: skip
def test_languages_are_looked_up(ranges: tuple[str, ...], found: str | None) -> None:
    assert spoken(ranges) == found
