"""Each operation of AgentMail's API with what no program should send: refused in its words, never broken."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from gateway.web.agentmail import (
    absent,
    domains,
    drafts,
    inboxes,
    keys,
    lists,
    messages,
    metrics,
    organization,
    pods,
    sending,
    threads,
    webhooks,
)
from tests.support.api import Api
from tests.support.gateway import Gateway

from .agentmail_clients import SETTINGS as SETTINGS
from .agentmail_clients import put
from .mail import letter

NOUNS = (
    organization, metrics, inboxes, messages, sending, threads, drafts, keys, lists, pods, domains, webhooks, absent,
)  # fmt: skip
WILD: tuple[Any, ...] = (
    [], "text", 7, None, {"x": 1}, {"to": {"a": 1}, "labels": 5, "name": [], "limit": "x"},
    {"to": ["a\r\nBcc: x@y.test"], "subject": "a\0b", "text": "\0", "client_id": "a\0", "name": "\0", "entry": "\0"},
    {"message_ids": ["\0", "x" * 299], "add_labels": ["x" * 300], "display_name": "a\0", "username": "a b\0@"},
    {"message_ids": ["M1"], "add_labels": "x", "metadata": {"a": 1e400, "b": 10**400}},
    {"send_at": "0001-01-01T00:00:00Z", "to": "a@mail.test"},
    {"message_ids": ["M1"], "remove_labels": ["\\Seen"], "expires_at": "9999-12-31T23:59:59Z", "domain": "\0.test"},
    {"permissions": {"inbox_read": "maybe"}, "attachments": [{"content": "%%%"}]},
    {"url": "http://[", "event_types": ["x"]},
    {"attachments": [{"content": "aGk=", "content_type": "a/b\r\nX: y", "filename": "a\r\nb"}], "to": ["a@mail.test"]},
)
NAMES = ("M1", "\0", "é" * 300, "x" * 3000, "a@b@c", "..", "$" * 10, "\u202e")
QUERIES = (
    "", "limit=0", "limit=x", "limit=99999999999999999999", "page_token=%00", "page_token=WzEsMiwiYSJd",
    "labels=%5B1%2C%7B%7D%5D", "labels=%00", "before=x", "before=0001-01-01T00%3A00%3A00Z",
    "after=9999-12-31T00%3A00%3A00Z",
    "before=1e308", "q=%00", "q=x&limit=1", "subject=%00&from=%00", "ascending=maybe", "usage_types=x",
)  # fmt: skip


def operations() -> Iterator[tuple[str, str]]:
    for noun in NOUNS:
        for route in noun.router.routes:
            for method in sorted(route.methods):  # type: ignore[attr-defined]
                yield method, route.path  # type: ignore[attr-defined]


def filled(path: str, **values: str) -> str:
    return "/agentmail/v0" + re.sub(
        r"\{(\w+)(?::path)?\}", lambda match: quote(values.get(match[1], values["other"]), safe=""), path
    )


def held(api: Api, method: str, path: str, body: Any = ..., **headers: str) -> None:
    answer = api.ask(method, path, **({} if body is ... else {"body": body}), **headers)
    assert answer.status < 500, (method, path, body, answer.body)
    if answer.status >= 400:
        assert {"name", "message", "code", "fix", "docs"} <= answer.json.keys(), (method, path, answer.body)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__.rpartition(".")[2])
def test_nothing_breaks(gateway: Gateway, api: Callable[..., Api], noun: Any) -> None:
    client = api()
    bodies, names = (WILD[:1], NAMES[:2]) if noun is absent else (WILD, NAMES)
    inbox = f"{noun.__name__.rpartition('.')[2]}@mail.test"
    gateway.inbox(inbox)
    put(gateway, inbox, letter("Here"))
    for route in noun.router.routes:
        for method in sorted(route.methods):
            if method == "DELETE" and route.path.endswith("{inbox_id}"):
                continue
            known = {"inbox_id": inbox, "pod_id": "default", "direction": "send", "type": "block"}
            if method == "GET":
                for query in QUERIES:
                    held(client, method, f"{filled(route.path, **known, other='M1')}?{query}")
            else:
                for body in bodies:
                    held(client, method, filled(route.path, **known, other="M1"), body)
            for name in names:
                held(client, method, filled(route.path, **known, other=name), *([] if method == "GET" else [{}]))
                held(client, method, filled(route.path, other=name), *([] if method == "GET" else [{}]))


def test_each_operation_needs_a_key(api: Callable[..., Api]) -> None:
    nobody = api("")
    for method, path in operations():
        answer = nobody.ask(method, filled(path, other="M1"))
        assert answer.status == 401, (method, path)
        assert answer.json["name"] == "UnauthorizedError"


def test_bodies_that_are_no_json(api: Callable[..., Api]) -> None:
    client = api()
    for octets in (b"{", b"\xff\xfe", b"[" * 100_000, b"NaN", b'"\\ud800"', b'{"name": "\\ud800"}'):
        answer = client.ask("POST", "/agentmail/v0/pods", octets=octets, Content_Type="application/json")
        assert 400 <= answer.status < 500, octets[:20]
        assert answer.json["name"] == "ValidationError"
