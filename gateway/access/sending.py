"""Mail that somebody hands in by values: who may send it as whom, and what became of it.

It is accepted by `submit.accept`, as SMTP's is: the same addresses, lists, routes, rates, quota and Sent copy. What
belongs to it besides (the original's \\Answered, an idempotency key) is done in the unit that accepts it: all of it has
happened or nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from gateway.auth import lookup
from gateway.ingest.writer import Ingest
from gateway.model.errors import AuthenticationFailed, InvalidRequest, NoPermission, SenderNotAuthorized, TooBig
from gateway.model.permissions import Principal
from gateway.model.ports import Clock
from gateway.model.recipient import Recipient
from gateway.store import keys, queue_admin
from gateway.store.db import Database, Rx, Tx
from gateway.store.inboxes import Inbox
from gateway.store.queue import QueueState
from gateway.store.submissions import HERE
from gateway.submit.accept import Submissions
from gateway.submit.drafting import Drafting
from gateway.submit.envelope import SubmissionEnvelope
from gateway.submit.errors import Blocked, NoRoute, UnknownRecipient
from gateway.submit.identity import identify
from gateway.submit.keeping import Kept

from .caller import Caller, inbox_of
from .composing import Attachment, Composed, Letter, compose
from .header_fields import Mailbox, mailbox, mailboxes

PIECE: Final = 65_536
"""Octets that acceptance is given at once."""
SMALL: Final = 65_536
"""Octets of a message that is composed on the loop; a larger one takes a thread."""
SENDER: Final = "From must be an address of this inbox"

State = Literal["delivered", "sent", "queued", "sending", "deferred", "held", "bounced", "cancelled"]


class Services(Protocol):
    """What sending needs of the process; `web.services.WebServices` has it."""

    @property
    def db(self) -> Database: ...
    @property
    def ingest(self) -> Ingest: ...
    @property
    def submissions(self) -> Submissions: ...
    @property
    def drafting(self) -> Drafting: ...
    @property
    def clock(self) -> Clock: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A message as its writer gave it. Addresses: `anna@example.org` or `Anna <anna@example.org>`, several by commas.

    `sender` None: the inbox's own address and name.
    """

    sender: str | None = None
    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    reply_to: tuple[str, ...] = ()
    subject: str | None = None
    text: str | None = None
    html: str | None = None
    attachments: tuple[Attachment, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Post:
    """An inbox that somebody may use, and as whom acceptance knows him."""

    inbox: Inbox
    principal: Principal

    @property
    def author(self) -> Mailbox:
        """Whom mail is from where nobody says otherwise."""
        try:
            return mailbox("From", self.inbox.address, self.inbox.name or "")
        except InvalidRequest:  # a name that no header can show
            return Mailbox(self.inbox.address)


@dataclass(frozen=True, slots=True)
class RecipientState:
    """`delivered`: it lies in an inbox here. `reason`: why it is held. `reply`: what was said last."""

    address: str
    state: State
    reason: str | None = None
    reply: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message. `submission` None: the same was accepted before, and its history is gone.

    `email_id`, `thread_id`: of the Sent copy, or of the draft while it is `pending` (somebody has to consent); None
    where no copy is kept. `message_id`: with its angle brackets.
    """

    submission: str | None
    message_id: str
    email_id: str | None
    thread_id: str | None
    pending: bool
    recipients: tuple[RecipientState, ...]


Then = Callable[[Tx, Outcome], None]
"""What belongs to the acceptance besides; may raise what undoes it."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """Octets that are ready to be handed in. `recipients`: addresses of the envelope."""

    author: str
    recipients: tuple[str, ...]
    smtputf8: bool
    message_id: str
    octets: AsyncIterator[bytes]


def post_of(rx: Rx, who: Caller, reference: str) -> Post:
    """NotFound: there is no such inbox for this caller."""
    inbox = inbox_of(rx, who, reference)
    key = keys.key_by_id(rx, who.key_id)
    if key is None or key.revoked_at is not None:
        raise AuthenticationFailed("The API key is not valid")
    return Post(inbox, lookup.principal(key, inbox))


def require_sender(who: Caller) -> None:
    """NoPermission: what this caller submits is neither sent nor kept for somebody's consent."""
    if not who.may("draft_create"):
        who.need("message_send")


def addressed(written: Written, post: Post) -> Letter:
    """Its values as a letter without threading. InvalidRequest names the field."""
    sender = post.author
    if written.sender is not None:
        authors = mailboxes("from", written.sender)
        if len(authors) != 1:
            raise InvalidRequest("from holds several addresses")
        sender = authors[0] if authors[0].name else replace(authors[0], name=_own_name(authors[0], sender))
    return Letter(
        sender=sender, to=all_of("to", written.to), cc=all_of("cc", written.cc), bcc=all_of("bcc", written.bcc),
        reply_to=all_of("reply_to", written.reply_to), subject=written.subject or "", text=written.text,
        html=written.html, attachments=written.attachments, headers=written.headers,
    )  # fmt: skip


def all_of(field: str, texts: Iterable[str]) -> tuple[Mailbox, ...]:
    """The addresses of several values, each once. InvalidRequest."""
    found: dict[str, Mailbox] = {}
    for text in texts:
        for one in mailboxes(field, text):
            found.setdefault(one.address.lower(), one)
    return tuple(found.values())


async def composed(services: Services, letter: Letter, message_id: str | None = None) -> Composed:
    """Under a new Message-ID if it has none (without angle brackets). InvalidRequest, TooBig."""
    most = services.submissions.settings.max_message_size
    said = sum(len(one.octets) for one in letter.attachments) + len(letter.text or "") + len(letter.html or "")
    if said > most:
        raise TooBig(f"A message may have {most} octets at most")
    domain = letter.sender.address.rpartition("@")[2]
    name = domain if domain.isascii() else services.submissions.settings.hostname
    own, boundary = message_id or f"{secrets.token_hex(16)}@{name}", secrets.token_hex(12)
    now = int(services.clock())

    def make() -> Composed:
        return compose(letter, now=now, message_id=own, boundary=boundary)

    made = make() if said <= SMALL else await asyncio.to_thread(make)
    if made.size > most:
        raise TooBig(f"A message may have {most} octets at most")
    return made


async def send(services: Services, who: Caller, post: Post, letter: Letter, then: Then | None = None) -> Outcome:
    """Compose it and have it accepted; durable when this returns.

    NoPermission; InvalidRequest names a field; SenderNotAuthorized, UnknownRecipient, NoRoute, Blocked, BadMessage,
    RateExceeded, OverQuota, TooBig, Unavailable as by submission.
    """
    require_sender(who)
    recipients = letter.recipients
    if not recipients:
        raise InvalidRequest("to, cc and bcc hold nobody")
    await check(services, post, letter.sender.address, recipients)
    made = await composed(services, letter)
    return await hand_in(
        services, post,
        Parcel(letter.sender.address, recipients, made.smtputf8, f"<{made.message_id}>", _pieces(made)), then,
    )  # fmt: skip


async def check(services: Services, post: Post, author: str, recipients: tuple[str, ...]) -> None:
    """What SMTP refuses at MAIL and RCPT; an error about a recipient names it."""
    most = services.submissions.settings.max_recipients
    if len(recipients) > most:
        raise InvalidRequest(f"A message may have {most} recipients at most")
    sender = await services.submissions.directory.ask(
        lambda view: identify(view, post.principal, author, (author,))
    )
    if sender.author != post.inbox.id:
        raise SenderNotAuthorized(SENDER)
    for address in recipients:
        try:
            await services.submissions.check_recipient(post.principal, author, address)
        except (UnknownRecipient, NoRoute, Blocked) as error:
            raise type(error)(f"{address}: {error}") from None


async def hand_in(services: Services, post: Post, parcel: Parcel, then: Then | None = None) -> Outcome:
    """Have a whole message accepted."""
    if not (post.principal.may_send or post.principal.may_propose):
        raise NoPermission("The key lacks the permission message_send")
    told: list[Outcome] = []

    def also(tx: Tx, kept: Kept) -> None:
        outcome = _outcome(tx, kept, parcel.message_id, pending=not post.principal.may_send)
        told[:] = [outcome]  # the unit may run again
        if then is not None:
            then(tx, outcome)

    envelope = SubmissionEnvelope(
        principal=post.principal,
        mail_from=parcel.author,
        recipients=tuple(Recipient(address) for address in parcel.recipients),
        smtputf8=parcel.smtputf8,
        protocol="HTTP",
    )
    arrival = services.submissions.begin(envelope, also)
    try:
        async for piece in parcel.octets:
            await arrival.write(piece)
        await arrival.finish()
    except BaseException:
        arrival.abort()
        raise
    return told[0]


def state_of(recipient: queue_admin.Recipient) -> RecipientState:
    """One recipient in words of this API."""
    state: State = recipient.state.value
    if recipient.state is QueueState.SENT and recipient.text is not None and bytes(recipient.text) == HERE:
        state = "delivered"
    said = [str(word) for word in (recipient.code, recipient.enhanced) if word]
    text = bytes(recipient.text).decode("utf-8", "replace") if recipient.text else ""
    reply = " ".join([*said, text]).strip() or None
    return RecipientState(recipient.address, state, recipient.hold_reason, reply)


def _outcome(tx: Tx, kept: Kept, message_id: str, *, pending: bool) -> Outcome:
    number = kept.submission
    if number is None and kept.uuid is not None:
        found = queue_admin.submission_by_uuid(tx, kept.uuid)
        number = found.id if found is not None else None
    recipients = queue_admin.show(tx, number).recipients if number is not None else ()
    filed = kept.filed
    return Outcome(
        kept.uuid, message_id, filed.email_id if filed else None, filed.thread_id if filed else None,
        pending if kept.earlier is None else kept.earlier.waits, tuple(map(state_of, recipients)),
    )  # fmt: skip


async def _pieces(made: Composed) -> AsyncIterator[bytes]:
    yield made.header
    for octets in made.body:
        for at in range(0, len(octets), PIECE):
            yield octets[at : at + PIECE]


def _own_name(author: Mailbox, own: Mailbox) -> str:
    return own.name if author.address.lower() == own.address.lower() else ""


