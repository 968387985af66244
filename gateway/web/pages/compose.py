"""Writing mail in the browser: new, in answer, or handed on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from gateway.access import answering, messages, sending
from gateway.access.sending import Outcome, Written
from gateway.model.errors import GatewayError, InvalidRequest

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)

_HOW: Final[Mapping[str, answering.Reply | answering.Forward]] = {
    "reply": answering.Reply(everybody=False, quote=True), "reply-all": answering.Reply(everybody=True, quote=True),
    "forward": answering.Forward(attach=False),
}
_FIELDS: Final = ("to", "cc", "bcc", "subject", "text")


@router.get("/inboxes/{inbox}/compose")
async def compose_page(person: Person, inbox: str, how: str = "", of: str = "") -> Response:
    """`how` with the id of a message: reply, reply-all or forward."""
    return await _page(person, inbox, how, of, {})


async def _page(person: Shell, inbox: str, how: str, of: str, given: dict[str, str], error: str = "") -> Response:
    sending.require_sender(person.who)
    if (how != "" or of != "") and how not in _HOW:
        raise InvalidRequest("A message is answered, or handed on")
    services = person.services
    post = await services.db.read(lambda rx: sending.post_of(rx, person.who, inbox))
    original = None
    if of:
        original = await messages.message(services.db, services.digests, person.who, inbox, of)
    return person.page(
        "compose.html", title={"": "New message", "reply": "Reply", "reply-all": "Reply to all"}.get(how, "Forward"),
        status=422 if error else 200, error=error, inbox=post.inbox, how=how, of=of, original=original,
        given={name: given.get(name, "") for name in _FIELDS}, hand_over=how == "forward",
    )  # fmt: skip


@router.post("/inboxes/{inbox}/compose")
async def send(person: Person, inbox: str) -> Response:
    """Nothing of what was typed is lost when it cannot be sent: the form comes back with the reason."""
    fields = await person.form()
    how, of = fields.get("how", ""), fields.get("of", "")
    try:
        outcome = await _sent(person, inbox, how, of, fields)
    except GatewayError as error:
        return await _page(person, inbox, how, of, fields, str(error))
    mailbox = "Drafts" if outcome.pending else "Sent"
    return back(f"/inboxes/{inbox}/mail?mailbox={mailbox}")


async def _sent(person: Shell, inbox: str, how: str, of: str, fields: dict[str, str]) -> Outcome:
    """GatewayError as sending has it."""
    services, who = person.services, person.who
    sending.require_sender(who)
    answer = _HOW.get(how)
    if answer is None and (how or of):
        raise InvalidRequest("A message is answered, or handed on")
    # A field that was left empty says nothing; an answer then has what the original brings along.
    to, cc, bcc = ((text,) if (text := fields.get(name, "").strip()) else () for name in ("to", "cc", "bcc"))
    written = Written(
        to=to, cc=cc, bcc=bcc, subject=fields.get("subject") or (None if answer else ""),
        text=fields.get("text", "").replace("\r\n", "\n"),
    )
    if answer is not None:
        return await answering.answer(services, who, inbox, of, written, answer)
    post = await services.db.read(lambda rx: sending.post_of(rx, who, inbox))
    return await sending.send(services, who, post, sending.addressed(written, post))
