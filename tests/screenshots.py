"""The pictures of the dashboard in README and docs: the real process with sample mail, in Chromium.

    make screenshots        # or: python -m tests.screenshots docs/screenshots

Written anew when pages change their looks; a picture of more than LARGE octets is refused.
"""

from __future__ import annotations

import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Locator, Page

from gateway.model.permissions import BUNDLES
from tests.clients.test_connector_sync import at
from tests.servers.dovecot import Dovecot, running_dovecot
from tests.servers.process import free_port, wait_for
from tests.support import browser as browsers
from tests.support.browser import Visit
from tests.support.gateway import Gateway, running

LARGE: Final = 150_000
HOST: Final = "mail.example"
ANNA: Final = f"anna@{HOST}"
SETTINGS: Final = """
[relay]
host = "127.0.0.1"
port = 1
security = "none"
allow_private = true
"""
DESK: Final[dict[str, Any]] = {"viewport": {"width": 1040, "height": 680}, "color_scheme": "light"}
PHONE: Final[dict[str, Any]] = {
    "viewport": {"width": 390, "height": 780}, "color_scheme": "dark", "has_touch": True, "device_scale_factor": 1.5,
}
LETTERS: Final = (
    ("Jonas Weber", "jonas@weber-druck.example", "Proof of the brochure, second round", "brochure-2.pdf"),
    ("Tickets", "tickets@rail.example", "Your tickets to Hamburg, 3 December", "tickets.pdf"),
    ("Mara Lindqvist", "mara@nordlys.example", "Re: Workshop in January", ""),
    ("Build server", "ci@forge.example", "main is green again (412 tests)", ""),
    ("Accounts", "billing@hosting.example", "Invoice 2026-1182", "invoice-2026-1182.pdf"),
    ("Paul Okafor", "paul@okafor.example", "Photos of the weekend", "photos.zip"),
    ("Library", "notice@library.example", "Two books are due on Friday", ""),
    ("Mara Lindqvist", "mara@nordlys.example", "Workshop in January", ""),
    ("Ingrid Sol", "ingrid@sol.example", "Minutes of Monday", "minutes.odt"),
)
FIRST: Final = {
    "Jonas Weber": "here is the second proof.", "Tickets": "seats 41 and 42, coach 9. Show this at the gate.",
    "Mara Lindqvist": "the 14th is fine for both of us.", "Build server": "412 tests in 6 min 3 s, none skipped.",
    "Accounts": "the sum is taken from your account on 1 December.", "Paul Okafor": "all 38 of them, as promised.",
    "Library": "you may keep them longer: reply to this mail.", "Ingrid Sol": "please add what I forgot.",
}
TEXT: Final = (
    "Hello Anna,\n\n{first} The colours of page 3 are as you wanted them now, and the map has the new"
    " street. Could you look at it until Thursday? We print on Friday morning.\n\nMany greetings\nJonas\n"
)
HTML: Final = (
    "<p>Hello Anna,</p><p>{first} The colours of page 3 are as you wanted them now, and the"
    " map has the new street.</p><p>Could you look at it until <b>Thursday</b>? We print on Friday morning.</p>"
    "<p>Many greetings<br>Jonas</p><img src='https://weber-druck.example/logo.png' alt=''>"
)


def letter(name: str, address: str, subject: str, file: str) -> EmailMessage:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = f"{name} <{address}>", ANNA, subject
    made["Message-ID"] = f"<{uuid.uuid4()}@{address.partition('@')[2]}>"
    made.set_content(TEXT.format(first=FIRST[name]))
    made.add_alternative(HTML.format(first=FIRST[name]), subtype="html")
    if file:
        made.add_attachment(bytes(90_000), maintype="application", subtype="pdf", filename=file)
    return made


def post(gateway: Gateway, sender: str, key: str, to: str, subject: str) -> None:
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made.set_content("Hello,\n\nas we said on the phone.\n\nAnna\n")
    with gateway.smtp(sender, key) as smtp:
        smtp.send_message(made)


def fill(gateway: Gateway) -> tuple[str, str]:
    """A month of mail for Anna, mail that waits, drafts of a program; keys of Anna's and of the administrator's."""
    _, key = gateway.inbox(ANNA)
    now = time.time()
    with gateway.imap(ANNA, key) as client:
        for number in range(75):
            name, address, subject, file = LETTERS[(74 - number) % len(LETTERS)]
            age = (74 - number) * 86_400 * 0.39 + (number * 7919 % 40_000)
            date = time.strftime('"%d-%b-%Y %H:%M:%S +0000"', time.gmtime(now - age - 900))
            flags = "" if number in (74, 73, 71) else "(\\Seen \\Flagged)" if number == 70 else "(\\Seen)"
            client.append("INBOX", flags, date, letter(name, address, subject, file).as_bytes())
    for name in ("support", "invoices"):
        gateway.inbox(f"{name}@{HOST}")
    agent, proposes = gateway.inbox(f"agent@{HOST}", "--permissions", "read,draft")
    post(gateway, agent, proposes, "mara@nordlys.example", "Offer for the workshop")
    for to in ("jonas@weber-druck.example", "paul@okafor.example"):
        post(gateway, ANNA, key, to, "Thank you")
    for name, bundles in (("Backup", ["read"]), ("Ticket system", ["read", "write", "send"])):
        gateway.operate("key.create", everything=True, name=name, permissions=bundles)
    admin = gateway.operate("key.create", everything=True, name="Anna's browser", permissions=list(BUNDLES))["key"]
    return key, admin


