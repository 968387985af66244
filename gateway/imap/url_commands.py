"""GENURLAUTH, RESETKEY and URLFETCH (RFC 4467), the latter also with what RFC 5524 adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.model.errors import NotFound
from gateway.store import inboxes, mailboxes, url_keys
from gateway.store.db import Rx, Tx
from gateway.wire import commands as c
from gateway.wire import render
from gateway.wire.tokens import Malformed
from gateway.wire.url import MessageUrl, parse_url

from . import access
from .access import Action
from .fetch import stream
from .mailbox_commands import find
from .replies import Reply, bad, no, ok
from .url_access import INTERNAL, fresh_key, token_of
from .url_render import render_url

if TYPE_CHECKING:
    from .session import Session

URLMECH: Final = b"URLMECH INTERNAL"
_NO_MECHANISM: Final = no("The only mechanism is INTERNAL")


async def resetkey(session: Session, command: c.ResetKey) -> Reply:
    """What was signed with the keys that go is void at once, for every session."""
    principal, services = session.require_principal(), session.services
    access.require(principal, Action.FOLDERS)
    inbox_id = principal.inbox_id
    if command.mailbox is None:
        await services.db.write(lambda tx: url_keys.remove_all(tx, inbox_id), inboxes=(inbox_id,))
        return ok("All keys removed")
    if set(command.mechanisms) - {INTERNAL}:
        return _NO_MECHANISM
    mailbox, fresh = await find(session, command.mailbox), fresh_key()
    await services.db.write(lambda tx: url_keys.reset(tx, inbox_id, mailbox.id, fresh), inboxes=(inbox_id,))
    return ok("RESETKEY completed", URLMECH)


async def genurlauth(session: Session, command: c.GenUrlAuth) -> Reply:
    """All URLs are signed or none. The answer to a bad one is BAD, as RFC 4467 7 has it."""
    principal, db = session.require_principal(), session.services.db
    inbox_id, fresh = principal.inbox_id, fresh_key()
    asked: list[tuple[bytes, MessageUrl]] = []
    for url, mechanism in command.urls:
        if mechanism != INTERNAL:
            return _NO_MECHANISM
        try:
            asked.append((url, _signable(url)))
        except Malformed as error:
            return bad(str(error))

    def roles(rx: Rx) -> list[str | None]:
        found = []
        for _, each in asked:
            assert each.server is not None
            owner = inboxes.inbox_by_address(rx, each.server.user or "")
            box = mailboxes.by_name(rx, inbox_id, each.mailbox or "")
            if owner is None or owner.id != inbox_id or box is None or box.noselect:
                raise NotFound("No such mailbox")
            found.append(box.role)
        return found

    def sign(tx: Tx) -> list[bytes]:
        found = []
        for url, each in asked:
            box = mailboxes.by_name(tx, inbox_id, each.mailbox or "")
            if box is None:
                raise NotFound("No such mailbox")
            found.append(url + b":internal:" + token_of(url_keys.need_key(tx, inbox_id, box.id, fresh), url))
        return found

    try:
        for role in await db.read(roles):
            access.require(principal, Action.READ, role)
        signed = await db.write(sign, inboxes=(inbox_id,))
    except NotFound:
        return bad("A URL names no user or no mailbox here")
    session.channel.send(b"* GENURLAUTH " + b" ".join(map(render.string, signed)) + b"\r\n")
    return ok("GENURLAUTH completed")


def _signable(url: bytes) -> MessageUrl:
    """Malformed for what GENURLAUTH does not sign (RFC 4467 7)."""
    asked = parse_url(url)
    if asked.server is None or not asked.server.user:
        raise Malformed("The URL names no user")
    permit = asked.authorization
    if permit is None:
        raise Malformed("The URL has no access identifier")
    if permit.mechanism:
        raise Malformed("The URL is signed already")
    return asked


async def urlfetch(session: Session, command: c.UrlFetch) -> Reply:
    """A response for each URL; NIL for one that is wrong in any way. Nothing is selected or marked as seen.

    Between two of them something else may be said: that it takes long, that the store is away, that the session ends.
    """
    inbox_id, services = session.require_principal().inbox_id, session.services
    now = int(services.clock())
    for url, wanted in command.urls:
        pieces = await services.db.offload(render_url, url, wanted, now, inbox_id)
        session.channel.send(b"* URLFETCH")
        for piece in pieces:
            if isinstance(piece, bytes):
                session.channel.send(piece)
            else:
                await stream(session, piece)
        session.channel.send(b"\r\n")
        await session.channel.breathe()
    return ok("URLFETCH completed")
