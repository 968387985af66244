"""MailSlurp's conditions on an email. Pure."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from gateway.model.errors import InvalidRequest

from .mail_models import EmailPreview
from .parts import Given

MOST_PATTERN: Final = 200
"""Characters of a pattern."""


class MatchOption(Given):
    field: Literal["SUBJECT", "TO", "BCC", "CC", "FROM", "HEADERS"]
    should: Literal["MATCH", "CONTAIN", "EQUAL", "NOT_MATCH", "NOT_CONTAIN", "NOT_EQUAL"]
    value: Annotated[str, Field(max_length=1000)]


class ConditionOption(Given):
    condition: Literal["HAS_ATTACHMENTS"]
    value: Literal["TRUE", "FALSE"]


class MatchOptions(Given):
    matches: Annotated[list[MatchOption], Field(max_length=20)] | None = None
    conditions: Annotated[list[ConditionOption], Field(max_length=5)] | None = None


def fits(email: EmailPreview, wanted: MatchOptions) -> bool:
    """Whether all of them hold, without case. InvalidRequest for what cannot be asked of lists."""
    for condition in wanted.conditions or ():
        if bool(email.attachments) != (condition.value == "TRUE"):
            return False
    return all(_holds(email, one) for one in wanted.matches or ())


def _holds(email: EmailPreview, one: MatchOption) -> bool:
    values = _values(email, one.field)
    needle = one.value.lower()
    positive = one.should.removeprefix("NOT_")
    if positive == "EQUAL":
        found = any(value.lower() == needle for value in values)
    elif positive == "CONTAIN":
        found = any(needle in value.lower() for value in values)
    else:
        found = any(_like(value.lower(), needle) for value in values)
    return found != one.should.startswith("NOT_")


def _values(email: EmailPreview, field: str) -> list[str]:
    match field:
        case "SUBJECT":
            return [email.subject or ""]
        case "FROM":
            return [email.from_ or "", email.sender.raw_value if email.sender else ""]
        case "TO":
            return email.to
        case "CC":
            return email.cc
        case "BCC":
            return email.bcc
    raise InvalidRequest("field HEADERS cannot be matched here: wait for the email, and look at its headers")


def _like(value: str, pattern: str) -> bool:
    """A pattern of which `.*` and `*` are the wildcards: an expression of a stranger may take for ever.

    InvalidRequest for any other expression.
    """
    if len(pattern) > MOST_PATTERN:
        raise InvalidRequest(f"A pattern may have {MOST_PATTERN} characters")
    at_start, at_end = pattern.startswith("^"), pattern.endswith("$")
    pieces = pattern.removeprefix("^").removesuffix("$").replace(".*", "*").split("*")
    if any(set(piece) & set("[](){}|+?\\") for piece in pieces):
        raise InvalidRequest("Of patterns only .*, ^ and $ are known here: use CONTAIN or EQUAL")
    if at_start and at_end and len(pieces) == 1:
        return value == pieces[0]
    start, end = 0, len(value)
    if at_start:
        first = pieces.pop(0)
        if not value.startswith(first):
            return False
        start = len(first)
    if at_end:
        last = pieces.pop()
        end -= len(last)
        if end < start or not value.endswith(last):
            return False
    for piece in pieces:
        place = value.find(piece, start, end)
        if place < 0:
            return False
        start = place + len(piece)
    return True
