"""Two tenants: whatever the APIs offer, one of them finds nothing of the other's by any id.

The operations come from the OpenAPI documents, so one that is added later is tried by itself. A parameter of a name
that is not in `Tenant.ids` is tried with each of the other's ids.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from gateway.model.permissions import BUNDLES
from tests.support.api import Answer, Api
from tests.support.gateway import Gateway

from .mail import SETTINGS, Box, letter
from .samples import Document, Operation, Samples, body_of, named, offered

__all__ = ["SETTINGS"]

MARK = "zq7-nobody-else-sees-this"
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("POST", "/api/v1/webhooks/{webhook}/replay"): {"event": "x"},
    ("PATCH", "/agentmail/v0/pods/{pod_id}/inboxes/{inbox_id}"): {"display_name": "x"},
    ("PATCH", "/agentmail/v0/inboxes/{inbox_id}"): {"display_name": "x"},
    ("PATCH", "/agentmail/v0/inboxes/{inbox_id}/messages/{message_id}"): {"add_labels": ["x"]},
    ("POST", "/agentmail/v0/inboxes/{inbox_id}/messages/batch-update"): {"add_labels": ["x"]},
}
"""(method, path) -> fields of a body that its schema does not say enough about."""
STREAMS = "text/event-stream"
NUMBERS = ("1", "2", "3")
"""For names of things that are numbered."""


@dataclass
class Tenant:
    """A pod with one of each thing. `ids`: parameter or field -> the id of what it names."""

    name: str
    box: Box
    pod_key: str
    ids: dict[str, Any] = field(default_factory=dict)


def tenant(gateway: Gateway, name: str, make: Callable[..., Api], admin: Api) -> Tenant:
    domain, mark = f"{name}.test", MARK if name == "theirs" else "ours"
    pod = gateway.operate("pod.add", name=name)
    gateway.operate("domain.add", name=domain, pod=name)
    address = f"{mark}@{domain}"
    gateway.operate("inbox.add", address=address)
    keys = [
        gateway.operate("key.create", permissions=list(BUNDLES), name=mark, **scope)["key"]
        for scope in ({"inbox": address}, {"pod": name})
    ]
    box = Box(gateway, address, keys[0], make(keys[0]))
    made = Tenant(name, box, keys[1])
    box.put(letter(mark, f"{mark}\r\n"))
    [message] = box.list()
    mailbox = box.api.post(f"{box.path}/mailboxes", {"name": mark})
    inbox = box.api.get(box.path)
    connector = admin.post("/api/v1/connectors", {
        "name": mark, "address": f"account@{name}.example", "inbox": address, "enabled": False,
        "provider": "google",
    })  # fmt: skip
    draft = box.api.post(f"{box.path}/drafts", {"to": [address], "subject": mark, "text": mark})
    sent = box.api.post(f"{box.path}/drafts/{draft['id']}/send")
    draft = box.api.post(f"{box.path}/drafts", {"to": [address], "subject": mark, "text": mark})
    ids: dict[str, Any] = {
        "inbox": address, "message": message["id"], "thread": message["thread_id"], "part": "1",
        "mailbox": mailbox["id"], "key": box.api.get("/api/v1/me")["id"], "pod": pod.get("id") or pod["uuid"],
        "domain": domain, "draft": draft["id"], "connector": connector["id"], "submission": _submission(sent),
    }  # fmt: skip
    ids |= {"ids": [ids["message"]], "source": ids["mailbox"], "inbox_id": inbox["id"]}
    hook = {"url": "https://hooks.example/x", "inbox": address, "name": mark}
    ids["webhook"] = box.api.post("/api/v1/webhooks", hook)["id"]
    theirs = ("message", "thread", "draft", "webhook", "domain", "pod")
    made.ids = ids | {f"{noun}_id": ids[noun] for noun in theirs} | {"api_key_id": ids["key"]}
    made.ids |= {"inboxId": address, "emailId": box.api.get(f"/mailslurp/inboxes/{address}/emails")[0]["id"]}
    return made


def _submission(sent: dict[str, Any]) -> str:
    return str(next(value for key, value in sent.items() if key.startswith("submission")))


@pytest.fixture(scope="module")
def tenants(gateway: Gateway) -> Iterator[tuple[Tenant, Tenant]]:
    from .conftest import admin_key

    with ExitStack() as stack:
        make: Callable[[str], Api] = lambda key: stack.enter_context(Api(gateway, key))  # noqa: E731
        admin = make(admin_key(gateway))
        yield tenant(gateway, "ours", make, admin), tenant(gateway, "theirs", make, admin)


def ask(
    api: Api, document: Document, operation: Operation, path_ids: dict[str, str], ids: dict[str, Any], own: Tenant
) -> Answer:
    """The operation with the least it takes; `ids` stand wherever a field or parameter of that name is."""
    method, path, said = operation
    samples = Samples(document, ids, own.ids)
    target = path.format_map({name: quote(value, safe="@") for name, value in path_ids.items()})
    query = {
        each["name"]: samples.value(each["schema"], each["name"])
        for each in said.get("parameters", ())
        if each["in"] == "query" and (each.get("required") or each["name"] in ids)
    }
    if query:
        target += "?" + urlencode(query, doseq=True)
    content = body_of(said)
    if content is None:
        return api.ask(method, target)
    kind, schema = content
    if kind != "application/json":
        return api.ask(method, target, octets=b"Subject: x\r\n\r\nx\r\n", Content_Type=kind)
    body = samples.value(schema)
    if isinstance(body, dict):
        body |= BODIES.get((method, path), {})
    return api.ask(method, target, body)


def everything(one: Tenant, api: Api) -> str:
    """What a tenant has, as it is told."""
    paths = [one.box.path, *(f"{one.box.path}/{noun}" for noun in ("messages", "mailboxes", "threads", "drafts"))]
    paths += ["/api/v1/keys", "/api/v1/connectors", "/api/v1/queue", "/api/v1/domains"]
    told = json.dumps([api.get(path) for path in paths], sort_keys=True)
    assert MARK in told
    return re.sub(r'"last_used_at": (\d+|null)', "", told)  # of the key that asks


def streams(said: dict[str, Any]) -> bool:
    return any(STREAMS in answer.get("content", {}) for answer in said["responses"].values())


def foreign(schemas: dict[str, Any], ours: Tenant, theirs: Tenant) -> Iterator[dict[str, str]]:
    """Values of path parameters, at least one of them the other's: each alone, and all."""
    names = list(schemas)
    strangers = sorted({value for value in theirs.ids.values() if isinstance(value, str) and len(value) > 5})
    for name in names:
        unknown = NUMBERS if schemas[name].get("type") == "integer" else strangers
        for value in [theirs.ids[name]] if name in theirs.ids else unknown:
            yield {other: str(ours.ids.get(other, value)) for other in names} | {name: str(value)}
    if len(names) > 1:
        yield {name: str(theirs.ids.get(name, strangers[0])) for name in names}
    if "inbox" in names:
        yield {name: str(theirs.ids.get(name, strangers[0])) for name in names} | {"inbox": theirs.ids["inbox_id"]}


