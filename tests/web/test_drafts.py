"""Drafts over HTTP on the real process: messages in Drafts, which any mail program sees too."""

from __future__ import annotations

import base64
import time
from typing import Any

import pytest

from tests.servers.process import wait_for
from tests.support.gateway import Gateway

from .people import Make, People, Person

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""


def drafts(one: Person) -> Any:
    return one.api.get(f"{one.path}/drafts")["items"]


def make(one: Person, **body: Any) -> Any:
    return one.api.post(f"{one.path}/drafts", body)


def test_a_draft_is_a_message_in_drafts(person: People) -> None:
    anna = person()
    attachment = {"file_name": "ä.txt", "content": "aGk="}
    made = make(anna, to=["Bob <bob@x.org>"], bcc=["eve@x.org"], subject="Grüße", text="é", attachments=[attachment])
    assert (made["status"], made["subject"], made["send_at"]) == ("draft", "Grüße", None)
    assert made["to"] == [{"name": "Bob", "address": "bob@x.org"}]
    assert made["bcc"] == [{"name": None, "address": "eve@x.org"}]
    assert [one["file_name"] for one in made["attachments"]] == ["ä.txt"]
    ((email_id, flags),) = anna.attributes("Drafts")
    assert (email_id, flags) == (made["copy_id"], {"\\Draft", "\\Seen"})
    (octets,) = anna.mail("Drafts")
    assert (octets["Subject"], octets["Bcc"]) == ("Grüße", "eve@x.org")
    full = anna.api.get(f"{anna.path}/drafts/{made['id']}")
    assert (full["text"].strip(), full["html"]) == ("é", None)
    assert drafts(anna) == [made]


def test_a_change_keeps_the_id_and_all_that_is_not_named(person: People) -> None:
    anna = person()
    attachment = {"file_name": "a.bin", "content": base64.b64encode(b"\x00\xff").decode()}
    made = make(
        anna, to=["bob@x.org"], subject="One", text="t", html="<b>h</b>", attachments=[attachment],
        headers={"X-Ticket": "7"},
    )  # fmt: skip
    path = f"{anna.path}/drafts/{made['id']}"
    changed = anna.api.patch(path, {"subject": "Two", "cc": ["c@x.org"]})
    assert changed["id"] == made["id"]
    assert changed["copy_id"] != made["copy_id"]
    assert changed["message_id"] == made["message_id"]
    again = anna.api.patch(path, {"html": None})
    assert again["created_at"] == made["created_at"]
    (stored,) = anna.mail("Drafts")
    assert (stored["Subject"], stored["To"], stored["Cc"], stored["X-Ticket"]) == ("Two", "bob@x.org", "c@x.org", "7")
    text, file = stored.iter_parts()
    assert (text.get_content_type(), text.get_content()) == ("text/plain", "t")
    assert file.get_content() == b"\x00\xff"
    assert [one["id"] for one in drafts(anna)] == [made["id"]]
    anna.api.delete(path)
    assert anna.octets("Drafts") == []
    assert anna.api.ask("GET", path).status == 404
    assert anna.api.ask("PATCH", path, {"subject": "x"}).status == 404


def test_a_draft_of_a_mail_program(gateway: Gateway, person: People) -> None:
    anna, bob = person(), person()
    octets = f"From: {anna.address}\r\nTo: {bob.address}\r\nBcc: {anna.address}\r\nSubject: by IMAP\r\n\r\nHi\r\n"
    with gateway.imap(anna.address, anna.key) as client:
        client.append("Drafts", "(\\Draft)", "", octets.encode())
    (draft,) = drafts(anna)
    assert (draft["subject"], draft["id"]) == ("by IMAP", draft["copy_id"])
    answer = anna.api.post(f"{anna.path}/drafts/{draft['id']}/send")
    assert answer["status"] == "accepted"
    assert {one["address"]: one["state"] for one in answer["recipients"]} == {
        anna.address: "delivered", bob.address: "delivered"
    }  # fmt: skip
    assert anna.octets("Drafts") == []
    (got,) = bob.mail("INBOX")
    assert got["Bcc"] is None
    assert got["Date"] is not None
    assert len(anna.octets("Sent")) == 1


def test_a_draft_is_sent_once(person: People) -> None:
    anna, bob = person(), person()
    made = make(anna, to=[bob.address], subject="x", text="y")
    path = f"{anna.path}/drafts/{made['id']}/send"
    first = anna.api.ask("POST", path, None, Idempotency_Key="s")
    assert first.status == 201
    assert anna.api.ask("POST", path, None, Idempotency_Key="s").json == first.json
    assert anna.api.ask("POST", path).status == 404
    ((email_id, flags),) = anna.attributes("Sent")
    assert (email_id, flags) == (first.json["copy_id"], {"\\Seen"})
    assert anna.octets("Drafts") == drafts(anna) == []
    (got,) = bob.mail("INBOX")
    assert got["Message-ID"] == f"<{made['message_id']}>"


