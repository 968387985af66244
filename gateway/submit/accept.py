"""Accepting a submission: octets are staged while they arrive, and one unit keeps everything or nothing.

That unit writes the contents (with and without Bcc, with Return-Path; they share one body), the local deliveries, the
queue rows and the Sent copy. Only when it is durable the sender is told so (invariant 5). Mail for later, or from a key
whose mail needs somebody's consent, waits in the queue for all its recipients, those here too.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from gateway.ingest.binary import GROWTH, as_text
from gateway.ingest.writer import ContentWriter, Ingest
from gateway.model.errors import NotFound, Unavailable
from gateway.model.ids import InboxId, MailboxId
from gateway.model.permissions import Principal
from gateway.model.ports import Clock
from gateway.store.content import StagedContent
from gateway.store.db import Database, Tx
from gateway.store.holds import draft_id
from gateway.store.once import Attempt
from gateway.store.submissions import SubmissionNew

from . import keeping, prepare
from .arrival import CHANGING, QUICK_INBOXES, Arrival, read_header
from .background import Background
from .directory import Directory, View
from .envelope import Accepted, SubmissionEnvelope
from .errors import BadMessage, NoRoute
from .identity import Sender, identify, owner_of
from .keeping import Contents, Kept, Plan
from .listed import place_for, require_recipient, require_recipients, senders_of
from .once import Marks, marks
from .rates import Charge, charges_of
from .recipients import Destinations, NotCarried, destinations, resolve
from .settings import SubmitSettings

log = structlog.get_logger(__name__)

Also = Callable[[Tx, Kept], None]
"""What belongs to an acceptance besides, in its unit: what it raises undoes all of it. NotFound is tried once more."""


def random_token() -> str:
    """80 random bits: trace ids and the left part of Message-IDs."""
    return secrets.token_hex(10)


class Submissions:
    """Decides about submissions, whatever protocol brings them. One a process."""

    def __init__(
        self,
        db: Database,
        ingest: Ingest,
        clock: Clock,
        settings: SubmitSettings,
        *,
        not_carried: NotCarried = lambda inbox, sender, recipient: NoRoute("Mail to other domains needs a relay"),
        token: Callable[[], str] = random_token,
        directory: Directory | None = None,
    ) -> None:
        self.db = db
        self.ingest = ingest
        self.clock = clock
        self.settings = settings
        self.not_carried = not_carried
        self.token = token
        self.directory = Directory(db) if directory is None else directory
        self.background = Background()

    async def check_sender(self, principal: Principal, reverse_path: str) -> None:
        """SenderNotAuthorized. The null reverse-path passes: the header's authors are checked later."""
        if reverse_path:
            await self.directory.ask(lambda view: owner_of(view, principal, reverse_path))

    async def check_recipient(self, principal: Principal, reverse_path: str, address: str) -> None:
        """UnknownRecipient, NoRoute, Blocked."""

        def query(view: View) -> None:
            writer = owner_of(view, principal, reverse_path) if reverse_path else principal.inbox_id
            resolve(view, writer, reverse_path, address, self.not_carried)
            require_recipient(view, writer, address)

        await self.directory.ask(query)

    def begin(self, envelope: SubmissionEnvelope, also: Also | None = None) -> SubmissionArrival:
        """The envelope is complete; the message's octets follow. `also` is done in the unit that accepts."""
        return SubmissionArrival(self, envelope, also)

    async def drain(self) -> None:
        """Waits for what was begun: called after the listeners are closed, before the database is."""
        await self.background.drain()