def connect(gateway: Gateway, dovecot: Dovecot) -> str:
    """An account elsewhere that was synced; its id."""
    account = "anna@corp.example"
    with at(dovecot, account) as there:
        for name, address, subject, file in LETTERS[:4]:
            there.append("INBOX", "", None, letter(name, address, subject, file).as_bytes())  # type: ignore[arg-type]
    made = gateway.operate("connector.add", name="Work", address=account, inbox=f"support@{HOST}", options={
        "imap": {"host": "localhost", "port": dovecot.imaps, "ca": dovecot.ca.read_text(), "allow_private": True,
                 "secret": dovecot.password},
        "smtp": {"enabled": False},
    })  # fmt: skip
    wait_for(lambda: gateway.operate("connector.show", name="Work")["state"] == "live", "the first sync")
    return str(made["id"])


class Pictures:
    """Of one run, in `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def take(self, page: Page, name: str, upto: Locator | None = None) -> None:
        """What the window shows, or the page up to the end of something on it."""
        page.mouse.move(0, 0)
        size = page.viewport_size
        box = None if upto is None else upto.bounding_box()
        height = size["height"] if size and box is None else int(box["y"] + box["height"]) + 12 if box else 0
        assert size is not None
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height}
        octets = page.screenshot(animations="disabled", full_page=True, clip=clip)  # type: ignore[arg-type]
        if len(octets) > LARGE:
            raise SystemExit(f"{name} has {len(octets)} octets, more than {LARGE}")
        (self._directory / f"{name}.png").write_bytes(octets)
        print(f"{name}.png  {len(octets)}")


@contextmanager
def visitor(gateway: Gateway, browser: Any, device: dict[str, Any], key: str) -> Iterator[Visit]:
    context = browser.new_context(**device)
    visit = Visit(gateway, context)
    visit.log_in(key)
    yield visit
    context.close()


def desk(visit: Visit, pictures: Pictures, account: str, happens: Callable[[], None]) -> None:
    mail = f"/inboxes/{ANNA}/mail"
    page = visit.open("/")
    pictures.take(page, "overview", page.get_by_alt_text("Mail a day"))
    page = visit.open(mail)
    pictures.take(page, "mail")
    page.get_by_role("link", name="Proof of the brochure").first.click()
    page.frame_locator("iframe").get_by_text("Hello Anna").wait_for()
    pictures.take(page, "message")
    page = visit.open("/live")
    page.get_by_text("Connected").wait_for()
    happens()
    page.locator("#events li", has_text="put off").first.wait_for()
    page.locator("#events li", has_text="sync").first.wait_for()
    pictures.take(page, "live")
    pictures.take(visit.open("/queue"), "queue")
    page = visit.open(f"/connectors/{account}")
    page.get_by_role("button", name="Test").click()
    page.locator("[data-told]", has_text="imap works").wait_for()
    pictures.take(page, "account", page.locator(".story li").nth(4))
    pictures.take(visit.open("/keys"), "keys")


def phone(visit: Visit, pictures: Pictures) -> None:
    page = visit.open(f"/inboxes/{ANNA}/mail")
    pictures.take(page, "phone-mail")
    page.get_by_role("link", name="Workshop in January").first.click()
    page.frame_locator("iframe").get_by_text("Hello Anna").wait_for()
    pictures.take(page, "phone-message")


def main(directory: Path) -> None:
    if what := browsers.available():
        raise SystemExit(f"{what} is missing")
    pictures = Pictures(directory)
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        gateway = stack.enter_context(
            running(Gateway(place / "gateway", SETTINGS, hostname=HOST, readers=0, web=free_port()))
        )
        dovecot = stack.enter_context(running_dovecot())
        key, admin = fill(gateway)
        account = connect(gateway, dovecot)
        browser = stack.enter_context(browsers.chromium(gateway))

        def happens() -> None:
            post(gateway, ANNA, key, f"support@{HOST}", "Workshop: who is coming?")
            post(gateway, ANNA, key, "ingrid@sol.example", "Minutes: one correction")
            with at(dovecot, "anna@corp.example") as there:
                there.append("INBOX", "", None, letter(*LETTERS[5]).as_bytes())  # type: ignore[arg-type]
            gateway.operate("connector.sync", name="Work")

        _, fresh = gateway.inbox(f"new@{HOST}", "--permissions", "read,write,draft,send,admin")
        with visitor(gateway, browser, DESK, fresh) as visit:
            page = visit.open("/")
            pictures.take(page, "setup", page.locator(".steps > li").nth(3))
            page.get_by_role("button", name="Show a QR code").click()
            page.get_by_alt_text("QR code").wait_for()
            pictures.take(page, "phone-link", page.locator("section").last)
        with visitor(gateway, browser, DESK, admin) as visit:
            desk(visit, pictures, account, happens)
        with visitor(gateway, browser, PHONE, key) as visit:
            phone(visit, pictures)
        with visitor(gateway, browser, PHONE, fresh) as visit:
            pictures.take(visit.open("/"), "phone-setup")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/screenshots"))
