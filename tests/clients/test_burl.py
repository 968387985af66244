"""Forwarding without download against the real process: IMAP signs a URL, submission sends what it names (RFC 4468)."""

from __future__ import annotations

import imaplib
import smtplib
from urllib.parse import quote

import pytest

from tests.support.gateway import Gateway

READERS = 2  # as by default

imaplib.Commands["GENURLAUTH"] = ("AUTH", "SELECTED")
imaplib.Commands["RESETKEY"] = ("AUTH", "SELECTED")
BODY = "a line of an attachment\r\n" * 50_000  # 1.2 MB


def signed(client: imaplib.IMAP4_SSL, address: str, uid: int, section: str = "") -> str:
    user = quote(address, safe="")
    rump = f"imap://{user}@mail.test/Drafts/;UID={uid}{section};URLAUTH=submit+{user}"
    assert client.xatom("GENURLAUTH", f'"{rump}"', "INTERNAL")[0] == "OK"
    [answer] = client.response("GENURLAUTH")[1]
    assert isinstance(answer, bytes)
    return answer.decode().strip('" ')


@pytest.fixture
def account(gateway: Gateway) -> tuple[str, str]:
    return gateway.inbox("burl@mail.test")


def test_stored_parts_are_sent(gateway: Gateway, account: tuple[str, str]) -> None:
    address = account[0]
    client = gateway.imap(*account)
    octets = f"From: {address}\r\nTo: {address}\r\nSubject: stored\r\n\r\n{BODY}".encode()
    assert client.append("Drafts", "(\\Draft)", None, octets)[0] == "OK"
    whole, text = signed(client, address, 1), signed(client, address, 1, "/;SECTION=TEXT")
    with gateway.smtp(*account) as smtp:
        smtp.ehlo()
        assert smtp.esmtp_features["burl"] == "imap"
        smtp.mail(address)
        smtp.rcpt(address)
        assert smtp.docmd("BURL", f"{whole} LAST")[0] == 250
        smtp.mail(address)
        smtp.rcpt(address)
        head = f"From: {address}\r\nSubject: forwarded\r\n\r\nsee below\r\n".encode()
        smtp.send(b"BDAT %d\r\n" % len(head) + head)
        assert smtp.getreply()[0] == 250
        assert smtp.docmd("BURL", f"{text} LAST")[0] == 250
    client.select("INBOX", readonly=True)
    found = [client.fetch(number, "BODY.PEEK[]")[1][0] for number in ("1", "2")]
    assert all(isinstance(row, tuple) for row in found)
    first, second = (row[1] for row in found if isinstance(row, tuple))
    assert first.endswith(b"\r\n\r\n" + BODY.encode())
    assert second.endswith(b"\r\n\r\nsee below\r\n" + BODY.encode())
    # what was signed is void once its key is
    assert client.xatom("RESETKEY", "Drafts")[0] == "OK"
    client.logout()
    with gateway.smtp(*account) as smtp:
        smtp.mail(address)
        smtp.rcpt(address)
        code, reply = smtp.docmd("BURL", f"{whole} LAST")
        assert (code, reply[:5]) == (554, b"5.7.0")
        with pytest.raises(smtplib.SMTPSenderRefused):
            smtp.sendmail(address, [address], octets)  # not before RSET
