"""SEARCH and SORT: what is read, what is kept, and what is refused to be kept."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.imap import contexts, long_answers, search, search_modseq, search_run, sort, sort_orders, sort_page
from gateway.imap.search_run import neighbours
from gateway.model.errors import TookTooLong
from gateway.model.sequence import SequenceSet
from gateway.store import sort_keys as stored
from gateway.store.db import Database
from gateway.store.statements import Stmt
from gateway.wire import search as keys
from gateway.wire import search_results as results
from tests.transcripts.harness import Client, Harness
from tests.transcripts.play import play

Body = Callable[[Harness, Client], Awaitable[None]]
_KEYS = Stmt("SELECT count(*) FROM content_sort")


def begin(directory: Path, body: Body, *, messages: int) -> None:
    """Run `body` with a client that has INBOX selected, which holds `messages` messages of five subjects."""

    async def begun(harness: Harness) -> None:
        for number in range(messages):
            await harness.deliver(b"Subject: s%d\r\nX-Number: %d\r\n\r\nbody\r\n" % (number % 5, number))
        client = await harness.logged_in()
        await client.run(b"SELECT INBOX")
        await body(harness, client)

    play(directory, begun)


def test_a_result_of_too_many_pieces_is_not_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 5182 2.5: NO [NOTSAVED], and nothing is saved."""
    monkeypatch.setattr(search, "SAVED_RANGES", 3)

    async def body(harness: Harness, client: Client) -> None:
        assert (await client.run(b"SEARCH RETURN (SAVE) 1,3,5:6"))[-1].startswith(b"x OK")
        assert (await client.run(b"SEARCH $"))[0] == b"* SEARCH 1 3 5 6"
        lines = await client.run(b"SEARCH RETURN (SAVE COUNT) 1,3,5,7")
        assert lines[0] == b'* ESEARCH (TAG "x") COUNT 4'
        assert lines[-1].startswith(b"x NO [NOTSAVED]")
        assert (await client.run(b"SEARCH $"))[0] == b"* SEARCH"

    begin(tmp_path, body, messages=8)


def test_a_search_ends_when_it_has_found_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    search_page = search_run.search_page

    def counted(rx: Any, mailbox_id: Any, criteria: Any, batch: Any, *more: Any) -> Any:
        read.extend(batch)
        return search_page(rx, mailbox_id, criteria, batch, *more)

    for name, value in (("search_page", counted), ("SEARCH_TEXT_PAGE", 2), ("MASK_PAGE", 2)):
        monkeypatch.setattr(search_run, name, value)

    async def body(harness: Harness, client: Client) -> None:
        for options, answer, looked_at in (
            (b"MIN", b"MIN 2", [1, 2]),
            (b"MAX", b"MAX 17", [19, 20, 17, 18]),
            (b"MIN MAX", b"MIN 2 MAX 17", [1, 2, 19, 20, 17, 18]),
            (b"PARTIAL 1:2", b"PARTIAL (1:2 2,7)", [1, 2, 3, 4, 5, 6, 7, 8]),
            (b"PARTIAL -1:-1", b"PARTIAL (-1:-1 17)", [19, 20, 17, 18]),
            (b"MIN COUNT", b"MIN 2 COUNT 4", list(range(1, 21))),
            (b"SAVE MIN", b"MIN 2", [1, 2]),
        ):
            read.clear()
            lines = await client.run(b"SEARCH RETURN (%b) SUBJECT s1" % options)
            assert lines[0] == b'* ESEARCH (TAG "x") ' + answer
            assert read == looked_at, options

    begin(tmp_path, body, messages=20)


def test_a_page_that_takes_too_long_is_refused_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(harness: Harness, client: Client) -> None:
        async def ended(*args: Any, **kwargs: Any) -> Any:
            raise TookTooLong("Its process was ended")

        monkeypatch.setattr(harness.db, "offload", ended)
        monkeypatch.setattr(harness.db, "offload_bulk", ended)
        refused = [b"x NO [LIMIT] This took too long and was given up; ask for less at a time"]
        await harness.deliver(b"Subject: new\r\n\r\n")
        assert await client.run(b"FETCH 1:* ENVELOPE") == [b"* 9 EXISTS", *refused]
        assert await client.run(b"SEARCH BODY x") == refused
        assert await client.run(b"FETCH 1:2 UID") == [
            b"* 1 FETCH (UID 1)", b"* 2 FETCH (UID 2)", b"x OK FETCH completed"
        ]  # fmt: skip

    begin(tmp_path, body, messages=8)


