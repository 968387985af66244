"""What a key may do, seen through the protocols: its end, its permissions, its scope, and one tenant beside another."""

from __future__ import annotations

import itertools
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.process_kit import (
    Imap,
    Smtp,
    control,
    exists,
    logged_out,
    mail,
    new_inbox,
    new_key,
    plain,
    subjects,
)
from tests.support.gateway import Gateway

Login = tuple[str, str]
_NUMBERS = itertools.count()


@pytest.fixture
def login(gateway: Gateway) -> Login:
    """An inbox of the test's own, with a key that may do everything but administer."""
    return new_inbox(gateway, f"own{next(_NUMBERS)}@mail.test")


@pytest.fixture
def other(gateway: Gateway) -> Login:
    return new_inbox(gateway, f"other{next(_NUMBERS)}@mail.test")


# -- the end of a key or inbox


class Sessions:
    """One session of each kind; all of them must end, and nothing that they were doing may be left half done."""

    def __init__(self, gateway: Gateway, login: Login, stack: ExitStack) -> None:
        self.selected, self.idling, self.fresh, self.sending = (
            stack.enter_context(Imap(gateway, login)) for _ in range(4)
        )
        self.selected.ok(b"SELECT INBOX")
        self.idling.ok(b"SELECT INBOX")
        self.idling.idle()
        self.sending.send(b"x APPEND INBOX {1000000}\r\n")
        assert self.sending.line().startswith(b"+ ")
        self.sending.send(mail(login[0], "half", 500_000))
        self.quiet, self.between, self.data = (stack.enter_context(Smtp(gateway, login)) for _ in range(3))
        assert self.between.say(f"MAIL FROM:<{login[0]}>").startswith("250")
        for command in (f"MAIL FROM:<{login[0]}>", f"RCPT TO:<{login[0]}>", "DATA"):
            assert self.data.say(command)[0] in "23"
        self.data.send(mail(login[0], "half", 500_000))

    def must_end(self, why: bytes) -> None:
        for imap in (self.selected, self.idling, self.fresh, self.sending):
            assert why in imap.bye()
        for smtp in (self.quiet, self.between, self.data):
            assert smtp.line() == b"421 4.7.0 " + why
            assert smtp.rest() == b""


def test_a_revoked_key_ends_all_its_sessions_and_no_others(gateway: Gateway, login: Login) -> None:
    second = new_key(gateway, inbox=login[0])
    with ExitStack() as stack:
        sessions = Sessions(gateway, login, stack)
        kept = stack.enter_context(Imap(gateway, (login[0], second)))
        kept.ok(b"SELECT INBOX")
        gateway.run("key", "revoke", login[1])
        sessions.must_end(b"The key was revoked")
        kept.ok(b"NOOP")
        assert exists(kept) == 0
    _cannot_log_in(gateway, login)


def test_a_deleted_inbox_ends_the_sessions_of_all_keys(gateway: Gateway, login: Login) -> None:
    everything = new_key(gateway, everything=True)
    with ExitStack() as stack:
        sessions = Sessions(gateway, login, stack)
        wide = stack.enter_context(Imap(gateway, (login[0], everything)))
        elsewhere = stack.enter_context(Imap(gateway, (gateway.address, everything)))
        gateway.run("inbox", "delete", login[0], "--yes")
        for one in (sessions.selected, sessions.idling, sessions.fresh, sessions.sending, wide):
            one.bye()
        for smtp in (sessions.quiet, sessions.between, sessions.data):
            assert smtp.line().startswith(b"421 4.7.0 ")
        elsewhere.ok(b"NOOP")
    _cannot_log_in(gateway, login)
    _cannot_log_in(gateway, (login[0], everything))
    with Smtp(gateway, (gateway.address, gateway.key)) as smtp:
        assert smtp.submit(gateway.address, login[0], mail(gateway.address, "late")).startswith("550 5.1.1")


def test_an_expired_key_ends_its_sessions(gateway: Gateway, login: Login) -> None:
    key = new_key(gateway, inbox=login[0], expires=int(time.time()) + 5)
    with ExitStack() as stack:
        Sessions(gateway, (login[0], key), stack).must_end(b"The key has expired")
    _cannot_log_in(gateway, (login[0], key))
    with logged_out(Imap(gateway, login)) as client:
        assert exists(client) == 0


