"""Threads over the API."""

from __future__ import annotations

from typing import Any

from .mail import BEGIN, SETTINGS, Box, letter

__all__ = ["SETTINGS"]


def talk(box: Box) -> None:
    """Two threads, a message of the first lies in Sent; the first has the latest message."""
    box.put(letter("Plan", message_id="<a1@x>"), date=BEGIN)
    box.put(letter("Other", message_id="<b1@x>"), date=BEGIN + 1)
    box.put(letter("Re: Plan", "my answer\r\n", message_id="<a2@x>", in_reply_to="<a1@x>", from_="Bob <bob@mail.test>"),
            "Sent", "\\Seen", BEGIN + 2)
    box.put(letter("Re: Plan", "the last word\r\n", message_id="<a3@x>", references="<a1@x> <a2@x>"), date=BEGIN + 3)


def listed(box: Box, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = box.api.get(f"{box.path}/threads?{query}{cursor}")
        found += page["items"]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


def test_threads_by_their_latest_message(box: Box) -> None:
    talk(box)
    plan, other = listed(box)
    assert (plan["subject"], plan["preview"], plan["messages"], plan["unread"]) == ("Plan", "the last word", 3, 2)
    assert (plan["first_at"], plan["latest_at"]) == (BEGIN, BEGIN + 3)
    assert [sender["name"] for sender in plan["senders"]] == ["Ann", "Bob"]
    assert (other["subject"], other["messages"]) == ("Other", 1)
    assert listed(box, "order=oldest") == [other, plan]
    assert listed(box, "limit=1") == [plan, other]
    assert [thread["id"] for thread in listed(box, "mailbox=Sent")] == [plan["id"]]
    assert listed(box, "unread=false") == [plan]
    assert listed(box, f"before={BEGIN + 3}") == [other]
    assert listed(box, "keyword=$x") == []


def test_a_thread_has_its_messages_in_order(box: Box) -> None:
    talk(box)
    plan = listed(box)[0]
    whole = box.api.get(f"{box.path}/threads/{plan['id']}")
    assert [message["preview"] for message in whole["items"]] == ["Some words", "my answer", "the last word"]
    assert whole["message_ids"] == [message["id"] for message in whole["items"]]
    assert box.subjects(thread=plan["id"]) == ["Re: Plan", "Re: Plan", "Plan"]
    assert box.api.ask("GET", f"{box.path}/threads/Tnobody").code == "not_found"
    assert box.api.ask("GET", f"{box.path}/threads/%00").code == "not_found"


def test_all_of_a_thread_is_changed_at_once(box: Box) -> None:
    talk(box)
    plan, other = listed(box)
    path = f"{box.path}/threads/{plan['id']}"
    done = box.api.patch(path, {"add": ["\\Seen", "$Done"]})
    assert done == {"done": plan["message_ids"], "missing": []}
    now = listed(box)[0]
    assert (now["unread"], now["keywords"]) == (0, ["$Done"])
    assert [thread["id"] for thread in listed(box, "keyword=$done")] == [plan["id"]]
    assert box.api.ask("PATCH", path, {"add": ["\\Flagged"], "unchanged_since": 1}).code == "conflict"
    box.api.delete(path)
    assert box.subjects(mailbox="Trash") == ["Re: Plan", "Re: Plan", "Plan"]
    box.api.delete(f"{path}?permanent=true")
    assert listed(box) == [other]
    assert box.api.ask("DELETE", path).code == "not_found"
