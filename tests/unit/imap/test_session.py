"""Sessions over the in-memory transport: defects, ends, limits, pages and cuts that transcripts cannot show."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway import mime
from gateway.imap import (
    copy_move,
    expunge,
    fetch,
    fetch_message,
    fetch_page,
    listing,
    rules,
    search_run,
    store_command,
    teller,
)
from gateway.imap.channel import Channel
from gateway.model.errors import LimitReached, Unavailable
from gateway.store import cleanup
from gateway.store.db import Rx
from gateway.store.statements import Stmt
from gateway.wire import commands as c
from tests.transcripts.harness import NOW, PATIENCE, Client, Harness, until
from tests.transcripts.play import play

Body = Callable[[Harness, Client], Awaitable[None]]


def begin(directory: Path, body: Body, *, messages: int = 0, **settings: Any) -> None:
    """Run `body` with one logged-in client, INBOX holding `messages` small messages, selected when there are any."""

    async def begun(harness: Harness) -> None:
        for number in range(messages):
            await harness.deliver(b"Subject: %d\r\n\r\nbody\r\n" % number)
        client = await harness.logged_in()
        if messages:
            await client.run(b"SELECT INBOX")
        await body(harness, client)

    play(directory, begun, **settings)


def test_a_defect_shows_an_id_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(session: object, command: object) -> None:
        raise RuntimeError("secret canary")

    changed = {**rules.RULES, c.Noop: replace(rules.RULES[c.Noop], handler=broken)}
    monkeypatch.setattr("gateway.imap.dispatch.RULES", changed)

    async def body(harness: Harness, client: Client) -> None:
        lines = await client.run(b"NOOP")
        assert lines[0].startswith(b"x NO [SERVERBUG] Internal error ")
        assert b"canary" not in lines[0]
        assert (await client.run(b"CAPABILITY"))[-1].startswith(b"x OK")

    begin(tmp_path, body)


def test_an_outage_is_no_defect_and_the_session_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(harness: Harness, client: Client) -> None:
        async def away(*args: object, **kwargs: object) -> None:
            raise Unavailable("The disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(harness.db, "write", away)
            for command in (b"STORE 1 +FLAGS (\\Seen)", b"CREATE x", b"COPY 1 Trash", b"APPEND INBOX {1+}\r\nx"):
                assert (await client.run(command))[-1].startswith(b"x NO [UNAVAILABLE]")
        assert (await client.run(b"STORE 1 +FLAGS (\\Seen)"))[-1] == b"x OK STORE completed"

    begin(tmp_path, body, messages=1)


def test_too_many_sessions_of_an_inbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(harness: Harness, client: Client) -> None:
        def full(principal: object, end: object) -> None:
            raise LimitReached("Too many connections for this inbox")

        monkeypatch.setattr(harness.watch, "add", full)
        other = harness.connect()
        await other.line()
        assert await other.run(b"LOGIN a@example.org full") == [b"x NO [LIMIT] Too many connections for this inbox"]
        assert (await other.run(b"SELECT INBOX"))[-1].startswith(b"x BAD")

    begin(tmp_path, body)


def test_autologout_counts_from_the_last_command(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        harness.timers.advance(1800)
        await client.run(b"NOOP")
        assert not client.closed
        client.session.timers.last_active -= 1801
        harness.timers.advance(1800)
        assert await client.line() == b"* BYE Autologout; idle for too long"
        await client.wait_closed()
        assert not harness.timers.waiting

    begin(tmp_path, body)


def test_autologout_in_the_middle_of_a_message_that_never_comes(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        client.send(b"a APPEND INBOX {100}\r\n")
        assert (await client.line()).startswith(b"+ ")
        client.session.timers.last_active -= 1801
        client.send(b"From: x")  # slow, but alive
        await until(lambda: client.session.channel.at_rest)
        harness.timers.advance(1800)
        assert not client.closed
        client.session.timers.last_active -= 1801
        harness.timers.advance(1800)
        assert await client.line() == b"* BYE Autologout; idle for too long"
        await until(lambda: not client.session.channel.busy)
        assert not harness.timers.waiting

    begin(tmp_path, body)


def test_the_end_of_a_session_leaves_nothing_behind(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        shared = client.session.selected.shared  # type: ignore[union-attr]
        client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        client.session.connection_lost()
        await until(lambda: not client.session.channel.busy)
        assert not shared.watchers
        assert not harness.timers.waiting
        assert not harness.watch.ends

    begin(tmp_path, body, messages=1)


def test_a_large_body_waits_for_a_slow_reader(tmp_path: Path) -> None:
    size = 3_000_000

    async def body(harness: Harness, client: Client) -> None:
        await harness.deliver(b"Subject: big\r\n\r\n" + b"x" * size)
        await client.run(b"NOOP")
        client.writes.clear()
        client.session.channel.pause()
        client.send(b"f UID FETCH 2 BODY.PEEK[]\r\n")
        for _ in range(50):
            await asyncio.sleep(0.001)  # what is not written to a paused client signals nothing
        held = sum(map(len, client.writes))
        assert held < 200_000
        client.session.writable()
        lines = await client.until(b"f")
        assert lines[-1] == b"f OK FETCH completed"
        assert sum(map(len, client.writes)) > size
        assert max(map(len, client.writes)) < 200_000
        # and one who goes away in the middle holds nothing
        client.session.channel.pause()
        client.send(b"g UID FETCH 2 BODY.PEEK[]\r\n")
        await asyncio.sleep(0.01)  # somewhere in the middle of its pages
        client.session.connection_lost()
        await until(lambda: not client.session.channel.busy)

    begin(tmp_path, body, messages=1)


def test_a_congested_idler_is_told_later(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        client.send(b"i IDLE\r\n")
        assert await client.line() == b"+ idling"
        client.session.channel.pause()
        await harness.deliver(b"Subject: y\r\n\r\n")
        view = client.session.selected.view  # type: ignore[union-attr]
        await until(lambda: len(view.state) == 2)
        assert not client.received
        client.session.writable()
        assert await client.line() == b"* 2 EXISTS"

    begin(tmp_path, body, messages=1)


def test_many_changes_are_told_in_pages_that_stay_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changes that come between the pages are told with the next one, by the numbers that hold then."""
    monkeypatch.setattr(teller, "TELL_PAGE", 2)
    breathe = Channel.breathe

    async def body(harness: Harness, client: Client) -> None:
        other = await harness.logged_in()
        await other.run(b"SELECT INBOX")
        shared = client.session.selected.shared  # type: ignore[union-attr]
        writes: list[list[bytes]] = []

        async def interrupted(channel: Channel) -> None:
            if channel is client.session.channel:
                await breathe(channel)
                writes.append([])
                if len(writes) == 1:
                    await harness.expunge([1])
                    await harness.deliver(b"Subject: y\r\n\r\n")
                    await shared.fresh()
            else:
                await breathe(channel)

        await other.run(b"STORE 6:8 +FLAGS.SILENT (\\Seen)")
        await harness.expunge([2, 3, 4])
        monkeypatch.setattr(Channel, "breathe", interrupted)
        assert await client.run(b"NOOP") == [
            b"* 3 EXPUNGE",
            b"* 3 EXPUNGE",
            *(b"* 1 EXPUNGE", b"* 1 EXPUNGE", b"* 5 EXISTS"),
            *(b"* 2 FETCH (UID 6 FLAGS (\\Seen))", b"* 3 FETCH (UID 7 FLAGS (\\Seen))"),
            b"* 4 FETCH (UID 8 FLAGS (\\Seen))",
            b"x OK NOOP completed",
        ]
        assert len(writes) == 3
        assert await client.run(b"NOOP") == [b"x OK NOOP completed"]

    begin(tmp_path, body, messages=8)


