"""Connectors over HTTP on the real process, with Debian's Dovecot as the account elsewhere."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable

import pytest

from gateway.model.permissions import BUNDLES
from tests.clients.test_connector_sync import at, put
from tests.servers.dovecot import Dovecot
from tests.support.api import Api
from tests.support.gateway import Gateway

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""
Make = Callable[..., Api]
MESSAGE = b"From: a@b.test\r\nSubject: by hand\r\nMessage-ID: <hand@b.test>\r\n\r\nbody\r\n"


def fresh() -> str:
    return f"{uuid.uuid4().hex[:8]}@elsewhere.test"


def options(dovecot: Dovecot, **more: object) -> dict[str, dict[str, object]]:
    return {"imap": {
        "host": "localhost", "port": dovecot.imaps, "ca": dovecot.ca.read_text(), "secret": dovecot.password,
        "allow_private": True, **more,
    }}  # fmt: skip


@pytest.fixture
def account(gateway: Gateway, api: Make, dovecot: Dovecot) -> tuple[Api, dict[str, object]]:
    """A client with an administrator's key, and a connector that is switched off."""
    client, address = api(), fresh()
    made = client.post("/api/v1/connectors", {
        "name": address, "address": address, "inbox": gateway.address, "options": options(dovecot), "enabled": False,
    })  # fmt: skip
    return client, made


@pytest.fixture
def pod(gateway: Gateway, api: Make) -> tuple[Api, str]:
    """A key of another pod with all permissions, and an inbox there."""
    name = f"pod{uuid.uuid4().hex[:8]}"
    gateway.operate("pod.add", name=name)
    gateway.operate("domain.add", name=f"{name}.test", pod=name)
    gateway.operate(
        "inbox.add", address=f"me@{name}.test", sent_copy="auto", quota_storage=0, quota_messages=0, quota_mailboxes=0
    )
    key = gateway.operate("key.create", pod=name, permissions=list(BUNDLES))["key"]
    return api(key), f"me@{name}.test"


def test_a_connector_from_its_first_day_to_its_last(
    gateway: Gateway, account: tuple[Api, dict[str, object]]
) -> None:
    client, made = account
    path = f"/api/v1/connectors/{made['id']}"
    assert (made["state"], made["provider"], made["inbox"]) == ("disabled", "custom", gateway.address)
    shown = client.patch(path, {"options": {"imap": {"secret": "correct horse"}}})
    assert "correct horse" not in json.dumps([shown, client.get(path)])
    assert shown["options"]["imap"]["secret"] == "set"
    assert "secret" not in shown["given"]["imap"]
    listed = client.get("/api/v1/connectors?limit=200")["items"]
    assert made["id"] in {one["id"] for one in listed}
    changed = client.patch(path, {"name": f"work {made['id'][:8]}", "options": {"sync": {"interval": 9}}})  # type: ignore[index]
    assert changed["options"]["sync"]["interval"] == 9
    back = client.patch(path, {"unset": ["sync.interval"]})
    assert back["options"]["sync"]["interval"] == 5
    assert client.post(f"{path}/enable")["enabled"]
    assert client.post(f"{path}/disable")["state"] == "disabled"
    assert client.post(f"{path}/reset")["folders"] == 0
    assert client.delete(path) == {"waiting": 0, "fallback": False}
    assert client.ask("GET", path).code == "not_found"


def test_tests_tell_each_step(dovecot: Dovecot, account: tuple[Api, dict[str, object]]) -> None:
    client, made = account
    [probe] = client.post(f"/api/v1/connectors/{made['id']}/test", {"side": "imap"})
    assert probe["success"]
    assert [step["name"] for step in probe["steps"]][:4] == ["dns", "connect", "tls", "greeting"]
    [probe] = client.post(f"/api/v1/connectors/{made['id']}/test", {"options": {"imap": {"secret": "wrong"}}})
    assert (probe["success"], probe["failure"]) == (False, "auth_rejected")
    unknown_ca = options(dovecot, secret="correct horse")
    del unknown_ca["imap"]["ca"]
    [probe] = client.post("/api/v1/connectors/test", {"address": fresh(), "options": unknown_ca})
    assert (probe["success"], probe["failure"]) == (False, "tls_verify")
    assert "correct horse" not in json.dumps(probe)


