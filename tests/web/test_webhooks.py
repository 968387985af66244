"""Webhooks on the real process: what is told, in which order, and what a receiver, a crash or a stranger can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.process import free_port, wait_for
from tests.support.api import Api
from tests.support.authority import Authority
from tests.support.gateway import Gateway, running

from .conftest import admin_key
from .receiver import Receiver
from .test_events import events_of, put
from .test_wait import mail

Make = Callable[..., Api]
_PRIVATE = "webhook_private = true\n"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Receiver]:
    with Receiver(Authority(tmp_path_factory.mktemp("authority"))) as made:
        yield made


@pytest.fixture(scope="module")
def gateway(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, receiver: Receiver
) -> Iterator[Gateway]:
    """One that may deliver to this machine."""
    settings = f'[web]\nrequests_per_second = 1000\n{_PRIVATE}webhook_ca = "{receiver.ca}"\n'
    directory = tmp_path_factory.mktemp("gateway")
    with running(Gateway(directory, settings, readers=0, web=free_port())) as served:
        yield served


_NUMBERS = iter(range(1, 1000))


@pytest.fixture
def path(receiver: Receiver) -> str:
    """A path of the receiver that is this test's."""
    return f"/{next(_NUMBERS)}"


@pytest.fixture
def box(gateway: Gateway, path: str) -> tuple[str, str]:
    return gateway.inbox(f"box{path[1:]}@mail.test")


def until(look: Callable[[], Any], true: Callable[[Any], bool]) -> Any:
    """What another process brings about, and signals to nobody."""
    found: Any = None

    def ready() -> bool:
        nonlocal found
        found = look()
        return true(found)

    wait_for(ready, "what is looked at", 60, 0.03)
    return found


def made(api: Api, receiver: Receiver, path: str, **more: Any) -> Any:
    return api.post("/api/v1/webhooks", {"url": receiver.url(path), **more})


def attempts(api: Api, hook: Any) -> list[Any]:
    return list(api.get(f"/api/v1/webhooks/{hook['id']}/attempts")["items"])


def until_tried(api: Api, hook: Any, count: int) -> list[Any]:
    """The receiver has heard of an attempt before it is written down."""
    return until(lambda: attempts(api, hook), lambda found: len(found) >= count)


def test_events_are_told_signed_and_in_order(
    gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]
) -> None:
    address, key = box
    admin = api()
    hook = made(
        admin, receiver, path, inbox=address, secret=SECRET, headers={"X-Tenant": "a b"}, types=["message.received"]
    )
    assert (hook["secret"], hook["header_names"], hook["inbox"]) == (SECRET, ["X-Tenant"], address)
    assert "secret" not in admin.get(f"/api/v1/webhooks/{hook['id']}")
    for number in range(5):
        put(gateway, address, key, mail(str(number)))
    put(gateway, address, key, mail("sent"), "Sent")
    told = receiver.some(5)
    assert [each.event["data"]["subject"] for each in told] == ["0", "1", "2", "3", "4"]
    assert all(each.signed_by(SECRET) and each.path == path for each in told)
    assert told[0].headers["x-tenant"] == "a b"
    assert told[0].headers["webhook-id"] == told[0].event["id"]
    assert told[0].event["timestamp"].endswith("Z")
    log = api(key).get(f"{events_of(address)}/log?cursor={told[0].event['id']}&types=message.received")
    assert [each["id"] for each in log["items"]] == [each.event["id"] for each in told[1:]]
    tried = until_tried(admin, hook, 5)
    assert [(each["event"], each["ok"], each["status"], each["answer"]) for each in tried] == [
        (each.event["id"], True, 200, "ok") for each in reversed(told)
    ]
    page = admin.get(f"/api/v1/webhooks/{hook['id']}/attempts?limit=2")
    rest = admin.get(f"/api/v1/webhooks/{hook['id']}/attempts?limit=10&cursor={page['next']}")
    assert page["items"] + rest["items"] == tried


def test_a_receiver_that_fails_is_asked_again_and_keeps_the_order(
    gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]
) -> None:
    address, key = box
    receiver.ways[path] = 500
    hook = made(api(), receiver, path, inbox=address)
    put(gateway, address, key, mail("first"))
    put(gateway, address, key, mail("second"))
    assert receiver.next().event["data"]["subject"] == "first"
    (tried,) = until_tried(api(), hook, 1)
    assert (tried["ok"], tried["status"], tried["number"]) == (False, 500, 1)
    shown = api().get(f"/api/v1/webhooks/{hook['id']}")
    assert (shown["enabled"], shown["reason"], shown["failing_since"] is not None) == (True, "It answered 500", True)
    receiver.ways[path] = 202
    again, second = receiver.some(2)  # after some seconds
    assert [again.event["data"]["subject"], second.event["data"]["subject"]] == ["first", "second"]
    assert until_tried(api(), hook, 3)[1]["number"] == 2
    assert api().get(f"/api/v1/webhooks/{hook['id']}")["failing_since"] is None


