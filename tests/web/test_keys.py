"""Keys over the API: a child never exceeds its parent, and a key only sees those within its scope."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from gateway.model.permissions import BUNDLES
from tests.support.api import Api
from tests.support.gateway import Gateway

from .mail import SETTINGS, Box

__all__ = ["SETTINGS"]

Make = Callable[..., Api]


@pytest.fixture(scope="module")
def pods(gateway: Gateway) -> dict[str, str]:
    """Two tenants with an inbox `one@<name>.test` and `two@<name>.test` each -> a key that may all in it."""
    made = {}
    for name in ("ours", "theirs"):
        gateway.operate("pod.add", name=name)
        gateway.operate("domain.add", name=f"{name}.test", pod=name)
        for box in ("one", "two"):
            gateway.operate("inbox.add", address=f"{box}@{name}.test")
        made[name] = str(gateway.operate("key.create", pod=name, permissions=list(BUNDLES), name=name)["key"])
    return made


def listed(api: Api, query: str = "") -> dict[str, Any]:
    """Keys by id, but for when they were used: that is written now and then, whatever is asked."""
    found = api.get(f"/api/v1/keys?limit=200{query}")["items"]
    return {key["id"]: {name: value for name, value in key.items() if name != "last_used_at"} for key in found}


def test_a_key_is_shown_once_and_works_everywhere(gateway: Gateway, api: Make, pods: dict[str, str]) -> None:
    pod = api(pods["ours"])
    made = pod.post("/api/v1/keys", {"name": "mail", "inbox": "one@ours.test"})
    assert (made["scope"], made["inbox"]) == ("inbox", "one@ours.test")
    assert made["bundles"] == ["read", "write", "draft", "send"]
    assert made["key"] not in str(listed(pod))
    assert api(made["key"]).get("/api/v1/inboxes/one@ours.test")["address"] == "one@ours.test"
    gateway.imap("one@ours.test", made["key"]).logout()
    pod.delete(f"/api/v1/keys/{made['id']}")
    assert api(made["key"]).ask("GET", "/api/v1/me").code == "unauthorized"
    assert made["id"] not in listed(pod)
    assert listed(pod, "&revoked=true")[made["id"]]["revoked_at"] is not None


def test_a_child_opens_what_its_parent_opens(api: Make, pods: dict[str, str]) -> None:
    pod = api(pods["ours"])
    made = pod.post("/api/v1/keys", {})
    assert (made["scope"], made["pod"], made["name"]) == ("pod", "ours", "unnamed")
    box = pod.post("/api/v1/keys", {"inbox": "one@ours.test", "permissions": list(BUNDLES)})
    child = api(box["key"]).post("/api/v1/keys", {"permissions": ["read"]})
    assert (child["scope"], child["inbox"]) == ("inbox", "one@ours.test")


def test_a_child_exceeds_its_parent_in_nothing(api: Make, pods: dict[str, str]) -> None:
    pod = api(pods["ours"])
    later = int(time.time()) + 1000
    parent = pod.post("/api/v1/keys", {
        "inbox": "one@ours.test", "permissions": ["message_read", "api_key_create"], "expires_at": later,
    })  # fmt: skip
    client = api(parent["key"])
    for body, code in (
        ({"permissions": ["message_read", "message_send"], "expires_at": later}, "forbidden"),
        ({"permissions": ["message_read"], "expires_at": later + 1}, "forbidden"),
        ({"permissions": ["message_read"]}, "forbidden"),  # it would never expire
        ({"permissions": ["message_read"], "inbox": "two@ours.test", "expires_at": later}, "not_found"),
        ({"permissions": ["message_read"], "inbox": "one@theirs.test", "expires_at": later}, "not_found"),
        ({"permissions": ["message_read"], "pod": "ours", "expires_at": later}, "not_found"),
    ):
        assert client.ask("POST", "/api/v1/keys", body).code == code, body
    child = client.post("/api/v1/keys", {"permissions": ["message_read"], "expires_at": later})
    assert child["permissions"] == ["message_read"]
    pod.delete(f"/api/v1/keys/{parent['id']}")
    assert api(child["key"]).ask("GET", "/api/v1/me").code == "unauthorized"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_each_operation_needs_its_permission(gateway: Gateway, api: Make, pods: dict[str, str], method: str) -> None:
    key = gateway.operate("key.create", pod="ours", permissions=["read", "write"])
    client = api(key["key"])
    path = "/api/v1/keys" + ("/x" if method == "DELETE" else "")
    assert client.ask(method, path, {} if method == "POST" else None).code == "forbidden"


def test_keys_of_others_are_not_there(gateway: Gateway, api: Make, pods: dict[str, str]) -> None:
    ours, theirs = api(pods["ours"]), api(pods["theirs"])
    foreign = theirs.post("/api/v1/keys", {"inbox": "one@theirs.test"})
    top = api().post("/api/v1/keys", {"permissions": ["read"]})
    neighbour = ours.post("/api/v1/keys", {"inbox": "two@ours.test"})
    single = api(ours.post("/api/v1/keys", {"inbox": "one@ours.test", "permissions": list(BUNDLES)})["key"])
    for client, hidden in ((ours, (foreign, top)), (single, (foreign, top, neighbour, ours.get("/api/v1/me")))):
        for key in hidden:
            assert key["id"] not in listed(client, "&revoked=true")
            assert client.ask("DELETE", f"/api/v1/keys/{key['id']}").code == "not_found"
    assert neighbour["id"] in listed(ours)
    assert {foreign["id"], top["id"], neighbour["id"]} <= listed(api()).keys()


def test_pages(api: Make, pods: dict[str, str]) -> None:
    pod = api(pods["ours"])
    for _ in range(4):
        pod.post("/api/v1/keys", {"permissions": ["read"]})
    whole, found, cursor = list(listed(pod)), [], ""
    while True:
        page = pod.get(f"/api/v1/keys?limit=2{cursor}")
        found += [key["id"] for key in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert found == whole


@pytest.mark.parametrize(
    "body",
    [{"permissions": []}, {"permissions": ["fly"]}, {"permissions": "read"}, {"expires_at": -1}, {"expires_at": "soon"},
     {"expires_at": 1}, {"name": "x" * 201}, {"scope": "all"}, {"inbox": "one@ours.test", "pod": "ours"}],
    ids=str,
)  # fmt: skip
def test_bodies_that_make_no_key(api: Make, pods: dict[str, str], body: object) -> None:
    before = listed(api(pods["ours"]))
    assert api(pods["ours"]).ask("POST", "/api/v1/keys", body).code == "invalid"
    assert listed(api(pods["ours"])) == before


def test_a_key_of_an_inbox_ends_with_it(gateway: Gateway, api: Make, box: Box) -> None:
    api().delete(box.path)
    assert box.api.ask("GET", "/api/v1/me").code == "unauthorized"
