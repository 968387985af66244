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
PAGES = ("/", "/inboxes", "/live", "/connectors", "/queue", "/keys", "/health")


class Browser:
    """Keeps the cookie, and finds the token of forms."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.cookie = ""

    def open(self, path: str) -> Answer:
        return self.api.ask("GET", path, **HTML, Cookie=self.cookie)

    def send(self, path: str, text: str, **headers: str) -> Answer:
        return self.api.ask("POST", path, octets=text.encode(), **{**HTML, "Cookie": self.cookie, **headers})

    def upload(self, path: str, octets: bytes, **headers: str) -> Answer:
        return self.api.ask("POST", path, octets=octets, **{**HTML, "Cookie": self.cookie, **headers})

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
    for path in (f"/inboxes/{gateway.address}", f"/inboxes/{gateway.address}/apple.mobileconfig", "/health", "/keys"):
        assert one.open(path).status == 404, path
    for path in ("/queue", "/connectors", "/queue/x", "/connectors/x"):
        assert one.open(path).status == 403, f"{path}: the key lacks the permission"


def test_live_events_are_for_who_may_read_and_from_their_own_cursors(gateway: Gateway, api: Make) -> None:
    assert Browser(api("")).open("/live/events").headers["location"] == "/login"
    address, _ = gateway.inbox("blind2@mail.test")
    one = Browser(api(""))
    one.log_in(gateway.new_key("--inbox", address, "--permissions", "message_send"))
    assert (one.open("/live").status, one.open("/live/events").status) == (403, 403)
    two = Browser(api(""))
    two.log_in(gateway.key)
    for cursor in ("x", "!x", "!-1", "!1!2", "!" + "9" * 19, "a.1~b", "%00"):
        assert two.open(f"/live/events?cursor={cursor}").status == 422, cursor


BOUNDARY = "b0undary"


def upload(one: Browser, path: str, fields: dict[str, str], *files: tuple[str, bytes], **headers: str) -> Answer:
    """As browsers send a form with files."""
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode() for name, text in fields.items()]
    parts += [
        f'Content-Disposition: form-data; name="files"; filename="{name}"\r\nContent-Type: multipart/x\r\n\r\n'.encode()
        + octets
        for name, octets in files
    ]
    body = b"".join(b"--%b\r\n%b\r\n" % (BOUNDARY.encode(), part) for part in parts) + f"--{BOUNDARY}--\r\n".encode()
    return one.upload(path, body, Content_Type=f"multipart/form-data; boundary={BOUNDARY}", **headers)


def test_files_are_checked_and_nothing_typed_is_lost(gateway: Gateway, browser: Browser, api: Make) -> None:
    """By the server too, for a browser without scripts."""
    address, key = gateway.inbox("files@mail.test")
    path = f"/inboxes/{address}/compose"
    assert upload(browser, path, {"to": address, "text": "x"}).status == 403, "without the form's token"
    good = {"form_token": browser.token(), "to": address, "subject": "Files", "text": "kept words"}
    wrong = upload(browser, path, {**good, "to": "nobody here"}, ("a.txt", b"x"))
    assert wrong.status == 422
    assert b"kept words" in wrong.body
    assert b"Choose the files again" in wrong.body
    large = upload(browser, path, good, ("a.bin", bytes(9_000_000)))
    assert (large.status, b"together they may have" in large.body) == (422, True)
    told = upload(browser, path, good, ("a.bin", bytes(9_000_000)), Accept="application/json")
    assert "together they may have" in told.json["detail"]
    many = upload(browser, path, good, *[(f"{number}.txt", b"") for number in range(101)])
    assert many.status == 400
    with gateway.imap(address, key) as client:
        assert client.select()[1] == [b"0"], "nothing was sent"
    sent = upload(browser, path, good, ("a.txt", b"octets"), ("", b""))
    assert sent.headers["location"] == f"/inboxes/{address}/mail?mailbox=Sent"
    [message] = api(key).get(f"/api/v1/inboxes/{address}/messages?mailbox=INBOX")["items"]
    assert [one["file_name"] for one in message["attachments"]] == ["a.txt"]


def test_wide_keys_are_asked_for_by_scope(gateway: Gateway, api: Make) -> None:
    client = api()
    found = {scope: client.get(f"/api/v1/keys?limit=200&scope={scope}")["items"] for scope in ("all", "pod", "inbox")}
    for scope, items in found.items():
        assert {one["scope"] for one in items} <= {scope}
    both = client.get("/api/v1/keys?limit=200&scope=all&scope=inbox")["items"]
    assert len(both) == len(found["all"] + found["inbox"])
    assert client.ask("GET", "/api/v1/keys?scope=x").status == 422


def test_keys_are_made_as_the_form_says_or_not_at_all(browser: Browser, gateway: Gateway) -> None:
    token = browser.token()
    for fields in ("name=x", "may-read=1&days=0", "may-read=1&days=x", "may-fly=1", "may-read=1&pod=nowhere"):
        assert browser.send("/keys", f"form_token={token}&{fields}").status in (404, 422), fields
    limited = gateway.operate("key.create", everything=True, permissions=["read", "api_key_read", "api_key_create"])
    one = Browser(browser.api)
    one.log_in(limited["key"])
    made = one.send("/keys", f"form_token={one.token()}&may-read=1&may-admin=1")
    assert made.status == 422, "a child never exceeds the key that makes it"


def test_guessed_passkeys_close_the_door(gateway: Gateway, api: Make) -> None:
    """As wrong keys do: for their source, and for people who log in from there. The module's last, for that is us."""
    answer = json.dumps({"answer": {"rawId": "AAAA", "response": {"clientDataJSON": "e30"}}})
    client = api("")
    statuses = [
        client.ask("POST", "/login/passkey", octets=answer.encode(), Content_Type="application/json",
                   Sec_Fetch_Site="same-origin").status
        for _ in range(15)
    ]  # fmt: skip
    assert statuses[0] == 401
    assert statuses[-1] == 429