def _cannot_log_in(gateway: Gateway, login: Login) -> None:
    with Imap(gateway) as client:
        assert client.refused(f"LOGIN {login[0]} {login[1]}".encode()).startswith(b"NO [AUTHENTICATIONFAILED]")
    with Smtp(gateway) as smtp:
        assert smtp.say("EHLO client.test").startswith("250")
        assert smtp.say(f"AUTH PLAIN {plain(*login)}").startswith("535 5.7.8")


def test_imported_mail_shows_in_idle(gateway: Gateway, login: Login, tmp_path: Path) -> None:
    file = tmp_path / "one.eml"
    file.write_bytes(mail(login[0], "imported"))
    with logged_out(Imap(gateway, login)) as client:
        client.ok(b"SELECT INBOX")
        client.idle()
        gateway.run("message", "import", str(file), "--inbox", login[0])
        assert client.line() == b"* 1 EXISTS"
        client.send(b"DONE\r\n")
        assert client.line().startswith(b"idle OK")
        assert file.read_bytes() in client.ok(b"FETCH 1 BODY.PEEK[]")[0]


def test_what_another_session_deletes(gateway: Gateway, login: Login) -> None:
    with ExitStack() as stack:
        idling, selected, actor = (stack.enter_context(Imap(gateway, login)) for _ in range(3))
        actor.ok(b"CREATE Gone")
        assert actor.append(b"Gone", mail(login[0], "one")).startswith(b"OK")
        for one in (idling, selected, actor):
            one.ok(b"SELECT Gone")
        idling.idle()
        actor.ok(b"DELETE Gone")
        assert b"deleted" in idling.bye()
        assert b"deleted" in selected.bye()
        assert actor.ask(b"FETCH 1 FLAGS")[-1].startswith(b"BAD ")
        actor.ok(b"CREATE Gone")
        assert exists(actor, b"Gone") == 0


# -- permissions


@pytest.fixture
def filled(gateway: Gateway, login: Login) -> Login:
    with Imap(gateway, login) as client:
        for mailbox in (b"INBOX", b"Drafts", b"Trash"):
            assert client.append(mailbox, mail(login[0], mailbox.decode())).startswith(b"OK")
    return login


CHANGES = (
    b"STORE 1 +FLAGS (\\Seen)", b"UID STORE 1 FLAGS.SILENT (\\Deleted)", b"COPY 1 Trash", b"UID MOVE 1 Trash",
    b"MOVE 1 Trash", b"EXPUNGE", b"UID EXPUNGE 1", b"CREATE New", b"DELETE Trash", b"RENAME Trash Bin",
    b"RENAME INBOX Old", b"SUBSCRIBE Trash", b"UNSUBSCRIBE Trash",
)


def test_a_reading_key_changes_nothing(gateway: Gateway, filled: Login) -> None:
    key = new_key(gateway, inbox=filled[0], permissions=["read"])
    with logged_out(Imap(gateway, (filled[0], key))) as client:
        for mailbox in (b"INBOX", b"Drafts", b"Trash"):
            lines = client.ok(b"SELECT " + mailbox)
            assert lines[-1].startswith(b"OK [READ-ONLY]")
            assert any(b"[PERMANENTFLAGS ()]" in line for line in lines)
            assert b"Subject: " + mailbox in client.ok(b"FETCH 1 (FLAGS BODY[])")[0]
            for command in CHANGES:
                answer = client.refused(command)
                assert answer.startswith(b"NO "), (command, answer)
            assert client.append(mailbox, mail(filled[0], "no")).startswith(b"NO [NOPERM]")
            assert client.refused(b"APPEND %b {1000}" % mailbox).startswith(b"NO [NOPERM]")  # before it is sent
        client.ok(b"SELECT INBOX")
        client.ok(b"CLOSE")
        for command in (b"CREATE New", b"DELETE Trash", b"RENAME Trash Bin"):
            assert client.refused(command).startswith(b"NO [NOPERM]")
    with Smtp(gateway, (filled[0], key)) as smtp:
        assert smtp.submit(filled[0], filled[0], mail(filled[0], "no")).startswith("550 5.7.1")
    _nothing_changed(gateway, filled)


