"""Waiting for mail by HTTP on the real process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.api import Api
from tests.support.gateway import Gateway

from .sse import Listener
from .test_events import events_of, put

Make = Callable[..., Api]


def mail(subject: str, text: str = "text", sender: str = "zoe@far.test") -> bytes:
    return f"From: {sender}\r\nTo: anna@mail.test\r\nSubject: {subject}\r\n\r\n{text}\r\n".encode()


def waited(gateway: Gateway, address: str, key: str, body: dict[str, Any]) -> Any:
    with Api(gateway, key) as api:
        return api.post(f"/api/v1/inboxes/{address}/wait-for", body)


def test_what_is_there_answers_at_once(gateway: Gateway) -> None:
    address, key = gateway.inbox("there@mail.test")
    put(gateway, address, key, mail("one"))
    put(gateway, address, key, mail("two", "Your code is 4711"))
    answer = waited(gateway, address, key, {"text": "CODE is 4711", "timeout": 300})
    assert ([each["subject"] for each in answer["items"]], answer["complete"]) == (["two"], True)
    both = waited(gateway, address, key, {"from": "zoe@", "count": 2, "timeout": 300})
    assert [each["subject"] for each in both["items"]] == ["two", "one"]


def test_what_comes_is_waited_for(gateway: Gateway) -> None:
    address, key = gateway.inbox("comes@mail.test")
    put(gateway, address, key, mail("old order"))
    with ThreadPoolExecutor() as threads, Listener(gateway, events_of(address), key) as listener:
        cursor = waited(gateway, address, key, {"timeout": 0})["cursor"]
        wishes: list[dict[str, Any]] = [
            {"subject": "ORDER", "cursor": cursor}, {"text": "4711"}, {"from": "shop@", "subject": "order"},
            {"mailbox": "Spam"}, {"unread": True, "count": 3},
        ]
        waiting = [threads.submit(waited, gateway, address, key, wish | {"timeout": 50}) for wish in wishes]
        put(gateway, address, key, mail("something else"))
        put(gateway, address, key, mail("your order", "4711", "shop@far.test"))
        put(gateway, address, key, mail("junk"), "Spam")
        listener.some(3)
        answers = [each.result() for each in waiting]
        assert all(answer["complete"] for answer in answers)
        subjects = [[each["subject"] for each in answer["items"]] for answer in answers]
        assert subjects[:4] == [["your order"], ["your order"], ["your order"], ["junk"]]
        assert sorted(subjects[4]) == ["old order", "something else", "your order"]


def test_the_time_is_over(gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("late@mail.test")
    put(gateway, address, key, mail("one"))
    answer = api(key).post(f"/api/v1/inboxes/{address}/wait-for", {"count": 2, "timeout": 0.1})
    assert (len(answer["items"]), answer["complete"]) == (1, False)
    rest = api(key).post(f"/api/v1/inboxes/{address}/wait-for", {"cursor": answer["cursor"], "timeout": 0.1})
    assert rest["items"] == []


def test_sent_mail_does_not_count(gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("own@mail.test")
    for mailbox in ("Sent", "Trash", "Spam"):
        put(gateway, address, key, mail(mailbox), mailbox)
    asked = {"timeout": 0.1}
    assert api(key).post(f"/api/v1/inboxes/{address}/wait-for", asked)["items"] == []
    found = api(key).post(f"/api/v1/inboxes/{address}/wait-for", asked | {"mailbox": "Trash"})
    assert [each["subject"] for each in found["items"]] == ["Trash"]


@pytest.mark.parametrize(
    "body", [{"timeout": 301}, {"timeout": -1}, {"count": 0}, {"count": 101}, {"form": "x"}, {"subject": ""},
             {"cursor": "x"}, {"cursor": "0123456789abcdef.1"}, {"unread": "maybe"}, {"timeout": "nan"}],
)  # fmt: skip
def test_wishes_that_are_none(gateway: Gateway, api: Make, body: dict[str, Any]) -> None:
    answer = api(gateway.key).ask("POST", f"/api/v1/inboxes/{gateway.address}/wait-for", body)
    assert (answer.status, answer.code) == (422, "invalid")


def test_what_is_not_there(gateway: Gateway, api: Make) -> None:
    ask = api(gateway.key).ask
    assert ask("POST", f"/api/v1/inboxes/{gateway.address}/wait-for", {"mailbox": "No"}).code == "not_found"
    assert ask("POST", "/api/v1/inboxes/nobody@mail.test/wait-for", {}).code == "not_found"


def test_a_deleted_inbox_ends_it(gateway: Gateway, api: Make) -> None:
    address, _ = gateway.inbox("goes@mail.test")
    admin = api()
    with ThreadPoolExecutor() as threads, Listener(gateway, events_of(address), admin.key) as listener:
        with Api(gateway, admin.key) as other:
            waiting = threads.submit(
                other.ask, "POST", f"/api/v1/inboxes/{address}/wait-for", {"timeout": 50}
            )
            admin.delete(f"/api/v1/inboxes/{address}")
            assert waiting.result().status in (401, 404)
        end = listener.one()
        assert end.type == "end"
