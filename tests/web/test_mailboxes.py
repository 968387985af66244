"""Mailboxes over the API: the tree that IMAP clients see, and what a key may see of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.api import Api

from .mail import SETTINGS, Box, letter

__all__ = ["SETTINGS"]


def named(box: Box, api: Api | None = None) -> dict[str, Any]:
    return {each["name"]: each for each in (api or box.api).get(f"{box.path}/mailboxes")["items"]}


def test_a_new_inbox_has_its_mailboxes_with_counters(box: Box) -> None:
    box.fill([letter("a"), letter("b")])
    found = named(box)
    assert list(found) == ["Drafts", "INBOX", "Sent", "Spam", "Trash"]
    assert [found[name]["role"] for name in found] == ["\\Drafts", None, "\\Sent", "\\Junk", "\\Trash"]
    assert (found["INBOX"]["messages"], found["INBOX"]["unread"], found["INBOX"]["uidnext"]) == (2, 2, 3)
    assert box.api.get(f"{box.path}/mailboxes/INBOX") == found["INBOX"]
    assert box.api.get(f"{box.path}/mailboxes/{found['Sent']['id']}") == found["Sent"]


def test_pages(box: Box) -> None:
    first = box.api.get(f"{box.path}/mailboxes?limit=3")
    rest = box.api.get(f"{box.path}/mailboxes?limit=3&cursor={first['next']}")
    assert [each["name"] for each in first["items"] + rest["items"]] == list(named(box))
    assert rest["next"] is None


def test_life_of_a_mailbox_as_an_imap_client_sees_it(box: Box) -> None:
    client = box.gateway.imap(box.address, box.key)

    def listed() -> set[str]:
        return {line.split(b' "/" ')[1].decode().strip('"') for line in client.lsub()[1] if line}

    made = box.api.post(f"{box.path}/mailboxes", {"name": "Work/Open"})
    assert {"Work", "Work/Open"} <= named(box).keys()
    assert "Work/Open" in listed()
    box.put(letter("kept"), "Work/Open")
    path = f"{box.path}/mailboxes/{made['id']}"
    renamed = box.api.patch(path, {"name": "Done"})
    assert (renamed["id"], renamed["name"], renamed["messages"]) == (made["id"], "Done", 1)
    assert listed() >= {"Done"}
    assert "Work/Open" not in listed()
    assert box.api.patch(path, {"subscribed": False})["subscribed"] is False
    assert "Done" not in listed()
    box.api.delete(path)
    assert client.select("Done")[0] == "NO"
    assert box.subjects() == []
    assert box.api.ask("GET", path).code == "not_found"
    client.logout()


@pytest.mark.parametrize(
    ("name", "status"),
    [("INBOX", 409), ("inbox", 409), ("", 422), ("a//b", 422), ("a*", 422), ("a\nb", 422), ("x" * 1001, 422)],
)
def test_names_that_cannot_be(box: Box, name: str, status: int) -> None:
    before = named(box)
    assert box.api.ask("POST", f"{box.path}/mailboxes", {"name": name}).status == status
    assert named(box) == before


def test_inbox_stays(box: Box) -> None:
    assert box.api.ask("DELETE", f"{box.path}/mailboxes/INBOX").code == "conflict"


def test_a_name_for_others_holds_no_messages(box: Box) -> None:
    box.api.post(f"{box.path}/mailboxes", {"name": "up/down"})
    box.api.delete(f"{box.path}/mailboxes/{named(box)['up']['id']}")
    assert named(box)["up"]["selectable"] is False
    assert box.api.ask("GET", f"{box.path}/messages?mailbox=up").code == "conflict"
    assert box.api.ask("DELETE", f"{box.path}/mailboxes/up").code == "conflict"


@pytest.mark.parametrize(
    ("lacking", "mailbox"), [("label_trash_read", "Trash"), ("label_spam_read", "Spam"), ("label_blocked_read", "Spam")]
)
def test_what_a_key_may_not_read_does_not_exist(box: Box, api: Callable[..., Api], lacking: str, mailbox: str) -> None:
    """For the API, and in IMAP it cannot be opened."""
    box.put(letter("hidden"), mailbox)
    box.put(letter("both"), mailbox)
    [both] = box.list(subject="both")
    box.api.post(f"{box.path}/messages/{both['id']}/copy", {"mailbox": "INBOX"})
    [hidden] = box.list(subject="hidden")
    all_but = {"message_read", "label_trash_read", "label_spam_read", "label_blocked_read", "message_update",
               "message_delete", "message_create"} - {lacking}
    key = box.gateway.operate("key.create", inbox=box.address, permissions=sorted(all_but))["key"]
    half = Box(box.gateway, box.address, key, api(key))
    assert mailbox not in named(half)
    [told] = half.list()
    assert [place["mailbox"] for place in told["places"]] == ["INBOX"]  # type: ignore[attr-defined]
    assert half.list(text="hidden") == []
    path = f"{half.path}/messages/{hidden['id']}"
    for answer in (
        half.api.ask("GET", path), half.api.ask("GET", f"{path}/raw"), half.api.ask("GET", f"{path}/parts/1"),
        half.api.ask("PATCH", path, {"add": ["\\Seen"]}), half.api.ask("DELETE", path),
        half.api.ask("POST", f"{path}/copy", {"mailbox": "INBOX"}),
        half.api.ask("GET", f"{half.path}/mailboxes/{mailbox}"),
        half.api.ask("GET", f"{half.path}/threads/{hidden['thread_id']}"),
        half.api.ask("GET", f"{half.path}/messages?mailbox={mailbox}"),
    ):  # fmt: skip
        assert answer.code == "not_found"
    client = box.gateway.imap(box.address, key)
    assert client.select(mailbox)[0] == "NO"
    client.logout()


@pytest.mark.parametrize("permissions", [("message_read",), ("draft_read",), ("read",)])
def test_who_may_only_read_changes_nothing(box: Box, api: Callable[..., Api], permissions: tuple[str, ...]) -> None:
    box.put(letter("one"), "Drafts")
    [message] = box.list()
    key = box.gateway.operate("key.create", inbox=box.address, permissions=list(permissions))["key"]
    reader = api(key)
    path, mailboxes = f"{box.path}/messages/{message['id']}", f"{box.path}/mailboxes"
    assert reader.get(path)["subject"] == "one"
    asked: list[tuple[str, str, Any]] = [
        ("PATCH", path, {"add": ["\\Seen"]}), ("POST", f"{path}/move", {"mailbox": "Drafts", "source": "Drafts"}),
        ("POST", f"{path}/copy", {"mailbox": "Drafts"}),
        ("DELETE", path, None), ("DELETE", f"{path}?permanent=1", None),
        ("POST", mailboxes, {"name": "New"}), ("PATCH", f"{mailboxes}/Drafts", {"name": "x"}),
        ("DELETE", f"{mailboxes}/Drafts", None),
        ("POST", f"{box.path}/messages/batch/flags", {"ids": [message["id"]], "set": []}),
        ("DELETE", f"{box.path}/threads/{message['thread_id']}", None),
    ]  # fmt: skip
    for method, where, body in asked:
        assert reader.ask(method, where, body).code == "forbidden", (method, where)
    answer = reader.ask("POST", f"{box.path}/messages?mailbox=Drafts", octets=b"x", Content_Type="message/rfc822")
    assert answer.code == "forbidden"
    assert box.list() == [message]


def test_who_may_read_nothing_is_told_so(box: Box, api: Callable[..., Api]) -> None:
    key = box.gateway.operate("key.create", inbox=box.address, permissions=["inbox_read", "send"])["key"]
    for path in ("messages", "mailboxes", "threads", "messages/Mx", "mailboxes/INBOX"):
        assert api(key).ask("GET", f"{box.path}/{path}").code == "forbidden"
