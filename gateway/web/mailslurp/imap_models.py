"""Bodies and answers of ImapController."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .parts import Given, Theirs

Set = Annotated[str, Field(max_length=10_000)]
Words = Annotated[list[Annotated[str, Field(max_length=1000)]], Field(max_length=20)]


class ImapEmailProjection(Theirs):
    id: str
    read: bool
    created_at: datetime
    uid: int
    seq_num: int


class ImapServerFetchItem(Theirs):
    content: str
    id: str
    uid: int
    seq_num: int
    read: bool


class FetchResult(Theirs):
    result: ImapServerFetchItem | None = None


class GetResult(Theirs):
    result: ImapEmailProjection | None = None


class ListResult(Theirs):
    results: list[ImapEmailProjection]


class MailboxResult(Theirs):
    message: str | None = None
    success: bool


class ImapMailboxStatus(Theirs):
    name: str
    read_only: bool = False
    items: dict[str, int]
    flags: list[str]
    permanent_flags: list[str]
    unseen_seq_num: int
    messages: int
    recent: int = 0
    unseen: int
    uid_next: int
    uid_validity: int
    append_limit: int | None = None


class StatusResult(Theirs):
    result: ImapMailboxStatus | None = None


class ListOptions(Given):
    uid_set: Set | None = None
    seq_set: Set | None = None


class FlagsOptions(ListOptions):
    operation: Literal["ADD_FLAGS", "REMOVE_FLAGS", "SET_FLAGS", "ADD", "REMOVE", "SET"]
    flags: Words | None = None


class SearchOptions(Given):
    """All of them must hold. `header`: of Subject, From, To, Cc and Bcc."""

    seq_num: Set | None = None
    uid: Set | None = None
    since: datetime | None = None
    before: datetime | None = None
    sent_since: datetime | None = None
    sent_before: datetime | None = None
    header: Annotated[dict[str, Words], Field(max_length=20)] | None = None
    body: Words | None = None
    text: Words | None = None
    with_flags: Words | None = None
    without_flags: Words | None = None


class StatusOptions(Given):
    name: Annotated[str, Field(max_length=1000)] | None = None
    status_items: Words | None = None