@dataclass(frozen=True, slots=True)
class _Places:
    """Where things go, looked up just before the unit."""

    sender: Sender
    to: Destinations
    inboxes: tuple[tuple[InboxId, MailboxId], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Body:
    """A whole message and who wrote it, which is asked for the same body under another header."""

    writer: ContentWriter
    staged: StagedContent


class SubmissionArrival(Arrival[Accepted]):
    """`finish` raises SenderNotAuthorized, UnknownRecipient, NoRoute, Blocked: what was found may have changed."""

    def __init__(self, owner: Submissions, envelope: SubmissionEnvelope, also: Also | None = None) -> None:
        super().__init__(
            owner.ingest, owner.background, max_size=owner.settings.max_message_size, eight_bit=envelope.body_8bit
        )
        self._owner = owner
        self._envelope = envelope
        self._also = also
        self._trace = prepare.Trace(owner.settings.hostname, envelope.protocol, owner.token(), int(owner.clock()))
        self._facts: prepare.HeaderFacts | None = None
        self._received = b""  # the header as it came
        self._header_utf8 = False
        self._draft = None if envelope.principal.may_send else draft_id()
        due = envelope.release_at is not None and envelope.release_at > self._trace.now
        self._later = due or self._draft is not None

    async def _complete(self, header: bytes) -> bytes:
        self._received = header
        facts = self._facts = await read_header(header, prepare.examine, header)
        self._header_utf8 = self._envelope.smtputf8 and not header.isascii()
        return prepare.complete(
            header, facts, self._trace, prepare.message_id(facts, self._trace, self._owner.token())
        )

    async def _check(self) -> None:
        charges, count = self._charges(await self._owner.directory.ask(self._identify)), len(self._envelope.recipients)
        if charges:
            now = self._trace.now
            await self._owner.db.tiny(lambda rx: keeping.require_rates(rx, charges, count, now))

    def _identify(self, view: View) -> Sender:
        if self._facts is None:
            raise BadMessage("The message has no header")
        return identify(view, self._envelope.principal, self._envelope.mail_from, self._facts.authors)

    async def _keep(self, writer: ContentWriter) -> Accepted:
        raw = _Body(writer, await writer.finish())
        shown = await self._shown(raw)
        try:
            accepted, used = await self._kept(raw, shown)
        except BaseException:
            if shown is not raw:
                await shown.writer.abort()
            raise
        for body in {raw, shown} - used:
            self._background.keep(asyncio.ensure_future(body.writer.abort()))  # nothing refers to it
        return accepted

    async def _shown(self, raw: _Body) -> _Body:
        """The message as IMAP can show it: of a binary one the same with its binary parts in base64."""
        if not self._envelope.body_binary:
            return raw
        size = GROWTH * self._owner.settings.max_message_size + prepare.MAX_ADDED
        made = await as_text(self._owner.db, raw.staged, lambda: self._owner.ingest.writer(max_size=size))
        return raw if made is None else _Body(*made)

    async def _kept(self, raw: _Body, shown: _Body) -> tuple[Accepted, set[_Body]]:
        """What the sender is told, and which bodies something refers to."""
        db = self._owner.db
        kept = raw.staged
        for last_try in (False, True):
            places = await self._owner.directory.ask(
                lambda view: self._look_up(view, kept), inboxes=len(self._envelope.recipients)
            )
            sender = places.sender
            contents = await read_header(self.header, self._contents, raw, shown, places)
            plan = self._plan(places, contents, raw.writer.digest_under(self._received))
            held = tuple(sorted({*places.to.inboxes, sender.author, sender.inbox_id}))
            octets = sum(map(len, kept.tail)) + 3 * len(kept.header)
            try:
                done = await db.write(
                    lambda tx: self._unit(tx, plan),  # noqa: B023 - awaited here
                    inboxes=held,
                    octets=octets,
                    quick=kept.quick and shown is raw and len(places.inboxes) <= QUICK_INBOXES,
                )
                break
            except NotFound:  # a mailbox went between the look-up and the unit
                self._owner.directory.forget()
                if last_try:
                    raise Unavailable(CHANGING) from None
        used: set[_Body] = set()
        if done.submission is not None:
            used = {raw, shown} if contents.outgoing.body_id == kept.body_id else {shown}
        return self._told(sender, done, plan.submission), used

    def _unit(self, tx: Tx, plan: Plan) -> Kept:
        kept = keeping.keep(tx, plan)
        if self._also is not None:
            self._also(tx, kept)
        return kept

    def _told(self, sender: Sender, done: Kept, new: SubmissionNew) -> Accepted:
        earlier = done.earlier
        trace_id = self._trace.trace_id if earlier is None else earlier.trace
        log.info(
            "submit.accepted" if earlier is None else "submit.same_mail",
            trace_id=trace_id,
            inbox=sender.inbox_id,
            local=len(done.inboxes),
            queued=done.queued,
            held=self._draft is not None,
            octets=self.size,
        )
        held_as = None
        if earlier is not None:
            held_as = earlier.uuid if earlier.waits else None
        elif self._draft is not None:
            held_as = new.uuid
        return Accepted(trace_id, done.submission, done.inboxes, done.queued, self.size, held_as)

    def _look_up(self, view: View, kept: StagedContent) -> _Places:
        """All that the unit has to know, in one read if in any."""
        sender = self._identify(view)
        to = destinations(
            view, sender.inbox_id, self._envelope.mail_from, self._envelope.recipients, self._owner.not_carried
        )
        writers = (sender.author, sender.inbox_id)
        require_recipients(view, writers, self._envelope.recipients)
        authors = self._facts.authors if self._facts is not None else ()
        senders = senders_of(self._envelope.mail_from, authors)
        answers = (*kept.meta.references, *kept.meta.in_reply_to)
        found = []
        for inbox_id in () if self._later else to.inboxes:
            mailbox = place_for(view, inbox_id, writers, senders, answers, self._owner.settings.blocked)
            if mailbox is None:
                raise Unavailable(CHANGING)
            found.append((inbox_id, mailbox))
        return _Places(sender, to, tuple(found))

    def _contents(self, raw: _Body, shown: _Body, places: _Places) -> Contents:
        facts = self._facts
        if facts is None:
            raise BadMessage("The message has no header")
        kept = outgoing = local = shown.staged
        if self._later or places.to.remote:
            outgoing = raw.staged
            if facts.has_private:
                outgoing = raw.writer.variant(outgoing, prepare.without_private(self.header, facts))
        if places.inboxes:
            header = self.header if shown is raw else kept.header
            public = prepare.without_private(header, facts)
            local = shown.writer.variant(kept, prepare.with_return_path(public, self._envelope.mail_from))
        if self._draft is not None:
            named = prepare.naming(kept.header, [each.address for each in self._envelope.recipients])
            kept = kept if named is kept.header else shown.writer.variant(kept, named)
        return Contents(kept, outgoing, local)

    def _plan(self, places: _Places, contents: Contents, octets: bytes) -> Plan:
        envelope, sender, to = self._envelope, places.sender, places.to
        # A receipt leaves no copy; what waits for consent is in Drafts.
        copies = sender.sent_copy != "never" and bool(envelope.mail_from) and self._draft is None
        submission = SubmissionNew(
            inbox_id=sender.inbox_id,
            key_id=envelope.principal.key_id,
            mail_from=envelope.mail_from,
            content_id=(contents.outgoing if self._later or to.remote else contents.local).content_id,
            envelope_id=envelope.envelope_id,
            ret=envelope.ret,
            smtputf8=self._header_utf8,
            body8bit=self.eight_bit,
            bodybinary=envelope.body_binary,
            message_id=contents.kept.meta.message_id,
            size=self.size,
            release_at=envelope.release_at,
            hold=envelope.hold,
            recipients=to.remote,
            here=() if self._later else to.here,
            later=to.here if self._later else (),
            draft=self._draft,
            hold_reason=None if self._draft is None else "approval",
            trace=self._trace.trace_id,
        )
        return Plan(
            places.inboxes,
            contents,
            sender if copies else None,
            submission,
            self._trace.now,
            to.homes,
            self._retry(submission, to, octets),
            self._charges(sender),
        )

    def _retry(self, new: SubmissionNew, to: Destinations, octets: bytes) -> tuple[Attempt, Marks] | None:
        """How this mail is known when it comes again; None: it is not, for the client gave it no Message-ID."""
        window, facts = self._owner.settings.same_mail_s, self._facts
        if not window or facts is None or not facts.has_message_id or new.message_id is None:
            return None
        now, trace = self._trace.now, self._trace.trace_id
        key = self._envelope.principal.key_id
        found = marks(key, new.mail_from, new.message_id, octets, inboxes=to.inboxes, remote=to.remote)
        return Attempt(new.inbox_id, new.message_id, trace, now - window, now), found

    def _charges(self, sender: Sender) -> tuple[Charge, ...]:
        return charges_of(self._envelope.principal, sender, self._owner.settings)