def test_one_s_own_are_found_by_the_same_ids(gateway: Gateway, tenants: tuple[Tenant, Tenant]) -> None:
    """So what is not found below is not found for whose it is."""
    ours, _ = tenants
    with Api(gateway, ours.pod_key) as api:
        found = 0
        for document, (method, path, said) in offered(api):
            names = named(said, "path").keys()
            if method == "GET" and names and names <= ours.ids.keys() and not streams(said):
                answer = ask(api, document, (method, path, said), {name: ours.ids[name] for name in names}, {}, ours)
                assert answer.status not in (403, 404, 500), (path, answer.body)
                found += answer.status == 200
        assert found > 60


@pytest.mark.parametrize("scope", ["pod", "inbox"])
def test_nothing_of_another_s_is_found(gateway: Gateway, tenants: tuple[Tenant, Tenant], scope: str) -> None:
    """404 for an id of another's, or 403 where the key may not do such a thing; the same as for one of nobody."""
    ours, theirs = tenants
    nobody = dict.fromkeys(theirs.ids, "Mnobody7") | {"inbox": "nobody@theirs.test"}
    with Api(gateway, ours.pod_key if scope == "pod" else ours.box.key) as api, Api(gateway, theirs.pod_key) as other:
        before = everything(theirs, other)
        wrong: list[str] = []
        tried = 0
        for document, operation in offered(api):
            method, path, said = operation
            samples = Samples(document, {}, {})
            schemas = {name: samples.resolved(schema) for name, schema in named(said, "path").items()}
            names = {name: schema for name, schema in schemas.items() if "enum" not in schema}
            verbs = {name: schema["enum"] for name, schema in schemas.items() if "enum" in schema}
            for chosen in itertools.product(*verbs.values()):
                for ids in foreign(names, ours, theirs) if names else ():
                    if ids.get("part") == "1" and all(ids[name] == ours.ids.get(name) for name in names):
                        continue  # a number, and nobody's
                    tried += 1
                    values = ids | dict(zip(verbs, chosen, strict=True))
                    answer = ask(api, document, operation, values, {}, ours)
                    strange = {
                        name: value if value == ours.ids.get(name) else nobody.get(name, "999999999")
                        for name, value in ids.items()
                    }
                    none = ask(api, document, operation, strange | dict(zip(verbs, chosen, strict=True)), {}, ours)
                    if answer.status not in (403, 404) or MARK.encode() in _without(answer.body, ids):
                        wrong.append(f"{method} {path} {values}: {answer.status} {answer.body[:200]!r}")
                    elif (answer.status, answer.code) != (none.status, none.code):
                        wrong.append(f"{method} {path} {values}: {answer.status}, of nobody {none.status}")
        assert not wrong, "\n".join(wrong)
        assert tried > 100
        assert everything(theirs, other) == before


def _without(body: bytes, ids: dict[str, str]) -> bytes:
    """What was said, without what was asked."""
    for value in ids.values():
        body = body.replace(value.encode(), b"")
    return body


def test_ids_in_bodies_and_queries_find_nothing(gateway: Gateway, tenants: tuple[Tenant, Tenant]) -> None:
    """Of operations on our own things: whatever they answer, nothing of the other's is told or touched."""
    ours, theirs = tenants
    with Api(gateway, ours.pod_key) as api, Api(gateway, theirs.pod_key) as other:
        before = everything(theirs, other)
        wrong: list[str] = []
        tried = 0
        for document, operation in offered(api):
            method, path, said = operation
            content = body_of(said)
            fields = set(named(said, "query"))
            if content is not None and content[0] == "application/json":
                fields |= Samples(document, {}, {}).names(content[1])
            path_names = named(said, "path")
            if streams(said) or not fields & theirs.ids.keys() or path_names.keys() - ours.ids.keys():
                continue
            for name in sorted(fields & theirs.ids.keys()):
                tried += 1
                asked = {name: theirs.ids[name]}
                answer = ask(api, document, operation, {each: ours.ids[each] for each in path_names}, asked, ours)
                if answer.status >= 500 or MARK.encode() in _without(answer.body, {name: str(theirs.ids[name])}):
                    wrong.append(f"{method} {path} {asked}: {answer.status} {answer.body[:300]!r}")
        assert not wrong, "\n".join(wrong)
        assert tried > 10
        assert everything(theirs, other) == before