def test_a_sync_tells_its_progress(
    gateway: Gateway, dovecot: Dovecot, account: tuple[Api, dict[str, object]]
) -> None:
    client, made = account
    path = f"/api/v1/connectors/{made['id']}"
    assert client.ask("POST", f"{path}/sync", {}, Accept="text/event-stream").code == "invalid"  # it is off
    client.post(f"{path}/enable")
    with at(dovecot, str(made["address"])) as imap:
        put(imap, "INBOX", "one")
    done = client.post(f"{path}/sync", {"logs": True})
    assert done["success"], done
    assert any("CAPABILITY IMAP4rev1" in line for line in done["logs"])
    with at(dovecot, str(made["address"])) as imap:
        put(imap, "INBOX", "two")
    answer = client.ask("POST", f"{path}/sync", {}, Accept="text/event-stream")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = [block.split("\n") for block in answer.body.decode().strip().split("\n\n")]
    assert events[-1][0] == "event: result"
    assert json.loads(events[-1][1].removeprefix("data: "))["success"]
    answer = client.ask("POST", f"{path}/test", {}, Accept="application/x-ndjson")
    *steps, end = [json.loads(line) for line in answer.body.decode().splitlines()]
    assert [step["progress"]["side"] for step in steps] == ["imap"] * len(steps)
    told = [{**step, "side": "imap"} for step in end["result"][0]["steps"]]
    assert [step["progress"] for step in steps] == told, "each step as it was done, and all of them at the end"
    answer = client.ask("POST", f"{path}/sync", {"folder": "nowhere"}, Accept="application/x-ndjson")
    last = json.loads(answer.body.decode().splitlines()[-1])
    assert last["result"]["failure"] == "folder_missing"
    found = client.get(f"/api/v1/connectors/events?connector={made['id']}&kind=sync")["items"]
    assert found
    one = client.get(f"/api/v1/connectors/events/{found[0]['id']}")
    assert one["log"]
    assert client.post("/api/v1/connectors/events/seen", {"ids": [one["id"]]}) == {"events": 1}
    assert client.get(f"/api/v1/connectors/events/{one['id']}")["seen"]


def by_hand(client: Api, made: dict[str, object], **imap: object) -> str:
    """Switch it on for actions alone: nothing is synced by itself."""
    path = f"/api/v1/connectors/{made['id']}"
    client.patch(path, {"options": {"sync": {"enabled": False}, "imap": imap}})
    client.post(f"{path}/enable")
    return f"{path}/remote"


def test_by_hand_in_the_account(dovecot: Dovecot, account: tuple[Api, dict[str, object]]) -> None:
    client, made = account
    path = by_hand(client, made)
    assert {one["mailbox"] for one in client.get(f"{path}/mailboxes")} >= {"INBOX", "Sent", "Trash"}
    filed = client.ask("POST", f"{path}/append?mailbox=INBOX&flag=flagged", octets=MESSAGE)
    assert (filed.status, filed.json["size"]) == (201, len(MESSAGE))
    assert client.get(f"{path}/status?mailbox=INBOX")["messages"] == 1
    found = client.post(f"{path}/search", {"from": "a@b.test"})
    assert (found["total"], found["messages"][0]["subject"]) == (1, "by hand")
    assert found["messages"][0]["from"] == "a@b.test"
    raw = client.ask("GET", f"{path}/download?mailbox=INBOX&message=1")
    assert (raw.status, raw.body) == (200, MESSAGE)
    assert raw.headers["content-disposition"].startswith("attachment")
    part = client.ask("GET", f"{path}/download?mailbox=INBOX&message=1&part=1")
    assert part.body == b"body\r\n"
    flags = client.post(f"{path}/flags", {"mailbox": "INBOX", "messages": "1", "how": "add", "flags": ["seen"]})
    assert "\\Seen" in flags["messages"][0]["flags"]
    assert client.ask("POST", f"{path}/mailboxes", {"mailbox": "Lists"}).status == 201
    assert client.post(f"{path}/rename", {"mailbox": "Lists", "to": "News"})["mailbox"] == "News"
    copied = client.post(f"{path}/copy", {"mailbox": "INBOX", "messages": "1", "to": "News"})
    assert copied["to_uids"]
    moved = client.post(f"{path}/move", {"mailbox": "INBOX", "messages": "*", "to": "News"})
    assert not moved["left_deleted"]
    gone = client.post(f"{path}/delete", {"mailbox": "News", "messages": "1"})
    assert gone["to"] == "Trash"
    assert client.post(f"{path}/delete-mailbox", {"mailbox": "News"})["mailbox"] == "News"
    assert client.ask("GET", f"{path}/status?mailbox=News").code == "not_found"
    stale = {"mailbox": "INBOX", "messages": "1", "to": "Sent", "uidvalidity": 1}
    assert client.ask("POST", f"{path}/copy", stale).code == "conflict"


