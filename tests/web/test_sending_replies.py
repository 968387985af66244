"""Replies and forwards over HTTP on the real process."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

import pytest

from tests.support.gateway import Gateway

from .people import People, Person

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""


def email_id(one: Person, mailbox: str = "INBOX") -> str:
    return one.attributes(mailbox)[-1][0]


def test_a_reply_goes_back_and_marks_the_original(person: People) -> None:
    anna, bob, eve = person(), person(), person()
    sent = bob.send(to=[anna.address], cc=[eve.address], subject="Frage ü", text="Why?\nReally?", html="<p>Why?</p>")
    message = f"{anna.path}/messages/{email_id(anna)}"
    anna.api.post(f"{message}/reply", {"text": "Because."})
    (got,) = bob.mail("INBOX")
    assert got["Subject"] == "Re: Frage ü"
    assert got["In-Reply-To"] == got["References"] == f"<{sent['message_id']}>"
    text = got.get_content().replace("\r\n", "\n")
    assert text.startswith("Because.\n\nOn ")
    assert text.endswith(f"{bob.address} wrote:\n> Why?\n> Really?\n")
    assert anna.flags("INBOX") == [{"\\Answered"}]
    assert len(eve.octets("INBOX")) == 1
    again = anna.api.post(f"{message}/reply-all", {"html": "<p>Both.</p>", "quote": False})
    assert {one["address"] for one in again["recipients"]} == {bob.address, eve.address}
    assert eve.mail("INBOX")[-1]["Cc"] == eve.address
    # One thread for all who have both.
    ids = {row["thread_id"] for row in anna.api.get(f"{anna.path}/messages")["items"]}
    assert ids == {again["thread_id"]}


def test_a_reply_needs_leave_to_read_and_to_send(person: People) -> None:
    anna, bob = person(), person()
    bob.send(to=[anna.address], text="x")
    message = f"{anna.path}/messages/{email_id(anna)}"
    assert anna.with_key("--permissions", "read").ask("POST", f"{message}/reply", {"text": "x"}).status == 403
    assert anna.with_key("--permissions", "send").ask("POST", f"{message}/reply", {"text": "x"}).status == 403
    # One that may not flag answers, and the original stays as it is.
    anna.with_key("--permissions", "read,send").post(f"{message}/reply", {"text": "x"})
    assert anna.flags("INBOX") == [set()]
    agent = anna.with_key("--permissions", "read,write,draft")
    assert agent.post(f"{message}/reply", {"text": "x"})["status"] == "pending_approval"
    assert anna.flags("INBOX") == [set()]


def test_messages_that_are_not_there(person: People) -> None:
    anna, bob = person(), person()
    bob.send(to=[bob.address], text="x")
    his = email_id(bob)
    for verb in ("reply", "reply-all", "forward"):
        for message in (his, "Mnone", "%00"):
            answer = anna.api.ask("POST", f"{anna.path}/messages/{message}/{verb}", {"text": "x", "to": [anna.address]})
            assert (answer.status, answer.code) == (404, "not_found")


def test_a_forward_with_attachments(person: People) -> None:
    anna, bob = person(), person()
    files: list[dict[str, Any]] = [
        {"file_name": "ä.bin", "content": "AP8="},
        {"file_name": "i.gif", "content": "R0lG", "content_id": "i@x", "inline": True},
    ]
    anna.send(to=[anna.address], subject="Files", html="<img src='cid:i@x'>", attachments=files)
    message = f"{anna.path}/messages/{email_id(anna)}"
    anna.api.post(f"{message}/forward", {"to": [bob.address], "text": "look"})
    (got,) = bob.mail("INBOX")
    assert got["Subject"] == "Fwd: Files"
    parts = [(part.get_content_type(), part.get_filename()) for part in got.walk() if not part.is_multipart()]
    assert parts == [
        ("text/plain", None), ("text/html", None), ("image/gif", "i.gif"), ("application/octet-stream", "ä.bin")
    ]  # fmt: skip
    assert anna.flags("INBOX") == [{"$Forwarded"}]


@pytest.mark.parametrize("body", [b"Hi\r\n", "8-bit ü\r\n".encode(), b"bare\nline\n"])
def test_a_forward_of_exact_octets(gateway: Gateway, person: People, body: bytes) -> None:
    anna, bob = person(), person()
    octets = b"From: x@y.org\r\nSubject: Odd\r\n\r\n" + body
    with gateway.imap(anna.address, anna.key) as client:
        client.send(b"a APPEND INBOX {%d}\r\n" % len(octets))
        assert client.readline().startswith(b"+")
        client.send(octets + b"\r\n")
        assert client.readline().startswith(b"a OK")
    answer = {"to": [bob.address], "text": "see", "attach": True}
    anna.api.post(f"{anna.path}/messages/{email_id(anna)}/forward", answer)
    (got,) = bob.mail("INBOX")
    (raw,) = bob.octets("INBOX")
    part = list(got.iter_parts())[1]
    assert isinstance(part, EmailMessage)
    assert part.get_filename() == "Odd.eml"
    if b"\n" in body.replace(b"\r\n", b""):
        assert part.get_content() == octets
    else:
        assert part.get_content_type() == "message/rfc822"
        assert octets in raw


def test_a_forward_needs_somebody(person: People) -> None:
    anna = person()
    anna.send(to=[anna.address], text="x")
    assert anna.api.ask("POST", f"{anna.path}/messages/{email_id(anna)}/forward", {"text": "x"}).status == 422


def test_a_reply_is_carried_out_once(person: People) -> None:
    anna, bob = person(), person()
    bob.send(to=[anna.address], text="x")
    path = f"{anna.path}/messages/{email_id(anna)}/reply"
    answers = [anna.api.ask("POST", path, {"text": "y"}, Idempotency_Key="r") for _ in range(3)]
    assert {answer.body for answer in answers} == {answers[0].body}
    assert len(bob.octets("INBOX")) == 1
