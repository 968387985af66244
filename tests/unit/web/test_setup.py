"""Documents of client set-up, against the forms that their makers publish."""

from __future__ import annotations

import plistlib
from xml.etree import ElementTree as Tree

import pytest

from gateway.model.errors import InvalidRequest
from gateway.web.setup import apple, autoconfig, autodiscover
from gateway.web.setup.autodiscover import Asked, NotUnderstood, json_answer, read
from gateway.web.setup.ports import ClientPort, offered

HOST = "mail.example.org"
PORTS = (
    ClientPort("SMTP", HOST, 587, "starttls"),
    ClientPort("IMAP", HOST, 993, "tls"),
    ClientPort("SMTP", HOST, 465, "tls"),
    ClientPort("IMAP", HOST, 143, "none"),
    ClientPort("SMTP", HOST, 2525, "starttls", special=True),
)
OUTLOOK = b"""<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
<Request><EMailAddress>user@contoso.com</EMailAddress>
<AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
</Request></Autodiscover>"""
"""As MS-OXDSCLI 4 has it."""
PHONE = OUTLOOK.replace(b"/outlook/", b"/mobilesync/")


def test_clients_find_encrypted_ports_only_the_best_first() -> None:
    assert [port.port for port in offered(PORTS, "SMTP")] == [465, 587]
    assert [port.port for port in offered(PORTS, "IMAP")] == [993]


def test_thunderbirds_file_has_what_its_definition_demands() -> None:
    root = Tree.fromstring(autoconfig.document("example.org", PORTS))
    assert (root.tag, root.get("version")) == ("clientConfig", "1.1")
    provider = root.find("emailProvider")
    assert provider is not None
    assert provider.get("id") == provider.findtext("domain") == "example.org"
    assert [server.get("type") for server in provider.findall("incomingServer")] == ["imap"]
    servers = [*provider.findall("incomingServer"), *provider.findall("outgoingServer")]
    assert [[child.tag for child in server] for server in servers] == [
        ["hostname", "port", "socketType", "authentication", "username"]] * 3
    assert [(server.findtext("port"), server.findtext("socketType")) for server in servers] == [
        ("993", "SSL"), ("465", "SSL"), ("587", "STARTTLS")]
    assert {server.findtext("username") for server in servers} == {"%EMAILADDRESS%"}


def test_a_request_of_outlook_is_read() -> None:
    asked = read(OUTLOOK)
    assert (asked.address, asked.for_mail) == ("user@contoso.com", True)
    assert not read(PHONE).for_mail
    assert Asked("a@b.c").for_mail
    for prefixed in (b'<a:Autodiscover xmlns:a="x"><a:EMailAddress> a@b.c </a:EMailAddress></a:Autodiscover>',
                     '<Autodiscover><EMailAddress>a@b.c</EMailAddress></Autodiscover>'.encode("utf-16")):
        assert read(prefixed).address == "a@b.c"


BOMB = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><x><EMailAddress>&b;</EMailAddress></x>'


@pytest.mark.parametrize(
    "octets",
    [b"", b"\x00", b"<", b"<x/>", b"{}", b"<EMailAddress> </EMailAddress>", BOMB,
     b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><EMailAddress>a@b.c</EMailAddress>',
     b'<!DOCTYPE x><EMailAddress>a@b.c</EMailAddress>', b"<EMailAddress>&file;</EMailAddress>",
     b'<?xml version="1.0" encoding="no-such"?><EMailAddress>a@b.c</EMailAddress>',
     b'<?xml version="1.0" encoding="utf-7"?><EMailAddress>a@b.c</EMailAddress>',
     b"<a>" * 10_000, b"<EMailAddress>a@b.c</EMailAddress><more/>"],
)  # fmt: skip
def test_what_is_no_request_is_said_to_be_none(octets: bytes) -> None:
    with pytest.raises(NotUnderstood):
        read(octets)


def test_an_address_without_end_is_cut() -> None:
    assert len(read(b"<EMailAddress>" + b"a" * 60_000 + b"</EMailAddress>").address) == autodiscover.MAX_TEXT


def test_outlook_gets_one_port_a_protocol_and_hostile_addresses_stay_text() -> None:
    address = "<b>&\"x'@example.org"
    root = Tree.fromstring(autodiscover.settings(address, PORTS))
    assert root.tag == f"{{{autodiscover.RESPONSE}}}Autodiscover"
    account = root.find(f"{{{autodiscover.OUTLOOK}}}Response/{{{autodiscover.OUTLOOK}}}Account")
    assert account is not None
    found = [{child.tag.rpartition("}")[2]: child.text for child in one} for one in account.iter()
             if one.tag.endswith("}Protocol")]
    assert [(one["Type"], one["Server"], one["Port"], one["SSL"], one["Encryption"]) for one in found] == [
        ("IMAP", HOST, "993", "on", "SSL"), ("SMTP", HOST, "465", "on", "SSL")]
    assert {one["LoginName"] for one in found} == {address}
    starttls = autodiscover.settings(address, PORTS[:1]).decode()
    assert "<Encryption>TLS</Encryption>" in starttls
    assert "<Port>587</Port>" in starttls


def test_errors_have_their_number() -> None:
    root = Tree.fromstring(autodiscover.error(autodiscover.INVALID, "12:00:00"))
    code = [one.text for one in root.iter() if one.tag.endswith("ErrorCode")]
    assert code == ["600"]


def test_the_json_says_where_the_xml_is() -> None:
    url = f"https://{HOST}/autodiscover/autodiscover.xml"
    assert json_answer("AutodiscoverV1", f"https://{HOST}") == (200, {"Protocol": "AutodiscoverV1", "Url": url})
    assert json_answer("autodiscoverv1", f"https://{HOST}")[0] == 200
    assert json_answer("ActiveSync", "")[1]["ErrorCode"] == "InvalidProtocol"
    assert json_answer(None, "")[1]["ErrorCode"] == "MandatoryParameterMissing"


def test_a_profile_asks_for_the_key_unless_it_is_to_have_it() -> None:
    profile = plistlib.loads(apple.profile("a@example.org", PORTS))
    (mail,) = profile["PayloadContent"]
    assert mail["PayloadType"] == "com.apple.mail.managed"
    assert (mail["IncomingMailServerPortNumber"], mail["OutgoingMailServerPortNumber"]) == (993, 465)
    assert mail["IncomingMailServerUseSSL"] is mail["OutgoingMailServerUseSSL"] is True
    assert not {"IncomingPassword", "OutgoingPassword"} & mail.keys()
    again = plistlib.loads(apple.profile("a@example.org", PORTS, key="gw_secret", ca=b"DER"))
    root, mail = again["PayloadContent"]
    assert (root["PayloadType"], root["PayloadContent"]) == ("com.apple.security.root", b"DER")
    assert mail["IncomingPassword"] == "gw_secret"
    assert again["PayloadUUID"] == profile["PayloadUUID"]
    assert len({one["PayloadUUID"] for one in (again, root, mail)}) == 3


def test_a_profile_without_encrypted_ports_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        apple.profile("a@example.org", PORTS[3:4])
