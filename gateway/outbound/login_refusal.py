"""Why an SMTP server refused our login, as a class that advice and events go by; from its words (pure).

The words decide only which advice is given. Whether mail waits is decided by the code alone (`verdict`).
"""

from __future__ import annotations

import json
import re
from typing import Final

from .failure import Failure

MAX_STATUS: Final = 4_096  # octets of a token's error that are read

_TOO_MANY: Final = re.compile(r"too many|rate.?limit|throttl|try again later|concurrent connections", re.IGNORECASE)
_SWITCHED_OFF: Final = re.compile(
    r"smtp_auth_disabled|smtpclientauthentication|basic authentication|security defaults"
    r"|(?:smtp|authentication|auth) (?:access )?(?:is |has been )?(?:not (?:enabled|allowed)|disabled)"
    r"|did not meet the criteria|enable (?:pop3?/)?(?:imap/)?smtp|contact your administrator",
    re.IGNORECASE,
)
_APP_PASSWORD: Final = re.compile(
    r"app(?:lication)?[- ]specific password|app password|invalidsecondfactor|authorization code"
    r"|generate.{0,20}password",
    re.IGNORECASE,
)
_NEEDS_TLS: Final = re.compile(r"starttls|encrypt|\btls\b|\bssl\b", re.IGNORECASE)
_MECHANISM: Final = re.compile(r"mechanism|unrecognized authentication type|auth(?:entication)? (?:type|method)", re.I)
_WORD: Final = re.compile(r"[\x20-\x7e]{1,200}")


def login_failure(code: int, enhanced: str | None, text: str, *, token: bool) -> Failure:
    """The class of a reply to AUTH, or of one that demands a login (RFC 4954 4, 6). `token`: we showed an access token.

    What nothing names is a refused password, or token, if it is final, and an outage of the server else.
    """
    if code in (504, 500, 502) or (code == 501 and _MECHANISM.search(text)):
        return Failure.LOGIN_DISABLED
    if enhanced == "5.7.9" or code == 534:
        if _MECHANISM.search(text) and not _APP_PASSWORD.search(text):  # RFC 4954 6: it is too weak
            return Failure.LOGIN_DISABLED
        return Failure.APP_PASSWORD_NEEDED
    if enhanced == "5.7.11" or code == 538 or (code == 530 and _NEEDS_TLS.search(text)):
        return Failure.NOT_TLS
    if 400 <= code < 500:
        return Failure.THROTTLED if code == 432 or _TOO_MANY.search(text) else Failure.UNAVAILABLE
    if enhanced == "5.7.139" or code in (535, 550, 554):
        if _SWITCHED_OFF.search(text):
            return Failure.SMTP_AUTH_DISABLED
        if _APP_PASSWORD.search(text):
            return Failure.APP_PASSWORD_NEEDED
        if _TOO_MANY.search(text):
            return Failure.LIMIT
    return Failure.AUTH_OAUTH if token else Failure.AUTH_REJECTED


def token_status(octets: bytes) -> str:
    """What a server said of a token in JSON (RFC 7628 3.2.2, and XOAUTH2's form), as words for people; "": nothing."""
    try:
        found = json.loads(octets[:MAX_STATUS])
    except (ValueError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    said = [
        f"{name} {value}"
        for name in ("status", "scope", "schemes")
        if isinstance(value := found.get(name), str) and _WORD.fullmatch(value)
    ]
    return ", ".join(said)
