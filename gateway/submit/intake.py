"""Taking mail from outside, which a mail server in front hands on (LMTP): final delivery to inboxes here, nothing else.

One unit keeps a message for all its recipients; its contents are one, with the same trace fields. Each recipient has
an outcome of its own (RFC 2033): one full inbox keeps the message from nobody else. What is durable is answered for,
and nothing before.

The message is taken as it is: without From, with Bcc, with any line length. Only Return-Path is ours (RFC 5321 4.4),
and where a message has a single recipient, Delivered-To says by which address it came: with several, it would tell
each of them of the others, and cost a content each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import structlog

from gateway.ingest.writer import ContentWriter, Ingest
from gateway.mime import index_fields, may_be_report, select_fields
from gateway.model.errors import GatewayError, NotFound, OverQuota, Unavailable
from gateway.model.ids import InboxId, MailboxId
from gateway.model.mailbox import JUNK
from gateway.model.ports import Clock
from gateway.store import content, counters, messages, quota, uses
from gateway.store.addresses import Local, Remote, spellings
from gateway.store.content import StagedContent
from gateway.store.db import Database, Rx, Tx

from . import prepare
from .accept import random_token
from .arrival import CHANGING, QUICK_INBOXES, Arrival, read_header
from .background import Background
from .directory import Directory, View
from .errors import Blocked, MailLoop, NoRoute, UnknownRecipient
from .listed import Judged, judge, senders_of
from .settings import SubmitSettings

log = structlog.get_logger(__name__)

MAX_HOPS: Final = 100
"""Received fields of a message that is not going round in circles (RFC 5321 6.3: at least 100)."""
MAX_AUTHORS: Final = 20
"""Addresses in From that lists are asked about: one is usual, and a header has room for ten thousand."""
_ADDRESS: Final = 320  # octets of an address that can be anybody's (RFC 5321 4.5.3.1)
_TRIES: Final = 3  # as planned; with each inbox's room looked at; and once more when a mailbox went meanwhile


@dataclass(frozen=True, slots=True)
class IntakeEnvelope:
    """`mail_from` "" is the null reverse-path. `size`: octets that were announced. `protocol`: as the trace says it."""

    mail_from: str
    recipients: tuple[str, ...]
    size: int = 0
    body_8bit: bool = False
    smtputf8: bool = False
    protocol: str = "LMTP"


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a message: for each recipient, in their order, None or why it is not delivered."""

    trace_id: str
    outcomes: tuple[GatewayError | None, ...]


@dataclass(frozen=True, slots=True)
class _Facts:
    """Of the header as it came."""

    authors: tuple[str, ...]
    delivered_to: frozenset[str]
    has_return_path: bool


@dataclass(frozen=True, slots=True)
class _Place:
    """An inbox that gets the message. `mailbox` None: the mailbox for junk is still to be made."""

    inbox_id: InboxId
    mailbox: MailboxId | None


@dataclass(frozen=True, slots=True)
class _Lookup:
    """`homes`: for each recipient its inbox, or why it has none."""

    homes: tuple[InboxId | GatewayError, ...]
    places: tuple[_Place, ...]


class Intake:
    """Decides about mail from outside. One a process."""

    def __init__(
        self,
        db: Database,
        ingest: Ingest,
        clock: Clock,
        settings: SubmitSettings,
        directory: Directory,
        *,
        token: Callable[[], str] = random_token,
    ) -> None:
        self.db = db
        self.ingest = ingest
        self.clock = clock
        self.settings = settings
        self.directory = directory
        self.token = token
        self.background = Background()

    async def check_recipient(self, address: str) -> None:
        """UnknownRecipient; NoRoute for what is not delivered here: nothing is ever relayed."""
        await self.directory.ask(lambda view: home_of(view, address))

    def begin(self, envelope: IntakeEnvelope) -> IntakeArrival:
        """The envelope is complete; the message's octets follow."""
        return IntakeArrival(self, envelope)

    async def drain(self) -> None:
        """Waits for what was begun: called after the listeners are closed, before the database is."""
        await self.background.drain()


