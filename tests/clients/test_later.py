"""Mail that waits, for its time or for consent, against the real process: smtplib, imaplib, swaks, command line."""

from __future__ import annotations

import re
import smtplib
import subprocess
import time
import uuid

import pytest

from gateway.model import moments
from tests.servers.process import wait_for
from tests.support.gateway import Gateway
from tests.support.looks import closing, subjects

PATIENCE_S = 60


@pytest.fixture
def account(gateway: Gateway) -> tuple[str, str]:
    """An inbox of the test's own."""
    return gateway.inbox(f"{uuid.uuid4().hex[:12]}@mail.test")


def mail(address: str, subject: str, *fields: str) -> bytes:
    lines = [f"From: {address}", f"To: {address}", f"Subject: {subject}", f"Message-ID: <{uuid.uuid4()}@mail.test>"]
    return "\r\n".join([*lines, *fields, "", "body", ""]).encode()


def seen(gateway: Gateway, account: tuple[str, str], mailbox: str) -> list[str]:
    with closing(gateway.imap(*account)) as client:
        return subjects(client, mailbox)


def until(gateway: Gateway, account: tuple[str, str], subject: str, mailbox: str = "INBOX") -> None:
    wait_for(lambda: subject in seen(gateway, account, mailbox), f"{subject} in {mailbox}", PATIENCE_S)


def waiting(gateway: Gateway, account: tuple[str, str]) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = gateway.json("queue", "list", "--inbox", account[0])
    return rows


def test_put_off_listed_released_and_cancelled(gateway: Gateway, account: tuple[str, str]) -> None:
    address = account[0]
    with gateway.smtp(*account) as client:
        client.ehlo()
        interval, moment = client.esmtp_features["futurerelease"].split()
        assert interval == "2592000"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", moment)
        for subject in ("released", "cancelled"):
            client.sendmail(address, [address], mail(address, subject), mail_options=["HOLDFOR=86400"])
        client.sendmail(address, [address], mail(address, "soon"), mail_options=["HOLDFOR=1"])
    until(gateway, account, "soon")
    first, second = waiting(gateway, account)
    assert [row["state"] for row in (first, second)] == ["queued", "queued"]
    assert first["next_attempt_at"] is not None
    gateway.run("queue", "release", first["id"])
    gateway.run("queue", "cancel", second["id"])
    until(gateway, account, "released")
    assert waiting(gateway, account) == []
    assert sorted(seen(gateway, account, "INBOX")) == ["released", "soon"]


def test_a_program_proposes_and_a_person_lets_go(gateway: Gateway, account: tuple[str, str]) -> None:
    address = account[0]
    key = gateway.new_key("--inbox", address, "--permissions", "read,draft")
    names = []
    for subject in ("by command", "by moving", "never"):
        done = subprocess.run(
            ["swaks", "--server", "localhost", "--port", str(gateway.submission), "--tls", "--tls-verify",
             "--tls-ca-path", str(gateway.ca_file), "--auth", "PLAIN", "--auth-user", address, "--auth-password", key,
             "--from", address, "--to", address, "--header", f"Subject: {subject}"],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
        found = re.search(rb"250 2\.0\.0 held for approval as ([0-9a-f-]{36})", done.stdout)
        assert found is not None, done.stdout
        names.append(found[1].decode())
    assert sorted(seen(gateway, account, "Drafts")) == ["by command", "by moving", "never"]
    assert {row["id"] for row in waiting(gateway, account)} == set(names)
    gateway.run("queue", "release", names[0])
    until(gateway, account, "by command")
    client = gateway.imap(*account)
    client.select("Drafts")
    [uid] = client.uid("SEARCH", "SUBJECT", '"by moving"')[1][0].split()
    assert client.uid("MOVE", uid.decode(), "Outbox")[0] == "OK"
    until(gateway, account, "by moving")
    [number] = client.search(None, "KEYWORD", "$PendingApproval")[1][0].split()
    client.store(number.decode(), "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.logout()
    assert waiting(gateway, account) == []
    assert sorted(seen(gateway, account, "INBOX")) == ["by command", "by moving"]
    assert sorted(seen(gateway, account, "Sent")) == ["by command", "by moving"]
    assert seen(gateway, account, "Drafts") == []


def test_a_draft_with_a_date_sends_itself(gateway: Gateway, account: tuple[str, str]) -> None:
    client = gateway.imap(*account)
    due = moments.rfc5322(int(time.time()) + 4)
    assert client.append("Drafts", "(\\Draft)", None, mail(account[0], "later", f"X-Send-At: {due}"))[0] == "OK"
    client.select("Drafts")
    assert client.search(None, "KEYWORD", "$Scheduled")[1] == [b"1"]
    assert [row["state"] for row in waiting(gateway, account)] == ["held"]
    client.logout()
    until(gateway, account, "later")
    assert seen(gateway, account, "Drafts") == []
    assert seen(gateway, account, "Sent") == ["later"]


def test_rates_on_the_command_line(gateway: Gateway, account: tuple[str, str]) -> None:
    address = account[0]
    limited = gateway.new_key("--inbox", address, "--per-day", "2")
    with gateway.smtp(address, limited) as client:
        for subject in ("one", "two"):
            client.sendmail(address, [address], mail(address, subject))
        with pytest.raises(smtplib.SMTPDataError) as refused:
            client.sendmail(address, [address], mail(address, "three"))
        assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (451, b"4.7.1")
    gateway.run("inbox", "set", address, "--per-hour", "1")
    assert gateway.json("inbox", "show", address)["per_hour"] == 1
    with gateway.smtp(*account) as client:
        client.sendmail(address, [address], mail(address, "first that counts"))
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail(address, [address], mail(address, "four"))
        gateway.run("inbox", "set", address, "--per-hour", "none")
        client.sendmail(address, [address], mail(address, "five"))
    assert sorted(seen(gateway, account, "INBOX")) == ["first that counts", "five", "one", "two"]


def test_the_same_mail_twice(gateway: Gateway, account: tuple[str, str]) -> None:
    address, octets = account[0], mail(account[0], "once")
    replies = []
    for _ in range(2):
        with gateway.smtp(*account) as client:
            client.mail(address)
            client.rcpt(address)
            replies.append(client.data(octets))
    assert replies[0] == replies[1]
    assert seen(gateway, account, "INBOX") == ["once"]
    assert seen(gateway, account, "Sent") == ["once"]
