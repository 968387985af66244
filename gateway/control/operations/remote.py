"""What somebody does by hand in the account of a connector; results carry UIDs with their UIDVALIDITY."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Final

from gateway.connectors.remote import ranges
from gateway.connectors.remote.actions import RemoteActions, flag_names
from gateway.connectors.remote.errors import RemoteFailed, ValidityChanged
from gateway.connectors.remote.values import Carried, Folder, Made, Touched
from gateway.connectors.search_terms import terms as parsed_terms
from gateway.connectors.service import Found
from gateway.control.facts import facts_json
from gateway.control.frames import CHUNK_LIMIT, Frame, Json
from gateway.model.errors import (
    AuthenticationFailed,
    CannotChange,
    GatewayError,
    InvalidRequest,
    LimitReached,
    NotFound,
    Unavailable,
)
from gateway.outbound.failure import Failure, refuses_login
from gateway.upstream.wants import SearchWants
from gateway.wire.search import All

from .connectors import desk_of, found
from .registry import Context, Stream, operation

STALL_S: Final = 120.0
"""Seconds for which a caller may not read, or say nothing of what it sends: the account waits for it meanwhile."""
KINDS: Final[Mapping[Failure, type[GatewayError]]] = {
    Failure.FOLDER_MISSING: NotFound,
    **dict.fromkeys(
        (Failure.DNS, Failure.REFUSED, Failure.TIMEOUT, Failure.PROXY, Failure.LOST, Failure.BYE, Failure.LIMIT,
         Failure.THROTTLED, Failure.UNAVAILABLE),
        Unavailable,
    ),
    **{failure: AuthenticationFailed for failure in Failure if refuses_login(failure)},
}  # fmt: skip
"""Kinds that cross the control socket; of all others the request has to change. Unavailable: the same may do later."""


@asynccontextmanager
async def account(
    context: Context, name: str, pod: str | None, action: str
) -> AsyncIterator[tuple[RemoteActions, Found]]:
    """A connection in the account for `action`, and errors as callers know them."""
    connector = await found(context, name, pod)
    try:
        async with desk_of(context).remote(connector, action) as actions:
            yield actions, connector
    except RemoteFailed as error:
        raise KINDS.get(error.failure, InvalidRequest)(str(error)) from None
    except ValidityChanged as error:
        raise CannotChange(str(error)) from None


async def patiently_send(stream: Stream, frame: Frame) -> None:
    """LimitReached when the caller does not read."""
    try:
        async with asyncio.timeout(STALL_S):
            await stream.send(frame)
    except TimeoutError:
        raise LimitReached("Whoever asked does not read what comes") from None


@operation("remote.list")
async def remote_list(
    context: Context, stream: Stream, *, name: str, pod: str | None = None, counts: bool = True
) -> Json:
    async with account(context, name, pod, "list") as (actions, _):
        return [_folder(one) for one in await actions.folders(counts=counts)]


@operation("remote.status")
async def remote_status(
    context: Context, stream: Stream, *, name: str, mailbox: str, pod: str | None = None,
    uidvalidity: int | None = None,
) -> Json:
    async with account(context, name, pod, "status") as (actions, _):
        return _folder(await actions.status(mailbox, expect=uidvalidity))


@operation("remote.search")
async def remote_search(
    context: Context, stream: Stream, *, name: str, mailbox: str = "INBOX", pod: str | None = None,
    sender: str | None = None, recipient: str | None = None, subject: str | None = None, text: str | None = None,
    seen: bool | None = None, since: int | None = None, before: int | None = None, terms: str = "", limit: int = 50,
    below: int | None = None, uidvalidity: int | None = None,
) -> Json:  # fmt: skip
    """`since`, `before`: days since 1970-01-01. `terms`: further criteria of RFC 3501 6.4.4. The newest first."""
    try:
        further = parsed_terms(terms)
    except ValueError as reason:
        raise InvalidRequest(f"terms {reason}") from None
    wants = SearchWants(
        since=since, before=before, seen=seen, sender=sender, recipient=recipient, subject=subject, text=text,
        terms=None if isinstance(further, All) else further,
    )  # fmt: skip
    async with account(context, name, pod, "search") as (actions, _):
        found = await actions.search(mailbox, wants, limit=limit, below=below, expect=uidvalidity)
    return {
        "mailbox": found.mailbox,
        "uidvalidity": found.uidvalidity,
        "total": found.total,
        "more": found.more,
        "uids": [one.uid for one in found.messages],
        "messages": [facts_json(one) for one in found.messages],
    }


@operation("remote.download")
async def remote_download(
    context: Context, stream: Stream, *, name: str, mailbox: str, message: str, by_uid: bool = False,
    pod: str | None = None, part: str = "", decoded: bool = False, uidvalidity: int | None = None,
) -> Json:
    """Sends `{"message": {…}}`, then the octets of it or of its part."""
    wanted = ranges.chosen(message, by_uid=by_uid)
    octets = 0
    async with account(context, name, pod, "download") as (actions, _):
        folder, validity, facts = await actions.message(mailbox, wanted, expect=uidvalidity)
        told = {"mailbox": folder, "uidvalidity": validity, **facts_json(facts)}
        await patiently_send(stream, {"message": told})
        async with aclosing(actions.octets(facts.uid, part, decoded=decoded)) as chunks:
            async for chunk in chunks:
                octets += len(chunk)
                for start in range(0, len(chunk), CHUNK_LIMIT):
                    await patiently_send(stream, chunk[start : start + CHUNK_LIMIT])
    return {**told, "part": part or None, "octets": octets}


@operation("remote.append")
async def remote_append(
    context: Context, stream: Stream, *, name: str, mailbox: str, size: int, pod: str | None = None,
    flags: list[str] | None = None, date: int | None = None, uidvalidity: int | None = None,
) -> Json:
    """Reads `size` octets. `date`: Unix seconds."""
    names = flag_names(flags or ())
    async with account(context, name, pod, "append") as (actions, _):
        filed = await actions.append(
            mailbox, size, _incoming(stream), flags=names, date=date, expect=uidvalidity
        )
    return {"mailbox": filed.mailbox, "uidvalidity": filed.uidvalidity, "uid": filed.uid, "size": filed.size}


async def _incoming(stream: Stream) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(STALL_S):
                frame = await stream.receive()
        except TimeoutError:
            raise LimitReached("The message does not come") from None
        if frame is None:
            return
        if not isinstance(frame, bytes):
            raise InvalidRequest("A message is made of octets")
        yield frame


@operation("remote.copy")
async def remote_copy(
    context: Context, stream: Stream, *, name: str, mailbox: str, messages: str, to: str, by_uid: bool = False,
    pod: str | None = None, uidvalidity: int | None = None,
) -> Json:
    wanted = ranges.chosen(messages, by_uid=by_uid)
    async with account(context, name, pod, "copy") as (actions, _):
        return _done(await actions.copy(mailbox, wanted, to, expect=uidvalidity))


@operation("remote.move")
async def remote_move(
    context: Context, stream: Stream, *, name: str, mailbox: str, messages: str, to: str, by_uid: bool = False,
    pod: str | None = None, uidvalidity: int | None = None,
) -> Json:
    wanted = ranges.chosen(messages, by_uid=by_uid)
    async with account(context, name, pod, "move") as (actions, _):
        return _done(await actions.move(mailbox, wanted, to, expect=uidvalidity))


@operation("remote.delete")
async def remote_delete(
    context: Context, stream: Stream, *, name: str, mailbox: str, messages: str, permanent: bool = False,
    pod: str | None = None, uidvalidity: int | None = None,
) -> Json:
    """By UID: to the account's Trash, or with `permanent` for good."""
    wanted = ranges.chosen(messages, by_uid=True)
    async with account(context, name, pod, "delete") as (actions, _):
        return _done(await actions.delete(mailbox, wanted, permanent=permanent, expect=uidvalidity))


