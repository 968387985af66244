"""Accepting one message: octets are staged while they arrive, and one unit keeps everything or nothing.

That unit writes the contents (with and without Bcc, with Return-Path; they share one body), the local deliveries, the
queue rows and the Sent copy. Only when it is durable the sender is told so (invariant 5).
"""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, ParamSpec, TypeVar

import structlog

from gateway.ingest.writer import INLINE_HEADER, ContentWriter, Ingest
from gateway.model.errors import GatewayError, NotFound, Unavailable
from gateway.model.flags import SEEN
from gateway.model.ids import InboxId, MailboxId, SubmissionId
from gateway.model.permissions import Principal
from gateway.model.ports import NULL_METRICS, Clock, Metrics
from gateway.store import content, mailboxes, messages, queue
from gateway.store.content import StagedContent
from gateway.store.db import Database, Tx

from . import prepare
from .directory import Directory, View
from .envelope import Accepted, SubmissionEnvelope
from .errors import BadMessage
from .identity import Sender, identify, owner_of
from .recipients import CanRelay, Destinations, destinations, resolve
from .settings import SubmitSettings

log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

_SENT: Final = "\\Sent"
_SENT_NAME: Final = "Sent"
_QUICK_INBOXES: Final = 4  # a unit that delivers to more is too long for the loop
_CHECK_AT: Final = 65_536  # octets: a larger message is not staged before its author is known to be the key's


def random_token() -> str:
    """80 random bits: trace ids and the left part of Message-IDs."""
    return secrets.token_hex(10)


async def _read(header: bytes, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Work that grows with the header: in a thread when that is a large one, for others wait on the loop."""
    if len(header) <= INLINE_HEADER:
        return call(*args, **kwargs)
    return await asyncio.to_thread(call, *args, **kwargs)


class Submissions:
    """Decides about submissions, whatever protocol brings them. One a process."""

    def __init__(
        self,
        db: Database,
        ingest: Ingest,
        clock: Clock,
        settings: SubmitSettings,
        *,
        can_relay: CanRelay = lambda domain: False,
        token: Callable[[], str] = random_token,
        metrics: Metrics = NULL_METRICS,
    ) -> None:
        self.db = db
        self.ingest = ingest
        self.clock = clock
        self.settings = settings
        self.can_relay = can_relay
        self.token = token
        self.metrics = metrics
        self.directory = Directory(db)
        self._tasks: set[asyncio.Task[object]] = set()

    async def check_sender(self, principal: Principal, reverse_path: str) -> None:
        """SenderNotAuthorized. The null reverse-path passes: the header's authors are checked later."""
        if reverse_path:
            await self.directory.ask(lambda view: owner_of(view, principal, reverse_path))

    async def check_recipient(self, principal: Principal, address: str) -> None:
        """UnknownRecipient, NoRoute."""
        await self.directory.ask(lambda view: resolve(view, address, self.can_relay))

    def begin(self, envelope: SubmissionEnvelope) -> Arrival:
        """The envelope is complete; the message's octets follow."""
        return Arrival(self, envelope)

    def keep(self, task: asyncio.Task[object]) -> None:
        """Owns a task that outlives its caller, and sees its failure."""
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if isinstance(error, GatewayError):
            log.info("submit.not_accepted", kind=type(error).__name__, reason=str(error))
        else:  # without its text, which may hold mail; the session, if it is still there, gives it an id
            stack = traceback.extract_tb(error.__traceback__)[-8:]
            frames = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in stack]
            log.error("submit.defect", kind=type(error).__name__, frames=frames)

    async def drain(self) -> None:
        """Waits for what was begun: called after the listeners are closed, before the database is."""
        while self._tasks:
            await asyncio.wait(self._tasks)


@dataclass(frozen=True, slots=True)
class _Places:
    """Where things go, looked up just before the unit."""

    sender: Sender
    to: Destinations
    inboxes: tuple[tuple[InboxId, MailboxId], ...]