def test_an_idler_is_told_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teller, "IDLE_PAGE", 2)

    async def body(harness: Harness, client: Client) -> None:
        await harness.expunge([2, 3, 4])
        client.writes.clear()
        client.send(b"i IDLE\r\n")
        told = [await client.line() for _ in range(4)]
        assert told == [b"+ idling", b"* 3 EXPUNGE", b"* 3 EXPUNGE", b"* 2 EXPUNGE"]
        await harness.expunge([5, 6, 7, 8])
        told = [await client.line() for _ in range(4)]
        assert told == [b"* 4 EXPUNGE", b"* 4 EXPUNGE", b"* 2 EXPUNGE", b"* 2 EXPUNGE"]
        assert max(data.count(b"EXPUNGE") for data in client.writes) == 2
        client.send(b"DONE\r\n")
        assert await client.until(b"i") == [b"i OK IDLE terminated"]

    begin(tmp_path, body, messages=8)


def test_octets_that_are_collected_are_refused(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        await harness.expunge([2])
        assert (await client.run(b"FETCH 2 BODY.PEEK[TEXT]"))[0] == b"* 2 FETCH (BODY[TEXT] {6}"
        for step in (cleanup.forget_expunged, cleanup.collect_contents):
            await harness.db.write(lambda tx, step=step: step(tx, NOW + 100_000, 1000))  # type: ignore[misc]
        lines = await client.run(b"FETCH 1:3 BODY.PEEK[TEXT]")
        assert lines[-1].startswith(b"x NO [EXPUNGEISSUED]")
        assert [line for line in lines if line.startswith(b"* ")] == [
            b"* 1 FETCH (BODY[TEXT] {6}",
            b"* 3 FETCH (BODY[TEXT] {6}",
        ]
        assert (await client.run(b"UID FETCH 2 BODY.PEEK[TEXT]"))[-1] == b"x OK FETCH completed"

    begin(tmp_path, body, messages=3)


@pytest.mark.parametrize("reason", ["keywords", "mailbox"])
def test_a_message_that_is_not_attached_leaves_nothing_behind(tmp_path: Path, reason: str) -> None:
    async def body(harness: Harness, client: Client) -> None:
        def staged(rx: Rx) -> tuple[int, int]:
            bodies = rx.scalar(Stmt("SELECT COUNT(*) FROM staging"))
            return bodies, rx.scalar(Stmt("SELECT COUNT(*) FROM content_chunk"))

        size = 1_000_000
        flags = b" ".join(b"k%d" % number for number in range(60)) if reason == "keywords" else b""
        client.send(b"y APPEND Trash (%b) {%d+}\r\nSubject: x\r\n\r\n" % (flags, size))
        client.send(b"x" * (size - 14))
        await client.settle()
        async with asyncio.timeout(PATIENCE):
            while not min(await harness.db.read(staged)):
                pass  # pieces are written while more of them come
        if reason == "mailbox":
            await harness.delete_mailbox("Trash")
        client.send(b"\r\n")
        [reply] = await client.until(b"y")
        assert reply.startswith(b"y NO [TRYCREATE]" if reason == "mailbox" else b"y NO [LIMIT]")
        assert await harness.db.read(staged) == (0, 0)

    begin(tmp_path, body)


def test_large_sets_are_cut_into_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (store_command, expunge, copy_move):
        monkeypatch.setattr(module, "CHANGE_CUT", 2)
    monkeypatch.setattr(store_command, "STORE_CUT", 3)
    monkeypatch.setattr(fetch, "FETCH_PAGE", 2)
    monkeypatch.setattr(fetch, "MEMORY_PAGE", 2)

    async def body(harness: Harness, client: Client) -> None:
        other = await harness.logged_in()
        await other.run(b"SELECT INBOX")
        lines = await client.run(b"STORE 1:5 +FLAGS (\\Deleted)")
        assert lines == [*[b"* %d FETCH (FLAGS (\\Deleted))" % n for n in range(1, 6)], b"x OK STORE completed"]
        await client.run(b"STORE 1:5 FLAGS.SILENT (\\Seen)")
        assert await client.run(b"STORE 1:5 FLAGS.SILENT (\\Deleted)") == [b"x OK STORE completed"]
        lines = await other.run(b"FETCH 1:5 (UID FLAGS)")
        assert lines[:5] == [b"* %d FETCH (UID %d FLAGS (\\Deleted))" % (n, n) for n in range(1, 6)]
        lines = await client.run(b"FETCH 1:5 (RFC822.SIZE)")
        assert lines == [*[b"* %d FETCH (RFC822.SIZE 20)" % n for n in range(1, 6)], b"x OK FETCH completed"]
        lines = await client.run(b"MOVE 1:3 Trash")
        expected = [b"* OK [COPYUID 1700000004 1:2 1:2] Moved", b"* 1 EXPUNGE", b"* 1 EXPUNGE"]
        expected += [b"* OK [COPYUID 1700000004 3 3] Moved", b"* 1 EXPUNGE", b"x OK MOVE completed"]
        assert [line.replace(b"1700000003", b"1700000004") for line in lines] == expected
        assert await client.run(b"EXPUNGE") == [b"* 1 EXPUNGE", b"* 1 EXPUNGE", b"x OK EXPUNGE completed"]
        assert (await other.run(b"NOOP")) == [*[b"* 1 EXPUNGE"] * 5, b"x OK NOOP completed"]

    begin(tmp_path, body, messages=5)


def test_many_search_keys_take_many_turns_of_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand keys over a hundred thousand messages held everybody up for seconds."""
    monkeypatch.setattr(search_run, "MEMORY_PAGE", 20)
    turns: list[None] = []
    breathe = Channel.breathe

    async def counted(channel: Channel) -> None:
        turns.append(None)
        await breathe(channel)

    monkeypatch.setattr(Channel, "breathe", counted)

    async def body(harness: Harness, client: Client) -> None:
        assert (await client.run(b"SEARCH OR SEEN UNDRAFT"))[0] == b"* SEARCH 1 2 3 4 5 6 7 8"
        assert not turns
        many = b"OR " * 19 + b"SEEN " * 19 + b"UNDRAFT"
        assert (await client.run(b"SEARCH " + many))[0] == b"* SEARCH 1 2 3 4 5 6 7 8"
        assert len(turns) == 3

    begin(tmp_path, body, messages=8)


def test_fetch_sets_seen_and_shows_it_in_the_same_response(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        lines = await client.run(b"FETCH 1:2 (FLAGS BODY[TEXT])")
        assert lines[0] == b"* 1 FETCH (FLAGS (\\Seen) BODY[TEXT] {6}"
        assert len([line for line in lines if line.startswith(b"* ")]) == 2
        assert (await client.run(b"SEARCH UNSEEN"))[0] == b"* SEARCH 3"
        assert (await client.run(b"FETCH 3 BODY.PEEK[TEXT]"))[0] == b"* 3 FETCH (BODY[TEXT] {6}"
        assert (await client.run(b"STATUS INBOX (UNSEEN)"))[0] == b"* STATUS INBOX (UNSEEN 1)"

    begin(tmp_path, body, messages=3)


def test_the_client_is_named_to_the_authenticator(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        assert harness.keys.asked == [("a@example.org", "full", "192.0.2.1")]

    begin(tmp_path, body)


def test_matching_many_names_takes_many_turns_of_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LIST_WORK", 30)
    turns: list[None] = []
    breathe = Channel.breathe

    async def counted(channel: Channel) -> None:
        turns.append(None)
        await breathe(channel)

    monkeypatch.setattr(Channel, "breathe", counted)

    async def body(harness: Harness, client: Client) -> None:
        assert len(await client.run(b'LIST "" *')) == 6  # INBOX, Drafts, Sent, Spam, Trash: 24 characters
        assert not turns
        assert len(await client.run(b'LIST "" (% * a)')) == 6
        assert len(turns) == 2
        assert (await client.run(b"SUBSCRIBE a/b/c/d/e/f/g/h/i/j"))[-1].startswith(b"x OK")
        assert len(await client.run(b'LSUB "" *')) == 7
        assert len(turns) == 3

    begin(tmp_path, body)


def test_a_page_of_large_values_is_not_held_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """512 messages with headers of 240 KiB, fetched at once, took half a gigabyte."""
    pieces: list[int] = []
    render = fetch_page.render_page

    def measured(*args: Any) -> fetch_page.Rendered:
        rendered = render(*args)
        pieces.append(sum(len(piece) for piece in rendered.pieces if isinstance(piece, bytes)))
        return rendered

    monkeypatch.setattr(fetch, "render_page", measured)
    large = b"".join(b"X-Field: %060d\r\n" % number for number in range(2000))
    addresses = b"To: " + b",\r\n ".join(b"a%06d@example.org" % number for number in range(4000)) + b"\r\n"
    items = (b"BODY.PEEK[HEADER]", b"ENVELOPE", b"BODY.PEEK[HEADER.FIELDS (To X-Field)]", b"BODY.PEEK[1]<0.10>")

    async def body(harness: Harness, client: Client) -> None:
        for _ in range(12):
            await harness.deliver(addresses + large + b"\r\nbody\r\n")
        await client.run(b"SELECT INBOX")
        for item in items:
            answers = b"\n".join(await client.run(b"FETCH 1:* " + item))
            assert answers.count(b" FETCH (") == 12
            assert b"x OK FETCH completed" in answers
        assert max(pieces) < 1_200_000
        assert (await client.run(b"SEARCH HEADER X-Field 0001999"))[0] == b"* SEARCH 1 2 3 4 5 6 7 8 9 10 11 12"

    begin(tmp_path, body)


def test_many_sections_of_one_message_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows on one body, a thousand of 60 KiB each, are not one response in memory."""
    pieces: list[int] = []
    render = fetch_page.render_page

    def measured(*args: Any) -> fetch_page.Rendered:
        rendered = render(*args)
        pieces.append(sum(len(piece) for piece in rendered.pieces if isinstance(piece, bytes)))
        return rendered

    monkeypatch.setattr(fetch, "render_page", measured)

    async def body(harness: Harness, client: Client) -> None:
        await harness.deliver(b"Subject: x\r\n\r\n" + bytes(range(65, 90)) * 2600)
        await client.run(b"SELECT INBOX")
        items = b" ".join(b"BODY.PEEK[TEXT]<%d.60000>" % start for start in range(40))
        client.send(b"x FETCH 1 (" + items + b")\r\n")
        whole = bytes(range(65, 90)) * 2600
        assert await client.octets(11) == b"* 1 FETCH ("
        for start in range(40):
            head = b"BODY[TEXT]<%d> {60000}\r\n" % start
            assert await client.octets(len(head)) == head
            assert await client.octets(60_000) == whole[start : start + 60_000]
            assert await client.octets(1) == (b" " if start < 39 else b")")
        assert await client.line() == b""
        assert await client.line() == b"x OK FETCH completed"
        assert max(pieces) < 100_000

    begin(tmp_path, body)


def test_only_short_work_is_rendered_on_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds of windows kept the loop for half a second; decoding takes as long as a part is large."""
    places: list[bool] = []
    render = fetch_page.render_page

    def watched(*args: Any) -> fetch_page.Rendered:
        places.append(threading.current_thread() is threading.main_thread())
        return render(*args)

    monkeypatch.setattr(fetch, "render_page", watched)

    async def body(harness: Harness, client: Client) -> None:
        items = b" ".join(b"BODY.PEEK[1]<%d.1>" % start for start in range(12))
        assert (await client.run(b"FETCH 1 (" + items + b")"))[-1] == b"x OK FETCH completed"
        assert places == [True]
        assert (await client.run(b"FETCH 1 (" + items + b" UID)"))[-1] == b"x OK FETCH completed"
        assert places == [True, False]
        for item in (b"BINARY.PEEK[1]", b"BINARY.SIZE[1]", b"PREVIEW"):
            assert (await client.run(b"FETCH 1 " + item))[-1] == b"x OK FETCH completed"
        assert places == [True, False, False, False, False]

    begin(tmp_path, body, messages=2)


def test_what_proves_long_on_the_loop_is_left_to_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[bool] = []

    def decode_parts(data: bytes) -> Any:
        decoded.append(threading.current_thread() is threading.main_thread())
        return mime.decode_parts(data)

    monkeypatch.setattr(fetch_message, "decode_parts", decode_parts)

    async def body(harness: Harness, client: Client) -> None:
        many = b"--b\r\n\r\nx\r\n" * 500
        await harness.deliver(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + many + b"--b--\r\n")
        await client.run(b"NOOP")
        lines = await client.run(b"FETCH 1:3 BODY.PEEK[2]")
        assert lines[:2] == [b"* 1 FETCH (BODY[2] NIL)", b"* 2 FETCH (BODY[2] NIL)"]
        assert lines[2:] == [b"* 3 FETCH (BODY[2] {1}", b"x)", b"x OK FETCH completed"]
        assert decoded == [True, True, False]

    begin(tmp_path, body, messages=2)


def test_a_literal_holds_nothing_but_the_message(tmp_path: Path) -> None:
    """A BYE in the middle of a body was the message's end to clients that keep what they got."""

    async def body(harness: Harness, client: Client) -> None:
        await harness.deliver(b"Subject: x\r\n\r\n" + b"y" * 500_000)
        await client.run(b"SELECT INBOX")
        client.send(b"x FETCH 1 BODY.PEEK[TEXT]\r\n")
        client.session.channel.pause()
        assert await client.line() == b"* 1 FETCH (BODY[TEXT] {500000}"
        await until(lambda: len(client.received) >= 65_536)
        client.session.end("The key was revoked")
        await client.wait_closed()
        assert set(client.received) == {ord("y")}

    begin(tmp_path, body)
