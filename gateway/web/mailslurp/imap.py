"""ImapController: what IMAP would say of an inbox, over HTTP: numbers, UIDs, flags. It is of the mailbox INBOX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from gateway.access import changing
from gateway.access import messages as reads
from gateway.access import query as queries
from gateway.access.caller import Caller
from gateway.access.changing import Marks
from gateway.access.sight import sight
from gateway.model.errors import InvalidName, InvalidRequest, NotFound
from gateway.model.flags import SEEN, SYSTEM_BY_FOLDED
from gateway.model.ids import MailboxId
from gateway.model.rights import Action
from gateway.store import mailboxes, messages
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.rows import Columns
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from . import reading
from .emails import raw_octets
from .ids import message_uuid
from .parts import Given, Theirs, at, unix

router = APIRouter(tags=["mailslurp imap"], prefix="/imap/server")
INBOX: Final = "INBOX"
MOST: Final = 1000
"""Messages of one answer."""
_MANY: Final = 50_000
_FIELDS: Final = {"subject": "subject", "from": "from_", "to": "to", "cc": "to", "bcc": "to"}
InboxId = Annotated[str | None, Query(max_length=320)]
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


@dataclass(frozen=True, slots=True)
class Line:
    """One message: its number and UID, flags as a mask, EMAILID and INTERNALDATE."""

    seq: int
    uid: int
    flags: int
    email_id: str
    date: int


def lines(rx: Rx, who: Caller, inbox: Inbox) -> list[Line]:
    """All of INBOX, a job of a reader process. InvalidRequest: there are too many for one answer."""
    box = sight(rx, who, inbox.uuid).mailbox(INBOX)
    number = MailboxId(box.id)
    flags: list[tuple[int, int, int]] = []
    while page := messages.load(rx, number, flags[-1][0] if flags else 0):
        flags += page
    if len(flags) > _MANY:
        raise InvalidRequest(f"The mailbox has more than {_MANY} messages: use IMAP itself")
    found: list[Line] = []
    for start in range(0, len(flags), 500):
        some = flags[start : start + 500]
        rows = messages.fetch_rows(
            rx, number, [uid for uid, _, _ in some], Columns.EMAIL_ID | Columns.INTERNAL_DATE
        )
        known = {row[0]: row[1:] for row in rows}
        for offset, (uid, mask, _) in enumerate(some):
            if uid in known:
                date, email_id = known[uid]
                found.append(Line(start + offset + 1, uid, mask, email_id, date))
    return found


def chosen(found: Sequence[Line], uids: str | None, numbers: str | None) -> list[Line]:
    """Those of a set of UIDs, and of a set of numbers. InvalidRequest."""
    if uids is not None:
        ranges = _ranges(uids, max((line.uid for line in found), default=0), "uidSet")
        found = [line for line in found if any(low <= line.uid <= high for low, high in ranges)]
    if numbers is not None:
        ranges = _ranges(numbers, max((line.seq for line in found), default=0), "seqSet")
        found = [line for line in found if any(low <= line.seq <= high for low, high in ranges)]
    return list(found)


def _ranges(text: str, last: int, name: str) -> list[tuple[int, int]]:
    """RFC 3501 9, sequence-set."""
    found: list[tuple[int, int]] = []
    for item in text.split(","):
        ends = item.strip().split(":")
        if len(ends) > 2 or not all(end == "*" or (end.isascii() and end.isdigit() and len(end) < 11) for end in ends):
            raise InvalidRequest(f"{name} is no set such as 1:5,8,10:*")
        low, high = ((last if end == "*" else int(end)) for end in (ends[0], ends[-1]))
        found.append((min(low, high), max(low, high)))
    return found


def _projected(inbox: Inbox, line: Line) -> ImapEmailProjection:
    return ImapEmailProjection(
        id=message_uuid(inbox.id, line.email_id), read=bool(line.flags & SEEN), created_at=at(line.date),
        uid=line.uid, seq_num=line.seq,
    )  # fmt: skip


async def _lines(services: WebServices, who: Caller, reference: str | None) -> tuple[Inbox, list[Line]]:
    inbox = await services.db.read(lambda rx: reading.inbox_or_own(rx, who, reference))
    return inbox, await services.db.offload(lines, who, inbox)


@router.post("/fetch")
async def imap_server_fetch(
    services: Services, who: Who, seqNum: Annotated[int, Query(ge=1, lt=2**32)], inboxId: InboxId = None
) -> FetchResult:
    """Fetch the message of a number, its octets as a text."""
    inbox, found = await _lines(services, who, inboxId)
    line = next((line for line in found if line.seq == seqNum), None)
    if line is None:
        return FetchResult()
    own = message_uuid(inbox.id, line.email_id)
    content = (await raw_octets(services, who, own)).decode("utf-8", "replace")
    return FetchResult(result=ImapServerFetchItem(
        content=content, id=own, uid=line.uid, seq_num=line.seq, read=bool(line.flags & SEEN)
    ))  # fmt: skip


@router.post("/get")
async def imap_server_get(services: Services, who: Who, emailId: str, inboxId: InboxId = None) -> GetResult:
    """The number and UID of an email."""
    found = await services.db.read(lambda rx: reading.locate(rx, who, emailId))
    inbox, every = await _lines(services, who, inboxId or found.inbox.uuid)
    if inbox.id != found.inbox.id:
        raise NotFound(reading.NO_EMAIL)
    line = next((line for line in every if line.email_id == found.email_id), None)
    return GetResult(result=None if line is None else _projected(inbox, line))


@router.post("/list")
async def imap_server_list(
    services: Services, who: Who, body: ListOptions, inboxId: InboxId = None
) -> ListResult:
    """Messages by UIDs or numbers, a thousand at most."""
    inbox, found = await _lines(services, who, inboxId)
    return ListResult(results=[_projected(inbox, one) for one in chosen(found, body.uid_set, body.seq_set)[:MOST]])


@router.post("/search")
async def imap_server_search(
    services: Services, who: Who, body: SearchOptions, inboxId: InboxId = None
) -> ListResult:
    """Messages that fit, a thousand at most."""
    inbox, found = await _lines(services, who, inboxId)
    found = chosen(found, body.uid, body.seq_num)
    low, high = unix(body.since), unix(body.before)
    wanted, unwanted = _mask(body.with_flags), _mask(body.without_flags)
    found = [
        line for line in found
        if (low is None or line.date >= low) and (high is None or line.date < high)
        and line.flags & wanted == wanted and not line.flags & unwanted
    ]  # fmt: skip
    for query in _queries(body):
        fitting, _ = await reading.emails(services, who, inbox, query, _MANY)
        ids = {message.id for message in fitting}
        found = [line for line in found if line.email_id in ids]
    if body.sent_since is not None or body.sent_before is not None:
        found = await _sent_within(services, who, inbox, found, unix(body.sent_since), unix(body.sent_before))
    return ListResult(results=[_projected(inbox, line) for line in found[:MOST]])


async def _sent_within(
    services: WebServices, who: Caller, inbox: Inbox, found: list[Line], low: int | None, high: int | None
) -> list[Line]:
    known = await reads.messages(
        services.db, services.digests, who, inbox.uuid, [line.email_id for line in found[:MOST]]
    )
    dates = {message.id: message.digest.sent_at or message.placed.received_at for message in known}
    return [
        line for line in found
        if (date := dates.get(line.email_id)) is not None and (low is None or date >= low)
        and (high is None or date < high)
    ]  # fmt: skip


def _mask(names: Sequence[str] | None) -> int:
    mask = 0
    for name in names or ():
        bit = SYSTEM_BY_FOLDED.get(name.lower() if name.startswith("\\") else f"\\{name.lower()}")
        if bit is None:
            raise InvalidRequest(f"{name} is no system flag")
        mask |= bit
    return mask


def _queries(body: SearchOptions) -> list[queries.Query]:
    """One for each text that must be found. InvalidRequest for fields that lists do not look into."""
    found: list[queries.Query] = []
    for text in (*(body.text or ()), *(body.body or ())):
        found.append(queries.Query(mailbox=INBOX, text=text))
    for name, values in (body.header or {}).items():
        field = _FIELDS.get(name.lower())
        if field is None:
            raise InvalidRequest(f"header {name} cannot be searched here: it is one of {', '.join(_FIELDS)}")
        for value in values:
            given: dict[str, Any] = {"mailbox": INBOX, field: value}
            found.append(queries.Query(**given))
    return found


@router.post("/status")
async def imap_server_status(
    services: Services, who: Who, body: StatusOptions, inboxId: InboxId = None
) -> StatusResult:
    """Counts of a mailbox. `name`: of a mailbox, or the inbox's address for INBOX."""
    def query(rx: Rx) -> ImapMailboxStatus:
        inbox = reading.inbox_or_own(rx, who, inboxId)
        name = INBOX if body.name is None or "@" in body.name else body.name
        seen = sight(rx, who, inbox.uuid)
        box = mailboxes.by_name(rx, inbox.id, seen.selectable(name).name)
        assert box is not None
        flags = messages.load(rx, MailboxId(box.id))
        first = next((number for number, (_, mask, _) in enumerate(flags, 1) if not mask & SEEN), 0)
        known = list(SYSTEM_BY_FOLDED)
        told = {"MESSAGES": box.messages, "UNSEEN": box.unseen, "UIDNEXT": box.uidnext,
                "UIDVALIDITY": box.uidvalidity, "RECENT": 0}
        return ImapMailboxStatus(
            name=box.name, items={key: told[key] for key in (body.status_items or told) if key in told},
            flags=known, permanent_flags=known, unseen_seq_num=first, messages=box.messages, unseen=box.unseen,
            uid_next=box.uidnext, uid_validity=box.uidvalidity, append_limit=services.settings.max_message_size,
        )  # fmt: skip

    return StatusResult(result=await services.db.read(query))


