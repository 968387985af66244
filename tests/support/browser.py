"""Debian's Chromium without a window, on pages of the gateway: its key is checked, all it complains of is kept."""

from __future__ import annotations

import base64
import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from .gateway import Gateway

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).parent.parent / "clients" / "node" / "node_modules" / "axe-core" / "axe.min.js"


def available() -> str:
    """What is missing, "" when nothing is."""
    if shutil.which(CHROMIUM) is None:
        return "chromium"
    return "" if AXE.exists() else "axe-core (npm)"


_FOCUS = """() => {
  const one = document.activeElement;
  if (!one || one === document.body || one.dataset.met) return null;
  one.dataset.met = "1";
  const style = getComputedStyle(one), box = one.getBoundingClientRect();
  const drawn = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  const there = box.width > 1 && box.height > 1 && style.visibility !== "hidden";
  return { seen: drawn && there, html: one.outerHTML.slice(0, 200) };
}"""
"""What has the focus, once each; null at the end."""


@contextmanager
def chromium(gateway: Gateway) -> Iterator[Browser]:
    """Trusts the gateway's own key and nothing else that is not trusted anyhow; asks nobody but the gateway."""
    leaf = x509.load_pem_x509_certificate((gateway.data_dir / "tls" / "server.pem").read_bytes())
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(key).digest()).decode()
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-component-update",
                  f"--host-resolver-rules=MAP {gateway.hostname} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE localhost",
                  f"--ignore-certificate-errors-spki-list={pin}"],
        )  # fmt: skip
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page, and whatever was wrong while it was looked at: errors of scripts, of its policy, requests elsewhere."""

    def __init__(self, gateway: Gateway, context: BrowserContext) -> None:
        self.base = f"https://{gateway.hostname}:{gateway.web}"
        self.context = context
        self.page: Page = context.new_page()
        self.elsewhere: list[str] = []
        """Where a test leads its browser besides the gateway."""
        self.wrong: list[str] = []
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        # What the page's policy forbids is told too, as one that failed for that: it never left the browser.
        self.page.on("requestfinished", lambda request: self._asked(request.url))
        self.page.on("requestfailed", lambda request: self._asked(request.url, request.failure or ""))

    def _asked(self, url: str, failure: str = "") -> None:
        if failure != "csp" and not url.startswith((self.base, "data:", "about:", "blob:", *self.elsewhere)):
            self.wrong.append(f"asked {url} {failure}")

    def open(self, path: str) -> Page:
        """The page with all that it loads; a stream that it listens to goes on."""
        self.page.goto(self.base + path)
        return self.page

    def log_in(self, key: str) -> None:
        self.open("/login").fill("#key", key)
        with self.page.expect_navigation(url=self.base + "/"):
            self.page.click("main button[type=submit]")

    def faults(self) -> list[str]:
        """What axe-core finds, on the page as it is now, and all that was wrong so far."""
        # By the driver, past the page's policy: a script of the page could not load it.
        self.page.evaluate(AXE.read_text())
        found: Any = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return self.wrong + [
            f"{one['id']}: {one['help']}: {node['html'][:200]}"
            for one in found["violations"] for node in one["nodes"]
        ]  # fmt: skip

    def unseen_focus(self, most: int = 200) -> list[str]:
        """What the keyboard reaches and nobody sees that it is there: goes through the page by Tab, from its start."""
        self.page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
        found: list[str] = []
        for _ in range(most):
            self.page.keyboard.press("Tab")
            told = self.page.evaluate(_FOCUS)
            if told is None:
                return found
            if not told["seen"]:
                found.append(told["html"])
        raise AssertionError(f"the keyboard does not get to the end of {self.page.url}")

    def wide(self) -> bool:
        """Whether the page is wider than the window, so that people must scroll sideways."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))
