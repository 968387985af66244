"""Sending over HTTP on the real process: what arrives, what is filed, who may, and what is refused."""

from __future__ import annotations

import base64
import json
import smtplib
import threading
from typing import Any

import pytest

from tests.support.api import Answer, Api
from tests.support.gateway import Gateway

from .people import NUMBERS, Make, People

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
[limits]
max_message_size = 20000000
"""

def test_it_arrives_and_is_filed_once(person: People) -> None:
    anna, bob = person(), person()
    text = "Zeile 1\nZeile 2 – €"
    answer = anna.send(to=[f"Böb <{bob.address}>"], subject="Grüße aus Köln", text=text, html="<p>é</p>")
    assert answer["status"] == "accepted"
    assert answer["recipients"] == [
        {"address": bob.address, "state": "delivered", "reason": None, "reply": "250 2.1.5 Delivered to the inbox"}
    ]
    (got,) = bob.mail("INBOX")
    assert got["Subject"] == "Grüße aus Köln"
    assert got["From"] == anna.address
    assert got["Message-ID"] == f"<{answer['message_id']}>"
    assert got["To"].addresses[0].display_name == "Böb"
    plain, rich = got.iter_parts()
    assert plain.get_content().replace("\r\n", "\n") == text
    assert rich.get_content() == "<p>é</p>"
    ((email_id, flags),) = anna.attributes("Sent")
    assert email_id == answer["copy_id"]
    assert flags == {"\\Seen"}
    (copy,) = anna.octets("Sent")
    (arrived,) = bob.octets("INBOX")
    assert arrived == f"Return-Path: <{anna.address}>\r\n".encode() + copy
    assert b"with HTTP id " in copy.partition(b"\r\n\r\n")[0]


def test_bcc_is_told_to_nobody(person: People) -> None:
    anna, bob, eve = person(), person(), person()
    anna.send(to=[bob.address], bcc=[eve.address], text="x")
    for them in (bob, eve):
        (got,) = them.mail("INBOX")
        assert got["Bcc"] is None
    (copy,) = anna.mail("Sent")
    assert copy["Bcc"] == eve.address


def test_a_client_that_idles_is_told(gateway: Gateway, person: People) -> None:
    anna, bob = person(), person()
    with gateway.imap(bob.address, bob.key) as client:
        client.select("INBOX")
        client.send(b"x1 IDLE\r\n")
        assert client.readline().startswith(b"+")
        anna.send(to=[bob.address], text="x")
        while b"EXISTS" not in (line := client.readline()):
            assert line, "the connection ended"
        assert line == b"* 1 EXISTS\r\n"
        client.send(b"DONE\r\n")
        while not client.readline().startswith(b"x1 OK"):
            pass


def test_ten_megabytes(person: People) -> None:
    anna, bob = person(), person()
    octets = bytes(range(256)) * 40_960
    encoded = base64.b64encode(octets).decode()
    attachment = {"file_name": "grün.bin", "content": encoded, "content_type": "application/x-y"}
    anna.send(to=[bob.address], text="é", attachments=[attachment])
    (got,) = bob.mail("INBOX")
    (part,) = got.iter_attachments()
    assert part.get_content() == octets
    assert part.get_filename() == "grün.bin"
    assert part.get_content_type() == "application/x-y"


@pytest.mark.parametrize(
    "octets", [b"[" * 100_000, b'{"to": ["' + b"x" * 100_000, b'{"text": "\xff' + b"x" * 70_000 + b'"}']
)  # fmt: skip
def test_large_bodies_that_are_none(person: People, octets: bytes) -> None:
    anna = person()
    answer = anna.api.ask("POST", f"{anna.path}/send", octets=octets, Content_Type="application/json")
    assert (answer.status, answer.code) == (422, "invalid")


def test_what_is_too_large(person: People) -> None:
    anna = person()
    attachment = {"file_name": "x", "content": "A" * 28_000_000}
    answer = anna.refused(to=[anna.address], attachments=[attachment])
    assert (answer.status, answer.code) == (413, "too_large")
    assert anna.octets("INBOX") == []


def test_an_inline_image(person: People) -> None:
    anna = person()
    picture = {"file_name": "i.gif", "content": "R0lG", "content_id": "pic@x", "inline": True}
    anna.send(to=[anna.address], html="<img src='cid:pic@x'>", attachments=[picture], headers={"X-Ticket": "ä"})
    (got,) = anna.mail("INBOX")
    assert got.get_content_type() == "multipart/related"
    assert [part.get_content_type() for part in got.iter_parts()] == ["text/html", "image/gif"]
    assert got["X-Ticket"] == "ä"


def test_another_tenant_is_not_there(gateway: Gateway, person: People) -> None:
    anna, bob = person(), person()
    answer = anna.api.ask("POST", f"/api/v1/inboxes/{bob.address}/send", {"to": [bob.address], "text": "x"})
    assert (answer.status, answer.code) == (404, "not_found")
    assert bob.octets("INBOX") == bob.octets("Sent") == []


@pytest.mark.parametrize("name", ["", "Anna "])
def test_the_sender_is_the_inbox(person: People, name: str) -> None:
    anna, bob = person(), person()
    answer = anna.refused(**{"from": f"{name}<{bob.address}>", "to": [anna.address], "text": "x"})
    assert (answer.status, answer.code) == (403, "sender_not_authorized")
    assert anna.send(**{"from": f"{name}<{anna.address}>", "to": [bob.address], "text": "x"})["status"] == "accepted"


def test_a_wide_key_sends_as_the_inbox_that_it_names(api: Make, person: People) -> None:
    anna, bob = person(), person()
    body = {"from": bob.address, "to": [bob.address], "text": "x"}
    assert api().ask("POST", f"{anna.path}/send", body).code == "sender_not_authorized"
    assert api().post(f"{bob.path}/send", body)["status"] == "accepted"


def test_a_key_that_may_not_send(person: People) -> None:
    reader = person("--permissions", "read,write")
    answer = reader.refused(to=[reader.address], text="x")
    assert (answer.status, answer.code) == (403, "forbidden")
    assert "message_send" in answer.json["detail"]


def test_a_key_that_may_only_propose(gateway: Gateway, person: People) -> None:
    bob, agent = person(), person("--permissions", "read,draft")
    answer = agent.send(to=[bob.address], text="please")
    assert answer["status"] == "pending_approval"
    assert [(one["state"], one["reason"]) for one in answer["recipients"]] == [("held", "approval")]
    ((email_id, flags),) = agent.attributes("Drafts")
    assert (email_id, flags) == (answer["copy_id"], {"\\Draft", "$PendingApproval"})
    assert bob.octets("INBOX") == []


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"subject": "a\r\nBcc: eve@x.org"}, "Subject"),
        ({"to": ["a@x.org\r\nBcc: eve@x.org"]}, "to"),
        ({"from": "a@x.org\nX: y"}, "from"),
        ({"headers": {"X-A": "a\nBcc: eve@x.org"}}, "X-A"),
        ({"headers": {"X-A\r\nBcc": "eve@x.org"}}, "header"),
        ({"headers": {"Bcc": "eve@x.org"}}, "Bcc"),
        ({"headers": {"Message-ID": "<a@b>"}}, "Message-ID"),
        ({"headers": {"DKIM-Signature": "x"}}, "DKIM"),
        ({"attachments": [{"content": "", "file_name": "a\r\nX: y"}]}, "filename"),
        ({"attachments": [{"content": "", "content_type": "a/b\r\nX: y"}]}, "content_type"),
        ({"attachments": [{"content": "?"}]}, "attachments.0.content"),
        ({"text": "a\0b"}, "text"),
        ({"to": ["nobody"]}, "to"),
        ({"to": []}, "to"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_is_wrong_is_named(person: People, body: dict[str, Any], where: str) -> None:
    anna = person()
    answer = anna.refused(**({"to": [anna.address], "text": "x"} | body))
    assert answer.status == 422
    assert where in answer.json["detail"]
    assert anna.octets("INBOX") == anna.octets("Sent") == []


def test_recipients_that_are_none(person: People) -> None:
    anna = person()
    answer = anna.refused(to=[anna.address, "nobody-here@mail.test"], text="x")
    assert (answer.status, answer.code) == (422, "unknown_recipient")
    assert "nobody-here@mail.test" in answer.json["detail"]
    assert anna.refused(to=["x@elsewhere.example"], text="x").code == "no_route"
    assert anna.octets("Sent") == []


def test_too_many_recipients(person: People) -> None:
    anna = person()
    answer = anna.refused(to=[f"x{n}@mail.test" for n in range(200)], text="x")
    assert answer.status == 422
    assert "recipients at most" in answer.json["detail"]


def test_lists(gateway: Gateway, person: People) -> None:
    anna, bob = person(), person()
    gateway.run("list", "add", "send", "block", bob.address, "--inbox", anna.address)
    answer = anna.refused(to=[bob.address], text="x")
    assert (answer.status, answer.code) == (403, "blocked")
    assert bob.address in answer.json["detail"]


def test_rates(gateway: Gateway, person: People) -> None:
    anna = person()
    gateway.run("inbox", "set", anna.address, "--per-hour", "2")
    anna.send(to=[anna.address], text="1")
    anna.send(to=[anna.address], text="2")
    answer = anna.refused(to=[anna.address], text="3")
    assert (answer.status, answer.code) == (429, "send_limit")
    assert answer.headers["retry-after"] == "60"


def test_quota(gateway: Gateway, person: People) -> None:
    anna, bob = person(), person()
    gateway.run("inbox", "set", anna.address, "--quota-messages", "1")
    anna.send(to=[bob.address], text="fills it")
    answer = anna.refused(to=[bob.address], text="x")
    assert (answer.status, answer.code) == (422, "over_quota")
    assert len(bob.octets("INBOX")) == 1


def test_a_request_with_a_key_is_carried_out_once(person: People) -> None:
    anna, bob = person(), person()
    body = {"to": [bob.address], "text": "once"}
    first = anna.api.ask("POST", f"{anna.path}/send", body, Idempotency_Key="k 1")
    again = anna.api.ask("POST", f"{anna.path}/send", body, Idempotency_Key="k 1")
    assert (first.status, again.status) == (201, 201)
    assert first.json == again.json
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    other = anna.api.ask("POST", f"{anna.path}/send", body | {"text": "other"}, Idempotency_Key="k 1")
    assert (other.status, other.code) == (409, "conflict")
    assert anna.api.ask("POST", f"{anna.path}/send", body, Idempotency_Key="x" * 256).status == 422
    assert len(bob.octets("INBOX")) == len(anna.octets("Sent")) == 1
    # The key is its sender's: another's is another one.
    his = bob.api.ask("POST", f"{bob.path}/send", body, Idempotency_Key="k 1")
    assert his.json["submission_id"] != first.json["submission_id"]


def test_an_inbox_is_made_once(api: Make) -> None:
    body = {"address": f"new{next(NUMBERS)}@mail.test"}
    first, again = [api().ask("POST", "/api/v1/inboxes", body, Idempotency_Key=body["address"]) for _ in range(2)]
    assert (first.status, first.body) == (201, again.body)
    assert api().ask("POST", "/api/v1/inboxes", body).code == "already_exists"


def test_what_was_refused_may_be_asked_again(gateway: Gateway, person: People) -> None:
    anna = person()
    address = f"later{next(NUMBERS)}@mail.test"
    body = {"to": [address], "text": "x"}
    assert anna.api.ask("POST", f"{anna.path}/send", body, Idempotency_Key="k").code == "unknown_recipient"
    gateway.inbox(address)
    assert anna.api.ask("POST", f"{anna.path}/send", body, Idempotency_Key="k").status == 201


def test_many_at_once_with_one_key(api: Make, person: People) -> None:
    anna, bob = person(), person()
    body = {"to": [bob.address], "text": "once", "attachments": [{"content": "QUJD" * 200_000}]}
    clients = [api(anna.key) for _ in range(6)]
    answers: list[Answer] = []

    def ask(client: Api) -> None:
        answers.append(client.ask("POST", f"{anna.path}/send", body, Idempotency_Key="k"))

    threads = [threading.Thread(target=ask, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [answer for answer in answers if answer.status == 201]
    assert good
    assert {answer.json["submission_id"] for answer in good} == {good[0].json["submission_id"]}
    assert all((answer.status, answer.headers["retry-after"]) == (409, "1") for answer in answers if answer not in good)
    assert len(bob.octets("INBOX")) == len(anna.octets("Sent")) == 1


def form(boundary: str, message: str, *files: tuple[str, bytes]) -> bytes:
    parts = [f'--{boundary}\r\nContent-Disposition: form-data; name="message"\r\n\r\n{message}\r\n'.encode()]
    for name, octets in files:
        head = f'Content-Disposition: form-data; name="file"; filename="{name}"\r\nContent-Type: text/x-one'
        parts.append(f"--{boundary}\r\n{head}\r\n\r\n".encode() + octets + b"\r\n")
    return b"".join(parts) + f"--{boundary}--\r\n".encode()


def test_files_of_a_form(person: People) -> None:
    anna = person()
    message = json.dumps({"to": [anna.address], "text": "x", "attachments": [{"file_name": "0", "content": "QUJD"}]})
    files = (("ä.txt", bytes(range(256)) * 5000), ("b.txt", b""))
    answers = [
        anna.api.ask(
            "POST", f"{anna.path}/send", octets=form(boundary, message, *files), Idempotency_Key="f",
            Content_Type=f"multipart/form-data; boundary={boundary}",
        )
        for boundary in ("one", "two")
    ]  # fmt: skip
    assert (answers[0].status, answers[0].body) == (201, answers[1].body)
    (got,) = anna.mail("INBOX")
    found = [(part.get_filename(), part.get_content_type()) for part in got.iter_attachments()]
    assert found == [("0", "application/octet-stream"), ("ä.txt", "text/x-one"), ("b.txt", "text/x-one")]
    assert list(got.iter_attachments())[1].get_payload(decode=True) == files[0][1]


@pytest.mark.parametrize(
    ("octets", "status"),
    [
        (form("one", "{"), 422), (form("one", "[]"), 422), (form("one", '{"attachments": 1}'), 422),
        (form("one", "{}").replace(b'"message"', b'"other"'), 422), (form("one", "{}").replace(b"--one--", b""), 422),
        (b"no form", 400), (form("one", '{"unknown": 1}'), 422),
    ],
)  # fmt: skip
def test_forms_that_are_none(person: People, octets: bytes, status: int) -> None:
    anna = person()
    kind = "multipart/form-data; boundary=one"
    answer = anna.api.ask("POST", f"{anna.path}/send", octets=octets, Content_Type=kind)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert anna.octets("Sent") == []


def test_an_address_that_is_not_ascii(gateway: Gateway, person: People) -> None:
    anna, bob = person(), person()
    other = f"grün{next(NUMBERS)}@mail.test"
    gateway.run("address", "add", other, "--inbox", bob.address)
    anna.send(to=[f"Grün <{other}>"], subject="für dich", text="x")
    (octets,) = bob.octets("INBOX")
    assert f"<{other}>".encode() in octets


def test_the_same_rules_as_by_smtp(gateway: Gateway, person: People) -> None:
    """One counter for both ways."""
    anna = person()
    gateway.run("inbox", "set", anna.address, "--per-hour", "1")
    anna.send(to=[anna.address], text="1")
    with gateway.smtp(anna.address, anna.key) as client, pytest.raises(smtplib.SMTPResponseException) as refused:
        client.sendmail(anna.address, [anna.address], f"From: {anna.address}\r\nSubject: 2\r\n\r\nx\r\n")
    assert refused.value.smtp_code == 451
