"""What is known of each provider: endpoints, scopes of IMAP and SMTP, and which ways to log in it has.

Sources: Google "Using OAuth 2.0", "IMAP OAuth"; Microsoft "Authenticate an IMAP, POP or SMTP connection using OAuth";
Fastmail "OAuth at Fastmail"; Yahoo "OAuth 2.0 guide". None of it was tried against the live services.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from gateway.model.errors import InvalidRequest
from gateway.outbound.http import PUBLIC, Reach, usable_url
from gateway.outbound.tls import certificates

_TENANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,253}")


class Way(StrEnum):
    """How an access token comes about the first time."""

    CODE = "code"  # RFC 6749 4.1 with PKCE (RFC 7636)
    DEVICE = "device"  # RFC 8628
    CLIENT_CREDENTIALS = "client_credentials"  # RFC 6749 4.4: for all mailboxes of a company
    SERVICE_ACCOUNT = "service_account"  # RFC 7523 2.1: Google's domain-wide delegation


class Leg(StrEnum):
    IMAP = "imap"
    SMTP = "smtp"


BOTH: Final = frozenset(Leg)


@dataclass(frozen=True, slots=True)
class Provider:
    """One provider, or one tenant of one."""

    name: str
    title: str
    token_url: str
    authorize_url: str = ""
    device_url: str = ""
    ways: frozenset[Way] = frozenset({Way.CODE})
    refused: Mapping[Way, str] = field(default_factory=dict)
    """Why a way is not offered, for people."""
    scopes: Mapping[Leg, str] = field(default_factory=dict)
    """What opens each protocol; consent must name them."""
    identity_scopes: tuple[str, ...] = ()
    """Asked for so that the provider says who logged in."""
    offline_scopes: tuple[str, ...] = ()
    """Asked for so that there is a refresh token."""
    own_scopes: str = ""
    """What a client asks for by itself (client credentials, service account)."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What else the authorisation URL bears."""
    issuer: str = ""
    """Of its id_tokens; a pattern where a tenant is part of it. Empty: it gives none, the login is not compared."""
    loopback: str = "127.0.0.1"
    """The host that its desktop clients may be sent back to."""
    reach: Reach = PUBLIC
    """Whether it may be in a private network, and whose certificates it has."""
    rotates: bool = False
    """Whether a refresh gives another refresh token, after which the old one may not work."""

    @property
    def identifies(self) -> bool:
        return bool(self.issuer)

    def needs(self, legs: frozenset[Leg]) -> tuple[str, ...]:
        """The scopes that a token must have for these protocols."""
        return tuple(dict.fromkeys(self.scopes[leg] for leg in sorted(legs) if self.scopes.get(leg)))

    def asks(self, legs: frozenset[Leg]) -> tuple[str, ...]:
        """The scopes that a login asks for."""
        return (*self.needs(legs), *self.offline_scopes, *self.identity_scopes)

    def missing(self, needed: tuple[str, ...], granted: str) -> tuple[str, ...]:
        """Those of the needed scopes that consent was not given to; `granted` "" means all (RFC 6749 5.1)."""
        have = {_scope(scope) for scope in granted.split()}
        return tuple(scope for scope in needed if have and _scope(scope) not in have)

    def way(self, way: Way) -> None:
        """InvalidRequest with the reason where the provider does not have it."""
        if way not in self.ways:
            reason = self.refused.get(way, "the provider does not offer it")
            raise InvalidRequest(f"{self.title}: logging in by {way.replace('_', ' ')} is not possible: {reason}")


def _scope(text: str) -> str:
    """As scopes are compared. Microsoft names one resource by two hosts, in any case."""
    return text.lower().rstrip("/").replace("://outlook.office365.com/", "://outlook.office.com/")


GOOGLE: Final = Provider(
    name="google",
    title="Google",
    token_url="https://oauth2.googleapis.com/token",  # noqa: S106
    authorize_url="https://accounts.google.com/o/oauth2/v2/auth",
    ways=frozenset({Way.CODE, Way.SERVICE_ACCOUNT}),
    refused={
        Way.DEVICE: "Google gives no mail scope to device codes; use a desktop client and paste the final address",
        Way.CLIENT_CREDENTIALS: "Google has service accounts with domain-wide delegation instead",
    },
    scopes={Leg.IMAP: "https://mail.google.com/", Leg.SMTP: "https://mail.google.com/"},
    identity_scopes=("openid", "email"),
    own_scopes="https://mail.google.com/",
    # Only a consent that is asked for anew gives a refresh token again.
    parameters={"access_type": "offline", "prompt": "consent"},
    issuer=r"(https://)?accounts\.google\.com",
)

FASTMAIL: Final = Provider(
    name="fastmail",
    title="Fastmail",
    token_url="https://api.fastmail.com/oauth/refresh",  # noqa: S106
    authorize_url="https://api.fastmail.com/oauth/authorize",
    scopes={
        Leg.IMAP: "https://www.fastmail.com/dev/protocol-imap",
        Leg.SMTP: "https://www.fastmail.com/dev/protocol-smtp",
    },
    rotates=True,
)


def _yahoo(name: str, title: str, host: str) -> Provider:
    return Provider(
        name=name,
        title=title,
        token_url=f"https://{host}/oauth2/get_token",
        authorize_url=f"https://{host}/oauth2/request_auth",
        scopes={Leg.IMAP: "mail-w", Leg.SMTP: "mail-w"},
        refused={Way.DEVICE: "it has no device codes"},
    )


YAHOO: Final = _yahoo("yahoo", "Yahoo", "api.login.yahoo.com")
AOL: Final = _yahoo("aol", "AOL", "api.login.aol.com")

