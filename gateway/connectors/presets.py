"""What is known of providers before anybody has connected: where their servers are and what they ask of credentials.

Read from the providers' own pages (docs/connectors.md names them); none can be tried by a test. A preset only fills
what nobody gave. What a *server* does, whoever named it, is `plan`'s business, by the host that it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.model.errors import InvalidRequest

CUSTOM: Final = "custom"


@dataclass(frozen=True, slots=True)
class Preset:
    """`imap` and `smtp`: options by key. `domains`: those of addresses that are surely theirs.

    `oauth`: the name of the provider in `gateway.oauth`, where it can be used; `passwords` False: only OAuth is taken.
    `password_help`: where an app password is made, or what must be switched on first.
    """

    name: str
    title: str
    imap: Mapping[str, Any] = field(default_factory=dict)
    smtp: Mapping[str, Any] = field(default_factory=dict)
    domains: frozenset[str] = frozenset()
    oauth: str | None = None
    passwords: bool = True
    help: str = ""


def _tls(host: str) -> dict[str, Any]:
    return {"host": host, "port": 993, "security": "tls"}


def _submission(host: str, port: int = 465) -> dict[str, Any]:
    return {"host": host, "port": port, "security": "tls" if port == 465 else "starttls"}


_MICROSOFT_SENDS: Final = {"connections": 3, "per_minute": 30}
"""What Exchange Online takes of a mailbox (432 4.3.2 beyond); 10,000 recipients a day besides."""
_MADE: Final = (
    Preset(
        "google", "Gmail and Google Workspace", _tls("imap.gmail.com"), _submission("smtp.gmail.com"),
        frozenset({"gmail.com", "googlemail.com"}), oauth="google",
        help="Log in with Google (gateway connector login NAME), or make an app password, which needs 2-step "
             "verification: https://myaccount.google.com/apppasswords",
    ),
    Preset(
        "microsoft", "Microsoft 365", _tls("outlook.office365.com"),
        _submission("smtp.office365.com", 587) | _MICROSOFT_SENDS,
        oauth="microsoft", passwords=False,
        help="Microsoft takes no passwords for IMAP, app passwords neither: gateway connector login NAME",
    ),
    Preset(
        "outlook", "Outlook.com, Hotmail, Live", _tls("outlook.office365.com"),
        _submission("smtp-mail.outlook.com", 587) | _MICROSOFT_SENDS,
        frozenset({"outlook.com", "hotmail.com", "live.com", "msn.com"}), oauth="microsoft", passwords=False,
        help="Microsoft takes no passwords for IMAP, app passwords neither: gateway connector login NAME. IMAP must be "
             "switched on in the settings of Outlook.com (Mail, Forwarding and IMAP).",
    ),
    Preset(
        "yahoo", "Yahoo", _tls("imap.mail.yahoo.com"), _submission("smtp.mail.yahoo.com"),
        frozenset({"yahoo.com", "ymail.com", "rocketmail.com", "yahoo.co.uk", "yahoo.de", "yahoo.fr"}),
        help="Make an app password: https://help.yahoo.com/kb/SLN15241.html",
    ),
    Preset(
        "aol", "AOL", _tls("imap.aol.com"), _submission("smtp.aol.com"), frozenset({"aol.com"}),
        help="Make an app password: https://help.aol.com/articles/Create-and-manage-app-password",
    ),
    Preset(
        "icloud", "iCloud", _tls("imap.mail.me.com"), _submission("smtp.mail.me.com", 587),
        frozenset({"icloud.com", "me.com", "mac.com"}),
        help="Make an app-specific password: https://support.apple.com/HT204397",
    ),
    Preset(
        "fastmail", "Fastmail", _tls("imap.fastmail.com"), _submission("smtp.fastmail.com"),
        frozenset({"fastmail.com", "fastmail.fm"}), oauth="fastmail",
        help="Make an app password in Settings, Privacy & Security, of Fastmail.",
    ),
    Preset(
        "zoho", "Zoho", _tls("imap.zoho.com"), _submission("smtp.zoho.com"),
        frozenset({"zoho.com", "zohomail.com"}),
        help="Switch IMAP on in Zoho's settings; with two-factor login make an application-specific password. Other "
             "regions have hosts of their own (imap.zoho.eu, imap.zoho.in), organisations imappro.zoho.com.",
    ),
    Preset(
        "gmx", "GMX", _tls("imap.gmx.net"), _submission("mail.gmx.net"), frozenset({"gmx.de", "gmx.net", "gmx.at"}),
        help="Switch on POP3/IMAP in GMX's settings; with two-factor login make an application-specific password.",
    ),
    Preset(
        "gmx-com", "GMX.com", _tls("imap.gmx.com"), _submission("mail.gmx.com"), frozenset({"gmx.com", "gmx.us"}),
        help="Switch on POP3/IMAP in GMX's settings; with two-factor login make an application-specific password.",
    ),
    Preset(
        "web-de", "WEB.DE", _tls("imap.web.de"), _submission("smtp.web.de", 587), frozenset({"web.de"}),
        help="Switch on POP3/IMAP in WEB.DE's settings.",
    ),
    Preset(
        "mail-com", "mail.com", _tls("imap.mail.com"), _submission("smtp.mail.com"), frozenset({"mail.com"}),
        help="IMAP is part of mail.com's premium accounts.",
    ),
    Preset(
        "t-online", "Telekom", _tls("secureimap.t-online.de"), _submission("securesmtp.t-online.de"),
        frozenset({"t-online.de", "magenta.de"}),
        help="Set a password for e-mail programs in Telekom's customer centre.",
    ),
    *(
        Preset(
            name, f"NetEase {name}", _tls(f"imap.{domain}"), _submission(f"smtp.{domain}"), frozenset({domain}),
            help="Switch on IMAP; the password is the client authorisation code.",
        )
        for name, domain in (("163", "163.com"), ("126", "126.com"), ("yeah", "yeah.net"))
    ),
    Preset(
        "qq", "QQ", _tls("imap.qq.com"), _submission("smtp.qq.com"), frozenset({"qq.com", "foxmail.com"}),
        help="Switch on IMAP; the password is the authorisation code.",
    ),
    Preset(
        "mail-ru", "Mail.ru", _tls("imap.mail.ru"), _submission("smtp.mail.ru"),
        frozenset({"mail.ru", "bk.ru", "inbox.ru", "list.ru"}), help="Make a password for external applications.",
    ),
    Preset(
        "yandex", "Yandex", _tls("imap.yandex.com"), _submission("smtp.yandex.com"),
        frozenset({"yandex.ru", "yandex.com", "ya.ru"}), help="Switch on IMAP and make an app password.",
    ),
    Preset(
        "proton-bridge", "Proton Mail Bridge", {"host": "127.0.0.1", "port": 1143, "security": "starttls",
                                                "allow_private": True},
        {"host": "127.0.0.1", "port": 1025, "security": "starttls", "allow_private": True},
        help="Password and certificate are those that the Bridge shows; give the certificate as ca.",
    ),
    Preset(CUSTOM, "Any IMAP and SMTP server", {"port": 993}, {"port": 465}),
)  # fmt: skip
PRESETS: Final[Mapping[str, Preset]] = {preset.name: preset for preset in _MADE}
_BY_DOMAIN: Final = {domain: preset.name for preset in _MADE for domain in preset.domains}


def preset_named(name: str) -> Preset:
    """InvalidRequest lists those there are."""
    found = PRESETS.get(name.lower())
    if found is None:
        raise InvalidRequest(f"There is no provider {name}; it is one of {', '.join(PRESETS)}")
    return found


def provider_of(address: str) -> str:
    """The preset of an address by its domain; CUSTOM when it is nobody's that we know."""
    return _BY_DOMAIN.get(address.rpartition("@")[2].lower(), CUSTOM)
