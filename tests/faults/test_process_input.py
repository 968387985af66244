"""Malformed, hostile and cut off input on the real ports: an answer that says what is wrong, and nothing half done."""

from __future__ import annotations

import random
import signal
from base64 import b64encode

import pytest

from tests.faults.process_kit import (
    Imap,
    Smtp,
    Wire,
    control,
    exists,
    logged_out,
    mail,
    new_inbox,
    new_key,
    new_source,
    plain,
    subjects,
)
from tests.servers.process import free_port, wait_for
from tests.support.gateway import Gateway

STARTTLS = free_port()  # IMAP as on port 143
SETTINGS = f"""
[[listener]]
kind = "imap"
address = "127.0.0.1"
port = {STARTTLS}
security = "starttls"
"""
LIMIT = 10 * 1024 * 1024  # octets a message may have
Login = tuple[str, str]


@pytest.fixture
def login(gateway: Gateway, request: pytest.FixtureRequest) -> Login:
    """An inbox of the test's own."""
    name = str(abs(hash(request.node.name)))
    return new_inbox(gateway, f"t{name}@mail.test")


# -- literals


def test_a_huge_literal_is_refused_before_it_is_sent(gateway: Gateway, login: Login) -> None:
    with logged_out(Imap(gateway, login)) as client:
        for size in (LIMIT + 1, 1 << 30, 4294967295):
            assert client.refused(b"APPEND INBOX {%d}" % size).startswith(b"NO [TOOBIG]")
        assert client.refused(b"APPEND INBOX {%d}" % 10**30).startswith(b"BAD ")  # no number of RFC 3501 9
        assert client.refused(b"CREATE {1073741824}").startswith(b"BAD ")
        assert client.append(b"INBOX", mail(login[0], "after")).startswith(b"OK")
        assert exists(client) == 1


def test_a_message_that_comes_unasked_is_drained_or_ends_the_connection(gateway: Gateway, login: Login) -> None:
    with logged_out(Imap(gateway, login)) as client:
        assert client.append(b"INBOX", mail(login[0], "toobig", LIMIT + 1000)).startswith(b"NO [TOOBIG]")
        assert client.append(b"Nowhere", mail(login[0], "nowhere", 1_000_000)).startswith(b"NO [TRYCREATE]")
        client.ok(b"NOOP")
        assert exists(client) == 0
    for size in (1 << 30, 10**30):
        with Imap(gateway, login) as client:
            client.send(b"x APPEND INBOX {%d+}\r\n" % size)
            assert b"too big" in client.bye()
        with Imap(gateway, login) as client:
            client.send(b"x CREATE {%d+}\r\n" % size)
            client.bye()


@pytest.mark.parametrize("logged_in", [False, True])
def test_a_literals_octets_are_never_read_as_commands(gateway: Gateway, login: Login, logged_in: bool) -> None:
    trap = b"b CREATE Trap\r\nc LOGIN %b %b\r\nd LOGOUT\r\n" % (login[0].encode(), login[1].encode())
    with Imap(gateway, login if logged_in else None) as client:
        for start in (b"XYZZY", b"XYZZY foo", b"SELECT a b", b"LOGIN a", b"APPEND", b"FETCH 1", b"NOOP", b"()"):
            assert client.refused(b"%b {%d+}\r\n%b" % (start, len(trap), trap)), start
        client.ok(b"NOOP")
        if not logged_in:
            client.ok(f"LOGIN {login[0]} {login[1]}".encode())
        assert client.ok(b'LIST "" Trap') == [b"OK LIST completed"]


# -- lines