def test_receivers_that_misbehave_hold_up_nobody(
    gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]
) -> None:
    """One stalls, one sends without end, one redirects into the cloud's own network; a good one is told at once."""
    address, key = box
    admin = api()
    hooks = {}
    for way in ("stall", "endless", "redirect", 410, "good"):
        place = f"{path}/{way}"
        receiver.ways[place] = 200 if way == "good" else way
        hooks[way] = made(admin, receiver, place, inbox=address)
    put(gateway, address, key)
    assert {each.path for each in receiver.some(5)} == {f"{path}/{way}" for way in hooks}
    (endless,) = until_tried(admin, hooks["endless"], 1)
    assert (endless["ok"], len(endless["answer"])) == (True, 1024)
    (redirect,) = until_tried(admin, hooks["redirect"], 1)
    assert (redirect["ok"], redirect["status"], "not followed" in redirect["failure"]) == (False, 302, True)
    assert not receiver.asked_elsewhere.is_set()
    until_tried(admin, hooks[410], 1)
    gone = until(lambda: admin.get(f"/api/v1/webhooks/{hooks[410]['id']}"), lambda hook: not hook["enabled"])
    assert "410" in gone["reason"]
    for hook in hooks.values():
        admin.delete(f"/api/v1/webhooks/{hook['id']}")
    assert admin.ask("GET", f"/api/v1/webhooks/{hooks['good']['id']}").code == "not_found"


def test_what_is_pending_outlives_a_crash(tmp_path: Path, receiver: Receiver) -> None:
    """kill -9 with deliveries that failed, and with one under way: nothing is lost, and the order holds."""
    path = f"/{next(_NUMBERS)}"
    settings = f'[web]\n{_PRIVATE}webhook_ca = "{receiver.ca}"\n'
    with running(Gateway(tmp_path, settings, readers=0, web=free_port())) as gateway:
        with Api(gateway, admin_key(gateway)) as api:
            receiver.ways[path] = "stall"
            made(api, receiver, path, inbox=gateway.address, secret=SECRET)
            for number in range(3):
                put(gateway, gateway.address, gateway.key, mail(str(number)))
        assert receiver.next().event["data"]["subject"] == "0"
        gateway.kill()
        receiver.ways[path] = 200
        gateway.start()
        told = receiver.some(3)
        assert [each.event["data"]["subject"] for each in told] == ["0", "1", "2"]
        assert all(each.signed_by(SECRET) for each in told)
        put(gateway, gateway.address, gateway.key, mail("later"))
        assert receiver.next().event["data"]["subject"] == "later"


def test_telling_again(gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]) -> None:
    address, key = box
    hook = made(api(), receiver, path, inbox=address)
    start = api(key).get(f"/api/v1/inboxes/{address}")["cursor"]
    put(gateway, address, key, mail("a"))
    put(gateway, address, key, mail("b"))
    first, second = receiver.some(2)
    again = f"/api/v1/webhooks/{hook['id']}/replay"
    api().post(again, {"inbox": address, "event": first.event["id"]})
    once = receiver.next()
    assert (once.event, once.headers["webhook-id"]) == (first.event, first.event["id"])
    api().post(again, {"inbox": address, "cursor": start})
    assert [each.event["id"] for each in receiver.some(2)] == [first.event["id"], second.event["id"]]
    for wrong, code in [
        ({"inbox": address}, "invalid"), ({"inbox": address, "event": "x", "cursor": "y"}, "invalid"),
        ({"inbox": address, "event": start}, "not_found"), ({"inbox": address, "cursor": "0.1"}, "invalid"),
        ({"inbox": gateway.address, "cursor": start}, "not_found"),
    ]:  # fmt: skip
        assert api().ask("POST", again, wrong).code == code


def test_a_test_event(api: Make, receiver: Receiver, path: str, box: tuple[str, str]) -> None:
    hook = made(api(), receiver, path, inbox=box[0])
    sent = api().post(f"/api/v1/webhooks/{hook['id']}/test")
    told = receiver.next()
    assert (told.event["type"], told.event["id"]) == ("webhook.test", sent["id"])
    assert until_tried(api(), hook, 1)[0]["type"] == "webhook.test"


def test_a_secret_is_changed(
    gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]
) -> None:
    hook = made(api(), receiver, path, inbox=box[0], secret=SECRET)
    rotated = api().post(f"/api/v1/webhooks/{hook['id']}/secret", {})
    put(gateway, *box)
    told = receiver.next()
    assert told.signed_by(SECRET)
    assert told.signed_by(rotated["secret"])


