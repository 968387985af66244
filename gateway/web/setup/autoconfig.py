"""Thunderbird's configuration file, version 1.1, which Evolution, K-9, KMail and others read too.

Source: wiki.mozilla.org/Thunderbird:Autoconfiguration:ConfigFileFormat.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from xml.etree import ElementTree as Tree

from .ports import ClientPort, offered

PATHS: Final = ("/mail/config-v1.1.xml", "/.well-known/autoconfig/mail/config-v1.1.xml")
"""The first on the host autoconfig.DOMAIN with `emailaddress`, the second on DOMAIN itself, often without it."""

_SOCKET: Final = {"tls": "SSL", "starttls": "STARTTLS"}


def document(domain: str, ports: Iterable[ClientPort]) -> bytes:
    """The same for all addresses of a domain: the client puts its own into the user name."""
    known = list(ports)
    root = Tree.Element("clientConfig", version="1.1")
    provider = Tree.SubElement(root, "emailProvider", id=domain)
    for tag, text in (("domain", domain), ("displayName", domain), ("displayShortName", domain)):
        Tree.SubElement(provider, tag).text = text
    for tag, kind, found in (
        ("incomingServer", "imap", offered(known, "IMAP")),
        ("outgoingServer", "smtp", offered(known, "SMTP")),
    ):
        for port in found:
            server = Tree.SubElement(provider, tag, type=kind)
            for name, value in (
                ("hostname", port.host),
                ("port", str(port.port)),
                ("socketType", _SOCKET[port.security]),
                ("authentication", "password-cleartext"),  # within TLS; "encrypted" means CRAM-MD5 there
                ("username", "%EMAILADDRESS%"),
            ):
                Tree.SubElement(server, name).text = value
    return bytes(Tree.tostring(root, encoding="utf-8", xml_declaration=True))
