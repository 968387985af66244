"""The dashboard's forms and logins, without a browser: who gets in, and what a forged form does."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest

from tests.support.api import Answer, Api
from tests.support.gateway import Gateway

Make = Callable[..., Api]
HTML = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
PAGES = ("/", "/inboxes", "/connectors", "/queue", "/health")


class Browser:
    """Keeps the cookie, and finds the token of forms."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.cookie = ""

    def open(self, path: str) -> Answer:
        return self._api.ask("GET", path, **HTML, Cookie=self.cookie)

    def send(self, path: str, text: str, **headers: str) -> Answer:
        return self._api.ask("POST", path, octets=text.encode(), **{**HTML, "Cookie": self.cookie, **headers})

    def log_in(self, key: str) -> Answer:
        answer = self.send("/login", f"key={key}", Sec_Fetch_Site="same-origin")
        self.cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        return answer

    def token(self) -> str:
        found = re.search(rb'name="form_token" value="([0-9a-f]+)"', self.open("/inboxes").body)
        assert found is not None
        return found[1].decode()


@pytest.fixture
def browser(api: Make) -> Browser:
    admin = api()
    one = Browser(api(""))
    assert one.log_in(admin.key).status == 303
    return one


def test_pages_ask_for_a_login(api: Make) -> None:
    for path in PAGES:
        answer = Browser(api("")).open(path)
        assert (answer.status, answer.headers["location"]) == (303, "/login")


def test_the_cookie_is_for_this_host_over_tls_and_no_script(api: Make) -> None:
    answer = Browser(api("")).log_in(api().key)
    said = answer.headers["set-cookie"].lower()
    assert said.startswith("__host-gateway=")
    assert {"secure", "httponly", "path=/", "samesite=lax"} <= {part.strip() for part in said.split(";")}


def test_a_wrong_key_is_told_so(api: Make) -> None:
    answer = Browser(api("")).log_in("gw_wrong")
    assert answer.status == 401
    assert b"not valid" in answer.body
    assert "set-cookie" not in answer.headers


def test_a_form_of_another_site_logs_nobody_in(api: Make) -> None:
    answer = Browser(api("")).send("/login", f"key={api().key}", Sec_Fetch_Site="cross-site")
    assert answer.status == 403
    answer = Browser(api("")).send("/login", f"key={api().key}", Origin="https://evil.test")
    assert answer.status == 403


def test_every_page_opens(browser: Browser) -> None:
    for path in PAGES:
        answer = browser.open(path)
        assert answer.status == 200, (path, answer.body)
        assert b"<h1>" in answer.body


def test_the_authority_is_there_to_be_fetched(gateway: Gateway, api: Make) -> None:
    """By whoever sets a mail program up; and no page tells where its file lies."""
    answer = Browser(api("")).open("/ca.pem")
    assert answer.body.strip() == gateway.ca_file.read_bytes().strip()
    one = Browser(api(""))
    one.log_in(gateway.key)
    assert str(gateway.data_dir).encode() not in one.open("/").body


def test_mailboxes_that_a_key_may_not_read_are_not_shown(gateway: Gateway, api: Make) -> None:
    address, _ = gateway.inbox("blind@mail.test")
    key = gateway.new_key("--inbox", address, "--permissions", "inbox_read,message_read")
    one = Browser(api(""))
    one.log_in(key)
    shown = one.open(f"/inboxes/{address}").body
    assert b"INBOX" in shown
    assert b"Trash" not in shown
    assert b"Spam" not in shown


