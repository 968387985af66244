"""What is done by hand in the account of a connector; results carry UIDs with their UIDVALIDITY."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from gateway.access.caller import Caller
from gateway.model.errors import InvalidRequest
from gateway.web import connecting, telling
from gateway.web.services import Json, WebServices

from .parts import Services, Strict, Who

router = APIRouter(
    prefix="/api/v1/connectors/{connector}/remote", tags=["remote"],
    responses={409: {"description": "The account is switched off"}},
)  # fmt: skip

MailboxName = Annotated[str, Field(min_length=1, max_length=1000, examples=["INBOX", "Lists/news", "\\Trash"])]
MailboxQuery = Annotated[str, Query(min_length=1, max_length=1000, description="Name, or a role such as \\Trash")]
Messages = Annotated[str, Field(min_length=1, max_length=20_000, examples=["5", "3:9", "1,4,7:*"])]
Validity = Annotated[int, Field(ge=1, lt=2**32, description="Nothing is done unless UIDs are of this UIDVALIDITY")]
_EPOCH = date(1970, 1, 1)
_CHUNK = 65_536


class Folder(BaseModel):
    mailbox: str
    role: str | None
    delimiter: str | None
    selectable: bool
    messages: int | None
    unseen: int | None
    uidvalidity: int | None
    uidnext: int | None
    size: int | None
    id: str | None


class Facts(BaseModel):
    """`date`: RFC 3339."""

    uid: int
    date: str | None
    sender: Annotated[str | None, Field(serialization_alias="from", validation_alias="from")]
    to: str | None
    subject: str | None
    message_id: str | None
    flags: list[str]
    size: int | None


class Found(BaseModel):
    """`total`: of all that fit; `more`: ask again with `below` = the last UID."""

    mailbox: str
    uidvalidity: int
    total: int
    more: bool
    uids: list[int]
    messages: list[Facts]


class SearchFor(Strict):
    """`since`, `before`: days. `terms`: further criteria of IMAP's SEARCH. The newest first."""

    mailbox: MailboxName = "INBOX"
    sender: Annotated[str | None, Field(alias="from", max_length=1000)] = None
    to: Annotated[str, Field(max_length=1000)] | None = None
    subject: Annotated[str, Field(max_length=1000)] | None = None
    text: Annotated[str, Field(max_length=1000)] | None = None
    seen: bool | None = None
    since: date | None = None
    before: date | None = None
    terms: Annotated[str, Field(max_length=2000)] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    below: Annotated[int, Field(ge=1, lt=2**32)] | None = None
    uidvalidity: Validity | None = None


class Pick(Strict):
    """`messages`: positions, 1 the oldest and `*` the newest, or with `by_uid` UIDs."""

    mailbox: MailboxName
    messages: Messages
    by_uid: bool = False
    uidvalidity: Validity | None = None


class Carry(Pick):
    to: MailboxName


class Delete(Strict):
    """`messages`: UIDs. To the account's Trash, or with `permanent` for good."""

    mailbox: MailboxName
    messages: Messages
    permanent: bool = False
    uidvalidity: Validity | None = None


class Flag(Pick):
    how: Literal["add", "remove", "set"]
    flags: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=100)]


class Mailbox(Strict):
    mailbox: MailboxName


class Rename(Strict):
    mailbox: MailboxName
    to: MailboxName
    uidvalidity: Validity | None = None


class DeleteMailbox(Strict):
    mailbox: MailboxName
    uidvalidity: Validity | None = None


class Made(BaseModel):
    mailbox: str
    uidvalidity: int | None
    subscribed: bool


class Carried(BaseModel):
    """`to_uids` null: the server does not tell. `left_deleted`: the originals are marked, and stay."""

    mailbox: str
    uidvalidity: int
    uids: list[int]
    to: str
    to_uidvalidity: int | None
    to_uids: list[int] | None
    left_deleted: bool


class Deleted(BaseModel):
    """`to`: the account's Trash; null: they are gone for good."""

    mailbox: str
    uidvalidity: int
    uids: list[int]
    to: str | None = None
    to_uidvalidity: int | None = None
    to_uids: list[int] | None = None
    left_deleted: bool = False


class Flags(BaseModel):
    uid: int
    flags: list[str]


class Touched(BaseModel):
    mailbox: str
    uidvalidity: int
    uids: list[int]
    messages: list[Flags]


class Filed(BaseModel):
    mailbox: str
    uidvalidity: int | None
    uid: int | None
    size: int


async def _do(
    services: WebServices, who: Caller, connector: str, verb: str, params: dict[str, Json], *permissions: str
) -> Any:
    who.need(*permissions)
    one = await connecting.known(services, who, connector)
    given = {key: value for key, value in params.items() if value is not None}
    return await connecting.ask(services, one, f"remote.{verb}", given)


@router.get("/mailboxes")
async def list_remote(services: Services, who: Who, connector: str, counts: bool = True) -> list[Folder]:
    """Mailboxes of the account with their roles; without `counts` it is quicker."""
    found = await _do(services, who, connector, "list", {"counts": counts}, "connector_read")
    return [Folder(**one) for one in found]


@router.get("/status")
async def remote_status(services: Services, who: Who, connector: str, mailbox: MailboxQuery) -> Folder:
    """Counts of one mailbox, and its UIDVALIDITY."""
    return Folder(**await _do(services, who, connector, "status", {"mailbox": mailbox}, "connector_read"))


