"""Which messages a list asks for: their parameters as a `Query`, and what it cannot say looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from gateway.access import messages
from gateway.access.caller import Caller, inbox_of
from gateway.access.listing import Cursor
from gateway.access.messages import Message
from gateway.access.query import Query
from gateway.access.sight import Sight, sight
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.mailbox import DRAFTS, JUNK, TRASH
from gateway.store.db import Rx
from gateway.store.inboxes import Inbox
from gateway.web.services import WebServices

from .labels import MANY, ROLES, STARRED, UNREAD, checked, labels_of
from .parts import MOST, from_token, to_token, unix
from .values import own, people

PAGES: Final = 5
"""Pages that one request looks through for messages that bear several labels."""
NOWHERE: Final = frozenset({"blocked", "unauthenticated", "bounced", "delivered", "complained", "rejected", "opened"})
"""System labels that no message here bears."""


@dataclass(frozen=True, slots=True)
class Asked:
    """`role`: of the mailbox that is looked at, for a label that stands for one. `rest`: what no `Query` says."""

    query: Query
    role: str | None = None
    labels: tuple[str, ...] = ()
    rest: Callable[[Inbox, Message], bool] | None = None
    nothing: bool = False

    def within(self, seen: Sight) -> Query | None:
        """For an inbox; None: it has no such mailbox, or not for this key."""
        if self.nothing:
            return None
        if self.role is None:
            return self.query
        box = next((box for box in seen.boxes.values() if box.role == self.role and not box.noselect), None)
        return None if box is None else replace(self.query, mailbox=box.object_id, without=frozenset())

    def fits(self, inbox: Inbox, message: Message) -> bool:
        if self.labels:
            borne = {label.lower() for label in labels_of(message.placed, own(inbox, message.digest))}
            if not borne.issuperset(self.labels):
                return False
        return self.rest is None or self.rest(inbox, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    labels: Sequence[str] = ()
    before: datetime | None = None
    after: datetime | None = None
    ascending: bool = False
    spam: bool = False
    trash: bool = False
    from_: Sequence[str] = ()
    to: Sequence[str] = ()
    subject: Sequence[str] = ()
    text: str | None = None

    def asked(self) -> Asked:
        """InvalidRequest."""
        if len(self.labels) > MANY:
            raise InvalidRequest(f"labels: {MANY} at most")
        wanted = [checked(label).lower() for label in self.labels]
        without = {DRAFTS} | (set() if self.trash else {TRASH}) | (set() if self.spam else {JUNK})
        role = next((ROLES[label] for label in wanted if label in ROLES), None)
        words = [label for label in wanted if label not in ROLES and label not in (UNREAD, STARRED, "received")]
        query = Query(
            without=frozenset(without), since=unix(self.after), before=unix(self.before), rising=self.ascending,
            unread=True if UNREAD in wanted else None, flagged=True if STARRED in wanted else None,
            keyword=words[0] if words else None, from_=_first(self.from_), to=_first(self.to),
            subject=_first(self.subject), text=self.text,
        )  # fmt: skip
        left = {label for label in wanted if label not in (UNREAD, STARRED)} - set(words[:1])
        if len([label for label in wanted if label in ROLES]) == 1:
            left -= {label for label in left if label in ROLES}
        return Asked(query, role, tuple(sorted(left)), self._others(), bool(NOWHERE.intersection(wanted)))

    def _others(self) -> Callable[[Inbox, Message], bool] | None:
        """All values but the first of each field."""
        more = {"from": list(self.from_)[1:], "to": list(self.to)[1:], "subject": list(self.subject)[1:]}
        if not any(more.values()):
            return None

        def fits(inbox: Inbox, message: Message) -> bool:
            says = message.digest
            held = {
                "from": " ".join(people(says.from_)), "to": " ".join(people([*says.to, *says.cc, *says.bcc])),
                "subject": says.subject,
            }  # fmt: skip
            return all(value.casefold() in held[name].casefold() for name, them in more.items() for value in them)

        return fits


def _first(values: Sequence[str]) -> str | None:
    return next((value for value in values if value), None)


def point_of(token: str | None) -> Cursor | None:
    parts = from_token(token, int, int, str)
    return None if parts is None else Cursor(*parts)


def token_of(point: Cursor | None) -> str | None:
    return None if point is None else to_token(point.date, point.content, point.name)


async def inbox_seen(services: WebServices, who: Caller, reference: str) -> tuple[Inbox, Sight]:
    """NotFound, NoPermission."""

    def query(rx: Rx) -> tuple[Inbox, Sight]:
        seen = sight(rx, who, reference)
        return seen.inbox, seen

    return await services.db.read(query)


async def the_inbox(services: WebServices, who: Caller, reference: str) -> Inbox:
    """NotFound."""
    return await services.db.read(lambda rx: inbox_of(rx, who, reference))


async def list_messages(
    services: WebServices, who: Caller, reference: str, filters: Filters, limit: int, token: str | None
) -> tuple[Inbox, list[Message], str | None]:
    """A page, and the token of the next. Errors as `messages.list_messages`."""
    inbox, seen = await inbox_seen(services, who, reference)
    asked, cursor = filters.asked(), point_of(token)
    query = asked.within(seen)
    if query is None:
        return inbox, [], None
    found: list[Message] = []
    for _ in range(PAGES):
        page = await messages.list_messages(
            services.db, services.digests, who, inbox.address, query, cursor, min(limit, MOST) - len(found),
            services.trigrams,
        )
        found += [message for message in page.messages if asked.fits(inbox, message)]
        cursor = page.next
        if cursor is None or len(found) >= min(limit, MOST):
            break
    return inbox, found, token_of(cursor)


async def one(services: WebServices, who: Caller, reference: str, message_id: str) -> tuple[Inbox, Message]:
    """NotFound."""
    inbox = await the_inbox(services, who, reference)
    found = await messages.messages(services.db, services.digests, who, inbox.address, [message_id])
    if not found:
        raise NotFound(messages.NO_MESSAGE)
    return inbox, found[0]
