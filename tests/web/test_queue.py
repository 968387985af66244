"""The delivery queue over HTTP on the real process, whose relay nobody answers."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from gateway.model.permissions import BUNDLES
from tests.servers.process import wait_for
from tests.support.api import Api
from tests.support.gateway import Gateway

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
[relay]
host = "127.0.0.1"
port = 1
security = "none"
allow_private = true
"""
Make = Callable[..., Api]


def send(gateway: Gateway, address: str, key: str, *to: str, subject: str = "x") -> None:
    with gateway.smtp(address, key) as smtp:
        text = f"From: {address}\r\nSubject: {subject}\r\nMessage-ID: <{uuid.uuid4()}@t>\r\n\r\nbody\r\n"
        assert smtp.sendmail(address, list(to), text) == {}


@pytest.fixture
def sender(gateway: Gateway) -> tuple[str, str]:
    return gateway.inbox(f"q{uuid.uuid4().hex[:8]}@mail.test")


@pytest.fixture
def stranger(gateway: Gateway, api: Make) -> Api:
    """A key of another pod with all permissions."""
    name = f"pod{uuid.uuid4().hex[:8]}"
    gateway.operate("pod.add", name=name)
    return api(gateway.operate("key.create", pod=name, permissions=list(BUNDLES))["key"])


def test_what_waits_is_listed_in_pages(gateway: Gateway, api: Make, sender: tuple[str, str]) -> None:
    address, _ = sender
    send(gateway, *sender, *(f"r{number}@far.test" for number in range(5)))
    client, seen, cursor = api(), [], ""
    while True:
        page = client.get(f"/api/v1/queue?inbox={address}&limit=2{cursor}")
        seen += [row["recipient"] for row in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == [f"r{number}@far.test" for number in range(5)]
    [one] = client.get(f"/api/v1/queue?inbox={address}&to=r3@far.test")["items"]
    assert (one["sender"], one["inbox"]) == (address, address)
    shown = client.get(f"/api/v1/queue/{one['id']}")
    assert len(shown["recipients"]) == 5
    assert shown["history"][0]["event"] == "accepted"


def test_hold_release_retry_cancel(gateway: Gateway, api: Make, sender: tuple[str, str]) -> None:
    address, _ = sender
    send(gateway, *sender, "one@far.test")
    client = api()

    def row() -> dict[str, object]:
        found: list[dict[str, object]] = client.get(f"/api/v1/queue?inbox={address}&state=deferred")["items"]
        return found[0] if found else {}

    wait_for(lambda: bool(row()), "the first attempt")
    path = f"/api/v1/queue/{row()['id']}"
    assert client.post(f"{path}/retry") == {"recipients": 1}
    wait_for(lambda: bool(row()), "the second attempt")
    assert client.post(f"{path}/hold") == {"recipients": 1}
    [held] = client.get(f"/api/v1/queue?inbox={address}&state=held")["items"]
    assert held["hold_reason"] == "operator"
    assert client.post("/api/v1/queue/release", {"inbox": address}) == {"recipients": 1}
    wait_for(lambda: bool(row()), "the third attempt")
    assert client.post(f"{path}/cancel") == {"recipients": 1}
    [done] = client.get(path)["recipients"]
    assert done["state"] == "cancelled"
    assert "key admin" in str(client.get(path)["history"])


def test_drafts_wait_for_consent(gateway: Gateway, api: Make) -> None:
    name, proposes = f"d{uuid.uuid4().hex[:8]}@mail.test", "read,draft,queue_read,queue_update"
    address, key = gateway.inbox(name, "--permissions", proposes)
    send(gateway, address, key, "boss@far.test")
    proposer, client = api(key), api()
    [waiting] = proposer.get("/api/v1/queue/approvals")["items"]
    assert waiting["hold_reason"] == "approval"
    path = f"/api/v1/queue/{waiting['id']}/release"
    assert proposer.ask("POST", path).code == "forbidden"  # it may not send
    assert client.post("/api/v1/queue/release", {"inbox": address}) == {"recipients": 0}  # not unasked
    assert client.post(path) == {"recipients": 1}
    assert proposer.get("/api/v1/queue/approvals")["items"] == []


def test_another_pod_finds_nothing(gateway: Gateway, api: Make, sender: tuple[str, str], stranger: Api) -> None:
    address, _ = sender
    send(gateway, *sender, "one@far.test")
    [one] = api().get(f"/api/v1/queue?inbox={address}")["items"]
    assert stranger.get("/api/v1/queue")["items"] == []
    assert stranger.ask("GET", f"/api/v1/queue?inbox={address}").code == "not_found"
    assert stranger.ask("GET", f"/api/v1/queue/{one['id']}").code == "not_found"
    for verb in ("retry", "hold", "release", "cancel"):
        assert stranger.ask("POST", f"/api/v1/queue/{one['id']}/{verb}").code == "not_found"
        assert stranger.ask("POST", f"/api/v1/queue/{verb}", {"inbox": address}).code == "not_found"
        assert stranger.ask("POST", f"/api/v1/queue/{verb}", {}).code == "invalid"
    assert stranger.ask("GET", "/api/v1/queue/stats").code == "forbidden"
    assert stranger.ask("GET", "/api/v1/queue/route?recipient=a@b.test").code == "forbidden"


def test_a_key_of_an_inbox_sees_its_own(gateway: Gateway, api: Make, sender: tuple[str, str]) -> None:
    address, _ = sender
    send(gateway, *sender, "one@far.test")
    other, key = gateway.inbox(f"o{uuid.uuid4().hex[:8]}@mail.test", "--permissions", "read,write,send,admin")
    assert api(key).get("/api/v1/queue")["items"] == []
    send(gateway, other, key, "two@far.test")
    [mine] = api(key).get("/api/v1/queue")["items"]
    assert mine["recipient"] == "two@far.test"
    assert api(key).post("/api/v1/queue/cancel", {}) == {"recipients": 1}
    assert api().get(f"/api/v1/queue?inbox={address}")["items"]


def test_the_queue_as_a_whole(api: Make) -> None:
    stats = api().get("/api/v1/queue/stats")
    assert stats["recipients"] == sum(stats["states"].values())
    assert api().get("/api/v1/queue/route?sender=inbox@mail.test&recipient=a@far.test")["way"] == "relay"


@pytest.mark.parametrize("path", ["?state=nothing", "?limit=0", "?cursor=x", "?limit=many"])
def test_bad_input(api: Make, path: str) -> None:
    assert api().ask("GET", f"/api/v1/queue{path}").code == "invalid"


def test_unknown_messages(api: Make) -> None:
    for name in (str(uuid.uuid4()), "x", "%00"):
        assert api().ask("GET", f"/api/v1/queue/{name}").code == "not_found"
    assert api().ask("POST", f"/api/v1/queue/{uuid.uuid4()}/explode").code == "invalid"


