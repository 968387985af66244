"""AgentMail's SDK from PyPI, unchanged but for its base URL, against the real process with certificates checked."""

from __future__ import annotations

import base64
import imaplib
import os
import subprocess
import sys
from collections.abc import Callable

import pytest
from agentmail.core.api_error import ApiError
from agentmail.errors import ConflictError, NotFoundError, UnprocessableError, ValidationError
from agentmail.inboxes import CreateInboxRequest

from tests.support.api import Api
from tests.support.gateway import HOST, Gateway

from .agentmail_clients import SETTINGS as SETTINGS
from .agentmail_clients import Clients, Pair, fetched, put, selected
from .conftest import admin_key
from .mail import letter, with_files


def test_the_quick_start(sdk: Clients) -> None:
    client = sdk()
    inbox = client.inboxes.create(request=CreateInboxRequest(client_id="quick-start"))
    assert client.inboxes.create(request=CreateInboxRequest(client_id="quick-start")).inbox_id == inbox.inbox_id
    assert inbox.email == inbox.inbox_id
    sent = client.inboxes.messages.send(
        inbox.inbox_id, to=inbox.email, subject="Hello from AgentMail!", text="My first mail",
        html="<p>My first mail</p>", labels=["quick-start"],
    )
    copy = client.inboxes.messages.get(inbox.inbox_id, sent.message_id)
    assert copy.thread_id == sent.thread_id
    assert set(copy.labels) >= {"sent", "quick-start"}
    page = client.inboxes.messages.list(inbox.inbox_id)
    assert page.count == len(page.messages) == 2
    received = next(each for each in page.messages if "received" in each.labels)
    assert "unread" in received.labels
    whole = client.inboxes.messages.get(inbox.inbox_id, received.message_id)
    assert (whole.subject, whole.text, whole.html) == ("Hello from AgentMail!", "My first mail", "<p>My first mail</p>")
    assert whole.from_ == whole.to[0] == inbox.email
    reply = client.inboxes.messages.reply(inbox.inbox_id, received.message_id, text="Thanks!")
    thread = client.inboxes.threads.get(inbox.inbox_id, reply.thread_id)
    assert thread.message_count >= 3
    assert [each.thread_id for each in client.threads.list().threads if each.inbox_id == inbox.inbox_id] == [
        thread.thread_id
    ]
    assert inbox.inbox_id in {each.inbox_id for each in client.inboxes.list().inboxes}
    client.inboxes.delete(inbox.inbox_id)
    with pytest.raises(NotFoundError) as error:
        client.inboxes.get(inbox.inbox_id)
    assert error.value.body.name == "NotFoundError"
    assert error.value.body.code == "not_found"
    assert all([error.value.body.message, error.value.body.fix, error.value.body.docs])


def test_labels_are_flags_both_ways_and_at_once(gateway: Gateway, pair: Pair) -> None:
    client, inbox, _ = pair
    put(gateway, inbox, letter("Marked"))
    (message,) = client.inboxes.messages.list(inbox).messages
    assert message.labels == ["received", "unread"]
    with selected(gateway, inbox) as imap:
        imap.send(b"i1 IDLE\r\n")
        assert imap.readline().startswith(b"+")
        client.inboxes.messages.update(
            inbox, message.message_id, add_labels=["starred", "Follow-Up"], remove_labels="unread"
        )
        while b"FETCH" not in (told := imap.readline()):
            assert told.startswith(b"* ")
        assert {flag.decode() for flag in imaplib.ParseFlags(told)} >= {"\\Seen", "\\Flagged", "Follow-Up"}
        imap.send(b"DONE\r\n")
        assert imap.readline().startswith(b"i1 OK")
        imap.store("1", "-FLAGS", r"(\Seen Follow-Up)")
        imap.store("1", "+FLAGS", "(invoice)")
    assert client.inboxes.messages.get(inbox, message.message_id).labels == [
        "received", "starred", "unread", "invoice",
    ]  # fmt: skip
    assert [each.message_id for each in client.inboxes.messages.list(inbox, labels=["invoice", "unread"]).messages] == [
        message.message_id
    ]
    assert client.inboxes.messages.list(inbox, labels=["invoice", "sent"]).count == 0
    assert client.inboxes.messages.list(inbox, labels=["Follow-Up"]).messages == []