def test_an_order_is_kept_and_carried_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole mailbox is sorted once; what comes later is put in its place; what goes is passed over."""
    jobs: list[str] = []
    offload = Database.offload

    async def counted(db: Database, job: Callable[..., Any], /, *args: Any, **more: Any) -> Any:
        jobs.append(job.__name__)
        return await offload(db, job, *args, **more)

    monkeypatch.setattr(Database, "offload", counted)
    monkeypatch.setattr(Database, "offload_bulk", counted)
    monkeypatch.setattr(sort_orders, "FEW", 3)
    monkeypatch.setattr(sort_page, "MADE", 4)

    async def body(harness: Harness, client: Client) -> None:
        command = b"SORT (REVERSE SUBJECT) UTF-8 ALL"
        assert (await client.run(command))[0] == b"* SORT 5 10 4 9 3 8 2 7 1 6"
        assert jobs == ["make_keys"] * 3 + ["sort_order"]
        assert await harness.db.read(lambda rx: rx.scalar(_KEYS)) == 10
        jobs.clear()
        assert (await client.run(command))[0] == b"* SORT 5 10 4 9 3 8 2 7 1 6"
        assert (await client.run(b"SORT (REVERSE SUBJECT) UTF-8 2:7"))[0] == b"* SORT 5 4 3 2 7 6"
        assert jobs == []
        await harness.deliver(b"Subject: s2\r\n\r\n")
        await harness.expunge([10, 1])
        await client.run(b"NOOP")
        assert (await client.run(command))[0] == b"* SORT 4 3 8 2 7 9 1 6 5"
        assert jobs == ["sort_further"]
        jobs.clear()
        assert (await client.run(b"SORT (SIZE) UTF-8 1:2"))[0] == b"* SORT 1 2"  # few: by themselves
        assert jobs == ["sort_order"]

    begin(tmp_path, body, messages=10)


def test_keys_that_cannot_be_stored_are_made_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(tx: object, rows: object) -> None:
        raise sort.LimitReached("The disk is full")

    monkeypatch.setattr(stored, "put", broken)
    monkeypatch.setattr(sort_orders, "FEW", 3)

    async def body(harness: Harness, client: Client) -> None:
        for _ in range(2):
            assert (await client.run(b"SORT (SUBJECT) UTF-8 ALL"))[0] == b"* SORT 1 6 2 7 3 4 5"
            assert (await client.run(b"THREAD ORDEREDSUBJECT UTF-8 ALL"))[0] == b"* THREAD (1 6)(2 7)(3)(4)(5)"

    begin(tmp_path, body, messages=7)


def test_a_thread_of_too_many_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort, "THREADED", 4)

    async def body(harness: Harness, client: Client) -> None:
        assert (await client.run(b"THREAD REFS UTF-8 1:4"))[-1].startswith(b"x OK")
        assert (await client.run(b"THREAD REFS UTF-8 ALL"))[-1].startswith(b"x NO [LIMIT]")

    begin(tmp_path, body, messages=5)


def test_a_context_of_too_many_results_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "MAX_RESULTS", 5)

    async def body(harness: Harness, client: Client) -> None:
        lines = await client.run(b"UID SEARCH RETURN (UPDATE COUNT) ALL")
        assert lines[0] == b'* ESEARCH (TAG "x") UID COUNT 5'
        await harness.deliver(b"Subject: one more\r\n\r\n")
        lines = await client.run(b"NOOP")
        assert lines[1] == b'* NO [NOUPDATE "x"] Too many contexts'
        lines = await client.run(b"UID SEARCH RETURN (UPDATE COUNT) ALL")
        assert lines[1] == b'* NO [NOUPDATE "x"] Too many contexts'
        assert lines[2].startswith(b"x OK")

    begin(tmp_path, body, messages=5)


def test_runs_of_neighbours(tmp_path: Path) -> None:
    async def body(harness: Harness, client: Client) -> None:
        await harness.expunge([3, 7, 8])
        await client.run(b"NOOP")
        selected = client.session.selected
        assert selected is not None
        for uids, slices in (
            ([], []),
            ([1, 2, 4, 5], [(0, 4)]),
            ([2, 5, 6, 9, 12], [(1, 2), (3, 6), (8, 9)]),
            ([12], [(8, 9)]),
            ([1, 2, 4, 5, 6, 9, 10, 11, 12], [(0, 9)]),
        ):
            assert neighbours(selected, array("I", uids)) == slices

    begin(tmp_path, body, messages=12)


def test_what_is_saved_is_resolved_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`$` may have 100,000 ranges, and a command a thousand of it: the loop was held for as many look-ups."""
    resolved: list[SequenceSet] = []
    resolve = SequenceSet.resolve

    def counted(self: SequenceSet, largest: int) -> Any:
        resolved.append(self)
        return resolve(self, largest)

    async def body(harness: Harness, client: Client) -> None:
        await client.run(b"SEARCH RETURN (SAVE) 1,3,5")
        monkeypatch.setattr(SequenceSet, "resolve", counted)
        any_of = b"OR " * 500 + b"$ " * 500
        for criteria in (b"$ " * 500, any_of + b"NOT ALL ", any_of + b"TEXT nowhere "):
            resolved.clear()
            assert (await client.run(b"SEARCH " + criteria + b"1:5"))[0] == b"* SEARCH 1 3 5"
            assert len([each for each in resolved if len(each.pairs) == 3]) <= 2  # `within`, and a reader's page
        resolved.clear()
        lines = await client.run(b"SEARCH RETURN (UPDATE COUNT) " + any_of + b"TEXT nowhere")
        assert lines[0] == b'* ESEARCH (TAG "x") COUNT 3'
        assert client.session.selected is not None
        held = client.session.selected.contexts
        assert held is not None
        sets = [key for key in keys.walk(held._by_tag[b"x"].key) if isinstance(key, keys.Numbers)]
        assert len(sets) == 500
        assert len({id(key) for key in sets}) == 1

    begin(tmp_path, body, messages=6)


