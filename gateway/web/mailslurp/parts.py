"""What all controllers share: models in their spelling, their pages, times, and who a user is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

PREFIX: Final = "/mailslurp"
T = TypeVar("T")
Sort = Literal["ASC", "DESC"]
Index = Annotated[int, Query(ge=0, le=100_000, description="Index of the page")]
Size = Annotated[int, Query(ge=1, le=100, description="Items of a page")]
Milliseconds = Annotated[int | None, Query(ge=0, le=86_400_000)]
Moment = Annotated[datetime | None, Query()]


class Theirs(BaseModel):
    """What is answered, in their names of fields."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Given(BaseModel):
    """What is asked. Fields that nobody knows are left alone, as their server does: newer clients send more."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")


class SortObject(Theirs):
    sorted: bool = True
    empty: bool = False
    unsorted: bool = False


class Pageable(Theirs):
    offset: int
    sort: SortObject
    page_number: int
    page_size: int
    paged: bool = True
    unpaged: bool = False


class PageOf(Theirs, Generic[T]):
    content: list[T]
    pageable: Pageable
    total_pages: int
    total_elements: int
    last: bool
    first: bool
    size: int
    number: int
    sort: SortObject
    number_of_elements: int
    empty: bool


class Count(Theirs):
    total_elements: int


def page_of(items: Sequence[T], index: int, size: int, total: int) -> PageOf[T]:
    """The page `index` of `total` items, of which these are on it."""
    pages = -(-total // size)
    return PageOf(
        content=list(items),
        pageable=Pageable(offset=index * size, sort=SortObject(), page_number=index, page_size=size),
        total_pages=pages, total_elements=total, last=index + 1 >= pages, first=index == 0, size=size, number=index,
        sort=SortObject(), number_of_elements=len(items), empty=not items,
    )  # fmt: skip


def cut(items: Sequence[T], index: int, size: int) -> PageOf[T]:
    """A page of what is in memory."""
    return page_of(items[index * size : (index + 1) * size], index, size, len(items))


def at(unix: int) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def unix(moment: datetime | None) -> int | None:
    """Seconds; a time without a zone is UTC, as their clients send it."""
    if moment is None:
        return None
    return int((moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp())