def test_trash_and_spam_by_label_move_there_and_back(gateway: Gateway, pair: Pair) -> None:
    client, inbox, other = pair
    messages = client.inboxes.messages
    put(gateway, inbox, letter("Unwanted"))
    (message,) = messages.list(inbox).messages
    sent = messages.send(inbox, to=[other], subject="Mine", text="x")
    for label, folder in (("trash", "Trash"), ("spam", "Spam")):
        with selected(gateway, inbox, folder) as imap:
            before = int(imap.select(folder)[1][0] or b"0")
            for each in (message.message_id, sent.message_id):
                assert label in messages.update(inbox, each, add_labels=[label]).labels
            imap.noop()
            assert imap.untagged_responses["EXISTS"][-1] == b"%d" % (before + 2)
        assert messages.list(inbox).messages == []
        assert {each.message_id for each in messages.list(inbox, labels=[label]).messages} == {
            message.message_id, sent.message_id,
        }  # fmt: skip
        assert messages.list(inbox, include_trash=True, include_spam=True).count == 2
        for each in (message.message_id, sent.message_id):
            messages.update(inbox, each, remove_labels=[label])
        assert {each.message_id: each.labels for each in messages.list(inbox).messages} == {
            message.message_id: ["received", "unread"], sent.message_id: ["sent"],
        }  # fmt: skip
    with selected(gateway, inbox) as imap:
        imap.copy("1", "Trash")
        imap.store("1", "+FLAGS", r"(\Deleted)")
        imap.expunge()
    assert messages.get(inbox, message.message_id).labels == ["received", "trash", "unread"]


@pytest.mark.parametrize("label", ["sent", "received", "draft", "blocked", "two words", "ümlaut", "a(b"])
def test_labels_that_nobody_can_set(gateway: Gateway, pair: Pair, label: str) -> None:
    client, inbox, _ = pair
    put(gateway, inbox, letter("Fixed"))
    (message,) = client.inboxes.messages.list(inbox).messages
    with pytest.raises(ValidationError) as error:
        client.inboxes.messages.update(inbox, message.message_id, add_labels=[label, "fine"])
    assert error.value.body.name == "ValidationError"
    assert client.inboxes.messages.get(inbox, message.message_id).labels == ["received", "unread"]


def test_many_at_once_and_for_good(gateway: Gateway, pair: Pair) -> None:
    client, inbox, _ = pair
    messages = client.inboxes.messages
    for number in range(3):
        put(gateway, inbox, letter(f"Number {number}"))
    ids = [each.message_id for each in messages.list(inbox).messages]
    found = messages.batch_get(inbox, message_ids=[*ids, "Mnone"])
    assert (found.limit, found.count) == (4, 3)
    assert [each.message_id for each in found.messages] == ids
    updated = messages.batch_update(
        inbox, message_ids=[*ids, "Mnone"], add_labels="read-by-bot", remove_labels="unread"
    )
    assert [(each.message_id, each.labels) for each in updated.updates] == [
        (each, ["received", "read-by-bot"]) for each in ids
    ]
    messages.delete(inbox, ids[0])
    with pytest.raises(NotFoundError):
        messages.get(inbox, ids[0])
    with pytest.raises(NotFoundError):
        messages.delete(inbox, ids[0])
    assert [each.message_id for each in messages.list(inbox, include_trash=True).messages] == ids[1:]


def test_pages_of_messages_and_threads(gateway: Gateway, pair: Pair) -> None:
    client, inbox, _ = pair
    for number in range(5):
        put(gateway, inbox, letter(f"Page {number}"))
    for rising in (False, True):
        seen, token = [], None
        while True:
            page = client.inboxes.messages.list(inbox, limit=2, page_token=token, ascending=rising)
            seen += [each.subject for each in page.messages]
            token = page.next_page_token
            if token is None:
                break
        assert seen == [f"Page {number}" for number in (range(5) if rising else range(4, -1, -1))]
    threads, token = [], None
    while True:
        pages = client.inboxes.threads.list(inbox, limit=2, page_token=token)
        threads += [each.subject for each in pages.threads]
        token = pages.next_page_token
        if token is None:
            break
    assert threads == [f"Page {number}" for number in range(4, -1, -1)]
    for bad in ("x", "W10", base64.b64encode(b'["a",1,2]').decode()):
        with pytest.raises(ApiError, match="page_token") as error:
            client.inboxes.messages.list(inbox, page_token=bad)
        assert error.value.status_code == 400