def test_a_refused_login_there_is_no_question_of_the_key(account: tuple[Api, dict[str, object]]) -> None:
    client, made = account
    answer = client.ask("GET", f"{by_hand(client, made, secret='wrong')}/mailboxes")
    assert (answer.status, answer.code) == (409, "conflict")
    assert "disabled" not in answer.json["detail"]


def test_another_pod_finds_nothing(account: tuple[Api, dict[str, object]], pod: tuple[Api, str]) -> None:
    _, made = account
    stranger, _ = pod
    path = f"/api/v1/connectors/{made['id']}"
    asked: list[tuple[str, str, object]] = [
        ("GET", path, None), ("PATCH", path, {}), ("DELETE", path, None), ("POST", f"{path}/enable", None),
        ("POST", f"{path}/disable", None), ("POST", f"{path}/reset", None), ("POST", f"{path}/test", {}),
        ("POST", f"{path}/sync", {}), ("POST", f"{path}/login", {"app": "x"}),
        ("GET", f"/api/v1/connectors/events?connector={made['id']}", None),
        ("GET", f"/api/v1/connectors/{made['name']}", None),
        ("GET", f"{path}/remote/mailboxes", None), ("GET", f"{path}/remote/status?mailbox=INBOX", None),
        ("POST", f"{path}/remote/search", {}), ("GET", f"{path}/remote/download?mailbox=INBOX&message=1", None),
        ("POST", f"{path}/remote/mailboxes", {"mailbox": "x"}),
    ]  # fmt: skip
    for method, where, body in asked:
        assert stranger.ask(method, where, body).code == "not_found", (method, where)
    assert stranger.ask("POST", f"{path}/remote/append?mailbox=INBOX", octets=MESSAGE).code == "not_found"
    assert stranger.get("/api/v1/connectors")["items"] == []
    assert stranger.get("/api/v1/connectors/events")["items"] == []


def test_what_only_the_owner_decides(dovecot: Dovecot, pod: tuple[Api, str]) -> None:
    """No way into private networks, by an option, a preset or a change; no sending as anybody by the relay."""
    client, inbox = pod
    new = {"name": "x", "address": fresh(), "inbox": inbox}
    assert client.ask("POST", "/api/v1/connectors", {**new, "options": options(dovecot)}).code == "forbidden"
    relay = {"smtp": {"host": "mail.example", "fallback": True}}
    assert client.ask("POST", "/api/v1/connectors", {**new, "options": relay}).code == "forbidden"
    private = options(dovecot)
    del private["imap"]["allow_private"]
    [probe] = client.post("/api/v1/connectors/test", {"address": fresh(), "options": private})
    assert probe["failure"] == "denied"
    bridge = {"address": fresh(), "provider": "proton-bridge", "options": {"imap": {"secret": "x"}}, "side": "imap"}
    [probe] = client.post("/api/v1/connectors/test", bridge)
    assert probe["failure"] == "denied"
    made = client.post("/api/v1/connectors", {**new, "options": private, "enabled": False})
    path = f"/api/v1/connectors/{made['id']}"
    assert client.ask("PATCH", path, {"options": {"imap": {"allow_private": True}}}).code == "forbidden"
    changed = client.patch(path, {"provider": "proton-bridge", "unset": ["imap.allow_private", "imap.host"]})
    assert changed["options"]["imap"]["allow_private"] is False
    assert client.ask("PATCH", path, {"name": str(uuid.uuid4())}).code == "invalid"


