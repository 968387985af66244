"""Outlook's Autodiscover: plain old XML (MS-OXDSCLI) and the JSON that says where that is.

The XML of a request is read by expat with everything refused that makes XML dangerous: a document type, and so
entities of its own. What is not understood is answered as MS-OXDSCLI 2.2.4.1.1.3 has it, with 200 and an error inside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as Tree
from xml.parsers import expat

from .ports import ClientPort, offered

MAX_REQUEST: Final = 64 * 1024
"""Octets; a request has some 400."""
MAX_TEXT: Final = 1_000
"""Characters of an element that are looked at; an address has 320 at most (RFC 5321 4.5.3.1)."""

RESPONSE: Final = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
OUTLOOK: Final = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"

NOT_FOUND: Final = 500
INVALID: Final = 600
NO_PROVIDER: Final = 601
_SAID: Final = {
    NOT_FOUND: "The e-mail address cannot be found",
    INVALID: "Invalid Request",
    NO_PROVIDER: "Provider is not available",
}
V1: Final = "AutodiscoverV1"


class NotUnderstood(Exception):
    """The request is no XML of this kind."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`schema`: in which form the answer is wanted; "" when that was not said."""

    address: str
    schema: str = ""

    @property
    def for_mail(self) -> bool:
        """Whether it is about IMAP and SMTP; phones ask for ActiveSync by the same path."""
        return not self.schema or "/outlook/responseschema/" in self.schema.lower()


class _Reader:
    """Collects the two texts that matter, wherever they stand and whatever the namespace is called."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._open = ""

    def start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._open = name.rpartition(" ")[2]

    def end(self, name: str) -> None:
        self._open = ""

    def text(self, found: str) -> None:
        if self._open in ("EMailAddress", "AcceptableResponseSchema"):
            self.texts[self._open] = (self.texts.get(self._open, "") + found)[:MAX_TEXT]

    def refuse(self, *about: Any) -> None:
        raise NotUnderstood


def read(octets: bytes) -> Asked:
    """What a POST asks for. NotUnderstood: no XML, a document type, no address."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(octets, True)
    except (expat.ExpatError, ValueError, LookupError):
        raise NotUnderstood from None
    address = reader.texts.get("EMailAddress", "").strip()
    if not address:
        raise NotUnderstood
    return Asked(address, reader.texts.get("AcceptableResponseSchema", "").strip())


def _answer(namespace: str) -> tuple[Tree.Element, Tree.Element]:
    root = Tree.Element("Autodiscover", xmlns=RESPONSE)
    return root, Tree.SubElement(root, "Response", xmlns=namespace) if namespace else Tree.SubElement(root, "Response")


def _octets(root: Tree.Element) -> bytes:
    return bytes(Tree.tostring(root, encoding="utf-8", xml_declaration=True))


def settings(address: str, ports: Iterable[ClientPort]) -> bytes:
    """The best port of each protocol: Outlook takes the first of a type and looks no further."""
    known = list(ports)
    root, response = _answer(OUTLOOK)
    Tree.SubElement(Tree.SubElement(response, "User"), "DisplayName").text = address
    account = Tree.SubElement(response, "Account")
    Tree.SubElement(account, "AccountType").text = "email"
    Tree.SubElement(account, "Action").text = "settings"
    for port in (*offered(known, "IMAP")[:1], *offered(known, "SMTP")[:1]):
        protocol = Tree.SubElement(account, "Protocol")
        values = {
            "Type": port.protocol, "Server": port.host, "Port": str(port.port), "LoginName": address,
            "DomainRequired": "off", "SPA": "off",
            "SSL": "on", "Encryption": "SSL" if port.security == "tls" else "TLS", "AuthRequired": "on",
        }  # fmt: skip
        if port.protocol == "SMTP":
            values |= {"UsePOPAuth": "on", "SMTPLast": "off"}  # the user name and password of IMAP
        for tag, text in values.items():
            Tree.SubElement(protocol, tag).text = text
    return _octets(root)


def error(code: int, time: str) -> bytes:
    """`time`: of the day, HH:MM:SS."""
    root, response = _answer("")
    made = Tree.SubElement(response, "Error", Time=time, Id="1")
    Tree.SubElement(made, "ErrorCode").text = str(code)
    Tree.SubElement(made, "Message").text = _SAID[code]
    Tree.SubElement(made, "DebugData")
    return _octets(root)


def json_answer(protocol: str | None, base_url: str) -> tuple[int, dict[str, str]]:
    """Status and body for `Protocol`; the address is not even looked at, so that nothing is told of it."""
    if not protocol:
        said = "A valid value must be provided for the query parameter 'Protocol'"
        return 400, {"ErrorCode": "MandatoryParameterMissing", "ErrorMessage": said}
    if protocol.lower() != V1.lower():
        said = f"The given protocol value is invalid. Supported values are '{V1}'"
        return 400, {"ErrorCode": "InvalidProtocol", "ErrorMessage": said}
    return 200, {"Protocol": V1, "Url": f"{base_url}/autodiscover/autodiscover.xml"}