def test_lines_beyond_the_limit_are_skipped_whole(gateway: Gateway, login: Login) -> None:
    long = b"x" * 70_000
    with Imap(gateway) as client:
        assert client.refused(b"LOGIN " + long[:60_000]).startswith(b"BAD ")
        client.ok(f"LOGIN {login[0]} {login[1]}".encode())
        for command in (b"SELECT " + long, b"FETCH " + b"1," * 40_000 + b"1 FLAGS", long, b"(" * 70_000):
            assert client.refused(command).startswith(b"BAD ")
        client.ok(b"SELECT INBOX")
        client.send(b"z" * 3_000_000)
        client.bye()
    with Imap(gateway) as client:
        client.send_while_open(b"x LOGIN " + long)
        client.bye()
    with Smtp(gateway) as smtp:
        assert smtp.say("EHLO " + "x" * 2000).startswith("500 5.5.2")
        assert smtp.say("EHLO client.test").startswith("250")
        assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("235")
        assert smtp.say("MAIL FROM:<" + "x" * 70_000 + ">").startswith("500 5.5.2")
        assert smtp.submit(login[0], login[0], mail(login[0], "long")).startswith("250")
    with Smtp(gateway) as smtp:
        smtp.send_while_open(long * 8)
        assert smtp.rest().split(b"\r\n")[-2].startswith(b"421 4.7.0")


def test_deep_nesting_costs_an_answer_and_no_more(gateway: Gateway, login: Login) -> None:
    message = _nested(2000)
    with logged_out(Imap(gateway, login)) as client:
        client.append(b"INBOX", mail(login[0], "flat"))
        client.ok(b"SELECT INBOX")
        deep = [
            b"SEARCH " + b"(" * 1000 + b"ALL" + b")" * 1000,
            b"SEARCH " + b"NOT " * 1000 + b"ALL",
            b"SEARCH " + b"OR ALL " * 5000 + b"ALL",
            b"FETCH 1 (" + b"(" * 1000 + b"FLAGS" + b")" * 1001,
            b"STORE 1 FLAGS " + b"(" * 1000 + b")" * 1000,
            b"CREATE " + b"/".join([b"d"] * 1000),
            b"RENAME INBOX " + b"/".join([b"d"] * 101),
            b'LIST "" "' + b"%*" * 5000 + b'"',
        ]
        for command in deep:
            assert client.refused(command), command
        client.ok(b"FETCH 1 BODY[" + b".".join([b"1"] * 5000) + b"]")
        client.ok(b'LIST "" "' + b"%*" * 1000 + b'"')
        assert client.append(b"INBOX", message).startswith(b"OK")
        lines = client.ok(b"FETCH 2 (BODYSTRUCTURE BODY ENVELOPE RFC822.SIZE)")
        assert b"RFC822.SIZE %d" % len(message) in lines[0]
        lines = client.ok(b"FETCH 2 BODY.PEEK[]")
        assert message in lines[0]
        client.ok(b"SEARCH TEXT nowhere")


def _nested(depth: int) -> bytes:
    """A message in a message in a message."""
    head = b"From: a@mail.test\r\n"
    for number in range(depth):
        boundary = b"b%d" % number
        head += b"Content-Type: multipart/mixed; boundary=%b\r\n\r\n--%b\r\n" % (boundary, boundary)
    return head + b"Content-Type: message/rfc822\r\n\r\n" * 2000 + b"\r\ntext\r\n"


HEADERS = {
    "addresses": b"To: " + b"a@b.c, " * 30_000,
    "groups": b"Cc: " + b"g:" * 100_000,
    "comments": b"Bcc: " + b"(" * 200_000,
    "quotes": b"Reply-To: " + b'"\\' * 100_000,
    "words": b"Subject: " + b"=?utf-8?q?=41?= " * 12_000,
    "parameters": b"Content-Type: text/plain" + b"; a*0*=x" * 25_000,
    "lines": b"Comments: " + b"x\r\n " * 50_000,
}


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_made_to_be_slow_to_read(gateway: Gateway, login: Login, kind: str) -> None:
    message = f"From: {login[0]}\r\n".encode() + HEADERS[kind] + b"\r\n\r\ntext\r\n"
    with logged_out(Imap(gateway, login)) as client:
        assert client.append(b"INBOX", message).startswith(b"OK")
        with Smtp(gateway, login) as smtp:
            assert smtp.submit(login[0], login[0], message).startswith("250")
        client.ok(b"SELECT INBOX")
        assert len(client.ok(b"FETCH 1:2 (ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (TO SUBJECT)])")) == 3
        assert message in client.ok(b"FETCH 1 BODY.PEEK[]")[0]
        client.ok(b"SEARCH OR TO nobody SUBJECT nothing")


