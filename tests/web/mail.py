"""Mail for tests of the HTTP side: messages as octets, and an inbox with some of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.message import EmailMessage
from itertools import count

from tests.support.api import Api
from tests.support.gateway import Gateway

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
[limits]
max_message_size = 2000000
"""
"""Of the gateways of these modules."""
_NUMBERS = count(1)
BEGIN = 1_700_000_000


def letter(subject: str = "Hello", text: str = "Some words\r\n", **fields: str) -> bytes:
    """`from_`, `to` …; underscores are hyphens."""
    given = {"from": "Ann <ann@else.test>", "to": "Bob <bob@mail.test>", "message-id": f"<{next(_NUMBERS)}@else.test>"}
    given |= {name.strip("_").replace("_", "-"): value for name, value in fields.items()}
    head = "".join(f"{name.title()}: {value}\r\n" for name, value in given.items())
    return f"{head}Subject: {subject}\r\n\r\n{text}".encode()


def with_files(subject: str = "Files") -> EmailMessage:
    """Text, HTML and two files, one of them large enough to be read in pieces."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Ann <ann@else.test>", "bob@mail.test", subject
    made["Message-ID"] = f"<{next(_NUMBERS)}@else.test>"
    made.set_content("Plain words\n")
    made.add_alternative("<p>Rich <b>words</b></p>\n", subtype="html")
    made.add_attachment(LARGE, "application", "octet-stream", filename="große.bin")
    made.add_attachment("a,b\n1,2\n", "csv", filename="table.csv")
    return made


LARGE = bytes(range(256)) * 3000 + b"end"


@dataclass
class Box:
    """An inbox with a key of its own, seen by API and by IMAP."""

    gateway: Gateway
    address: str
    key: str
    api: Api

    @property
    def path(self) -> str:
        return f"/api/v1/inboxes/{self.address}"

    def put(self, octets: bytes, mailbox: str = "INBOX", flags: str = "", date: int = BEGIN) -> None:
        """By IMAP: an APPEND with a date."""
        client = self.gateway.imap(self.address, self.key)
        try:
            assert client.append(mailbox, f"({flags})", _date(date), octets)[0] == "OK"
        finally:
            client.logout()

    def fill(self, letters: list[bytes], mailbox: str = "INBOX", begin: int = BEGIN) -> None:
        """One a second."""
        client = self.gateway.imap(self.address, self.key)
        try:
            for at, octets in enumerate(letters):
                assert client.append(mailbox, "", _date(begin + at), octets)[0] == "OK"
        finally:
            client.logout()

    def list(self, **params: object) -> list[dict[str, object]]:
        """All pages."""
        found: list[dict[str, object]] = []
        cursor = ""
        while True:
            query = "&".join(f"{name.rstrip('_')}={value}" for name, value in params.items())
            page = self.api.get(f"{self.path}/messages?{query}{cursor}")
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"

    def subjects(self, **params: object) -> list[object]:
        return [message["subject"] for message in self.list(**params)]


def _date(seconds: int) -> str:
    return time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(seconds))
