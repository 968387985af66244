"""ImapController: what IMAP would say of an inbox, over HTTP: numbers, UIDs, flags. It is of the mailbox INBOX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query

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
from gateway.model.sequence import SequenceSet
from gateway.store import mailboxes
from gateway.store.db import Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.web.api.parts import Services, Who
from gateway.web.services import WebServices

from . import reading
from .emails import raw_octets
from .ids import message_uuid
from .imap_lines import INBOX, Line, Wanted, first_unseen, lines, set_of
from .imap_models import (
    FetchResult,
    FlagsOptions,
    GetResult,
    ImapEmailProjection,
    ImapMailboxStatus,
    ImapServerFetchItem,
    ListOptions,
    ListResult,
    MailboxResult,
    SearchOptions,
    StatusOptions,
    StatusResult,
)
from .parts import at, unix

router = APIRouter(tags=["mailslurp imap"], prefix="/imap/server")
MOST: Final = 1000
"""Messages of one answer, and of one unit of the store."""
_FIELDS: Final = {"subject": "subject", "from": "from_", "to": "to", "cc": "to", "bcc": "to"}
InboxId = Annotated[str | None, Query(max_length=320)]


def _projected(inbox: Inbox, line: Line) -> ImapEmailProjection:
    return ImapEmailProjection(
        id=message_uuid(inbox.id, line.email_id), read=bool(line.flags & SEEN), created_at=at(line.date),
        uid=line.uid, seq_num=line.seq,
    )  # fmt: skip


async def _lines(
    services: WebServices, who: Caller, reference: str | None, wanted: Wanted
) -> tuple[Inbox, list[Line]]:
    inbox = await services.db.read(lambda rx: reading.inbox_or_own(rx, who, reference))
    return inbox, await services.db.offload(lines, who, inbox, wanted)


def _named(body: ListOptions, most: int | None) -> Wanted:
    return Wanted(uids=set_of(body.uid_set, "uidSet"), numbers=set_of(body.seq_set, "seqSet"), most=most)


@router.post("/fetch")
async def imap_server_fetch(
    services: Services, who: Who, seqNum: Annotated[int, Query(ge=1, lt=2**32)], inboxId: InboxId = None
) -> FetchResult:
    """Fetch the message of a number, its octets as a text."""
    inbox, found = await _lines(services, who, inboxId, Wanted(numbers=SequenceSet(((seqNum, seqNum),))))
    if not found:
        return FetchResult()
    line = found[0]
    own = message_uuid(inbox.id, line.email_id)
    content = (await raw_octets(services, who, own)).decode("utf-8", "replace")
    return FetchResult(result=ImapServerFetchItem(
        content=content, id=own, uid=line.uid, seq_num=line.seq, read=bool(line.flags & SEEN)
    ))  # fmt: skip


@router.post("/get")
async def imap_server_get(services: Services, who: Who, emailId: str, inboxId: InboxId = None) -> GetResult:
    """The number and UID of an email."""
    email = await services.db.read(lambda rx: reading.locate(rx, who, emailId))
    wanted = Wanted(email_id=email.email_id, most=1)
    inbox, found = await _lines(services, who, inboxId or email.inbox.uuid, wanted)
    if inbox.id != email.inbox.id:
        raise NotFound(reading.NO_EMAIL)
    return GetResult(result=_projected(inbox, found[0]) if found else None)


@router.post("/list")
async def imap_server_list(
    services: Services, who: Who, body: ListOptions, inboxId: InboxId = None
) -> ListResult:
    """Messages by UIDs or numbers, a thousand at most."""
    inbox, found = await _lines(services, who, inboxId, _named(body, MOST))
    return ListResult(results=[_projected(inbox, one) for one in found])


@router.post("/search")
async def imap_server_search(
    services: Services, who: Who, body: SearchOptions, inboxId: InboxId = None
) -> ListResult:
    """Messages that fit, a thousand at most."""
    inbox, found = await _lines(services, who, inboxId, Wanted(
        uids=set_of(body.uid, "uid"), numbers=set_of(body.seq_num, "seqNum"), since=unix(body.since),
        before=unix(body.before), flags=_mask(body.with_flags), without=_mask(body.without_flags),
    ))  # fmt: skip
    for query in _queries(body):
        fitting = await reading.ids(services, who, inbox, query)
        found = [line for line in found if line.email_id in fitting]
    if body.sent_since is not None or body.sent_before is not None:
        found = await _sent_within(services, who, inbox, found, unix(body.sent_since), unix(body.sent_before))
    return ListResult(results=[_projected(inbox, line) for line in found[:MOST]])


async def _sent_within(
    services: WebServices, who: Caller, inbox: Inbox, found: list[Line], low: int | None, high: int | None
) -> list[Line]:
    """The first MOST of these whose Date fits."""
    fitting: list[Line] = []
    for start in range(0, len(found), reading.PAGE):
        some = found[start : start + reading.PAGE]
        known = await reads.messages(services.db, services.digests, who, inbox.uuid, [line.email_id for line in some])
        dates = {message.id: message.digest.sent_at or message.placed.received_at for message in known}
        fitting += [
            line for line in some
            if (date := dates.get(line.email_id)) is not None and (low is None or date >= low)
            and (high is None or date < high)
        ]  # fmt: skip
        if len(fitting) >= MOST:
            break
    return fitting


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
        known = list(SYSTEM_BY_FOLDED)
        told = {"MESSAGES": box.messages, "UNSEEN": box.unseen, "UIDNEXT": box.uidnext,
                "UIDVALIDITY": box.uidvalidity, "RECENT": 0}
        return ImapMailboxStatus(
            name=box.name, items={key: told[key] for key in (body.status_items or told) if key in told},
            flags=known, permanent_flags=known, unseen_seq_num=first_unseen(rx, MailboxId(box.id)) if box.unseen else 0,
            messages=box.messages, unseen=box.unseen,
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
    inbox, found = await _lines(services, who, inboxId, _named(body, None))
    for start in range(0, len(found) or 1, MOST):  # who names nothing that is there hears of rights all the same
        ids = [line.email_id for line in found[start : start + MOST]]

        def unit(tx: Tx, ids: list[str] = ids) -> None:
            taken = changing.taken(tx, who, inbox.uuid, ids)
            taken.seen.need(Action.FLAG, taken.seen.mailbox(INBOX))
            changing.mark(tx, taken.seen, taken.found, marks)

        await services.db.write(unit)
