"""Header fields of messages that are made here: encoding, folding, and what no value may hold. Pure.

Each function gives one whole field with its CRLF. Lines have 78 characters where words let them (RFC 5322 2.1.1), text
that is not ASCII goes as encoded words (RFC 2047) or extended parameters (RFC 2231), and only the local part of an
address goes as it is (RFC 6532): then the message needs SMTPUTF8.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from gateway.mime import decode_text, parse_addresses
from gateway.model.errors import InvalidName, InvalidRequest
from gateway.store.addresses import canonical_domain

LINE: Final = 78
LONGEST_WORD: Final = 900
"""Characters without a blank: RFC 5322 2.1.1 ends a line at 998, and its field's name stands there too."""
MAX_ADDRESS: Final = 320
"""Octets (RFC 5321 4.5.3.1)."""
MAX_TEXT: Final = 50_000
"""Characters of one value: a subject of a megabyte is none."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What ends a line for anybody, what no terminal should see, and halves of characters."""
_PLAIN: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_PIECE: Final = re.compile(r" *[^ ]+")
_NAME: Final = re.compile(r"[!-9;-~]{1,100}")
_ATOMS: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_LOCAL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u00a0-\U0010ffff.-]+")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?|\[[A-Za-z0-9:.-]{1,64}\]")
_NO_DOMAIN: Final = re.compile(r'[\s<>(),;"\\@]')
_MSG_ID: Final = re.compile(r"<[!-;=?-~]{1,900}>")
_Q_SAFE: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/")
_WORD_OCTETS: Final = 45  # of text in an encoded word of 75 characters (RFC 2047 2) in base64
_WORD_SIGNS: Final = 63  # the same in Q
_PARAMETER: Final = 60  # characters of a parameter on one line


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One address with its display name, which may be "". The domain is ASCII where the local part is."""

    address: str
    name: str = ""

    @property
    def is_ascii(self) -> bool:
        return self.address.isascii()


def checked(field: str, text: str, *, most: int = MAX_TEXT) -> str:
    """The same text. InvalidRequest: it would break out of its line, or is too long."""
    if len(text) > most:
        raise InvalidRequest(f"{field} is longer than {most} characters")
    if _CONTROL.search(text):
        raise InvalidRequest(f"{field} holds a line end or another control character")
    return text


def mailboxes(field: str, text: str) -> tuple[Mailbox, ...]:
    """The addresses of `Anna <anna@example.org>, bob@example.org`. InvalidRequest names the field."""
    try:
        octets = checked(field, text).encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{field} is no text") from None
    found = []
    for each in parse_addresses(octets):
        if each.host is None or each.route is not None or not each.mailbox or not each.host:
            raise InvalidRequest(f"{field} holds something that is no e-mail address")
        address, name = f"{each.mailbox.decode()}@{each.host.decode()}", decode_text(each.name) if each.name else ""
        if (f"<{address}>" if name else address) not in text:  # the parser guesses, which is not for mail to be sent
            raise InvalidRequest(f"{field} holds something that is no e-mail address")
        found.append(mailbox(field, address, name))
    if not found:
        raise InvalidRequest(f"{field} holds no e-mail address")
    return tuple(found)


def mailbox(field: str, address: str, name: str = "") -> Mailbox:
    """InvalidRequest: it is no address that mail can be sent to."""
    local, _, domain = checked(field, address, most=MAX_ADDRESS).strip().rpartition("@")
    if not domain.isascii() and local.isascii():
        try:
            domain = canonical_domain(domain)
        except InvalidName:
            domain = ""
    known = _LOCAL.fullmatch(local) and (_DOMAIN.fullmatch(domain) or not domain.isascii())
    made = Mailbox(f"{local}@{domain}", checked(f"{field}: the name", name, most=1000).strip())
    if not known or len(made.address.encode()) > MAX_ADDRESS or _NO_DOMAIN.search(domain):
        raise InvalidRequest(f"{field} holds something that is no e-mail address")
    return made


def unstructured(name: str, text: str) -> bytes:
    """Subject, comments, and whatever others invent. InvalidRequest."""
    checked(name, text)
    plain = _PLAIN.fullmatch(text) and "=?" not in text and max(map(len, text.split(" "))) <= LONGEST_WORD
    return _folded(name, text if plain else " ".join(_encoded(text)))


def addresses(name: str, them: Iterable[Mailbox]) -> bytes:
    return _folded(name, ", ".join([_shown(each) for each in them]))


def msg_ids(name: str, ids: Iterable[str]) -> bytes:
    """Ids with their angle brackets. InvalidRequest for what is none."""
    kept = list(ids)
    if not all(map(_MSG_ID.fullmatch, kept)):
        raise InvalidRequest(f"{name} holds something that is no message id")
    return _folded(name, " ".join(kept))


def is_msg_id(text: str) -> bool:
    return _MSG_ID.fullmatch(text) is not None


def with_parameters(name: str, value: str, parameters: Sequence[tuple[str, str]]) -> bytes:
    """A field like Content-Type (RFC 2045 5.1, RFC 2231 3, 4)."""
    lines = [f"{name}: {value}"]
    for key, text in parameters:
        for one in _parameter(key, checked(key, text, most=1000)):
            if len(lines[-1]) + len(one) + 3 <= LINE:
                lines[-1] += f"; {one}"
            else:
                lines[-1] += ";"
                lines.append(f" {one}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def field_name(name: str) -> str:
    """InvalidRequest: no field may be called so (RFC 5322 2.2)."""
    if not _NAME.fullmatch(name):
        raise InvalidRequest("A header has a name that no field may have")
    return name


def _shown(each: Mailbox) -> str:
    name = each.name
    if not name:
        return each.address
    if not _PLAIN.fullmatch(name) or "=?" in name or max(map(len, name.split(" "))) > LONGEST_WORD // 2:
        return f"{' '.join(_encoded(name))} <{each.address}>"
    if _ATOMS.fullmatch(name):
        return f"{name} <{each.address}>"
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" <{each.address}>'


def _folded(name: str, value: str) -> bytes:
    """At blanks, which stay: unfolded it is the same value again."""
    lines: list[str] = []
    line = f"{name}:"
    for piece in _PIECE.findall(f" {value}"):
        if len(line) + len(piece) > LINE and (lines or len(line) > len(name) + 1):
            lines.append(line)
            line = piece
        else:
            line += piece
    lines.append(line)
    return "\r\n".join(lines).encode() + b"\r\n"


def _encoded(text: str) -> Iterator[str]:
    """Encoded words, each of whole characters (RFC 2047 5); blanks are in them, for those between two words vanish."""
    octets = text.encode()
    special = sum(octet not in _Q_SAFE and octet != 0x20 for octet in octets)
    quoted = special * 4 <= len(octets)
    run, length = bytearray(), 0
    for char in text:
        one = char.encode()
        cost = sum(1 if octet in _Q_SAFE or octet == 0x20 else 3 for octet in one) if quoted else len(one)
        if length + cost > (_WORD_SIGNS if quoted else _WORD_OCTETS):
            yield _word(bytes(run), quoted)
            run, length = bytearray(), 0
        run += one
        length += cost
    if run:
        yield _word(bytes(run), quoted)


def _word(octets: bytes, quoted: bool) -> str:
    if not quoted:
        return f"=?utf-8?b?{binascii.b2a_base64(octets, newline=False).decode()}?="
    signs = ["_" if octet == 0x20 else chr(octet) if octet in _Q_SAFE else f"={octet:02X}" for octet in octets]
    return f"=?utf-8?q?{''.join(signs)}?="


def _parameter(key: str, text: str) -> list[str]:
    if text.isascii() and len(text) <= _PARAMETER:
        escaped = text.replace("\\", "\\\\").replace('"', '\\"')
        return [f'{key}="{escaped}"']
    signs = [quote(char, safe="") for char in text]
    parts = [""]
    for sign in signs:
        if len(parts[-1]) + len(sign) > _PARAMETER:
            parts.append("")
        parts[-1] += sign
    if len(parts) == 1:
        return [f"{key}*=utf-8''{parts[0]}"]
    parts[0] = f"utf-8''{parts[0]}"
    return [f"{key}*{number}*={part}" for number, part in enumerate(parts)]
