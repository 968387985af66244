"""Commands: RFC examples, what real clients send, and what is refused."""

from __future__ import annotations

import pytest

from gateway.model.flags import DELETED, FLAGGED, SEEN
from gateway.model.sequence import STAR, SequenceSet
from gateway.wire import commands as c
from gateway.wire import parser
from gateway.wire.events import Frame
from gateway.wire.fetch import ITEMS, MACROS, BodySection, SectionText
from gateway.wire.parser import BadCharset, BadCommand, parse


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
        (b"SELECT inbox", c.Select(b"A1", "INBOX")),
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
        b"A1", "saved-messages", c.Flags(SEEN), None, 310, True
    )
    assert read(b'append {5}\n () " 1-Jan-1970 00:00:01 +0000" {0+}\n', b"inbox") == c.Append(
        b"A1", "INBOX", c.Flags(), 1, 0, False
    )
    assert read(b'APPEND x "1-Jan-1970 00:00:01 +0000" {00012+}\n') == c.Append(b"A1", "x", c.Flags(), 1, 12, False)
    assert read(b"APPEND x ~{3}\n") == c.Append(b"A1", "x", c.Flags(), None, 3, True, True)
    assert read(b"APPEND x UTF8 (~{3+}\n") == c.Append(b"A1", "x", c.Flags(), None, 3, False, True, True)


@pytest.mark.parametrize(
    "text",
    [b"APPEND", b"APPEND x", b"APPEND x {1}", b"APPEND x message", b"APPEND {1}\n", b"APPEND x UTF8 {1}\n",
     b"APPEND x (\\Foo) {1}\n", b'APPEND x "yesterday" {1}\n', b"APPEND x {1}\n x", b"APPEND x  {1}\n",
     b"APPEND x {9999999999999999999}\n"],
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


def test_a_field_name_in_a_literal_is_echoed_as_a_string():
    (section,) = items(b"BODY[HEADER.FIELDS (A {3}\n)]", b"X Y")
    assert section.fields == (b"A", b"X Y")
    assert section.echo == b'BODY[HEADER.FIELDS (A "X Y")]'


@pytest.mark.parametrize(
    "text",
    [b"()", b"(FLAGS", b"FLAGS)", b"(FLAGS  UID)", b"BODY.PEEK", b"BODY[", b"BODY[MIME]", b"BODY[0]", b"BODY[1.]",
     b"BODY[1HEADER]", b"BODY[HEADER.FIELDS]", b"BODY[HEADER.FIELDS ()]", b"BODY[]<0>", b"BODY[]<0.0>", b"BODY[]<1",
     b"BODY[FOO]", b"BINARY[]", b"MODSEQ", b"RFC822.PEEK", b"BODYSTRUCTURE[]", b"(FLAGS) (CHANGEDSINCE 1)",
     b"BODY[4294967296000.1]", b""],
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
        b"AUTHENTICATE PLAIN A", b"AUTHENTICATE PLAIN = =", b"SELECT", b"SELECT x (CONDSTORE)", b"SELECT a b",
        b"CREATE x (USE \\Sent)", b"CREATE x (USE (Sent))", b"CREATE x ()", b"RENAME a", b"LIST", b'LIST ""',
        b'LIST (FOO) "" *', b'LIST (RECURSIVEMATCH) "" *', b'LIST (RECURSIVEMATCH REMOTE) "" *', b'LIST "" ()',
        b'LIST "" * RETURN (FOO)', b'LIST "" * RETURN (STATUS)', b'LIST "" * RETURN', b'LIST "" * FOO ()',
        b'LSUB "" (*)', b"STATUS x", b"STATUS x ()", b"STATUS x (FOO)", b"STATUS x MESSAGES", b"UID EXPUNGE",
        b"COPY 1", b"COPY 0 x", b"COPY x 1", b"STORE 1 FLAGS", b"STORE 1 FOO (\\Seen)", b"STORE 1 FLAGS (\\Foo)",
        b"STORE 1 FLAGS (\\*)", b"STORE 1 FLAGS (\\Seen", b"STORE 1 FLAGS \\Seen ", b"STORE 1 FLAGS.QUIET ()",
        b"STORE 1 (UNCHANGEDSINCE 1) FLAGS ()", b"STORE 1 FLAGS (" + b"k" * 256 + b")", b"ID", b"ID x",
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
            read(b"SEARCH CHARSET KOI8-R ALL")


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