def home_of(view: View, address: str) -> InboxId:
    """The inbox of a recipient. UnknownRecipient, NoRoute."""
    if "@" not in address:
        raise UnknownRecipient("No such mailbox here")
    found = view.recipient(address)
    if isinstance(found, Local):
        return found.inbox_id
    if isinstance(found, Remote):
        raise NoRoute("Mail for other domains is not taken here")
    raise UnknownRecipient("No such mailbox here")


class IntakeArrival(Arrival[Delivered]):
    """`finish` raises only what concerns the message as a whole."""

    def __init__(self, owner: Intake, envelope: IntakeEnvelope) -> None:
        super().__init__(
            owner.ingest, owner.background, max_size=owner.settings.max_message_size, eight_bit=envelope.body_8bit
        )
        self._owner = owner
        self._envelope = envelope
        self._trace = prepare.Trace(owner.settings.hostname, envelope.protocol, owner.token(), int(owner.clock()))
        self._facts = _Facts((), frozenset(), False)

    async def _complete(self, header: bytes) -> bytes:
        self._facts = await read_header(header, _examine, header)
        if self._facts.has_return_path:  # whoever wrote it, it is not from here
            header = await read_header(header, select_fields, header, (b"return-path",), exclude=True)
        added = prepare.field("Return-Path", f"<{self._envelope.mail_from}>")
        if len(self._envelope.recipients) == 1:
            added += prepare.field("Delivered-To", self._envelope.recipients[0])
        return added + prepare.received(self._trace) + header

    async def _check(self) -> None:
        """A large message is not staged for nobody: when all recipients are refused, and for one reason."""
        found = await self._owner.directory.ask(self._homes)
        octets = max(self.size, self._envelope.size)
        inboxes = {home for home in found if not isinstance(home, GatewayError)}

        def full(rx: Rx) -> bool:
            return all(_is_full(rx, inbox, octets) for inbox in inboxes)

        errors = [home for home in found if isinstance(home, GatewayError)]
        if not inboxes and len(set(map(type, errors))) == 1:
            raise errors[0]
        if not errors and await self._owner.db.tiny(full):
            raise OverQuota("The inbox is full")

    async def _keep(self, writer: ContentWriter) -> Delivered:
        kept = await writer.finish()
        octets = sum(map(len, kept.tail)) + len(kept.header)
        report = may_be_report(self.header)
        full: frozenset[InboxId] | None = None
        for last_try in range(1 - _TRIES, 1):
            found = await self._owner.directory.ask(
                lambda view: self._look_up(view, kept), inboxes=len(self._envelope.recipients)
            )
            places, careful = found.places, full is not None
            if not places:
                full = frozenset()
                break
            try:
                full = await self._owner.db.write(
                    lambda tx: _deliver(tx, places, kept, self._trace.now, report=report, careful=careful),  # noqa: B023
                    inboxes=tuple(place.inbox_id for place in places),
                    octets=octets,
                    quick=kept.quick and len(places) <= QUICK_INBOXES,
                )
                break
            except OverQuota:  # who of them: the unit is asked again, and looks before it delivers
                full = frozenset()
            except NotFound:  # a mailbox went between the look-up and the unit
                self._owner.directory.forget()
                if not last_try:
                    raise Unavailable(CHANGING) from None
        else:
            raise Unavailable(CHANGING)
        if len(full) == len(places):
            await writer.abort()
        outcomes = tuple(
            home if isinstance(home, GatewayError) else OverQuota("The inbox is full") if home in full else None
            for home in found.homes
        )
        log.info(
            "intake.delivered",
            trace_id=self._trace.trace_id,
            inboxes=len(places) - len(full),
            refused=sum(outcome is not None for outcome in outcomes),
            octets=self.size,
        )
        return Delivered(self._trace.trace_id, outcomes)

    def _homes(self, view: View) -> tuple[InboxId | GatewayError, ...]:
        """What RCPT found may have changed."""
        found: list[InboxId | GatewayError] = []
        for address in self._envelope.recipients:
            try:
                if _spelling(address) in self._facts.delivered_to:
                    raise MailLoop("The message has been delivered to this address before")
                found.append(home_of(view, address))
            except (UnknownRecipient, NoRoute, MailLoop) as error:
                found.append(error)
        return tuple(found)

    def _look_up(self, view: View, kept: StagedContent) -> _Lookup:
        """All that the unit has to know, in one read if in any."""
        homes = self._homes(view)
        senders = senders_of(self._envelope.mail_from, self._facts.authors)
        answers = (*kept.meta.references, *kept.meta.in_reply_to)
        places: list[_Place] = []
        refused: dict[InboxId, GatewayError] = {}
        for inbox_id in sorted({home for home in homes if not isinstance(home, GatewayError)}):
            judged = judge(view, inbox_id, senders, answers, self._owner.settings.blocked)
            # A bounce that is refused is lost, and nobody hears of it: it is kept where junk is.
            if judged is Judged.REFUSED and self._envelope.mail_from:
                refused[inbox_id] = Blocked("The recipient does not take mail from this sender")
            elif judged is Judged.WELCOME:
                mailbox = view.inbox_mailbox(inbox_id)
                if mailbox is None:
                    raise Unavailable(CHANGING)
                places.append(_Place(inbox_id, mailbox))
            else:
                places.append(_Place(inbox_id, view.junk_mailbox(inbox_id)))
        told = tuple(home if isinstance(home, GatewayError) else refused.get(home, home) for home in homes)
        return _Lookup(told, tuple(places))


