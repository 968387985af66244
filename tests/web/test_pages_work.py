"""The dashboard's queue and accounts elsewhere on the real process: what its forms do, and for whom they do it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from tests.clients.test_connector_sync import at, put
from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.api import Answer, Api
from tests.support.gateway import Gateway

from .test_pages import Browser
from .test_queue import SETTINGS as SETTINGS
from .test_queue import send

Make = Callable[..., Api]


class Worker(Browser):
    """A browser that is logged in."""

    def __init__(self, api: Api, key: str) -> None:
        super().__init__(api)
        assert self.log_in(key).status == 303
        found = re.search(rb'name="form_token" value="([0-9a-f]+)"', self.open("/passkeys").body)
        assert found is not None
        self._token = found[1].decode()

    def act(self, path: str, **fields: str) -> Answer:
        return self.send(path, urlencode({"form_token": self._token, **fields}))


@pytest.fixture
def worker(api: Make) -> Callable[[str | None], Worker]:
    return lambda key=None: Worker(api(""), api().key if key is None else key)


def test_mail_in_the_queue_is_held_released_and_cancelled(
    gateway: Gateway, api: Make, worker: Callable[..., Worker]
) -> None:
    address, key = gateway.inbox(f"q{uuid.uuid4().hex[:8]}@mail.test")
    send(gateway, address, key, "far@far.test")
    here, client = worker(), api()

    def row() -> dict[str, str]:
        found: list[dict[str, str]] = client.get(f"/api/v1/queue?inbox={address}")["items"]
        return found[0] if found else {}

    wait_for(lambda: row().get("state") == "deferred", "the first attempt")
    path = f"/queue/{row()['id']}"
    assert b"far@far.test" in here.open("/queue").body
    shown = here.open(path)
    assert shown.status == 200
    assert b"accepted" in shown.body
    assert here.act(f"{path}/hold").status == 303
    assert row()["state"] == "held"
    assert here.act(f"{path}/release").status == 303
    assert row()["state"] != "held"
    assert here.act(f"{path}/retry").status == 303
    assert here.act(f"{path}/cancel").status == 303
    assert row() == {}
    assert here.act(f"{path}/explode").status == 404


def test_a_draft_is_approved(gateway: Gateway, api: Make, worker: Callable[..., Worker]) -> None:
    address, key = gateway.inbox(f"d{uuid.uuid4().hex[:8]}@mail.test", "--permissions", "read,draft")
    send(gateway, address, key, gateway.address, subject="may I")
    [row] = api().get(f"/api/v1/queue/approvals?inbox={address}")["items"]
    assert b"Approve" in worker().open("/queue").body
    assert worker().act(f"/queue/{row['id']}/release").status == 303
    with gateway.imap() as client:
        client.select("INBOX")
        wait_for(lambda: bool(client.noop()) and client.search(None, "SUBJECT", '"may I"')[1] != [b""], "the mail")


def test_what_a_key_may_not_its_browser_may_not(gateway: Gateway, worker: Callable[..., Worker]) -> None:
    """A key that opens everything is no administrator's by that."""
    address, key = gateway.inbox(f"m{uuid.uuid4().hex[:8]}@mail.test")
    send(gateway, address, key, "far@far.test")
    [row] = [row for row in gateway.operate("queue.list", inbox=address) if row["recipient"] == "far@far.test"]
    reader = worker(gateway.operate("key.create", everything=True, permissions=["read", "queue_read"])["key"])
    assert reader.open("/queue").status == 200
    for verb in ("retry", "hold", "release", "cancel"):
        assert reader.act(f"/queue/{row['id']}/{verb}").status == 403
    [still] = gateway.operate("queue.list", inbox=address)
    assert still["state"] in ("queued", "sending", "deferred")
    blind = worker(gateway.operate("key.create", everything=True, permissions=["read"])["key"])
    for path in ("/queue", "/connectors", "/connectors/new", "/health", "/charts/queue.svg", f"/queue/{row['id']}"):
        assert blind.open(path).status == 403, path
    assert b'href="/queue"' not in blind.open("/").body
    owner = worker(gateway.operate("key.create", inbox=address, permissions=["read", "admin"])["key"])
    other, _ = gateway.inbox(f"o{uuid.uuid4().hex[:8]}@mail.test")
    stranger = worker(gateway.operate("key.create", inbox=other, permissions=["read", "admin"])["key"])
    assert owner.open(f"/queue/{row['id']}").status == 200
    assert stranger.open(f"/queue/{row['id']}").status == 404
    assert stranger.act(f"/queue/{row['id']}/cancel").status == 404


def test_an_account_is_connected_tested_synced_and_switched(
    gateway: Gateway, dovecot: Dovecot, worker: Callable[..., Worker], api: Make
) -> None:
    here, account = worker(), f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    with at(dovecot, account) as there:
        put(there, "INBOX", "from elsewhere")
    form = {
        "address": account, "name": "<b>mine</b>", "secret": dovecot.password, "mode": "pull", "imap.host": "localhost",
        "imap.port": str(dovecot.imaps), "ca": dovecot.ca.read_text(), "allow_private": "1",
    }  # fmt: skip
    wrong = here.act("/connectors/new", **{**form, "imap.port": "x"})
    assert wrong.status == 422
    assert dovecot.password.encode() not in wrong.body.replace(b"secret", b"")
    assert account.encode() in wrong.body, "what was typed is there still"
    made = here.act("/connectors/new", **form)
    assert made.status == 303, made.body
    path = made.headers["location"]
    assert b"&lt;b&gt;mine&lt;/b&gt;" in here.open("/connectors").body
    tested = here.act(f"{path}/test")
    assert b"works" in tested.body
    assert dovecot.password.encode() not in tested.body
    told = here.send(
        f"{path}/sync", urlencode({"form_token": here._token}), Accept="application/x-ndjson"
    )
    assert (told.status, told.headers["content-type"]) == (200, "application/x-ndjson")
    assert b'{"result":' in told.body
    assert here.act(f"{path}/sync").status == 303
    shown = here.open(path).body
    assert b"SYNC" in shown
    assert here.act(f"{path}/disable").status == 303
    assert b"Switch on" in here.open(path).body
    assert here.act(f"{path}/enable").status == 303
    assert here.act(f"{path}/login").status == 422, "there is no application to log in with"
    assert here.act(f"{path}/explode").status == 404


def test_accounts_of_others_are_not_there(gateway: Gateway, worker: Callable[..., Worker]) -> None:
    gateway.operate(
        "connector.add", name="theirs", address="them@elsewhere.test", inbox=gateway.address, enabled=False,
        options={"imap": {"host": "localhost", "secret": "x"}},
    )
    [row] = [row for row in gateway.operate("connector.list") if row["name"] == "theirs"]
    other, _ = gateway.inbox(f"o{uuid.uuid4().hex[:8]}@mail.test")
    stranger = worker(gateway.operate("key.create", inbox=other, permissions=["read", "admin"])["key"])
    assert b"theirs" not in stranger.open("/connectors").body
    for answer in (
        stranger.open(f"/connectors/{row['id']}"),
        *(stranger.act(f"/connectors/{row['id']}/{verb}") for verb in ("sync", "test", "enable", "disable", "login")),
    ):
        assert answer.status == 404
