"""imaplib against the real process over TLS, certificate and name checked."""

from __future__ import annotations

import imaplib
import re
import smtplib
import uuid
from collections.abc import Iterator
from email.message import EmailMessage

import pytest

from tests.clients.mail import new_message
from tests.support.gateway import HOST, Gateway

READERS = 2  # as by default


@pytest.fixture
def account(gateway: Gateway) -> tuple[str, str]:
    """An inbox of the test's own."""
    return gateway.inbox(f"{uuid.uuid4().hex[:12]}@mail.test")


@pytest.fixture
def imap(gateway: Gateway, account: tuple[str, str]) -> Iterator[imaplib.IMAP4_SSL]:
    client = gateway.imap(*account)
    yield client
    client.logout()


def ok(answer: tuple[str, list[object]]) -> list[object]:
    assert answer[0] == "OK", answer
    return answer[1]


def test_log_in_and_list_the_standard_mailboxes_with_their_roles(imap: imaplib.IMAP4_SSL) -> None:
    lines = [line.decode() for line in ok(imap.list())]  # type: ignore[attr-defined]
    roles = {"Sent": r"\Sent", "Drafts": r"\Drafts", "Trash": r"\Trash", "Spam": r"\Junk"}
    for name, role in roles.items():
        (line,) = [line for line in lines if line.endswith((f'"{name}"', f" {name}"))]
        assert role in line
    assert any(line.endswith(("INBOX", '"INBOX"')) for line in lines)
    assert len(ok(imap.lsub())) == 5


@pytest.mark.parametrize("wrong", ["gw_0000000000", "not a key", "", "gw_" + "a" * 44])
def test_a_wrong_key_is_refused_and_the_right_one_still_works(
    gateway: Gateway, account: tuple[str, str], wrong: str
) -> None:
    address, key = account
    client = imaplib.IMAP4_SSL(HOST, gateway.imaps, ssl_context=gateway.tls(), timeout=30)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(address, wrong)
    client.login(address, key)
    client.logout()


def test_another_inboxes_key_does_not_open_this_one(gateway: Gateway, account: tuple[str, str]) -> None:
    client = imaplib.IMAP4_SSL(HOST, gateway.imaps, ssl_context=gateway.tls(), timeout=30)
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(gateway.address, account[1])
    client.logout()


def test_authenticate_plain(gateway: Gateway, account: tuple[str, str]) -> None:
    client = imaplib.IMAP4_SSL(HOST, gateway.imaps, ssl_context=gateway.tls(), timeout=30)
    ok(client.authenticate("PLAIN", lambda challenge: f"\0{account[0]}\0{account[1]}".encode()))
    client.logout()


def test_the_certificate_is_not_trusted_without_its_ca(gateway: Gateway) -> None:
    import ssl

    with pytest.raises(ssl.SSLCertVerificationError):
        imaplib.IMAP4_SSL(HOST, gateway.imaps, ssl_context=ssl.create_default_context(), timeout=30)


def test_a_sent_message_arrives_in_idle_and_its_octets_are_kept(
    gateway: Gateway, account: tuple[str, str], imap: imaplib.IMAP4_SSL
) -> None:
    ok(imap.select("INBOX"))
    tag = imap._new_tag()  # type: ignore[attr-defined]  # imaplib has no IDLE before Python 3.14
    imap.send(tag + b" IDLE\r\n")
    assert imap.readline().startswith(b"+ ")
    sent = new_message(account[0], account[0]).as_bytes()
    with gateway.smtp(*account) as smtp:
        smtp.sendmail(account[0], [account[0]], sent)
    while not (line := imap.readline()).startswith(b"* 1 EXISTS"):
        assert line.startswith(b"* "), line
    imap.send(b"DONE\r\n")
    while not (line := imap.readline()).startswith(tag):
        assert line.startswith(b"* "), line
    assert line.startswith(tag + b" OK"), line

    stored = fetch_octets(imap, "1")
    assert stored.endswith(sent[sent.index(b"\r\n\r\n") :])
    head = stored[: stored.index(b"\r\n\r\n")]
    for field in ("Subject", "From", "To", "Message-ID"):
        assert re.search(rf"(?im)^{field}: ".encode(), head)
    assert b"Return-Path: <" + account[0].encode() in head
    (sent_copy,) = ok(imap.select("Sent"))
    assert sent_copy == b"1"
    size = re.search(rb"RFC822\.SIZE (\d+)", ok(imap.fetch("1", "(RFC822.SIZE)"))[0])  # type: ignore[call-overload]
    assert size is not None
    assert int(size[1]) == len(fetch_octets(imap, "1"))


def fetch_octets(imap: imaplib.IMAP4_SSL, number: str) -> bytes:
    data = ok(imap.fetch(number, "(BODY.PEEK[])"))
    assert isinstance(data[0], tuple)
    return bytes(data[0][1])


