"""What every endpoint asks for: the services, who asks, pages and their cursors."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Query, Request
from pydantic import BaseModel, ConfigDict, TypeAdapter
from starlette.responses import Response

from gateway.access.caller import Caller
from gateway.model.errors import AuthenticationFailed, InvalidRequest
from gateway.web.audited import within
from gateway.web.services import WebServices

T = TypeVar("T")
Shown = BaseModel | Mapping[str, Any]
"""A model that is answered, or its fields under the names of JSON."""
MOST: Final = 200
"""Items of a page."""
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")
LIGHT: Final = 100
"""Weight of what is told on the loop itself: usual messages, of which each takes 10 us."""


class Strict(BaseModel):
    """A body: a field that nobody knows is a mistake, and said."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class Page(BaseModel, Generic[T]):
    """`next`: what to ask for next with `cursor`; null at the end."""

    items: list[T]
    next: str | None = None


# Dependencies are coroutines, though they wait for nothing: FastAPI has a thread call those that are not, which costs
# a request a fifth of its time.


async def _services(request: Request) -> WebServices:
    return within(request.app.state.services, request.scope)


async def _caller(request: Request) -> Caller:
    who: Caller | None = request.scope["state"].get("caller")
    if who is None:
        raise AuthenticationFailed("The request has no API key")
    return who


Services = Annotated[WebServices, Depends(_services)]
Who = Annotated[Caller, Depends(_caller)]
Limit = Annotated[int, Query(ge=1, le=MOST, description="Items of a page")]
Cursor = Annotated[str | None, Query(max_length=512, description="`next` of the page before")]


def to_cursor(*parts: Any) -> str:
    """An opaque text for where a page ended."""
    return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")


def from_cursor(cursor: str | None, *kinds: type, name: str = "cursor") -> tuple[Any, ...] | None:
    """What `to_cursor` was given. InvalidRequest: it is none of ours, or holds what no database takes."""
    if cursor is None:
        return None
    try:
        parts = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError):
        parts = None
    fits = isinstance(parts, list) and len(parts) == len(kinds)
    if not fits or not all(_is(part, kind) for part, kind in zip(parts, kinds, strict=True)):
        raise InvalidRequest(f"{name} is not one that a page gave")
    return tuple(parts)


def _is(part: Any, kind: type) -> bool:
    if type(part) is not kind:
        return False
    if isinstance(part, int):
        return abs(part) <= 2**62
    return not isinstance(part, str) or _UNSTORABLE.search(part) is None


def page_of(items: Sequence[T], limit: int, key: Any, cursor: str | None) -> Page[T]:
    """A page of what is in memory and sorted by `key`, a text that is unique."""
    after = from_cursor(cursor, str)
    left = [item for item in items if after is None or key(item) > after[0]]
    more = len(left) > limit
    return Page(items=list(left[:limit]), next=to_cursor(key(left[limit - 1])) if more else None)


async def told_page(found: Sequence[T], show: Callable[[T], Shown], following: str | None, weight: int) -> Response:
    """A page of `found`, whose fields are those of the endpoint's response model. One of more than LIGHT is made in a
    thread, item by item: the loop goes on meanwhile, whatever hostile mail is among them."""

    def made() -> bytes:
        return b'{"items":[%b],"next":%b}' % (b",".join([_octets(show(each)) for each in found]), _octets(following))

    return Response(made() if weight <= LIGHT else await asyncio.to_thread(made), media_type="application/json")


async def told(make: Callable[[], Shown], weight: int) -> Response:
    """The same for one thing."""

    def made() -> bytes:
        return _octets(make())

    return Response(made() if weight <= LIGHT else await asyncio.to_thread(made), media_type="application/json")


_ANYTHING: Final[TypeAdapter[Any]] = TypeAdapter(Any)


def _octets(value: Any) -> bytes:
    return _ANYTHING.dump_json(value, by_alias=True)
