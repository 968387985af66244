"""A side of a connector as MailSlurp's fields say it, and as ours do. Pure.

Their two booleans for encryption may contradict each other and the port, as in their own settings for Gmail. A port
that is TLS from its first octet decides first: nothing else can work there. Where neither is said, it is encrypted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from gateway.model.errors import InvalidRequest

Leg = Literal["imap", "smtp"]
Security = Literal["tls", "starttls", "none"]
IMPLICIT: Final = frozenset({465, 993, 2465, 8993})
STARTTLS: Final = frozenset({25, 143, 587, 1143, 2525, 2587})
NOWHERE: Final = "none.invalid"
"""Stands where a connector has no server yet: theirs may be made before either side is (RFC 2606 2)."""
_MECHANISMS: Final = frozenset({"plain", "login", "cram-md5", "xoauth2", "oauthbearer"})
_PROTOCOLS: Final = {"tlsv1": "1.0", "tlsv1.0": "1.0", "tlsv1.1": "1.1", "tlsv1.2": "1.2", "tlsv1.3": "1.3"}


def security(port: int | None, ssl: bool | None, starttls: bool | None) -> Security:
    """How a connection is encrypted."""
    if port in IMPLICIT:
        return "tls"
    if ssl and starttls:
        return "starttls" if port in STARTTLS else "tls"
    if ssl:
        return "tls"
    if starttls:
        return "starttls"
    if ssl is None and starttls is None:
        return "starttls" if port in STARTTLS else "tls"
    return "none"


def leg_of(leg: Leg, given: Mapping[str, Any], *, private: bool, whole: bool = True) -> dict[str, Any]:
    """Our options of one side, from the fields that were given. `private`: it may lead into a private network.

    `whole`: nothing was said before; else what is missing stays as it is. InvalidRequest names the field.
    """

    def of(name: str, theirs: str | None = None) -> Any:
        return given.get(theirs or f"{leg}{name}")

    found: dict[str, Any] = {}
    for key, value in (
        ("host", of("Host")), ("port", of("Port")), ("user", of("Username")), ("secret", of("Password")),
        ("enabled", of("", "enabled")), ("local_name", of("", "localHostName")),
    ):  # fmt: skip
        if value is not None:
            found[key] = value
    ssl, starttls = of("Ssl"), of("", "startTls")
    if whole or ssl is not None or starttls is not None:
        found["security"] = security(of("Port"), ssl, starttls)
    found |= _tls(given.get("sslProtocols"))
    found |= _trust(given.get("sslTrust"))
    if mechanisms := _mechanisms(given.get("mechanisms" if leg == "imap" else "smtpMechanisms")):
        found["mechanism"] = mechanisms
    if given.get("proxyEnabled") and given.get("proxyHost"):
        found["proxy"] = f"socks5://{given['proxyHost']}:{given.get('proxyPort') or 1080}"
    if leg == "imap":
        found |= {"folders": [given["selectFolder"]]} if given.get("selectFolder") else {}
        found |= {"search": given["searchTerms"]} if given.get("searchTerms") else {}
    if private and "host" in found:
        found["allow_private"] = True
    return found


def _mechanisms(named: Sequence[str] | None) -> list[str]:
    """In their order of preference, without those that nobody here knows."""
    return list(dict.fromkeys(name.lower() for name in named or () if name.lower() in _MECHANISMS))


def _tls(named: Sequence[str] | None) -> dict[str, str]:
    versions = sorted(_PROTOCOLS[name.lower()] for name in named or () if name.lower() in _PROTOCOLS)
    return {"tls_min": versions[0], "tls_max": versions[-1]} if versions else {}


def _trust(text: str | None) -> dict[str, str]:
    """Certificates of CAs are taken. Names of hosts and `*` would leave certificates unchecked: they do nothing."""
    if not text or "-----BEGIN" not in text:
        return {}
    if "PRIVATE KEY" in text:
        raise InvalidRequest("sslTrust holds a private key")
    return {"ca": text}


def said_of(leg: Leg, options: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any] | None:
    """A side in their fields, without its password; None where it has none."""
    host = options.get("host") or ""
    if not host or host == NOWHERE or not (options.get("enabled") or "host" in given):
        return None
    proxy = str(options.get("proxy") or "").rpartition("//")[2].rpartition("@")[2]
    proxy_host, _, proxy_port = proxy.rpartition(":")
    theirs = {
        f"{leg}Host": host, f"{leg}Port": options["port"], f"{leg}Username": options["user"],
        f"{leg}Ssl": options["security"] == "tls", "startTls": options["security"] == "starttls",
        "enabled": options["enabled"], "localHostName": options["local_name"] or None, "proxyEnabled": bool(proxy),
        "proxyHost": proxy_host or None, "proxyPort": int(proxy_port) if proxy_port.isdigit() else None,
        "sslTrust": options["ca"] or None,
        "sslProtocols": [f"TLSv{one}" for one in ("1.0", "1.1", "1.2", "1.3")
                         if options["tls_min"] <= one <= options["tls_max"]],
        "mechanisms" if leg == "imap" else "smtpMechanisms":
            [one.upper() for one in options["mechanism"] if one != "auto"],
    }  # fmt: skip
    if leg == "imap":
        folders = options.get("folders") or []
        theirs |= {"selectFolder": folders[0] if folders else None, "searchTerms": options.get("search") or None}
    return theirs
