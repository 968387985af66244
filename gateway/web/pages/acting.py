"""What a person does with mail in the browser: marks, moves, throws away."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.responses import Response

from gateway.access import changing
from gateway.access.changing import Marks, Taken
from gateway.model.errors import InvalidRequest
from gateway.store.db import Tx

from .shell import Person, back

router = APIRouter(include_in_schema=False)

_MARKS: Final = {
    "read": Marks(add=("\\Seen",)), "unread": Marks(remove=("\\Seen",)), "flag": Marks(add=("\\Flagged",)),
    "unflag": Marks(remove=("\\Flagged",)),
}


@router.post("/inboxes/{inbox}/mail/{message}/{action}")
async def act(person: Person, inbox: str, message: str, action: str) -> Response:
    """`action`: read, unread, flag, unflag, trash, or move with the field `mailbox`."""
    fields = await person.form()
    services, who, now = person.services, person.who, int(person.services.clock())
    mailbox = fields.get("mailbox", "")
    if action not in _MARKS and action not in ("trash", "move"):
        raise InvalidRequest("There is no such action")

    def unit(tx: Tx) -> None:
        taken: Taken = changing.taken(tx, who, inbox, [message], every=True)
        if action == "trash":
            changing.trash(tx, taken.seen, taken.found, now=now)
        elif action == "move":
            changing.move(tx, taken.seen, taken.found, taken.seen.selectable(mailbox), now=now)
        else:
            changing.mark(tx, taken.seen, taken.found, _MARKS[action])

    await services.db.write(unit)
    stays = action in _MARKS and action != "unread"
    where = f"/{message}" if stays else f"?{urlencode({'mailbox': fields.get('from', 'INBOX')})}"
    return back(f"/inboxes/{inbox}/mail{where}")
