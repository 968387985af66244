"""Commands: RFC examples, what real clients send, and what is refused."""

from __future__ import annotations

import pytest

from gateway.model.flags import DELETED, FLAGGED, SEEN
from gateway.model.sequence import STAR, SequenceSet
from gateway.wire import commands as c
from gateway.wire import parser
from gateway.wire.append import Begin, End, Literal, Place, Url, Use
from gateway.wire.events import Frame
from gateway.wire.fetch import ITEMS, MACROS, BinarySection, BodySection, SectionText
from gateway.wire.parse_append import append_steps
from gateway.wire.parser import BadCharset, BadCommand, parse
from gateway.wire.tokens import Cursor, Malformed


def read(text: bytes, *literals: bytes, utf8: bool = False) -> c.Command:
    return parse(Frame(b"A1 " + text, literals), utf8=utf8)


def numbers(*pairs: tuple[int, int]) -> SequenceSet:
    return SequenceSet(pairs)


BARE = {
    b"CAPABILITY": c.Capability, b"NOOP": c.Noop, b"LOGOUT": c.Logout, b"STARTTLS": c.StartTls, b"CHECK": c.Check,
    b"CLOSE": c.Close, b"UNSELECT": c.Unselect, b"EXPUNGE": c.Expunge, b"IDLE": c.Idle, b"NAMESPACE": c.Namespace,
}  # fmt: skip


def test_a_command_continued_through_literals_names_no_more_ranges_than_one_line_could():
    line = b"UID " + b",".join([b"1"] * 15_000)
    with pytest.raises(BadCommand, match="20000 ranges") as caught:
        read(b"UID SEARCH " + line + b" SUBJECT {1+}\n " + line, b"x")
    assert caught.value.tag == b"A1"


