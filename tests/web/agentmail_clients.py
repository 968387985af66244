"""AgentMail's SDK from PyPI, with nothing changed but its base URL and whose certificates it trusts."""

from __future__ import annotations

import imaplib
from collections.abc import Callable
from itertools import count
from urllib.parse import urlsplit, urlunsplit

import httpx
from agentmail import AgentMail
from agentmail.environment import AgentMailEnvironment
from agentmail.inboxes import CreateInboxRequest

from tests.support.gateway import HOST, Gateway

from .conftest import admin_key

SETTINGS = """
[web]
requests_per_second = 1000
request_burst = 5000
"""
"""Of the gateways of these modules."""
NUMBERS = count(1)
Clients = Callable[..., AgentMail]
Pair = tuple[AgentMail, str, str]


def client_of(gateway: Gateway, key: str, opened: list[httpx.Client]) -> AgentMail:
    transport = httpx.Client(verify=gateway.tls(), timeout=60, follow_redirects=True)
    opened.append(transport)
    place = AgentMailEnvironment(http=f"https://{HOST}:{gateway.web}/agentmail", websockets="")
    return AgentMail(api_key=key, environment=place, httpx_client=transport)


def new_inbox(client: AgentMail, domain: str = "mail.test") -> str:
    wanted = CreateInboxRequest(username=f"am{next(NUMBERS)}", domain=domain)
    return client.inboxes.create(request=wanted).inbox_id


def put(gateway: Gateway, address: str, octets: bytes, mailbox: str = "INBOX", flags: str = "") -> None:
    """By IMAP."""
    with gateway.imap(address, admin_key(gateway)) as client:
        assert client.append(mailbox, f"({flags})", None, octets)[0] == "OK"


def selected(gateway: Gateway, address: str, mailbox: str = "INBOX") -> imaplib.IMAP4_SSL:
    client = gateway.imap(address, admin_key(gateway))
    assert client.select(mailbox)[0] == "OK"
    return client


def fetched(gateway: Gateway, url: str) -> httpx.Response:
    """Without a key. The host that the gateway calls itself is in no DNS here."""
    parts = urlsplit(url)
    assert parts.hostname == gateway.hostname
    with httpx.Client(verify=gateway.tls()) as browser:
        return browser.get(urlunsplit(parts._replace(netloc=f"{HOST}:{gateway.web}")))
