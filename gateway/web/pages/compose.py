"""Writing mail in the browser: new, in answer, handed on, or a draft that is gone on with; with files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

from fastapi import APIRouter
from starlette.datastructures import UploadFile
from starlette.responses import Response

from gateway.access import answering, composing, draft_letters, draft_views, drafting, messages, sending
from gateway.access.composing import Attachment, Letter
from gateway.access.header_fields import Mailbox
from gateway.access.sending import Outcome, Post, Written
from gateway.model.errors import GatewayError, InvalidRequest, TooBig
from gateway.model.mailbox import DRAFTS
from gateway.model.rights import Action, allowed
from gateway.store.db import Rx

from .shell import Person, Shell, back, shown_octets

router = APIRouter(include_in_schema=False)

_HOW: Final[Mapping[str, answering.Reply | answering.Forward]] = {
    "reply": answering.Reply(everybody=False, quote=True), "reply-all": answering.Reply(everybody=True, quote=True),
    "forward": answering.Forward(attach=False),
}
_TITLES: Final = {"": "New message", "reply": "Reply", "reply-all": "Reply to all", "forward": "Forward"}
_FIELDS: Final = ("to", "cc", "bcc", "subject", "text")
_KEPT: Final = "kept-"


@dataclass(frozen=True)
class Form:
    """What is being written: in answer to `of` as `how` says, or a draft. `files`: what that has already."""

    how: str = ""
    of: str = ""
    draft: str = ""
    given: Mapping[str, str] = field(default_factory=dict)
    files: Sequence[Attachment] = ()

    @property
    def answer(self) -> answering.Reply | answering.Forward | None:
        """InvalidRequest."""
        if (self.how or self.of) and (self.how not in _HOW or not self.of):
            raise InvalidRequest("A message is answered, or handed on")
        return _HOW.get(self.how)


@router.get("/inboxes/{inbox}/compose")
async def compose_page(person: Person, inbox: str, how: str = "", of: str = "", draft: str = "") -> Response:
    """`how` with the id of a message: reply, reply-all or forward. `draft`: the name of one to go on with."""
    return await _page(person, inbox, await _draft(person, inbox, draft) if draft else Form(how, of))


async def _draft(person: Shell, inbox: str, name: str) -> Form:
    """NotFound, NoPermission."""
    letter = await _letter(person, inbox, name)
    given = {key: ", ".join(map(_shown, getattr(letter, key))) for key in ("to", "cc", "bcc")}
    given |= {"subject": letter.subject, "text": letter.text or ""}
    return Form(draft=name, given=given, files=letter.attachments)


def _mark(one: Attachment) -> str:
    """Its name in forms: what it is, not where it stands, for a draft may have been changed since the form was made."""
    return _KEPT + hashlib.sha256(one.octets + (one.filename or "").encode("utf-8", "replace")).hexdigest()[:32]


def _shown(one: Mailbox) -> str:
    """As it is typed: a name in quotes may hold whatever stands in it."""
    name = one.name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{one.address}>' if name else one.address


async def _letter(person: Shell, inbox: str, name: str) -> Letter:
    services = person.services
    draft_views.require(person.who, Action.READ)

    def query(rx: Rx) -> tuple[Post, draft_views.Place]:
        post = sending.post_of(rx, person.who, inbox)
        return post, draft_views.find(rx, post, name)

    post, place = await services.db.read(query)
    return (await draft_letters.letter_of(services, post, place)).letter


async def _page(person: Shell, inbox: str, form: Form, error: str = "") -> Response:
    services, who = person.services, person.who
    sending.require_sender(who)
    answer = form.answer
    post = await services.db.read(lambda rx: sending.post_of(rx, who, inbox))
    original = None
    if answer is not None:
        original = await messages.message(services.db, services.digests, who, inbox, form.of)
    return person.page(
        "compose.html", title="Draft" if form.draft else _TITLES[form.how], status=422 if error else 200, error=error,
        inbox=post.inbox, form=form, original=original, hand_over=isinstance(answer, answering.Forward),
        given={name: form.given.get(name, "") for name in _FIELDS}, most=_room(person),
        sends=who.may("message_send") or (bool(form.draft) and who.may("draft_send")),
        files=[(_mark(one), one.filename, len(one.octets)) for one in form.files],
        keeps=allowed(who.permissions, Action.FLAG if form.draft else Action.ADD, DRAFTS),
    )  # fmt: skip


def _room(person: Shell) -> int:
    """Octets that files may have together: encoded they are a third longer, and a text is there besides."""
    most = person.services.submissions.settings.max_message_size
    return max(0, (most - 16_384) * 57 // 78)


@router.post("/inboxes/{inbox}/compose")
async def send(person: Person, inbox: str) -> Response:
    """Nothing of what was typed is lost when it cannot be sent: the form comes back with the reason.

    A script shows the reason in the form as it is, with the files that were chosen.
    """
    async with person.upload() as (fields, files):
        form = Form(fields.get("how", ""), fields.get("of", ""), fields.get("draft", ""), fields)
        try:
            mailbox = await _done(person, inbox, form, files)
        except GatewayError as error:
            if person.by_script:
                raise
            if form.draft:  # it may have been kept and not sent
                form = replace(form, files=(await _draft(person, inbox, form.draft)).files)
            kept = {one.filename for one in form.files}
            lost = any(one.filename not in kept for one in files)
            return await _page(person, inbox, form, f"{error}{' Choose the files again.' if lost else ''}")
    return back(f"/inboxes/{inbox}/mail?mailbox={mailbox}")


async def _done(person: Shell, inbox: str, form: Form, files: Sequence[UploadFile]) -> str:
    """Send or keep it; the mailbox where it is now. GatewayError as sending and drafts have it."""
    services, who, answer = person.services, person.who, form.answer
    keep = form.given.get("do") == "keep"
    written = _written(form, await _attached(files, _room(person)), empty=answer is not None)
    if form.draft:
        edit = partial(_edited, form, written)
        await drafting.change(services, who, inbox, form.draft, edit)
        if not keep:
            await drafting.send(services, who, inbox, form.draft)
        return "Drafts" if keep else "Sent"
    if keep:
        how = drafting.DraftNew(written=written, message=form.of or None, how=answer or answering.Reply())
        await drafting.create(services, who, inbox, how)
        return "Drafts"
    return "Drafts" if (await _sent(person, inbox, form, written)).pending else "Sent"


def _written(form: Form, attachments: tuple[Attachment, ...], *, empty: bool) -> Written:
    """A field that was left empty says nothing; an answer (`empty`) then has what the original brings along."""
    given = form.given
    to, cc, bcc = ((text,) if (text := given.get(name, "").strip()) else () for name in ("to", "cc", "bcc"))
    return Written(
        to=to, cc=cc, bcc=bcc, subject=given.get("subject") or (None if empty else ""),
        text=given.get("text", "").replace("\r\n", "\n"), attachments=attachments,
    )


async def _sent(person: Shell, inbox: str, form: Form, written: Written) -> Outcome:
    services, who, answer = person.services, person.who, form.answer
    sending.require_sender(who)
    if answer is not None:
        return await answering.answer(services, who, inbox, form.of, written, answer)
    post = await services.db.read(lambda rx: sending.post_of(rx, who, inbox))
    return await sending.send(services, who, post, sending.addressed(written, post))


def _edited(form: Form, written: Written, letter: Letter, post: Post) -> Letter:
    """The draft with what the form says in its place; HTML that says something else than the text goes."""
    fresh = sending.addressed(written, post)
    kept = [one for one in letter.attachments if form.given.get(_mark(one))]
    same = (letter.text or "").replace("\r\n", "\n").rstrip() == (fresh.text or "").rstrip()
    words: dict[str, Any] = {} if same else {"text": fresh.text, "html": None}
    return replace(
        letter, to=fresh.to, cc=fresh.cc, bcc=fresh.bcc, subject=fresh.subject,
        attachments=(*kept, *fresh.attachments), **words,
    )


async def _attached(files: Sequence[UploadFile], most: int) -> tuple[Attachment, ...]:
    """TooBig."""
    total = sum(one.size or 0 for one in files)
    if total > most:
        raise TooBig(f"The files have {shown_octets(total)}; together they may have {shown_octets(most)}.")
    return tuple([Attachment(await one.read(), one.filename, _kind(one)) for one in files])


def _kind(one: UploadFile) -> str | None:
    """What the browser takes it for; None, so that its name tells, where no attachment may have that."""
    try:
        composing.content_type(one.content_type or "")
    except InvalidRequest:
        return None
    return one.content_type