def test_sequence_sets_are_never_counted_out(gateway: Gateway, login: Login) -> None:
    with logged_out(Imap(gateway, login)) as client:
        for number in range(3):
            client.append(b"INBOX", mail(login[0], f"s{number}"))
        client.ok(b"SELECT INBOX")
        every = b",".join([b"1:4294967295"] * 4000)
        for text in (b"1:4294967295", b"4294967295:1", b"*:1", b"1:*,*:4294967295", every):
            lines = client.ok(b"UID FETCH %b (FLAGS)" % text)
            assert [line[:9] for line in lines[:-1]] == [b"* 1 FETCH", b"* 2 FETCH", b"* 3 FETCH"]
            assert client.ok(b"UID SEARCH UID " + text)[0] == b"* SEARCH 1 2 3"
        assert client.ok(b"UID FETCH 4000000000:4294967294 (FLAGS)") == [b"OK FETCH completed"]
        assert client.ok(b"UID STORE 1:4294967295 +FLAGS (\\Flagged)")[:-1]
        client.ok(b"UID COPY 1:4294967295 Trash")
        assert exists(client, b"Trash") == 3
        for text in (b"0", b"1:0", b"4294967296", b"1:99999999999999999999", b"1,,2", b":", b"1:", b",", b"*:*:*"):
            assert client.refused(b"FETCH %b FLAGS" % text).startswith(b"BAD "), text
        client.ok(b"UID EXPUNGE 1:4294967295")
        assert exists(client) == 3


# -- octets that are no text


def test_nul_and_eight_bit_octets(gateway: Gateway, login: Login) -> None:
    with Imap(gateway) as client:
        for octets in (b"\0", b"NOOP\0", b"LOGIN \xff \xfe", b'LOGIN "\xff\0" "x"', b"NOOP\rNOOP", b"\xc3\xa4"):
            assert client.refused(octets).startswith((b"BAD ", b"NO ")), octets
        client.send(b"\0\xff NOOP\r\n")
        assert client.line().startswith(b"* BAD ")
        client.ok(b"NOOP")
    with logged_out(Imap(gateway, login)) as client:
        commands = (
            b"SELECT \xff", b'SELECT "\0"', b"CREATE {4+}\r\na\0bc", b"CREATE {3+}\r\na\rb", b'CREATE "&&&"',
            b"STATUS INBOX (\xff)", b"\xff\xfe", b'LIST "\0" *',
        )
        for octets in commands:
            assert client.refused(octets).startswith((b"BAD ", b"NO ")), octets
        eight_bit = mail(login[0], "8bit") + bytes(range(128, 256)) + b"\r\n"
        assert client.append(b"INBOX", eight_bit).startswith(b"OK")
        client.ok(b"SELECT INBOX")
        assert eight_bit in client.ok(b"FETCH 1 BODY.PEEK[]")[0]
        client.append(b"INBOX", mail(login[0], "nul") + b"\0\0\r\n")
        for line in client.ok(b"FETCH 1:* BODY.PEEK[]"):
            assert b"\0" not in line  # RFC 3501 4.3: no NUL outside a literal8
    with Smtp(gateway, login) as smtp:
        for octets in (b"\0\r\n", b"NOOP\0\r\n", b"MAIL FROM:<\xff@mail.test>\r\n", b"\xc3\xa4\r\n"):
            smtp.send(octets)
            assert smtp.reply()[:1] in {"2", "5"}, octets
        assert smtp.say("RSET").startswith("250")
        assert smtp.submit(login[0], login[0], mail(login[0], "nul") + b"\0\r\n").startswith("550 5.6.0")
        assert smtp.submit(login[0], login[0], mail(login[0], "bare") + b"a\n.\nb\r\n").startswith("550 5.6.0")


