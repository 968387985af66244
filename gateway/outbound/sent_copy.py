"""Whose copy of a sent message lies in the account's Sent: the provider's, ours, or nobody's (pure).

Some providers file what goes out by their SMTP servers, others leave that to the client, and a client that guesses
wrong leaves two copies or none. What decides is the server that took the message, not what the account was called when
it was set up: many reach Gmail or Microsoft 365 by a name of their own.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class SentPolicy(StrEnum):
    """What was asked for."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class AccountCopy(StrEnum):
    """What is to be done once a message went out."""

    FILED = "filed"
    """Nothing: the provider has put it there, and sync meets it as the copy that we have already."""
    APPEND = "append"
    """Ours goes up."""
    PROBE = "probe"
    """Nobody knows: look for the Message-ID in Sent a little later (`PROBES`), append ours if it is not there, and
    remember the answer for the account."""
    NONE = "none"
    """The account's Sent is left as it is."""


PROBES: Final = (5.0, 30.0)
"""Seconds after sending at which one looks."""

# Suffixes of names of servers. Gmail's relay for companies files nothing, and is none of these.
_FILES: Final = (
    "smtp.gmail.com", "smtp.googlemail.com", "office365.com", "office365.us", "partner.outlook.cn",
    "smtp-mail.outlook.com", "prod.outlook.com", "mail.yahoo.com", "aol.com",
    "zoho.com", "zoho.eu", "zoho.in", "zoho.com.au", "zoho.jp",
    "zohocloud.ca", "zohomail.com", "yandex.com", "yandex.ru", "yandex.net",
)  # fmt: skip
_LEAVES_IT: Final = (
    "fastmail.com", "messagingengine.com", "gmx.net", "gmx.com", "gmx.de", "web.de", "smtp.mail.com", "t-online.de",
    "smtp-relay.gmail.com",
)  # fmt: skip
_MICROSOFT: Final = ("office365.com", "office365.us", "outlook.cn", "outlook.com")
_BRIDGE: Final = re.compile(r"\bproton ?mail bridge\b", re.IGNORECASE)
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?")


def files_sent(host: str, greeting: str, *, own_address: bool = True) -> bool | None:
    """Whether the provider files what this server takes; None: not known.

    `host`: as it was dialled; `greeting`: the server's first words without the code, which begin with its name.
    `own_address`: the message is from the address that we logged in with; Microsoft files in the mailbox of the login,
    which is not that of a shared or delegated sender.
    """
    first = greeting.split(" ", 1)[0]
    names = [host.lower().rstrip("."), *([first.lower()] if _NAME.fullmatch(first) else [])]
    for name in names:
        if _is_one_of(name, _LEAVES_IT):
            return False
        if _is_one_of(name, _FILES):
            return None if not own_address and _is_one_of(name, _MICROSOFT) else True
    return True if _BRIDGE.search(greeting) else None


def account_copy(
    policy: SentPolicy, host: str, greeting: str, *, own_address: bool = True, remembered: bool | None = None
) -> AccountCopy:
    """`remembered`: what a probe of this account has found (True: the provider files), None: none was made."""
    if policy is SentPolicy.NEVER:
        return AccountCopy.NONE
    if policy is SentPolicy.ALWAYS:
        return AccountCopy.APPEND
    files = files_sent(host, greeting, own_address=own_address)
    if files is None:
        files = remembered
    if files is None:
        return AccountCopy.PROBE
    return AccountCopy.FILED if files else AccountCopy.APPEND


def _is_one_of(name: str, suffixes: tuple[str, ...]) -> bool:
    return any(name == suffix or name.endswith("." + suffix) for suffix in suffixes)
