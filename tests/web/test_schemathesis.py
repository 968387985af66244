"""schemathesis on the OpenAPI documents of the real process: values that fit and values that don't, on each operation.

No answer is 500, each has a status, a content type and a body that the document says, and what does not fit is refused.
"""

from __future__ import annotations

from email.policy import SMTP
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers.process import free_port
from tests.support.api import Api
from tests.support.gateway import Gateway, running
from tests.support.soak import SOAK, examples

from .conftest import admin_key
from .mail import letter, with_files
from .samples import DOCUMENTS

SETTINGS = """
[web]
requests_per_second = 10000
request_burst = 50000
[limits]
max_message_size = 2000000
"""


def world(gateway: Gateway, api: Api, number: int) -> tuple[dict[str, list[Any]], dict[str, dict[str, list[Any]]]]:
    """One of each thing, and what parameters and fields may be that nobody could guess; the latter by paths."""
    address, _ = gateway.inbox(f"world{number}@mail.test")
    path = f"/api/v1/inboxes/{address}"
    for octets in (letter("First"), with_files().as_bytes(policy=SMTP)):
        sent = api.ask("POST", f"{path}/messages", octets=octets, Content_Type="message/rfc822")
        assert sent.status == 201
    message = sent.json
    box = api.post(f"{path}/mailboxes", {"name": "Here"})["id"]
    draft = api.post(f"{path}/drafts", {"to": address, "subject": "Draft", "text": "x"})
    submission = api.post(f"{path}/send", {"to": [address], "subject": "Sent", "text": "x"})["submission_id"]
    key = api.post("/api/v1/keys", {"inbox": address, "name": "spare"})["id"]
    host, port = "127.0.0.1", free_port()
    nowhere = {"host": host, "port": port, "secret": "x"}
    connector = api.post("/api/v1/connectors", {
        "name": f"account{number}", "address": f"me@corp{number}.example", "inbox": address,
        "options": {"imap": nowhere, "smtp": nowhere},
    })["id"]  # fmt: skip
    domain = f"world{number}.test"
    gateway.operate("domain.add", name=domain, pod="default")
    url = f"https://{host}:{port}/hook"
    webhook = api.post("/api/v1/webhooks", {"url": url, "inbox": address})["id"]
    theirs = "/agentmail/v0"
    listed = api.get(f"{theirs}/inboxes/{address}/messages")["messages"]
    thread = api.get(f"{theirs}/inboxes/{address}/threads")["threads"][0]["thread_id"]
    files = next(one for one in listed if one.get("attachments"))
    attachment = files["attachments"][0]["attachment_id"]
    place = api.get(f"{theirs}/inboxes/{address}/messages/{files['message_id']}/attachments/{attachment}")
    emails = api.get(f"/mailslurp/inboxes/{address}/emails")
    email = next(one for one in emails if one.get("attachments"))
    people = [address, f"Ann <{address}>"]
    values: dict[str, list[Any]] = {
        "inbox": [address], "message": [message["id"]], "mailbox": [box, "INBOX"], "thread": [message["thread_id"]],
        "part": [message["attachments"][0]["part"]], "key": [key], "domain": [domain], "submission": [submission],
        "draft": [draft["id"]], "webhook": [webhook], "connector": [connector], "pod": ["default"],
        "ids": [message["id"], "M0"], "reply_to_message": [message["id"]], "source": ["INBOX"],
        "inboxId": [address], "emailId": [email["id"]], "attachmentId": [email["attachments"][0]],
        "inbox_id": [address], "message_id": [files["message_id"]], "thread_id": [thread], "draft_id": [draft["id"]],
        "api_key_id": [key], "domain_id": [domain], "webhook_id": [webhook], "attachment_id": [attachment],
        "pod_id": ["default"], "message_ids": [files["message_id"], "x"], "inbox_ids": [address],
        "ticket": [urlsplit(place["download_url"]).path.rpartition("/")[2]],
        "seqSet": ["1"], "uidSet": ["1:*"], "messages": ["1", "*"], "labels": ["later"], "add_labels": ["later"],
        "remove_labels": ["work"], "entry": ["bad@else.test"], "provider": [None],
        "recipient": [address], "sender": [address], "from": [address], "reply_to": people, "replyTo": people,
        "headers": [{}, {"X-Note": "yes"}], "attachments": [{"content": "aGk="}], "text": ["Some words"],
        "to": people, "cc": people, "bcc": people,
        "host": [host], "imapHost": [host], "smtpHost": [host], "proxyHost": [host], "url": [url],
        "options": [{}, {"imap": nowhere}, {"smtp": nowhere}, {"imap": nowhere, "sync": {"mode": "pull"}}],
        "address": [f"new{number}@mail.test", "you@corp.example"], "emailAddress": [address, "you@corp.example"],
    }  # fmt: skip
    return values, {"/mailslurp/connectors": {"id": [connector]}, "/mailslurp/sent": {"id": [submission]}}


NUMBERS = pytest.mark.parametrize("number", [1, 2], ids=["native and MailSlurp's", "AgentMail's"])


@NUMBERS
def test_every_operation_keeps_its_word(gateway: Gateway, number: int) -> None:
    """In the suite a few values an operation, always the same ones."""
    hold(gateway, number, examples(3))


@pytest.mark.skipif(not SOAK, reason="make soak")
@NUMBERS
def test_every_operation_keeps_its_word_on_postgresql(tmp_path: Path, postgresql_url: str, number: int) -> None:
    """Which takes no NUL, and knows its types better."""
    environ = {"GATEWAY_STORE__URL": postgresql_url}
    with running(Gateway(tmp_path, SETTINGS, environ=environ, readers=0, web=free_port())) as gateway:
        hold(gateway, number, examples(1))


def hold(gateway: Gateway, number: int, count: int) -> None:
    from .contract import Contract  # what it imports is a second's work, and nobody else's

    with Api(gateway, admin_key(gateway)) as client:
        document = client.get(DOCUMENTS[number - 1])
        contract = Contract(gateway, client.key, document, *world(gateway, client, number))
    try:
        for operation in contract.operations():
            contract.hold(operation, count)
    finally:
        contract.close()
    assert not contract.failures, "\n\n".join(contract.failures[:10])
    done = [label for label, statuses in contract.statuses.items() if min(statuses) < 300]
    assert len(done) > len(contract.statuses) * 0.7, sorted(contract.statuses.keys() - done)
