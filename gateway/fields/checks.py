"""Checks of single values: each returns a reason against the value, or None. The loader puts file and key before it."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

PROXY_SCHEMES: Final = ("socks5", "socks5h", "http")


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


def is_mode(value: str) -> str | None:
    """A reason against a text that is no file mode in octal digits."""
    good = len(value) in (3, 4) and all(digit in "01234567" for digit in value) and int(value, 8) <= 0o777
    return None if good else "is no file mode such as 0660"


def is_socket_path(value: str) -> str | None:
    """A reason against a path at which no Unix socket can be; an empty one is none at all."""
    if value and (not value.startswith("/") or value.endswith("/") or "\0" in value):
        return "is no absolute path of a file"
    return "is longer than the 100 octets that a Unix socket's path may have" if len(value.encode()) > 100 else None


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


def is_web_address(value: str) -> str | None:
    """A reason against a text that is not a scheme and a host, with a port perhaps; an empty one is none at all."""
    if not value:
        return None
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        whole = False
    if not whole or parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc:
        return 'is no address such as "https://mail.example.org"'
    return None


def are_host_ports(values: tuple[str, ...]) -> str | None:
    """A reason against a text that is neither `host` nor `host:port` (`[::1]:25` for an IPv6 address)."""
    for value in values:
        try:
            host, _ = host_port(value, 1)
        except ValueError:
            return f"{value!r} is no host name, and no host:port"
        if not host or is_host(host):
            return f"{value!r} is no host name, and no host:port"
    return None


def host_port(text: str, port: int) -> tuple[str, int]:
    """`host`, `host:port`, an IPv6 address, or one in brackets with a port; `port` where none is given. ValueError."""
    if text.startswith("["):
        host, closing, rest = text[1:].partition("]")
        if not closing or (rest and not rest.startswith(":")):
            raise ValueError("no closing bracket")
        number = rest[1:]
    elif text.count(":") == 1:
        host, _, number = text.partition(":")
        if not number:
            raise ValueError("no port")
    else:
        host, number = text, ""
    if ":" in host:
        ipaddress.IPv6Address(host)
    if number and not (number.isascii() and number.isdecimal() and 1 <= int(number[:6]) <= 65535):
        raise ValueError("no port")
    return host, int(number) if number else port


def is_name(value: str) -> str | None:
    """A reason against a name that would not stand well in logs and commands; an empty one is none at all."""
    word = value.replace("-", "").replace("_", "")
    good = not value or (word.isascii() and word.isalnum() and len(value) <= 64)
    return None if good else "is no name of letters, digits, - and _"


def are_patterns(values: tuple[str, ...]) -> str | None:
    """Which addresses a route is for: "*", an address, a domain, or .domain for all below it."""
    for value in values:
        if value in ("*", "<>"):
            continue
        local, at, domain = value.rpartition("@")
        if not at:
            domain = domain.removeprefix(".")
        if is_host(domain) or not domain or domain.startswith(".") or "*" in value or (at and not local):
            return f'{value!r} is no address, no domain, no .domain and not "*"'
    return None


def is_mail_address(value: str) -> str | None:
    if value and (value.count("@") != 1 or value.startswith("@") or value.endswith("@") or " " in value):
        return "is no mail address"
    return None


def is_proxy(value: str) -> str | None:
    """A reason against a text that is no proxy's URL; an empty one is none at all."""
    if not value:
        return None
    try:
        parts = urlsplit(value)
        good = _is_bare(parts) and bool(parts.port) and not is_host(parts.hostname or "")
    except ValueError:
        good = False
    return None if good else "is no proxy such as socks5://proxy.example:1080 or http://user@proxy.example:3128"


def _is_bare(parts: SplitResult) -> bool:
    """A scheme and a host and no more; a password has a setting of its own, which no list shows."""
    more = parts.path not in ("", "/") or parts.query or parts.fragment or parts.password
    return parts.scheme in PROXY_SCHEMES and bool(parts.hostname) and not more