@pytest.mark.parametrize("body", [{}, {"to": ["nobody-here@mail.test"]}, {"to": ["x@elsewhere.example"]}])
def test_what_cannot_be_sent_stays(person: People, body: dict[str, Any]) -> None:
    anna = person()
    made = make(anna, subject="x", **body)
    assert anna.api.ask("POST", f"{anna.path}/drafts/{made['id']}/send").status == 422
    assert [one["id"] for one in drafts(anna)] == [made["id"]]
    assert anna.octets("Sent") == []


def test_a_scheduled_draft(person: People) -> None:
    anna, bob = person(), person()
    at = int(time.time()) + 86_400
    made = make(anna, to=[bob.address], subject="later", text="x", send_at=at)
    assert (made["status"], made["send_at"]) == ("scheduled", at)
    assert anna.flags("Drafts") == [{"\\Draft", "\\Seen", "$Scheduled"}]
    listed = anna.api.get(f"{anna.path}/submissions")["items"]
    assert [(one["id"], one["recipients"][0]["state"]) for one in listed] == [(made["submission_id"], "held")]
    path = f"{anna.path}/drafts/{made['id']}"
    later = anna.api.patch(path, {"send_at": at + 60})
    assert (later["send_at"], later["status"]) == (at + 60, "scheduled")
    assert later["submission_id"] != made["submission_id"]
    off = anna.api.patch(path, {"send_at": None})
    assert (off["send_at"], off["status"]) == (None, "draft")
    states = [one["recipients"][0]["state"] for one in anna.api.get(f"{anna.path}/submissions")["items"]]
    assert states == ["cancelled", "cancelled"]
    assert bob.octets("INBOX") == []


def test_a_scheduled_draft_goes_at_its_time_or_now(person: People) -> None:
    anna, bob = person(), person()
    soon = make(anna, to=[bob.address], subject="soon", text="x", send_at=int(time.time()) + 2)
    late = make(anna, to=[bob.address], subject="late", text="x", send_at=int(time.time()) + 86_400)
    answer = anna.api.post(f"{anna.path}/drafts/{late['id']}/send")
    assert answer["submission_id"] == late["submission_id"]
    wait_for(lambda: len(bob.octets("INBOX")) >= 2, "both mails", 60)
    assert [one["Subject"] for one in bob.mail("INBOX")] == ["late", "soon"]
    assert drafts(anna) == []
    assert len(anna.octets("Sent")) == 2
    history = anna.api.get(f"{anna.path}/submissions/{soon['submission_id']}")
    assert history["recipients"][0]["state"] == "sent"
    assert "released" in {one["event"] for one in history["history"]}


@pytest.mark.parametrize("at", [1, 2**40, 2**52])
def test_times_that_are_none(person: People, at: int) -> None:
    anna = person()
    answer = anna.api.ask("POST", f"{anna.path}/drafts", {"to": [anna.address], "text": "x", "send_at": at})
    assert (answer.status, answer.code) == (422, "invalid")
    assert "send_at" in answer.json["detail"]
    assert anna.octets("Drafts") == []


def test_deleting_a_scheduled_draft_cancels_it(person: People) -> None:
    anna = person()
    made = make(anna, to=[anna.address], text="x", send_at=int(time.time()) + 86_400)
    anna.api.delete(f"{anna.path}/drafts/{made['id']}")
    (one,) = anna.api.get(f"{anna.path}/submissions")["items"]
    assert one["recipients"][0]["state"] == "cancelled"


def test_consent(person: People) -> None:
    anna, bob = person(), person()
    agent = anna.with_key("--permissions", "read,draft")
    proposed = agent.post(f"{anna.path}/send", {"to": [bob.address], "subject": "may I", "text": "x"})
    assert proposed["status"] == "pending_approval"
    (draft,) = drafts(anna)
    assert (draft["status"], draft["copy_id"]) == ("pending_approval", proposed["copy_id"])
    path = f"{anna.path}/drafts/{draft['id']}"
    for verb in ("approve", "send"):
        refused = agent.ask("POST", f"{path}/{verb}")
        assert (refused.status, refused.code) == (403, "forbidden")
    answer = anna.api.post(f"{path}/approve")
    assert answer["submission_id"] == proposed["submission_id"]
    wait_for(lambda: bool(bob.octets("INBOX")), "the mail", 60)
    assert (drafts(anna), len(anna.octets("Sent"))) == ([], 1)
    ordinary = make(anna, to=[bob.address], text="x")
    assert anna.api.ask("POST", f"{anna.path}/drafts/{ordinary['id']}/approve").code == "conflict"


def test_a_key_for_drafts_alone(person: People) -> None:
    anna, bob = person(), person()
    writer = anna.with_key("--permissions", "draft,draft_read,inbox_read")
    made = writer.post(f"{anna.path}/drafts", {"to": [bob.address], "text": "x"})
    assert writer.get(f"{anna.path}/drafts")["items"] == [made]
    assert writer.ask("POST", f"{anna.path}/drafts/{made['id']}/send").status == 403
    sender = anna.with_key("--permissions", "draft_read,draft_send")
    assert sender.ask("POST", f"{anna.path}/drafts", {"text": "x"}).status == 403
    assert sender.ask("DELETE", f"{anna.path}/drafts/{made['id']}").status == 403
    assert sender.post(f"{anna.path}/drafts/{made['id']}/send")["status"] == "accepted"
    assert len(bob.octets("INBOX")) == 1


