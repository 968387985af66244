"""Drafts by values: made, changed, removed, sent at once or at a time, let go by whoever may consent.

A draft is a message in the mailbox for drafts: a change takes the old one away and stores the new one in one unit, as
REPLACE does (RFC 8508), and what decides about a submission is the same as for mail programs (`store.holds`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Final

from gateway.ingest.writer import ContentWriter
from gateway.mime import select_fields
from gateway.model.errors import CannotChange, GatewayError, InvalidRequest, MessageGone, NotFound, Unavailable
from gateway.model.flags import DRAFT, SEEN
from gateway.model.rights import Action
from gateway.store import (
    content,
    counters,
    digest_rows,
    draft_names,
    drafts,
    holds,
    messages,
    queue_admin,
    same_message,
)
from gateway.store.content import StagedContent
from gateway.store.db import Rx, Tx
from gateway.store.draft_names import DraftName
from gateway.store.texts import storable
from gateway.submit import holds as held
from gateway.submit import prepare
from gateway.submit.drafting import DraftPlan
from gateway.submit.errors import BadMessage

from . import answering, draft_letters, draft_views, originals, sending
from .answering import Forward, Reply
from .caller import Caller
from .composing import Composed, Letter
from .draft_views import Draft, Place
from .originals import Found
from .sending import Outcome, Parcel, Post, Services, Then, Written

SENDS: Final = ("draft_send", "message_send")
Kept = Callable[[Tx, Draft], None]
"""What belongs to keeping a draft besides, in its unit."""


_REPLY: Final = Reply()


class ClientIdTaken(GatewayError):
    """Another draft of the inbox has the client's id for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftNew:
    """`message`: what it answers or forwards, as `how` says. `send_at`: Unix seconds. `client_id`: its maker's name
    for it; with one that is known, that draft is answered and nothing is made.
    """

    written: Written
    message: str | None = None
    how: Reply | Forward = _REPLY
    send_at: int | None = None
    client_id: str | None = None


async def create(services: Services, who: Caller, inbox: str, new: DraftNew, kept: Kept | None = None) -> Draft:
    """NoPermission, NotFound (the inbox, the message that it answers), InvalidRequest, TooBig, OverQuota; with
    `send_at` all that refuses a submission.
    """
    draft_views.require(who, Action.ADD)
    client_id = new.client_id
    if client_id is not None and not (client_id and storable(client_id)):
        raise InvalidRequest("client_id is no text")
    post = await services.db.read(lambda rx: sending.post_of(rx, who, inbox))
    if client_id is not None and (there := await _of_client(services, post, client_id)) is not None:
        return there
    found: Found | None = None
    if new.message is None:
        letter = sending.addressed(new.written, post)
    else:
        post, found = await answering.look(services, who, inbox, new.message)
        letter = await answering.answering(services, post, found, new.written, new.how)
    await sending.check(services, post, letter.sender.address, ())
    named = DraftName(
        "", "", client_id, new.message, isinstance(new.how, Forward) and found is not None, int(services.clock())
    )
    try:
        return await _keep(services, post, replace(letter, send_at=new.send_at), None, named, kept)
    except ClientIdTaken:
        assert client_id is not None
        there = await _of_client(services, post, client_id)
        if there is None:
            raise CannotChange("A draft with this client_id was just removed") from None
        return there


async def change(
    services: Services, who: Caller, inbox: str, name: str, edit: Callable[[Letter, Post], Letter],
    kept: Kept | None = None,
) -> Draft:  # fmt: skip
    """`edit` makes the new letter of what it is. NotFound; CannotChange: somebody else changed it meanwhile; as
    `create`. A draft that waited, for its time or for consent, waits again only if the letter says when.
    """
    draft_views.require(who, Action.FLAG)
    post, place = await _find(services, who, inbox, name)
    old = await draft_letters.letter_of(services, post, place)
    letter = edit(old.letter, post)
    await sending.check(services, post, letter.sender.address, ())
    return await _keep(services, post, letter, place, place.name, kept, message_id=old.message_id)


