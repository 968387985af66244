"""What a server's refusal means: its response code and its words, as one class of `Failure`.

Codes are trusted before words, but for those that hide another cause: Gmail says AUTHENTICATIONFAILED to who needs a
password for applications. Words are of the servers that are in use (Gmail, Microsoft 365, Yahoo, iCloud, Dovecot,
Cyrus, Zoho, GMX, 163, QQ, Yandex, Mail.ru); what nobody knows keeps the class of the step it came in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.outbound.failure import Failure

from .events import Code

MAX_RETRY: Final = 86_400.0
_DAY: Final = 86_400.0


class Step(Enum):
    """Where it was said; decides what unknown words mean."""

    GREETING = "greeting"
    LOGIN = "login"
    BEARER = "login with an access token"
    FOLDER = "a command that names a folder"
    COMMAND = "any other command"
    BYE = "the end of the connection"


@dataclass(frozen=True, slots=True)
class Meaning:
    failure: Failure
    retry_after: float | None = None


_UNKNOWN: Final = {
    Step.GREETING: Failure.UNAVAILABLE,
    Step.LOGIN: Failure.AUTH_REJECTED,
    Step.BEARER: Failure.AUTH_OAUTH,
    Step.FOLDER: Failure.REFUSED_COMMAND,
    Step.COMMAND: Failure.REFUSED_COMMAND,
    Step.BYE: Failure.BYE,
}
_LOGGING_IN: Final = frozenset({Step.LOGIN, Step.BEARER})

_BACKOFF: Final = re.compile(r"back-?off time:? *([0-9]{1,10}) *(milli|ms)?", re.IGNORECASE)


def _words(*texts: str) -> re.Pattern[str]:
    return re.compile("|".join(texts), re.IGNORECASE)


# First match wins. Those of any step:
_ANYWHERE: Final[tuple[tuple[re.Pattern[str], Failure], ...]] = (
    (_words("not connected", "could not be opened: mailbox.*unavailable"), Failure.MAILBOX_UNREACHABLE),
    (_words("bandwidth limit", "exceeded command or bandwidth", "download limit"), Failure.THROTTLED),
    (
        _words("throttl", "rate.?limit", "too many (requests|commands|login|failed|attempts)", "slow down",
               "try again later.*too (many|often)", "too frequent", "login frequency", "command rate"),
        Failure.THROTTLED,
    ),
    (
        _words("too many (simultaneous |concurrent |open )?(connection|session)", "maximum number of connections",
               "connection limit", "(connections?|sessions?) (limit )?exceeded", "exceeded.*(connections|sessions)"),
        Failure.LIMIT,
    ),
    (_words("over ?quota", "quota exceeded", "mailbox is full"), Failure.LIMIT),
    (
        _words("temporar", "server (is )?(unavailable|busy|error)", "service (is )?(temporarily )?(un|not )available",
               "internal (server )?error", "system (is )?(busy|error)", "backend", "maintenance", "try again later"),
        Failure.UNAVAILABLE,
    ),
)  # fmt: skip
# While logging in, before the code is believed:
_LOGIN: Final[tuple[tuple[re.Pattern[str], Failure], ...]] = (
    (
        _words("application.?specific password", r"app(lication)?[- ]?password", "password for (external )?app",
               "authori[sz]ation code", "185833", "5\\.7\\.9", "parol prilozheniya", "二次验证", "授权码"),
        Failure.APP_PASSWORD_NEEDED,
    ),
    (
        _words("not enabled for imap",
               "imap (access |service |use |protocol )?(is |has been )?(not enabled|disabled|not allowed)",
               "(yet to |please |must )enable imap", "enable your account for imap", "imap.*(is off|turned off)",
               "service is not open", "pop3?/imap.*(disabled|not enabled)", "imap/pop3?.*(disabled|not enabled)",
               "not allowed to use imap", "imap (is )?not (permitted|available) for"),
        Failure.IMAP_DISABLED,
    ),
    (
        _words("log ?in via your web browser", "web ?login required", "verify your account", "unsafe login"),
        Failure.AUTH_REJECTED,
    ),
    (
        _words("plaintext (authentication|login)s? (is )?(disallowed|disabled)", "login (is )?disabled",
               "use (tls|ssl|starttls) first"),
        Failure.LOGIN_DISABLED,
    ),
    (_words("access ?token", "token (is |has )?(expired|invalid|revoked)", "invalid_token"), Failure.AUTH_OAUTH),
)  # fmt: skip
_MISSING: Final = _words(
    "does ?n[o']t exist", "unknown (mailbox|folder)", "no such (mailbox|folder)", "nonexistent", "not exist",
    "(mailbox|folder) (was )?not found", "can't (open|find) (mailbox|folder)", "invalid (mailbox|folder)",
)  # fmt: skip

_CODES: Final = {
    "UNAVAILABLE": Failure.UNAVAILABLE,
    "SERVERBUG": Failure.UNAVAILABLE,
    "INUSE": Failure.UNAVAILABLE,
    "LIMIT": Failure.LIMIT,
    "OVERQUOTA": Failure.LIMIT,
    "THROTTLED": Failure.THROTTLED,
    "PRIVACYREQUIRED": Failure.LOGIN_DISABLED,
    "AUTHORIZATIONFAILED": Failure.MAILBOX_UNREACHABLE,
    "AUTHENTICATIONFAILED": Failure.AUTH_REJECTED,
    "EXPIRED": Failure.AUTH_REJECTED,
    "WEBALERT": Failure.AUTH_REJECTED,
    "NONEXISTENT": Failure.FOLDER_MISSING,
    "TRYCREATE": Failure.FOLDER_MISSING,
}
_OF_LOGIN: Final = frozenset({"AUTHENTICATIONFAILED", "EXPIRED", "WEBALERT", "PRIVACYREQUIRED"})
_CLEAR: Final = frozenset(
    {"NONEXISTENT", "TRYCREATE", "ALREADYEXISTS", "NOPERM", "CANNOT", "HASCHILDREN", "MESSAGELIMIT"}
)
"""Nothing in the words can add to these, and there the name of a folder may stand."""


def meaning(text: str, code: Code | None, step: Step) -> Meaning:
    """The class of a NO, BAD or BYE with these words, and how long the server asks us to stay away (seconds)."""
    wait = retry_after(text)
    if wait is not None:
        return Meaning(Failure.THROTTLED, wait)
    name = code.name if code is not None else ""
    if step in _LOGGING_IN:
        for pattern, failure in _LOGIN:
            if pattern.search(text) is not None:
                return Meaning(_of_token(failure, step))
    elif name in _OF_LOGIN:
        name = ""  # to a command it is only words; BYE with EXPIRED is a session that is over
    if name not in _CLEAR:
        for pattern, failure in _ANYWHERE:
            if pattern.search(text) is not None and not (name in _OF_LOGIN and failure is Failure.UNAVAILABLE):
                return Meaning(failure, _DAY if "bandwidth" in text.lower() else None)
    found = _CODES.get(name)
    if found is Failure.FOLDER_MISSING and step not in (Step.FOLDER, Step.COMMAND):
        found = None
    if found is not None:
        return Meaning(_of_token(found, step))
    if step is Step.FOLDER and _MISSING.search(text) is not None:
        return Meaning(Failure.FOLDER_MISSING)
    return Meaning(_UNKNOWN[step])


def retry_after(text: str) -> float | None:
    """`Suggested Backoff Time: 92415 milliseconds` (Exchange, in NO and in BAD) -> seconds."""
    found = _BACKOFF.search(text)
    if found is None:
        return None
    return min(int(found[1]) / (1000 if found[2] else 1), MAX_RETRY)


def _of_token(failure: Failure, step: Step) -> Failure:
    """A token that is refused is no wrong password."""
    return Failure.AUTH_OAUTH if step is Step.BEARER and failure is Failure.AUTH_REJECTED else failure
