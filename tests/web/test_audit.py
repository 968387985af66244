"""Who did what, on the real process: commands, changes over HTTP and logins in a browser; never a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from gateway.auth.keys import parse
from tests.support.api import Api
from tests.support.gateway import Gateway

Make = Callable[..., Api]


def entries(gateway: Gateway, **wanted: Any) -> list[dict[str, Any]]:
    """All there are once those noted before are written: a command's own is the last of them."""
    found: list[dict[str, Any]] = gateway.operate("audit.list", limit=1000, **wanted)["entries"]
    return found


def awaited(gateway: Gateway, after: int, **wanted: Any) -> dict[str, Any]:
    """What is noted after its answer may come a moment later."""
    found = gateway.operate("audit.list", after=after, wait=30, **wanted)["entries"]
    assert found
    one: dict[str, Any] = found[-1]
    return one


def last(gateway: Gateway) -> int:
    return int(gateway.operate("audit.list")["last"])


def test_a_command_is_recorded_with_its_user(gateway: Gateway) -> None:
    gateway.run("pod", "add", "recorded")
    (entry,) = [one for one in entries(gateway, what="pod.add") if one["target"] == "name=recorded"]
    assert (entry["who"], entry["via"], entry["outcome"]) == (f"uid {os.getuid()}", "control", "ok")
    gateway.cli("pod", "add", "recorded")
    assert entries(gateway, what="pod.add", failed=True)[-1]["outcome"] == "AlreadyExists"
    text = gateway.run("audit", "--what", "pod.add")
    assert "name=recorded" in text.splitlines()[0]
    assert gateway.json("audit", "--what", "pod.add") == entries(gateway, what="pod.add")


def test_who_only_looks_is_not_recorded(gateway: Gateway, api: Make) -> None:
    api().get("/api/v1/me")
    before = last(gateway)
    gateway.run("inbox", "list")
    gateway.run("key", "list")
    api().get("/api/v1/keys")
    assert api("").ask("POST", "/api/v1/keys", {"name": "x"}).status == 401
    assert api().ask("POST", "/api/v1/nothing", {}).status == 404
    gateway.run("pod", "add", "after-looking")
    assert [entry["what"] for entry in gateway.operate("audit.list", after=before)["entries"]] == ["pod.add"]


def test_a_change_over_http_is_recorded_with_key_thing_and_source(gateway: Gateway, api: Make) -> None:
    made = api().post("/api/v1/keys", {"name": "audited", "inbox": gateway.address})
    entry = entries(gateway, what="POST /api/v1/keys")[-1]  # in the unit of the change, so it is there
    assert (entry["who"], entry["source"], entry["outcome"], entry["via"]) == ("key admin", "127.0.0.1", "ok", "http")
    asked = parse(api().key)
    assert asked is not None
    assert entry["key"] == asked.key_id
    api().delete(f"/api/v1/keys/{made['id']}")
    assert entries(gateway, what="DELETE /api/v1/keys/{key}")[-1]["target"] == f"key={made['id']}"
    before = last(gateway)
    assert api().ask("DELETE", "/api/v1/keys/none").status == 404
    assert awaited(gateway, before)["outcome"] == "404"
    before = last(gateway)
    assert api(gateway.key).ask("POST", "/api/v1/keys", {"name": "x"}).status == 403
    entry = awaited(gateway, before)
    assert (entry["who"], entry["outcome"]) == ("key first key", "403")


def test_a_key_by_a_link_is_recorded(gateway: Gateway, api: Make) -> None:
    made = api().post("/api/v1/setup/links", {"inbox": gateway.address, "with_key": True})
    token = made["url"].rpartition("/")[2]
    assert api("").ask("GET", f"/setup/{token}").status == 200
    entry = entries(gateway)[-1]
    assert (entry["who"], entry["target"]) == ("key admin", f"inbox={gateway.address}")
    assert token.partition(".")[0] not in json.dumps(entries(gateway))


def test_logins_in_a_browser_are_recorded_good_and_bad(gateway: Gateway, api: Make) -> None:
    origin = f"https://mail.test:{gateway.web}"
    form = {"content_type": "application/x-www-form-urlencoded", "origin": origin, "sec_fetch_site": "same-origin"}
    key = api().key
    before = last(gateway)
    answer = api("").ask("POST", "/login", octets=f"key={key}".encode(), **form)
    assert answer.status == 303, answer.body
    entry = awaited(gateway, before)
    assert (entry["via"], entry["who"], entry["outcome"]) == ("login", "key admin", "ok")
    before = last(gateway)
    assert api("").ask("POST", "/login", octets=b"key=gw_wrong", **form).status == 401
    entry = awaited(gateway, before, via="login")
    assert (entry["who"], entry["outcome"], entry["source"]) == ("nobody known", "401", "127.0.0.1")
    assert key not in json.dumps(entries(gateway))


def test_no_secret_is_in_it(gateway: Gateway) -> None:
    address, key = gateway.inbox("secret@mail.test")
    gateway.run("key", "revoke", key)
    entry = entries(gateway, what="key.revoke")[-1]
    assert entry["target"].startswith("key_id=")
    assert key not in json.dumps(entries(gateway))
    assert f"inbox={address}" in entries(gateway, what="key.create")[-1]["target"]


def test_follow_shows_what_happens(gateway: Gateway) -> None:
    command = [sys.executable, "-m", "gateway", "--config", str(gateway.config_file), "audit", "--follow", "--json",
               "--what", "domain.add", "--limit", "1"]  # fmt: skip
    gateway.run("domain", "add", "before.test")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
        assert follower.stdout is not None
        try:
            assert json.loads(follower.stdout.readline())["target"] == "pod=default name=before.test"
            gateway.run("domain", "add", "after.test")
            assert json.loads(follower.stdout.readline())["target"] == "pod=default name=after.test"
        finally:
            follower.kill()


def test_commands_without_a_server_are_recorded_too(gateway: Gateway, tmp_path: Any) -> None:
    other = Gateway(tmp_path / "still", readers=0)
    other.init()
    other.run("pod", "add", "offline")
    (entry,) = other.json("audit", "--what", "pod.add")
    assert (entry["who"], entry["target"]) == (f"uid {os.getuid()}", "name=offline")