WORDS = (
    b"a ", b"b UID ", b"FETCH ", b"1:* ", b"(FLAGS BODY[", b"]<0.1>) ", b"\r\n", b"\r\n", b"\n", b"{3+}\r\n", b"{5}",
    b'"', b"\\", b"SEARCH ", b"OR ", b"NOT ", b"APPEND INBOX ", b"SELECT INBOX", b"STORE ", b"+FLAGS ", b"(", b")",
    b"IDLE\r\n", b"DONE\r\n", b"AUTHENTICATE PLAIN ", b"*", b"\0", b"\xff", b"LIST ", b"ID (", b"EHLO x\r\n", b"~",
    b"MAIL FROM:<", b">", b"RCPT TO:<", b"DATA\r\n", b".\r\n", b"RSET\r\n", b"AUTH PLAIN ", b"=", b"NOOP\r\n",
    b"EXPUNGE\r\n",
)


@pytest.mark.parametrize("seed", range(12))
def test_random_octets_on_all_ports(gateway: Gateway, login: Login, seed: int) -> None:
    rng = random.Random(seed)
    noise = b"".join(
        rng.choice(WORDS) if rng.random() < 0.9 else rng.randbytes(rng.randrange(1, 40)) for _ in range(4000)
    )
    wires: list[Wire] = [
        Imap(gateway), Imap(gateway, login), Smtp(gateway), Smtp(gateway, login), Smtp(gateway, tls=False),
        Wire(STARTTLS, None), Wire(gateway.imaps, None), Wire(gateway.smtps, None),
    ]
    for wire in wires:
        for start in range(0, len(noise), 7000):
            wire.send_while_open(noise[start : start + 7000])
        wire.cut() if rng.random() < 0.5 else wire.close()
    with logged_out(Imap(gateway, login)) as client:
        client.ok(b"SELECT INBOX")


# -- connections that end in the middle


@pytest.mark.parametrize("how", ["reset", "close"])
@pytest.mark.parametrize("part", [10, 300_000, 3_000_000])
def test_a_message_cut_off_is_not_there(gateway: Gateway, login: Login, part: int, how: str) -> None:
    message = mail(login[0], "cut", 4_000_000)
    clients: list[Wire] = []
    for announced in (b"{%d+}", b"{%d}"):
        imap = Imap(gateway, login)
        imap.send(b"x APPEND INBOX " + announced % len(message) + b"\r\n")
        if announced == b"{%d}":
            assert imap.line().startswith(b"+ ")
        clients.append(imap)
    smtp = Smtp(gateway, login)
    for command in (f"MAIL FROM:<{login[0]}>", f"RCPT TO:<{login[0]}>", "DATA"):
        assert smtp.say(command)[0] in "23"
    for client in (*clients, smtp):
        client.send(message[:part])
        if how == "close":
            client.close()
        else:
            client.cut()
    whole = Imap(gateway, login)
    whole.send(b"x APPEND INBOX {%d+}\r\n" % len(message) + message)  # all but the end of the command
    whole.cut()
    ending = Smtp(gateway, login)
    for command in (f"MAIL FROM:<{login[0]}>", f"RCPT TO:<{login[0]}>", "DATA"):
        assert ending.say(command)[0] in "23"
    ending.send(message + b".\r")  # all but the last octet
    ending.cut()
    with logged_out(Imap(gateway, login)) as client:
        assert client.append(b"INBOX", mail(login[0], "whole")).startswith(b"OK")
        assert subjects(client) == [b"whole"]
        assert exists(client, b"Sent") == 0
    assert control(gateway, "store.check", deep=True) == []


def test_a_reset_ends_the_session_whatever_still_waits_to_be_read(gateway: Gateway, login: Login) -> None:
    for said in (b"x NO", b"x APPEND INBOX {1000000}\r\n", b"x APPEND INBOX {1000000+}\r\nfrom", b"x IDLE\r\n"):
        clients: list[Wire] = [Imap(gateway, login) for _ in range(5)]
        clients += [Smtp(gateway, login), Smtp(gateway, tls=False)]
        gateway.signal(signal.SIGSTOP)  # so that octets and reset are both there when the server looks
        for client in clients:
            client.send(said)
            client.cut()
        gateway.signal(signal.SIGCONT)
    wait_for(lambda: control(gateway, "server.status")["connections"] == 0, "the end of the sessions", 60)