@pytest.mark.parametrize("name", BARE)
def test_commands_without_arguments(name: bytes):
    for text in (name, name.lower(), name.title()):
        assert read(text) == BARE[name](b"A1")
    for text in (name + b" ", name + b" x", name + b"\x00"):
        with pytest.raises(BadCommand) as caught:
            read(text)
        assert caught.value.tag == b"A1"


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (b"login SMITH SESAME", c.Login(b"A1", b"SMITH", b"SESAME")),
        (b'LOGIN "a b" "p\\"w"', c.Login(b"A1", b"a b", b'p"w')),
        (b"LOGIN a@b.c \xff", c.Login(b"A1", b"a@b.c", b"\xff")),
        (b"AUTHENTICATE plain", c.Authenticate(b"A1", "PLAIN", None)),
        (b"AUTHENTICATE LOGIN =", c.Authenticate(b"A1", "LOGIN", b"")),
        (b"AUTHENTICATE PLAIN AHUAcA==", c.Authenticate(b"A1", "PLAIN", b"\x00u\x00p")),
        (b"SELECT inbox", c.Select(b"A1", "INBOX", given="inbox")),
        (b'EXAMINE "&AOQ- x"', c.Examine(b"A1", "ä x")),
        (b"CREATE owatagusiam/", c.Create(b"A1", "owatagusiam/")),
        (b"CREATE x (USE (\\sent \\Important \\New))", c.Create(b"A1", "x", ("\\Sent", "\\Important", "\\New"))),
        (b"CREATE x (use ())", c.Create(b"A1", "x")),
        (b"DELETE foo/bar", c.Delete(b"A1", "foo/bar")),
        (b"RENAME INBOX old-mail", c.Rename(b"A1", "INBOX", "old-mail")),
        (b"SUBSCRIBE #news", c.Subscribe(b"A1", "#news")),
        (b"UNSUBSCRIBE #news", c.Unsubscribe(b"A1", "#news")),
        (b'LIST "" ""', c.List(b"A1", "", ("",))),
        (b"LIST ~/Mail/ %", c.List(b"A1", "~/Mail/", ("%",))),
        (b'list (subscribed) "" "*" return (special-use)',
         c.List(b"A1", "", ("*",), frozenset({"SUBSCRIBED"}), frozenset({"SPECIAL-USE"}), (), True)),
        (b'LIST () "" (*) RETURN (SPECIAL-USE STATUS (MESSAGES unseen))',
         c.List(b"A1", "", ("*",), frozenset(), frozenset({"SPECIAL-USE", "STATUS"}), ("MESSAGES", "UNSEEN"), True)),
        (b'LIST (RECURSIVEMATCH SUBSCRIBED REMOTE SPECIAL-USE) "" (INBOX "Dr*" &AOQ-%) RETURN ()',
         c.List(b"A1", "", ("INBOX", "Dr*", "ä%"),
                frozenset({"RECURSIVEMATCH", "SUBSCRIBED", "REMOTE", "SPECIAL-USE"}), frozenset(), (), True)),
        (b'LSUB "#news." "comp.mail.*"', c.Lsub(b"A1", "#news.", "comp.mail.*")),
        (b"STATUS blurdybloop (UIDNEXT messages)", c.Status(b"A1", "blurdybloop", ("UIDNEXT", "MESSAGES"))),
        (b"UID EXPUNGE 3000:3002", c.Expunge(b"A1", numbers((3000, 3002)))),
        (b"COPY 2:4 MEETING", c.Copy(b"A1", False, numbers((2, 4)), "MEETING")),
        (b"uid move *:5,7 inbox", c.Move(b"A1", True, numbers((STAR, 5), (7, 7)), "INBOX")),
        (b'ID ("name" "sodr" "version" NIL)', c.Id(b"A1", ((b"name", b"sodr"), (b"version", None)))),
        (b"ID nil", c.Id(b"A1", None)),
        (b"ID ()", c.Id(b"A1", ())),
        (b"ENABLE condstore X-GOOD", c.Enable(b"A1", ("CONDSTORE", "X-GOOD"))),
        (b"STORE 2:4 +FLAGS (\\Deleted)",
         c.Store(b"A1", False, numbers((2, 4)), c.StoreAction.ADD, False, c.Flags(DELETED))),
        (b"UID STORE 28 +FLAGS \\Seen \\Flagged $Work",
         c.Store(b"A1", True, numbers((28, 28)), c.StoreAction.ADD, False, c.Flags(SEEN | FLAGGED, ("$Work",)))),
        (b"STORE 1 -flags.Silent (a A \\RECENT b]c)",
         c.Store(b"A1", False, numbers((1, 1)), c.StoreAction.REMOVE, True, c.Flags(0, ("a", "b]c")))),
        (b"STORE 1 FLAGS ()", c.Store(b"A1", False, numbers((1, 1)), c.StoreAction.SET, False, c.Flags())),
    ],
)  # fmt: skip
def test_commands(text: bytes, command: c.Command):
    found = read(text)
    assert found == command
    assert type(found) is type(command)
    assert read(text) == command  # once more: from the cache


def test_secrets_compare_but_do_not_show():
    login = read(b"LOGIN a hunter2")
    assert login.password == b"hunter2"
    assert "hunter2" not in repr(login)
    sasl = read(b"AUTHENTICATE PLAIN aHVudGVyMg==")
    assert sasl.initial_response == b"hunter2"
    assert "hunter2" not in repr(sasl)


def test_secrets_are_never_kept():
    parser._parse_cached.cache_clear()
    for text in (b"LOGIN a b", b"login a b", b"AUTHENTICATE PLAIN AA==", b"Authenticate PLAIN AA=="):
        read(text)
    assert parser._parse_cached.cache_info().currsize == 0
    read(b"NOOP")
    assert parser._parse_cached.cache_info().currsize == 1
    read(b"LOGIN {1}\n {1}\n", b"a", b"b")
    read(b"SELECT {1}\n", b"a")
    assert parser._parse_cached.cache_info().currsize == 1


def test_a_cached_command_bears_the_new_tag():
    for tag in (b"1", b"2"):
        assert parse(Frame(tag + b" UID FETCH 1:* FLAGS")).tag == tag


