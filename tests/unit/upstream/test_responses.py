"""Responses to typed events: what servers really send, and what no server should."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.upstream.events import (
    ABSENT,
    Capability,
    Code,
    Continuation,
    Enabled,
    Exists,
    Expunge,
    Flags,
    Found,
    FoundSet,
    Identity,
    Listed,
    Namespaces,
    Row,
    Status,
    StatusOf,
    Tagged,
    Unknown,
    Vanished,
)
from gateway.upstream.fetched import read_row_of
from gateway.upstream.responses import MAX_PARSED, parse
from gateway.upstream.values import FetchedMessage, ListedMailbox, MailboxStatus
from gateway.wire.events import Frame
from tests.support.calls import calls


def told(text: str | bytes, *literals: bytes) -> Any:
    octets = text.encode("latin-1") if isinstance(text, str) else text
    return parse(Frame(octets, literals))


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("* OK hello", Status("OK", None, "hello")),
        ("* OK", Status("OK", None, "")),
        ("* bye [UNAVAILABLE] later", Status("BYE", Code("UNAVAILABLE"), "later")),
        ("* PREAUTH [CAPABILITY IMAP4rev1 X] hi", Status("PREAUTH", Code("CAPABILITY", b"IMAP4rev1 X"), "hi")),
        ("A1 OK [READ-WRITE] done", Tagged(b"A1", "OK", Code("READ-WRITE"), "done")),
        ("A1 NO", Tagged(b"A1", "NO", None, "")),
        ("A1 BAD [X", Tagged(b"A1", "BAD", None, "[X")),
        ("A12 ok [copyuid 1 2:4 5,9:8] x", Tagged(b"A12", "OK", Code("COPYUID", b"1 2:4 5,9:8"), "x")),
        ("* OK [PERMANENTFLAGS (\\Seen a]b \\*)] x", Status("OK", Code("PERMANENTFLAGS", b"(\\Seen a]b \\*)"), "x")),
        ("* OK [MAILBOXID (F2]x)] x", Status("OK", Code("MAILBOXID", b"(F2]x)"), "x")),
        ("* NO [ALERT] Zu viel\x07 \xe4", Status("NO", Code("ALERT"), "Zu viel  ä")),
        ("A1 OK [MODIFIED 7,9] x", Tagged(b"A1", "OK", Code("MODIFIED", b"7,9"), "x")),
        ("A1 BYE x", Unknown("BYE")),
        ("+ aGVsbG8=", Continuation(b"aGVsbG8=")),
        ("+", Continuation(b"")),
        ("* CAPABILITY IMAP4rev1  idle   AUTH=Plain", Capability(frozenset({"IMAP4REV1", "IDLE", "AUTH=PLAIN"}))),
        ("* ENABLED QRESYNC", Enabled(frozenset({"QRESYNC"}))),
        ("* 17 EXISTS", Exists(17)),
        ("* 5 expunge", Expunge(5)),
        ("* 5 RECENT", Unknown("RECENT")),
        ("* -5 EXISTS", Unknown("")),
        ("* 99999999999 EXISTS", Unknown("")),
        ("* 4294967295 EXISTS", Exists(4294967295)),
        ("* VANISHED 1:4,7", Vanished(False, b"1:4,7")),
        ("* VANISHED (EARLIER) 1:4", Vanished(True, b"1:4")),
        ("* FLAGS (\\Seen NonJunk a]b \\Recent)", Flags(frozenset({"\\Seen", "NonJunk", "a]b"}))),
        ("* SEARCH 4 5 6", Found(b"4 5 6")),
        ("* SEARCH", Found(b"")),
        ("* SEARCH 4 5 (MODSEQ 917162500)", Found(b"4 5 ")),
        ('* ESEARCH (TAG "A1") UID ALL 1:3,9', FoundSet(b"A1", b"1:3,9")),
        ('* ESEARCH (TAG A1) UID PARTIAL (1:1000 4,7) COUNT 3', FoundSet(b"A1", b"4,7", count=3)),
        ('* ESEARCH (TAG "A1") UID PARTIAL (-1:-100 NIL)', FoundSet(b"A1", b"")),
        ('* ESEARCH (TAG "A1") UID', FoundSet(b"A1", None)),
        ('* ESEARCH UID MIN 3 MAX 9 MODSEQ 77', FoundSet(b"", None, 3, 9)),
        ('* NAMESPACE (("" "/")("#news." ".")) NIL (("Shared" NIL "X-P" ("a")))',
         Namespaces(((b"", "/"), (b"#news.", ".")), (), ((b"Shared", None),))),
        ('* ID ("name" "Dovecot" "x" NIL)', Identity({"name": "Dovecot"})),
        ("* ID NIL", Identity({})),
        ("* STATUS INBOX (MESSAGES 3 UIDNEXT 4 X (1 2) MAILBOXID (F1) SIZE -1)",
         StatusOf(b"INBOX", MailboxStatus(3, 4, mailbox_id="F1"))),
        ("* STATUS x (UIDVALIDITY 18446744073709551616 HIGHESTMODSEQ 9223372036854775807)",
         StatusOf(b"x", MailboxStatus(highest_modseq=9223372036854775807))),
        ("* STATUS x", Unknown("STATUS")),
        ("* THREAD (1)", Unknown("THREAD")),
        ("* ", Unknown("")),
        ("", Unknown("")),
    ],
)  # fmt: skip
def test_responses(line: str, event: object) -> None:
    assert told(line) == event


@pytest.mark.parametrize(
    ("line", "literals", "raw", "name", "delimiter", "attributes"),
    [
        ('* LIST (\\HasNoChildren \\Sent) "/" "Sent Items"', (), b"Sent Items", "Sent Items", "/",
         {"\\hasnochildren", "\\sent"}),
        ("* XLIST (\\Inbox) \"/\" Posteingang", (), b"Posteingang", "Posteingang", "/", {"\\inbox"}),
        ("* LSUB () NIL INBOX", (), b"INBOX", "INBOX", None, set()),
        ('* LIST () "\\\\" "a\\\\b\\"c"', (), b'a\\b"c', 'a\\b"c', "\\", set()),
        ('* LIST () "/" {4}\n', (b'a" b',), b'a" b', 'a" b', "/", set()),
        ('* LIST () "/" &AOQ-', (), b"&AOQ-", "ä", "/", set()),
        ('* LIST () "/" "&AOQ"', (), b"&AOQ", "&AOQ", "/", set()),
        ('* LIST () "/" "\xc3\xa4"', (), b"\xc3\xa4", "ä", "/", set()),
        ('* LIST () "/" "\xe4"', (), b"\xe4", "ä", "/", set()),
        ('* LIST () "/" [Gmail]/All', (), b"[Gmail]/All", "[Gmail]/All", "/", set()),
        ('* LIST () "/" NIL', (), b"NIL", "NIL", "/", set()),
        ('* LIST (\\A) "." x ("CHILDINFO" ("SUBSCRIBED"))', (), b"x", "x", ".", {"\\a"}),
    ],
)  # fmt: skip
def test_mailboxes(
    line: str, literals: tuple[bytes, ...], raw: bytes, name: str, delimiter: str | None, attributes: set[str]
) -> None:
    found = told(line.replace("\r", ""), *literals)
    assert found == Listed(ListedMailbox(raw, name, delimiter, frozenset(attributes)), line.split()[1])


@pytest.mark.parametrize(
    "line",
    ["* LIST", "* LIST (", '* LIST () "/"', '* LIST () "/" ""', "* LIST () / {3}\n", '* LIST () "/" ' + "x" * 5000],
)
def test_no_mailbox(line: str) -> None:
    assert told(line) == Unknown("LIST")


def row(line: str, *literals: bytes) -> Row:
    found = told("* 3 FETCH " + line, *literals)
    assert isinstance(found, Row)
    return found


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("(UID 5 FLAGS (\\Seen \\Recent $x a]b))", FetchedMessage(5, flags=frozenset({"\\Seen", "$x", "a]b"}))),
        ("(FLAGS () MODSEQ (77) UID 5)", FetchedMessage(5, flags=frozenset(), modseq=77)),
        ('(UID 5 INTERNALDATE "17-Jul-1996 02:44:25 -0700" RFC822.SIZE 44827)',
         FetchedMessage(5, internal_date=837596665, size=44827)),
        ('(UID 5 INTERNALDATE " 1-Jan-1970 00:00:01 +0000")', FetchedMessage(5, internal_date=1)),
        ('(UID 5 INTERNALDATE "yesterday" RFC822.SIZE 3)', FetchedMessage(5, size=3)),
        ("(UID 5 INTERNALDATE NIL RFC822.SIZE NIL FLAGS NIL)", FetchedMessage(5)),
        ("(UID 5 EMAILID (M6d) THREADID NIL)", FetchedMessage(5, email_id="M6d")),
        ("(UID 5 EMAILID M6d)", FetchedMessage(5, email_id="M6d")),
        ("(X-GM-THRID 9 X-GM-MSGID 18446744073709551615 UID 5)", FetchedMessage(5, gmail_thread=9)),
        ("(X-GM-MSGID 1278455344230334865 UID 5)", FetchedMessage(5, gmail_id=1278455344230334865)),
        ('(X-GM-LABELS ("\\\\Inbox" \\Sent foo "a b" &AOQ- "x(y") UID 5)',
         FetchedMessage(5, labels=frozenset({"\\Inbox", "\\Sent", "foo", "a b", "ä", "x(y"}))),
        ("(UID 5 X-GM-LABELS ())", FetchedMessage(5, labels=frozenset())),
        ("(UID 5 RFC822.SIZE -7 FLAGS (x))", FetchedMessage(5, flags=frozenset({"x"}))),
        ("(UID 5 RFC822.SIZE 99999999999999999999999999 FLAGS (x))", FetchedMessage(5, flags=frozenset({"x"}))),
        ("(UID 99999999999 FLAGS (x))", FetchedMessage(0, flags=frozenset({"x"}))),
        ("(FLAGS (x))", FetchedMessage(0, flags=frozenset({"x"}))),
        ("(UID 5 ENVELOPE (NIL \"a\\\"b\" (((\"x\" NIL \"y\" \"z\")))) X (1 (2)) FLAGS (x))",
         FetchedMessage(5, flags=frozenset({"x"}))),
        ("(UID 5 BODY (\"text\" \"plain\" NIL) FLAGS (x))", FetchedMessage(5, flags=frozenset({"x"}))),
        ("(UID 5  FLAGS (x)  RFC822.SIZE 3 )", FetchedMessage(5, flags=frozenset({"x"}), size=3)),
        ("(uid 5 flags (x))", FetchedMessage(5, flags=frozenset({"x"}))),
        ("(UID 5 FLAGS (x)", FetchedMessage(5, flags=frozenset({"x"}))),
        ("(UID 5 FLAGS (x", FetchedMessage(5)),
        ("UID 5", FetchedMessage(0)),
        ("(UID 5 ENVELOPE " + "(" * 50_000, FetchedMessage(5)),
        ("(UID 5 X (" + "a " * 20_000 + ") FLAGS (x))", FetchedMessage(5)),
        ("(UID 5 ENVELOPE " + "(" * 51 + ")" * 51 + " FLAGS (x))", FetchedMessage(5)),
        ("(UID 5 FLAGS (x) ) trailing", FetchedMessage(5, flags=frozenset({"x"}))),
        ("()", FetchedMessage(0)),
    ],
)  # fmt: skip
def test_rows(line: str, message: FetchedMessage) -> None:
    assert row(line) == Row(message)


def test_rows_with_strings() -> None:
    assert row("(UID 5 BODY[] NIL)").body is None
    assert row('(BODY[] "" UID 5)').body == b""
    assert row('(BODY[] "a\\"b" UID 5)').body == b'a"b'
    assert row("(BODY[]<0> {3}\n UID 5)", b"abc") == Row(FetchedMessage(5), b"abc")
    assert row("(BINARY[1] ~{1}\n UID 5)", b"\0").body == b"\0"
    assert row("(UID 5 FLAGS (x))").body is ABSENT
    assert row("(UID 5 BODY[] (x))").body is ABSENT
    found = row('(UID 5 BODY[HEADER.FIELDS ("Message-ID" X)] {4}\n FLAGS (x))', b"a\r\nb")
    assert found == Row(FetchedMessage(5, header=b"a\r\nb", flags=frozenset({"x"})))
    assert row("(UID 5 BODY[HEADER.FIELDS (X)] {4}\n)").message == FetchedMessage(5)
    assert row("(FLAGS ({1}\n y) UID 5)", b"x").message == FetchedMessage(5, flags=frozenset({"x", "y"}))


def test_uidfetch_names_the_uid_in_front() -> None:
    assert told("* 25900 UIDFETCH (FLAGS (x))") == Row(FetchedMessage(25900, flags=frozenset({"x"})))


def test_the_beginning_of_a_row() -> None:
    assert read_row_of(Frame(b"* 1 FETCH (UID 5 FLAGS (x) BODY[] {3}\n")).message == FetchedMessage(
        5, flags=frozenset({"x"})
    )
    assert read_row_of(Frame(b"* 7 UIDFETCH (BODY[] {3}\n")).message == FetchedMessage(7)
    assert read_row_of(Frame(b"* 1 FETCH (BODY[] {3}\n")).message == FetchedMessage(0)
    assert read_row_of(Frame(b"nothing")).message == FetchedMessage(0)


def test_the_same_flags_are_one_object() -> None:
    assert row("(UID 5 FLAGS (\\Seen a))").message.flags is row("(UID 6 FLAGS (\\Seen a))").message.flags


def test_what_is_too_long_is_not_parsed() -> None:
    assert told(b"* 1 FETCH (UID 5 X (" + b"a " * MAX_PARSED + b"))") == Unknown("FETCH")
    assert told(b"* FLAGS (" + b"a " * MAX_PARSED + b")") == Unknown("FLAGS")
    found = told(b"* OK " + b"a" * MAX_PARSED)
    assert isinstance(found, Status)
    assert len(found.text) == 1000
    assert isinstance(told(b"* SEARCH" + b" 1" * MAX_PARSED), Found)


TOKENS = (
    "* ", "1 FETCH (", "UID ", "5 ", "FLAGS ", "(", ")", '"', "\\", "{1}\n", "NIL ", "BODY[", "]", "<0>", "LIST ",
    "STATUS ", "OK [", "] ", "ESEARCH ", "(TAG ", "PARTIAL ", "VANISHED ", "X-GM-LABELS ", "INTERNALDATE ", "MODSEQ ",
    "NAMESPACE ", "ID ", "-1", "99999999999999999999", "A1 ", "SEARCH ", "(MODSEQ 1)", "   ", "ä", "\0",
)  # fmt: skip


@given(
    st.lists(st.sampled_from(TOKENS) | st.text(max_size=3), max_size=30).map("".join),
    st.lists(st.binary(max_size=5), max_size=3),
)
def test_anything_is_some_event(text: str, literals: list[bytes]) -> None:
    found = parse(Frame(text.encode("utf-8"), tuple(literals)))
    if isinstance(found, Row):
        assert 0 <= found.message.uid < 2**32


@pytest.mark.parametrize(
    "begin", ["", "* 1 FETCH (UID 5 X ", "* LIST (", "* STATUS x (", "* ID (", "* OK [", "* ESEARCH ", "* SEARCH "]
)
@pytest.mark.parametrize("token", TOKENS)
def test_steps_go_with_the_octets(begin: str, token: str) -> None:
    small, large = ((begin + token * (size // len(token))).encode() for size in (2_000, 4_000))
    assert calls(lambda: parse(Frame(large))) <= 2.2 * calls(lambda: parse(Frame(small))) + 200
