"""What Microsoft's AADSTS codes and Google's words mean for whoever can act, and which class of failure each is.

Microsoft puts nearly everything under `invalid_grant`; the number in its description tells a password change from a
consent that an administrator must give (learn.microsoft.com, "Microsoft Entra authentication error codes").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    REAUTH = "reauth"
    APP = "app"
    TRANSIENT = "transient"


_CODE: Final = re.compile(r"\bAADSTS(\d{4,7})\b")
_ADMIN: Final = "an administrator of the tenant must"

AADSTS: Final[Mapping[str, tuple[Verdict, str]]] = {
    "50034": (Verdict.REAUTH, "no such user in this tenant: check address and tenant"),
    "50053": (Verdict.REAUTH, "the account is locked after wrong passwords, or its address is blocked: log in again "
                              "later"),
    "50055": (Verdict.REAUTH, "the account's password has expired: change it, then log in again"),
    "50057": (Verdict.REAUTH, f"the account is disabled: {_ADMIN} enable it"),
    "50058": (Verdict.REAUTH, "nobody is logged in: log in again"),
    "50059": (Verdict.APP, "the tenant is not known: set the tenant's id"),
    "50072": (Verdict.REAUTH, "the account must set up multi-factor authentication: log in again with a browser"),
    "50074": (Verdict.REAUTH, "multi-factor authentication is asked for: log in again with a browser"),
    "50076": (Verdict.REAUTH, "multi-factor authentication is asked for, by a new rule or from a new place: log in "
                              "again with a browser; an administrator can except this application"),
    "50078": (Verdict.REAUTH, "the multi-factor login has expired by the tenant's rules: log in again"),
    "50079": (Verdict.REAUTH, "the account must set up multi-factor authentication: log in again with a browser"),
    "50089": (Verdict.REAUTH, "the login has expired: log in again"),
    "50105": (Verdict.REAUTH, f"the account is not assigned to the application: {_ADMIN} assign it"),
    "50126": (Verdict.REAUTH, "wrong user name or password: log in again"),
    "50128": (Verdict.APP, "no such tenant: set the tenant's id"),
    "50132": (Verdict.REAUTH, "the password was changed or sessions were revoked: log in again"),
    "50133": (Verdict.REAUTH, "the password was changed: log in again"),
    "50158": (Verdict.REAUTH, "conditional access asks for something more: log in again with a browser"),
    "50173": (Verdict.REAUTH, "the password was changed or sessions were revoked: log in again"),
    "50194": (Verdict.APP, "the application is of one tenant only: set that tenant's id instead of common"),
    "50196": (Verdict.TRANSIENT, "the provider sees the same request too often"),
    "51004": (Verdict.REAUTH, "no such user in this tenant: check address and tenant"),
    "53000": (Verdict.REAUTH, f"conditional access asks for a managed device: {_ADMIN} except this application"),
    "53001": (Verdict.REAUTH, f"conditional access asks for a joined device: {_ADMIN} except this application"),
    "53003": (Verdict.REAUTH, f"conditional access blocks the login: {_ADMIN} allow this application"),
    "54005": (Verdict.REAUTH, "the code was used already: log in again"),
    "65001": (Verdict.REAUTH, "consent was not given, or was withdrawn: log in again, or an administrator of the "
                              "tenant must consent for all"),
    "65004": (Verdict.REAUTH, "consent was declined: log in again and accept"),
    "70000": (Verdict.REAUTH, "the grant is not valid any more: log in again"),
    "70002": (Verdict.APP, "the application's credentials are refused"),
    "70008": (Verdict.REAUTH, "the login has expired, for it was not used for long: log in again"),
    "70011": (Verdict.APP, "the scope is not valid for this application: check its API permissions"),
    "70043": (Verdict.REAUTH, "conditional access limits how long a login lasts (sign-in frequency), and it is over: "
                              "log in again; an administrator can except this application"),
    "90002": (Verdict.APP, "no such tenant: set the tenant's id"),
    "90009": (Verdict.APP, "the application asks for itself: check client id and scope"),
    "90033": (Verdict.TRANSIENT, "the provider has an outage"),
    "90094": (Verdict.REAUTH, f"{_ADMIN} consent to this application"),
    "90100": (Verdict.APP, "the login's parameters are refused"),
    "700003": (Verdict.REAUTH, "the device is not known any more: log in again"),
    "700016": (Verdict.APP, "the application is not known in this tenant: check client id and tenant"),
    "700027": (Verdict.APP, "the certificate is not registered with the application, or its clock differs"),
    "700054": (Verdict.APP, "the application may not use this way to log in: check its authentication settings"),
    "700081": (Verdict.REAUTH, "the login has ended, it lasts a fixed time only: log in again"),
    "700082": (Verdict.REAUTH, "the login has expired, for it was not used for 90 days: log in again"),
    "700084": (Verdict.REAUTH, "the login lasts 24 hours only, for the application is registered as a single page: "
                               "register it as a desktop or web application, then log in again"),
    "7000112": (Verdict.APP, "the application is disabled in the tenant"),
    "7000215": (Verdict.APP, "the client secret is wrong: give its value, not its id"),
    "7000218": (Verdict.APP, "the application is registered as a confidential client: give its secret, or allow "
                             "public client flows"),
    "7000222": (Verdict.APP, "the client secret has expired: make a new one at the provider and set it"),
    "9002313": (Verdict.APP, "the request is refused as malformed: check client id and tenant"),
}  # fmt: skip


def aadsts(description: str) -> tuple[str, Verdict | None, str]:
    """("AADSTS65001", what it means, advice) of an error's description; ("", None, "") when there is no such code."""
    found = _CODE.search(description)
    if found is None:
        return "", None, ""
    verdict, text = AADSTS.get(found[1], (None, ""))
    return f"AADSTS{found[1]}", verdict, text


GOOGLE_GRANT: Final = (
    "log in again. Usual causes: the application's consent screen is in \"Testing\" (then each login ends after 7 "
    "days: publish it or make it internal), the password was changed, access was revoked, or six months without use"
)
ANY_GRANT: Final = "the login has expired or was revoked: log in again"
SERVICE_ACCOUNT: Final = (
    "an administrator must allow the service account's client id the scope https://mail.google.com/ (Admin console, "
    "Security, API controls, Domain-wide delegation)"
)
GOOGLE_USER: Final = "the domain has no such user, or it is suspended"

_OPAQUE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{20,}")
_MOST: Final = 200


def clean(text: str, sent: Iterable[str] = ()) -> str:
    """A peer's words as they may be shown: one short line without what we `sent` or anything that might be a token."""
    for secret in sorted(filter(None, sent), key=len, reverse=True):
        text = text.replace(secret, "…")
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text[: 4 * _MOST]).split())
    return _OPAQUE.sub("…", line)[:_MOST]