def test_search_and_filters(gateway: Gateway, pair: Pair) -> None:
    client, inbox, _ = pair
    put(gateway, inbox, letter("Invoice 17", "The zebra is paid\r\n", from_="Zoo <zoo@else.test>"))
    put(gateway, inbox, letter("Holiday", "Nothing striped\r\n"))
    assert [each.subject for each in client.inboxes.messages.search(inbox, q="zebra").messages] == ["Invoice 17"]
    assert [each.subject for each in client.inboxes.threads.search(inbox, q="zebra").threads] == ["Invoice 17"]
    assert [each.subject for each in client.inboxes.messages.list(inbox, from_=["zoo@else"]).messages] == ["Invoice 17"]
    both = client.inboxes.messages.list(inbox, subject=["Invoice", "17"])
    assert [each.subject for each in both.messages] == ["Invoice 17"]
    assert client.inboxes.messages.list(inbox, subject=["Invoice", "18"]).messages == []
    assert [each.subject for each in client.inboxes.threads.list(inbox, senders=["zoo@else"]).threads] == ["Invoice 17"]


def test_attachments_and_raw_by_urls_without_a_key(gateway: Gateway, pair: Pair) -> None:
    client, inbox, _ = pair
    octets = with_files().as_bytes().replace(b"\n", b"\r\n")
    put(gateway, inbox, octets)
    (message,) = client.inboxes.messages.list(inbox).messages
    assert message.attachments is not None
    names = [each.filename for each in message.attachments]
    assert names == ["große.bin", "table.csv"]
    place = client.inboxes.messages.get_attachment(inbox, message.message_id, message.attachments[1].attachment_id)
    got = fetched(gateway, place.download_url)
    assert (got.status_code, got.content.split()) == (200, [b"a,b", b"1,2"])
    raw = client.inboxes.messages.get_raw(inbox, message.message_id)
    assert fetched(gateway, raw.download_url).content == octets
    assert raw.size == len(octets)
    for bad in (place.download_url[:-2] + "xx", place.download_url + "é", place.download_url.rpartition(".")[0]):
        assert fetched(gateway, bad).status_code == 404
    thread = client.threads.get_attachment(message.thread_id, message.attachments[1].attachment_id)
    assert thread.filename == "table.csv"
    with pytest.raises(NotFoundError):
        client.inboxes.messages.get_attachment(inbox, message.message_id, "99")


def test_a_download_ends_with_its_key(gateway: Gateway, pair: Pair, sdk: Clients, api: Callable[..., Api]) -> None:
    client, inbox, _ = pair
    put(gateway, inbox, letter("Secret"))
    made = api().post("/api/v1/keys", {"inbox": inbox, "name": "short"})
    (message,) = client.inboxes.messages.list(inbox).messages
    url = sdk(made["key"]).inboxes.messages.get_raw(inbox, message.message_id).download_url
    assert fetched(gateway, url).status_code == 200
    api().delete(f"/api/v1/keys/{made['id']}")
    assert fetched(gateway, url).status_code == 404


def test_replies_and_forwards(gateway: Gateway, pair: Pair) -> None:
    client, inbox, other = pair
    messages = client.inboxes.messages
    messages.send(inbox, to=[other], cc=inbox, subject="Plan", text="What now?")
    (got,) = messages.list(other).messages
    answer = messages.reply_all(other, got.message_id, text="Just go.")
    back = next(each for each in messages.list(inbox).messages if each.subject == "Re: Plan")
    whole = messages.get(inbox, back.message_id)
    assert whole.extracted_text == "Just go."
    assert whole.text is not None
    assert "> What now?" in whole.text
    assert answer.thread_id == got.thread_id
    passed = messages.forward(
        other, got.message_id, to=inbox, text="See below",
        attachments=[{"filename": "a.txt", "content": base64.b64encode(b"words").decode()}],
    )
    copy = messages.get(other, passed.message_id)
    assert copy.subject == "Fwd: Plan"
    assert copy.attachments is not None
    assert [each.filename for each in copy.attachments] == ["a.txt"]
    with pytest.raises(ValidationError, match="by url"):
        messages.send(inbox, to=other, attachments=[{"url": "https://else.test/x"}])


