"""The grammar of RFC 7162: SELECT's parameters, modifiers of FETCH and STORE, SEARCH's MODSEQ."""

from __future__ import annotations

import pytest

from gateway.model.sequence import STAR, SequenceSet
from gateway.wire import commands as c
from gateway.wire import search as keys
from gateway.wire.events import Frame
from gateway.wire.parser import BadCommand, parse

MAX = 2**63 - 1


def read(text: bytes) -> c.Command:
    return parse(Frame(b"A1 " + text, ()))


def numbers(*pairs: tuple[int, int]) -> SequenceSet:
    return SequenceSet(pairs)


@pytest.mark.parametrize(
    ("text", "condstore", "resync"),
    [
        (b"(CONDSTORE)", True, None),
        (b"(condstore)", True, None),
        (b"(QRESYNC (67890007 20050715194045000))", False, c.Resync(67890007, 20050715194045000)),
        (b"(QRESYNC (1 2) CONDSTORE)", True, c.Resync(1, 2)),
        (b"(QRESYNC (1 2 41,43:211))", False, c.Resync(1, 2, numbers((41, 41), (43, 211)))),
        (
            b"(QRESYNC (1 2 (5,7:8 15,20:21)))",
            False,
            c.Resync(1, 2, None, (numbers((5, 5), (7, 8)), numbers((15, 15), (20, 21)))),
        ),
        (
            b"(QRESYNC (1 2 1:9 (5:6 15,17)))",
            False,
            c.Resync(1, 2, numbers((1, 9)), (numbers((5, 6)), numbers((15, 15), (17, 17)))),
        ),
        (b"(QRESYNC (4294967295 %d 4294967295:1))" % MAX, False, c.Resync(2**32 - 1, MAX, numbers((2**32 - 1, 1)))),
    ],
)
def test_select(text: bytes, condstore: bool, resync: c.Resync | None) -> None:
    for name, kind in ((b"SELECT", c.Select), (b"EXAMINE", c.Examine)):
        command = read(name + b" INBOX " + text)
        assert isinstance(command, kind)
        assert (command.mailbox, command.condstore, command.resync) == ("INBOX", condstore, resync)


@pytest.mark.parametrize(
    "text",
    [
        b"()",
        b"CONDSTORE",
        b"(CONDSTORE CONDSTORE)",
        b"(QRESYNC)",
        b"(QRESYNC ())",
        b"(QRESYNC (1))",
        b"(QRESYNC (1 0))",
        b"(QRESYNC (0 1))",
        b"(QRESYNC (1 %d))" % (MAX + 1),
        b"(QRESYNC (4294967296 1))",
        b"(QRESYNC (1 2 *))",
        b"(QRESYNC (1 2 1:*))",
        b"(QRESYNC (1 2 (1 2 3)))",
        b"(QRESYNC (1 2 (1)))",
        b"(QRESYNC (1 2 (1:2 5)))",
        b"(QRESYNC (1 2 (2,1 5,6)))",
        b"(QRESYNC (1 2 (1,2 6,5)))",
        b"(QRESYNC (1 2 (1,1 5,6)))",
        b"(QRESYNC (1 2 (2:1 5:6)))",
        b"(QRESYNC (1 2 (* 5)))",
        b"(QRESYNC (1 2) QRESYNC (1 2))",
        b"(QRESYNC (1 2 1:4 1:4))",
        b"(OTHER)",
        b"(CONDSTORE",
        b"(QRESYNC (1 2 (1:4294967295 1:4294967294)))",
    ],
)
def test_select_refused(text: bytes) -> None:
    with pytest.raises(BadCommand):
        read(b"SELECT INBOX " + text)


@pytest.mark.parametrize(
    ("text", "since", "vanished"),
    [
        (b"UID FETCH 1:* FLAGS (CHANGEDSINCE 12345)", 12345, False),
        (b"FETCH 1:* (FLAGS UID) (changedsince 1)", 1, False),
        (b"UID FETCH 1:* FAST (CHANGEDSINCE %d VANISHED)" % MAX, MAX, True),
        (b"UID FETCH 1:* (BODY[TEXT]) (VANISHED CHANGEDSINCE 7)", 7, True),
    ],
)
def test_fetch(text: bytes, since: int, vanished: bool) -> None:
    command = read(text)
    assert isinstance(command, c.Fetch)
    assert command.messages == numbers((1, STAR))
    assert (command.changed_since, command.vanished) == (since, vanished)


