"""What people do in the dashboard with accounts elsewhere, the queue, keys and files, in a real browser."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

from playwright.sync_api import Page

from gateway.model.permissions import BUNDLES
from tests.clients.test_connector_sync import at, put
from tests.servers.dovecot import Dovecot
from tests.servers.process import wait_for
from tests.support.api import Api
from tests.support.browser import Visit
from tests.support.gateway import Gateway
from tests.support.oauth import FakeProvider

from .conftest import admin_key
from .test_queue import SETTINGS as SETTINGS
from .test_queue import send

Make = Callable[..., Api]
HOSTILE = "<img src=x onerror=alert(1)>"
PROGRESS = (
    {"progress": {"folder": HOSTILE, "imported": 3, "expected": 9}},
    {"result": {"success": True, "imported": 9}},
)
_OBSERVE = """() => {
  const line = document.querySelector("[data-told]");
  window.told = [];
  const tell = (records) => window.told.push(...records.flatMap((one) => [...one.addedNodes].map((text) => text.data)));
  new MutationObserver(tell).observe(line, { childList: true });
}"""
"""Every text that a line of the page shows, however short."""


_LOOKED_AT = """seen => {
  Object.defineProperty(document, "hidden", { value: !seen, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""
"""Another tab is in front, or this one again."""


def new(gateway: Gateway, *options: str) -> tuple[str, str]:
    return gateway.inbox(f"w{uuid.uuid4().hex[:8]}@mail.test", *options)


def rows(page: Page) -> list[str]:
    return page.locator("#events li").all_inner_texts()


def live(visit: Visit) -> Page:
    page = visit.open("/live")
    page.get_by_text("Connected").wait_for()
    return page


def test_what_happens_is_told_as_it_happens(visit: Visit, gateway: Gateway) -> None:
    """Mail that comes and goes, without a reload; paused nothing is lost; another's mail is not told."""
    (mine, key), (other, theirs) = new(gateway), new(gateway)
    visit.log_in(key)
    page = live(visit)
    assert visit.faults() == []
    send(gateway, other, theirs, other, subject="not for us")
    send(gateway, other, theirs, mine, subject=HOSTILE)
    page.get_by_text(HOSTILE).wait_for()
    send(gateway, mine, key, other, subject="away")
    page.locator("#events li", has_text="delivered").wait_for()
    assert visit.faults() == []
    assert not any("not for us" in row for row in rows(page))
    assert page.locator("#events").get_attribute("aria-live") == "polite"
    page.get_by_role("button", name="Pause").click()
    send(gateway, other, theirs, mine, subject="while it was paused")
    page.get_by_text("Paused").wait_for()
    assert not any("paused" in row for row in rows(page))
    page.get_by_role("button", name="Go on").click()
    page.get_by_text("while it was paused").wait_for()
    assert sum("while it was paused" in row for row in rows(page)) == 1
    page.evaluate(_LOOKED_AT, False)
    send(gateway, other, theirs, mine, subject="while nobody looked")
    page.evaluate(_LOOKED_AT, True)
    page.get_by_text("while nobody looked").wait_for()
    page.get_by_role("link", name=re.compile("while it was paused")).click()
    page.get_by_role("heading", name="while it was paused").wait_for()


def test_a_live_page_comes_back_after_a_restart(visit: Visit, gateway: Gateway) -> None:
    """From its cursor: what came before the browser was back is told too."""
    address, key = new(gateway)
    visit.log_in(key)
    page = live(visit)
    gateway.stop()
    page.get_by_text("trying again").wait_for()
    gateway.start()
    send(gateway, address, key, address, subject="early")
    page.get_by_text("early").first.wait_for()


def test_a_login_that_ends_takes_its_live_page_along(visit: Visit, gateway: Gateway) -> None:
    """Whether its key ends or somebody logs out in another window."""
    address, _ = new(gateway)
    for number in range(2):
        key = gateway.operate("key.create", inbox=address, permissions=["read"])["key"]
        visit.log_in(key)
        page = live(visit)
        if number:
            gateway.operate("key.revoke", key_id=key)
        else:
            second = Visit(gateway, visit.context)
            second.open("/").get_by_role("button", name="Log out").click()
            second.page.close()
        page.wait_for_url("**/login")


def test_a_wide_key_is_made_and_taken_back(admin: Visit, gateway: Gateway, api: Make) -> None:
    page = admin.open("/keys")
    page.get_by_label("Name", exact=True).fill(HOSTILE)
    page.get_by_label("Days until it ends").fill("30")
    page.get_by_text("Single permissions").click()
    page.get_by_label("queue_read").check()
    page.get_by_role("button", name="New key").click()
    key = page.locator("section.good dd code").inner_text()
    assert admin.faults() == []
    me = api(key).get("/api/v1/me")
    assert (me["scope"], me["bundles"], me["name"]) == ("all", ["read", "queue_read"], HOSTILE)
    [row] = [row for row in api().get("/api/v1/keys?scope=all")["items"] if row["id"] == me["id"]]
    assert row["expires_at"] - row["created_at"] == 30 * 86_400
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.accept()))
    page.get_by_role("row", name=HOSTILE).get_by_role("button", name="Revoke").click()
    page.get_by_role("row", name=HOSTILE).wait_for(state="detached")
    assert HOSTILE in asked[0]
    assert api(key).ask("GET", "/api/v1/me").status == 401


def test_a_key_of_a_pod_makes_keys_of_its_pod(visit: Visit, gateway: Gateway, api: Make) -> None:
    """And begins without an inbox: the first page makes one, its key and its settings."""
    pod, domain = f"p{uuid.uuid4().hex[:8]}", f"{uuid.uuid4().hex[:8]}.test"
    gateway.operate("pod.add", name=pod)
    gateway.operate("domain.add", name=domain, pod=pod)
    visit.log_in(gateway.operate("key.create", pod=pod, permissions=list(BUNDLES))["key"])
    page = visit.open("/")
    assert visit.faults() == []
    page.get_by_label("Its address").fill(f"first@{domain}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/inboxes/first@{domain}")
    visit.open("/")
    assert visit.faults() == []
    page.get_by_role("button", name="Make a key").click()
    page.get_by_role("button", name="Copy Password (API key)").click()
    key = page.evaluate("navigator.clipboard.readText()")
    with gateway.imap(f"first@{domain}", key) as client:
        assert client.select()[0] == "OK"
    visit.open("/")
    page.get_by_role("button", name="Copy IMAP server").click()
    assert page.evaluate("navigator.clipboard.readText()") == gateway.hostname
    with page.expect_download() as saved:
        page.get_by_role("link", name=re.compile("mobileconfig")).click()
    assert f"first@{domain}".encode() in saved.value.path().read_bytes()
    page.get_by_role("button", name="Show a QR code for an iPhone or iPad").click()
    page.get_by_alt_text("QR code of the link below").wait_for()
    visit.open("/keys")
    assert page.get_by_label("Opens").count() == 0, "it opens its pod, and makes nothing wider"
    page.get_by_role("button", name="New key").click()
    made = api(page.locator("section.good dd code").inner_text()).get("/api/v1/me")
    assert (made["scope"], made["bundles"]) == ("pod", ["read"])


def test_files_go_along_and_stay_chosen(admin: Visit, gateway: Gateway, tmp_path: Path) -> None:
    """What is refused leaves the form as it is; what is forwarded takes the files on."""
    (mine, _), (other, _) = new(gateway), new(gateway)
    names = ["report.csv", "große <b>.bin"]
    for name in names:
        (tmp_path / name).write_bytes(b"octets of " + name.encode())
    page = admin.open(f"/inboxes/{mine}/compose")
    page.get_by_label("To", exact=True).fill("nobody here")
    page.get_by_label("Subject").fill("With files")
    page.get_by_label("Files").set_input_files([tmp_path / name for name in names])
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").filter(has_text="to ").wait_for()
    assert page.evaluate("document.getElementById('files').files.length") == 2
    assert all("422" in text for text in admin.wrong)
    admin.wrong.clear()
    assert admin.faults() == []
    page.get_by_label("To", exact=True).fill(other)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/mail?mailbox=Sent")
    admin.open(f"/inboxes/{other}/mail")
    page.get_by_role("link", name="With files").click()
    assert page.locator("a[download]").all_inner_texts()[1:] == names
    page.get_by_role("link", name="Forward").click()
    page.get_by_text("Goes along").wait_for()
    assert admin.faults() == []
    page.get_by_label("To", exact=True).fill(mine)
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/mail?mailbox=Sent")
    admin.open(f"/inboxes/{mine}/mail")
    page.get_by_role("link", name="Fwd: With files").click()
    with page.expect_download() as saved:
        page.get_by_role("link", name="report.csv").click()
    assert saved.value.path().read_bytes() == b"octets of report.csv"


def test_too_much_is_told_before_it_is_sent(admin: Visit, gateway: Gateway, tmp_path: Path) -> None:
    mine, _ = new(gateway)
    page = admin.open(f"/inboxes/{mine}/compose")
    page.get_by_label("To", exact=True).fill(mine)
    most = int(page.get_by_label("Files").get_attribute("data-most") or 0)
    with (tmp_path / "large.bin").open("wb") as file:
        file.truncate(most + 1)
    page.get_by_label("Files").set_input_files(tmp_path / "large.bin")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").filter(has_text="together they may have").wait_for()
    assert admin.faults() == []


def test_a_draft_is_kept_gone_on_with_and_sent(admin: Visit, gateway: Gateway) -> None:
    (mine, _), (other, key) = new(gateway), new(gateway)
    page = admin.open(f"/inboxes/{mine}/compose")
    page.get_by_label("Subject").fill("Not yet")
    page.get_by_label("Text").fill("First words")
    page.get_by_label("Files").set_input_files([
        {"name": name, "mimeType": "text/plain", "buffer": b"x"} for name in ("stays.txt", "goes.txt")
    ])
    page.get_by_role("button", name="Keep as draft").click()
    page.wait_for_url("**/mail?mailbox=Drafts")
    page.get_by_role("link", name="Not yet").click()
    page.get_by_role("link", name="Go on writing").click()
    assert admin.faults() == []
    assert page.get_by_label("Text").input_value().strip() == "First words"
    page.get_by_label("goes.txt").uncheck()
    page.get_by_label("More files").set_input_files({"name": "new.txt", "mimeType": "text/plain", "buffer": b"y"})
    page.get_by_label("To", exact=True).fill("nobody@mail.test")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").filter(has_text="nobody").wait_for()
    admin.wrong.clear()
    page.get_by_label("To", exact=True).fill(f'"A, \\"B\\"" <{other}>')
    page.get_by_role("button", name="Keep as draft").click()
    page.wait_for_url("**/mail?mailbox=Drafts")
    page.get_by_role("link", name="Not yet").click()
    page.get_by_role("link", name="Go on writing").click()
    assert page.get_by_label("To", exact=True).input_value() == f'"A, \\"B\\"" <{other}>'
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/mail?mailbox=Sent")
    with gateway.imap(other, key) as client:
        client.select()
        octets = client.fetch("1", "(BODY.PEEK[])")[1][0][1]  # type: ignore[index]
    assert b"First words" in octets
    parts = message_from_bytes(octets).walk()
    assert [part.get_filename() for part in parts if part.get_filename()] == ["stays.txt", "new.txt"]


def test_mail_that_waits_is_seen_to(admin: Visit, gateway: Gateway, api: Make) -> None:
    address, key = new(gateway)
    send(gateway, address, key, f"{HOSTILE[1:4]}@far.test")
    client = api()

    def row() -> dict[str, str]:
        found: list[dict[str, str]] = client.get(f"/api/v1/queue?inbox={address}")["items"]
        return found[0] if found else {}

    wait_for(lambda: row().get("state") == "deferred", "the first attempt")
    page = admin.open("/queue")
    line = page.get_by_role("row", name=address)
    assert row()["next_attempt_at"][:16].replace("T", " ") in line.inner_text(), "when it goes next"
    assert row()["why"][:20] in line.inner_text()
    assert admin.faults() == []
    line.get_by_role("button", name="Retry").click()
    wait_for(lambda: len(client.get(f"/api/v1/queue/{row()['id']}")["history"]) > 2, "the second attempt")
    page.get_by_role("row", name=address).get_by_role("button", name="Hold").click()
    page.get_by_role("row", name=address).get_by_role("button", name="Release").wait_for()
    page.get_by_role("row", name=address).get_by_role("link").first.click()
    page.get_by_role("heading", name="What happened").wait_for()
    assert admin.faults() == []
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url("**/queue")
    assert row() == {}


def test_a_draft_is_read_and_approved(admin: Visit, gateway: Gateway) -> None:
    address, key = new(gateway, "--permissions", "read,draft")
    send(gateway, address, key, gateway.address, subject="May I")
    page = admin.open("/queue")
    page.get_by_role("row", name=address).get_by_role("link", name="Read it").click()
    page.get_by_role("link", name="Read the message").click()
    page.get_by_text("waits for your consent").wait_for()
    assert admin.faults() == []
    page.get_by_role("button", name="Approve and send").click()
    page.wait_for_url("**/mail?mailbox=Sent")
    with gateway.imap() as client:
        client.select("INBOX")
        wait_for(lambda: bool(client.noop()) and client.search(None, "SUBJECT", '"May I"')[1] != [b""], "the mail")


def test_an_account_is_connected_tested_and_synced(admin: Visit, gateway: Gateway, dovecot: Dovecot) -> None:
    account = f"{uuid.uuid4().hex[:8]}@elsewhere.test"
    with at(dovecot, account) as there:
        put(there, "INBOX", "from elsewhere")
    page = admin.open("/connectors/new")
    page.get_by_label("Address of the account").fill("somebody@gmail.com")
    page.get_by_text("imap.gmail.com").wait_for()
    page.get_by_label("Provider").select_option("microsoft")
    page.get_by_text("takes no passwords").wait_for()
    assert admin.faults() == []
    page.get_by_label("Provider").select_option("")
    page.get_by_label("Address of the account").fill(account)
    page.get_by_label("Password, or app password").fill(dovecot.password)
    page.get_by_text("Servers of its own").click()
    page.get_by_role("group", name="IMAP").get_by_label("Host").fill("localhost")
    page.get_by_role("group", name="IMAP").get_by_label("Port").fill("x")
    page.get_by_label("Certificate authority").fill(dovecot.ca.read_text())
    page.get_by_label("it may be in a private network").check()
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("alert").wait_for()
    assert all("422" in text for text in admin.wrong)
    admin.wrong.clear()
    assert admin.faults() == []
    page.get_by_label("Password, or app password").fill(dovecot.password)
    page.get_by_role("group", name="IMAP").get_by_label("Port").fill(str(dovecot.imaps))
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("heading", name=account).wait_for()
    assert page.get_by_role("button", name="Log in at the provider").count() == 0, "there is no application for it"
    second = Visit(gateway, admin.context)
    told = live(second)
    page.bring_to_front()
    page.get_by_role("button", name="Test").click()
    page.locator("[data-told]", has_text="imap works").wait_for()
    steps = page.locator("[data-steps] li").all_inner_texts()
    assert [step.split()[:3] for step in steps][:2] == [["ok", "imap", "dns"], ["ok", "imap", "connect"]]
    assert any("login" in step for step in steps), steps
    page.get_by_text("What was said").click()
    page.get_by_text("CAPABILITY").first.wait_for()
    assert admin.faults() == []
    with at(dovecot, account) as there:
        for number in range(3):
            put(there, "INBOX", f"one more {number}")
    page.get_by_role("button", name="Sync now").click()
    page.locator("[data-told]", has_text="Done: ").wait_for()
    told.get_by_text("one more").first.wait_for()
    told.locator("#events li", has_text="sync").first.wait_for()
    assert second.faults() == []
    # A sync that takes its time, as the server tells of it: this one was too quick for that.
    lines = "".join(json.dumps(each) + "\n" for each in PROGRESS)
    page.route("**/sync", lambda route: route.fulfill(body=lines, content_type="application/x-ndjson"))
    page.evaluate(_OBSERVE)
    page.get_by_role("button", name="Sync now").click()
    page.locator("[data-told]", has_text="Done: 9").wait_for()
    assert f"{HOSTILE}: 3 of 9 messages." in page.evaluate("window.told")
    page.reload()
    page.get_by_role("cell", name="SYNC").first.wait_for()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove").click()
    page.wait_for_url("**/connectors")
    assert page.get_by_role("link", name=account).count() == 0


def test_a_provider_without_passwords_says_what_is_next(admin: Visit, gateway: Gateway, api: Make) -> None:
    address, _ = new(gateway)
    made = api().post("/api/v1/connectors", {
        "name": uuid.uuid4().hex, "address": "me@outlook.com", "inbox": address, "enabled": False,
    })  # fmt: skip
    page = admin.open(f"/connectors/{made['id']}")
    page.get_by_text("gateway oauth add").wait_for()
    assert admin.faults() == []


def test_a_login_at_a_provider_goes_there_and_comes_back(
    admin: Visit, gateway: Gateway, provider: FakeProvider, api: Make
) -> None:
    """By links alone: the provider is another site, and its page leads back."""
    api().post("/api/v1/connectors", {
        "name": "by login", "address": provider.email, "inbox": gateway.address, "enabled": False,
        "options": {"imap": {"host": "imap.example.test"}}, "provider": "custom",
    })  # fmt: skip
    context = admin.context.browser
    assert context is not None
    trusting = context.new_context(ignore_https_errors=True)
    visit = Visit(gateway, trusting)
    visit.elsewhere = [provider.url("")]
    visit.log_in(admin_key(gateway))
    page = visit.open("/connectors")
    page.get_by_role("link", name="by login").click()
    page.get_by_role("button", name="Log in at the provider").click()
    assert visit.faults() == []
    page.get_by_role("link", name="Go to the provider").click()
    page.get_by_role("link", name="Allow").click()
    page.get_by_role("heading", name="Logged in").wait_for()
    assert visit.faults() == []
    page.get_by_role("link", name="To the account").click()
    page.get_by_text("by OAuth").wait_for()
    visit.open("/oauth/callback?state=x&code=y")
    page.get_by_role("heading", name="The login was not finished").wait_for()
    trusting.close()
