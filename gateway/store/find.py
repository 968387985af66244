"""Messages of a mailbox by what stands in their rows: conditions as values, which the database tests itself."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from gateway.model.ids import MailboxId

from .db import Rx
from .statements import Stmt

MAX_CONDITIONS: Final = 50
"""Leaves of one condition; SQLite refuses expressions of a depth of 1,000."""


class Field(Enum):
    SIZE = "m.size"
    INTERNAL_DATE = "m.internal_date"
    SAVE_DATE = "m.save_date"
    EMAIL_ID = "m.email_id"
    THREAD_ID = "m.thread_id"


@dataclass(frozen=True, slots=True)
class Between:
    """`low` <= field < `high`; None: no such bound."""

    field: Field
    low: int | None
    high: int | None


@dataclass(frozen=True, slots=True)
class Is:
    field: Field
    value: str


@dataclass(frozen=True, slots=True)
class Every:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    parts: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Condition


Condition = Between | Is | Every | Some | Not


def size(condition: Condition) -> int:
    """How many leaves it has."""
    if isinstance(condition, Every | Some):
        return sum(size(part) for part in condition.parts)
    return size(condition.part) if isinstance(condition, Not) else 1


def matching(rx: Rx, mailbox_id: MailboxId, condition: Condition, uids: Sequence[int]) -> array[int]:
    """Those of `uids`, which rise, that exist and meet `condition`. A page is some thousands of them."""
    if not uids:
        return array("I")
    low, high = uids[0], uids[-1]
    params: dict[str, Any] = {"mailbox": mailbox_id}
    text = _text(condition, params)
    if high - low < 4 * len(uids):
        members = "m.uid BETWEEN :low AND :high"
        params.update(low=low, high=high)
    else:
        members = "m.uid IN :LIST(uids)"
        params["uids"] = uids
    rows = rx.all(
        Stmt(f"SELECT m.uid FROM message AS m WHERE m.mailbox_id = :mailbox AND {members} AND {text} ORDER BY m.uid"),
        **params,
    )
    if "low" in params and len(uids) != high - low + 1:
        asked = set(uids)
        return array("I", [row[0] for row in rows if row[0] in asked])
    return array("I", [row[0] for row in rows])


def _text(condition: Condition, params: dict[str, Any]) -> str:
    if isinstance(condition, Between):
        bounds = [("<", condition.high), (">=", condition.low)]
        return " AND ".join(
            f"{condition.field.value} {sign} {_bind(params, bound)}" for sign, bound in bounds if bound is not None
        )
    if isinstance(condition, Is):
        return f"{condition.field.value} = {_bind(params, condition.value)}"
    if isinstance(condition, Not):
        return f"NOT ({_text(condition.part, params)})"
    word = " AND " if isinstance(condition, Every) else " OR "
    return "(" + word.join(f"({_text(part, params)})" for part in condition.parts) + ")"


def _bind(params: dict[str, Any], value: int | str) -> str:
    name = f"v{len(params)}"
    params[name] = value
    return f":{name}"
