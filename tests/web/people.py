"""People for tests of sending: an inbox with a key, over HTTP, and what IMAP shows of it."""

from __future__ import annotations

import imaplib
import itertools
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from tests.support.api import Answer, Api
from tests.support.gateway import Gateway

NUMBERS = itertools.count()
Make = Callable[..., Api]


class Person:
    """`options`: of `gateway key create`; without any the key has the usual permissions."""

    def __init__(self, gateway: Gateway, make: Make, *options: str) -> None:
        self.gateway = gateway
        self.make = make
        self.address, self.key = gateway.inbox(f"p{next(NUMBERS)}@mail.test", *options)
        self.api = make(self.key)

    @property
    def path(self) -> str:
        return f"/api/v1/inboxes/{self.address}"

    def with_key(self, *options: str) -> Api:
        """The same inbox by another key."""
        return self.make(self.gateway.new_key("--inbox", self.address, *options))

    def send(self, **body: Any) -> Any:
        return self.api.post(f"{self.path}/send", body)

    def refused(self, **body: Any) -> Answer:
        return self.api.ask("POST", f"{self.path}/send", body)

    def octets(self, mailbox: str) -> list[bytes]:
        with self.gateway.imap(self.address, self.key) as client:
            assert client.select(mailbox, readonly=True)[0] == "OK"
            found = client.search(None, "ALL")[1][0].split()
            return [client.fetch(number, "(BODY.PEEK[])")[1][0][1] for number in found]  # type: ignore[index]

    def mail(self, mailbox: str) -> list[EmailMessage]:
        return [message_from_bytes(each, policy=policy.default) for each in self.octets(mailbox)]  # type: ignore[misc]

    def attributes(self, mailbox: str) -> list[tuple[str, set[str]]]:
        """EMAILID and flags of each message."""
        with self.gateway.imap(self.address, self.key) as client:
            client.select(mailbox, readonly=True)
            found = []
            for number in client.search(None, "ALL")[1][0].split():
                line = client.fetch(number, "(EMAILID FLAGS)")[1][0]
                assert isinstance(line, bytes)
                email_id = line.partition(b"EMAILID (")[2].partition(b")")[0].decode()
                found.append((email_id, {flag.decode() for flag in imaplib.ParseFlags(line)}))
            return found

    def flags(self, mailbox: str) -> list[set[str]]:
        return [flags for _, flags in self.attributes(mailbox)]


People = Callable[..., Person]
