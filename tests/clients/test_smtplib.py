"""smtplib against the real process: both ports, senders, recipients, limits, the Sent copy."""

from __future__ import annotations

import imaplib
import smtplib
import uuid

import pytest

from tests.clients.mail import new_message
from tests.support.gateway import HOST, Gateway


@pytest.fixture
def account(gateway: Gateway) -> tuple[str, str]:
    """An inbox of the test's own."""
    return gateway.inbox(f"{uuid.uuid4().hex[:12]}@mail.test")


def messages(gateway: Gateway, account: tuple[str, str], mailbox: str = "INBOX") -> list[bytes]:
    """All octets in a mailbox."""
    client = gateway.imap(*account)
    try:
        assert client.select(mailbox, readonly=True)[0] == "OK"
        numbers = client.search(None, "ALL")[1][0].split()
        return [client.fetch(number.decode(), "(BODY.PEEK[])")[1][0][1] for number in numbers]  # type: ignore[index,misc]
    finally:
        client.logout()


def test_submission_with_starttls(gateway: Gateway, account: tuple[str, str]) -> None:
    with smtplib.SMTP(HOST, gateway.submission, timeout=30) as smtp:
        smtp.ehlo()
        assert not smtp.has_extn("auth")
        code, text = smtp.docmd("AUTH", "PLAIN AAAA")
        assert (code, text[:6]) == (538, b"5.7.11")
        smtp.starttls(context=gateway.tls())
        smtp.ehlo()
        for extension in ("auth", "size", "8bitmime", "smtputf8", "pipelining", "enhancedstatuscodes"):
            assert smtp.has_extn(extension)
        assert smtp.esmtp_features["size"] == "10485760"
        smtp.login(*account)
        smtp.send_message(new_message(account[0], account[0]))
    (arrived,) = messages(gateway, account)
    assert b"Subject: =?utf-8?" in arrived


def test_a_wrong_key_is_535_and_the_right_one_still_works(gateway: Gateway, account: tuple[str, str]) -> None:
    with smtplib.SMTP_SSL(HOST, gateway.smtps, context=gateway.tls(), timeout=30) as smtp:
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            smtp.login(account[0], "wrong")
        assert refused.value.smtp_code == 535
        smtp.login(*account)


def test_bcc_reaches_its_inbox_unseen_and_is_kept_in_sent_only(gateway: Gateway, account: tuple[str, str]) -> None:
    hidden = gateway.inbox(f"{uuid.uuid4().hex[:12]}@mail.test")
    octets = (
        f"From: {account[0]}\r\nTo: {account[0]}\r\nBcc: {hidden[0]}\r\nSubject: secret\r\n\r\nbody\r\n"
    ).encode()
    with gateway.smtp(*account) as smtp:
        smtp.sendmail(account[0], [account[0], hidden[0]], octets)
    for inbox in (account, hidden):
        (arrived,) = messages(gateway, inbox)
        assert b"Bcc:" not in arrived
    (copy,) = messages(gateway, account, "Sent")
    assert f"Bcc: {hidden[0]}".encode() in copy
    assert b"\r\nDate: " in copy  # both were missing
    assert b"\r\nMessage-ID: <" in copy


def test_a_client_that_stores_its_own_copy_has_one_in_sent(gateway: Gateway, account: tuple[str, str]) -> None:
    octets = new_message(account[0], account[0]).as_bytes()
    with gateway.smtp(*account) as smtp:
        smtp.sendmail(account[0], [account[0]], octets)
    client = gateway.imap(*account)
    assert client.append("Sent", r"(\Seen)", "", octets)[0] == "OK"  # type: ignore[arg-type]
    client.logout()
    assert messages(gateway, account, "Sent") == [octets]


def test_the_sender_must_be_the_inboxes_own(gateway: Gateway, account: tuple[str, str]) -> None:
    body = f"From: {account[0]}\r\nSubject: x\r\n\r\nx\r\n".encode()
    with gateway.smtp(*account) as smtp:
        with pytest.raises(smtplib.SMTPSenderRefused) as envelope:
            smtp.sendmail("somebody@else.test", [account[0]], body)
        assert (envelope.value.smtp_code, b"Sender not authorized" in envelope.value.smtp_error) == (553, True)
        with pytest.raises(smtplib.SMTPDataError) as header:
            smtp.sendmail(account[0], [account[0]], b"From: somebody@else.test\r\nSubject: x\r\n\r\nx\r\n")
        assert (header.value.smtp_code, b"Sender not authorized" in bytes(header.value.smtp_error)) == (550, True)
        smtp.sendmail(account[0], [account[0]], body)
    assert len(messages(gateway, account)) == 1


