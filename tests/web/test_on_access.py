"""`sync.on_access` over HTTP: who lists mail or waits for it waits for a look at the account that it comes from."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.servers.process import wait_for
from tests.support.api import Api
from tests.support.gateway import Gateway
from tests.support.upstream import UpstreamProcess

Make = Callable[..., Api]


@dataclass
class Account:
    """A connector that looks at nothing by itself, and the server that it leads to."""

    upstream: UpstreamProcess
    client: Api
    inbox: str
    connector: str

    def deliver(self, subject: str) -> None:
        self.upstream.call("deliver", "INBOX", octets=f"From: a@b.test\r\nSubject: {subject}\r\n\r\nbody\r\n".encode())

    def subjects(self, more: str = "") -> list[str]:
        listed = self.client.get(f"/api/v1/inboxes/{self.inbox}/messages?order=oldest{more}")
        return [each["subject"] for each in listed["items"]]

    def wait(self, **body: Any) -> Any:
        return self.client.post(f"/api/v1/inboxes/{self.inbox}/wait-for", body)


@pytest.fixture
def account(gateway: Gateway, api: Make) -> Iterator[Account]:
    with UpstreamProcess("--messages", "0") as upstream:
        inbox, _ = gateway.inbox(f"{uuid.uuid4().hex[:8]}@mail.test")
        client = api()
        made = client.post("/api/v1/connectors", {
            "name": inbox, "address": "user@upstream.test", "inbox": inbox, "options": {
                "imap": {"host": upstream.host, "port": upstream.port, "security": "none", "allow_private": True,
                         "secret": "secret"},
                "sync": {"push": False, "interval": 0, "on_access": 30},
            },
        })  # fmt: skip
        assert client.post(f"/api/v1/connectors/{made['id']}/sync", {})["success"]
        yield Account(upstream, client, inbox, made["id"])
        client.delete(f"/api/v1/connectors/{made['id']}")


def test_what_the_account_has_is_listed_and_waited_for(account: Account) -> None:
    account.deliver("one")
    wait_for(lambda: account.subjects() == ["one"], "what a list looked for")
    account.deliver("two")
    wait_for(lambda: account.subjects("&mailbox=INBOX") == ["one", "two"], "what a list of that mailbox looked for")
    account.deliver("three")
    threads = f"/api/v1/inboxes/{account.inbox}/threads"
    wait_for(lambda: len(account.client.get(threads)["items"]) == 3, "what a list of threads looked for")
    account.deliver("code")
    assert account.wait(subject="code", timeout=60)["complete"], "looked for again and again"


def test_an_account_that_stalls_holds_up_nobody(gateway: Gateway, account: Account) -> None:
    account.client.patch(f"/api/v1/connectors/{account.connector}", {"options": {"sync": {"on_access": 1}}})
    account.upstream.call("arm", "Stall", "LIST", octets=0, times=0)

    def late() -> bool:
        assert account.subjects() == []
        return "connectors.look_late" in gateway.log_file.read_text()

    wait_for(late, "a look that was given up")
    assert account.wait(timeout=0.1)["complete"] is False


def test_whose_mail_may_not_be_read_is_not_looked_for(account: Account, api: Make) -> None:
    key = account.client.post("/api/v1/keys", {
        "name": "none", "inbox": account.inbox, "permissions": ["inbox_read"],
    })["key"]  # fmt: skip
    assert api(key).ask("GET", f"/api/v1/inboxes/{account.inbox}/messages").code == "forbidden"
    assert account.client.ask("GET", f"/api/v1/inboxes/{account.inbox}/messages?mailbox=nowhere").code == "not_found"