def test_another_tenants_drafts_are_not_there(person: People) -> None:
    anna, bob = person(), person()
    made = make(bob, to=[anna.address], text="x")
    for method, path in (
        ("GET", f"{bob.path}/drafts"), ("GET", f"{anna.path}/drafts/{made['id']}"),
        ("DELETE", f"{anna.path}/drafts/{made['id']}"), ("POST", f"{anna.path}/drafts/{made['id']}/send"),
        ("GET", f"{anna.path}/submissions/{made['id']}"),
    ):  # fmt: skip
        assert anna.api.ask(method, path).status == 404
    sent = bob.send(to=[bob.address], text="x")
    assert anna.api.ask("GET", f"{anna.path}/submissions/{sent['submission_id']}").status == 404
    assert bob.api.get(f"{bob.path}/submissions/{sent['submission_id']}")["id"] == sent["submission_id"]


def test_a_client_id_makes_one_draft(person: People) -> None:
    anna = person()
    first = make(anna, subject="a", client_id="mine")
    assert make(anna, subject="b", client_id="mine") == first
    assert first["client_id"] == "mine"
    assert len(anna.octets("Drafts")) == 1
    anna.api.delete(f"{anna.path}/drafts/{first['id']}")
    assert make(anna, subject="c", client_id="mine")["subject"] == "c"


def test_a_create_is_carried_out_once(person: People) -> None:
    anna = person()
    ask = [anna.api.ask("POST", f"{anna.path}/drafts", {"subject": "a"}, Idempotency_Key="d") for _ in range(2)]
    assert ask[0].json == ask[1].json
    assert len(anna.octets("Drafts")) == 1


def test_pages(person: People) -> None:
    anna = person()
    made = [make(anna, subject=str(number))["id"] for number in range(5)]
    found, cursor = [], None
    while True:
        page = anna.api.get(f"{anna.path}/drafts?limit=2" + (f"&cursor={cursor}" if cursor else ""))
        assert len(page["items"]) <= 2
        found += [one["id"] for one in page["items"]]
        if (cursor := page["next"]) is None:
            break
    assert found == made[::-1]
    assert anna.api.ask("GET", f"{anna.path}/drafts?cursor=x").status == 422


def test_a_reply_that_is_written_first(person: People) -> None:
    anna, bob = person(), person()
    sent = bob.send(to=[anna.address], subject="Question", text="Why?")
    ((email_id, _),) = anna.attributes("INBOX")
    made = make(anna, reply_to_message=email_id, text="Because.")
    assert made["original"] == email_id
    assert (made["subject"], made["in_reply_to"]) == ("Re: Question", [sent["message_id"]])
    assert made["to"][0]["address"] == bob.address
    assert anna.flags("INBOX") == [set()]
    anna.api.patch(f"{anna.path}/drafts/{made['id']}", {"text": "Because so."})
    anna.api.post(f"{anna.path}/drafts/{made['id']}/send")
    assert anna.flags("INBOX") == [{"\\Answered"}]
    (got,) = bob.mail("INBOX")
    assert (got["In-Reply-To"], got.get_content().strip()) == (f"<{sent['message_id']}>", "Because so.")


def test_a_proposed_reply_marks_when_it_goes(gateway: Gateway, person: People) -> None:
    """However it is let go."""
    anna, bob = person(), person()
    agent = anna.with_key("--permissions", "read,draft")
    for number, verb in enumerate(("approve", "queue", "time")):
        bob.send(to=[anna.address], subject=str(number), text="Why?")
        message = anna.attributes("INBOX")[-1][0]
        if verb == "time":
            at = int(time.time()) + 2
            made = make(anna, forward_of=message, to=[bob.address], send_at=at)
            assert made["status"] == "scheduled"
        else:
            made = agent.post(f"{anna.path}/messages/{message}/reply", {"text": "Because."})
        assert anna.flags("INBOX")[-1] == set()
        if verb == "queue":
            gateway.run("queue", "release", made["submission_id"])
        elif verb == "approve":
            (draft,) = drafts(anna)
            assert draft["original"] == message
            anna.api.post(f"{anna.path}/drafts/{draft['id']}/approve")
        wait_for(lambda: bool(anna.flags("INBOX")[-1]), "the original's flag", 60)
        assert anna.flags("INBOX")[-1] == ({"$Forwarded"} if verb == "time" else {"\\Answered"})


def test_what_is_wrong_with_a_draft(api: Make, person: People) -> None:
    anna = person()
    for body, status in (
        ({"from": "eve@mail.test"}, 403), ({"reply_to_message": "M1", "forward_of": "M2"}, 422),
        ({"client_id": "a\0b"}, 422), ({"reply_to_message": "Mnone"}, 404),
        ({"subject": "a\r\nb"}, 422), ({"unknown": 1}, 422),
    ):  # fmt: skip
        assert anna.api.ask("POST", f"{anna.path}/drafts", body).status == status
    assert anna.octets("Drafts") == []
