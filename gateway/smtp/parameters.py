"""Parameters of MAIL and RCPT: two tables, a row each; what an extension adds is a row and a field.

A row says which field of the command its value becomes, how the value is read, and what is answered when it cannot be
(501). A word that is in no row, or is longer than any may be, is 555 (RFC 5321 4.1.1.11). Two rows with one field
exclude each other, as do two words of one name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .future import parse_hold_for, parse_hold_until
from .notifications import parse_envid, parse_notify, parse_orcpt, parse_ret

MAX_PARAMETER: Final = 512  # characters of one word; the longest with a limit of its own is ORCPT: 500 (RFC 3461 4.2)
_PARAMETER: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\x00-\x20\x7f]+))?\Z")
_SIZE: Final = re.compile(r"[0-9]{1,20}\Z")  # RFC 1870 4
_BODIES: Final = ("7BIT", "8BITMIME", "BINARYMIME")


class SyntaxRefused(Exception):
    """A command that the grammar does not allow; `reply` is the whole reply line."""

    def __init__(self, reply: str) -> None:
        super().__init__(reply)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Parameter:
    """`parse` is given what stands behind `=`, None without one; its None refuses. `field` "": nobody asks for it."""

    field: str
    parse: Callable[[str | None], object | None]
    syntax: str


def _size(value: str | None) -> int | None:
    return int(value) if value is not None and _SIZE.match(value) else None


def _body(value: str | None) -> str | None:
    body = (value or "").upper()
    return body if body in _BODIES else None


def _alone(value: str | None) -> bool | None:
    return True if value is None else None


MAIL: Final[Mapping[str, Parameter]] = {
    "SIZE": Parameter("size", _size, "SIZE must be a number"),  # RFC 1870
    "BODY": Parameter("body", _body, "BODY must be 7BIT, 8BITMIME or BINARYMIME"),  # RFC 6152, RFC 3030
    "SMTPUTF8": Parameter("smtputf8", _alone, "SMTPUTF8 takes no value"),  # RFC 6531
    # RFC 4954 5: any server that offers AUTH takes AUTH=; we trust no client's word about an earlier sender.
    "AUTH": Parameter("", lambda value: value, "AUTH needs a value"),
    "RET": Parameter("ret", parse_ret, "RET must be FULL or HDRS"),  # RFC 3461
    "ENVID": Parameter("envelope_id", parse_envid, "ENVID must be xtext of 100 octets at most"),
    "HOLDFOR": Parameter("hold", parse_hold_for, "HOLDFOR must be seconds"),  # RFC 4865
    "HOLDUNTIL": Parameter("hold", parse_hold_until, "HOLDUNTIL must be a time like 2027-01-31T12:00:00Z"),
}
RCPT: Final[Mapping[str, Parameter]] = {
    "NOTIFY": Parameter("notify", parse_notify, "NOTIFY must be NEVER, or some of SUCCESS, FAILURE and DELAY"),
    "ORCPT": Parameter("orcpt", parse_orcpt, "ORCPT must be a type and xtext, 500 octets at most"),
}


def read(text: str, rows: Mapping[str, Parameter]) -> dict[str, Any]:
    """The fields that the words of `text` set. SyntaxRefused with 501 or 555."""
    names: set[str] = set()
    fields: dict[str, Any] = {}
    for word in text.split():
        if len(word) > MAX_PARAMETER:
            raise SyntaxRefused("555 5.5.4 A parameter is too long")
        match = _PARAMETER.match(word)
        if match is None:
            raise SyntaxRefused("501 5.5.4 Bad parameter syntax")
        name = match.group(1).upper()
        if name in names:
            raise SyntaxRefused("501 5.5.4 A parameter may stand once only")
        names.add(name)
        row = rows.get(name)
        if row is None:
            raise SyntaxRefused("555 5.5.4 Parameter not recognized")
        value = row.parse(match.group(2))
        if value is None:
            raise SyntaxRefused(f"501 5.5.4 {row.syntax}")
        if row.field in fields:
            raise SyntaxRefused(f"501 5.5.4 {name} stands beside one that excludes it")
        if row.field:
            fields[row.field] = value
    return fields