@router.post("/search", response_model_by_alias=True)
async def remote_search(services: Services, who: Who, connector: str, body: SearchFor) -> Found:
    """Messages of the account that fit, the newest first; nothing is marked as read."""
    params = body.model_dump()
    params["recipient"] = params.pop("to")
    for day in ("since", "before"):
        if params[day] is not None:
            params[day] = (params[day] - _EPOCH).days
    return Found(**await _do(services, who, connector, "search", params, "connector_read", "message_read"))


@router.get("/download", response_class=StreamingResponse, responses={200: {"content": {"message/rfc822": {}}}})
async def remote_download(
    services: Services, who: Who, connector: str, mailbox: MailboxQuery,
    message: Annotated[str, Query(min_length=1, max_length=20, description="A position, * for the newest, or a UID")],
    by_uid: bool = False, part: Annotated[str, Query(max_length=100)] = "", decoded: bool = False,
    uidvalidity: Annotated[int | None, Query(ge=1, lt=2**32)] = None,
) -> StreamingResponse:  # fmt: skip
    """The octets of a message, or of one part; nothing is marked as read."""
    who.need("connector_read", "message_read")
    one = await connecting.known(services, who, connector)
    params: dict[str, Json] = {
        "mailbox": mailbox, "message": message, "by_uid": by_uid, "part": part, "decoded": decoded,
        "uidvalidity": uidvalidity,
    }  # fmt: skip

    def head(told: dict[str, Json]) -> dict[str, str]:
        return {
            "content-type": "application/octet-stream" if part else "message/rfc822",
            "content-disposition": f'attachment; filename="{told["uidvalidity"]}.{told["uid"]}.eml"',
            "x-mail-uid": str(told["uid"]), "x-mail-uidvalidity": str(told["uidvalidity"]),
        }  # fmt: skip

    return await telling.octets(
        services, who, lambda stream: connecting.ask(services, one, "remote.download", params, stream), head
    )


class _Body:
    """A request's body as an operation reads it."""

    def __init__(self, request: Request) -> None:
        self._chunks: AsyncIterator[bytes] = request.stream()
        self._left = b""

    async def receive(self) -> bytes | None:
        while not self._left:
            try:
                self._left = await anext(self._chunks)
            except StopAsyncIteration:
                return None
        chunk, self._left = self._left[:_CHUNK], self._left[_CHUNK:]
        return chunk

    async def send(self, frame: dict[str, Json] | bytes) -> None:
        return None


@router.post("/append", status_code=201, openapi_extra={
    "requestBody": {"required": True, "content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}}}
})  # fmt: skip
async def remote_append(
    services: Services, who: Who, connector: str, request: Request, mailbox: MailboxQuery,
    flag: Annotated[list[str] | None, Query(max_length=100)] = None,
    date: Annotated[int | None, Query(ge=0, lt=2**40, description="Unix seconds")] = None,
    uidvalidity: Annotated[int | None, Query(ge=1, lt=2**32)] = None,
) -> Filed:  # fmt: skip
    """Put a message into a mailbox of the account, octet for octet; the request says its length."""
    who.need("connector_update", "message_create")
    length = request.headers.get("content-length", "")
    if not length.isdigit() or not 0 < int(length) <= services.settings.max_message_size:
        raise InvalidRequest(f"Content-Length is 1 to {services.settings.max_message_size} octets")
    one = await connecting.known(services, who, connector)
    params: dict[str, Json] = {
        "mailbox": mailbox, "size": int(length), "flags": flag, "date": date, "uidvalidity": uidvalidity,
    }  # fmt: skip
    return Filed(**await connecting.ask(services, one, "remote.append", params, _Body(request)))


@router.post("/copy")
async def remote_copy(services: Services, who: Who, connector: str, body: Carry) -> Carried:
    """Copy messages to another mailbox of the account."""
    return Carried(
        **await _do(services, who, connector, "copy", body.model_dump(), "connector_update", "message_create")
    )


@router.post("/move")
async def remote_move(services: Services, who: Who, connector: str, body: Carry) -> Carried:
    """Move messages to another mailbox of the account."""
    return Carried(
        **await _do(services, who, connector, "move", body.model_dump(), "connector_update", "message_update")
    )


@router.post("/delete")
async def remote_delete(services: Services, who: Who, connector: str, body: Delete) -> Deleted:
    """To the account's Trash, or for good."""
    return Deleted(
        **await _do(services, who, connector, "delete", body.model_dump(), "connector_update", "message_delete")
    )


@router.post("/flags")
async def remote_flags(services: Services, who: Who, connector: str, body: Flag) -> Touched:
    """Add, remove or set flags and keywords; answers with what they are then."""
    return Touched(
        **await _do(services, who, connector, "flag", body.model_dump(), "connector_update", "message_update")
    )


@router.post("/mailboxes", status_code=201)
async def create_remote(services: Services, who: Who, connector: str, body: Mailbox) -> Made:
    """A new mailbox in the account, subscribed."""
    return Made(**await _do(services, who, connector, "create", body.model_dump(), "connector_update"))


@router.post("/rename")
async def rename_remote(services: Services, who: Who, connector: str, body: Rename) -> Made:
    """Another name for a mailbox of the account, with its subscription."""
    return Made(**await _do(services, who, connector, "rename", body.model_dump(), "connector_update"))


@router.post("/delete-mailbox")
async def delete_remote(services: Services, who: Who, connector: str, body: DeleteMailbox) -> Made:
    """Delete a mailbox of the account with all that is in it."""
    return Made(**await _do(
        services, who, connector, "delete_mailbox", body.model_dump(), "connector_update", "message_delete"
    ))  # fmt: skip
