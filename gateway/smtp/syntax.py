"""The grammar of commands (RFC 5321 4.1, RFC 6531) without sockets; parameters are `parameters`'."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from gateway.model.recipient import Recipient

from .future import Hold
from .parameters import MAIL, RCPT, SyntaxRefused, read

MAX_ADDRESS: Final = 320  # octets: 64 of the local part, "@", 255 of the domain (RFC 5321 4.5.3.1)

# RFC 5321 4.1.2, RFC 6531 3.3: the usual form, one regex. Source routes are dropped (RFC 5321 4.1.1.3).
_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]"
_DOTTED: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff.-]+"
_LABELS: Final = r"[A-Za-z0-9\x80-\U0010ffff](?:[A-Za-z0-9_.\x80-\U0010ffff-]*[A-Za-z0-9\x80-\U0010ffff])?\.?"
_DOMAIN: Final = rf"(?:{_LABELS}|\[[A-Za-z0-9:.-]{{1,64}}\])"
_ROUTE: Final = r"(?:@[^<>@:, ]+(?:,@[^<>@:, ]+)*:)?"
_QUOTED: Final = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
# Real addresses have dots where the grammar has none (two in a row, one before the @): they are taken as they stand.
_LOCAL: Final = rf"(?:{_DOTTED}|{_QUOTED})"
_PATH: Final = re.compile(rf"<{_ROUTE}({_LOCAL})(?:@({_DOMAIN}))?>[ \t]*")
_NULL_PATH: Final = re.compile(r"<[ \t]*>[ \t]*")
_BARE: Final = re.compile(rf"({_LOCAL})@({_DOMAIN})(?=[ \t]|\Z)[ \t]*")  # devices that know no brackets
_QUOTED_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_DOT_ATOM: Final = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*\Z")


@dataclass(frozen=True, slots=True)
class MailCommand:
    """MAIL FROM. `address` is "" for the null reverse-path; `size` is 0 when not declared; `envelope_id` is decoded."""

    address: str
    size: int = 0
    body: Literal["7BIT", "8BITMIME", "BINARYMIME"] = "7BIT"
    smtputf8: bool = False
    envelope_id: str | None = None
    ret: Literal["FULL", "HDRS"] | None = None
    hold: Hold | None = None


def split_command(line: bytes) -> tuple[str, bytes]:
    """(verb in upper case, argument without blanks around it). A verb that is no word is ""; never fails."""
    verb, _, argument = line.strip(b" \t\r\n").partition(b" ")
    if not verb.isalnum() or len(verb) > 16:
        return "", b""
    return verb.decode("ascii", "replace").upper(), argument.strip(b" \t")


def parse_mail(argument: bytes) -> MailCommand:
    """`FROM:<path> parameters`. SyntaxRefused with 501, 553 or 555."""
    address, rest = _path(_after(argument, "FROM:"), "501 5.1.7 Bad sender address syntax", null_allowed=True)
    mail = MailCommand(address, **read(rest, MAIL))
    _require_utf8(address, mail.smtputf8)
    return mail


def parse_rcpt(argument: bytes, *, smtputf8: bool) -> Recipient:
    """`TO:<path> parameters`. A path without a domain is `postmaster` only (RFC 5321 4.5.1). SyntaxRefused."""
    address, rest = _path(_after(argument, "TO:"), "501 5.1.3 Bad recipient address syntax", null_allowed=False)
    recipient = Recipient(address, **read(rest, RCPT))
    _require_utf8(address + (recipient.orcpt or ""), smtputf8)
    return recipient


def valid_helo(argument: bytes) -> str | None:
    """The client's name for itself: anything printable, for they send what they like (`EHLO My PC`). None: refuse."""
    if not argument or len(argument) > 255 or any(octet < 32 or octet == 127 for octet in argument):
        return None
    return argument.decode("utf-8", "replace")


def _after(argument: bytes, keyword: str) -> str:
    try:
        text = argument.decode("utf-8")
    except UnicodeDecodeError:
        raise SyntaxRefused("501 5.5.2 An address must be UTF-8") from None
    head = text[: len(keyword)]
    if head.upper() != keyword:
        raise SyntaxRefused(f"501 5.5.4 Syntax: {keyword}<address>")
    return text[len(keyword) :].lstrip(" \t")


def _path(text: str, refusal: str, *, null_allowed: bool) -> tuple[str, str]:
    if null_allowed and (match := _NULL_PATH.match(text)):
        return "", text[match.end() :]
    match = _PATH.match(text) or _BARE.match(text)
    if match is None:
        raise SyntaxRefused(refusal)
    local, domain = match.group(1), match.group(2)
    if local.startswith('"'):
        plain = _QUOTED_PAIR.sub(r"\1", local[1:-1])
        if _DOT_ATOM.match(plain):
            local = plain  # "joe"@x and joe@x are one address (RFC 5321 4.1.2)
    if domain is None:
        if null_allowed or local.lower() != "postmaster":
            raise SyntaxRefused(refusal)
        return local, text[match.end() :]
    address = f"{local}@{domain.removesuffix('.')}"
    if len(address.encode()) > MAX_ADDRESS:
        raise SyntaxRefused(refusal)
    return address, text[match.end() :]


def _require_utf8(address: str, smtputf8: bool) -> None:
    if not smtputf8 and not address.isascii():
        raise SyntaxRefused("553 5.6.7 A non-ASCII address needs SMTPUTF8")  # RFC 6531 3.5
