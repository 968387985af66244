"""What a reply, or the lack of one, means for a recipient: by reply class, with the few exceptions that practice needs.

RFC 5321 4.2.1: 4yz may be tried again, 5yz may not. Texts are for people and never decide anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .failure import Failure
from .login_refusal import login_failure

_ENHANCED: Final = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?:\s|\Z)")  # RFC 2034
_TOO_MANY: Final = re.compile(r"too many|\brate\b|throttl|concurrent|exceeded", re.IGNORECASE)
_UNSAFE: Final = re.compile(r"[^\x20-\x7e\x80-\U0010ffff]+")
MAX_TEXT: Final = 500  # characters of a reply that are kept

# Replies that mean "not now" or "not in this order", whatever their first digit says.
_TRY_AGAIN: Final = frozenset({421, 432, 454, 503})
# RFC 4954 6: the relay refuses *us*, not the mail: it stays in the queue until somebody mends the login.
_LOGIN: Final = frozenset({530, 534, 535, 538})


class Stage(StrEnum):
    """How far a transaction got; a loss is judged by it."""

    ROUTE = "route"  # no server was asked
    CONNECT = "connect"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    BODY = "body"
    FINAL_DOT = "final-dot"


class Verdict(StrEnum):
    SENT = "sent"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    LOGIN = "login"  # our credentials for the relay were refused: the mail waits
    UNKNOWN = "unknown"  # lost after the final dot: the relay may have taken it
    HELD = "held"  # a rule keeps it until somebody lets it go


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one attempt for one recipient. `code` is None when there was no reply; `text` is safe to store."""

    verdict: Verdict
    stage: Stage
    code: int | None
    enhanced: str | None
    text: str
    at_once: bool = False
    """Only this transaction was full (452 4.5.3): the recipient goes into the next one without waiting."""
    notifies: bool = False
    """Sent to a server that offers DSN and was told the sender's wishes: success is its to report (RFC 3461 5.2.1)."""
    failure: Failure | None = None
    """Of the account or the server as a whole, for advice and events; None: it is about the mail. Decides nothing."""


def clean(text: str) -> str:
    """A reply text without control characters, short enough to store."""
    return _UNSAFE.sub(" ", text.encode("utf-8", "replace").decode()).strip()[:MAX_TEXT]


def of_reply(stage: Stage, code: int, text: str) -> Outcome:
    """The outcome that a reply gives. A code outside 2yz-5yz is a protocol error: temporary."""
    text = text.lstrip()
    match = _ENHANCED.match(text)
    enhanced = match.group(1) if match else None
    if enhanced is not None:  # many servers put it before each line
        text = "\n".join(line.removeprefix(enhanced).lstrip(" ") for line in text.split("\n"))
    text = clean(text)
    at_once = False
    if 200 <= code < 300:
        verdict = Verdict.SENT
    elif code in _LOGIN:
        verdict = Verdict.LOGIN
    elif code in _TRY_AGAIN or not 500 <= code < 600:
        verdict = Verdict.TEMPORARY
    else:
        verdict = Verdict.PERMANENT
    if stage is Stage.RCPT and (code == 452 or (code == 552 and enhanced in (None, "5.5.3"))):
        # RFC 5321 4.5.3.1.10: "too many recipients"; old servers say 552.
        verdict = Verdict.TEMPORARY
        at_once = enhanced in (None, "4.5.3", "5.5.3")
    failure = None
    if verdict is Verdict.LOGIN:
        failure = login_failure(code, enhanced, text, token=False)
    elif verdict is Verdict.TEMPORARY and code in (421, 432, 454):
        failure = Failure.THROTTLED if code == 432 or _TOO_MANY.search(text) else Failure.UNAVAILABLE
    return Outcome(verdict, stage, code, enhanced, text, at_once, failure=failure)


def of_loss(stage: Stage, reason: str, failure: Failure = Failure.LOST) -> Outcome:
    """The connection ended, or nobody answered in time."""
    verdict = Verdict.UNKNOWN if stage is Stage.FINAL_DOT else Verdict.TEMPORARY
    enhanced = "4.4.2" if stage is not Stage.CONNECT else "4.4.1"
    return Outcome(verdict, stage, None, enhanced, clean(reason), failure=failure)


def refused_here(stage: Stage, code: int, enhanced: str, text: str) -> Outcome:
    """A permanent refusal that we give ourselves, for the relay cannot take such mail."""
    return Outcome(Verdict.PERMANENT, stage, code, enhanced, text)
