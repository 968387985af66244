"""Listening to inboxes over HTTP on the real process, beside IMAP clients."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.api import Api
from tests.support.gateway import Gateway

from .sse import Listener

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""
Make = Callable[..., Api]

MAIL = b"From: Zoe <zoe@far.test>\r\nTo: anna@mail.test\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nCode 4711\r\n"


def events_of(address: str) -> str:
    return f"/api/v1/inboxes/{address}/events"


def put(gateway: Gateway, address: str, key: str, mail: bytes = MAIL, mailbox: str = "INBOX") -> None:
    client = gateway.imap(address, key)
    assert client.append(mailbox, "", "", mail)[0] == "OK"  # type: ignore[arg-type]
    client.logout()


def test_a_listener_hears_what_an_imap_client_does(gateway: Gateway) -> None:
    address, key = gateway.inbox("one@mail.test")
    with Listener(gateway, events_of(address), key) as listener:
        assert listener.headers["content-type"].startswith("text/event-stream")
        client = gateway.imap(address, key)
        client.append("INBOX", "", "", MAIL)  # type: ignore[arg-type]
        told = listener.one()
        assert told.type == "message.received"
        assert (told.event["inbox"]["address"], told.data["subject"]) == (address, "Grüße")
        assert told.data["from"] == [{"name": "Zoe", "address": "zoe@far.test"}]
        assert (told.data["mailbox"]["name"], told.data["size"]) == ("INBOX", len(MAIL))
        client.select("INBOX")
        uid = str(told.data["uid"])
        client.uid("STORE", uid, "+FLAGS", "(\\Seen $Done)")
        flags = listener.one()
        assert flags.data["flags"] == ["\\Seen", "$Done"]
        client.uid("MOVE", uid, "Trash")
        moved = listener.one()
        assert moved.type == "message.moved"
        assert (moved.data["message"], moved.data["from_mailbox"]["name"]) == (told.data["message"], "INBOX")
        client.create("Work")
        assert listener.one().type == "mailbox.created"
        client.rename("Work", "Job")
        (renamed,) = listener.some(1)
        assert (renamed.type, renamed.data["from"], renamed.data["to"]) == ("mailbox.renamed", "Work", "Job")
        client.delete("Job")
        (deleted,) = listener.some(1)
        assert deleted.data["mailbox"] == {key: renamed.data["mailbox"][key] for key in ("id", "name")}
        client.logout()


def test_idle_and_a_listener_see_the_same(gateway: Gateway) -> None:
    address, key = gateway.inbox("idle@mail.test")
    idle = gateway.imap(address, key)
    idle.select("INBOX")
    idle.send(b"a IDLE\r\n")
    assert idle.readline().startswith(b"+")
    with Listener(gateway, events_of(address), key) as listener:
        put(gateway, address, key)
        told = listener.one()
        assert told.data["uid"] == 1
        assert idle.readline() == b"* 1 EXISTS\r\n"
    idle.send(b"DONE\r\n")
    idle.shutdown()


def test_who_comes_back_misses_nothing(gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("back@mail.test")
    cursor = api(key).get(f"/api/v1/inboxes/{address}")["cursor"]
    with Listener(gateway, events_of(address), key) as listener:
        put(gateway, address, key)
        put(gateway, address, key)
        first, second = listener.some(2)
    put(gateway, address, key)
    with Listener(gateway, events_of(address), key, first.id) as listener:
        again, third = listener.some(2)
        assert (again.id, again.text) == (second.id, second.text)
    with Listener(gateway, f"{events_of(address)}?cursor={cursor}", key) as listener:
        assert [each.text for each in listener.some(3)] == [first.text, second.text, third.text]
    page = api(key).get(f"{events_of(address)}/log?cursor={cursor}&limit=2")
    assert ([each["id"] for each in page["items"]], page["more"]) == ([first.id, second.id], True)
    rest = api(key).get(f"{events_of(address)}/log?cursor={page['next']}&limit=2")
    assert ([each["id"] for each in rest["items"]], rest["more"]) == ([third.id], False)


def test_types_and_what_a_key_may_not_read(gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("types@mail.test")
    less = gateway.operate("key.create", inbox=address, permissions=["message_read", "inbox_read"])["key"]
    with (
        Listener(gateway, f"{events_of(address)}?types=message.deleted,mailbox.created", key) as some,
        Listener(gateway, events_of(address), less) as careful,
    ):
        put(gateway, address, key, mailbox="Spam")
        put(gateway, address, key, mailbox="Trash")
        put(gateway, address, key, mailbox="Sent")
        client = gateway.imap(address, key)
        client.create("New")
        client.logout()
        assert some.one().type == "mailbox.created"
        assert [each.type for each in careful.some(2)] == ["message.added", "mailbox.created"]
    assert api(key).ask("GET", f"{events_of(address)}?types=message.read").code == "invalid"
    nothing = gateway.operate("key.create", inbox=address, permissions=["inbox_read"])["key"]
    assert api(nothing).ask("GET", events_of(address)).code == "forbidden"


@pytest.mark.parametrize("cursor", ["x", "1.2.3", "a" * 20_000])
def test_what_is_no_cursor(gateway: Gateway, api: Make, cursor: str) -> None:
    for path in (events_of(gateway.address), "/api/v1/events", f"{events_of(gateway.address)}/log"):
        assert api().ask("GET", f"{path}?cursor={cursor}").code == "invalid"


def test_a_cursor_of_another_epoch_is_reset(gateway: Gateway) -> None:
    address, key = gateway.inbox("epoch@mail.test")
    with Listener(gateway, events_of(address), key, "0123456789abcdef.5") as listener:
        reset = listener.one()
        assert reset.type == "reset"
    with Listener(gateway, events_of(address), key, reset.id) as listener:
        put(gateway, address, key)
        told = listener.one()
        assert told.type == "message.received"


def test_two_tenants(gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("tenant@mail.test")
    gateway.operate("pod.add", name="other")
    gateway.operate("domain.add", name="other.test", pod="other")
    other, other_key = gateway.inbox("anna@other.test")
    for path in (events_of(other), f"{events_of(other)}/log"):
        assert api(key).ask("GET", path).code == "not_found"
    assert api(key).ask("POST", f"/api/v1/inboxes/{other}/wait-for", {"timeout": 0}).code == "not_found"
    pod_key = gateway.operate("key.create", pod="other", permissions=["read"])["key"]
    with (
        Listener(gateway, "/api/v1/events", pod_key) as theirs,
        Listener(gateway, "/api/v1/events", key) as ours,
    ):
        put(gateway, other, other_key)
        put(gateway, address, key)
        told, mine = theirs.one(), ours.one()
        assert told.event["inbox"]["address"] == other
        assert mine.event["inbox"]["address"] == address


def test_all_inboxes_also_new_ones_and_back_to_them(gateway: Gateway) -> None:
    gateway.operate("pod.add", name="many")
    gateway.operate("domain.add", name="many.test", pod="many")
    key = gateway.operate("key.create", pod="many", permissions=["read"])["key"]
    boxes = [gateway.inbox(f"{name}@many.test") for name in "ab"]
    with Listener(gateway, "/api/v1/events", key) as listener:
        put(gateway, *boxes[0])
        first = listener.one()
        new = gateway.inbox("c@many.test")
        put(gateway, *new)
        told = [each for each in listener.some(6) if each.type == "message.received"]
        assert [each.event["inbox"]["address"] for each in told] == ["c@many.test"]
    put(gateway, *boxes[1])
    with Listener(gateway, "/api/v1/events?types=message.received", key, first.id) as listener:
        told = [(each.type, each.event["inbox"]["address"]) for each in listener.some(2)]
        # the cursor is older than the third inbox, and says nothing of it
        assert sorted(told) == [("message.received", "b@many.test"), ("reset", "c@many.test")]


def test_a_revoked_key_ends_its_streams(gateway: Gateway) -> None:
    address, key = gateway.inbox("revoked@mail.test")
    with (
        Listener(gateway, events_of(address), key) as one,
        Listener(gateway, "/api/v1/events", key) as every,
        ThreadPoolExecutor() as threads,
    ):
        waiting = threads.submit(waited, gateway, address, key)
        gateway.run("key", "revoke", key)
        for listener in (one, every):
            end = listener.one()
            assert (end.type, end.text) == ("end", "The key was revoked")
            assert listener.next() is None
        assert waiting.result() in {401}


def waited(gateway: Gateway, address: str, key: str) -> int:
    with Api(gateway, key) as api:
        return api.ask("POST", f"/api/v1/inboxes/{address}/wait-for", {"timeout": 50}).status


def test_an_expired_key_and_a_deleted_inbox_end_theirs(gateway: Gateway, api: Make) -> None:
    address, _ = gateway.inbox("ends@mail.test")
    made = api().post("/api/v1/keys", {"inbox": address, "expires_at": int(time.time()) + 2})
    with Listener(gateway, events_of(address), made["key"]) as short:
        end = short.one()
        assert end.text == "The key has expired"
    assert api(made["key"]).ask("GET", "/api/v1/me").code == "unauthorized"
    admin = api()
    with Listener(gateway, events_of(address), admin.key) as listener:
        admin.delete(f"/api/v1/inboxes/{address}")
        end = listener.one()
        assert end.type == "end"


def test_sent_mail_is_told(gateway: Gateway) -> None:
    address, key = gateway.inbox("sender@mail.test")
    other, other_key = gateway.inbox("receiver@mail.test")
    types = "?types=message.sent,message.delivered,message.received"
    with (
        Listener(gateway, events_of(address) + types, key) as sender,
        Listener(gateway, events_of(other) + types, other_key) as receiver,
    ):
        smtp = gateway.smtp(address, key)
        mail = f"From: <{address}>\r\nSubject: hello\r\nMessage-ID: <a@b>\r\n\r\nx\r\n"
        smtp.sendmail(address, [other], mail.encode())
        smtp.quit()
        sent, delivered = sender.some(2)
        assert (sent.type, sent.data["recipients"], sent.data["message_id"]) == ("message.sent", [other], "<a@b>")
        assert (delivered.type, delivered.data["recipient"]) == ("message.delivered", other)
        assert delivered.data["submission"] == sent.data["submission"]
        received = receiver.one()
        assert received.data["subject"] == "hello"


def test_a_listener_that_reads_nothing_costs_the_others_nothing(gateway: Gateway) -> None:
    address, key = gateway.inbox("slow@mail.test")
    with Listener(gateway, events_of(address), key), Listener(gateway, events_of(address), key) as listener:
        client = gateway.imap(address, key)
        for number in range(120):
            client.append("INBOX", "", "", b"Subject: " + b"x" * 4000 + b"\r\n\r\n%d\r\n" % number)  # type: ignore[arg-type]
        told = listener.some(120)
        assert [each.data["uid"] for each in told] == list(range(1, 121))
        client.logout()


def test_a_stop_ends_listeners(gateway: Gateway) -> None:
    """The module's gateway is stopped with this one open, and must stop by itself."""
    _KEPT.append(Listener(gateway, events_of(gateway.address), gateway.key))


_KEPT: list[Listener] = []
