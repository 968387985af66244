"""Drafts of an inbox; lists of a pod's drafts, or of all that the key opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from fastapi import APIRouter

from gateway.access import draft_views, drafting, messages, sending
from gateway.access.answering import Forward, Reply
from gateway.access.caller import Caller, inboxes_of
from gateway.access.composing import Letter
from gateway.access.draft_views import Draft
from gateway.access.sending import Post
from gateway.model.errors import InvalidRequest, NotFound
from gateway.model.rights import Action
from gateway.store import messages as stored
from gateway.store.db import Rx, Tx
from gateway.web.api.parts import Services, Who
from gateway.web.idempotency import Keep, Once
from gateway.web.services import WebServices

from . import across
from .downloads import AttachmentPlace, attachment_download
from .draft_values import (
    CreateDraft,
    DraftItem,
    DraftOut,
    ListDrafts,
    Seen,
    SendDraft,
    UpdateDraft,
    shown,
    words_of,
)
from .finding import the_inbox
from .labels import change
from .parts import (
    USUAL,
    Area,
    Flag,
    In,
    Limit,
    Moment,
    PageToken,
    Words,
    moment,
    new_router,
    paged,
    unix,
)
from .sending import Attachments, Sent, attached, labelling, sent
from .values import people

router: APIRouter = new_router()
BASE: Final = "/inboxes/{inbox_id}/drafts"
EVERYWHERE: Final = ("/drafts", "/pods/{pod_id}/drafts", BASE)
MOST_DRAFTS: Final = 200
"""Drafts of one inbox, the latest, that a list looks at."""
_FIELDS: Final = ("to", "cc", "bcc", "reply_to", "subject", "text", "html")


async def _whole(services: WebServices, who: Caller, seen: Seen) -> DraftOut:
    draft = (await draft_views.digested(services.db, [seen.place]))[:1]
    if not draft:
        raise NotFound(draft_views.NO_DRAFT)
    says = draft[0].digest
    body = await services.db.offload(messages.body, seen.place.content_id)
    return DraftOut(
        **shown(seen, draft[0]), client_id=seen.place.name.client_id, reply_to=people(says.reply_to) or None,
        text=body.text or None, html=body.html, references=[f"<{one}>" for one in says.references] or None,
        created_at=moment(seen.place.name.created_at),
    )  # fmt: skip


async def one(services: WebServices, who: Caller, area: Area, draft_id: str) -> Seen:
    """NotFound."""
    draft_views.require(who, Action.READ)

    def query(rx: Rx) -> Seen:
        for inbox in inboxes_of(rx, area.of(rx, who)):
            try:
                place = draft_views.find(rx, sending.post_of(rx, who, inbox.address), draft_id)
            except NotFound:
                continue
            return Seen(inbox, place, words_of(rx, who, inbox, [place]).get(place.email_id, ()))
        raise NotFound(draft_views.NO_DRAFT)

    return await services.db.read(query)


def _all(rx: Rx, who: Caller, area: Area) -> list[Seen]:
    """LimitReached: there are too many inboxes."""
    found = []
    for inbox in across.inboxes_in(rx, who, area):
        places, _ = draft_views.page(rx, sending.post_of(rx, who, inbox.address), None, MOST_DRAFTS)
        words = words_of(rx, who, inbox, places) if places else {}
        found += [Seen(inbox, place, words.get(place.email_id, ())) for place in places]
    return found


def _read(path: str) -> None:
    @router.get(path)
    async def list_drafts(
        services: Services, who: Who, area: In, limit: Limit = USUAL, page_token: PageToken = None,
        labels: Words = None, before: Moment = None, after: Moment = None, ascending: Flag = False,
    ) -> ListDrafts:  # fmt: skip
        """Drafts, the last changed first."""
        draft_views.require(who, Action.READ)
        wanted = {label.lower() for label in labels or ()}
        since, until = unix(after), unix(before)
        found = [
            each for each in await services.db.read(lambda rx: _all(rx, who, area))
            if wanted <= {label.lower() for label in each.labels}
            and (since is None or each.place.updated_at >= since)
            and (until is None or each.place.updated_at < until)
        ]  # fmt: skip
        page, said = paged(
            found, limit, page_token, lambda each: (each.place.updated_at, each.place.name.name), rising=ascending
        )
        known = await draft_views.digested(services.db, [each.place for each in page])
        digests = {draft.place.email_id: draft for draft in known}
        shown_ = [
            DraftItem(**shown(each, digests[each.place.email_id])) for each in page if each.place.email_id in digests
        ]
        return ListDrafts(**said, drafts=shown_)

    @router.get(f"{path}/{{draft_id}}")
    async def get_draft(services: Services, who: Who, area: In, draft_id: str) -> DraftOut:
        """A draft with its text."""
        return await _whole(services, who, await one(services, who, area, draft_id))

    @router.get(f"{path}/{{draft_id}}/attachments/{{attachment_id}}")
    async def get_draft_attachment(
        services: Services, who: Who, area: In, draft_id: str, attachment_id: str
    ) -> AttachmentPlace:
        """Where an attachment can be downloaded, as long as the draft is not changed."""
        seen = await one(services, who, area, draft_id)
        drafts = await draft_views.digested(services.db, [seen.place])
        if not drafts:
            raise NotFound(draft_views.NO_DRAFT)
        return await attachment_download(
            services, who, seen.inbox, seen.place.email_id, drafts[0].digest, attachment_id
        )


for _path in EVERYWHERE:
    _read(_path)


def _keeping(words: Sequence[str]) -> drafting.Kept:
    """Keywords of a draft, in the unit that keeps it."""

    def kept(tx: Tx, draft: Draft) -> None:
        place = draft.place
        if words:
            stored.store_flags(tx, place.inbox_id, place.mailbox_id, [place.uid], "add", 0, list(words))

    return kept


def _words(known: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> tuple[str, ...]:
    """InvalidRequest: a label that nobody can set, or that drafts do not have."""
    made = change(add, remove)
    if made.into or made.out_of or any(flag.startswith("\\") for flag in (*made.marks.add, *made.marks.remove)):
        raise InvalidRequest("labels: a draft bears labels of your own only")
    gone = {word.lower() for word in made.marks.remove}
    return tuple(dict.fromkeys(word for word in (*known, *made.marks.add) if word.lower() not in gone))


@router.post(BASE, response_model=DraftOut)
async def create_draft(services: Services, who: Who, area: In, body: CreateDraft) -> Any:
    """Write a draft; with a `client_id` that is known, that draft is answered."""
    draft_views.require(who, Action.ADD)
    if body.in_reply_to is not None and body.forward_of is not None:
        raise InvalidRequest("in_reply_to, forward_of: name at most one")
    if body.reply_all and (body.to or body.cc or body.bcc):
        raise InvalidRequest("reply_all: it names its recipients itself, without to, cc and bcc")
    words = _words((), body.labels, ())
    inbox = await the_inbox(services, who, area.inbox or "")
    new = drafting.DraftNew(
        written=await _written(services, body), message=body.in_reply_to or body.forward_of,
        how=Forward() if body.forward_of else Reply(everybody=bool(body.reply_all)), send_at=unix(body.send_at),
        client_id=body.client_id,
    )  # fmt: skip
    made = await drafting.create(services, who, inbox.address, new, _keeping(words))
    return await _whole(services, who, await one(services, who, area, made.place.name.name))


@router.patch(f"{BASE}/{{draft_id}}", response_model=DraftOut)
async def update_draft(services: Services, who: Who, area: In, draft_id: str, body: UpdateDraft) -> Any:
    """Change what is named."""
    draft_views.require(who, Action.FLAG)
    named = body.model_fields_set
    seen = await one(services, who, area, draft_id)
    words = _words(seen.words, body.add_labels, body.remove_labels)
    written = await _written(services, body, body.add_attachments)
    drafts = await draft_views.digested(services.db, [seen.place])
    parts = [each.part for each in drafts[0].digest.attachments] if drafts else []
    if unknown := set(body.remove_attachments) - set(parts):
        raise InvalidRequest(f"remove_attachments: there is no {min(unknown)}")

    def edit(letter: Letter, post: Post) -> Letter:
        fresh = sending.addressed(written, post)
        given: dict[str, Any] = {name: getattr(fresh, name) for name in _FIELDS if name in named}
        left = letter.attachments
        if body.remove_attachments and len(left) == len(parts):
            left = tuple(
                one for part, one in zip(parts, left, strict=True) if part not in body.remove_attachments
            )
        given["attachments"] = (*left, *fresh.attachments)
        if "send_at" in named:
            given["send_at"] = unix(body.send_at)
        return replace(letter, **given)

    await drafting.change(services, who, seen.inbox.address, draft_id, edit, _keeping(words))
    return await _whole(services, who, await one(services, who, area, draft_id))


async def _written(
    services: WebServices, body: CreateDraft | UpdateDraft, files: Attachments | None = None
) -> sending.Written:
    given = files if files is not None else getattr(body, "attachments", ())
    return sending.Written(
        to=body.to, cc=body.cc, bcc=body.bcc, reply_to=body.reply_to, subject=body.subject, text=body.text,
        html=body.html, attachments=await attached(given, services.settings.max_message_size),
    )  # fmt: skip


@router.delete(f"{BASE}/{{draft_id}}", status_code=204)
async def delete_draft(services: Services, who: Who, inbox_id: str, draft_id: str) -> None:
    """Throw it away; what it was to send is not sent."""
    inbox = await the_inbox(services, who, inbox_id)
    await drafting.delete(services, who, inbox.address, draft_id)


@router.post(f"{BASE}/{{draft_id}}/send", response_model=Sent)
async def send_draft(
    services: Services, who: Who, area: In, draft_id: str, once: Once, body: SendDraft | None = None
) -> Any:
    """Send it now, whatever it waits for; it takes its labels along."""
    drafting.require_sender(who)
    given = body or SendDraft()

    async def work(keep: Keep) -> Sent:
        seen = await one(services, who, area, draft_id)
        words = _words(seen.words, given.add_labels, given.remove_labels)
        then = labelling(seen.inbox.id, words, keep)
        return sent(await drafting.send(services, who, seen.inbox.address, draft_id, then))

    return await once.run(work)