async def delete(services: Services, who: Caller, inbox: str, name: str) -> None:
    """What it was to send is cancelled. NotFound."""
    draft_views.require(who, Action.REMOVE)
    now = int(services.clock())

    def unit(tx: Tx) -> None:
        place = draft_views.find(tx, sending.post_of(tx, who, inbox), name)
        _take_out(tx, place, now)
        draft_names.remove(tx, place.inbox_id, place.name.name)

    await services.db.write(unit)


async def send(services: Services, who: Caller, inbox: str, name: str, then: Then | None = None) -> Outcome:
    """Now, whatever it waits for. NotFound; BadMessage: it cannot be sent so; as `sending.send`."""
    require_sender(who)
    post, place = await _find(services, who, inbox, name)
    if place.waiting is not None:
        return await _release(services, who, post, place, then)
    return await _submit(services, post, place, then)


async def approve(services: Services, who: Caller, inbox: str, name: str, then: Then | None = None) -> Outcome:
    """Let go what somebody without the right to send has written. CannotChange: it does not wait for consent."""
    require_sender(who)
    post, place = await _find(services, who, inbox, name)
    if place.waiting is None or not place.waiting.approval:
        raise CannotChange("The draft does not wait for consent")
    return await _release(services, who, post, place, then)


def require_sender(who: Caller) -> None:
    """NoPermission: he may not send what lies in Drafts."""
    if not any(map(who.may, SENDS)):
        who.need(SENDS[0])


async def _find(services: Services, who: Caller, inbox: str, name: str) -> tuple[Post, Place]:
    """NotFound, NoPermission."""
    draft_views.require(who, Action.READ)

    def query(rx: Rx) -> tuple[Post, Place]:
        post = sending.post_of(rx, who, inbox)
        return post, draft_views.find(rx, post, name)

    return await services.db.read(query)


async def _of_client(services: Services, post: Post, client_id: str) -> Draft | None:
    def query(rx: Rx) -> Draft | None:
        known = draft_names.by_client(rx, post.inbox.id, client_id)
        try:
            return None if known is None else draft_views.drafted(rx, draft_views.find(rx, post, known.name))
        except NotFound:  # it was sent or removed: its name is free
            return None

    return await services.db.read(query)


async def _keep(
    services: Services, post: Post, letter: Letter, old: Place | None, named: DraftName, kept: Kept | None,
    message_id: str | None = None,
) -> Draft:  # fmt: skip
    """Store it, in place of `old`. With a time the submission is made with it."""
    now = int(services.clock())
    if letter.send_at is not None:
        _require_time(letter.send_at, now, services.submissions.settings.future_release_s)
    made = await sending.composed(services, letter, message_id)
    writer = services.ingest.writer(max_size=services.submissions.settings.max_message_size + prepare.MAX_ADDED)
    try:
        staged = await _stage(writer, made)
        plan: DraftPlan | None = None
        if letter.send_at is not None:
            plan = await services.drafting.plan(post.principal, post.inbox.id, staged, writer)

        def unit(tx: Tx) -> Draft:
            return _kept(tx, post, staged, plan, old, named, kept, now)

        return await services.db.write(unit, inboxes=(post.inbox.id,), octets=staged.size)
    except Unavailable:
        raise  # it may have been kept after all: what was staged is the janitor's to judge
    except BaseException:
        await writer.abort()
        raise


def _require_time(at: int, now: int, longest: int) -> None:
    """InvalidRequest: nothing can be sent then."""
    if not longest:
        raise InvalidRequest("send_at: mail cannot be put off here")
    if at <= now:
        raise InvalidRequest("send_at is past")
    if at > now + longest:
        raise InvalidRequest(f"send_at is more than {longest} seconds ahead")


def _kept(
    tx: Tx, post: Post, staged: StagedContent, plan: DraftPlan | None, old: Place | None, named: DraftName,
    kept: Kept | None, now: int,
) -> Draft:  # fmt: skip
    inbox_id = post.inbox.id
    counters.lock(tx, inbox_id)
    if old is not None:
        _take_out(tx, old, now)
    elif named.client_id is not None and (taken := draft_names.by_client(tx, inbox_id, named.client_id)) is not None:
        if same_message.places(tx, inbox_id, [taken.email_id]):
            raise ClientIdTaken("There is a draft with this client_id")
        draft_names.remove(tx, inbox_id, taken.name)
    content.complete(tx, staged, now)
    made = messages.append(
        tx, drafts.place(tx, inbox_id, now), inbox_id, staged, internal_date=now, flags=DRAFT | SEEN,
        keywords=() if plan is None else (holds.SCHEDULED,), email_id=None if plan is None else plan.email_id, now=now,
    )  # fmt: skip
    if plan is not None:
        plan.keep(tx)
    name = named.name or made.email_id
    draft_names.keep(tx, inbox_id, replace(named, name=name, email_id=made.email_id))
    draft = draft_views.drafted(tx, draft_views.find(tx, post, name))
    if kept is not None:
        kept(tx, draft)
    return draft


