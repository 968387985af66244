"""Each operation of the OpenAPI documents with what no program should send: 4xx and a problem document that says what
is wrong, and nothing half done.

Values that do not fit their schemas are schemathesis's part (`test_schemathesis`); here is what is no value at all.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from tests.support.api import Answer, Api
from tests.support.gateway import Gateway

from .conftest import admin_key
from .mail import SETTINGS, Box, letter
from .samples import Document, Operation, Samples, body_of, named, offered

__all__ = ["SETTINGS"]

Make = Callable[..., Api]
JSON = "application/json"
NO_OBJECT = (b"", b"{", b"[]", b"7", b'"text"', b"null", b"\xff\xfe\x00", b'{"a":' * 20_000, b"NaN", b'{"a": 1}{}')
"""Bodies. Some operations take none at all, where null is what they take."""
FORMS = b"--x\r\nContent-Disposition: form-data; name=y\r\n\r\n1\r\n--x--\r\n"


@pytest.fixture(scope="module")
def things(gateway: Gateway) -> dict[str, str]:
    """What paths may name, so that no refusal is for what is not there."""
    address, key = gateway.inbox("hostile@mail.test")
    with Api(gateway, admin_key(gateway)) as api:
        box = Box(gateway, address, key, api)
        box.put(letter())
        [message] = box.list()
        draft = api.post(f"{box.path}/drafts", {"to": [address], "subject": "x", "text": "x"})
        webhook = api.post("/api/v1/webhooks", {"url": "https://hooks.example/x", "inbox": address})
        connector = api.post("/api/v1/connectors", {
            "name": "account", "address": "me@corp.example", "inbox": address, "enabled": False, "provider": "google",
        })  # fmt: skip
        mailbox = next(each for each in api.get(f"{box.path}/mailboxes")["items"] if each["name"] == "Trash")
    known = {
        "inbox": address, "message": message["id"], "thread": message["thread_id"], "mailbox": mailbox["id"],
        "draft": draft["id"], "webhook": webhook["id"], "connector": connector["id"], "verb": "hold", "pod": "default",
        "direction": "send", "type": "block",
    }  # fmt: skip
    known |= {f"{noun}_id": known[noun] for noun in ("inbox", "message", "thread", "draft", "webhook", "pod")}
    return {**known, "inboxId": address, "id": connector["id"]}


def target(operation: Operation, things: dict[str, Any]) -> str:
    _, path, said = operation
    names = named(said, "path")
    return path.format_map({name: quote(things.get(name, "x"), safe="@") for name in names})


def refused(answer: Answer, what: object) -> dict[str, Any]:
    """The problem document of an answer that must be one."""
    assert 400 <= answer.status < 500, (what, answer.status, answer.body[:300])
    assert answer.headers["content-type"].startswith("application/problem+json"), what
    problem: dict[str, Any] = answer.json
    assert problem["status"] == answer.status
    assert problem["code"]
    assert problem["fix"]
    return problem


def bodies(api: Api) -> Iterator[tuple[Document, Operation, dict[str, Any]]]:
    """Operations that take JSON, with its schema."""
    for document, operation in offered(api):
        kind, schema = body_of(operation[2]) or ("", {})
        if kind == JSON:
            yield document, operation, schema


def state(gateway: Gateway) -> str:
    """All that there is."""
    with Api(gateway, admin_key(gateway)) as api:
        inboxes = [each["address"] for each in api.get("/api/v1/inboxes?limit=200")["items"]]
        nouns = ("inboxes", "domains", "webhooks", "connectors", "queue")
        told: list[Any] = [api.get(f"/api/v1/{noun}") for noun in nouns]
        told += [len(api.get("/api/v1/keys?limit=200")["items"])]
        inner = ("messages", "drafts", "mailboxes")
        told += [api.get(f"/api/v1/inboxes/{one}/{noun}") for one in inboxes for noun in inner]
    return json.dumps(told, sort_keys=True)


def test_bodies_that_are_no_object(gateway: Gateway, api: Make, things: dict[str, str]) -> None:
    before = state(gateway)
    client = api()
    tried = 0
    for document, operation, schema in bodies(client):
        method, path = operation[0], target(operation, things)
        if path.startswith("/agentmail/"):
            continue  # test_agentmail_hostile
        optional = not operation[2]["requestBody"].get("required")
        for octets in NO_OBJECT:
            if optional and octets in (b"", b"null"):
                continue
            tried += 1
            problem = refused(client.ask(method, path, octets=octets, Content_Type=JSON), (method, path, octets[:20]))
            assert problem["status"] in (400, 422), (method, path, octets[:20], problem)
            assert problem["errors"], (method, path, octets[:20])
        assert Samples(document, {}, {}).resolved(schema)
    assert tried > 400
    assert state(gateway) == before


def test_bodies_of_another_kind(gateway: Gateway, api: Make, things: dict[str, str]) -> None:
    """What is valid JSON, and says that it is something else: taken for nothing else but what it says."""
    before = state(gateway)
    client = api()
    for document, operation, schema in bodies(client):
        method, path, said = operation
        if not said["requestBody"].get("required"):
            continue
        body = json.dumps(Samples(document, {}, things).value(schema)).encode()
        for kind in ("text/plain", "application/xml", "application/x-www-form-urlencoded"):
            refused(client.ask(method, target(operation, things), octets=body, Content_Type=kind), (method, path, kind))
        form = {"octets": FORMS, "Content_Type": "multipart/form-data; boundary=x"}
        refused(client.ask(method, target(operation, things), **form), (method, path, "form"))
    assert state(gateway) == before


def test_fields_that_nobody_knows_are_named(gateway: Gateway, api: Make, things: dict[str, str]) -> None:
    """By the native API; programs of others may send more than we know."""
    before = state(gateway)
    client = api()
    tried = 0
    for document, operation, schema in bodies(client):
        method, path, _ = operation
        if not path.startswith("/api/v1/"):
            continue
        tried += 1
        body = {**Samples(document, {}, things).value(schema), "nobody_knows": 1}
        problem = refused(client.ask(method, target(operation, things), body), (method, path))
        assert "body.nobody_knows" in [each["field"] for each in problem["errors"]], (method, path, problem)
    assert tried > 40
    assert state(gateway) == before


def test_parameters_that_nobody_knows_are_named(gateway: Gateway, api: Make, things: dict[str, str]) -> None:
    """A slip in a filter's name would let everything pass."""
    before = state(gateway)
    client = api()
    tried = 0
    for _, operation in offered(client):
        method, path, said = operation
        if not path.startswith("/api/v1/") or (said.get("requestBody") or {}).get("required"):
            continue  # a body that is none would be refused first
        tried += 1
        problem = refused(client.ask(method, f"{target(operation, things)}?un_read=true&un_read=1"), (method, path))
        assert [each["field"] for each in problem["errors"]] == ["query.un_read"], (method, path, problem)
    assert tried > 50
    assert state(gateway) == before