def test_switched_off_it_is_told_afterwards(
    gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]
) -> None:
    hook = made(api(), receiver, path, inbox=box[0])
    at = f"/api/v1/webhooks/{hook['id']}"
    assert api().patch(at, {"enabled": False, "types": ["message.received"], "name": "n"})["enabled"] is False
    put(gateway, *box, mail("while off"))
    assert attempts(api(), hook) == []
    shown = api().patch(at, {"enabled": True})
    assert (shown["enabled"], shown["types"], shown["name"]) == (True, ["message.received"], "n")
    assert receiver.next().event["data"]["subject"] == "while off"


def test_pods_and_inboxes_that_come_later(gateway: Gateway, api: Make, receiver: Receiver, path: str) -> None:
    name = f"pod{path[1:]}"
    gateway.operate("pod.add", name=name)
    gateway.operate("domain.add", name=f"{name}.test", pod=name)
    hook = made(api(), receiver, path, pod=name, types=["message.received"])
    assert (hook["scope"], hook["pod"]) == ("pod", name)
    other = gateway.inbox(f"outside{path[1:]}@mail.test")
    put(gateway, *other)
    later = gateway.inbox(f"new@{name}.test")
    put(gateway, *later, mail("inside"))
    told = receiver.next()
    assert (told.event["inbox"]["address"], told.event["data"]["subject"]) == (later[0], "inside")
    assert len(until_tried(api(), hook, 1)) == 1
    api().delete(f"/api/v1/webhooks/{hook['id']}")


def test_who_may_not_read_the_mail_does_not_have_it_told_to_himself(
    gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]
) -> None:
    hook = made(api(), receiver, path, inbox=box[0])
    key = api().post("/api/v1/keys", {
        "name": "hooks", "inbox": box[0], "permissions": ["webhook_read", "webhook_update", "message_read"],
    })["key"]  # fmt: skip
    mine, address = api(key), f"/api/v1/webhooks/{hook['id']}"
    refused = mine.ask("PATCH", address, {"url": receiver.url("/mine")})
    assert (refused.status, refused.code) == (403, "forbidden")
    assert mine.patch(address, {"name": "theirs", "url": hook["url"]})["name"] == "theirs"
    assert api().patch(address, {"url": receiver.url(f"{path}/other")})["url"].endswith("/other")


def test_two_tenants(gateway: Gateway, api: Make, receiver: Receiver, path: str, box: tuple[str, str]) -> None:
    """What one has made another neither sees nor changes, whatever it may do with its own."""
    gateway.operate("pod.add", name="stranger")
    stranger = api(gateway.operate("key.create", pod="stranger", permissions=["read", "admin"])["key"])
    own = api(gateway.operate("key.create", inbox=box[0], permissions=["read", "admin"])["key"])
    hook = made(own, receiver, path)
    assert (hook["scope"], hook["inbox"]) == ("inbox", box[0])
    at = f"/api/v1/webhooks/{hook['id']}"
    asked: list[tuple[str, str, Any]] = [
        ("GET", at, None), ("PATCH", at, {}), ("DELETE", at, None), ("GET", f"{at}/attempts", None),
        ("POST", f"{at}/secret", {}), ("POST", f"{at}/test", None),
        ("POST", f"{at}/replay", {"inbox": box[0], "cursor": "0.1"}),
    ]  # fmt: skip
    for method, where, body in asked:
        assert stranger.ask(method, where, body).code == "not_found", (method, where)
    assert stranger.get("/api/v1/webhooks")["items"] == []
    assert [each["id"] for each in own.get("/api/v1/webhooks")["items"]] == [hook["id"]]
    new = {"url": receiver.url(path), "inbox": box[0]}
    assert stranger.ask("POST", "/api/v1/webhooks", new).code == "not_found"
    assert own.ask("POST", "/api/v1/webhooks", new | {"inbox": gateway.address}).code == "not_found"
    assert api(box[1]).ask("POST", "/api/v1/webhooks", new).code == "forbidden"
    blind = api(gateway.operate("key.create", inbox=box[0], permissions=["admin"])["key"])
    assert blind.ask("POST", "/api/v1/webhooks", new).code == "forbidden"


@pytest.mark.parametrize(
    "wrong", [
        {"url": "http://localhost/x"}, {"url": "https://user:pw@localhost/"}, {"url": "https:///x"}, {"url": "x"},
        {"url": "https://a\r\nb/"}, {"types": ["message.read"]}, {"secret": "short"}, {"secret": "whsec_AAAA"},
        {"headers": {"webhook-id": "x"}}, {"headers": {"Host": "x"}}, {"headers": {"A": "b\r\nC: d"}},
        {"headers": {"A b": "c"}}, {"inbox": "a", "pod": "b"}, {"colour": "red"}, {"headers": {"A": ""}},
    ],
)  # fmt: skip
def test_webhooks_that_are_none(gateway: Gateway, api: Make, wrong: dict[str, Any]) -> None:
    body = {"url": "https://localhost/x", "inbox": gateway.address} | wrong
    if "pod" not in wrong:
        body |= wrong
    assert api().ask("POST", "/api/v1/webhooks", body).code == "invalid"