async def _stage(writer: ContentWriter, made: Composed) -> StagedContent:
    await writer.write(made.header)
    for octets in made.body:
        for at in range(0, len(octets), sending.PIECE):
            await writer.write(octets[at : at + sending.PIECE])
    return await writer.finish()


def _take_out(tx: Tx, place: Place, now: int) -> None:
    gone = messages.expunge(tx, place.inbox_id, place.mailbox_id, [place.uid], only_deleted=False, now=now)
    if gone.modseq is None:
        raise CannotChange("The draft was changed, sent or removed meanwhile")


async def _release(services: Services, who: Caller, post: Post, place: Place, then: Then | None) -> Outcome:
    waiting, inbox_id, now = place.waiting, post.inbox.id, int(services.clock())
    assert waiting is not None

    def unit(tx: Tx) -> Outcome:
        if not drafts.release(tx, waiting.id, now, f"sent by key {who.name}"):
            raise CannotChange("The draft was sent, changed or removed meanwhile")
        shown = queue_admin.show(tx, waiting.id)
        filed = same_message.places(tx, inbox_id, [place.email_id])
        message_id = shown.submission.message_id or b""
        outcome = Outcome(
            waiting.uuid, f"<{bytes(message_id).decode('utf-8', 'replace')}>", place.email_id if filed else None,
            filed[0].thread_id if filed else None, False, tuple(map(sending.state_of, shown.recipients)),
        )  # fmt: skip
        if then is not None:
            then(tx, outcome)
        return outcome

    return await services.db.write(unit, inboxes=(inbox_id,))


async def _submit(services: Services, post: Post, place: Place, then: Then | None) -> Outcome:
    """As if it had been handed in just now: its date is today's, and the unit that accepts it takes the draft away."""
    db, now = services.db, int(services.clock())

    def head(rx: Rx) -> tuple[bytes, digest_rows.DigestRow]:
        rows = digest_rows.rows(rx, [place.content_id])
        if not rows:
            raise NotFound(draft_views.NO_DRAFT)
        return content.read_header(rx, place.content_id), rows[0]

    stored, row = await db.read(head)
    facts = prepare.examine(stored)
    recipients = tuple(each.address for each in held.recipients(stored, services.submissions.settings.max_recipients))
    # A key that may send drafts and nothing else sends this one.
    able = replace(post, principal=replace(post.principal, permissions=post.principal.permissions | {"message_send"}))
    await sending.check(services, able, facts.authors[0], recipients)
    header = select_fields(held.outward(stored), (b"date",), exclude=True)

    async def octets() -> AsyncIterator[bytes]:
        lines = held.LineEnds()
        first = True
        async for piece in originals.octets_of(db, row):
            lines.feed(piece)
            if lines.broken:
                raise BadMessage("The draft holds a bare CR, a bare LF or a NUL")
            yield header if first else piece
            first = False
        if not lines.end():
            raise BadMessage("The draft ends with a bare CR")

    def both(tx: Tx, outcome: Outcome) -> None:
        gone = messages.expunge(tx, place.inbox_id, place.mailbox_id, [place.uid], only_deleted=False, now=now)
        if gone.modseq is None:
            raise MessageGone("The draft was sent, changed or removed meanwhile")
        draft_names.sent(tx, place.inbox_id, place.email_id)
        if then is not None:
            then(tx, outcome)

    message_id = f"<{bytes(row.message_id).decode('utf-8', 'replace')}>" if row.message_id else ""
    parcel = Parcel(facts.authors[0], recipients, not header.isascii(), message_id, octets())
    return await sending.hand_in(services, able, parcel, both)
