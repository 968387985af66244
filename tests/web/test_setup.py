"""Client set-up on the real process, asked as mail programs ask."""

from __future__ import annotations

import imaplib
import plistlib
from collections.abc import Callable
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as Tree

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.model.permissions import BUNDLES
from tests.support.api import Answer, Api
from tests.support.gateway import Gateway
from tests.unit.web.test_setup import BOMB, OUTLOOK, PHONE

Make = Callable[..., Api]
MEDIA_TYPE = "application/x-apple-aspen-config"


def asked(api: Make, address: str) -> bytes:
    answer = api("").ask("POST", "/autodiscover/autodiscover.xml",
                         octets=OUTLOOK.replace(b"user@contoso.com", address.encode()), content_type="text/xml")
    assert answer.status == 200
    return answer.body


def error_of(body: bytes) -> str | None:
    return next((one.text for one in Tree.fromstring(body).iter() if one.tag.endswith("ErrorCode")), None)


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/mail/config-v1.1.xml?emailaddress=nobody%40mail.test", "autoconfig.mail.test"),
        ("/mail/config-v1.1.xml?emailaddress=nobody%40MAIL.test", "autoconfig.hoster.example"),
        ("/.well-known/autoconfig/mail/config-v1.1.xml?emailaddress=nobody%40mail.test", "mail.test"),
        ("/.well-known/autoconfig/mail/config-v1.1.xml", "mail.test"),
        ("/mail/config-v1.1.xml", "autoconfig.mail.test:443"),
    ],
)
def test_thunderbird_is_told(gateway: Gateway, api: Make, path: str, host: str) -> None:
    answer = api("").ask("GET", path, host=host)
    assert (answer.status, answer.headers["content-type"].partition(";")[0]) == (200, "application/xml")
    provider = Tree.fromstring(answer.body).find("emailProvider")
    assert provider is not None
    found = {(server.tag, server.findtext("hostname"), server.findtext("port"), server.findtext("socketType"))
             for server in provider if server.get("type")}
    assert found == {
        ("incomingServer", "mail.test", str(gateway.imaps), "SSL"),
        ("outgoingServer", "mail.test", str(gateway.smtps), "SSL"),
        ("outgoingServer", "mail.test", str(gateway.submission), "STARTTLS"),
    }


@pytest.mark.parametrize("query", ["emailaddress=a%40other.test", "emailaddress=a%40", "emailaddress=%00%40%ff", ""])
def test_other_domains_are_not_told(api: Make, query: str) -> None:
    assert api("").ask("GET", f"/mail/config-v1.1.xml?{query}", host="autoconfig.other.test").status == 404


def test_nobody_learns_which_addresses_exist(gateway: Gateway, api: Make) -> None:
    there, absent = gateway.address, f"x{gateway.address[1:]}"
    bodies = {api("").ask("GET", f"/mail/config-v1.1.xml?emailaddress={quote(one)}").body for one in (there, absent)}
    assert len(bodies) == 1
    assert asked(api, there).replace(there.encode(), b"*") == asked(api, absent).replace(absent.encode(), b"*")
    path = "/autodiscover/autodiscover.json?Protocol=AutodiscoverV1&Email="
    assert len({api("").ask("GET", path + quote(one)).body for one in (there, absent, "a@other.test")}) == 1


@pytest.mark.parametrize("path", ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml",
                                  "/AutoDiscover/AutoDiscover.XML"])
def test_outlook_is_told(gateway: Gateway, api: Make, path: str) -> None:
    answer = api("").ask("POST", path, octets=OUTLOOK.replace(b"contoso.com", b"mail.test"), content_type="text/xml")
    found = [[child.text for child in one][:3] for one in Tree.fromstring(answer.body).iter()
             if one.tag.endswith("}Protocol")]
    assert found == [["IMAP", "mail.test", str(gateway.imaps)], ["SMTP", "mail.test", str(gateway.smtps)]]


def test_outlook_is_told_what_is_not_here(api: Make) -> None:
    assert error_of(asked(api, "a@other.test")) == "500"
    for octets, code in ((PHONE, "601"), (BOMB, "600"), (b"", "600"), (b"\xff" * 1000, "600")):
        answer = api("").ask("POST", "/autodiscover/autodiscover.xml", octets=octets)
        assert (answer.status, error_of(answer.body)) == (200, code)
    assert error_of(api("").ask("GET", "/autodiscover/autodiscover.xml").body) == "600"


def test_a_huge_body_is_refused_before_it_is_read_whole(api: Make) -> None:
    answer = api("").ask("POST", "/autodiscover/autodiscover.xml", octets=b"<a>" * 100_000)
    assert (answer.status, answer.code) == (413, "too_large")


