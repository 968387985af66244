"""The parameters of RFC 3461: what a sender wants to be told, of what, and by which names (RFC 6533 for UTF-8)."""

from __future__ import annotations

from typing import Final, Literal, cast

from gateway.model import xtext
from gateway.model.recipient import Notify

_WISHES: Final = {"SUCCESS": Notify.SUCCESS, "FAILURE": Notify.FAILURE, "DELAY": Notify.DELAY}


def parse_ret(value: str | None) -> Literal["FULL", "HDRS"] | None:
    """RET (4.3): what a failed DSN returns. None: refuse."""
    word = (value or "").upper()
    return cast("Literal['FULL', 'HDRS']", word) if word in ("FULL", "HDRS") else None


def parse_envid(value: str | None) -> str | None:
    """ENVID (4.4), decoded. None: refuse, for it is no xtext, too long, or hides what no report can show."""
    if not value or len(value) > xtext.MAX_ENVELOPE_ID:
        return None
    return xtext.decode(value)


def parse_notify(value: str | None) -> Notify | None:
    """NOTIFY (4.1): NEVER alone, or some of the others. None: refuse."""
    words = (value or "").upper().split(",")
    if words == ["NEVER"]:
        return Notify.NEVER
    wishes = Notify.NEVER
    for word in words:
        wish = _WISHES.get(word)
        if wish is None:
            return None
        wishes |= wish
    return wishes


def parse_orcpt(value: str | None) -> str | None:
    """ORCPT (4.2), kept as it is written, for it goes on unchanged (5.2.1). None: refuse."""
    return value if value and xtext.original(value) is not None else None
