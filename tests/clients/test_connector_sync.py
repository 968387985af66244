"""A mailbox elsewhere in a mail program here: the real process, Debian's Dovecot as the account."""

from __future__ import annotations

import imaplib
import ssl
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.gateway import Gateway


@contextmanager
def at(dovecot: Dovecot, user: str) -> Iterator[imaplib.IMAP4_SSL]:
    context = ssl.create_default_context(cafile=str(dovecot.ca))
    with imaplib.IMAP4_SSL("localhost", dovecot.imaps, ssl_context=context) as imap:
        imap.login(user, dovecot.password)
        yield imap


def put(imap: imaplib.IMAP4_SSL, folder: str, subject: str, flags: str = "") -> None:
    text = f"From: a@b.test\r\nSubject: {subject}\r\nMessage-ID: <{uuid.uuid4()}@b.test>\r\n\r\nbody\r\n".encode()
    assert imap.append(folder, flags, None, text)[0] == "OK"


def connect(gateway: Gateway, dovecot: Dovecot, user: str, *more: str) -> None:
    gateway.run(
        "connector", "add", "work", "--email", user, "--imap-host", "localhost", "--no-smtp", "--inbox",
        gateway.address, "--set", f"imap.port={dovecot.imaps}", "--set", f"imap.ca={dovecot.ca}",
        "--set", "imap.allow_private=yes", "--set", f"imap.secret={dovecot.password}", *more,
    )  # fmt: skip


def subjects(imap: imaplib.IMAP4, folder: str) -> list[bytes]:
    assert imap.select(folder, readonly=True)[0] == "OK"
    found = imap.search(None, "ALL")[1][0].split()
    if not found:
        return []
    rows = imap.fetch(b",".join(found).decode(), "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    return sorted(row[1].strip().removeprefix(b"Subject: ") for row in rows if isinstance(row, tuple))


def test_mail_of_an_account_is_here_and_comes_by_itself(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot
) -> None:
    user = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    gateway = make_gateway()
    with at(dovecot, user) as account:
        account.create("Lists")
        for number in range(30):
            put(account, "INBOX", f"old {number}", "(\\Seen)" if number % 2 else "")
        put(account, "Lists", "from a list")
        put(account, "Sent", "sent long ago", "(\\Seen)")
        gateway.start()
        connect(gateway, dovecot, user)
        done = gateway.json("connector", "sync", "work", "--logs")
        assert done["success"], done
        assert any("CAPABILITY IMAP4rev1" in line for line in done["logs"]), "\n".join(done["logs"])
        assert not any(dovecot.password in line for line in done["logs"] if "LOGIN" in line)
        with gateway.imap() as here:
            assert len(subjects(here, "INBOX")) == 30
            assert subjects(here, "Lists") == [b"from a list"]
            assert subjects(here, "Sent") == [b"sent long ago"]
            here.select("INBOX")
            assert len(here.search(None, "SEEN")[1][0].split()) == 15
            wait_for(lambda: gateway.json("connector", "show", "work")["state"] == "live", "the push")

            put(account, "INBOX", "brand new")
            wait_for(lambda: here.noop()[0] == "OK" and b"brand new" in subjects(here, "INBOX"), "the new message")
            account.select("INBOX")
            account.store("1:3", "+FLAGS", "(\\Flagged)")
            wait_for(lambda: here.noop()[0] == "OK" and len(flagged(here)) == 3, "the flags")
        status = account.status("INBOX", "(UNSEEN)")[1][0]
        assert b"UNSEEN 16" in status, "nothing is changed there"
    gateway.stop()


def flagged(imap: imaplib.IMAP4) -> list[bytes]:
    imap.select("INBOX", readonly=True)
    return list(imap.search(None, "FLAGGED")[1][0].split())


def test_a_restart_goes_on_and_brings_nothing_twice(make_gateway: Callable[..., Gateway], dovecot: Dovecot) -> None:
    user = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    gateway = make_gateway()
    with at(dovecot, user) as account:
        for number in range(5):
            put(account, "INBOX", f"before {number}")
        gateway.start()
        connect(gateway, dovecot, user, "--set", "sync.push=no")
        assert gateway.json("connector", "sync", "work")["success"]
        gateway.stop()
        put(account, "INBOX", "meanwhile")
        gateway.start()
        assert gateway.json("connector", "sync", "work")["success"]
        with gateway.imap() as here:
            assert len(subjects(here, "INBOX")) == 6
            assert "folders will be compared anew" in gateway.run("connector", "reset", "work")
            assert gateway.json("connector", "sync", "work")["imported"] == 0
            assert len(subjects(here, "INBOX")) == 6
    gateway.stop()


def test_a_wrong_password_stops_it_and_says_what_helps(
    make_gateway: Callable[..., Gateway], dovecot: Dovecot
) -> None:
    gateway = make_gateway()
    gateway.start()
    connect(gateway, dovecot, "me@elsewhere.test", "--set", "imap.secret=wrong")
    done = gateway.cli("connector", "sync", "work")
    assert done.returncode == 1
    assert "auth_rejected" in done.stdout
    shown = gateway.json("connector", "show", "work")
    assert (shown["state"], shown["failure"]) in {("auth_failed", "auth_rejected"), ("backoff", "auth_rejected")}
    gateway.stop()


def test_one_folder_or_the_latest_mail_alone(make_gateway: Callable[..., Gateway], dovecot: Dovecot) -> None:
    """Of an account that is synced on request only; all is there once it is synced by itself."""
    user = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    gateway = make_gateway()
    with at(dovecot, user) as account:
        for day in (1, 2, 3, 4):
            date = f'"0{day}-Feb-2020 12:00:00 +0000"'
            assert account.append("INBOX", "", date, f"Subject: day {day}\r\n\r\nbody\r\n".encode())[0] == "OK"
        account.create("Lists")
        put(account, "Lists", "from a list")
        gateway.start()
        connect(gateway, dovecot, user, "--set", "sync.enabled=no")
        with gateway.imap() as here:
            done = gateway.json("connector", "sync", "work", "--folder", "inbox", "--since", "2020-02-03")
            assert (done["success"], done["imported"], done["folders"]) == (True, 2, 1)
            assert subjects(here, "INBOX") == [b"day 3", b"day 4"]
            gateway.run("connector", "set", "work", "--set", "sync.enabled=yes")
            wait_for(lambda: len(subjects(here, "INBOX")) == 4, "the rest")  # "live" it is from the sync before
            wait_for(lambda: subjects(here, "Lists") == [b"from a list"], "the other folder")
        nowhere = gateway.cli("connector", "sync", "work", "--folder", "Nowhere")
        assert (nowhere.returncode, "folder_missing" in nowhere.stdout) == (1, True)
        wrong = gateway.cli("connector", "sync", "work", "--since", "yesterday")
        assert wrong.returncode != 0
        assert "'yesterday' is no date" in wrong.stderr
    gateway.stop()
