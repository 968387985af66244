"""Checks of single values: each returns a reason against the value, or None. The loader puts file and key before it."""

from __future__ import annotations

import ipaddress


def is_address(value: str) -> str | None:
    """A reason against a text that is no IP address; listeners bind addresses, not names."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "is no IP address"
    return None


def are_networks(values: tuple[str, ...]) -> str | None:
    for value in values:
        try:
            ipaddress.ip_network(value)
        except ValueError:
            return f"{value!r} is no network such as 192.0.2.0/24"
    return None


def is_host(value: str) -> str | None:
    if value and (value != value.strip() or any(char.isspace() or ord(char) < 32 or char in "/@" for char in value)):
        return "is no host name"
    return None


def are_hosts(values: tuple[str, ...]) -> str | None:
    return next((f"{value!r} is no host name" for value in values if not value or is_host(value)), None)


def is_database(value: str) -> str | None:
    if value and not value.startswith(("sqlite:///", "postgresql://")):
        return "must start with sqlite:/// or postgresql://"
    return None


def is_uri(value: str) -> str | None:
    """A reason against a text that has no scheme; an empty one is none at all."""
    scheme, colon, rest = value.partition(":")
    if value and not (colon and rest and scheme[:1].isalpha() and value.isascii() and value.isprintable()):
        return "is no URI"
    return None


def is_mail_address(value: str) -> str | None:
    if value and (value.count("@") != 1 or value.startswith("@") or value.endswith("@") or " " in value):
        return "is no mail address"
    return None
