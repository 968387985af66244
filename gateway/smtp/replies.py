"""Domain errors -> SMTP replies: the one table. Codes are RFC 5321's and RFC 3463's; texts say what can be done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gateway.model import errors
from gateway.model.errors import GatewayError
from gateway.submit.errors import (
    BadMessage,
    Blocked,
    MailLoop,
    NoRoute,
    RateExceeded,
    UnknownRecipient,
    UrlElsewhere,
    UrlRefused,
    UrlUnavailable,
)

NEED_MAIL: Final = "503 5.5.1 Need MAIL command"
TOO_BIG: Final = "552 5.3.4 Message is too big"
AT_MAIL: Final[Mapping[type[GatewayError], str]] = {
    errors.SenderNotAuthorized: "553 5.7.1 Sender not authorized",
    errors.NoPermission: "550 5.7.1 This key may not send",
}
IN_GENERAL: Final[Mapping[type[GatewayError], str]] = {
    errors.SenderNotAuthorized: "550 5.7.1 Sender not authorized",
    errors.NoPermission: "550 5.7.1 This key may not send",
    errors.TooBig: TOO_BIG,
    errors.OverQuota: "452 4.2.2 The mailbox is full",
    errors.LimitReached: "452 4.5.3 Limit reached",
    errors.Unavailable: "451 4.3.0 Temporarily unavailable, try again later",
    errors.NotFound: "451 4.2.1 The mailbox just went away, try again",
    UnknownRecipient: "550 5.1.1 No such mailbox here",
    NoRoute: "550 5.7.1 {}",
    BadMessage: "550 5.6.0 {}",
    Blocked: "550 5.7.1 {}",
    MailLoop: "554 5.4.6 {}",
    RateExceeded: "451 4.7.1 {}",
    UrlRefused: "554 5.7.0 IMAP URL authorization failed",
    UrlElsewhere: "554 5.7.8 URL resolution requires trust relationship",
    UrlUnavailable: "554 5.6.6 IMAP URL resolution failed",
}
AT_LOGIN: Final[Mapping[type[GatewayError], str]] = {
    errors.AuthenticationFailed: "535 5.7.8 Authentication credentials invalid",
    # 454, never 535: clients forget a stored password on 535 (RFC 4954 4.7)
    errors.Throttled: "454 4.7.0 Too many failed logins, try again later",
    errors.Unavailable: "454 4.7.0 Temporary authentication failure",
}


def reply_to(error: GatewayError, *tables: Mapping[type[GatewayError], str]) -> str | None:
    """The first table that knows the error's class or a base of it; None: a defect of ours."""
    for table in (*tables, IN_GENERAL):
        for kind in type(error).__mro__:
            if kind in table:
                return table[kind].replace("{}", one_line(str(error)))
    return None


def one_line(text: str) -> str:
    """Reply text in printable ASCII: what we made ourselves, but an address in it is the client's."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)[:400]