def _nothing_changed(gateway: Gateway, login: Login, mailboxes: int = 6) -> None:
    with logged_out(Imap(gateway, login)) as client:
        for mailbox in (b"INBOX", b"Drafts", b"Trash"):
            assert subjects(client, mailbox) == [mailbox]
            client.ok(b"SELECT " + mailbox)
            assert client.ok(b"FETCH 1 FLAGS")[0] == b"* 1 FETCH (FLAGS ())"
        assert exists(client, b"Sent") == 0
        listed = client.ok(b'LIST "" *')
        assert len(listed) == mailboxes
        assert len(client.ok(b'LSUB "" *')) == mailboxes


def test_a_drafting_key_writes_drafts_only(gateway: Gateway, filled: Login) -> None:
    key = new_key(gateway, inbox=filled[0], permissions=["read", "draft"])
    with logged_out(Imap(gateway, (filled[0], key))) as client:
        for mailbox in (b"INBOX", b"Trash", b"Sent"):
            assert client.append(mailbox, mail(filled[0], "no")).startswith(b"NO [NOPERM]")
            assert client.ok(b"SELECT " + mailbox)[-1].startswith(b"OK [READ-ONLY]")
        client.ok(b"SELECT INBOX")
        for command in CHANGES[:2]:
            assert client.refused(command).startswith(b"NO ")
        assert client.refused(b"CREATE New").startswith(b"NO [NOPERM]")
        assert client.refused(b"COPY 1 Trash").startswith(b"NO [NOPERM]")
        assert client.append(b"Drafts", mail(filled[0], "draft")).startswith(b"OK [APPENDUID ")
        assert client.ok(b"SELECT Drafts")[-1].startswith(b"OK [READ-WRITE]")
        client.ok(b"STORE 2 +FLAGS (\\Draft)")
        assert client.refused(b"MOVE 1 Trash").startswith(b"NO [NOPERM]")
        client.ok(b"STORE 2 +FLAGS (\\Deleted)")
        client.ok(b"EXPUNGE")
        assert exists(client, b"Drafts") == 1
        with Smtp(gateway, (filled[0], key)) as smtp:
            said = smtp.submit(filled[0], filled[0], mail(filled[0], "please"))
            assert said.startswith("250 2.0.0 held for approval as ")
        assert exists(client, b"Drafts") == 2
        client.ok(b"SELECT Drafts")
        client.ok(b"STORE 2 +FLAGS (\\Deleted)")
        client.ok(b"EXPUNGE")
    _nothing_changed(gateway, filled, mailboxes=7)  # Outbox was made for who consents


def test_a_key_that_may_not_send_and_one_that_only_sends(gateway: Gateway, filled: Login) -> None:
    silent = new_key(gateway, inbox=filled[0], permissions=["read", "write"])
    with Smtp(gateway, (filled[0], silent)) as smtp:
        assert smtp.say(f"MAIL FROM:<{filled[0]}>").startswith("550 5.7.1")
        assert smtp.say("MAIL FROM:<>").startswith("550 5.7.1")
        assert smtp.say(f"RCPT TO:<{filled[0]}>").startswith("503")
    sender = new_key(gateway, inbox=filled[0], permissions=["send"])
    with logged_out(Imap(gateway, (filled[0], sender))) as client:
        for command in (b"SELECT INBOX", b"EXAMINE INBOX", b"EXAMINE Drafts", b"STATUS INBOX (MESSAGES)"):
            assert client.refused(command).startswith(b"NO [NOPERM]"), command
        assert client.append(b"INBOX", mail(filled[0], "no")).startswith(b"NO [NOPERM]")
        client.ok(b"NOOP")
    with Smtp(gateway, (filled[0], sender)) as smtp:
        assert smtp.submit(filled[0], filled[0], mail(filled[0], "sent")).startswith("250")
    with logged_out(Imap(gateway, filled)) as client:
        assert subjects(client) == [b"INBOX", b"sent"]


def test_single_permissions_without_spam_and_trash(gateway: Gateway, filled: Login) -> None:
    key = new_key(gateway, inbox=filled[0], permissions=["message_read"])
    with logged_out(Imap(gateway, (filled[0], key))) as client:
        client.ok(b"SELECT INBOX")
        for mailbox in (b"Trash", b"Spam"):
            assert client.refused(b"SELECT " + mailbox).startswith(b"NO [NOPERM]")
            assert client.refused(b"STATUS %b (UNSEEN)" % mailbox).startswith(b"NO [NOPERM]")


# -- scopes


