"""The dashboard in a real browser: every page, light and dark, wide and narrow; axe-core finds no fault."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.support.api import Api
from tests.support.browser import Visit
from tests.support.gateway import Gateway

from .conftest import DEVICES, admin_key

INBOX = "/inboxes/inbox@mail.test"
PAGES = (
    "/", "/inboxes", INBOX, f"{INBOX}/mail", f"{INBOX}/compose", "/live", "/connectors", "/connectors/new", "/queue",
    "/keys", "/health", "/passkeys",
)  # fmt: skip
@pytest.mark.parametrize("visit", list(DEVICES), indirect=True)
def test_every_page_is_sound(visit: Visit, gateway: Gateway) -> None:
    visit.open("/login")
    assert visit.faults() == []
    visit.log_in(admin_key(gateway))
    for path in PAGES:
        page = visit.open(path)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert visit.faults() == [], path
        assert not visit.wide(), path


WRONG = ("/nowhere", f"{INBOX}/compose?how=x")


@pytest.mark.parametrize("visit", list(DEVICES), indirect=True)
def test_pages_that_say_no_are_sound(admin: Visit) -> None:
    """What is not there, what a form is refused for, and a key that is none."""
    page = admin.page
    for path in WRONG:
        admin.open(path)
        admin.wrong.clear()  # the browser tells of each 404
        assert admin.faults() == [], path
        assert not admin.wide(), path
    refused = {
        "/inboxes": ("Address", "x@nowhere.test", "Make it"), "/keys": ("Days until it ends", "0", "New key"),
        INBOX: ("Its address, to confirm", "other", "Delete"),
    }  # fmt: skip
    for path, (label, text, button) in refused.items():
        admin.open(path).get_by_label(label).fill(text)
        page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("alert").wait_for()
        admin.wrong.clear()
        assert admin.faults() == [], path
        assert not admin.wide(), path
    page.get_by_role("button", name="Log out").click()
    page.fill("#key", "gw_wrong")
    page.get_by_role("button", name="Log in", exact=True).click()
    page.get_by_role("alert").filter(has_text="not valid").wait_for()
    admin.wrong.clear()
    assert admin.faults() == []


def test_an_inbox_with_a_key_is_made_by_hand(visit: Visit, gateway: Gateway, api: Callable[..., Api]) -> None:
    """As a new user would: with the keyboard where it goes, the key copied by its button, and IMAP opened with it."""
    visit.log_in(admin_key(gateway))
    page = visit.open("/inboxes")
    page.get_by_label("Address").fill("hand@mail.test")
    page.keyboard.press("Enter")
    page.wait_for_url("**/inboxes/hand@mail.test")
    page.get_by_label("Name of a new key").fill("Laptop")
    page.get_by_role("button", name="New key").click()
    page.get_by_role("button", name="Copy Password (API key)").click()
    page.get_by_role("button", name="Copied Password (API key)").wait_for()
    key = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(r"gw_[0-9A-Za-z]{44}", key)
    assert visit.faults() == []
    with gateway.imap("hand@mail.test", key) as client:
        assert client.select()[0] == "OK"
    page.on("dialog", lambda dialog: dialog.accept())
    visit.open("/inboxes/hand@mail.test")
    page.get_by_role("button", name="Revoke").click()
    page.get_by_text("There is none.").wait_for()
    assert api(key).ask("GET", "/api/v1/me").status == 401


def test_mail_is_written_read_and_answered(visit: Visit, gateway: Gateway) -> None:
    """From one inbox here to another, and what it leaves behind over IMAP."""
    for name in ("writer", "reader"):
        gateway.inbox(f"{name}@mail.test")
    visit.log_in(admin_key(gateway))
    page = visit.open("/inboxes/writer@mail.test/mail")
    page.get_by_role("link", name="New message").click()
    page.get_by_label("To", exact=True).fill("nobody here")
    page.get_by_label("Subject").fill("Grüße")
    page.get_by_label("Text").fill("Hello,\n\nit works.")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("alert").wait_for()
    assert page.get_by_label("Text").input_value() == "Hello,\n\nit works.", "what was typed is there still"
    assert all("422" in text for text in visit.wrong)
    visit.wrong.clear()
    page.get_by_label("To", exact=True).fill("reader@mail.test")
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/mail?mailbox=Sent")
    page = visit.open("/inboxes/reader@mail.test/mail")
    assert visit.faults() == []
    page.get_by_role("link", name="Grüße").click()
    page.get_by_text("it works.").wait_for()
    assert visit.faults() == []
    page.get_by_role("link", name="Reply", exact=True).click()
    page.get_by_label("Text").fill("Thank you.")
    assert visit.faults() == []
    page.get_by_role("button", name="Send").click()
    page.wait_for_url("**/mail?mailbox=Sent")
    page = visit.open("/inboxes/writer@mail.test/mail")
    page.get_by_role("link", name="Re: Grüße").click()
    page.get_by_text("Thank you.").wait_for()
    with page.expect_download() as saved:
        page.get_by_role("link", name="Raw message").click()
    raw = saved.value.path().read_bytes()
    assert b"In-Reply-To: <" in raw
    assert b"From: reader@mail.test" in raw


def test_mail_is_marked_and_moved_and_thrown_away(visit: Visit, gateway: Gateway) -> None:
    """What the page does, an IMAP client sees."""
    address, key = gateway.inbox("marks@mail.test")
    visit.log_in(admin_key(gateway))
    with gateway.imap(address, key) as client:
        client.append("INBOX", "", None, b"From: a@mail.test\r\nSubject: One\r\n\r\nx")  # type: ignore[arg-type]
        client.select("INBOX")

        def flags() -> str:
            client.noop()
            return str(client.fetch("1", "(FLAGS)")[1])

        page = visit.open(f"/inboxes/{address}/mail")
        page.get_by_role("link", name="One").click()
        page.get_by_role("button", name="Flag", exact=True).click()
        page.get_by_role("button", name="Take the flag off").wait_for()
        assert visit.faults() == []
        assert "\\Seen" in flags()
        assert "\\Flagged" in flags()
        page.get_by_role("button", name="Mark unread").click()
        page.wait_for_url("**/mail?mailbox=INBOX")
        assert "\\Seen" not in flags()
        page.get_by_role("link", name="One").click()
        page.get_by_label("Move to").select_option("Spam")
        page.get_by_role("button", name="Move").click()
        page.wait_for_url("**/mail?mailbox=INBOX")
        page.get_by_text("Nothing is here.").wait_for()
        page.get_by_role("link", name=re.compile("Spam")).click()
        page.get_by_role("link", name="One").click()
        page.get_by_role("button", name="To Trash").click()
        page.wait_for_url("**/mail?mailbox=Spam")
        assert client.select("Trash")[1] == [b"1"]


def test_a_phone_is_set_up_by_a_link(visit: Visit, gateway: Gateway, api: Callable[..., Api]) -> None:
    address, _ = gateway.inbox("phone@mail.test")
    visit.log_in(admin_key(gateway))
    page = visit.open(f"/inboxes/{address}")
    page.get_by_role("button", name="Show a QR code for an iPhone or iPad").click()
    page.get_by_alt_text("QR code of the link below").wait_for()
    assert visit.faults() == []
    link = page.locator("dd code").inner_text()
    assert link.startswith(visit.base)
    path = link.removeprefix(visit.base)
    first, second = api("").ask("GET", path), api("").ask("GET", path)
    assert (first.status, second.status) == (200, 404)
    key = re.search(rb"gw_[0-9A-Za-z]{44}", first.body)
    assert key is not None
    with gateway.imap(address, key[0].decode()) as client:
        assert client.select()[0] == "OK"


def test_a_passkey_logs_in_for_the_key(visit: Visit, gateway: Gateway) -> None:
    """With a device of Chromium's own; and with the key it ends."""
    key = gateway.operate("key.create", everything=True, name="anna", permissions=["read"])["key"]
    device = visit.context.new_cdp_session(visit.page)
    device.send("WebAuthn.enable")
    device.send("WebAuthn.addVirtualAuthenticator", {"options": {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True,
    }})  # fmt: skip
    visit.log_in(key)
    page = visit.open("/passkeys")
    assert visit.faults() == []
    name = "<img src=x onerror=alert(1)>"
    page.get_by_label("Name of a new passkey").fill(name)
    page.get_by_role("button", name="Make a passkey").click()
    page.get_by_role("rowheader", name=name).wait_for()
    assert visit.faults() == []
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    page.get_by_role("button", name="Log in with a passkey").click()
    page.wait_for_url(f"{visit.base}/")
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url("**/login")
    gateway.operate("key.revoke", key_id=key)
    page.get_by_role("button", name="Log in with a passkey").click()
    page.get_by_text("The passkey was not accepted").wait_for()


def test_whoever_does_not_mean_it_loses_nothing(visit: Visit, gateway: Gateway) -> None:
    address, _ = gateway.inbox("kept@mail.test")
    visit.log_in(admin_key(gateway))
    page = visit.open(f"/inboxes/{address}")
    asked: list[str] = []

    def dismiss(dialog: object) -> None:
        asked.append(str(dialog.message))  # type: ignore[attr-defined]
        dialog.dismiss()  # type: ignore[attr-defined]

    page.on("dialog", dismiss)
    page.get_by_role("button", name="Revoke").click()
    assert len(asked) == 1
    assert "logged out" in asked[0]
    visit.open(f"/inboxes/{address}")
    assert page.get_by_role("button", name="Revoke").count() == 1


def test_the_keyboard_reaches_everything_and_is_seen(admin: Visit) -> None:
    """The first thing that it meets leads to the content."""
    for path in PAGES:
        admin.open(path)
        assert admin.unseen_focus() == [], path
    page = admin.open("/inboxes")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
