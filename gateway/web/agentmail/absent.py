"""What AgentMail has and this server has not, said so: 404 with what there is instead."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from gateway.model.errors import NotFound
from gateway.web.api.parts import Who

from .parts import new_router

router: APIRouter = new_router()

_SIGN_IN: Final = "Signing in to apps as an inbox does not exist here"
_POLLING: Final = "Ask /api/v1/events with a cursor instead"
ABSENT: Final = {
    "/agent": "Nobody signs up here: an administrator makes keys",
    "/accounts": _SIGN_IN,
    "/apps": _SIGN_IN,
    "/inboxes/{inbox_id}/accounts": _SIGN_IN,
    "/inboxes/{inbox_id}/authorize": _SIGN_IN,
    "/pods/{pod_id}/accounts": _SIGN_IN,
    "/inboxes/{inbox_id}/calendar": "Calendars do not exist here; invitations are attachments of messages",
    "/inboxes/{inbox_id}/files": "Files do not exist here; attachments are part of messages",
    "/inboxes/{inbox_id}/messages/{message_id}/agent-armor": "Agent Armor does not exist here",
    "/inboxes/{inbox_id}/events": "Changes of labels are told by /api/v1/inboxes/{inbox}/events, with all others",
    "/webhooks/polling": _POLLING,
    "/pods/{pod_id}/webhooks/polling": _POLLING,
    "/inboxes/{inbox_id}/webhooks/polling": _POLLING,
    "/organizations/labs": "There are no Labs here",
}  # fmt: skip
"""Path -> what there is instead, for it and all below it."""
_METHODS: Final = ["GET", "POST", "PATCH", "PUT", "DELETE"]


def _path(path: str, text: str) -> None:
    @router.api_route(path, methods=_METHODS, include_in_schema=False)
    @router.api_route(f"{path}/{{rest:path}}", methods=_METHODS, include_in_schema=False)
    async def absent(who: Who) -> None:
        raise NotFound(text)


for _each, _text in ABSENT.items():
    _path(_each, _text)