@pytest.fixture(scope="module")
def pods(gateway: Gateway) -> dict[str, str]:
    """Two tenants with two inboxes each; a key for each pod, and one for everything."""
    keys = {"all": new_key(gateway, everything=True)}
    for pod in ("red", "blue"):
        control(gateway, "pod.add", name=pod)
        control(gateway, "domain.add", name=f"{pod}.test", pod=pod)
        for name in ("a", "b"):
            keys[f"{name}@{pod}.test"] = new_inbox(gateway, f"{name}@{pod}.test")[1]
        keys[pod] = new_key(gateway, pod=pod)
    return keys


INBOXES = ("a@red.test", "b@red.test", "a@blue.test", "b@blue.test")


@pytest.mark.parametrize("key", [*INBOXES, "red", "blue", "all"])
def test_a_key_opens_the_inboxes_of_its_scope_and_no_other(
    gateway: Gateway, pods: dict[str, str], key: str
) -> None:
    for address in INBOXES:
        login = (address, pods[key])
        if key == "all" or key in address:
            with logged_out(Imap(gateway, login)) as client:
                client.ok(b"SELECT INBOX")
            Smtp(gateway, login).close()
        else:
            _cannot_log_in(gateway, login)


def test_a_pods_key_sends_as_all_of_its_pod_and_as_nobody_else(gateway: Gateway, pods: dict[str, str]) -> None:
    control(gateway, "address.add", address="news@red.test", inbox="b@red.test")
    with Smtp(gateway, ("a@red.test", pods["red"])) as smtp:
        assert smtp.submit("b@red.test", "b@red.test", mail("b@red.test", "frompod")).startswith("250")
        assert smtp.submit("news@red.test", "b@red.test", mail("a@red.test", "mixed")).startswith("250")
        assert smtp.submit("a@blue.test", "b@red.test", mail("a@red.test", "x")).startswith("553 5.7.1")
        assert smtp.submit("a@red.test", "b@red.test", mail("a@blue.test", "x")).startswith("550 5.7.1")
    with logged_out(Imap(gateway, ("b@red.test", pods["b@red.test"]))) as client:
        assert subjects(client) == [b"frompod", b"mixed"]
        assert subjects(client, b"Sent") == [b"frompod"]  # where From is at home, whoever logged in
    with logged_out(Imap(gateway, ("a@red.test", pods["a@red.test"]))) as client:
        assert subjects(client, b"Sent") == [b"mixed"]
    with Smtp(gateway, ("a@red.test", pods["all"])) as smtp:
        assert smtp.submit("b@blue.test", "b@red.test", mail("b@blue.test", "everyone")).startswith("250")


# -- one tenant beside another


def test_nothing_of_an_inbox_is_seen_from_another(gateway: Gateway, login: Login, other: Login) -> None:
    with Imap(gateway, other) as client:
        client.ok(b"CREATE Private")
        client.ok(b"SUBSCRIBE Private")
        assert client.append(b"Private", mail(other[0], "secret")).startswith(b"OK")
        client.append(b"INBOX", mail(other[0], "secret"))
        client.ok(b"SELECT INBOX")
        client.ok(b"STORE 1 +FLAGS (Hush)")
    with logged_out(Imap(gateway, login)) as client:
        idle = Imap(gateway, login)
        idle.ok(b"SELECT INBOX")
        names = (b"Private", b"/Private", b"../Private", other[0].encode(), b"user/" + other[0].encode(), b"~/Private",
                 b"#user/" + other[0].encode(), b"INBOX/../Private", b"1/Private")
        for name in names:
            for command in (b"SELECT %b", b"EXAMINE %b", b"STATUS %b (MESSAGES)", b"DELETE %b", b"RENAME %b Mine"):
                answer = client.refused(command % name)
                assert answer.startswith((b"NO [NONEXISTENT]", b"NO [CANNOT]")), (command, name, answer)
            assert client.append(name, mail(login[0], "into")).startswith((b"NO [TRYCREATE]", b"NO [CANNOT]"))
        listed = client.ok(b'LIST "" *') + client.ok(b'LSUB "" *') + client.ok(b'LIST "/" *')
        assert not any(b"Private" in line for line in listed)
        flags = client.ok(b"SELECT INBOX")
        assert not any(b"Hush" in line for line in flags)
        for command in (b"UID FETCH 1:* (FLAGS BODY[])", b"UID FETCH 1:4294967295 BODY[]", b"UID SEARCH ALL",
                        b"UID COPY 1:* Trash", b"UID STORE 1:* +FLAGS (\\Deleted)", b"UID EXPUNGE 1:*"):
            lines = client.ok(command)
            assert [line for line in lines[:-1] if line != b"* SEARCH"] == []
        client.ok(b"CREATE Private")  # a name is taken in its own inbox only
        assert exists(client, b"Private") == 0
        client.ok(b"DELETE Private")
        with Imap(gateway, other) as theirs:  # and their changes wake nobody here
            theirs.append(b"INBOX", mail(other[0], "more"))
            assert subjects(theirs, b"Private") == [b"secret"]
        assert idle.ok(b"NOOP") == [b"OK NOOP completed"]
        idle.close()