@dataclass(frozen=True, slots=True)
class _Contents:
    """`kept` has Bcc (the Sent copy), `outgoing` has not, `local` has Return-Path too. Two may be the same."""

    kept: StagedContent
    outgoing: StagedContent
    local: StagedContent


class Arrival:
    """One message on its way in: `write` its octets, then `finish`, or `abort`."""

    def __init__(self, owner: Submissions, envelope: SubmissionEnvelope) -> None:
        self._owner = owner
        self._envelope = envelope
        self._trace = prepare.Trace(
            owner.settings.hostname, envelope.protocol, owner.token(), int(owner.clock())
        )
        self._head = bytearray()
        self._writer: ContentWriter | None = None
        self._header = b""
        self._facts: prepare.HeaderFacts | None = None
        self._author_known = False
        self._body_8bit = envelope.body_8bit
        self._header_utf8 = False
        self._size = 0
        self._committing = False

    async def write(self, chunk: bytes) -> None:
        """BadMessage once the header is complete, SenderNotAuthorized for a large one; TooBig, Unavailable."""
        self._size += len(chunk)
        if self._writer is not None:
            await self._write_body(self._writer, chunk)
            return
        seen = len(self._head)
        self._head += chunk
        end = prepare.header_end(self._head, seen)
        if (len(self._head) if end is None else end) > prepare.MAX_HEADER:
            raise BadMessage("The message's header is too large")
        if end is not None:
            await self._begin(bytes(self._head[:end]), bytes(self._head[end:]))

    async def finish(self) -> Accepted:
        """Keeps the message. Durable when it returns; once begun, cancelling the caller does not undo it.

        SenderNotAuthorized, UnknownRecipient, NoRoute (what MAIL and RCPT found may have changed), Unavailable.
        """
        if self._writer is None:  # all of it is header: a message without a body needs no blank line
            await self._begin(bytes(self._head), b"")
        task = asyncio.ensure_future(self._commit())
        self._committing = True
        self._owner.keep(task)
        return await asyncio.shield(task)

    def abort(self) -> None:
        """Drops what was staged, in the background. Nothing happens when `finish` got as far as keeping it."""
        writer, self._writer = self._writer, None
        if writer is not None and not self._committing:
            self._owner.keep(asyncio.ensure_future(writer.abort()))

    async def _begin(self, header: bytes, body: bytes) -> None:
        envelope, trace = self._envelope, self._trace
        facts = await _read(header, prepare.examine, header)
        self._facts = facts
        self._header_utf8 = envelope.smtputf8 and not header.isascii()
        self._body_8bit = self._body_8bit or not header.isascii()
        domain = facts.authors[0].rpartition("@")[2]
        message_id = f"{self._owner.token()}@{domain if domain.isascii() else trace.hostname}"
        self._header = prepare.complete(header, facts, trace, message_id)
        self._head.clear()
        writer = self._owner.ingest.writer(max_size=self._owner.settings.max_message_size + prepare.MAX_ADDED)
        self._writer = writer
        await writer.write(self._header)
        if body:
            await self._write_body(writer, body)

    async def _write_body(self, writer: ContentWriter, chunk: bytes) -> None:
        if not self._body_8bit and not chunk.isascii():
            self._body_8bit = True
        if not self._author_known and self._size > _CHECK_AT:
            await self._owner.directory.ask(self._identify)
            self._author_known = True
        await writer.write(chunk)

    def _identify(self, view: View) -> Sender:
        if self._facts is None:
            raise BadMessage("The message has no header")
        return identify(view, self._envelope.principal, self._envelope.mail_from, self._facts.authors)

    async def _commit(self) -> Accepted:
        writer, facts = self._writer, self._facts
        if writer is None or facts is None:
            raise BadMessage("The message has no header")
        db, now = self._owner.db, self._trace.now
        try:
            kept = await writer.finish()
            for last_try in (False, True):
                places = await self._owner.directory.ask(self._look_up)
                sender = places.sender
                contents = await _read(self._header, self._contents, writer, kept, facts, places)
                held = tuple(sorted({*places.to.local, sender.author, sender.inbox_id}))
                octets = sum(map(len, kept.tail)) + 3 * len(kept.header)
                try:
                    queued = await db.write(
                        lambda tx: self._keep(tx, places, contents, now),  # noqa: B023 - awaited here
                        inboxes=held,
                        octets=octets,
                        quick=kept.quick and len(places.inboxes) <= _QUICK_INBOXES,
                    )
                    break
                except NotFound:  # a mailbox went between the look-up and the unit
                    self._owner.directory.forget()
                    if last_try:
                        raise Unavailable("A mailbox is being changed, try again") from None
        except BaseException:
            await writer.abort()
            raise
        log.info(
            "submit.accepted",
            trace_id=self._trace.trace_id,
            inbox=sender.inbox_id,
            local=len(places.to.local),
            remote=len(places.to.remote),
            octets=self._size,
        )
        return Accepted(self._trace.trace_id, places.to.local, queued, self._size)

    def _look_up(self, view: View) -> _Places:
        """All that the unit has to know, in one read if in any."""
        sender = self._identify(view)
        to = destinations(view, self._envelope.recipients, self._owner.can_relay)
        found = []
        for inbox_id in to.local:
            mailbox = view.inbox_mailbox(inbox_id)
            if mailbox is None:
                raise Unavailable("A mailbox is being changed, try again")
            found.append((inbox_id, mailbox))
        return _Places(sender, to, tuple(found))

    def _contents(
        self, writer: ContentWriter, kept: StagedContent, facts: prepare.HeaderFacts, places: _Places
    ) -> _Contents:
        public = prepare.without_private(self._header, facts)
        outgoing = writer.variant(kept, public) if facts.has_private and places.to.remote else kept
        local = kept
        if places.inboxes:
            local = writer.variant(kept, prepare.with_return_path(public, self._envelope.mail_from))
        return _Contents(kept, outgoing, local)

    def _keep(self, tx: Tx, places: _Places, contents: _Contents, now: int) -> SubmissionId | None:
        """The unit. Inboxes are taken in rising order, as everywhere."""
        sender = places.sender
        for inbox_id, mailbox_id in places.inboxes:
            if inbox_id > sender.author:
                break
            messages.append(tx, mailbox_id, inbox_id, contents.local, internal_date=now, now=now)
        self._keep_sent(tx, places, contents, sender, now)
        for inbox_id, mailbox_id in places.inboxes:
            if inbox_id > sender.author:
                messages.append(tx, mailbox_id, inbox_id, contents.local, internal_date=now, now=now)
        if places.inboxes:
            content.complete(tx, contents.local, now)
        if not places.to.remote:
            return None
        content.complete(tx, contents.outgoing, now)
        return queue.enqueue(
            tx,
            queue.SubmissionNew(
                inbox_id=sender.inbox_id,
                key_id=self._envelope.principal.key_id,
                mail_from=self._envelope.mail_from,
                content_id=contents.outgoing.content_id,
                envelope_id=self._envelope.envelope_id,
                smtputf8=self._header_utf8,
                body8bit=self._body_8bit,
                recipients=places.to.remote,
            ),
            now,
        )

    def _keep_sent(self, tx: Tx, places: _Places, contents: _Contents, sender: Sender, now: int) -> None:
        """clients.md "Sent mail appears once". A null reverse-path (a receipt) leaves no copy."""
        if sender.sent_copy == "never" or not self._envelope.mail_from:
            return
        mailbox = sender.sent
        if mailbox is None:
            mailbox = mailboxes.create(tx, sender.author, _SENT_NAME, now=now, role=_SENT).id
        appended = messages.append(
            tx,
            mailbox,
            sender.author,
            contents.kept,
            internal_date=now,
            flags=SEEN,
            now=now,
            auto_sent=sender.sent_copy == "auto",
        )
        if appended.made:
            content.complete(tx, contents.kept, now)