def test_literals_stand_in_any_string_place():
    assert read(b"LOGIN {3}\n {2+}\n", b"a b", b'"\xff') == c.Login(b"A1", b"a b", b'"\xff')
    assert read(b"RENAME {1}\n b", b"a") == c.Rename(b"A1", "a", "b")
    assert read(b"LIST {0}\n {1}\n", b"", b"*") == c.List(b"A1", "", ("*",))
    found = read(b"SEARCH CHARSET UTF-8 HEADER {2}\n {2}\n", b"To", "ä".encode())
    assert found.key.value == "ä"
    assert read(b"ID ({1}\n {1}\n)", b"a", b"b") == c.Id(b"A1", ((b"a", b"b"),))


def test_names_after_enable_utf8():
    assert read('SELECT "ä&AOQ-"'.encode(), utf8=True).mailbox == "ä&AOQ-"
    assert read(b"SELECT &AOQ-").mailbox == "ä"
    assert read(b"SELECT &AOQ-", utf8=True).mailbox == "&AOQ-"


# APPEND.


def test_append():
    # RFC 3501 6.3.11, with its synchronising literal
    assert read(b"APPEND saved-messages (\\Seen) {310}\n") == c.Append(
        b"A1", "saved-messages", (Begin(c.Flags(SEEN), None), Literal(310, True, False, Use.MESSAGE)), Place.BEHIND
    )
    assert read(b'append {5}\n () " 1-Jan-1970 00:00:01 +0000" {0+}\n', b"inbox") == c.Append(
        b"A1", "INBOX", (Begin(c.Flags(), 1), Literal(0, False, False, Use.MESSAGE)), Place.BEHIND
    )
    found = read(b'APPEND x "1-Jan-1970 00:00:01 +0000" {00012+}\n')
    assert found.first == (Begin(c.Flags(), 1), Literal(12, False, False, Use.MESSAGE))
    assert read(b"APPEND x ~{3}\n").first[1] == Literal(3, True, True, Use.MESSAGE)
    utf8 = read(b"APPEND x UTF8 (~{3+}\n")
    assert (utf8.first[1], utf8.place) == (Literal(3, False, True, Use.UTF8), Place.BEHIND_UTF8)


def test_catenate_and_replace():
    begin = Begin(c.Flags(), None)
    found = read(b"APPEND x CATENATE (URL /y/;UID=1 TEXT {4}\n")
    assert found.first == (begin, Url(b"/y/;UID=1"), Literal(4, True, False, Use.TEXT))
    assert found.place is Place.BEHIND_PART
    assert append_steps(Cursor(b' URL "/z" URL {3+}\n'), found.place) == (
        (Url(b"/z"), Literal(3, False, False, Use.URL)), Place.BEHIND_PART
    )  # fmt: skip
    assert append_steps(Cursor(b")"), found.place) == ((End(),), Place.BEHIND)
    assert append_steps(Cursor(b") (\\Seen) {5}\n"), found.place) == (
        (End(), Begin(c.Flags(SEEN), None), Literal(5, True, False, Use.MESSAGE)), Place.BEHIND
    )  # fmt: skip
    assert append_steps(Cursor(b") catenate (url a url b)"), Place.BEHIND_UTF8) == (
        (End(), begin, Url(b"a"), Url(b"b"), End()), Place.BEHIND
    )  # fmt: skip
    replace = read(b"UID REPLACE * Drafts (\\Seen) {3}\n")
    assert (replace.uid, replace.message, replace.mailbox) == (True, SequenceSet(((STAR, STAR),)), "Drafts")
    assert read(b"REPLACE 4 Drafts CATENATE (URL a)").first == (begin, Url(b"a"), End())


@pytest.mark.parametrize(
    ("text", "place"),
    [(b"x", Place.BEHIND), (b" x", Place.BEHIND), (b")", Place.BEHIND), (b"", Place.BEHIND_PART), (b" ", Place.BEHIND),
     (b" TEXT x", Place.BEHIND_PART), (b" URL", Place.BEHIND_PART), (b" URL ~{3}\n", Place.BEHIND_PART),
     (b" URL {9999}\n", Place.BEHIND_PART), (b" FOO {1}\n", Place.BEHIND_PART), (b"", Place.BEHIND_UTF8),
     (b" {1}\n", Place.BEHIND_UTF8), (b" CATENATE ()", Place.BEHIND), (b"))", Place.BEHIND_PART)],
)  # fmt: skip
def test_broken_text_behind_a_literal(text: bytes, place: Place):
    with pytest.raises(Malformed):
        append_steps(Cursor(text), place)