def test_an_owner_that_opened_a_private_network_opened_that_host_alone(
    gateway: Gateway, api: Make, dovecot: Dovecot
) -> None:
    """A key of the inbox may change the password, and not where the connection leads."""
    address, key = gateway.inbox(f"owned-{uuid.uuid4().hex[:6]}@mail.test", "--permissions", "admin,read")
    made = api().post("/api/v1/connectors", {
        "name": address, "address": fresh(), "inbox": address, "options": options(dovecot), "enabled": False,
    })  # fmt: skip
    client, path = api(key), f"/api/v1/connectors/{made['id']}"
    assert client.patch(path, {"options": {"imap": {"secret": "new"}}})["options"]["imap"]["allow_private"]
    changed = client.patch(path, {"options": {"imap": {"host": "127.0.0.2"}}})
    assert changed["options"]["imap"]["allow_private"] is False
    [probe] = client.post(f"{path}/test", {"side": "imap"})
    assert probe["failure"] == "denied"


def test_permissions(gateway: Gateway, api: Make) -> None:
    _, key = gateway.inbox(f"reads-{uuid.uuid4().hex[:6]}@mail.test", "--permissions", "read,connector_read")
    client = api(key)
    assert client.get("/api/v1/connectors")["items"] == []
    assert client.ask("POST", "/api/v1/connectors", {"name": "x", "address": fresh()}).code == "forbidden"
    assert client.ask("POST", "/api/v1/connectors/test", {"address": fresh()}).code == "forbidden"
    assert client.ask("GET", "/api/v1/queue").code == "forbidden"


@pytest.mark.parametrize(
    "body", [{"options": {"imap": {"hots": "x"}}}, {"options": {"pop": {}}}, {"options": {"imap": []}}, {"extra": 1},
             {"options": {"imap": {"port": "993"}}}, {"unset": ["imap.nothing"]}, {"name": ""}],
)  # fmt: skip
def test_bad_input_names_the_field(account: tuple[Api, dict[str, object]], body: dict[str, object]) -> None:
    client, made = account
    answer = client.ask("PATCH", f"/api/v1/connectors/{made['id']}", body)
    assert (answer.status, answer.code) == (422, "invalid")
    assert client.get(f"/api/v1/connectors/{made['id']}")["options"]["imap"]["port"] != 0


def test_presets_and_options_are_told(api: Make) -> None:
    known = {one["name"]: one for one in api().get("/api/v1/connectors/providers")}
    assert known["google"]["imap"]["host"] == "imap.gmail.com"
    assert not known["microsoft"]["passwords"]
    found = {(one["section"], one["key"]): one for one in api().get("/api/v1/connectors/options")}
    assert found["imap", "secret"]["secret"]
    assert found["sync", "mode"]["choices"] == ["pull", "two-way", "import"]


def test_domains(api: Make, pod: tuple[Api, str]) -> None:
    client, inbox = pod
    name = inbox.partition("@")[2]
    assert [one["name"] for one in client.get("/api/v1/domains")["items"]] == [name]
    assert client.get(f"/api/v1/domains/{name}")["local"]
    assert client.ask("GET", "/api/v1/domains/mail.test").code == "not_found"
    assert client.ask("POST", "/api/v1/domains", {"name": "gmail.com"}).code == "forbidden"
    assert client.ask("DELETE", f"/api/v1/domains/{name}").code == "conflict"
    more = f"more-{name}"
    assert api().post("/api/v1/domains", {"name": more, "pod": "default"})["pod"] == "default"
    assert client.ask("DELETE", f"/api/v1/domains/{more}").code == "not_found"
    assert api().delete(f"/api/v1/domains/{more}") is None