def _examine(header: bytes) -> _Facts:
    """MailLoop: it has passed through more servers than any message does."""
    index = index_fields(header)
    if max(len(index.get(name, ())) for name in (b"received", b"delivered-to")) > MAX_HOPS:
        raise MailLoop("The message goes round in circles: it has too many trace fields")
    authors = (each for each in prepare.addresses_in(index.get(b"from", ())) if len(each.encode()) <= _ADDRESS)
    earlier = [value.decode("utf-8", "replace").strip() for value in index.get(b"delivered-to", ())]
    before = frozenset(filter(None, map(_spelling, earlier)))
    return _Facts(tuple(islice(authors, MAX_AUTHORS)), before, b"return-path" in index)


def _spelling(address: str) -> str:
    """The one spelling in which addresses are compared; empty for what is none."""
    names = spellings(address)
    return names[0] if names else ""


def _is_full(rx: Rx, inbox_id: InboxId, octets: int) -> bool:
    try:
        quota.require_room(rx, inbox_id, octets=octets)
    except OverQuota:
        return True
    return False


def _deliver(
    tx: Tx, places: tuple[_Place, ...], kept: StagedContent, now: int, *, report: bool, careful: bool
) -> frozenset[InboxId]:
    """The unit; inboxes are taken in rising order, as everywhere. The full ones, when it is `careful`.

    OverQuota when it is not: nearly no inbox is ever full, so that to look first would be paid by all mail.
    NotFound: a mailbox went meanwhile.
    """
    full: set[InboxId] = set()
    for place in places:
        inbox_id, mailbox = place.inbox_id, place.mailbox
        if careful:
            counters.lock(tx, inbox_id)
            if _is_full(tx, inbox_id, kept.size):
                full.add(inbox_id)
                continue
        if mailbox is None:
            mailbox = uses.make(tx, inbox_id, JUNK, now).id
        messages.deliver(tx, mailbox, inbox_id, kept, now, may_be_report=report)
    if len(full) < len(places):
        content.complete(tx, kept, now)
    return frozenset(full)
