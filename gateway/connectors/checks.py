"""Checks of single options of a connector: each returns a reason against the value, or None."""

from __future__ import annotations

import re
import ssl
from datetime import date
from functools import lru_cache
from typing import Final

_PIN: Final = re.compile(r"[0-9a-f]{64}")
AUTO: Final = "auto"
MECHANISMS: Final = (AUTO, "plain", "login", "cram-md5", "xoauth2", "oauthbearer")
_AGE: Final = re.compile(r"[1-9][0-9]{0,4}d")


@lru_cache(32)  # asked with each look at stored options, which mostly are the same few
def is_pem(value: str) -> str | None:
    """A reason against a text that holds no certificates that OpenSSL can read."""
    if not value:
        return None
    try:
        ssl.create_default_context(cadata=value)
    except (ssl.SSLError, ValueError):
        return "is no PEM text of certificates"
    return None


def are_pins(values: tuple[str, ...]) -> str | None:
    for value in values:
        if _PIN.fullmatch(value.lower().replace(":", "")) is None:
            return f"{value!r} is no SHA-256 digest (64 hexadecimal digits)"
    return None


def are_mechanisms(values: tuple[str, ...]) -> str | None:
    """In the order of preference."""
    for value in values:
        if value not in MECHANISMS:
            return f"{value!r} is none of {', '.join(MECHANISMS)}"
    if len(set(values)) < len(values):
        return "names one twice"
    if AUTO in values[:-1]:
        return f"{AUTO} takes whatever is offered: it stands last"
    return None


def is_since(value: str) -> str | None:
    """A date, or an age in days."""
    if not value or _AGE.fullmatch(value):
        return None
    try:
        date.fromisoformat(value)
    except ValueError:
        return "is no date such as 2026-01-31 and no age such as 90d"
    return None


def is_one_word(value: str) -> str | None:
    good = value.isascii() and value.isprintable() and " " not in value
    return None if good else "is no name that can be said in EHLO"


def are_folder_patterns(values: tuple[str, ...]) -> str | None:
    """`Lists/*`, `INBOX`, or a role such as \\Sent: `*` stands for any text, `%` for one level (RFC 3501 6.3.8)."""
    for value in values:
        if not value or any(ord(char) < 32 for char in value):
            return f"{value!r} is no name or pattern of a folder"
    return None