@pytest.mark.parametrize("numbers", [b"1:2", b"1,3", b"0", b"x", b""])
def test_replace_takes_one_message(numbers: bytes):
    with pytest.raises(BadCommand):
        read(b"REPLACE " + numbers + b" x {1}\n")


@pytest.mark.parametrize(
    "text",
    [b"APPEND", b"APPEND x", b"APPEND x {1}", b"APPEND x message", b"APPEND {1}\n", b"APPEND x UTF8 {1}\n",
     b"APPEND x (\\Foo) {1}\n", b'APPEND x "yesterday" {1}\n', b"APPEND x {1}\n x", b"APPEND x CATENATE ()",
     b"APPEND x  {1}\n", b"APPEND x {9999999999999999999}\n"],
)  # fmt: skip
def test_broken_appends(text: bytes):
    with pytest.raises(BadCommand):
        read(text)


# FETCH.


def items(text: bytes, *literals: bytes) -> tuple:
    return read(b"FETCH 1 " + text, *literals).items


def test_fetch_of_the_rfc():
    assert read(b"FETCH 2:4 (FLAGS BODY[HEADER.FIELDS (DATE FROM)])") == c.Fetch(
        b"A1",
        False,
        numbers((2, 4)),
        (
            ITEMS[b"FLAGS"],
            BodySection(b"BODY[HEADER.FIELDS (DATE FROM)]", (), SectionText.HEADER_FIELDS, (b"DATE", b"FROM")),
        ),
    )


def test_macros_stand_alone():
    for name in (b"ALL", b"fast", b"Full"):
        assert items(name) == MACROS[name.upper()]
        with pytest.raises(BadCommand):
            items(b"(" + name + b")")
    assert [item.echo for item in MACROS[b"FULL"]] == [b"FLAGS", b"INTERNALDATE", b"RFC822.SIZE", b"ENVELOPE", b"BODY"]


def test_items_keep_order_and_repeats():
    names = [b"uid", b"Flags", b"RFC822.SIZE", b"RFC822", b"RFC822.HEADER", b"RFC822.TEXT", b"INTERNALDATE",
             b"ENVELOPE", b"BODY", b"BODYSTRUCTURE", b"UID"]  # fmt: skip
    assert [item.echo for item in items(b"(" + b" ".join(names) + b")")] == [name.upper() for name in names]
    assert [item.echo for item in items(b"(RFC822 RFC822.HEADER RFC822.TEXT BODY)") if item.sets_seen] == [
        b"RFC822", b"RFC822.TEXT",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "section"),
    [
        (b"BODY[]", BodySection(b"BODY[]", (), SectionText.ALL)),
        (b"body.peek[]<0.2048>", BodySection(b"BODY[]<0>", (), SectionText.ALL, (), True, (0, 2048))),
        (b"BODY[text]<5.1>", BodySection(b"BODY[TEXT]<5>", (), SectionText.TEXT, (), False, (5, 1))),
        (b"BODY[1.2.3]", BodySection(b"BODY[1.2.3]", (1, 2, 3), SectionText.ALL)),
        (b"BODY[4.2.mime]", BodySection(b"BODY[4.2.MIME]", (4, 2), SectionText.MIME)),
        (b"BODY.PEEK[header]", BodySection(b"BODY[HEADER]", (), SectionText.HEADER, (), True)),
        (b'BODY.PEEK[3.header.fields.not (To "X Y" to)]',
         BodySection(b'BODY[3.HEADER.FIELDS.NOT (To "X Y" to)]', (3,), SectionText.HEADER_FIELDS_NOT,
                     (b"To", b"X Y", b"to"), True)),
    ],
)  # fmt: skip
def test_sections(text: bytes, section: BodySection):
    assert items(text) == (section,)
    assert items(b"(" + text + b" UID)") == (section, ITEMS[b"UID"])


