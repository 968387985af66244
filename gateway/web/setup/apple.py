"""A configuration profile for iPhone, iPad and Mac with one mail account (`com.apple.mail.managed`).

Source: developer.apple.com/documentation/devicemanagement/mail. Its ids come from the address, so that a profile that
is installed again takes the place of the one before.
"""

from __future__ import annotations

import plistlib
import uuid
from collections.abc import Sequence
from typing import Any, Final

from gateway.model.errors import InvalidRequest

from .ports import ClientPort, offered

MEDIA_TYPE: Final = "application/x-apple-aspen-config"
_OURS: Final = uuid.UUID("5b0a4c1e-6f0e-4b4e-9a51-1d8a3f0c7e42")


def profile(address: str, ports: Sequence[ClientPort], *, key: str | None = None, ca: bytes | None = None) -> bytes:
    """The profile as XML. Without `key` the device asks for the password. `ca` (DER) is installed with it.

    InvalidRequest: there is no port for IMAP, or none for SMTP, that a phone could use.
    """
    imap, smtp = offered(ports, "IMAP"), offered(ports, "SMTP")
    if not imap or not smtp:
        raise InvalidRequest("A profile needs an encrypted IMAP port and an encrypted submission port")
    mail: dict[str, Any] = _payload("com.apple.mail.managed", imap[0].host, address, "mail", address)
    mail |= {
        "EmailAccountDescription": address,
        "EmailAccountType": "EmailTypeIMAP",
        "EmailAddress": address,
        "IncomingMailServerAuthentication": "EmailAuthPassword",
        "IncomingMailServerHostName": imap[0].host,
        "IncomingMailServerPortNumber": imap[0].port,
        "IncomingMailServerUseSSL": True,
        "IncomingMailServerUsername": address,
        "OutgoingMailServerAuthentication": "EmailAuthPassword",
        "OutgoingMailServerHostName": smtp[0].host,
        "OutgoingMailServerPortNumber": smtp[0].port,
        "OutgoingMailServerUseSSL": True,
        "OutgoingMailServerUsername": address,
        "OutgoingPasswordSameAsIncomingPassword": True,
    }
    if key is not None:
        mail["IncomingPassword"] = key
    content = [mail]
    if ca is not None:
        root = _payload("com.apple.security.root", imap[0].host, "ca", "ca", f"CA of {imap[0].host}")
        content.insert(0, root | {"PayloadContent": ca})
    whole = _payload("Configuration", imap[0].host, address, "profile", address)
    whole |= {"PayloadContent": content, "PayloadDescription": f"Mail account {address} at {imap[0].host}"}
    return plistlib.dumps(whole)


def _payload(kind: str, host: str, about: str, part: str, shown: str) -> dict[str, Any]:
    made = uuid.uuid5(_OURS, f"{host} {about} {part}")
    return {
        "PayloadType": kind, "PayloadVersion": 1, "PayloadUUID": str(made).upper(),
        "PayloadIdentifier": f"{host}.{made}", "PayloadDisplayName": shown,
    }  # fmt: skip