def test_labels_of_what_is_sent(gateway: Gateway, pair: Pair) -> None:
    client, inbox, other = pair
    sent = client.inboxes.messages.send(inbox, to=other, text="x", labels=["starred", "unread", "Case"])
    assert client.inboxes.messages.get(inbox, sent.message_id).labels == ["sent", "starred", "unread", "Case"]
    with selected(gateway, inbox, "Sent") as imap:
        assert imap.search(None, "FLAGGED UNSEEN KEYWORD Case")[1] == [b"1"]
    for label in ("trash", "spam", "received", "a b"):
        with pytest.raises(ValidationError):
            client.inboxes.messages.send(inbox, to=other, text="x", labels=[label])
    assert client.inboxes.messages.list(other).count == 1


def test_a_send_is_repeated_once(gateway: Gateway, pair: Pair) -> None:
    client, inbox, other = pair
    messages = client.inboxes.messages
    first = messages.send(inbox, to=other, subject="Once", text="x", idempotency_key="k1")
    again = messages.send(inbox, to=other, subject="Once", text="x", idempotency_key="k1")
    assert first == again
    assert messages.list(other).count == 1
    with pytest.raises(ConflictError) as error:
        messages.send(inbox, to=other, subject="Twice", text="x", idempotency_key="k1")
    assert error.value.body.name == "ConflictError"


def test_labels_of_threads(gateway: Gateway, pair: Pair) -> None:
    client, inbox, _ = pair
    for number in range(100):
        reply = {"in_reply_to": "<root@else.test>"} if number else {}
        put(gateway, inbox, letter("Long", message_id=f"<{number or 'root'}@else.test>", **reply))
        if number == 1:
            (thread,) = client.inboxes.threads.list(inbox).threads
            done = client.inboxes.threads.update(
                inbox, thread.thread_id, add_labels=["seen-by-all"], remove_labels=["unread"]
            )
            assert done.labels == ["received", "seen-by-all"]
    with pytest.raises(UnprocessableError):
        client.inboxes.threads.update(inbox, thread.thread_id, add_labels=["more"])
    first = client.inboxes.threads.get(inbox, thread.thread_id, limit=30)
    assert (first.message_count, first.count) == (100, 30)
    rest = client.inboxes.threads.get(inbox, thread.thread_id, limit=100, page_token=first.next_page_token)
    assert rest.count == 70
    client.inboxes.threads.delete(inbox, thread.thread_id)
    assert client.inboxes.messages.list(inbox, include_trash=True).messages == []


def test_metadata_of_inboxes(sdk: Clients) -> None:
    client = sdk()
    inbox = client.inboxes.create(
        request=CreateInboxRequest(username="meta", display_name="Meta Mail", metadata={"plan": "pro", "seats": 3})
    )
    assert inbox.metadata == {"plan": "pro", "seats": 3}
    changed = client.inboxes.update("meta@mail.test", display_name="New", metadata={"plan": None, "paid": True})
    assert (changed.display_name, changed.metadata) == ("New", {"seats": 3, "paid": True})
    assert [each.inbox_id for each in client.inboxes.search(q="new").inboxes] == ["meta@mail.test"]
    with pytest.raises(ApiError, match="409"):
        client.inboxes.create(request=CreateInboxRequest(username="meta", domain="mail.test"))
    with pytest.raises(ApiError, match="paused"):
        client.inboxes.update("meta@mail.test", status="paused")


def test_without_a_valid_key(sdk: Clients) -> None:
    with pytest.raises(ApiError) as error:
        sdk("gw_nonsense").inboxes.list()
    assert error.value.status_code == 401
    assert error.value.body["name"] == "UnauthorizedError"
    assert error.value.body["message"]


PROGRAM = """
import os
from agentmail import AgentMail
from agentmail.environment import AgentMailEnvironment

client = AgentMail(environment=AgentMailEnvironment(http=os.environ["BASE"], websockets=""))
inbox = client.inboxes.create()
client.inboxes.messages.send(inbox.inbox_id, to=inbox.email, subject="Hello", text="x")
print(client.inboxes.messages.list(inbox.inbox_id).count)
"""


def test_a_program_with_another_base_url_and_nothing_else(gateway: Gateway) -> None:
    environment = os.environ | {
        "BASE": f"https://{HOST}:{gateway.web}/agentmail", "AGENTMAIL_API_KEY": admin_key(gateway),
    }  # fmt: skip
    for trusted, wanted in ((True, "2\n"), (False, "")):
        given = environment | ({"SSL_CERT_FILE": str(gateway.ca_file)} if trusted else {})
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=given, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout == wanted, done.stderr
        assert trusted or "CERTIFICATE_VERIFY_FAILED" in done.stderr
