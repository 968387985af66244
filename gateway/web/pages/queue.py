"""Mail that waits: why, when next, and what can be done about it; as the API's queue, for whom that is."""

from __future__ import annotations

from typing import Final, get_args

from fastapi import APIRouter
from starlette.responses import Response

from gateway.access import draft_views, sending
from gateway.access.caller import Caller
from gateway.model.errors import GatewayError, NoPermission, NotFound
from gateway.model.mailbox import DRAFTS
from gateway.model.rights import Action, allowed
from gateway.store.db import Rx
from gateway.web.api import queue as queue_api
from gateway.web.api.queue import Submission, Verb

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)

_DRAFTS: Final = 200
"""Drafts of an inbox, the latest, among which the one is looked for that waits for consent."""
_VERBS: Final = {str(verb): verb for verb in get_args(Verb)}


@router.get("/queue")
async def queue_page(person: Person, after: str = "") -> Response:
    return await _list(person, after)


async def _list(person: Shell, after: str = "", error: str = "") -> Response:
    services, who = person.services, person.who
    found = await queue_api.list_queue(services, who, cursor=after or None)
    stats = await queue_api.queue_stats(services, who) if who.may_all else None
    return person.page(
        "queue.html", title="Queue", rows=found.items, following=found.next, stats=stats, error=error,
        status=422 if error else 200,
    )  # fmt: skip


@router.get("/queue/{submission}")
async def submission_page(person: Person, submission: str) -> Response:
    services, who = person.services, person.who
    shown = await queue_api.get_submission(services, who, submission)
    draft = await services.db.read(lambda rx: _draft(rx, who, shown))
    return person.page("submission.html", title="Message in the queue", shown=shown, draft=draft)


def _draft(rx: Rx, who: Caller, shown: Submission) -> str | None:
    """The message that waits for consent, where the key may read it; None: there is none."""
    waits = any(each.hold_reason == "approval" for each in shown.recipients)
    if not waits or shown.inbox is None or not allowed(who.permissions, Action.READ, DRAFTS):
        return None
    places, _ = draft_views.page(rx, sending.post_of(rx, who, shown.inbox), None, _DRAFTS)
    found = (each.email_id for each in places if each.waiting is not None and each.waiting.uuid == shown.id)
    return next(found, None)


@router.post("/queue/{submission}/{verb}")
async def act(person: Person, submission: str, verb: str) -> Response:
    await person.form()
    if verb not in _VERBS:
        raise NotFound("There is no such action")
    try:
        await queue_api.change_submission(person.services, person.who, submission, _VERBS[verb])
    except (NotFound, NoPermission):
        raise
    except GatewayError as error:
        return await _list(person, error=str(error))
    return back("/queue")