@pytest.mark.parametrize(
    "text",
    [
        b"FETCH 1 FLAGS (CHANGEDSINCE 0)",
        b"FETCH 1 FLAGS (CHANGEDSINCE)",
        b"FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)",
        b"UID FETCH 1 FLAGS (VANISHED)",
        b"UID FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED VANISHED)",
        b"FETCH 1 FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 1)",
        b"FETCH 1 FLAGS CHANGEDSINCE 1",
        b"FETCH 1 FLAGS (CHANGEDSINCE x)",
        b"FETCH 1 FLAGS (CHANGEDSINCE %d)" % (MAX + 1),
        b"FETCH 1 FLAGS (UNCHANGEDSINCE 1)",
        b"FETCH 1 FLAGS (CHANGEDSINCE 1",
    ],
)
def test_fetch_refused(text: bytes) -> None:
    with pytest.raises(BadCommand):
        read(text)


@pytest.mark.parametrize(("text", "since"), [(b"0", 0), (b"12121230045", 12121230045), (b"%d" % MAX, MAX)])
def test_store(text: bytes, since: int) -> None:
    command = read(b"UID STORE 6,4,8 (UNCHANGEDSINCE %b) +FLAGS.SILENT (\\Deleted)" % text)
    assert isinstance(command, c.Store)
    assert (command.unchanged_since, command.silent, command.action) == (since, True, c.StoreAction.ADD)
    assert command == read(b"UID STORE 6,4,8 +FLAGS.SILENT (\\Deleted) (UNCHANGEDSINCE %b)" % text), "imapflow's order"
    plain = read(b"STORE 1 FLAGS \\Seen")
    assert isinstance(plain, c.Store)
    assert plain.unchanged_since is None


@pytest.mark.parametrize(
    "text",
    [
        b"()",
        b"(UNCHANGEDSINCE)",
        b"(UNCHANGEDSINCE -1)",
        b"(UNCHANGEDSINCE %d)" % (MAX + 1),
        b"(CHANGEDSINCE 1)",
        b"(UNCHANGEDSINCE 1 UNCHANGEDSINCE 1)",
        b"(UNCHANGEDSINCE 1",
        b"UNCHANGEDSINCE 1",
    ],
)
def test_store_refused(text: bytes) -> None:
    with pytest.raises(BadCommand):
        read(b"STORE 1 " + text + b" FLAGS (\\Seen)")
    with pytest.raises(BadCommand):
        read(b"STORE 1 " + text)
    with pytest.raises(BadCommand):
        read(b"STORE 1 FLAGS (\\Seen) " + text)
    with pytest.raises(BadCommand):
        read(b"STORE 1 (UNCHANGEDSINCE 1) FLAGS (\\Seen) " + text)


@pytest.mark.parametrize(
    ("text", "least"),
    [
        (b"MODSEQ 620162338", 620162338),
        (b"MODSEQ 0", 0),
        (b'MODSEQ "/flags/\\\\draft" all 620162338', 620162338),
        (b'MODSEQ "/FLAGS/$Seen-it" PRIV 1', 1),
        (b'MODSEQ "/flags/k" Shared %d' % MAX, MAX),
    ],
)
def test_search(text: bytes, least: int) -> None:
    for command in (read(b"SEARCH " + text), read(b"UID SEARCH NOT " + text)):
        assert isinstance(command, c.Search)
        assert keys.ModSeq(least) in keys.walk(command.key)


@pytest.mark.parametrize(
    "text",
    [
        b"MODSEQ",
        b"MODSEQ x",
        b"MODSEQ -1",
        b"MODSEQ %d" % (MAX + 1),
        b'MODSEQ "/flags/x" 1',
        b'MODSEQ "/flags/x" all',
        b'MODSEQ "/flags/" all 1',
        b'MODSEQ "/comment" all 1',
        b'MODSEQ "/flags/a b" all 1',
        b'MODSEQ "/flags/x" some 1',
        b"MODSEQ /flags/x all 1",
    ],
)
def test_search_refused(text: bytes) -> None:
    with pytest.raises(BadCommand):
        read(b"SEARCH " + text)
