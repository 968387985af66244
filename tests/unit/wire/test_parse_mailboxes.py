"""LIST's options, METADATA and QUOTA: grammar and its limits."""

from __future__ import annotations

import pytest

from gateway.wire import commands as c
from gateway.wire.events import Frame
from gateway.wire.parse_metadata import MAX_ENTRIES, MAX_ENTRY
from gateway.wire.parser import BadCommand, parse


def read(text: bytes, *literals: bytes) -> c.Command:
    return parse(Frame(b"A1 " + text, literals))


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (b'GETMETADATA "" /shared/comment', c.GetMetadata(b"A1", "", ("/shared/comment",))),
        (b"getmetadata inbox (/Shared/Comment /private/x)",
         c.GetMetadata(b"A1", "INBOX", ("/Shared/Comment", "/private/x"))),
        (b"GETMETADATA (MAXSIZE 1024 DEPTH 1) x /shared/a",
         c.GetMetadata(b"A1", "x", ("/shared/a",), 1024, c.Depth.CHILDREN)),
        (b'GETMETADATA "x" (DEPTH infinity) ("/private/a b")',
         c.GetMetadata(b"A1", "x", ("/private/a b",), None, c.Depth.ALL)),
        (b"GETMETADATA x /private /shared/c", c.GetMetadata(b"A1", "x", ("/private", "/shared/c"))),
        (b'SETMETADATA INBOX (/Private/Comment "x" /shared/y NIL /shared/z "NIL")',
         c.SetMetadata(b"A1", "INBOX", (("/private/comment", b"x"), ("/shared/y", None), ("/shared/z", b"NIL")))),
        (b'SETMETADATA "" (/private/a "1" /PRIVATE/A "2")', c.SetMetadata(b"A1", "", (("/private/a", b"2"),))),
        (b'GETQUOTA ""', c.GetQuota(b"A1", b"")),
        (b"GETQUOTAROOT inbox", c.GetQuotaRoot(b"A1", "INBOX")),
        (b'SETQUOTA "#user/alice" (storage 510 MESSAGE 9223372036854775807)',
         c.SetQuota(b"A1", b"#user/alice", (("STORAGE", 510), ("MESSAGE", 2**63 - 1)))),
        (b'SETQUOTA "" ()', c.SetQuota(b"A1", b"", ())),
        (b'LIST "" * RETURN (METADATA ("/shared/a" /private/b) STATUS (SIZE mailboxid))',
         c.List(b"A1", "", ("*",), frozenset(), frozenset({"METADATA", "STATUS"}), ("SIZE", "MAILBOXID"), True,
                ("/shared/a", "/private/b"))),
        (b"STATUS x (DELETED-STORAGE APPENDLIMIT HIGHESTMODSEQ)",
         c.Status(b"A1", "x", ("DELETED-STORAGE", "APPENDLIMIT", "HIGHESTMODSEQ"))),
        (b"SELECT inbox", c.Select(b"A1", "INBOX", given="inbox")),
        (b"DELETE Inbox/x", c.Delete(b"A1", "INBOX/x", "Inbox/x")),
        (b"RENAME a inbox/b", c.Rename(b"A1", "a", "INBOX/b", "a")),
        (b"CREATE inbox/b (USE (\\junk))", c.Create(b"A1", "INBOX/b", ("\\Junk",), "inbox/b")),
    ],
)  # fmt: skip
def test_commands(text: bytes, command: c.Command) -> None:
    found = read(text)
    assert found == command
    assert type(found) is type(command)


@pytest.mark.parametrize(
    "text",
    [
        b"GETMETADATA x", b"GETMETADATA x ()", b"GETMETADATA x comment", b"GETMETADATA x /comment",
        b"GETMETADATA x /shared/", b"GETMETADATA x /shared//a", b'GETMETADATA x "/shared/a*"',
        b'GETMETADATA x "/shared/a%"', b'GETMETADATA x "/shared/\x01"', b'GETMETADATA x "/shared/\x7f"',
        b'GETMETADATA x "/shared/\xc3\xa4"', b"GETMETADATA x /sharedness/a", b"GETMETADATA (DEPTH) x /shared/a",
        b"GETMETADATA (DEPTH 2) x /shared/a", b"GETMETADATA (MAXSIZE x) x /shared/a",
        b"GETMETADATA (SIZE 1) x /shared/a", b"GETMETADATA (MAXSIZE 9223372036854775808) x /shared/a",
        b"SETMETADATA x", b"SETMETADATA x ()", b"SETMETADATA x (/shared/a)", b'SETMETADATA x /shared/a "1"',
        b'SETMETADATA x (/shared "1")', b'SETMETADATA x (/shared/vendor "1")', b'SETMETADATA x (/shared/vendor/y "1")',
        b"SETMETADATA x (/shared/a atom)", b"GETQUOTA", b"GETQUOTAROOT", b'SETQUOTA ""', b'SETQUOTA "" (STORAGE)',
        b'SETQUOTA "" (STORAGE x)', b'SETQUOTA "" (STORAGE 1 STORAGE 2)', b'SETQUOTA "" (STORAGE 9223372036854775808)',
        b'LIST "" * RETURN (METADATA)', b'LIST "" * RETURN (METADATA ())', b'LIST "" * RETURN (METADATA (x))',
    ],
)  # fmt: skip
def test_what_is_refused(text: bytes) -> None:
    with pytest.raises(BadCommand) as caught:
        read(text)
    assert caught.value.tag == b"A1"


def test_values_may_be_binary_only_in_a_literal8() -> None:
    found = read(b"SETMETADATA x (/shared/a ~{3}\n)", b"a\0b")
    assert isinstance(found, c.SetMetadata)
    assert found.values == (("/shared/a", b"a\0b"),)
    assert "a\\x00b" not in repr(found)
    with pytest.raises(BadCommand):
        read(b"SETMETADATA x (/shared/a {3}\n)", b"a\0b")


def test_entries_are_few_and_short() -> None:
    longest = b"/shared/" + b"x" * (MAX_ENTRY - 8)
    assert isinstance(read(b"GETMETADATA x " + longest), c.GetMetadata)
    names = [b"/shared/%d" % number for number in range(MAX_ENTRIES + 1)]
    whole = read(b"GETMETADATA x (" + b" ".join(names[:-1]) + b")")
    assert isinstance(whole, c.GetMetadata)
    assert len(whole.entries) == MAX_ENTRIES
    pairs = b" ".join(name + b" NIL" for name in names)
    for text in (
        b"GETMETADATA x " + longest + b"x",
        b"GETMETADATA x (" + b" ".join(names) + b")",
        b"GETMETADATA x " + b" ".join(names),
        b"SETMETADATA x (" + pairs + b")",
        b'LIST "" * RETURN (METADATA (' + b" ".join(names) + b"))",
    ):
        with pytest.raises(BadCommand):
            read(text)
