"""IMAP URLs that name a message or a part of one (RFC 5092 11), also with URLAUTH (RFC 4467).

What is signed is the URL's own octets up to the mechanism (RFC 4467 6: nothing is decoded, no case folded): they are
kept.
"""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from gateway.model import names

from .fetch import BodySection
from .parse_fetch import url_section
from .tokens import MAX_NUMBER, Malformed

TO_THE_END: Final = (1 << 63) - 1
"""Count of a window without an end (RFC 5092 11 `partial-range`)."""

# achar and bchar of RFC 5092 11, with octets that careless clients leave bare.
_USER: Final = rb"[^;:@/?#\x00-\x20\x7f-\xff]"
_PATH: Final = rb"[^;?#\x00-\x20\x7f-\xff]"
_SERVER: Final = re.compile(
    rb"imap://(?:(?P<user>%b*+)(?:;AUTH=(?P<auth>\*|%b++))?@)?(?P<host>\[[0-9A-F:.]++\]|[A-Z0-9._-]++)"
    rb"(?::(?P<port>[0-9]{1,5}+))?(?=/|\Z)" % (_USER, _USER),
    re.IGNORECASE,
)
_MESSAGE: Final = re.compile(
    rb"(?:/?(?P<mailbox>%b++)(?:;UIDVALIDITY=(?P<validity>[1-9][0-9]{0,9}+))?/)?;UID=(?P<uid>[1-9][0-9]{0,9}+)"
    rb"(?:/;SECTION=(?P<section>%b++))?(?:/;PARTIAL=(?P<first>[0-9]{1,18}+)(?:\.(?P<count>[1-9][0-9]{0,17}+))?)?"
    % (b"(?:(?!/;UID=)%b)" % _PATH, b"(?:(?!/;PARTIAL=)%b)" % _PATH),
    re.IGNORECASE,
)
_AUTH: Final = re.compile(
    rb"(?P<rump>(?:;EXPIRE=(?P<expire>[0-9TZ:.+-]++))?;URLAUTH="
    rb"(?P<access>(?:submit|user)\+%b++|authuser|anonymous))(?::(?P<mechanism>[A-Z0-9.-]++):(?P<token>[0-9A-F]{32,256}+))?\Z"
    % _USER,
    re.IGNORECASE,
)
_DATE: Final = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2})T([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]++)?(?:Z|([+-])([0-9]{2}):([0-9]{2}))\Z",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Server:
    """The server part: `user` decoded, None when there is none; `host` in small letters."""

    user: str | None
    host: str


@dataclass(frozen=True, slots=True)
class Authorization:
    """`;EXPIRE=…;URLAUTH=…`: `access` in small letters before its `+`; `expires` in Unix seconds.

    `rump` is the whole URL up to what GENURLAUTH adds; `mechanism` (in capitals) and `token` are empty without that.
    """

    access: str
    user: str
    expires: int | None
    rump: bytes
    mechanism: str = ""
    token: bytes = b""


@dataclass(frozen=True, slots=True)
class MessageUrl:
    """`server` None: a relative URL. `mailbox` None: that of the base, which is the selected one (RFC 4469 3)."""

    server: Server | None
    mailbox: str | None
    uidvalidity: int | None
    uid: int
    section: BodySection
    authorization: Authorization | None = None


def parse_url(url: bytes) -> MessageUrl:
    """The message or part that `url` names. Malformed for anything else, also for URLs of whole mailboxes."""
    server = None
    at = 0
    found = _SERVER.match(url)
    if found is not None:
        at = found.end()
        user = _text(found["user"]) if found["user"] else None
        server = Server(user, found["host"].decode("ascii").lower())
    elif b"://" in url[:16] or url.startswith(b"//"):
        raise Malformed("This is no URL of an IMAP server")
    message = _MESSAGE.match(url, at + (server is not None and url[at : at + 1] == b"/"))
    if message is None:
        raise Malformed("The URL names no message")
    authorization = None
    if message.end() < len(url):
        authorization = _authorization(url, message.end())
    mailbox = None if message["mailbox"] is None else names.canonical(_text(message["mailbox"]))
    if server is not None and mailbox is None:
        raise Malformed("The URL names no mailbox")
    validity, uid = int(message["validity"] or 0), int(message["uid"])
    if max(validity, uid) > MAX_NUMBER:
        raise Malformed("A number in the URL is too large")
    section = url_section(unquote_to_bytes(message["section"] or b""), _window(message["first"], message["count"]))
    return MessageUrl(server, mailbox, validity or None, uid, section, authorization)


def _window(first: bytes | None, count: bytes | None) -> tuple[int, int] | None:
    return None if first is None else (int(first), TO_THE_END if count is None else int(count))


def _text(encoded: bytes) -> str:
    try:
        text = unquote_to_bytes(encoded).decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("A name in the URL is not UTF-8") from None
    if not text or "\x00" in text:
        raise Malformed("A name in the URL is none")
    return text


def _authorization(url: bytes, at: int) -> Authorization:
    found = _AUTH.match(url, at)
    if found is None:
        raise Malformed("Unexpected text at the end of the URL")
    access, _, user = found["access"].partition(b"+")
    mechanism = (found["mechanism"] or b"").decode("ascii").upper()
    return Authorization(
        access.decode("ascii").lower(),
        _text(user) if user else "",
        None if found["expire"] is None else _moment(found["expire"]),
        url[: found.end("rump")],
        mechanism,
        found["token"] or b"",
    )


def _moment(text: bytes) -> int:
    """RFC 3339 `date-time` -> Unix seconds."""
    found = _DATE.match(text)
    if found is None:
        raise Malformed("The URL's date is not one of RFC 3339")
    day, clock, sign, hours, minutes = (part.decode("ascii") if part else "" for part in found.groups())
    try:
        seconds = calendar.timegm(time.strptime(f"{day} {clock.replace(':60', ':59')}", "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        raise Malformed("The URL's date is none") from None
    offset = (int(hours or 0) * 60 + int(minutes or 0)) * 60
    return seconds - offset if sign == "+" else seconds + offset
