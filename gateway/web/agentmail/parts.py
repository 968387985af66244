"""What all nouns share: models in AgentMail's spelling, pages, times, and which part of the store a path is about."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gateway.access.caller import Caller, inbox_of, pod_of
from gateway.model.permissions import ScopeKind
from gateway.store.db import Rx
from gateway.web.api.parts import from_cursor, to_cursor
from gateway.web.large_bodies import LargeBodyRoute

T = TypeVar("T")
MOST: Final = 100
"""Items of a page, however many are asked for."""
USUAL: Final = 50


class Theirs(BaseModel):
    """What is answered, in their names of fields; what is None is left out."""

    model_config = ConfigDict(populate_by_name=True)


class Given(BaseModel):
    """What is asked. Fields that nobody knows are left alone, as their server does: newer clients send more."""

    model_config = ConfigDict(populate_by_name=True, extra="ignore")


class _Route(LargeBodyRoute):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "response_model_exclude_none": True})


def new_router() -> APIRouter:
    return APIRouter(route_class=_Route)


STORABLE: Final = r"^[^\x00]*$"
"""What any database holds."""
ClientId = Annotated[str, Field(min_length=1, max_length=255, pattern=STORABLE)]
"""A program's own name for what it makes."""
Limit = Annotated[int, Query(ge=1, description=f"Items of a page, {MOST} at most")]
PageToken = Annotated[str | None, Query(max_length=512, description="`next_page_token` of the page before")]

def listed(value: Any) -> Any:
    """Several values of a parameter: repeated, or, as the Python SDK sends them, one JSON array."""
    if not isinstance(value, list):
        return value
    found: list[Any] = []
    for one in value:
        try:
            inside = json.loads(one) if isinstance(one, str) and one.startswith("[") else one
        except (ValueError, RecursionError):
            inside = one
        found += inside if isinstance(inside, list) else [inside]
    return found


Words = Annotated[
    list[Annotated[str, Field(max_length=1000)]] | None, BeforeValidator(listed), Query(max_length=20)
]
FromWords = Annotated[
    list[Annotated[str, Field(max_length=1000)]] | None, BeforeValidator(listed), Query(alias="from", max_length=20)
]
Moment = Annotated[datetime | None, Query()]
Flag = Annotated[bool, Query()]


@dataclass(frozen=True, slots=True)
class Area:
    """The pod or inbox that a path names, if it does: /v0/pods/{pod_id}/…, /v0/inboxes/{inbox_id}/…"""

    pod: str | None = None
    inbox: str | None = None

    def of(self, rx: Rx, who: Caller) -> Caller:
        """The caller as if his key opened just that. NotFound: it lies out of what the key opens."""
        if self.pod is not None:
            who = replace(who, scope=ScopeKind.POD, pod_id=pod_of(rx, who, self.pod).id, inbox_id=None)
        if self.inbox is not None:
            inbox = inbox_of(rx, who, self.inbox)
            who = replace(who, scope=ScopeKind.INBOX, pod_id=inbox.pod_id, inbox_id=inbox.id)
        return who


async def _area(request: Request) -> Area:
    return Area(request.path_params.get("pod_id"), request.path_params.get("inbox_id"))


In = Annotated[Area, Depends(_area)]


def moment(unix: int) -> datetime:
    try:
        return datetime.fromtimestamp(unix, UTC)
    except (OverflowError, ValueError, OSError):  # a year that no calendar has: a Date field may say anything
        return datetime.fromtimestamp(0, UTC)


def unix(given: datetime | None) -> int | None:
    """Whole seconds; without a zone it is UTC."""
    if given is None:
        return None
    return int((given if given.tzinfo is not None else given.replace(tzinfo=UTC)).timestamp())


def to_token(*parts: Any) -> str:
    """An opaque text for where a page ended."""
    return to_cursor(*parts)


def from_token(token: str | None, *kinds: type) -> tuple[Any, ...] | None:
    """What `to_token` was given. InvalidRequest: it is none of ours."""
    return from_cursor(token, *kinds, name="page_token")


def paged(
    items: Sequence[T], limit: int, token: str | None, key: Callable[[T], tuple[Any, ...]],
    kinds: tuple[type, ...] = (int, str), *, rising: bool = False,
) -> tuple[list[T], dict[str, Any]]:  # fmt: skip
    """A page of what is in memory, by `key` (of `kinds`, unique), and what its answer says of it."""
    limit = min(limit, MOST)
    ordered = sorted(items, key=key, reverse=not rising)
    after = from_token(token, *kinds)
    if after is not None:
        ordered = [item for item in ordered if (key(item) > after if rising else key(item) < after)]
    found = ordered[:limit]
    more = to_token(*key(found[-1])) if len(ordered) > limit else None
    return found, {"count": len(found), "limit": limit, "next_page_token": more}