FORGED = ("From", "Sender", "Resent_From", "Resent_Sender")


@pytest.mark.parametrize("field", FORGED)
def test_a_message_names_no_author_of_another_inbox(gateway: Gateway, login: Login, other: Login, field: str) -> None:
    mine, theirs = login[0], other[0]
    values = (
        theirs, f"<{theirs}>", f'"{mine}" <{theirs}>', f"{mine}, {theirs}", f"{theirs} ({mine})", theirs.upper(),
        f"Friends: {mine}, {theirs};", f"=?utf-8?q?{mine}?= <{theirs}>", f"<@relay.test:{theirs}>",
        f"{mine}\r\n\t, {theirs}",
    )
    with Smtp(gateway, login) as smtp:
        for number, value in enumerate(values):
            forged = mail(mine, f"forged{number}", **{field: value})
            assert smtp.submit(mine, theirs, forged) == "550 5.7.1 Sender not authorized", value
        honest = mail(mine, "honest", **{field: f'"{theirs}" <{mine}>'})  # a display name is nobody's address
        assert smtp.submit(mine, theirs, honest).startswith("250")
        extra = mail(mine, "two").replace(b"Subject:", f"{field.replace('_', '-')}: {theirs}\r\nSubject:".encode())
        expected = "550 5.6.0" if field == "From" else "550 5.7.1"
        assert smtp.submit(mine, theirs, extra).startswith(expected)
    with logged_out(Imap(gateway, other)) as client:
        assert subjects(client) == [b"honest"]


def test_senders_and_odd_from_fields(gateway: Gateway, login: Login, other: Login) -> None:
    mine, theirs = login[0], other[0]
    with Smtp(gateway, login) as smtp:
        for sender in (theirs, theirs.upper(), f"{mine}.evil.test", "postmaster@mail.test", "x@elsewhere.test"):
            assert smtp.say(f"MAIL FROM:<{sender}>") == "553 5.7.1 Sender not authorized"
    with Smtp(gateway, login) as smtp:
        plain_mail = mail(mine, "x")
        twice = f"From: {mine}\r\n".encode() + plain_mail
        assert smtp.submit(mine, theirs, twice).startswith("550 5.6.0")
        for broken in ("", "nobody", "undisclosed-recipients:;", "<>"):
            assert smtp.submit(mine, theirs, mail(mine, "x", From=broken)).startswith("550 5.6.0"), broken
        assert smtp.submit(mine, theirs, b"\r\nno header\r\n").startswith("550 5.6.0")
        assert smtp.submit("", theirs, mail(theirs, "receipt")).startswith("550 5.7.1")
    with Smtp(gateway, login) as smtp:
        assert smtp.submit("", theirs, mail(mine, "receipt")).startswith("250")
        assert smtp.submit(mine.upper(), theirs, mail(mine.upper(), "upper")).startswith("250")
        hidden = mail(mine, "hidden", Bcc=theirs, Return_Path=f"<{theirs}>")
        assert smtp.submit(mine, theirs, hidden).startswith("250")
    with logged_out(Imap(gateway, other)) as client:
        assert subjects(client) == [b"receipt", b"upper", b"hidden"]
        client.ok(b"SELECT INBOX")
        head = client.ok(b"FETCH 3 BODY.PEEK[HEADER]")[0]
        assert b"\r\nBcc:" not in head
        assert f"Return-Path: <{theirs}>".encode() not in head
    with logged_out(Imap(gateway, login)) as client:
        assert subjects(client, b"Sent") == [b"upper", b"hidden"]
