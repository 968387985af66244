"""No way in leads out into this machine's own network, by whatever name it is called: API, facades and dashboard.

That it counts what a name leads to, and proxies: `unit/outbound`, `faults/test_outbound_proxy`; redirects:
`test_webhooks`.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.servers.process import wait_for
from tests.support.api import Api
from tests.support.gateway import Gateway

from .conftest import admin_key
from .mail import SETTINGS, letter
from .test_pages_work import Worker

__all__ = ["SETTINGS"]

NAMES = (
    "127.0.0.1", "localhost", "localhost.", "127.1", "2130706433", "0x7f000001", "017700000001", "0.0.0.0",  # noqa: S104
    "::1", "::ffff:127.0.0.1", "::ffff:7f00:1", "0:0:0:0:0:ffff:127.0.0.1",
)  # fmt: skip
"""Of where the door below listens, to some resolver or other."""
Make = Callable[..., Api]


class Door:
    """What nobody shall come to. `seen`: how many did."""

    def __init__(self) -> None:
        self._listeners = [socket.create_server(("127.0.0.1", 0))]
        self.port: int = self._listeners[0].getsockname()[1]
        if socket.has_ipv6:
            self._listeners.append(socket.create_server(("::1", self.port), family=socket.AF_INET6))
        self.seen = 0
        self._threads = [threading.Thread(target=self._watch, args=(one,)) for one in self._listeners]
        for thread in self._threads:
            thread.start()

    def _watch(self, listener: socket.socket) -> None:
        while True:
            peer, _ = listener.accept()
            with peer:
                if peer.recv(3, socket.MSG_WAITALL) == b"end":
                    return
                self.seen += 1

    def close(self) -> None:
        """After somebody came to each of its addresses, whom it has seen."""
        before = self.seen
        for listener, thread in zip(self._listeners, self._threads, strict=True):
            for word in (b"hey", b"end"):
                with socket.create_connection(listener.getsockname()[:2]) as last:
                    last.sendall(word)
            thread.join()
            listener.close()
        assert self.seen == before + len(self._listeners)
        self.seen = before


@pytest.fixture
def door() -> Iterator[Door]:
    opened = Door()
    yield opened
    opened.close()
    assert opened.seen == 0


@pytest.fixture(scope="module")
def owner(gateway: Gateway) -> tuple[str, str]:
    """Somebody who may do everything with an inbox, and its key."""
    permissions = ["read", "write", "draft", "send", "admin"]
    address, _ = gateway.inbox("owner@mail.test")
    return address, gateway.operate("key.create", inbox=address, permissions=permissions)["key"]


def bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name else name


@pytest.mark.parametrize("name", NAMES)
def test_of_accounts_elsewhere(api: Make, door: Door, owner: tuple[str, str], name: str) -> None:
    """Tested by options, by what a connector has, and by a form; with what is typed into each."""
    client = api(owner[1])
    place = {"host": name, "port": door.port, "secret": "x"}

    def tried(path: str, body: Any) -> None:
        answer = client.ask("POST", path, body)
        told = json.dumps(answer.json)
        assert '"success": true' not in told, (path, told)
        assert '"connected": true' not in told, (path, told)
        refused = "not allowed" in told or "has no address" in told or answer.status in (403, 422)
        assert refused, (path, answer.status, told)

    for leg in ("imap", "smtp"):
        tried("/api/v1/connectors/test", {"address": "me@corp.example", "options": {leg: place}, "side": leg})
        theirs = {f"{leg}Host": name, f"{leg}Port": door.port, f"{leg}Username": "me", f"{leg}Password": "x"}
        tried(f"/mailslurp/connectors/connections/{leg}/test", theirs)
    tried("/mailslurp/tools/test-smtp-server", {"host": name, "port": door.port})
    new = {"name": name, "address": f"me@corp-{NAMES.index(name)}.example", "inbox": owner[0], "enabled": False}
    made = client.ask("POST", "/api/v1/connectors", {**new, "options": {"imap": place}})
    if made.status == 201:
        tried(f"/api/v1/connectors/{made.json['id']}/test", {})
        tried(f"/api/v1/connectors/{made.json['id']}/sync", {})
        assert client.ask("GET", f"/api/v1/connectors/{made.json['id']}/remote/mailboxes").status in (409, 422)
    opened = {**new, "options": {"imap": {**place, "allow_private": True}}}
    assert client.ask("POST", "/api/v1/connectors", opened).status in (403, 422)


@pytest.mark.parametrize("name", NAMES)
def test_of_the_dashboard_s_form(api: Make, door: Door, owner: tuple[str, str], name: str) -> None:
    browser = Worker(api(""), owner[1])
    form = {
        "address": f"form@corp-{NAMES.index(name)}.example", "name": f"form {name}", "secret": "x", "mode": "pull",
        "imap.host": name, "imap.port": str(door.port), "inbox": owner[0],
    }  # fmt: skip
    assert browser.act("/connectors/new", **form, allow_private="1").status in (403, 422)
    made = browser.act("/connectors/new", **form)
    if made.status == 303:
        path = made.headers["location"]
        assert b"works" not in browser.act(f"{path}/test").body
        browser.act(f"{path}/sync")
        browser.act(f"{path}/delete")


def test_of_webhooks(gateway: Gateway, api: Make, door: Door, owner: tuple[str, str]) -> None:
    """Native ones and AgentMail's, all told of one mail."""
    client, hooks = api(owner[1]), {}
    for name in NAMES:
        url = f"https://{bracketed(name)}:{door.port}/hook"
        made = client.ask("POST", "/api/v1/webhooks", {"url": url, "inbox": owner[0]})
        theirs = client.ask("POST", "/agentmail/v0/webhooks", {
            "url": url, "event_types": ["message.received"], "inbox_ids": [owner[0]]
        })  # fmt: skip
        for answer, key in ((made, "id"), (theirs, "webhook_id")):
            assert answer.status < 500
            if answer.status < 300:
                hooks[answer.json[key]] = name
    assert len(hooks) > len(NAMES)
    with gateway.imap(owner[0], owner[1]) as imap:
        assert imap.append("INBOX", "", None, letter())[0] == "OK"
    with Api(gateway, admin_key(gateway)) as admin:
        def tried() -> bool:
            return all(admin.get(f"/api/v1/webhooks/{hook}/attempts")["items"] for hook in hooks)

        wait_for(tried, "attempts of all webhooks")
        for hook, name in hooks.items():
            first = admin.get(f"/api/v1/webhooks/{hook}/attempts")["items"][0]
            assert (first["ok"], first["status"]) == (False, None), (name, first)
            admin.delete(f"/api/v1/webhooks/{hook}")