def append(imap: imaplib.IMAP4_SSL, mailbox: str, message: EmailMessage | bytes, flags: str = "") -> bytes:
    octets = message if isinstance(message, bytes) else message.as_bytes()
    return bytes(ok(imap.append(mailbox, flags, '"21-Nov-2026 10:00:00 +0000"', octets))[0])  # type: ignore[call-overload]


def test_append_flag_search_move_and_delete(imap: imaplib.IMAP4_SSL, account: tuple[str, str]) -> None:
    octets = new_message(account[0], account[0]).as_bytes()
    assert re.search(rb"APPENDUID \d+ 1\]", append(imap, "INBOX", octets, r"(\Flagged)"))
    append(imap, "INBOX", new_message(account[0], account[0], "Zweite Nachricht"))
    assert ok(imap.select("INBOX")) == [b"2"]
    assert fetch_octets(imap, "1") == octets

    ok(imap.store("2", "+FLAGS", r"(\Seen $Work)"))
    assert ok(imap.search(None, "SEEN")) == [b"2"]
    assert ok(imap.search(None, "KEYWORD", "$Work")) == [b"2"]
    assert ok(imap.search(None, "FLAGGED")) == [b"1"]
    assert ok(imap.search(None, "SUBJECT", "Zweite")) == [b"2"]
    assert ok(imap.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT", "Grüße".encode())) == [b"1"]
    assert ok(imap.search(None, "TEXT", "nirgends")) == [b""]

    ok(imap.uid("MOVE", "2", "Trash"))
    assert ok(imap.search(None, "ALL")) == [b"1"]
    ok(imap.store("1", "+FLAGS", r"(\Deleted)"))
    ok(imap.expunge())
    assert ok(imap.search(None, "ALL")) == [b""]
    assert ok(imap.select("Trash")) == [b"1"]
    assert b"$Work" in ok(imap.fetch("1", "(FLAGS)"))[0]  # type: ignore[operator]


def test_make_rename_and_delete_a_mailbox(imap: imaplib.IMAP4_SSL, account: tuple[str, str]) -> None:
    ok(imap.create("Projekte/Eins"))
    ok(imap.rename("Projekte", "Arbeit"))
    append(imap, "Arbeit/Eins", new_message(account[0], account[0]))
    assert ok(imap.status("Arbeit/Eins", "(MESSAGES UNSEEN)"))[0].endswith(b"(MESSAGES 1 UNSEEN 1)")  # type: ignore[attr-defined]
    ok(imap.delete("Arbeit/Eins"))
    answer, data = imap.select("Arbeit/Eins")
    assert (answer, b"NONEXISTENT" in data[0]) == ("NO", True)  # type: ignore[operator]


@pytest.mark.parametrize("permissions", ["read"])
def test_a_read_only_key_sees_read_only_mailboxes(
    gateway: Gateway, account: tuple[str, str], permissions: str
) -> None:
    key = gateway.new_key("--inbox", account[0], "--permissions", permissions)
    client = gateway.imap(account[0], key)
    with pytest.raises(imaplib.IMAP4.readonly):
        client.select("INBOX")
    client.shutdown()
    client = gateway.imap(account[0], key)
    answer, data = client.append("INBOX", "", "", b"Subject: x\r\n\r\nx\r\n")  # type: ignore[arg-type]
    assert (answer, b"NOPERM" in data[0]) == ("NO", True)
    client.logout()
    with smtplib.SMTP_SSL(HOST, gateway.smtps, context=gateway.tls(), timeout=30) as smtp:
        smtp.login(account[0], key)
        with pytest.raises(smtplib.SMTPSenderRefused) as refused:
            smtp.sendmail(account[0], [account[0]], b"Subject: x\r\n\r\nx\r\n")
    assert refused.value.smtp_code == 550


def test_a_revoked_key_ends_its_idle_session(gateway: Gateway, account: tuple[str, str]) -> None:
    key = gateway.new_key("--inbox", account[0])
    client = gateway.imap(account[0], key)
    ok(client.select("INBOX"))
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    gateway.run("key", "revoke", key)
    while (line := client.readline()) and not line.startswith(b"* BYE"):
        assert line.startswith(b"* "), line
    assert line.startswith(b"* BYE")
    client.shutdown()
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        gateway.imap(account[0], key)


def test_a_deleted_inbox_ends_its_sessions(gateway: Gateway) -> None:
    address, key = gateway.inbox(f"{uuid.uuid4().hex[:12]}@mail.test")
    client = gateway.imap(address, key)
    client.send(b"x IDLE\r\n")
    assert client.readline().startswith(b"+ ")
    gateway.run("inbox", "delete", address, "--yes")
    while (line := client.readline()) and not line.startswith(b"* BYE"):
        assert line.startswith(b"* "), line
    assert line.startswith(b"* BYE")
    client.shutdown()