# -- STARTTLS


def test_what_is_said_before_starttls_is_forgotten_on_the_submission_port(gateway: Gateway, login: Login) -> None:
    with Smtp(gateway, tls=False) as smtp:
        assert smtp.say("EHLO client.test").startswith("250")
        assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("538 5.7.11")
        assert smtp.say(f"MAIL FROM:<{login[0]}>").startswith("530 5.7.0")
        smtp.send(b"STARTTLS\r\nEHLO injected.test\r\nNOOP\r\nQUIT\r\n")
        assert smtp.reply().startswith("220")
        smtp.start_tls(gateway.tls())
        assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("503"), "the greeting from before TLS counts"
        assert smtp.say("EHLO client.test").startswith("250")
        assert smtp.say("STARTTLS").startswith("503")
        assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("235")
        assert smtp.submit(login[0], login[0], mail(login[0], "secure")).startswith("250")


def test_what_is_said_before_starttls_is_forgotten_by_imap(gateway: Gateway, login: Login) -> None:
    with Wire(STARTTLS, None) as raw:
        greeting = raw.line()
        assert b" STARTTLS" in greeting
        assert b"LOGINDISABLED" in greeting
        assert b" AUTH=" not in greeting
        for command in (f"LOGIN {login[0]} {login[1]}", f"AUTHENTICATE PLAIN {plain(*login)}"):
            raw.send(f"a {command}\r\n".encode())
            assert raw.line().startswith(b"a NO [PRIVACYREQUIRED]")
        raw.send(b"b STARTTLS\r\nc LOGIN injected injected\r\nd NOOP\r\ne LOGOUT\r\nf APPEND {9+}\r\n")
        assert raw.line().startswith(b"b OK")
        raw.start_tls(gateway.tls())
        raw.send(f"g LOGIN {login[0]} {login[1]}\r\n".encode())
        answer = raw.line()
        assert answer.startswith(b"g OK [CAPABILITY")
        assert b"STARTTLS" not in answer
        raw.send(b"h STARTTLS\r\ni SELECT INBOX\r\n")
        assert raw.line().startswith(b"h BAD")
        while (line := raw.line()) and line.startswith(b"* "):
            pass
        assert line.startswith(b"i OK")


# -- logging in