def test_charts_are_images_that_do_nothing(browser: Browser, gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("chart@mail.test")
    with gateway.imap(address, key) as client:
        client.append("INBOX", "", None, b"Subject: x\r\n\r\nx")  # type: ignore[arg-type]
    for name in ("mail", "queue", "connections", "lag"):
        answer = browser.open(f"/charts/{name}.svg")
        assert (answer.status, answer.headers["content-type"]) == (200, "image/svg+xml")
        assert b"<script" not in answer.body
        assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert b">1<" in browser.open(f"/charts/mail.svg?inbox={address}").body
    one = Browser(api(""))
    one.log_in(key)
    assert one.open("/charts/mail.svg").status == 200
    assert one.open("/charts/queue.svg").status == 404
    assert one.open(f"/charts/mail.svg?inbox={gateway.address}").status == 404


def test_forms_need_their_token(browser: Browser) -> None:
    for text in ("address=a@mail.test", "address=a@mail.test&form_token=" + "0" * 64):
        assert browser.send("/inboxes", text).status == 403
    assert b"a@mail.test" not in browser.open("/inboxes").body


def test_an_inbox_and_a_key_are_made_and_end(gateway: Gateway, browser: Browser, api: Make) -> None:
    token = browser.token()
    made = browser.send("/inboxes", f"form_token={token}&address=page@mail.test&name=<b>Page</b>")
    assert (made.status, made.headers["location"]) == (303, "/inboxes/page@mail.test")
    assert b"&lt;b&gt;Page&lt;/b&gt;" in browser.open("/inboxes").body
    shown = browser.send("/inboxes/page@mail.test/keys", f"form_token={token}&name=Laptop&read=1")
    key = re.search(rb"gw_[0-9A-Za-z]{44}", shown.body)
    assert key is not None
    assert key[0] not in browser.open("/inboxes/page@mail.test").body, "it is shown once"
    me = api(key[0].decode()).get("/api/v1/me")
    assert (me["scope"], me["bundles"]) == ("inbox", ["read"])
    ended = browser.send(f"/inboxes/page@mail.test/keys/{me['id']}/revoke", f"form_token={token}")
    assert (ended.status, api(key[0].decode()).ask("GET", "/api/v1/me").status) == (303, 401)
    wrong = browser.send("/inboxes/page@mail.test/delete", f"form_token={token}&address=other")
    assert b"Type the address" in wrong.body
    assert browser.send("/inboxes/page@mail.test/delete", f"form_token={token}&address=page@mail.test").status == 303
    assert browser.open("/inboxes/page@mail.test").status == 404


def test_a_revoked_key_ends_its_browsers(gateway: Gateway, api: Make) -> None:
    key = gateway.operate("key.create", everything=True, permissions=["read", "admin"])["key"]
    one = Browser(api(""))
    one.log_in(key)
    assert one.open("/").status == 200
    gateway.operate("key.revoke", key_id=key)
    assert one.open("/").headers["location"] == "/login"


def test_logging_out_ends_the_login_itself(browser: Browser) -> None:
    browser.send("/logout", f"form_token={browser.token()}")
    assert browser.open("/").headers["location"] == "/login", "the cookie is sent still, and worth nothing"


def test_the_cookie_is_no_key_for_the_api(browser: Browser) -> None:
    assert browser.open("/api/v1/me").status == 401


def test_a_key_of_one_inbox_sees_nothing_of_others(gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("own@mail.test")
    one = Browser(api(""))
    one.log_in(key)
    assert one.open(f"/inboxes/{address}").status == 200
    assert gateway.address.encode() not in one.open("/inboxes").body
    for path in (f"/inboxes/{gateway.address}", "/health"):
        assert one.open(path).status == 404, path
    for path in ("/queue", "/connectors", "/queue/x", "/connectors/x"):
        assert one.open(path).status == 403, f"{path}: the key lacks the permission"


def test_guessed_passkeys_close_the_door(gateway: Gateway, api: Make) -> None:
    """As wrong keys do: for their source, and for people who log in from there."""
    answer = json.dumps({"answer": {"rawId": "AAAA", "response": {"clientDataJSON": "e30"}}})
    client = api("")
    statuses = [
        client.ask("POST", "/login/passkey", octets=answer.encode(), Content_Type="application/json",
                   Sec_Fetch_Site="same-origin").status
        for _ in range(15)
    ]  # fmt: skip
    assert statuses[0] == 401
    assert statuses[-1] == 429
