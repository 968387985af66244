"""Replies and forwards of stored messages: the original is read, and marked in the unit that sends."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.store import draft_names
from gateway.store.db import Rx, Tx
from gateway.store.draft_names import DraftName

from . import originals, replying, sending
from .caller import Caller
from .composing import Letter
from .originals import Found
from .sending import Outcome, Post, Services, Then, Written


@dataclass(frozen=True, slots=True)
class Reply:
    """`everybody`: also whom the original went to. `quote`: with what it says below."""

    everybody: bool = False
    quote: bool = True


@dataclass(frozen=True, slots=True)
class Forward:
    """`attach`: the original as an attachment, not below the text."""

    attach: bool = False


async def answer(
    services: Services, who: Caller, inbox: str, message: str, written: Written, how: Reply | Forward,
    then: Then | None = None,
) -> Outcome:  # fmt: skip
    """Send it. NotFound: there is no such message, or it may not be read; else as `sending.send`."""
    post, found = await look(services, who, inbox, message)
    letter = await answering(services, post, found, written, how)
    return await sending.send(services, who, post, letter, _marking(services, found, how, then))


async def look(services: Services, who: Caller, inbox: str, message: str) -> tuple[Post, Found]:
    """NotFound, NoPermission."""

    def query(rx: Rx) -> tuple[Post, Found]:
        return sending.post_of(rx, who, inbox), originals.find_original(rx, who, inbox, message)

    return await services.db.read(query)


async def answering(
    services: Services, post: Post, found: Found, written: Written, how: Reply | Forward
) -> Letter:
    """The letter that answers or forwards. InvalidRequest, TooBig."""
    letter = sending.addressed(written, post)
    most = services.submissions.settings.max_message_size
    if isinstance(how, Reply):
        if how.quote:
            found = await originals.with_text(services.db, found)
        return replying.reply(letter, found.values, found.own, everybody=how.everybody, quote=how.quote)
    if how.attach:
        found = await originals.with_octets(services.db, found, most)
    else:
        found = await originals.with_attachments(services.db, await originals.with_text(services.db, found), most)
    return replying.forward(letter, found.values, attach=how.attach)


def _marking(services: Services, found: Found, how: Reply | Forward, then: Then | None) -> Then:
    """What is sent at once marks the original; what waits for consent does so when it goes (`store.draft_names`)."""
    forwards, now = isinstance(how, Forward), int(services.clock())

    def both(tx: Tx, outcome: Outcome) -> None:
        if not outcome.pending:
            found.mark(tx, forwarded=forwards)
        elif outcome.email_id is not None:
            email_id = outcome.email_id
            draft_names.keep(tx, found.inbox_id, DraftName(email_id, email_id, None, found.email_id, forwards, now))
        if then is not None:
            then(tx, outcome)

    return both
