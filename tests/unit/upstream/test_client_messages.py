"""Messages against a scripted peer: FETCH of attributes, changes, SEARCH, STORE, COPY, MOVE, EXPUNGE, APPEND."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from gateway.model.sequence import Ranges, from_numbers
from gateway.outbound.failure import Failure
from gateway.upstream import reading
from gateway.upstream.client import ImapClient
from gateway.upstream.compose import sets
from gateway.upstream.errors import Closed, Refused
from gateway.upstream.values import Appended, Changes, Copied, FetchedMessage
from gateway.upstream.wants import FetchWants, SearchWants
from tests.unit.upstream.script import talk

X = frozenset({"x"})
OPEN = 'C: A1 SELECT "x"\nS: * 9 EXISTS\nS: A1 OK x\n'


def fetched(
    script: str, uids: Ranges, wants: FetchWants, capabilities: str = ""
) -> tuple[list[FetchedMessage], list[int]]:
    """What came, and the UIDs in the news."""

    async def work(client: ImapClient) -> tuple[list[FetchedMessage], list[int]]:
        await client.select(b"x")
        found = [message async for message in client.fetch(uids, wants)]
        return found, [message.uid for message in client.take_news().fetched]

    return talk(OPEN + script, work, capabilities)


def test_what_was_asked_and_what_was_not() -> None:
    script = """
    C: A2 UID FETCH 3:5,9 (UID FLAGS RFC822.SIZE)
    S: * 1 FETCH (UID 3 FLAGS (x) RFC822.SIZE 4)
    S: * 2 FETCH (UID 4 FLAGS (x))
    S: * 3 FETCH (RFC822.SIZE 5 UID 5)
    S: * 4 FETCH (UID 8 FLAGS (x) RFC822.SIZE 4)
    S: * 9 FETCH (FLAGS (x))
    S: A2 OK x
    """
    assert fetched(script, ((3, 5), (9, 9)), FetchWants(size=True)) == (
        [FetchedMessage(3, flags=X, size=4), FetchedMessage(5, size=5)],
        [4, 8, 0],
    )


def test_the_last_message_is_not_past_the_end() -> None:
    script = "C: A2 UID FETCH 10:4294967295 (UID FLAGS)\nS: * 9 FETCH (UID 9 FLAGS (x))\nS: A2 OK x"
    assert fetched(script, ((10, 4294967295),), FetchWants()) == ([], [9])


def test_many_ranges_go_in_several_lines() -> None:
    uids = from_numbers(range(1_000_000, 1_002_000, 2))
    script, number = "", 2
    for piece, text in sets(uids):
        script += f"C: A{number} UID FETCH {text.decode()} (UID FLAGS)\n"
        script += f"S: * 1 FETCH (UID {piece[0][0]} FLAGS (x))\nS: A{number} OK x\n"
        number += 1
    assert number == 4
    found, _ = fetched(script, uids, FetchWants())
    assert [message.uid for message in found][:1] == [1_000_000]
    assert len(found) == 2


def test_a_refused_fetch_gives_what_came_before() -> None:
    async def work(client: ImapClient) -> list[int]:
        await client.select(b"x")
        found: list[int] = []

        async def rows() -> None:
            async for message in client.fetch(((1, 9),)):
                found.append(message.uid)

        with pytest.raises(Refused):
            await rows()
        await client.noop()
        return found

    script = """
    C: A2 UID FETCH 1:9 (UID FLAGS)
    S: * 1 FETCH (UID 1 FLAGS ())
    S: A2 NO [UNAVAILABLE] x
    C: A3 NOOP
    S: A3 OK x
    """
    assert talk(OPEN + script, work) == [1]


def test_who_stops_early_loses_the_connection() -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        async with aclosing(client.fetch(((1, 9),))) as rows:  # type: ignore[type-var]
            async for _ in rows:
                break
        assert client.closed
        with pytest.raises(Closed):
            await client.noop()

    talk(OPEN + "C: A2 UID FETCH 1:9 (UID FLAGS)\nS: * 1 FETCH (UID 1 FLAGS ())\nS: A2 OK x", work)


def test_one_command_at_a_time() -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x")
        async for _ in client.fetch(((1, 9),)):
            with pytest.raises(RuntimeError):
                await client.noop()
        assert not client.closed

    talk(OPEN + "C: A2 UID FETCH 1:9 (UID FLAGS)\nS: * 1 FETCH (UID 1 FLAGS ())\nS: A2 OK x", work)


def test_a_server_that_does_a_part_at_a_time() -> None:
    script = """
    C: A2 UID FETCH 1:9 (UID FLAGS)
    S: * 9 FETCH (UID 9 FLAGS (x))
    S: * 8 FETCH (UID 8 FLAGS (x))
    S: A2 OK [MESSAGELIMIT 2 8] x
    C: A3 UID FETCH 1:7 (UID FLAGS)
    S: * 7 FETCH (UID 7 FLAGS (x))
    S: A3 OK [MESSAGELIMIT 2 7] x
    C: A4 UID FETCH 1:6 (UID FLAGS)
    S: A4 OK x
    """
    found, _ = fetched(script, ((1, 9),), FetchWants(), "MESSAGELIMIT=2")
    assert [message.uid for message in found] == [9, 8, 7]


def test_a_part_at_a_time_from_below() -> None:
    script = """
    C: A2 UID FETCH 1:9 (UID FLAGS)
    S: * 1 FETCH (UID 1 FLAGS (x))
    S: * 2 FETCH (UID 4 FLAGS (x))
    S: A2 OK [MESSAGELIMIT 2 4] x
    C: A3 UID FETCH 5:9 (UID FLAGS)
    S: A3 OK [MESSAGELIMIT 2 0] x
    """
    found, _ = fetched(script, ((1, 9),), FetchWants(), "MESSAGELIMIT=2")
    assert [message.uid for message in found] == [1, 4]


def test_pages() -> None:
    script = """
    C: A2 UID FETCH 1:4294967295 (UID FLAGS) (PARTIAL 1:2)
    S: * 5 UIDFETCH (FLAGS (x))
    S: * 9 UIDFETCH (FLAGS (x))
    S: A2 OK x
    C: A3 UID FETCH 10:4294967295 (UID FLAGS) (PARTIAL 1:2)
    S: * 77 UIDFETCH (FLAGS (x))
    S: A3 OK x
    C: A4 UID FETCH 78:4294967295 (UID FLAGS) (PARTIAL 1:2)
    S: A4 OK x
    """
    found, _ = fetched(script, reading.ALL, FetchWants(), "MESSAGELIMIT=2 PARTIAL")
    assert [message.uid for message in found] == [5, 9, 77]


def test_few_need_no_pages() -> None:
    script = "C: A2 UID FETCH 5:6 (UID FLAGS)\nS: A2 OK x"
    assert fetched(script, ((5, 6),), FetchWants(), "MESSAGELIMIT=2 PARTIAL") == ([], [])


def test_changes() -> None:
    async def work(client: ImapClient) -> Changes:
        await client.select(b"x")
        found = await client.changes(77, FetchWants(labels=True), vanished=True)
        assert client.take_news().vanished == [(4, 4)]
        return found

    script = """
    C: A2 UID FETCH 1:4294967295 (UID FLAGS) (CHANGEDSINCE 77 VANISHED)
    S: * VANISHED (EARLIER) 5:6,1:2
    S: * VANISHED (EARLIER) 3
    S: * VANISHED 4
    S: * 1 FETCH (UID 7 FLAGS (x) MODSEQ (80))
    S: * 1 FETCH (UID 7 FLAGS () MODSEQ (81))
    S: * 2 FETCH (FLAGS (x) MODSEQ (90))
    S: A2 OK x
    """
    assert talk(OPEN + script, work) == Changes((FetchedMessage(7, flags=frozenset(), modseq=81),), ((1, 6),))


def test_changes_without_vanished() -> None:
    async def work(client: ImapClient) -> Changes:
        return await client.changes(1, uids=((1, 9),))

    assert talk("C: A1 UID FETCH 1:9 (UID FLAGS) (CHANGEDSINCE 1)\nS: A1 OK x", work) == Changes((), None)


def test_vanished_that_cannot_be_read_is_an_error() -> None:
    async def work(client: ImapClient) -> Changes:
        return await client.changes(1, vanished=True, uids=((1, 9),))

    for text in ("(EARLIER) 1:x", "(EARLIER) *", "1:*", "x"):
        with pytest.raises(Closed) as error:
            talk(f"C: A1 UID FETCH 1:9 (UID FLAGS) (CHANGEDSINCE 1 VANISHED)\nS: * VANISHED {text}\nS: A1 OK x", work)
        assert error.value.failure is Failure.PROTOCOL


def searched(script: str, wants: SearchWants, capabilities: str = "") -> Ranges:
    async def work(client: ImapClient) -> Ranges:
        return await client.search(wants)

    return talk(script, work, capabilities)


@pytest.mark.parametrize(
    ("script", "capabilities", "found"),
    [
        ("C: A1 UID SEARCH ALL\nS: * SEARCH 4 5 9\nS: A1 OK x", "", ((4, 5), (9, 9))),
        ("C: A1 UID SEARCH ALL\nS: * SEARCH 9\nS: * SEARCH 4\nS: A1 OK x", "", ((4, 4), (9, 9))),
        ("C: A1 UID SEARCH ALL\nS: * SEARCH\nS: A1 OK x", "", ()),
        ("C: A1 UID SEARCH ALL\nS: A1 OK x", "", ()),
        (
            'C: A1 UID SEARCH RETURN (ALL) ALL\nS: * ESEARCH (TAG "A1") UID ALL 4:5,9\nS: A1 OK x',
            "ESEARCH",
            ((4, 5), (9, 9)),
        ),
        ('C: A1 UID SEARCH RETURN (ALL) ALL\nS: * ESEARCH (TAG "A1") UID\nS: A1 OK x', "ESEARCH", ()),
        ('C: A1 UID SEARCH RETURN (ALL) ALL\nS: * ESEARCH (TAG "A0") UID ALL 1:9\nS: A1 OK x', "ESEARCH", ()),
        ("C: A1 UID SEARCH RETURN (ALL) ALL\nS: * SEARCH 4\nS: A1 OK x", "ESEARCH", ((4, 4),)),
    ],
)
def test_search(script: str, capabilities: str, found: Ranges) -> None:
    assert searched(script, SearchWants(), capabilities) == found


def test_search_in_other_scripts() -> None:
    script = "C: A1 UID SEARCH CHARSET UTF-8 SUBJECT {2+}\nC: \xc3\xbc UNSEEN\nS: A1 NO [BADCHARSET] x"
    with pytest.raises(Refused) as error:
        searched(script.replace(" UNSEEN", ""), SearchWants(subject="ü"), "LITERAL+")
    assert error.value.code == "BADCHARSET"


def test_search_among_many() -> None:
    uids = from_numbers(range(1_000_000, 1_002_000, 2))
    script, number = "", 1
    for piece, text in sets(uids):
        script += f"C: A{number} UID SEARCH UID {text.decode()} UNSEEN\nS: * SEARCH {piece[0][0]}\nS: A{number} OK x\n"
        number += 1
    assert number == 3
    assert len(searched(script, SearchWants(uids=uids, seen=False))) == 2
    assert searched("", SearchWants(uids=())) == ()


def test_search_in_pages() -> None:
    script = """
    C: A1 UID SEARCH RETURN (PARTIAL 1:2) UID 1:4294967295 UNSEEN
    S: * ESEARCH (TAG "A1") UID PARTIAL (1:2 4,9)
    S: A1 OK x
    C: A2 UID SEARCH RETURN (PARTIAL 1:2) UID 10:4294967295 UNSEEN
    S: * ESEARCH (TAG "A2") UID PARTIAL (1:2 12)
    S: A2 OK x
    C: A3 UID SEARCH RETURN (PARTIAL 1:2) UID 13:4294967295 UNSEEN
    S: * ESEARCH (TAG "A3") UID PARTIAL (1:2 NIL)
    S: A3 OK x
    """
    assert searched(script, SearchWants(seen=False), "MESSAGELIMIT=2 PARTIAL") == ((4, 4), (9, 9), (12, 12))


def test_a_search_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINES", 20)
    with pytest.raises(Closed) as error:
        searched("C: A1 UID SEARCH ALL\n" + "S: * SEARCH 1 2 3 4\n" * 5, SearchWants())
    assert error.value.failure is Failure.PROTOCOL


def stored(script: str, op: str, flags: list[str], since: int | None = None) -> Ranges:
    async def work(client: ImapClient) -> Ranges:
        await client.select(b"x")
        found = await client.store(((4, 5),), op, flags, unchanged_since=since)
        assert [message.uid for message in client.take_news().fetched] == [7]
        return found

    news = "S: * 1 FETCH (UID 4 MODSEQ (8))\nS: * 2 FETCH (UID 7 FLAGS ())\n"
    return talk(OPEN + script.replace("!", news), work)


@pytest.mark.parametrize(
    ("script", "op", "since", "refused"),
    [
        ("C: A2 UID STORE 4:5 +FLAGS.SILENT (\\Seen x]y)\n!S: A2 OK x", "add", None, ()),
        ("C: A2 UID STORE 4:5 -FLAGS.SILENT (\\Seen x]y)\n!S: A2 OK x", "remove", None, ()),
        ("C: A2 UID STORE 4:5 FLAGS.SILENT (\\Seen x]y)\n!S: A2 OK x", "set", None, ()),
        (
            "C: A2 UID STORE 4:5 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Seen x]y)\n!S: A2 OK [MODIFIED 5] x",
            "add",
            7,
            ((5, 5),),
        ),
        (
            "C: A2 UID STORE 4:5 (UNCHANGEDSINCE 7) +FLAGS.SILENT (\\Seen x]y)\n!S: A2 NO [MODIFIED 4,5] x",
            "add",
            7,
            ((4, 5),),
        ),
    ],
)
def test_store(script: str, op: str, since: int | None, refused: Ranges) -> None:
    assert stored(script, op, ["\\Seen", "x]y"], since) == refused


def test_store_of_nothing_and_refused() -> None:
    async def work(client: ImapClient) -> None:
        assert await client.store(((1, 1),), "add", []) == ()
        await client.store(((1, 1),), "set", [])
        with pytest.raises(Refused):
            await client.store(((1, 1),), "add", ["a b"])
        with pytest.raises(Refused):
            await client.store(((1, 1),), "add", ["x"])

    talk("C: A1 UID STORE 1 FLAGS.SILENT ()\nS: A1 OK x\nC: A2 UID STORE 1 +FLAGS.SILENT (x)\nS: A2 NO x", work)


def test_labels() -> None:
    async def work(client: ImapClient) -> None:
        await client.store_labels(((1, 2),), "add", ["\\Inbox", "a b", "ä"])
        await client.store_labels(((1, 2),), "set", [])
        await client.store_labels(((1, 2),), "remove", [])
        for label in ("\\In box", "a\r\nb", ""):
            with pytest.raises(Refused):
                await client.store_labels(((1, 2),), "add", [label])
        client.distrust("X-GM-EXT-1")
        with pytest.raises(Refused):
            await client.store_labels(((1, 2),), "add", ["x"])

    script = """
    C: A1 UID STORE 1:2 +X-GM-LABELS.SILENT (\\Inbox "a b" "&AOQ-")
    S: A1 OK x
    C: A2 UID STORE 1:2 X-GM-LABELS.SILENT ()
    S: A2 OK x
    """
    talk(script, work, "X-GM-EXT-1")


@pytest.mark.parametrize(
    ("answer", "copied"),
    [
        ("S: A1 OK [COPYUID 7 4:5 10:11] x", Copied(7, {4: 10, 5: 11})),
        ("S: * OK [COPYUID 7 4:5 11,10] x\nS: A1 OK x", Copied(7, {4: 11, 5: 10})),
        ("S: * OK [COPYUID 7 4 10] x\nS: * OK [COPYUID 7 5 11] x\nS: A1 OK x", Copied(7, {4: 10, 5: 11})),
        ("S: A1 OK x", None),
        ("S: A1 OK [COPYUID 7 4:5 10] x", None),
        ("S: A1 OK [COPYUID 7 4:4294967295 4:4294967295] x", None),
        ("S: A1 OK [COPYUID 7 x y] x", None),
        ("S: A1 OK [COPYUID 7] x", None),
    ],
)
def test_copy_and_move(answer: str, copied: Copied | None) -> None:
    async def copy(client: ImapClient) -> Copied | None:
        return await client.copy(((4, 5),), b"y z")

    async def move(client: ImapClient) -> Copied | None:
        return await client.move(((4, 5),), b"y z")

    assert talk('C: A1 UID COPY 4:5 "y z"\n' + answer, copy) == copied
    assert talk('C: A1 UID MOVE 4:5 "y z"\n' + answer, move, "MOVE") == copied
    with pytest.raises(Refused) as error:
        talk("", move)
    assert error.value.bad


def test_expunge_only_what_was_asked() -> None:
    async def work(client: ImapClient) -> None:
        await client.expunge(((4, 5),))

    talk("C: A1 UID EXPUNGE 4:5\nS: A1 OK x", work, "UIDPLUS")
    with pytest.raises(Refused):
        talk("", work)


async def pieces(*octets: bytes) -> AsyncIterator[bytes]:
    for piece in octets:
        yield piece


def appended(script: str, capabilities: str = "", size: int = 6, *octets: bytes) -> Appended | None:
    async def work(client: ImapClient) -> Appended | None:
        return await client.append(b"x", ["\\Seen"], 0, size, pieces(*(octets or (b"ab\r\n", b"", b"cd"))))

    return talk(script, work, capabilities)


ANNOUNCED = 'C: A1 APPEND "x" (\\Seen) " 1-Jan-1970 00:00:00 +0000" '


@pytest.mark.parametrize(
    ("script", "capabilities"),
    [
        ("{6}\nS: + go\nC: ab\nC: cd\nS: A1 OK [APPENDUID 7 99] x", ""),
        ("{6+}\nC: ab\nC: cd\nS: A1 OK [APPENDUID 7 99] x", "LITERAL+"),
        ("{6+}\nC: ab\nC: cd\nS: A1 OK [APPENDUID 7 99] x", "LITERAL-"),
    ],
)
def test_append(script: str, capabilities: str) -> None:
    assert appended(ANNOUNCED + script, capabilities) == Appended(7, 99)


def test_a_large_message_waits_to_be_let_in() -> None:
    with pytest.raises(Refused) as error:
        appended(ANNOUNCED + "{5000}\nS: A1 NO [TOOBIG] no", "LITERAL+", 5000)
    assert error.value.code == "TOOBIG"


def test_append_without_uid() -> None:
    for code in ("", "[APPENDUID 7] ", "[APPENDUID x y] ", "[APPENDUID 1 99999999999] "):
        assert appended(ANNOUNCED + f"{{6+}}\nC: ab\nC: cd\nS: A1 OK {code}x", "LITERAL+") is None


def test_append_refused() -> None:
    with pytest.raises(Refused) as error:
        appended(ANNOUNCED + "{6}\nS: A1 NO [TRYCREATE] x")
    assert error.value.failure is Failure.FOLDER_MISSING
    with pytest.raises(Refused) as error:
        appended(ANNOUNCED + "{6}\nS: + go\nC: ab\nC: cd\nS: A1 NO [OVERQUOTA] full")
    assert error.value.failure is Failure.LIMIT
    with pytest.raises(Refused) as error:
        appended("", "APPENDLIMIT=5")
    assert error.value.code == "TOOBIG"


@pytest.mark.parametrize("octets", [(b"ab\r\n",), (b"ab\r\ncdX",)])
def test_a_message_of_another_size_is_never_ended(octets: tuple[bytes, ...]) -> None:
    with pytest.raises(Closed):
        appended(ANNOUNCED + "{6+}" + ("\nC: ab" if len(octets[0]) == 4 else ""), "LITERAL+", 6, *octets)


def test_wants_can_be_told_apart() -> None:
    wants = FetchWants(internal_date=True, header=("X",))
    assert not wants.answered_by(FetchedMessage(1, flags=X, modseq=4))
    assert wants.answered_by(FetchedMessage(1, header=b""))
    assert replace(wants, internal_date=False, header=()).answered_by(FetchedMessage(1))


def test_what_is_open_to_be_read_is_not_changed() -> None:
    async def work(client: ImapClient) -> None:
        await client.select(b"x", read_only=True)
        for step in (
            lambda: client.store(((1, 1),), "add", ["x"]),
            lambda: client.store_labels(((1, 1),), "add", ["x"]),
            lambda: client.expunge(((1, 1),)),
            lambda: client.move(((1, 1),), b"y"),
        ):
            with pytest.raises(Refused) as error:
                await step()
            assert error.value.code == "READ-ONLY"
        await client.copy(((1, 1),), b"y")

    script = 'C: A1 EXAMINE "x"\nS: A1 OK [READ-ONLY] x\nC: A2 UID COPY 1 "y"\nS: A2 OK x'
    talk(script, work, "UIDPLUS MOVE X-GM-EXT-1")