def test_numbers_that_updates_would_have_to_keep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 5267 4.3: a search whose numbers name too many messages, time and again, has no updates."""
    monkeypatch.setattr(contexts, "MAX_RESULTS", 20)

    async def body(harness: Harness, client: Client) -> None:
        lines = await client.run(b"SEARCH RETURN (UPDATE COUNT) OR 1:5 OR 1:* 1:*")
        assert [line.split(b"]")[0] for line in lines[:2]] == [b'* ESEARCH (TAG "x") COUNT 8', b'* NO [NOUPDATE "x"']
        lines = await client.run(b"SEARCH RETURN (UPDATE COUNT) OR 1:* 1:*")
        assert [line.split(b" ")[1] for line in lines] == [b"ESEARCH", b"OK"]

    begin(tmp_path, body, messages=8)


def test_modseqs_below_or_mean_so_many_messages_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand of them in a large mailbox would each be a list of what has changed."""
    monkeypatch.setattr(search_modseq, "NAMED", 10)

    async def body(harness: Harness, client: Client) -> None:
        assert (await client.run(b"SEARCH OR MODSEQ 1 SUBJECT s1"))[-2].startswith(b"* SEARCH 1 2 3 4 5 6 (MODSEQ ")
        lines = await client.run(b"SEARCH OR MODSEQ 1 OR MODSEQ 2 SUBJECT s1")
        assert lines == [b"x NO [LIMIT] The MODSEQs of this search stand for too many messages"]

    begin(tmp_path, body, messages=6)


@pytest.mark.parametrize("count", [3, 500])
def test_results_that_go_from_a_context(count: int) -> None:
    """Many at once are taken out in one go."""
    mark = (1, 2000)
    context = contexts.Context(b"x", True, keys.All(), (), array("I", range(2, 2001, 2)), mark)
    gone = list(range(1, 2 * count + 1))
    assert context.without(gone) == [(0, gone[1::2])]
    assert context.found.tolist() == list(range(2 * count + 2, 2001, 2))
    assert context.without([1]) == []


def test_long_answers_are_made_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And sent in pieces, between which nothing comes; they say what short ones say."""
    makers: set[int] = set()
    threads, numbers, esearch = results.threads, results.numbers, results.esearch

    def noting(make: Callable[..., bytes]) -> Callable[..., bytes]:
        def noted(*arguments: Any, **options: Any) -> bytes:
            makers.add(threading.get_ident())
            return make(*arguments, **options)

        return noted

    for name, make in (("threads", threads), ("numbers", numbers), ("esearch", esearch)):
        monkeypatch.setattr(results, name, noting(make))
    asked = [
        b"SEARCH NOT 3",
        b"UID SEARCH RETURN (SAVE ALL COUNT) OR MODSEQ 1 1:4",
        b"SORT (REVERSE SUBJECT) UTF-8 ALL",
        b"UID SORT RETURN (ALL) (SUBJECT) UTF-8 $",
        b"THREAD REFERENCES UTF-8 $",
        b"ESEARCH IN (personal) RETURN (ALL) UNSEEN",
    ]

    async def body(harness: Harness, client: Client) -> None:
        await client.run(b"ENABLE CONDSTORE")
        loop = {threading.get_ident()}
        short = [await client.run(command) for command in asked]
        assert makers == loop
        makers.clear()
        monkeypatch.setattr(long_answers, "SHORT", 2)
        monkeypatch.setattr(long_answers, "BODY_READ", 3)
        assert [await client.run(command) for command in asked] == short
        assert makers
        assert makers.isdisjoint(loop)

    begin(tmp_path, body, messages=12)