@pytest.mark.parametrize("cursor", ["x", "%00", "WzEsMl0", "W10", "e30", "bnVsbA", "%F0%9F%98%80", "x" * 3000])
def test_cursors_that_no_page_gave(api: Make, things: dict[str, str], cursor: str) -> None:
    client = api()
    tried = 0
    for _, operation in offered(client):
        for name in named(operation[2], "query").keys() & {"cursor", "page_token"}:
            tried += 1
            path = f"{target(operation, things)}?{name}={cursor}"
            needed = [each for each in operation[2]["parameters"] if each.get("required") and each["in"] == "query"]
            answer = client.ask(operation[0], path + "".join(f"&{each['name']}=x" for each in needed))
            if answer.status == 404:
                continue  # of a thing that has no such list
            problem = refused(answer, path)
            assert name in f"{problem['detail']} {problem.get('errors')}", (path, problem)
    assert tried > 40


def test_bodies_that_are_too_large_are_not_awaited(gateway: Gateway, api: Make, things: dict[str, str]) -> None:
    """Whatever the operation: the size is said before the body."""
    tried = 0
    for _, operation, _ in bodies(api()):
        tried += 1
        if tried % 10:
            continue  # the door is one
        answer = api().ask(operation[0], target(operation, things), Content_Length=str(1 << 40), Content_Type=JSON)
        assert refused(answer, operation[:2])["code"] == "too_large"


def test_without_a_key(api: Make, things: dict[str, str]) -> None:
    """Nothing of what needs one. An expired key is none: `test_events` waits for one."""
    nobody = api("")
    for _, operation in offered(api()):
        if operation[2].get("security") == []:
            continue
        problem = refused(nobody.ask(operation[0], target(operation, things)), operation[:2])
        assert problem["code"] == "unauthorized", operation[:2]


def test_names_that_no_database_takes(gateway: Gateway, api: Make, things: dict[str, str]) -> None:
    """SQLite would hold a NUL and PostgreSQL not: neither is asked to."""
    before = state(gateway)
    client, name = api(), "a\0b"
    inbox, webhook = f"inboxes/{things['inbox']}", f"webhooks/{things['webhook']}"
    for method, path, body in (
        ("POST", "/api/v1/inboxes", {"address": "new@mail.test"}), ("PATCH", f"/api/v1/{inbox}", {}),
        ("POST", "/api/v1/webhooks", {"url": "https://hooks.example/x"}), ("PATCH", f"/api/v1/{webhook}", {}),
        ("POST", "/mailslurp/inboxes/withOptions", {}), ("PATCH", f"/mailslurp/{inbox}", {}),
    ):
        problem = refused(client.ask(method, path, body | {"name": name}), (method, path))
        assert "name" in problem["detail"], (method, path, problem)
    assert state(gateway) == before