@router.post("/mailbox")
async def imap_server_mailbox(
    services: Services, who: Who, name: Annotated[str, Query(min_length=1, max_length=1000)], inboxId: InboxId = None
) -> MailboxResult:
    """Create a mailbox; an inbox's address means its INBOX, which is there."""
    now = int(services.clock())

    def unit(tx: Tx) -> MailboxResult:
        inbox = reading.inbox_or_own(tx, who, name if "@" in name else inboxId)
        if "@" in name:
            return MailboxResult(success=True, message=f"{inbox.address} is there")
        who.need("message_update")
        mailboxes.create(tx, inbox.id, name, now=now)
        return MailboxResult(success=True, message=f"{name} was created")

    try:
        return await services.db.write(unit)
    except InvalidName as error:
        return MailboxResult(success=False, message=str(error))


@router.post("/update-flags", status_code=204)
async def imap_server_update_flags(
    services: Services, who: Who, body: FlagsOptions, inboxId: InboxId = None
) -> None:
    """Add, remove or set flags and keywords of messages."""
    names = tuple(body.flags or ())
    verb = body.operation.removesuffix("_FLAGS")
    marks = Marks(add=names) if verb == "ADD" else Marks(remove=names) if verb == "REMOVE" else Marks(become=names)
    if body.uid_set is None and body.seq_set is None:
        raise InvalidRequest("uidSet or seqSet is needed")

    # What is meant is settled here, by ids that never change: a unit does not read a whole mailbox.
    inbox, found = await _lines(services, who, inboxId)
    ids = [line.email_id for line in chosen(found, body.uid_set, body.seq_set)[:MOST]]

    def unit(tx: Tx) -> None:
        taken = changing.taken(tx, who, inbox.uuid, ids)
        taken.seen.need(Action.FLAG, taken.seen.mailbox(INBOX))
        changing.mark(tx, taken.seen, taken.found, marks)

    await services.db.write(unit)