_CLOUDS: Final[Mapping[str, tuple[str, str]]] = {
    "": ("login.microsoftonline.com", "outlook.office.com"),
    "us": ("login.microsoftonline.us", "outlook.office365.us"),
    "cn": ("login.partner.microsoftonline.cn", "partner.outlook.cn"),
}
_ANYBODY: Final = frozenset({"common", "consumers", "organizations"})


def microsoft(tenant: str = "common") -> Provider:
    """`tenant`: an id or domain, common, consumers or organizations; `us/…` and `cn/…` are the national clouds."""
    cloud, slash, name = tenant.rpartition("/")
    if (slash and cloud not in _CLOUDS) or not _TENANT.fullmatch(name):
        raise InvalidRequest("A Microsoft tenant is an id, a domain, common, consumers or organizations")
    login, mail = _CLOUDS[cloud]
    base = f"https://{login}/{name}/oauth2/v2.0"
    several = name in _ANYBODY
    return Provider(
        name="microsoft",
        title="Microsoft",
        token_url=f"{base}/token",
        authorize_url=f"{base}/authorize",
        device_url=f"{base}/devicecode",
        ways=frozenset({Way.CODE, Way.DEVICE} if several else {Way.CODE, Way.DEVICE, Way.CLIENT_CREDENTIALS}),
        refused={
            Way.CLIENT_CREDENTIALS: f'it needs the id of a tenant, not "{name}"',
            Way.SERVICE_ACCOUNT: "Microsoft has client credentials instead",
        },
        scopes={Leg.IMAP: f"https://{mail}/IMAP.AccessAsUser.All", Leg.SMTP: f"https://{mail}/SMTP.Send"},
        identity_scopes=("openid", "profile", "email"),
        offline_scopes=("offline_access",),
        own_scopes="https://outlook.office365.com/.default" if not cloud else f"https://{mail}/.default",
        issuer=rf"https://{re.escape(login)}/[0-9a-f-]{{36}}/v2\.0",
        loopback="localhost",
        rotates=True,
    )


def custom(
    *,
    token_url: str,
    authorize_url: str = "",
    device_url: str = "",
    imap_scope: str = "",
    smtp_scope: str = "",
    scopes: str = "",
    issuer: str = "",
) -> Provider:
    """A provider that is not in the table. `scopes`: more of them, joined by blanks. InvalidRequest for bad URLs."""
    for url in filter(None, (token_url, authorize_url, device_url)):
        usable_url(url)
    if not token_url:
        raise InvalidRequest("A provider of one's own needs the URL of its token endpoint")
    ways = {Way.CLIENT_CREDENTIALS}
    if authorize_url:
        ways.add(Way.CODE)
    if device_url:
        ways.add(Way.DEVICE)
    more = tuple(scopes.split())
    return Provider(
        name="custom",
        title="The provider",
        token_url=token_url,
        authorize_url=authorize_url,
        device_url=device_url,
        ways=frozenset(ways),
        refused={Way.CODE: "the URL of its login page is not set", Way.DEVICE: "the URL for device codes is not set"},
        scopes={Leg.IMAP: imap_scope, Leg.SMTP: smtp_scope},
        identity_scopes=tuple(scope for scope in more if scope in {"openid", "email", "profile"}),
        offline_scopes=tuple(scope for scope in more if scope not in {"openid", "email", "profile"}),
        own_scopes=" ".join(dict.fromkeys(filter(None, (imap_scope, smtp_scope)))) or " ".join(more),
        issuer=re.escape(issuer),
        rotates=True,
    )


ENDPOINTS: Final = frozenset(
    {"token_url", "authorize_url", "device_url", "imap_scope", "smtp_scope", "scopes", "issuer", "allow_private", "ca"}
)
"""What can be set of a provider that is not known; of a known one the URLs and the issuer.

Of all `allow_private`, "yes" for one in a private network, and `ca`, its CA's certificates in PEM.
"""
ALLOWED: Final = "yes"
NAMES: Final = ("google", "microsoft", "fastmail", "yahoo", "aol", "custom")


def provider(name: str, tenant: str = "", endpoints: Mapping[str, str] | None = None) -> Provider:
    """By name; `endpoints` are `custom`'s arguments, which may also put other URLs in place of a known provider's.

    InvalidRequest for an unknown name or a bad URL.
    """
    given = dict(endpoints or {})
    if unknown := given.keys() - ENDPOINTS:
        raise InvalidRequest(f"No such endpoint: {min(unknown)}; there are {', '.join(sorted(ENDPOINTS))}")
    reach = _reach(given.pop("allow_private", ""), given.pop("ca", ""))
    if name == "custom":
        return replace(custom(**{"token_url": "", **given}), reach=reach)
    known = {"google": GOOGLE, "fastmail": FASTMAIL, "yahoo": YAHOO, "aol": AOL}
    if name == "microsoft":
        found = microsoft(tenant or "common")
    elif name in known:
        found = known[name]
    else:
        raise InvalidRequest(f"No such provider: {name}; there are {', '.join(NAMES)}")
    places = {key: given[key] for key in ("token_url", "authorize_url", "device_url") if given.get(key)}
    for url in places.values():
        usable_url(url)
    if given.get("issuer"):
        places["issuer"] = re.escape(given["issuer"])
    return replace(found, reach=reach, **places)  # type: ignore[arg-type]


def _reach(allow_private: str, ca: str) -> Reach:
    """InvalidRequest."""
    if allow_private not in ("", ALLOWED):
        raise InvalidRequest(f'allow_private is "{ALLOWED}" or nothing')
    if ca and certificates(ca) != ca:
        raise InvalidRequest("The CA is no PEM text of certificates")
    return Reach(bool(allow_private), ca or None)