def test_decoded_parts_previews_and_ids():
    assert items(b"(BINARY[1.2] BINARY.PEEK[]<5.9> BINARY.SIZE[1])") == (
        BinarySection(b"BINARY[1.2]", (1, 2)),
        BinarySection(b"BINARY[]<5>", (), True, (5, 9)),
        BinarySection(b"BINARY.SIZE[1]", (1,), size=True),
    )
    assert items(b"(PREVIEW PREVIEW (LAZY) EMAILID threadid SAVEDATE)") == tuple(
        ITEMS[name] for name in (b"PREVIEW", b"PREVIEW", b"EMAILID", b"THREADID", b"SAVEDATE")
    )
    assert items(b"PREVIEW (lazy LAZY)") == (ITEMS[b"PREVIEW"],)
    assert [item.sets_seen for item in items(b"(BINARY[1] BINARY.PEEK[1] BINARY.SIZE[1])")] == [True, False, False]


def test_fetch_modifiers():
    found = read(b"UID FETCH 1:* FLAGS (PARTIAL -1:-30 CHANGEDSINCE 98305)")
    assert (found.changed_since, found.vanished) == (98305, False)
    assert (found.partial.first, found.partial.last, found.partial.from_end) == (1, 30, True)
    found = read(b"UID FETCH 1 (UID) (vanished changedsince 1)")
    assert (found.changed_since, found.vanished, found.partial) == (1, True, None)


def test_a_field_name_in_a_literal_is_echoed_as_a_string():
    (section,) = items(b"BODY[HEADER.FIELDS (A {3}\n)]", b"X Y")
    assert section.fields == (b"A", b"X Y")
    assert section.echo == b'BODY[HEADER.FIELDS (A "X Y")]'


@pytest.mark.parametrize(
    "text",
    [b"()", b"(FLAGS", b"FLAGS)", b"(FLAGS  UID)", b"BODY.PEEK", b"BODY[", b"BODY[MIME]", b"BODY[0]", b"BODY[1.]",
     b"BODY[1HEADER]", b"BODY[HEADER.FIELDS]", b"BODY[HEADER.FIELDS ()]", b"BODY[]<0>", b"BODY[]<0.0>", b"BODY[]<1",
     b"BODY[FOO]", b"BINARY", b"RFC822.PEEK", b"BODYSTRUCTURE[]", b"(FLAGS) (CHANGEDSINCE 0)", b"BODY[4294967296000.1]",
     b"", b"BINARY[1.TEXT]", b"BINARY[0]", b"BINARY.SIZE[1]<0.1>", b"BINARY[1]<0.0>", b"PREVIEW (FAST)", b"PREVIEW ()",
     b"FLAGS (PARTIAL 1:2)", b"FLAGS (VANISHED)", b"FLAGS ()", b"FLAGS (FOO)", b"FLAGS (CHANGEDSINCE 1 CHANGEDSINCE 2)",
     b"(" + b" ".join([b"BINARY[1]<0.1>"] * 17) + b")"],
)  # fmt: skip
def test_broken_fetches(text: bytes):
    with pytest.raises(BadCommand, match="FETCH"):
        items(text)


def test_an_error_in_items_counts_from_the_command():
    with pytest.raises(BadCommand) as caught:
        read(b"UID FETCH 1:99 (FLAGS !)")
    assert caught.value.text == "UID FETCH: Expected a FETCH item at octet 23"


# What is refused.


@pytest.mark.parametrize(
    ("frame", "tag"),
    [
        (b"", None), (b" NOOP", None), (b"+ NOOP", None), (b"a(b NOOP", None), (b"\xff NOOP", None), (b"* NOOP", None),
        (b"A1", b"A1"), (b"A1 ", b"A1"), (b"A1  NOOP", b"A1"), (b"A1 XYZZY foo", b"A1"), (b"A1 UID", b"A1"),
        (b"A1 UID NOOP", b"A1"), (b"A1 UID SELECT x", b"A1"), (b"A1 NOOP\t", b"A1"), (b"A1 \x00", b"A1"),
    ],
)  # fmt: skip
def test_what_is_no_command(frame: bytes, tag: bytes | None):
    with pytest.raises(BadCommand) as caught:
        parse(Frame(frame))
    assert caught.value.tag == tag
    assert caught.value.text