def test_an_alias_may_be_sent_from_and_written_to(gateway: Gateway, account: tuple[str, str]) -> None:
    alias = f"alias-{account[0]}"
    gateway.run("address", "add", alias, "--inbox", account[0])
    with gateway.smtp(*account) as smtp:
        smtp.sendmail(alias, [alias], f"From: {alias}\r\nSubject: x\r\n\r\nx\r\n".encode())
    assert len(messages(gateway, account)) == 1


@pytest.mark.parametrize(
    ("recipient", "code", "text"),
    [("nobody@mail.test", 550, b"5.1.1"), ("somebody@elsewhere.example", 550, b"5.7.1")],
)
def test_recipients_that_cannot_be_reached_are_refused_at_rcpt(
    gateway: Gateway, account: tuple[str, str], recipient: str, code: int, text: bytes
) -> None:
    with gateway.smtp(*account) as smtp, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        smtp.sendmail(account[0], [recipient], f"From: {account[0]}\r\n\r\nx\r\n".encode())
    answer = refused.value.recipients[recipient]
    assert (answer[0], answer[1][:5]) == (code, text)


def test_more_than_fifty_recipients(gateway: Gateway, account: tuple[str, str]) -> None:
    address, domain = account[0].split("@")
    with gateway.smtp(*account) as smtp:
        smtp.mail(account[0])
        for number in range(50):
            assert smtp.rcpt(f"{address}+{number}@{domain}")[0] == 250
        code, text = smtp.rcpt(account[0])
        assert (code, text[:5]) == (452, b"4.5.3")
        assert smtp.data(f"From: {account[0]}\r\n\r\nx\r\n".encode())[0] == 250
    assert len(messages(gateway, account)) == 1


def test_a_large_message_arrives_whole_and_one_too_large_is_refused(
    gateway: Gateway, account: tuple[str, str]
) -> None:
    line = b"0123456789" * 7 + b"\r\n"
    body = line * (9_600_000 // len(line))
    head = f"From: {account[0]}\r\nSubject: large\r\nMessage-ID: <{uuid.uuid4()}@x>\r\n\r\n"
    with gateway.smtp(*account) as smtp:
        smtp.sendmail(account[0], [account[0]], head.encode() + body)
        smtp.ehlo()
        code, text = smtp.docmd("MAIL", f"FROM:<{account[0]}> SIZE=10485761")
        assert (code, text[:5]) == (552, b"5.3.4")
    (arrived,) = messages(gateway, account)
    assert arrived.endswith(b"\r\n\r\n" + body)


def test_smtputf8_with_a_utf8_header_and_address(gateway: Gateway, account: tuple[str, str]) -> None:
    octets = f"From: {account[0]}\r\nSubject: Grüße 日本\r\n\r\nä\r\n".encode()
    with gateway.smtp(*account) as smtp:
        smtp.sendmail(account[0], [account[0]], octets, mail_options=["SMTPUTF8", "BODY=8BITMIME"])
    (arrived,) = messages(gateway, account)
    assert "Subject: Grüße 日本\r\n".encode() in arrived


@pytest.mark.parametrize("octets", [b"a\nb", b"a\rb", b"a\0b"])
def test_bare_line_ends_and_nul_are_refused(gateway: Gateway, account: tuple[str, str], octets: bytes) -> None:
    """smtplib would mend them, so they are written to the socket as they are."""
    with gateway.smtp(*account) as smtp:
        smtp.mail(account[0])
        smtp.rcpt(account[0])
        assert smtp.docmd("DATA")[0] == 354
        assert smtp.sock is not None
        smtp.sock.sendall(f"From: {account[0]}\r\n\r\n".encode() + octets + b"\r\n.\r\n")
        code, _ = smtp.getreply()
        assert code in (550, 554)
        assert smtp.noop()[0] == 250
    assert messages(gateway, account) == []


def test_a_key_without_draft_and_write_may_still_send_and_only_send(
    gateway: Gateway, account: tuple[str, str]
) -> None:
    key = gateway.new_key("--inbox", account[0], "--permissions", "send")
    with gateway.smtp(account[0], key) as smtp:
        smtp.sendmail(account[0], [account[0]], f"From: {account[0]}\r\n\r\nx\r\n".encode())
    assert len(messages(gateway, account)) == 1
    client = imaplib.IMAP4_SSL(HOST, gateway.imaps, ssl_context=gateway.tls(), timeout=30)
    try:
        client.login(account[0], key)
        assert client.select("INBOX")[0] == "NO"
    finally:
        client.shutdown()
