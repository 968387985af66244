"""Mail that waits: why, when next, and what can be done about it. For keys that open everything."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from gateway.model.errors import GatewayError, InvalidRequest, NotFound

from .shell import Person, Shell, back

router = APIRouter(include_in_schema=False)

_ACTIONS: Final = ("retry", "hold", "release", "cancel")
_SHOWN: Final = 200


@router.get("/queue")
async def queue_page(person: Person) -> Response:
    return await _list(person)


async def _list(person: Shell, error: str = "") -> Response:
    _need_all(person)
    rows = await person.services.operate("queue.list", {"limit": _SHOWN})
    stats = await person.services.operate("queue.stats", {})
    return person.page("queue.html", title="Queue", rows=rows, stats=stats, error=error)


@router.get("/queue/{submission}")
async def submission_page(person: Person, submission: str) -> Response:
    _need_all(person)
    shown = await person.services.operate("queue.show", {"id": submission})
    return person.page("submission.html", title="Message in the queue", shown=shown)


@router.post("/queue/{submission}/{action}")
async def act(person: Person, submission: str, action: str) -> Response:
    _need_all(person)
    await person.form()
    if action not in _ACTIONS:
        raise InvalidRequest("There is no such action")
    try:
        await person.services.operate(f"queue.{action}", {"ids": [submission]})
    except GatewayError as error:
        return await _list(person, str(error))
    return back("/queue")


def _need_all(person: Shell) -> None:
    """What everybody's mail waits for is the administrator's to see."""
    if not person.who.may_all:
        raise NotFound("No such page")