@pytest.mark.parametrize(
    "text",
    [
        b"LOGIN", b"LOGIN a", b"LOGIN a b c", b'LOGIN "a b', b"LOGIN a  b", b"AUTHENTICATE", b"AUTHENTICATE PLAIN !",
        b"AUTHENTICATE PLAIN A", b"AUTHENTICATE PLAIN = =", b"SELECT", b"SELECT x (CONDSTOR)", b"SELECT a b",
        b"CREATE x (USE \\Sent)", b"CREATE x (USE (Sent))", b"CREATE x ()", b"RENAME a", b"LIST", b'LIST ""',
        b'LIST (FOO) "" *', b'LIST (RECURSIVEMATCH) "" *', b'LIST (RECURSIVEMATCH REMOTE) "" *', b'LIST "" ()',
        b'LIST "" * RETURN (FOO)', b'LIST "" * RETURN (STATUS)', b'LIST "" * RETURN', b'LIST "" * FOO ()',
        b'LSUB "" (*)', b"STATUS x", b"STATUS x ()", b"STATUS x (FOO)", b"STATUS x MESSAGES", b"UID EXPUNGE",
        b"COPY 1", b"COPY 0 x", b"COPY x 1", b"STORE 1 FLAGS", b"STORE 1 FOO (\\Seen)", b"STORE 1 FLAGS (\\Foo)",
        b"STORE 1 FLAGS (\\*)", b"STORE 1 FLAGS (\\Seen", b"STORE 1 FLAGS \\Seen ", b"STORE 1 FLAGS.QUIET ()",
        b"STORE 1 (UNCHANGEDSINCE) FLAGS ()", b"STORE 1 FLAGS (" + b"k" * 256 + b")", b"ID", b"ID x",
        b'ID ("a")', b'ID ("a" "b" "c")', b"ENABLE", b"ENABLE ", b"ENABLE (", b"SELECT &x", b"SELECT \xff",
    ],
)  # fmt: skip
def test_what_is_refused_names_the_command(text: bytes):
    with pytest.raises(BadCommand) as caught:
        read(text)
    assert caught.value.tag == b"A1"
    assert caught.value.text.startswith(text.split()[0].decode())


def test_errors_are_not_cached_and_bad_charsets_are_told_apart():
    for _ in range(2):
        with pytest.raises(BadCharset):
            read(b"SEARCH CHARSET X-NONE ALL")


def test_every_uid_command_has_a_plain_one():
    assert set(parser.UID_COMMANDS) <= set(parser.COMMANDS)


def test_list_patterns_are_few_and_short() -> None:
    """Ten thousand of them, or one of 120,000 characters, held the loop for seconds."""
    longest = b"a%" * 1000
    assert read(b'LIST "" (' + b" ".join([longest] * 100) + b")").patterns[0] == longest.decode()  # type: ignore[attr-defined]
    assert read(b'LSUB "" ' + longest).pattern == longest.decode()  # type: ignore[attr-defined]
    for text in (
        b'LIST "" (' + b" ".join([b"a"] * 101) + b")", b'LIST "" ' + longest + b"a", b"LIST a " + longest,
        b'LSUB "" ' + longest + b"a", b"LSUB a " + longest,
    ):  # fmt: skip
        with pytest.raises(BadCommand):
            read(text)


def test_fetch_items_are_limited() -> None:
    windows = [b"BODY.PEEK[1]<%d.9>" % number for number in range(1001)]
    headers = [b"BODY[HEADER]<%d.9>" % number for number in range(51)]
    mimes = [b"BODY[1.MIME]<%d.9>" % number for number in range(50)]
    parts = [b"BODY[%d.MIME]" % number for number in range(1, 1001)]
    for items in (windows[:1000], headers + mimes[:49], parts):
        assert len(read(b"FETCH 1 (" + b" ".join(items) + b")").items) == len(items)  # type: ignore[attr-defined]
    for items in (windows, headers + mimes):
        with pytest.raises(BadCommand):
            read(b"FETCH 1 (" + b" ".join(items) + b")")
