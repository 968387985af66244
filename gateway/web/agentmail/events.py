"""Events in AgentMail's words, for its webhooks and WebSockets: made of ours when they are told.

Ours name what happened; what is told beside, the message and its thread, is as it is at that time. Of a message that is
gone by then, or lies where the listener may not look, the change log's own summary is told.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.access import messages, threads
from gateway.access.caller import Caller
from gateway.access.digest import Digests
from gateway.access.events import RECEIVED, Event
from gateway.access.messages import Message
from gateway.model.errors import NotFound
from gateway.model.ids import KeyId
from gateway.model.mailbox import JUNK
from gateway.model.permissions import ScopeKind
from gateway.store import inboxes, lists
from gateway.store.db import Database, Rx
from gateway.store.inboxes import Inbox
from gateway.store.sent_copies import copy_of
from gateway.web.webhooks.dialects import takes

from .parts import Theirs, moment
from .threads import item as thread_item
from .values import whole

ROOM: Final = 1 << 20
"""Characters of texts beyond which a message is told without them: they are there to be fetched."""
_WHY: Final = {"1.1": "NoEmail", "2.2": "MailboxFull", "2.3": "MessageTooLarge", "3.4": "MessageTooLarge"}
"""Subject and detail of an enhanced status (RFC 3463) -> what they call it."""


async def told(
    db: Database, digests: Digests, reads: frozenset[str], types: tuple[str, ...], event: Event
) -> dict[str, Any] | None:
    """The event as JSON values; None: it has no name there, or is none of `types`. NotFound: the inbox is gone."""
    if event.type == RECEIVED:
        return await _received(db, digests, reads, types, event)
    make = _SENDING.get(event.type)
    if make is None or not takes(types, event.type):
        return None
    kind, fields = make
    data = event.data
    rfc = str(data["message_id"] or "")

    def query(rx: Rx) -> tuple[str | None, str | None]:
        return copy_of(rx, _inbox(rx, event).id, rfc.strip("<>").encode()) if rfc else (None, None)

    email_id, thread_id = await db.read(query)
    known = {
        "inbox_id": event.inbox["address"], "thread_id": thread_id or rfc, "message_id": email_id or rfc,
        "timestamp": _time(event),
    }  # fmt: skip
    return _framed(event, event.type) | {kind: known | fields(data)}


async def _received(
    db: Database, digests: Digests, reads: frozenset[str], types: tuple[str, ...], event: Event
) -> dict[str, Any] | None:
    inbox = await db.read(lambda rx: _inbox(rx, event))
    who = Caller(KeyId(0), "", "", "", ScopeKind.INBOX, inbox.pod_id, inbox.id, reads, None)
    found = await messages.messages(db, digests, who, inbox.uuid, [event.data["message"]])
    name = event.type
    if event.role == JUNK:
        name = await db.read(lambda rx: _junked(rx, inbox, event, found))
    if not takes(types, name):
        return None
    framed = _framed(event, name)
    try:
        body = await db.offload(messages.body, found[0].placed.content_id) if found else None
        thread = await threads.thread(db, digests, who, inbox.uuid, event.data["thread"])
    except NotFound:
        body, thread = None, None
    if not found or thread is None:
        return framed | _summary(inbox, event)
    message = whole(inbox, found[0], body)
    if body is not None and len(body.text) + len(body.html or "") > ROOM:
        message.text = message.html = message.extracted_text = None
    return framed | {"message": _values(message), "thread": _values(thread_item(inbox, thread))}


def _junked(rx: Rx, inbox: Inbox, event: Event, found: list[Message]) -> str:
    """Whether a list keeps its sender away; else it is spam."""
    senders = [person["address"] for person in event.data["from"]]
    answers = [one.encode() for each in found for one in (*each.digest.in_reply_to, *each.digest.references)]
    listed = senders and not lists.may_receive(rx, inbox.id, senders, answers).allowed
    return f"{RECEIVED}.blocked" if listed else f"{RECEIVED}.spam"


def _summary(inbox: Inbox, event: Event) -> dict[str, Any]:
    """A message and a thread of it alone, as far as the log says."""
    data, at = event.data, _time(event)
    people = {
        name: [f"{one['name']} <{one['address']}>" if one["name"] else one["address"] for one in data[name]]
        for name in ("from", "to", "cc")
    }
    both = {
        "inbox_id": inbox.address, "thread_id": data["thread"], "labels": ["received"], "timestamp": at,
        "size": data["size"], "updated_at": at, "created_at": at,
    } | ({"subject": data["subject"]} if data["subject"] is not None else {})  # fmt: skip
    return {
        "message": both | {
            "message_id": data["message"], "from": ", ".join(people["from"]), "to": people["to"],
        } | ({"cc": people["cc"]} if people["cc"] else {}),
        "thread": both | {
            "received_timestamp": at, "senders": people["from"], "recipients": [*people["to"], *people["cc"]],
            "last_message_id": data["message"], "message_count": 1,
        },
    }  # fmt: skip


def _bounce(data: Mapping[str, Any]) -> dict[str, Any]:
    status = data["enhanced"] or (str(data["code"]) if data["code"] is not None else "failed")
    kind = "Transient" if str(status).startswith("4") else "Permanent"
    why = _WHY.get(str(data["enhanced"] or "").partition(".")[2], "General")
    return {"type": kind, "sub_type": why, "recipients": [{"address": data["recipient"], "status": status}]}


_SENDING: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, Any]]]]] = {
    "message.sent": ("send", lambda data: {"recipients": data["recipients"]}),
    "message.delivered": ("delivery", lambda data: {"recipients": [data["recipient"]]}),
    "message.bounced": ("bounce", _bounce),
}
"""Type -> the field that says it, and what it says besides."""


def _framed(event: Event, name: str) -> dict[str, Any]:
    return {"type": "event", "event_type": name, "event_id": event.id}


def _time(event: Event) -> str:
    return moment(event.at or 0).isoformat().replace("+00:00", "Z")


def _values(made: Theirs) -> dict[str, Any]:
    return made.model_dump(mode="json", by_alias=True, exclude_none=True)


def _inbox(rx: Rx, event: Event) -> Inbox:
    found = inboxes.inbox_by_uuid(rx, event.inbox["id"])
    if found is None or found.deleted_at is not None:
        raise NotFound("No such inbox")
    return found