@pytest.mark.parametrize("path", [
    "/autodiscover/autodiscover.json?Email=a%40mail.test&Protocol=AutodiscoverV1",
    "/autodiscover/autodiscover.json/v1.0/a%40mail.test?Protocol=AutodiscoverV1&RedirectCount=1",
    "/Autodiscover/Autodiscover.json?email=a%40mail.test&protocol=autodiscoverv1",
])  # fmt: skip
def test_outlook_is_told_in_json_where_to_ask(gateway: Gateway, api: Make, path: str) -> None:
    answer = api("").ask("GET", path)
    url = f"https://mail.test:{gateway.web}/autodiscover/autodiscover.xml"
    assert answer.json == {"Protocol": "AutodiscoverV1", "Url": url}
    refused = api("").ask("GET", path.replace("utodiscoverV1", "ctiveSync").replace("utodiscoverv1", "ctivesync"))
    assert (refused.status, refused.json["ErrorCode"]) == (400, "InvalidProtocol")


def content(answer: Answer) -> list[dict[str, object]]:
    assert answer.headers["content-type"] == MEDIA_TYPE
    found: list[dict[str, object]] = plistlib.loads(answer.body)["PayloadContent"]
    return found


def test_a_key_gets_its_profile_without_itself_in_it(gateway: Gateway, api: Make) -> None:
    address, key = gateway.inbox("phone@mail.test")
    answer = api(key).ask("GET", f"/api/v1/setup/apple.mobileconfig?inbox={address}")
    root, mail = content(answer)
    assert mail["EmailAddress"] == address
    assert "IncomingPassword" not in mail
    assert key.encode() not in answer.body
    ca = x509.load_pem_x509_certificate(gateway.ca_file.read_bytes())
    assert root["PayloadContent"] == ca.public_bytes(serialization.Encoding.DER)
    assert api("").ask("GET", f"/api/v1/setup/apple.mobileconfig?inbox={address}").status == 401
    _, other = gateway.inbox("stranger@mail.test")
    assert api(other).ask("GET", f"/api/v1/setup/apple.mobileconfig?inbox={address}").status == 404


def test_settings_are_shown(gateway: Gateway, api: Make) -> None:
    found = api(gateway.key).get(f"/api/v1/setup/settings?inbox={gateway.address}")
    assert found["user"] == gateway.address
    assert [(port["protocol"], port["port"], port["security"]) for port in found["ports"]] == [
        ("IMAP", gateway.imaps, "tls"), ("SMTP", gateway.smtps, "tls"), ("SMTP", gateway.submission, "starttls")]


def test_a_link_works_once_and_may_bring_a_key_of_its_own(gateway: Gateway, api: Make) -> None:
    address, _ = gateway.inbox("linked@mail.test")
    made = api().post("/api/v1/setup/links", {"inbox": address, "with_key": True, "name": "my phone"})
    path = urlsplit(made["url"]).path
    assert made["url"].startswith(f"https://mail.test:{gateway.web}/")
    assert api("").ask("HEAD", path).status == 200
    _, mail = content(api("").ask("GET", path))
    key = mail["IncomingPassword"]
    assert isinstance(key, str)
    gateway.imap(address, key).logout()
    again = api("").ask("GET", path)
    assert (again.status, again.code) == (404, "not_found")
    assert "my phone" in {row["name"] for row in gateway.operate("key.list", inbox=address)}


def test_a_link_without_a_key_has_none(gateway: Gateway, api: Make) -> None:
    made = api(gateway.key).post("/api/v1/setup/links", {"inbox": gateway.address})
    _, mail = content(api("").ask("GET", urlsplit(made["url"]).path))
    assert "IncomingPassword" not in mail


def test_who_may_make_no_keys_gets_none_by_a_link(gateway: Gateway, api: Make) -> None:
    body = {"inbox": gateway.address, "with_key": True}
    assert api(gateway.key).ask("POST", "/api/v1/setup/links", body).code == "forbidden"
    assert api().ask("POST", "/api/v1/setup/links", body | {"name": "a\nb"}).code == "invalid"
    assert api().ask("POST", "/api/v1/setup/links", body | {"seconds": 0}).code == "invalid"


def test_a_link_dies_with_the_key_that_made_it(gateway: Gateway, api: Make) -> None:
    maker = gateway.operate("key.create", everything=True, permissions=list(BUNDLES))["key"]
    made = api(maker).post("/api/v1/setup/links", {"inbox": gateway.address, "with_key": True})
    gateway.run("key", "revoke", maker)
    assert api("").ask("GET", urlsplit(made["url"]).path).status == 404
    with pytest.raises(imaplib.IMAP4.error):
        gateway.imap(gateway.address, maker)


def test_what_is_no_link_is_not_found(api: Make) -> None:
    for token in ("x", "%00", "a" * 2000, "%ff", ".."):
        assert api("").ask("GET", f"/setup/{token}.mobileconfig").status == 404


def test_the_records_to_paste(gateway: Gateway) -> None:
    text = gateway.run("dns", "mail.test")
    assert f"_imaps._tcp.mail.test. 3600 IN SRV 0 1 {gateway.imaps} mail.test." in text.splitlines()
    found = gateway.json("dns", "mail.test")
    assert {"name": "_submissions._tcp.mail.test.", "type": "SRV", "value": f"0 1 {gateway.smtps} mail.test.",
            "why": "RFC 8314 5.1"} in found["records"]
