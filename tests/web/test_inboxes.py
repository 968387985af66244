"""Inboxes over the API: what a key of each scope may do with them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from tests.support.api import Api
from tests.support.gateway import Gateway

from .mail import SETTINGS, Box, letter

__all__ = ["SETTINGS"]

Make = Callable[..., Api]
_NUMBERS = count(1)


@pytest.fixture
def pod(gateway: Gateway) -> str:
    """A tenant with a domain of its own: `<pod>.test`."""
    name = f"pod{next(_NUMBERS)}"
    gateway.operate("pod.add", name=name)
    gateway.operate("domain.add", name=f"{name}.test", pod=name)
    return name


def key_of(gateway: Gateway, *permissions: str, **scope: object) -> str:
    given = permissions or ("read", "write", "admin")
    return str(gateway.operate("key.create", permissions=list(given), **scope)["key"])


def addresses(api: Api, query: str = "") -> list[str]:
    return [inbox["address"] for inbox in api.get(f"/api/v1/inboxes{query}")["items"]]


def test_life_of_an_inbox(gateway: Gateway, api: Make, pod: str) -> None:
    client = api(key_of(gateway, pod=pod))
    made = client.post("/api/v1/inboxes", {"address": f"New@{pod}.test", "name": "Support"})
    assert (made["address"], made["name"], made["pod"], made["mailboxes"]) == (f"new@{pod}.test", "Support", pod, 5)
    for reference in (made["id"], f"new@{pod}.test", f"NEW@{pod.upper()}.TEST"):
        assert client.get(f"/api/v1/inboxes/{reference}") == made
    path = f"/api/v1/inboxes/{made['id']}"
    changed = client.patch(path, {"sent_copy": "never"})
    assert (changed["sent_copy"], changed["name"]) == ("never", "Support")
    assert client.patch(path, {"name": None})["name"] is None
    client.delete(path)
    assert client.ask("GET", path).code == "not_found"
    assert client.ask("DELETE", path).code == "not_found"
    assert addresses(client) == []


def test_counters_follow_the_mail(box: Box) -> None:
    before = box.api.get(box.path)
    box.put(letter("one"))
    after = box.api.get(box.path)
    assert (after["messages"], after["octets"] > before["octets"]) == (1, True)
    assert after["cursor"] != before["cursor"]


def test_pages_hold_while_inboxes_come_and_go(gateway: Gateway, api: Make, pod: str) -> None:
    client = api(key_of(gateway, pod=pod))
    for name in "bdfh":
        client.post("/api/v1/inboxes", {"address": f"{name}@{pod}.test"})
    page = client.get("/api/v1/inboxes?limit=2")
    assert [inbox["address"][0] for inbox in page["items"]] == ["b", "d"]
    client.delete(f"/api/v1/inboxes/d@{pod}.test")
    client.post("/api/v1/inboxes", {"address": f"e@{pod}.test"})
    client.post("/api/v1/inboxes", {"address": f"a@{pod}.test"})
    rest = client.get(f"/api/v1/inboxes?limit=3&cursor={page['next']}")
    assert [inbox["address"][0] for inbox in rest["items"]] == ["e", "f", "h"]
    assert rest["next"] is None


def test_a_key_sees_what_its_scope_holds(gateway: Gateway, api: Make, pod: str) -> None:
    whole = api(key_of(gateway, pod=pod))
    for name in ("one", "two"):
        whole.post("/api/v1/inboxes", {"address": f"{name}@{pod}.test"})
    single = api(key_of(gateway, inbox=f"one@{pod}.test"))
    assert addresses(whole) == [f"one@{pod}.test", f"two@{pod}.test"]
    assert addresses(single) == [f"one@{pod}.test"]
    assert set(addresses(api(), "?limit=200")) >= {gateway.address, *addresses(whole)}
    for path in (f"/api/v1/inboxes/two@{pod}.test", f"/api/v1/inboxes/{gateway.address}"):
        assert single.ask("GET", path).code == "not_found"
        assert single.ask("PATCH", path, {"name": "x"}).code == "not_found"
        assert single.ask("DELETE", path).code == "not_found"
    assert whole.ask("GET", f"/api/v1/inboxes/{gateway.address}").code == "not_found"


@pytest.mark.parametrize("lacking", ["inbox_read", "inbox_create", "inbox_update", "inbox_delete"])
def test_each_operation_needs_its_permission(gateway: Gateway, api: Make, pod: str, lacking: str) -> None:
    api().post("/api/v1/inboxes", {"address": f"one@{pod}.test"})
    held = {"inbox_read", "inbox_create", "inbox_update", "inbox_delete"} - {lacking}
    client = api(key_of(gateway, *sorted(held), pod=pod))
    path = f"/api/v1/inboxes/one@{pod}.test"
    asked = {
        "inbox_read": client.ask("GET", path),
        "inbox_create": client.ask("POST", "/api/v1/inboxes", {"address": f"n@{pod}.test"}),
        "inbox_update": client.ask("PATCH", path, {"name": "x"}), "inbox_delete": client.ask("DELETE", path),
    }  # fmt: skip
    assert {name: answer.status for name, answer in asked.items() if answer.status >= 400} == {lacking: 403}
    assert asked[lacking].code == "forbidden"
    assert lacking in asked[lacking].json["detail"]


def test_an_inbox_is_made_in_a_domain_of_one_s_own(gateway: Gateway, api: Make, pod: str) -> None:
    client = api(key_of(gateway, pod=pod))
    for address in ("new@mail.test", "new@nowhere.test"):
        answer = client.ask("POST", "/api/v1/inboxes", {"address": address})
        assert (answer.status, answer.json["detail"]) == (404, f"There is no domain {address.partition('@')[2]}")
    single = api(gateway.key)
    assert single.ask("POST", "/api/v1/inboxes", {"address": "new@mail.test"}).code == "forbidden"
    one = f"one@{pod}.test"
    client.post("/api/v1/inboxes", {"address": one})
    inbox_key = api(key_of(gateway, "read", "admin", inbox=one))
    assert inbox_key.ask("POST", "/api/v1/inboxes", {"address": f"two@{pod}.test"}).code == "forbidden"
    assert client.ask("POST", "/api/v1/inboxes", {"address": one.upper()}).code == "already_exists"


@pytest.mark.parametrize(
    "body",
    [{}, {"address": ""}, {"address": "x"}, {"address": "a b@mail.test"}, {"address": "@mail.test"}, {"address": None},
     {"address": "a@mail.test", "name": "x" * 201}, {"address": "a@mail.test", "pod": "default"},
     {"address": "a\x00@mail.test"}, {"address": "a" * 400 + "@mail.test"}],
    ids=str,
)  # fmt: skip
def test_bodies_that_make_no_inbox(api: Make, body: object) -> None:
    before = addresses(api(), "?limit=200")
    answer = api().ask("POST", "/api/v1/inboxes", body)
    assert answer.status in (404, 422), answer.body
    assert answer.code in ("invalid", "not_found")
    assert addresses(api(), "?limit=200") == before


@pytest.mark.parametrize("reference", ["%00", "%00@mail.test", "a@b@c", "%ED%A0%80", "x" * 2000, "'; DROP TABLE inbox"])
def test_odd_references_are_nobody(api: Make, reference: str) -> None:
    path = f"/api/v1/inboxes/{reference.replace(' ', '%20')}"
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"name": "x"})):
        assert api().ask(method, path, body).code == "not_found"


@pytest.mark.parametrize("cursor", ["x", "", "W10", "WzFd", "bm90", "%00"])
def test_cursors_of_nobody(api: Make, cursor: str) -> None:
    for noun in ("inboxes", "keys"):
        assert api().ask("GET", f"/api/v1/{noun}?cursor={cursor}").code == "invalid"