@operation("remote.flag")
async def remote_flag(
    context: Context, stream: Stream, *, name: str, how: str, mailbox: str, messages: str, flags: list[str],
    by_uid: bool = False, pod: str | None = None, uidvalidity: int | None = None,
) -> Json:
    """`how`: add, remove or set."""
    wanted = ranges.chosen(messages, by_uid=by_uid)
    async with account(context, name, pod, "flags") as (actions, _):
        return _done(await actions.flag(how, mailbox, wanted, flags, expect=uidvalidity))


@operation("remote.create")
async def remote_create(context: Context, stream: Stream, *, name: str, mailbox: str, pod: str | None = None) -> Json:
    async with account(context, name, pod, "create") as (actions, _):
        return _made(await actions.create(mailbox))


@operation("remote.rename")
async def remote_rename(
    context: Context, stream: Stream, *, name: str, mailbox: str, to: str, pod: str | None = None,
    uidvalidity: int | None = None,
) -> Json:
    async with account(context, name, pod, "rename") as (actions, _):
        return _made(await actions.rename(mailbox, to, expect=uidvalidity))


@operation("remote.delete_mailbox")
async def remote_delete_mailbox(
    context: Context, stream: Stream, *, name: str, mailbox: str, pod: str | None = None,
    uidvalidity: int | None = None,
) -> Json:
    """With all that is in it."""
    async with account(context, name, pod, "delete-mailbox") as (actions, _):
        return _made(await actions.delete_mailbox(mailbox, expect=uidvalidity))


def _folder(folder: Folder) -> Json:
    status = folder.status
    return {
        "mailbox": folder.name,
        "role": folder.role,
        "delimiter": folder.delimiter,
        "selectable": folder.selectable,
        "messages": status.messages if status else None,
        "unseen": status.unseen if status else None,
        "uidvalidity": status.uidvalidity if status else None,
        "uidnext": status.uidnext if status else None,
        "size": status.size if status else None,
        "id": status.mailbox_id if status else None,
    }


def _made(made: Made) -> Json:
    return {"mailbox": made.mailbox, "uidvalidity": made.uidvalidity, "subscribed": made.subscribed}


def _done(done: Carried | Touched) -> Json:
    told: dict[str, Json] = {"mailbox": done.mailbox, "uidvalidity": done.uidvalidity, "uids": list(done.uids)}
    if isinstance(done, Carried):
        return told | {
            "to": done.to, "to_uidvalidity": done.to_uidvalidity,
            "to_uids": list(done.to_uids) if done.to_uids is not None else None, "left_deleted": done.left_deleted,
        }  # fmt: skip
    return told | {"messages": [{"uid": uid, "flags": list(flags)} for uid, flags in done.flags]}