GARBAGE = (
    "!!!!", "AGE=", "====", "AA==", plain("", ""), plain("a", "b" * 10_000), b64encode(b"\xff\0\xff\0\xff").decode()
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_malformed_credentials(gateway: Gateway, login: Login, garbage: str) -> None:
    with logged_out(Imap(gateway)) as imap:
        assert imap.refused(f"AUTHENTICATE PLAIN {garbage}".encode())
        imap.send(b"x AUTHENTICATE PLAIN\r\n")
        assert imap.line() == b"+ "
        imap.send(garbage.encode() + b"\r\n")
        assert imap.line()[:4] in {b"x NO", b"x BA"}
        imap.send(b"y AUTHENTICATE LOGIN\r\n")
        assert imap.line().startswith(b"+ ")
        imap.send(b"*\r\n")
        assert imap.line().startswith(b"y BAD")
        assert imap.refused(b"AUTHENTICATE CRAM-MD5").startswith(b"NO ")
        imap.ok(f"AUTHENTICATE PLAIN {plain(*login)}".encode())
    with Smtp(gateway) as smtp:
        assert smtp.say("EHLO client.test").startswith("250")
        assert smtp.say(f"AUTH PLAIN {garbage}")[:1] == "5"
        assert smtp.say("AUTH PLAIN").startswith("334")
        assert smtp.say(garbage)[:1] == "5"
        assert smtp.say("AUTH LOGIN").startswith("334")
        assert smtp.say("*").startswith("501")
        assert smtp.say("AUTH CRAM-MD5").startswith("504")
        assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("235")


def test_failures_close_a_connection_in_the_end(gateway: Gateway, login: Login) -> None:
    with Imap(gateway) as imap:
        imap.send(b"x LOGIN nobody@mail.test wrong\r\n" * 40)
        lines = imap.rest().split(b"\r\n")
        assert 3 <= len(lines) < 15
        assert lines[-2].startswith(b"* BYE")
    with Smtp(gateway) as smtp:
        assert smtp.say("EHLO client.test").startswith("250")
        smtp.send(f"AUTH PLAIN {plain('nobody@mail.test', 'wrong')}\r\n".encode() * 40)
        assert smtp.rest().split(b"\r\n")[-2].startswith(b"421 4.7.0")


def test_wrong_keys_slow_their_source_and_nobody_else(gateway: Gateway, login: Login) -> None:
    """The owner at home is let in while somebody at the office guesses; so is a device whose key has matched before."""
    bad, good = new_source(), new_source()
    fresh, unused = new_key(gateway, inbox=login[0]), new_key(gateway, inbox=login[0])
    with Imap(gateway, login, source=bad):  # the key is known now
        pass
    wrong = unused[:15] + unused[15:17].swapcase() + "x" * 30
    answers = []
    for _ in range(2):
        with Imap(gateway, source=bad) as client:
            for key in (wrong, "guess", login[1][:-1]) * 3:
                answers.append(client.refused(f"LOGIN {login[0]} {key}".encode()))
    assert answers[0].startswith(b"NO [AUTHENTICATIONFAILED]")
    assert answers[-1].startswith(b"NO [UNAVAILABLE]"), "clients forget a password on AUTHENTICATIONFAILED"
    with Imap(gateway, source=bad) as client:
        assert client.refused(f"LOGIN {login[0]} {fresh}".encode()).startswith(b"NO [UNAVAILABLE]")
    with Smtp(gateway, source=bad) as smtp:
        assert smtp.say("EHLO client.test").startswith("250")
        assert smtp.say(f"AUTH PLAIN {plain(login[0], fresh)}").startswith("454 4.7.0")
    for source, key in ((bad, login[1]), (good, fresh), (good, login[1])):
        with logged_out(Imap(gateway, (login[0], key), source=source)) as client:
            client.ok(b"SELECT INBOX")
        Smtp(gateway, (login[0], key), source=source).close()
    with logged_out(Imap(gateway, (login[0], fresh), source=bad)):
        """It has matched elsewhere meanwhile."""


def test_a_key_in_the_wrong_place_never_reaches_the_log(gateway: Gateway, login: Login) -> None:
    """People paste it into the user name's field; the module's end looks for it in every event of the log."""
    key = login[1]
    with Imap(gateway) as client:
        for command in (
            f"LOGIN {key} {login[0]}", f"LOGIN {key} {key}", f"LOGIN {login[0]} {key}x", f"LOGIN {login[0]} {key} x",
            f"AUTHENTICATE PLAIN {plain(key, key, key)}", f"AUTHENTICATE PLAIN {plain(key, login[0])}",
            f"AUTHENTICATE {key}", f"{key} {key}", f"LOGIN {{{len(key)}+}}\r\n{key}",
        ):
            assert client.refused(command.encode())
    with Imap(gateway) as client:
        client.ok(f'ID ("name" "{key}" "{key[:30]}" "x")'.encode())
        client.send(key.encode() + b" NOOP\r\n")
        assert client.line() == key.encode() + b" OK NOOP completed"
        client.ok(f"LOGIN {login[0]} {key}".encode())
        assert client.refused(b"SELECT " + key.encode()).startswith(b"NO ")
        client.ok(b"CREATE " + key.encode())
        client.ok(b"DELETE " + key.encode())
    with Smtp(gateway) as smtp:
        assert smtp.say(f"EHLO {key}")
        assert smtp.say("EHLO client.test").startswith("250")
        for command in (f"AUTH PLAIN {plain(key, login[0])}", f"AUTH {key}", f"{key}", f"AUTH PLAIN {key}"):
            assert smtp.say(command)[:1] == "5", command
        assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("235")
        assert smtp.say(f"MAIL FROM:<{key}@mail.test>").startswith("553")
        assert smtp.submit(login[0], login[0], mail(login[0], key)).startswith("250")
        assert smtp.submit(login[0], f"{key}@mail.test", mail(login[0], key)).startswith("550 5.1.1")
